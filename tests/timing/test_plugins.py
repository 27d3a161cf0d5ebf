"""Built-in plug-ins move results in the published direction; the interpreter runs the same model as compiled code."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCENARIOS = Path(__file__).with_name("plugin_scenarios.py")


@pytest.fixture(scope="module")
def outcomes() -> Any:
    """What `plugin_scenarios.py` prints, run with NUMBA_DISABLE_JIT=1."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCENARIOS)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_interpreter_agrees_with_compiled_code(outcomes: Any) -> None:
    """Same cycles, stalls, counters and log length of a kernel with memory, barriers, constants and FP64."""
    spec = importlib.util.spec_from_file_location("plugin_scenarios", SCENARIOS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert json.loads(json.dumps(module.base_kernel())) == outcomes["base"]


def test_stream_buffer_sizes(outcomes: Any) -> None:
    """gpu-core I.2: every doubling of the stream buffer speeds up cold straight-line code, perfect is the bound."""
    found = outcomes["prefetcher"]
    names = ["none 8", *(f"stream_buffer {n}" for n in (1, 2, 4, 8, 16)), "perfect 8"]
    cycles = [found[name]["cycles"] for name in names]
    assert cycles == sorted(cycles, reverse=True)
    assert len(set(cycles)) == len(cycles)
    assert found["perfect 8"]["cycles"] == 3 + 200 + 9  # fetch to issue, 199 NOPs and EXIT, drain
    assert all(found[name]["warp_instructions"] == 800 for name in names)


def test_prefetcher_counters(outcomes: Any) -> None:
    """25 lines in each of 4 sub-cores: all missed without prefetching, only the first with it."""
    found = outcomes["prefetcher"]
    assert found["none 8"]["l0_misses"] == 100
    assert found["none 8"]["prefetches"] == 0
    for name in ("stream_buffer 8", "next_line 8"):
        assert found[name]["l0_misses"] == 4
        assert found[name]["prefetches"] == 96
    assert found["perfect 8"]["l0_misses"] == found["perfect 8"]["l1i_misses"] == 0


def test_next_line_is_a_stream_of_one(outcomes: Any) -> None:
    """On straight-line code both ask for one line ahead."""
    assert outcomes["prefetcher"]["next_line 8"]["cycles"] == outcomes["prefetcher"]["stream_buffer 1"]["cycles"]


def test_loops_hit_l0(outcomes: Any) -> None:
    """A loop of 4 lines misses on its first pass only, whatever the prefetcher."""
    found = outcomes["loop"]
    assert found["none"]["l0_misses"] == 4
    assert found["stream_buffer"]["l0_misses"] == found["next_line"]["l0_misses"] == 1
    cycles = [found[name]["cycles"] for name in ("none", "next_line", "stream_buffer", "perfect")]
    assert cycles == sorted(cycles, reverse=True)


def test_scheduler_order(outcomes: Any) -> None:
    """gpu-core B.2: greedy then youngest, greedy then oldest, round robin; W3 is the youngest and the first greedy."""
    assert outcomes["scheduler"] == {
        "cggty": "333333222222111111000000",
        "gto": "333333000000111111222222",
        "lrr": "012301230123012301230123",
    }


def test_register_cache_and_ports(outcomes: Any) -> None:
    """gpu-core I.3, H.7: three sources in one bank take 3 cycles; reuse or a second port relieve it."""
    found = outcomes["rfc"]
    assert found["on 1 plain"] == found["off 1 plain"] == found["off 1 reuse"] == 3
    assert found["on 1 reuse"] == 1
    assert found["off 2 plain"] == found["off 2 reuse"] == found["on 2 plain"] == 1.5
    assert {found[f"ideal {ports} {kind}"] for ports in (1, 2) for kind in ("reuse", "plain")} == {1}
