"""`archsim run` as a user sees it: table, JSON, result folder, partial results, one line for each kind of bad input."""

from __future__ import annotations

import json
import os
import resource
import signal
from contextlib import contextmanager

import numpy as np
import pytest

import archsim
from archsim.cli import main
from archsim.engine.result_folder import FILES, load_run, save_run
from archsim.errors import RunError
from archsim.kernels import layout as lay
from archsim.stats import COUNTERS
from archsim.testing import KernelBuilder
from archsim.trace import MemoryTrace

SMS = 2
MACHINE = ("-c", "rtx_a6000", "-s", f"num_sms={SMS}")


def mixed(name="mixed", *, control=True, block=128):
    """12 blocks: global and shared loads, arithmetic, special functions, a barrier, a store."""
    k = KernelBuilder(arch=86, name=name)
    k.add("LDG.E R2, [R4.64]", stall=1, write=1, address=lambda c, w, i: (0x1000_0000 + (c * 4 + w) * 128, 4))
    k.add("LDS R6, [R8]", stall=1, write=2, address=(0, 8))
    with k.loop(20):
        k.add("FFMA R5, R2, R3, R5", stall=4, wait=(1,))
        k.add("MUFU.EX2 R7, R5", stall=1, write=3)
        k.add("IADD3 R9, R9, R9, R9", stall=4)
    k.add("BAR.SYNC 0x0", stall=5)
    store = (1, 2, 3)
    k.add(
        "STG.E [R4.64], R5", stall=1, read=0, wait=store, address=lambda c, w, i: (0x2000_0000 + (c * 4 + w) * 128, 4)
    )
    if not control:
        k._steps = [type(s)(s.text, None, s.mask, s.addresses) for s in k._steps]
        k.add("EXIT", control=False)
    return k.build(grid=12, block=block, shared_bytes=4096)


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    path = tmp_path_factory.mktemp("traces") / "mixed.h5"
    mixed().save(path)
    return path


