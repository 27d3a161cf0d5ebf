"""Text traces of memory requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim.errors import TraceError
from archsim.trace.requests import read_coordinates, read_requests

NEUTRAL = Path("/work/shared/reference/crosscheck/dram/traces_neutral")


def write(tmp_path, text):
    path = tmp_path / "requests.txt"
    path.write_text(text)
    return path


def test_ramulator_form(tmp_path):
    got = read_requests(write(tmp_path, "# two\n0x1f00 R\n\n4096 W\n"))
    assert got.address.tolist() == [0x1F00, 4096]
    assert got.is_write.tolist() == [0, 1] and got.cycle.tolist() == [0, 0]


def test_load_store_form(tmp_path):
    got = read_requests(write(tmp_path, "LD 0x40\nST 0x80\n"))
    assert got.address.tolist() == [0x40, 0x80] and got.is_write.tolist() == [0, 1]


def test_dramsim3_form(tmp_path):
    got = read_requests(write(tmp_path, "0xffffffffffffffff READ 5\n0x20 WRITE 9\n"))
    assert got.address.tolist() == [2**64 - 1, 0x20]
    assert got.is_write.tolist() == [0, 1] and got.cycle.tolist() == [5, 9]


def test_coordinates_form(tmp_path):
    path = write(tmp_path, "R 2 1 808 26 0\nW 0 3 7 1 500\n")
    got = read_coordinates(path)
    assert [c.tolist() for c in got] == [[0, 500], [2, 0], [1, 3], [808, 7], [26, 1], [0, 1]]
    assert read_requests(path).address.tolist() == [
        (((808 * 4 + 1) * 4 + 2) * 64 + 26) * 32,
        (((7 * 4 + 3) * 4 + 0) * 64 + 1) * 32,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0x10 R\n0x20 X\n", r"requests\.txt:2: 'X' is neither a read nor a write"),
        ("0x10 R\n\nzz W\n", r"requests\.txt:3: 'zz' is not an address"),
        ("0x10 READ 1\n0x10 READ\n", r"requests\.txt:2: .*READ\|WRITE <cycle>"),
        ("0x10 READ -1\n", r"requests\.txt:1: cycle '-1'"),
        ("0x1ffffffffffffffff R\n", "does not fit 64 bits"),
        ("R 0 0 0 0\n", r"requests\.txt:1"),
        ("R 0 0 x 0 0\n", r"row 'x' is not a number"),
        ("", "no request"),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, message):
    with pytest.raises(TraceError, match=message):
        read_requests(write(tmp_path, text))


def test_missing_file(tmp_path):
    with pytest.raises(TraceError, match="cannot be read"):
        read_requests(tmp_path / "none.txt")


@pytest.mark.skipif(not NEUTRAL.exists(), reason="cross-check data not present")
@pytest.mark.parametrize(("name", "count", "writes"), [("t01_stream_read", 8192, 0), ("t02_stream_write", 8192, 8192)])
def test_cross_check_traces(name, count, writes):
    got = read_requests(NEUTRAL / f"{name}.txt")
    assert len(got.address) == count and int(got.is_write.sum()) == writes
    assert len(set(got.address.tolist())) == count
