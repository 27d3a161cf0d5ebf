"""PIM programs: what the text means, and one clear error with file and line for everything else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from archsim.cli import main
from archsim.dram.pim import PimMachine, load_pim
from archsim.dram.pim_program import read_program
from archsim.engine.pim_program import run_program
from archsim.errors import ConfigError, RunError, TraceError

AIM = load_pim("gddr6_aim", ["controller.refresh=none"])
LINES = {
    "AiM MAC_ABL 64 0x1 0": "unknown PIM instruction 'MAC_ABL'; did you mean 'MAC_ABK'",
    "AiM": "unknown PIM instruction ''",
    "AiM MAC_ABK 64 0x1": r"MAC_ABK takes 3 operands \(opsize channels row\), got 2",
    "AiM MAC_ABK 65 0x1 0": "opsize 65 is outside of 1 to 64",
    "AiM MAC_ABK 0 0x1 0": "opsize 0 is outside of 1 to 64",
    "AiM MAC_ABK 64 0x100000000 0": "channels 0x100000000 is outside of 0x1 to 0xffffffff",
    "AiM MAC_ABK 64 0x0 0": "channels 0x0 is outside",
    "AiM MAC_ABK 64 0x1 16384": "row 16384 is outside of 0 to 16383",
    "AiM MAC_SBK 64 0x1 16 0": "bank 16 is outside of 0 to 15",
    "AiM MAC_ABK many 0x1 0": "opsize 'many' is not a number",
    "AiM WR_ABK 0 0x3 0": "WR_ABK goes to one channel, the mask 0x3 has 2",
    "AiM EOC 1": "EOC has no operands",
    "X MEM 0 0 0": "'X': expected AiM, R or W",
    "W MEM 0 0": "W MEM takes 3 or 4 operands, got 2",
    "W MEM 32 0 0": "channel 32 is outside of 0 to 31",
    "W DDR 0": "W 'DDR': expected GPR, CFR or MEM",
    "W CFR 3 0": "register 3 is outside of 0 to 2",
    "W CFR 1": "W CFR takes 2 operands, got 1",
}


@pytest.mark.parametrize("line", LINES)
def test_a_bad_line_is_named_with_file_and_line(tmp_path, line):
    path = tmp_path / "bad.aim"
    path.write_text(f"# a comment\nAiM MAC_ABK 4 0x1 0\n\n{line}\n")
    with pytest.raises(TraceError, match=LINES[line]) as caught:
        read_program(path, AIM)
    assert str(caught.value).startswith(f"{path}:4: ")


def test_no_instructions_no_file_no_text(tmp_path):
    path = tmp_path / "empty.aim"
    path.write_text("# nothing\n")
    with pytest.raises(TraceError, match="no instructions"):
        read_program(path, AIM)
    with pytest.raises(TraceError, match="cannot be read"):
        read_program(tmp_path / "none.aim", AIM)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="not a text file"):
        read_program(path, AIM)


def test_plain_memory_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="gddr6: plain memory, it has no pim section"):
        run_program(tmp_path / "x.aim", "gddr6")


def test_the_activation_table_is_chosen_by_a_register(tmp_path):
    path = tmp_path / "af.aim"
    path.write_text("AiM AF 0x1\nAiM AF 0x1\nW CFR 2 3\nAiM AF 0x1\nAiM ISR_EOC\n")
    result = run_program(path, AIM, log=100)
    names = [command.name for command in AIM.commands]
    assert [names[x] for x in result.log[0]["command"]] == ["ACT16", "AF16", "AF16", "PREA", "ACT16", "AF16"]


def test_channels_that_are_treated_alike_are_simulated_once(tmp_path):
    path = tmp_path / "p.aim"
    path.write_text("AiM MAC_ABK 64 0xf 0\nAiM MAC_ABK 64 0xc 1\nAiM MAC_SBK 8 0x10 3 1\nAiM EOC\n")
    result = run_program(path, AIM, log=10)
    assert len(result.log) == 3
    assert result.channels.tolist() == [0, 1, 2, 3, 4]
    assert result.counts["MAC16"] == 64 * 6
    assert result.counts["MAC"] == 8
    assert result.macs == 64 * 6 * 256 + 8 * 16
    busy = result.bank_busy_share
    assert busy.shape == (5, 16)
    np.testing.assert_allclose(busy[2], 2 * busy[0])
    assert (busy[4] > 0).tolist() == [b == 3 for b in range(16)]


def test_energy_by_what_was_done(tmp_path):
    """Energy sheet 7: an all-bank MAC 16 x 82 pJ and no pins, an all-bank activate sixteen times 2950 pJ."""
    path = tmp_path / "p.aim"
    path.write_text("AiM WR_GB 2 0 1\nAiM MAC_ABK 10 1 0\nAiM RD_MAC 0 1\nAiM EOC\n")
    energy = run_program(path, AIM).energy.components
    assert energy["activate"] == 16 * 2950
    assert energy["mac"] == pytest.approx(10 * 16 * 82)
    assert energy["io"] == pytest.approx(3 * 256 * 5.5)
    assert energy["buffer"] == pytest.approx(0.16 * 12)


def test_command_line(tmp_path, capsys):
    path = tmp_path / "p.aim"
    path.write_text("AiM MAC_ABK 64 0x1 0\nAiM EOC\n")
    assert main(["run", str(path), "--config", "gddr6_aim", "--set", "controller.refresh=none", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["pim"]
    assert printed["cycles"] == 185  # ACT at 1, last MAC at 1 + 56 + 126, two cycles to report the end
    assert len(printed["bank_utilisation"][0]) == 16
    other = tmp_path / "p.trace"  # as aim_simulator names them
    other.write_text(path.read_text())
    assert main(["run", str(other)]) == 0
    assert "row_hit_rate" in capsys.readouterr().out
    path.write_text("AiM MAC_AB 64 0x1 0\n")
    assert main(["run", str(path)]) == 2
    assert f"{path}:1: unknown PIM instruction 'MAC_AB'" in capsys.readouterr().err
    assert main(["run", str(path), "--max-cycles", "5"]) == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["pim.lanse=8"], "pim.lanse: unknown key"),
        (["pim.queue=-1"], "pim.queue: -1 is too small"),
        (["pim.each_bank=1"], "pim.each_bank: expected bool"),
        (["pim.mode_command="], "pim.mode_command"),
        (["pim.mode_command=TMODE"], "no command 'TMODE'"),
        (["pim.instructions.MAC_ABK.command=MAC17"], "no command 'MAC17' in this standard; did you mean 'MAC16'"),
        (["pim.instructions.MAC_ABK.fields=[size]"], "unknown operand 'size'"),
        (["commands.MAC16.scope=stack"], "'stack' is not a level"),
        (["commands.MAC16.row=1"], "expected true or false"),
        (["commands.MAC16.macs=-1"], "expected a number of at least 0"),
        (["switches.turnaround=0"], "switches.turnaround: expected true or false"),
        (["controller.refresh=all_bank", "timing.nREFI=200"], "leaves no time for work"),
        (["channels=63"], "1 to 62"),
    ],
)
def test_bad_configurations(tmp_path, overrides, message):
    path = tmp_path / "p.aim"
    path.write_text("AiM MAC_ABK 64 0x1 0\nAiM EOC\n")
    with pytest.raises(ConfigError, match=message):
        PimMachine("gddr6_aim", ["controller.refresh=none", *overrides])
        run_program(path, "gddr6_aim", ["controller.refresh=none", *overrides])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"row": 16384}, "record 0: ends at rows 16385 of 16384"),
        ({"column": 60, "count": 5}, "record 0: ends at columns 65 of 64"),
        ({"mask": [1, 2]}, "record 1: mask 2 is outside of 1 to 1"),
        ({"bank": 99}, "record 0: bank 99 is outside of 0 to 15"),
        ({"colour": 1}, "'colour': unknown"),
    ],
)
def test_bad_records(columns, message):
    machine = PimMachine("gddr6_aim", channels=1)
    with pytest.raises(RunError, match=message):
        machine.records(command=machine.number("MAC16"), **columns)