@pytest.fixture(scope="module")
def two_kernels(tmp_path_factory):
    path = tmp_path_factory.mktemp("traces") / "two.h5"
    MemoryTrace(86, [mixed("first").kernels[0], mixed("second", control=False).kernels[0]]).save(path)
    return path


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """Run a command line in an empty folder; returns exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*argv):
        code = main([str(a) for a in argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def one_line(outcome, *words):
    """Exit code 2, nothing on stdout, one line on stderr that holds the words."""
    code, out, err = outcome
    assert (code, out) == (2, "")
    assert err.startswith("archsim: error: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words), err


def test_table_has_every_part_and_stalls_that_sum_to_100(cli, trace):
    code, out, err = cli("run", trace, *MACHINE)
    assert (code, err) == (0, "")
    parts = ("cycles", "elapsed", "IPC", "occupancy", "unit utilisation", "L0 I-cache hits", "L1D hits", "coalescing")
    assert all(part in out for part in (*parts, "bank conflicts", "L2 read hits", "DRAM", "long_scoreboard"))
    rows = [line.split("│") for line in out.splitlines() if line.startswith("│")]
    rows = [row for row in rows if row[2].strip().replace(",", "").isdigit()]  # the table of energies has fractions
    shares = {row[1].strip(): (int(row[2].replace(",", "")), float(row[3])) for row in rows}
    total = shares.pop("sum")
    assert total[1] == 100.0
    assert sum(share for _, share in shares.values()) == pytest.approx(100.0)
    assert sum(slots for slots, _ in shares.values()) == total[0]


def test_json_is_one_object_whose_slots_add_up(cli, trace, tmp_path):
    code, out, err = cli("run", trace, *MACHINE, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["simulation_seconds"] > 0
    assert found["complete"] is True
    (kernel,) = found["kernels"]
    assert (kernel["name"], kernel["launch"]["grid"], kernel["launch"]["block"]) == ("mixed", [12, 1, 1], [128, 1, 1])
    assert set(kernel["stalls"]) == set(lay.REASON_NAMES) - {"issued"}
    assert sum(kernel["stalls"].values()) + kernel["issued"] == kernel["issue_slots"]
    assert kernel["issued"] == kernel["smsp__inst_executed.sum"]
    with archsim.load_trace(trace) as opened:
        assert kernel["smsp__inst_executed.sum"] == opened.kernels[0].warp_instructions
        assert kernel["smsp__thread_inst_executed_pred_on.sum"] == opened.kernels[0].launch.thread_instructions
    assert kernel["l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum"] == 12 * 4
    assert kernel["l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"] == 12 * 4 * 4
    assert (
        kernel["l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum"] == kernel["lts__t_sectors_op_write.sum"] == 12 * 4 * 4
    )
    assert kernel["l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum"] == 12 * 4  # stride 8: two lanes a bank
    assert kernel["dram__bytes_read.sum"] >= 12 * 4 * 128
    assert kernel["gpc__cycles_elapsed.max"] > kernel["sm__cycles_active.max"] > 0
    assert list(tmp_path.iterdir()) == []  # --json leaves a folder only with -o


def test_issue_slots_are_cycles_times_sub_cores():
    config = archsim.load_config("rtx_a6000", overrides=[f"num_sms={SMS}"])
    result = archsim.run(mixed(), config)
    kernel = result.kernels[0]
    assert kernel.issue_slots == kernel.cycles * SMS * config.sm.num_subcores == sum(kernel.stalls.values())
    assert (kernel.stalls_per_subcore.sum(axis=1) == kernel.cycles).all()
    assert (kernel.stalls_per_subcore >= 0).all()
    assert kernel.counters["load_sectors"] == sum(
        kernel.counters[f"load_sector_{kind}"] for kind in ("hits", "pending", "misses")
    )


def test_result_folder_reads_back_as_it_was(cli, trace, tmp_path):
    assert cli("run", trace, *MACHINE, "-o", "out/here", "--quiet") == (0, "", "")
    folder = tmp_path / "out/here"
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)
    assert [p.name for p in folder.parent.iterdir()] == ["here"]  # nothing temporary is left
    result = load_run(folder)
    again = archsim.run(archsim.load_trace(trace), archsim.load_config("rtx_a6000", overrides=[f"num_sms={SMS}"]))
    assert result.config == again.config
    assert result.trace_sha256 == again.trace_sha256
    kernel, fresh = result.kernels[0], again.kernels[0]
    for name in ("name", "launch", "residency", "cycles", "stalls", "counters", "unit_instructions", "complete"):
        assert getattr(kernel, name) == getattr(fresh, name), name
    assert np.array_equal(kernel.per_sm, fresh.per_sm)
    assert np.array_equal(kernel.stalls_per_subcore, fresh.stalls_per_subcore)
    meta = json.loads((folder / "run.json").read_text())
    assert set(meta["versions"]) == {"archsim", "numba", "numpy", "python"}
    assert meta["kilo_warp_instructions_per_second"] > 0
    stats = (folder / "stats.txt").read_text()
    assert all(f"kernel0.{name} " in stats for name in COUNTERS)
    assert archsim.load_config(folder / "config.resolved.yaml") == again.config


def test_default_folders_are_numbered_and_an_old_result_is_replaced(cli, trace, tmp_path):
    for _ in range(2):
        assert cli("run", trace, *MACHINE, "-q")[0] == 0
    assert sorted(p.name for p in (tmp_path / "results").iterdir()) == ["mixed-rtx_a6000", "mixed-rtx_a6000-2"]
    assert cli("run", trace, *MACHINE, "-q", "--max-cycles", "500", "-o", "results/mixed-rtx_a6000")[0] == 0
    assert load_run(tmp_path / "results/mixed-rtx_a6000").kernels[0].cycles == 500
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_max_cycles_gives_a_partial_result_that_still_adds_up(cli, trace):
    code, out, _ = cli("run", trace, *MACHINE, "--max-cycles", "500", "--json")
    found = json.loads(out)
    assert (code, found["complete"], found["stop_reason"]) == (0, False, "max_cycles")
    assert "partial result" in found["notes"][0]
    (kernel,) = found["kernels"]
    assert kernel["issue_slots"] == 500 * SMS * 4 == sum(kernel["stalls"].values()) + kernel["issued"]
    assert kernel["sm__cycles_active.max"] <= 500


def test_ctrl_c_leaves_a_marked_partial_result(cli, two_kernels, tmp_path, monkeypatch):
    @contextmanager
    def press(shown, sizes):
        yield lambda kernel, kernels, done, total: os.kill(os.getpid(), signal.SIGINT) if done > 0 else None

    monkeypatch.setattr("archsim.cli._progress.kernel_progress", press)
    monkeypatch.setattr("archsim.engine.run.FIRST_WINDOWS", 1)  # however fast the machine: not all in one call
    monkeypatch.setattr("archsim.engine.run.CALL_SECONDS", 0.0)
    code, out, _ = cli("run", two_kernels, *MACHINE, "-o", "cut")
    assert code == 130
    assert "interrupted" in out
    result = load_run(tmp_path / "cut")
    assert (result.complete, result.stop_reason, len(result.kernels)) == (False, "interrupted", 1)
    kernel = result.kernels[0]
    assert kernel.counters["warp_instructions"] > 0
    assert not kernel.complete
    assert sum(kernel.stalls.values()) == kernel.issue_slots == kernel.cycles * SMS * 4


def test_kernels_are_chosen_by_name_and_by_launch(cli, two_kernels):
    for chosen in (("--kernel", "^sec"), ("--launches", "1:"), ("--launches", "0:2", "--kernel", "second")):
        kernels = json.loads(cli("run", two_kernels, *MACHINE, "--json", *chosen)[1])["kernels"]
        assert [(k["name"], k["launch"]["index"]) for k in kernels] == [("second", 1)]


def test_a_trace_without_control_bits_says_that_it_used_scoreboards(cli, two_kernels):
    code, out, _ = cli("run", two_kernels, *MACHINE)
    assert code == 0
    assert "2 launches on rtx_a6000" in out
    assert "note: second: the trace has no control bits, dependences are kept by scoreboards" in out


def test_an_error_in_a_later_kernel_does_not_lose_the_earlier_ones(cli, tmp_path):
    traces = [mixed("fits").kernels[0], mixed("too_wide", block=2048).kernels[0]]
    MemoryTrace(86, traces).save(tmp_path / "t.h5")
    code, out, err = cli("run", "t.h5", *MACHINE, "-o", "kept")
    assert code == 2
    assert err.startswith("archsim: error: too_wide: a block of 2048 threads is larger than")
    assert "partial result: too_wide" in out
    assert [k.name for k in load_run(tmp_path / "kept").kernels] == ["fits"]


def test_views_of_a_window(cli, trace, tmp_path):
    files = (
        "--pipeview",
        "a.kanata",
        "--perfetto",
        "a.json",
        "--window",
        "500:1200",
    )  # the first instruction comes from DRAM
    assert cli("run", trace, *MACHINE, "--quiet", *files)[0] == 0
    lines = (tmp_path / "a.kanata").read_text().splitlines()
    assert lines[0] == "Kanata\t0004"
    begun, retired = (sum(line.startswith(f"{kind}\t") for line in lines) for kind in "IR")
    assert begun == retired > 0
    events = json.loads((tmp_path / "a.json").read_text())["traceEvents"]
    issued = [e for e in events if e["ph"] == "X" and e["tid"] < 4]
    assert issued
    assert all(500 <= e["ts"] < 1200 for e in issued)
    assert len({(e["pid"], e["tid"], e["ts"]) for e in issued}) == len(issued)  # one issue a sub-core and cycle


def test_views_need_one_launch(cli, two_kernels):
    one_line(cli("run", two_kernels, *MACHINE, "--pipeview", "x"), "--pipeview", "--launches 0:1")


def test_a_block_larger_than_an_sm(cli, tmp_path):
    mixed(block=2048).save(tmp_path / "t.h5")
    one_line(cli("run", "t.h5", *MACHINE), "a block of 2048 threads", "sm.max_threads_per_cta")
    assert [p.name for p in (tmp_path / "results").iterdir()] == []


def test_a_block_with_too_much_shared_memory(cli, trace):
    few = ("-s", "sm.shared.max_bytes=8192", "-s", "sm.shared.carveouts_kb=[0, 8]", "-s", "sm.registers=2048")
    one_line(cli("run", trace, *MACHINE, *few), "mixed", "registers")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.h5"], ["missing.h5", "no such file"]),
        (["mixxed"], ["no trace 'mixxed'"]),
        ([None, "-s", "sm.num_wraps=3"], ["sm.num_wraps", "num_warps"]),
        ([None, "-s", "num_sms=many"], ["num_sms"]),
        ([None, "-c", "rtx_a600"], ["rtx_a600", "rtx_a6000"]),
        ([None, "--plugin", "none.py"], ["none.py", "no such plug-in file"]),
        ([None, "-s", "sm.prefetcher=mine"], ["mine", "stream_buffer"]),
        ([None, "--kernel", "nothing"], ["no launch is chosen", "mixed"]),
        ([None, "--kernel", "("], ["not a regular expression"]),
        ([None, "--launches", "3:1"], ["--launches"]),
        ([None, "--max-cycles", "-1"], ["--max-cycles"]),
        ([None, "--pipeview", "x", "--window", "9"], ["--window", "FIRST:LAST"]),
    ],
)
def test_bad_input_is_one_line(cli, trace, arguments, words):
    one_line(cli("run", *(trace if a is None else a for a in arguments)), *words)


def test_a_damaged_trace_is_one_line(cli, trace, tmp_path):
    content = trace.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    one_line(cli("run", "cut.h5", *MACHINE), "cut.h5")


def test_unwritable_output_is_found_before_the_run(cli, trace, tmp_path):
    (tmp_path / "file").write_text("mine")
    one_line(cli("run", trace, *MACHINE, "-o", "file/below"), "file/below", "cannot be written")
    one_line(cli("run", trace, *MACHINE, "-o", "file"), "it is a file")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/notes.txt").write_text("mine")
    one_line(cli("run", trace, *MACHINE, "-o", "docs"), "holds other files")
    assert (tmp_path / "docs/notes.txt").read_text() == "mine"


def test_a_full_disk_is_an_error_and_the_table_is_still_printed(cli, trace, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # files of more bytes cannot be written
    try:
        code, out, err = cli("run", trace, *MACHINE, "-o", "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2
    assert err.startswith("archsim: error: full: the result cannot be written: ")
    assert "long_scoreboard" in out
    assert [p.name for p in tmp_path.iterdir()] == []


def test_damaged_result_folders_are_errors(tmp_path):
    config = archsim.load_config("rtx_a6000", overrides=["num_sms=1"])
    folder = save_run(archsim.run(mixed(), config, max_cycles=100), tmp_path / "r")
    data = (folder / "run.h5").read_bytes()
    (folder / "run.h5").write_bytes(data[:100])
    with pytest.raises(RunError, match="run.h5: damaged"):
        load_run(folder)
    (folder / "run.json").write_text("{")
    with pytest.raises(RunError, match="run.json: damaged"):
        load_run(folder)
    (folder / "stats.txt").unlink()
    with pytest.raises(RunError, match="stats.txt is missing"):
        load_run(folder)
    with pytest.raises(RunError, match="not a result folder"):
        load_run(tmp_path / "nowhere")


def test_a_text_trace_of_memory_requests_runs_on_a_memory(cli, tmp_path):
    (tmp_path / "requests.txt").write_text("".join(f"{line * 64:#x} READ {line}\n" for line in range(64)))
    code, out, err = cli("run", "requests.txt", "-c", "hbm3", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["memory"]["requests"] == 64
    assert found["memory"]["commands_RD"] == 64
    one_line(cli("run", "requests.txt", "--kernel", "x"), "a memory trace", "--kernel does not apply")


def test_an_accelsim_kernel_file_is_imported_for_the_run(cli, tmp_path):
    header = {"kernel name": "tiny", "kernel id": 1, "grid dim": "(1,1,1)", "block dim": "(32,1,1)", "shmem": 0}
    header |= {"nregs": 8, "binary version": 86, "cuda stream id": 0, "shmem base_addr": "0x7f0000000000"}
    header |= {"local mem base_addr": "0x7f1000000000", "nvbit version": "1.5.5", "accelsim tracer version": 5}
    lines = [f"-{name} = {value}" for name, value in header.items()]
    lines += [
        "-enable lineinfo = 0",
        "",
        "#traces format = PC mask ...",
        "",
        "#BEGIN_TB",
        "",
        "thread block = 0,0,0",
        "",
        "warp = 0",
        "insts = 2",
    ]
    lines += ["0000 ffffffff 1 R1 IADD3 2 R2 R3 0 0 ", "0010 ffffffff 0 EXIT 0 0 0 ", "", "#END_TB", ""]
    (tmp_path / "kernel-1.traceg").write_text("\n".join(lines))
    code, out, err = cli("run", "kernel-1.traceg", *MACHINE, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["kernels"][0]["smsp__inst_executed.sum"] == 2
    assert any("imported for this run only" in note for note in found["notes"])


def test_flush_caches_is_the_parameter(cli, two_kernels, tmp_path):
    assert cli("run", two_kernels, *MACHINE, "--flush-caches", "-o", "flushed", "-q")[0] == 0
    assert "flush_between_kernels: true" in (tmp_path / "flushed" / "config.resolved.yaml").read_text()
