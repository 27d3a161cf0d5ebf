"""`archsim report`: the page in a real browser (headless Chromium), pictures, bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from archsim.cli import main
from archsim.engine.result_folder import load_run
from archsim.engine.sweep.table import write_table
from archsim.kernels import layout as lay

FIVE_MB = 5_000_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two small runs with everything kept, made in the interpreter (nothing to compile)."""
    folder = tmp_path_factory.mktemp("runs")
    script = Path(__file__).with_name("make_report_runs.py")
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, str(script), str(folder)], env=environment, check=True)
    return folder


@pytest.fixture(scope="module")
def run_page(runs):
    page = runs / "run.html"
    assert main(["report", str(runs / "a"), "--compare", str(runs / "b"), "-o", str(page)]) == 0
    return page


@pytest.fixture(scope="module")
def sweep_folder(runs):
    """A study of 200 points and 4 traces: 800 rows with all the columns of a real run."""
    from archsim.engine.sweep.gpu_stats import column_doc, total_stats

    folder = runs / "sweep"
    folder.mkdir()
    result = load_run(runs / "a")
    stats = total_stats(result.kernels, result.config)
    docs = {name: column_doc(name) for name in stats}
    rows = []
    for point in range(200):
        size, banks = 1 + point % 20, 2 * (1 + point // 20)
        for number, trace in enumerate(("one", "two", "three", "four")):
            values = {name: v * (1 + number) / size if isinstance(v, float) else v for name, v in stats.items()}
            values["cycles"] = 100_000 * (1 + number) // size + 10 * banks
            values["sram_kib"] = 16.0 * size * banks
            axes = {"sm.prefetcher.size": size, "sm.register_file.banks": banks}
            rows.append({"point": point, "trace": trace, "config": "x", "status": "ok", "error": "", **axes, **values})
    rows[7] |= dict.fromkeys(stats, None) | {"status": "failed", "error": "<b>too wide</b>"}
    meta = {"name": "demo", "axes": [{"name": name, "values": []} for name in axes]}
    write_table(rows, folder / "results.parquet", meta, docs)
    return folder


@pytest.fixture(scope="module")
def sweep_page(runs, sweep_folder):
    page = runs / "sweep.html"
    assert main(["report", str(sweep_folder), "-o", str(page)]) == 0
    return page


@pytest.fixture(scope="module")
def chromium():
    """A headless browser: an installed Chromium (Debian: apt-get install chromium), or Playwright's own."""
    from playwright.sync_api import Error, sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            if found:
                raise
            pytest.skip(f"no Chromium here: apt-get install chromium, or playwright install chromium ({error.name})")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages():
    """Open pages by path: unpacking one takes seconds, so the tests of a page share it."""
    return {}


@pytest.fixture
def opened(chromium, pages):
    """Open a page, wait until it is built, show its first tab. A script error, or a request to a network, fails."""
    errors = []

    def open_page(path):
        if path not in pages:
            page = chromium.new_page(viewport={"width": 1400, "height": 1000})
            local = ("file:", "blob:", "data:")
            page.on("pageerror", lambda error: page.problems.append(str(error)))
            page.on("request", lambda r: None if r.url.startswith(local) else page.problems.append(r.url))
            page.problems = errors
            page.goto(path.as_uri())
            page.wait_for_selector("body[data-ready]", timeout=60_000)
            pages[path] = page
        page = pages[path]
        page.problems = errors
        page.locator("nav button").first.click()
        return page

    yield open_page
    assert errors == []


def choose_longest(page, runs):
    """Click on the row of the longest launch; returns its result."""
    longest = max(load_run(runs / "a").kernels, key=lambda k: k.cycles)
    page.locator("#kernels tbody tr", has_text=longest.name).click()
    return longest


def column(page, table, number):
    return page.locator(f"{table} tbody tr td:nth-child({number})").all_inner_texts()


def test_every_tab_of_a_run_opens(opened, run_page):
    page = opened(run_page)
    names = page.locator("nav button").all_inner_texts()
    assert names == ["Kernels", "Compare", "Timeline", "Source", "Metrics", "Configuration"]
    for name in names:
        page.click(f"nav button:text-is('{name}')")
        shown = page.locator("main section:visible")
        assert shown.count() == 1
        assert len(shown.inner_text()) > 100
        assert page.locator("nav button[aria-selected=true]").inner_text() == name


def test_kernel_table_sorts_both_ways_and_chooses(opened, run_page, runs):
    page = opened(run_page)
    cycles = sorted(k.cycles for k in load_run(runs / "a").kernels)
    shown = [f"{n:,}" for n in cycles]
    assert len(set(shown)) == 3
    heading = page.locator("#kernels th:text-is('cycles')")
    heading.click()
    assert column(page, "#kernels", 5) == shown[::-1]
    heading.click()
    assert column(page, "#kernels", 5) == shown
    assert heading.get_attribute("aria-sort") == "ascending"
    page.click("#kernels tbody tr:first-child")
    chosen = page.inner_text("#chosen")
    for tab in ("timeline", "source", "metrics"):
        page.click(f"#tab-{tab}")
        assert chosen in page.locator(f"#{tab}").inner_text()


def test_stall_stack_shows_its_numbers_on_hover(opened, run_page, runs):
    page = opened(run_page)
    page.locator("#stalls .barlayer .point").first.hover(force=True)
    text = page.locator("#stalls .hoverlayer").text_content()
    kernel = load_run(runs / "a").kernels[0]
    assert f"issued: {100 * kernel.stalls['issued'] / kernel.issue_slots:.2f} %" in text
    total = page.evaluate("() => document.getElementById('stalls').data.reduce((s, t) => s + t.x[0], 0)")
    assert total == pytest.approx(100)


def test_timeline_zooms_and_the_table_follows(opened, run_page, runs):
    page = opened(run_page)
    longest = choose_longest(page, runs)
    page.click("#tab-timeline")
    page.wait_for_selector("#shown-cycles")
    assert page.inner_text("#shown-cycles") == f"Cycles 0 to {longest.cycles:,}"
    slots = sum(int(text.replace(",", "")) for text in column(page, "#shown", 2))
    assert slots == longest.issue_slots
    area = page.locator("#timeline-plot .nsewdrag.drag").first.bounding_box()
    y = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + 0.5 * area["width"], y)
    page.mouse.down()
    page.mouse.move(area["x"] + 0.75 * area["width"], y, steps=5)
    page.mouse.up()
    page.wait_for_function("() => !document.getElementById('shown-cycles').textContent.startsWith('Cycles 0 ')")
    low, high = page.evaluate("() => document.getElementById('timeline-plot').layout.xaxis.range")
    assert low == pytest.approx(0.5 * longest.cycles, rel=0.02)
    assert high == pytest.approx(0.75 * longest.cycles, rel=0.02)
    assert sum(int(text.replace(",", "")) for text in column(page, "#shown", 2)) < longest.issue_slots
    page.mouse.dblclick(area["x"] + 0.5 * area["width"], y)
    page.wait_for_function("() => document.getElementById('shown-cycles').textContent.startsWith('Cycles 0 ')")
    names = page.evaluate("() => document.getElementById('timeline-plot').data.map(t => t.name)")
    assert {"issued", "IPC of the chip", "L2 read hit rate, %", "DRAM read, bytes/cycle"} <= set(names)


