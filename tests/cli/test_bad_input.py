"""Everything a user can get wrong ends in one line that says what and where, exit code 2, and no traceback."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from archsim.cli import main
from archsim.testing import KernelBuilder

MACHINE = ("-c", "rtx_a6000", "-s", "num_sms=1")
TRACEG = """-kernel name = tiny
-kernel id = 1
-grid dim = (1,1,1)
-block dim = (32,1,1)
-shmem = 0
-nregs = 8
-binary version = 86
-cuda stream id = 0
-shmem base_addr = 0x00007f59dd000000
-local mem base_addr = 0x00007f59db000000
-nvbit version = 1.5.5
-accelsim tracer version = 5
-enable lineinfo = 0

#traces format = PC mask dest_num

#BEGIN_TB

thread block = 0,0,0

warp = 0
insts = 2
0000 ffffffff 1 R1 IADD3 2 R2 R3 0 0 \n0010 ffffffff 0 EXIT 0 0 0 \n
#END_TB
"""


def small_kernel(name: str, **launch: int) -> bytes:
    """A trace file of 300 instructions a warp, as bytes."""
    k = KernelBuilder(arch=86, name=name)
    for _ in range(300):
        k.add("IADD3 R1, R2, R3, R4")
    k.save(f"{name}.h5", **launch)
    return Path(f"{name}.h5").read_bytes()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good and bad inputs."""
    folder = tmp_path_factory.mktemp("inputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        good = small_kernel("good", block=64)
        small_kernel("wide", block=2048)
        small_kernel("registers", block=1024)
        Path("cut.h5").write_bytes(good[: len(good) // 2])
        Path("corrupt.h5").write_bytes(bytes(b ^ 0xFF if i > 1500 and i % 97 == 0 else b for i, b in enumerate(good)))
        Path("newer.h5").write_bytes(good)
        with h5py.File("newer.h5", "r+") as file:
            file.attrs["version"] = 99
        h5py.File("empty.h5", "w").close()
        Path("foreign.h5").write_bytes(b"\x7fELF" * 100)
        Path("file").write_text("mine")
        Path("folder").mkdir()
        Path("good.traceg").write_text(TRACEG)
        Path("mask.traceg").write_text(TRACEG.replace("0010 ffffffff", "0010 zzzz"))
        Path("short.traceg").write_text(TRACEG.replace("IADD3 2 R2 R3 0 0", "IADD3 2 R2"))
        Path("opcode.traceg").write_text(TRACEG.replace("IADD3", "FROBNICATE"))
        Path("header.traceg").write_text(TRACEG.replace("(32,1,1)", "(32,1"))
        Path("ended.traceg").write_text(TRACEG[: TRACEG.index("0010")])
        Path("list.g").write_text("MemcpyHtoD,0x7f0000000000,64\nkernel-9.traceg\n")
        Path("requests.txt").write_text("0x100 READ 0\n0x140 SCRUB 1\n")
        Path("broken.yaml").write_text("sm:\n  num_warps: [\n")
        Path("unknown.yaml").write_text("sm:\n  num_wraps: 32\n")
    return folder


def outcome(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run a command line that must fail in one line; returns that line."""
    code = main(list(argv))
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, ""), captured.err
    assert captured.err.startswith("archsim: error: ")
    assert captured.err.count("\n") == 1
    assert len(captured.err) < 400
    return captured.err


TRACES = [
    ("missing.h5", ["missing.h5", "no such file"]),
    ("cut.h5", ["cut.h5", "truncated"]),
    ("corrupt.h5", ["corrupt.h5", "damaged"]),
    ("newer.h5", ["newer.h5", "version 99"]),
    ("empty.h5", ["empty.h5", "not an archsim trace"]),
    ("foreign.h5", ["foreign.h5", "not an HDF5 file"]),
    ("folder", ["folder: "]),
]


@pytest.mark.parametrize(
    "command",
    [("run", "{}", *MACHINE), ("trace", "info", "{}"), ("trace", "dump", "{}"), ("trace", "validate", "{}")]
    + [("trace", "export", "{}", "-o", "out")],
    ids=["run", "info", "dump", "validate", "export"],
)
@pytest.mark.parametrize(("name", "words"), TRACES, ids=[name for name, _ in TRACES])
def test_a_bad_trace(inputs, monkeypatch, capsys, command, name, words):
    monkeypatch.chdir(inputs)
    line = outcome(capsys, *(part.format(name) for part in command))
    assert all(word in line for word in words), line
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        # Accel-Sim text: file and line
        (["run", "mask.traceg", *MACHINE], ["mask.traceg:24: ", "'zzzz'", "mask"]),
        (["trace", "import", "mask.traceg", "-o", "out.h5"], ["mask.traceg:24: ", "'zzzz'", "mask"]),
        (["trace", "import", "short.traceg", "-o", "out.h5"], ["short.traceg:23: "]),
        (["trace", "import", "ended.traceg", "-o", "out.h5"], ["ended.traceg"]),
        (["trace", "import", "header.traceg", "-o", "out.h5"], ["header.traceg:4: ", "block dim"]),
        (["trace", "import", "list.g", "-o", "out.h5"], ["kernel-9.traceg", "no such file"]),
        (["trace", "import", "good.h5", "-o", "out.h5"], ["good.h5:1: "]),
        (["trace", "import", "good.traceg", "-o", "out.h5", "--arch", "seven"], ["seven", "sm_75"]),
        (["trace", "import", "good.traceg", "-o", "out.h5", "--cubin", "file"], ["file"]),
        # opcodes
        (["run", "opcode.traceg", *MACHINE], ["FROBNICATE", "sm_86", "0x0", "tiny"]),
        # memory requests
        (["run", "requests.txt", "-c", "hbm3"], ["requests.txt:2: ", "'SCRUB'"]),
        # machines
        (["run", "good.h5", "-c", "rtx_a600"], ["rtx_a600", "rtx_a6000"]),
        (["run", "good.h5", "-c", "hbm3"], ["hbm3"]),
        (["run", "good.h5", "-c", "missing.yaml"], ["missing.yaml"]),
        (["run", "good.h5", "-c", "broken.yaml"], ["broken.yaml:3: ", "not valid YAML"]),
        (["run", "good.h5", "-c", "unknown.yaml"], ["unknown.yaml", "num_wraps", "num_warps"]),
        (["run", "good.h5", "-c", "file"], ["file"]),
        (["run", "good.h5", "-c", "good.h5"], ["good.h5"]),
        (["run", "good.h5", *MACHINE, "-s", "sm.num_warps=3"], ["sm.num_warps", "3 warps", "4 sub-cores"]),
        (["run", "good.h5", *MACHINE, "-s", "num_sms=0"], ["num_sms", "greater than or equal to 1"]),
        (["run", "good.h5", *MACHINE, "-s", "num_sms"], ["num_sms"]),
        (["run", "good.h5", *MACHINE, "-s", "sm.prefetcher=mine"], ["mine", "stream_buffer"]),
        (["config", "show", "nope"], ["nope", "rtx_a6000"]),
        (["config", "diff", "rtx_a6000", "nope"], ["nope"]),
        (["config", "validate", "missing.yaml"], ["missing.yaml", "no such file"]),
        (["config", "validate", "good.h5"], ["good.h5"]),
        (["describe", "sm.nope"], ["sm.nope"]),
        # kernels that do not fit an SM
        (["run", "wide.h5", *MACHINE], ["wide", "2048 threads", "sm.max_threads_per_cta"]),
        (["run", "registers.h5", *MACHINE, "-s", "sm.registers=16384"], ["registers", "32768", "16384"]),
        (["run", "wide.h5", *MACHINE, "-s", "sm.max_threads_per_cta=512"], ["2048", "512"]),
        # choices
        (["run", "good.h5", *MACHINE, "--kernel", "("], ["regular expression"]),
        (["run", "good.h5", *MACHINE, "--kernel", "none"], ["no launch is chosen", "good"]),
        (["run", "good.h5", *MACHINE, "--launches", "3:1"], ["--launches"]),
        (["run", "good.h5", *MACHINE, "--max-cycles", "-1"], ["--max-cycles"]),
        (["run", "good.h5", *MACHINE, "--plugin", "none.py"], ["none.py", "no such plug-in file"]),
        (["trace", "dump", "good.h5", "--kernel", "9"], ["no kernel 9"]),
        (["trace", "dump", "good.h5", "--cta", "9"], ["no CTA 9"]),
        (["trace", "dump", "good.h5", "--warp", "9"], ["no warp 9"]),
        # capture
        (["capture", "-o", "out.h5", "--", "./nothing"], ["./nothing", "no such program"]),
        (["capture", "-o", "out.h5", "nothing.cu"], ["nothing.cu", "no such file"]),
        (["capture", "-o", "out.h5", "--arch", "sm_12", "--", "/bin/true"], ["sm_12", "sm_90"]),
    ],
    ids=lambda value: " ".join(value)[:60] if value and isinstance(value, list) and len(value) > 1 else None,
)
def test_bad_input(inputs, monkeypatch, capsys, argv, words):
    monkeypatch.chdir(inputs)
    line = outcome(capsys, *argv)
    assert all(word in line for word in words), line
    assert not list(Path().glob("out*"))


# Places that nobody can write to, not even root, to whom permissions do not apply.
UNWRITABLE = {
    "below a file": ("file/below", "Not a directory"),
    "in /proc": ("/proc/archsim-out", "No such file or directory"),
}


@pytest.mark.parametrize("place", UNWRITABLE)
@pytest.mark.parametrize(
    "command",
    [
        ("run", "good.h5", *MACHINE, "-o", "{}"),
        ("run", "good.h5", *MACHINE, "-q", "--no-output", "--pipeview", "{}"),
        ("run", "good.h5", *MACHINE, "-q", "--no-output", "--perfetto", "{}"),
        ("trace", "export", "good.h5", "-o", "{}"),
        ("trace", "import", "good.traceg", "-o", "{}"),
        ("capture", "-o", "{}", "--", "/bin/true"),
    ],
    ids=["run", "pipeview", "perfetto", "export", "import", "capture"],
)
def test_an_unwritable_place(inputs, monkeypatch, capsys, command, place):
    monkeypatch.chdir(inputs)
    path, reason = UNWRITABLE[place]
    line = outcome(capsys, *(part.format(path) for part in command))
    assert line.startswith(f"archsim: error: {path}: ")
    assert "cannot be written" in line
    assert reason in line or "File exists" in line or "it is a file" in line, line


def test_outputs_that_are_no_files(inputs, monkeypatch, capsys):
    """A trace is moved into its place when complete: never over a folder or a device."""
    monkeypatch.chdir(inputs)
    assert "it is a folder" in outcome(capsys, "trace", "import", "good.traceg", "-o", "folder")
    assert "it is no regular file" in outcome(capsys, "trace", "import", "good.traceg", "-o", "/dev/full")
    assert Path("/dev/full").is_char_device()
    assert "it is a file" in outcome(capsys, "trace", "export", "good.h5", "-o", "file")
    assert "it is a file" in outcome(capsys, "run", "good.h5", *MACHINE, "-o", "file")
    for view in ("--pipeview", "--perfetto"):
        line = outcome(capsys, "run", "good.h5", *MACHINE, "-q", "--no-output", view, "/dev/full")
        assert "No space left on device" in line
    assert Path("file").read_text() == "mine"


def on_a_full_disk(folder: Path, room: int, *argv: str) -> str:
    """The line on stderr of a command in a process of its own, in which no file may grow beyond ``room`` bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "archsim", *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("archsim: error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("room", [0, 1000, 3000])
def test_a_disk_that_fills_up_under_an_import(inputs, tmp_path, room):
    """Nothing, a few bytes or most of the file fit: one line, and nothing that looks like a result."""
    line = on_a_full_disk(tmp_path, room, "trace", "import", str(inputs / "good.traceg"), "-o", "out.h5")
    assert line == "archsim: error: out.h5: cannot be written: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_under_an_export(inputs, tmp_path):
    line = on_a_full_disk(tmp_path, 1000, "trace", "export", str(inputs / "good.h5"), "-o", "out")
    assert line.startswith("archsim: error: out: the export cannot be written: File too large")
    assert not (tmp_path / "out/kernelslist.g").exists()


def test_no_traceback_and_code_2_from_the_shell(inputs):
    """The same through a process of its own."""
    command = [sys.executable, "-m", "archsim", "run", "cut.h5"]
    done = subprocess.run(command, cwd=inputs, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "archsim: error: cut.h5: truncated\n"
