"""`archsim`, `archsim config`, `archsim describe` as a user sees them."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time

import pytest

from archsim import __version__
from archsim.cli import commands, main
from archsim.config import load_config


@pytest.fixture
def cli(capsys):
    """Run a command line; returns exit code, stdout, stderr."""

    def call(*argv):
        code = main(argv)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_every_command_module_keeps_the_contract():
    for name, text in commands().items():
        module = importlib.import_module(f"archsim.cli.{name}")
        assert module.HELP == text != ""
        assert "\n" not in text
        assert callable(module.add_arguments)
        assert callable(module.run)


def test_help_lists_every_command(cli):
    code, out, _ = cli("--help")
    assert code == 0
    assert all(name in out and text in out for name, text in commands().items())


@pytest.mark.parametrize("name", commands())
def test_every_command_explains_itself(cli, name):
    code, out, _ = cli(name, "--help")
    assert code == 0
    assert out.startswith(f"usage: archsim {name}")


def test_version(cli):
    assert cli("--version") == (0, f"archsim {__version__}\n", "")


def test_no_command_and_unknown_command(cli):
    assert cli()[0] == 2
    code, _, err = cli("confg")
    assert (code, err) == (2, "archsim: error: unknown command 'confg'; did you mean 'config'?\n")


def test_usage_error_is_exit_code_2(cli):
    assert cli("config", "frobnicate")[0] == 2


def test_help_imports_nothing_heavy():
    probe = "import sys; from archsim.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert not loaded & {"numba", "numpy", "h5py", "pydantic", "yaml", "rich"}


def test_warm_help_is_quick():
    command = [sys.executable, "-m", "archsim", "--help"]
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.5


def test_list(cli):
    code, out, _ = cli("config", "list")
    assert code == 0
    assert "h100_sxm" in out
    assert "3352" in out
    names = [row["name"] for row in json.loads(cli("config", "list", "--json")[1])]
    assert "rtx_3070" in names


def test_show_resolves_layers_and_overrides(cli, tmp_path):
    code, out, _ = cli("config", "show", "h100_sxm", "--set", "sm.prefetcher=none")
    assert code == 0
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(out)
    assert load_config(resolved) == load_config("h100_sxm", overrides=["sm.prefetcher=none"])
    assert json.loads(cli("config", "show", "--json")[1])["sm"]["num_warps"] == 48


def test_diff(cli):
    code, out, _ = cli("config", "diff", "h100_sxm", "h200_sxm")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[2:]}
    assert rows["dram.standard"] == ["HBM3", "HBM3e"]
    assert "sm.num_warps" not in rows
    assert cli("config", "diff", "t4", "t4")[1] == "no differences\n"
    assert json.loads(cli("config", "diff", "--json", "h100_sxm", "h200_sxm")[1])["dram.channels"] == [80, 96]


def test_validate(cli, tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("extends: t4\nname: mine\n")
    bad.write_text("sm:\n  num_warp: 3\n")
    assert cli("config", "validate", str(good))[:2] == (0, f"{good}: valid (mine: sm_75, 40 SMs)\n")
    code, out, err = cli("config", "validate", str(bad), str(good))
    assert code == 2
    assert err == f"archsim: error: {bad}:2: unknown key 'sm.num_warp'; did you mean 'sm.num_warps'?\n"
    assert "valid" in out


def test_describe(cli):
    assert "sm" in cli("describe")[1]
    assert "scheduler" in cli("describe", "sm.issue")[1]
    assert "= 64 warps" in cli("describe", "sm.num_warps", "--config", "h100_sxm")[1]
    code, _, err = cli("describe", "sm.isue")
    assert (code, err) == (2, "archsim: error: no component or parameter 'sm.isue'; did you mean 'sm.issue'?\n")


def test_a_reader_that_leaves_is_no_error():
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "archsim", "config", "show"], stdout=write_end, stderr=subprocess.PIPE, text=True
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")