def test_source_page_adds_up_and_explains_on_hover(opened, run_page, runs):
    page = opened(run_page)
    longest = choose_longest(page, runs)
    page.click("#tab-source")
    texts = column(page, "#listing", 4)
    assert texts == [line.text for line in longest.listing]
    assert column(page, "#listing", 3) == [line.control for line in longest.listing]
    issued = [int(text.replace(",", "")) for text in column(page, "#listing", 5)]
    assert sum(issued) == longest.warp_instructions
    slots = [int(text.replace(",", "")) for text in column(page, "#listing", 6)]
    assert sum(slots) == longest.issue_slots - longest.stalls["no_warp"]
    row = page.locator("#listing tbody tr", has_text="FFMA")
    row.hover()
    tip = page.inner_text("#tip")
    assert "long_scoreboard" in tip
    number = next(i for i, line in enumerate(longest.listing) if "FFMA" in line.text)
    assert f"{longest.per_pc[number, lay.STALL_LONG_SCOREBOARD]:,}" in tip
    page.click("#listing th:text-is('slots')")
    ordered = [int(text.replace(",", "")) for text in column(page, "#listing", 6)]
    assert ordered == sorted(slots, reverse=True)


def test_comparison_shows_ratios_and_what_differs(opened, run_page, runs):
    page = opened(run_page)
    page.click("#tab-compare")
    a, b = (load_run(runs / name).kernels for name in "ab")
    assert column(page, "#compared", 4) == [f"{y.cycles / x.cycles:.3f}" for x, y in zip(a, b, strict=True)]
    assert any(x.cycles != y.cycles for x, y in zip(a, b, strict=True))
    changed = column(page, "#config-diff", 1)
    assert changed == ["sm.front_end.perfect_icache"]
    total = page.evaluate("() => document.getElementById('compare-plot').data.reduce((s, t) => s + t.y[0], 0)")
    assert total == pytest.approx(b[0].cycles - a[0].cycles, abs=0.1)


def test_metrics_are_filtered(opened, run_page):
    page = opened(run_page)
    page.click("#tab-metrics")
    everything = page.locator("#metric-table tbody tr").count()
    page.fill("#metric-filter", "dram__bytes_read")
    assert everything > 100
    assert column(page, "#metric-table", 1) == ["dram__bytes_read.sum"]


def test_a_sweep_of_200_points_is_under_5_mb_and_opens(opened, sweep_page):
    assert sweep_page.stat().st_size < FIVE_MB
    page = opened(sweep_page)
    assert page.locator("nav button").all_inner_texts() == ["Runs", "Lines", "Heat map", "Pareto", "Stalls", "Study"]
    for tab in ("lines", "heat", "pareto", "stalls", "study"):
        page.click(f"#tab-{tab}")
        assert page.locator("main section:visible").get_attribute("id") == tab
        assert tab == "study" or page.locator(f"#{tab} .js-plotly-plot").count() == 1
    assert '"demo"' in page.inner_text("#study-text")


def test_sweep_table_sorts_and_takes_columns(opened, sweep_page):
    page = opened(sweep_page)
    headings = page.locator("#runs th").all_inner_texts()
    at = headings.index("cycles") + 1
    page.click("#runs th:text-is('cycles')")
    shown = column(page, "#runs", at)
    assert len(shown) == 800
    assert shown[-1] == "-"  # the failed run
    values = [int(text.replace(",", "")) for text in shown[:-1]]
    assert values == sorted(values, reverse=True)
    assert "<b>too wide</b>" in page.inner_text("#runs")  # as text, not as markup
    page.select_option("#add-column", "dram_read_bytes")
    assert "dram_read_bytes" in page.locator("#runs th").all_inner_texts()


def test_sweep_pictures_follow_their_choices(opened, sweep_page):
    page = opened(sweep_page)
    page.click("#tab-lines")
    lines = page.evaluate("() => document.getElementById('lines-plot').data.map(t => [t.name, t.x.length])")
    assert sorted(lines) == [["four", 20], ["one", 20], ["three", 20], ["two", 20]]
    page.select_option("#lines-x", "sm.register_file.banks")
    assert page.evaluate("() => document.getElementById('lines-plot').data[0].x.length") == 10
    page.click("#tab-pareto")
    page.select_option("#pareto-trace", "two")
    front = page.evaluate("() => { const t = document.getElementById('pareto-plot').data[1]; return [t.x, t.y]; }")
    assert front[0] == sorted(front[0])
    assert front[1] == sorted(front[1], reverse=True)
    every = page.evaluate("() => { const t = document.getElementById('pareto-plot').data[0]; return [t.x, t.y]; }")
    points = list(zip(*every, strict=True))
    best = [p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)]
    assert sorted(set(best)) == sorted(zip(*front, strict=True))
    page.click("#tab-heat")
    shape = page.evaluate(
        "() => { const t = document.getElementById('heat-plot').data[0]; return [t.z.length, t.z[0].length]; }"
    )
    assert shape == [10, 20]


def test_a_run_without_extras_says_what_to_do(opened, runs, tmp_path):
    out = tmp_path / "plain.html"
    assert main(["report", str(runs / "plain"), "-o", str(out)]) == 0
    page = opened(out)
    page.click("#tab-source")
    assert "archsim run --per-pc" in page.inner_text("#source")
    page.click("#tab-timeline")
    assert "--timeline 0" in page.inner_text("#timeline")


@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_pictures_are_written(runs, tmp_path, capsys, kind, magic):
    assert main(["report", str(runs / "a"), "--plots", str(tmp_path / "p"), "--format", kind]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [p.name.split("-")[0].split(".")[0] for p in written] == ["roofline", "stalls", *["timeline"] * 3]
    assert all(p.read_bytes().startswith(magic) for p in written)


def test_roofline_points_are_below_every_roof(runs):
    from archsim.view.roofline import roofline

    result = load_run(runs / "a")
    roof = roofline(result)
    for point in roof.points:
        assert point.instructions_per_ns <= roof.peak_instructions_per_ns
    kernel = result.kernels[0]
    (dram,) = [p for p in roof.points if p.level == "DRAM" and p.index == 0]
    moved = kernel.counters["dram_read_bytes"] + kernel.counters["dram_write_bytes"]
    assert dram.intensity == pytest.approx(kernel.warp_instructions / (moved / 32))
    assert dram.instructions_per_ns == pytest.approx(
        kernel.warp_instructions / (kernel.cycles / result.config.clock_mhz * 1e3)
    )


def test_correlation_picture_computes_its_error():
    from archsim.view.pictures import correlation_figure

    title = correlation_figure([100, 200], [110, 180]).axes[0].get_title()
    assert title == "n = 2, MAPE 10.0 %"


def test_bad_input_is_one_line(runs, sweep_folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1")
    cases = {
        ("missing",): "no such result folder",
        (str(tmp_path / "empty"),): "run.json is missing",
        (str(damaged),): "not a readable Parquet table",
        (str(runs / "a"), "--compare", "missing"): "run.json is missing",
        (str(sweep_folder), "--compare", str(runs / "a")): "--compare is for runs",
        (str(runs / "a"), "-o", str(tmp_path / "no" / "page.html")): "cannot be written",
    }
    for arguments, words in cases.items():
        assert main(["report", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_data_cannot_break_out_of_the_page(runs, tmp_path):
    """A kernel's name is data: it cannot close the script that carries it."""
    from archsim.view.page import page_html
    from archsim.view.report_run import run_data

    result = load_run(runs / "a")
    result.kernels[0].name = "</script><script>alert(1)</script>"
    assert "alert(1)" not in page_html(run_data(result, "a"))
    assert json.dumps(result.kernels[0].name)
