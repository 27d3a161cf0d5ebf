"""``archsim capture``: run a CUDA program on the emulated GPU and record its kernels."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from archsim.cli._options import add_config_arguments, config_from

if TYPE_CHECKING:
    from archsim.cuda.capture import CaptureResult
    from archsim.cuda.recording import Selection

HELP = "record a trace of a CUDA program, without a GPU"

_FAULT = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options, then the program with its arguments (or one .cu file)."""
    parser.usage = (
        "archsim capture [options] [--] PROGRAM [ARGUMENT ...]\n"
        "       archsim capture [options] FILE.cu [options] [--] [ARGUMENT ...]"
    )
    _add_options(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="PROGRAM", help="program and its arguments")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--arch", metavar="sm_NN", help="architecture to run (default: the newest code in the program)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="trace file (default: PROGRAM.h5)")
    parser.add_argument("--kernel", metavar="REGEX", help="record only kernels whose name matches")
    parser.add_argument("--launches", metavar="A:B", help="record only launches A..B-1 (numbers from 0)")
    parser.add_argument("--functional-only", action="store_true", help="run the program, write no trace")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="record only every N-th CTA")
    parser.add_argument(
        "--concurrent", action="store_true",
        help="run all CTAs that the machine holds at once, not one after another: for kernels whose CTAs wait for each "
        "other",
    )  # fmt: skip
    parser.add_argument(
        "--turn",
        type=int,
        default=64,
        metavar="N",
        help="with --concurrent: instructions of a warp's turn (default 64)",
    )
    parser.add_argument(
        "--max-instructions", type=int, default=0, metavar="N",
        help="stop a launch after N warp-instructions as an infinite loop (default: no limit)",
    )  # fmt: skip
    parser.add_argument("--memory", type=float, default=16, metavar="GIB", help="device memory (default 16 GiB)")
    add_config_arguments(parser)
    parser.add_argument("--nvcc-option", action="append", default=[], metavar="OPTION", help="for FILE.cu; repeatable")


def _command(args: argparse.Namespace) -> list[str]:
    """The program and its arguments. Options behind a FILE.cu are archsim's, up to ``--``."""
    command: list[str] = args.command
    if command[:1] == ["--"]:
        return command[1:]
    if not command or not command[0].endswith(".cu"):
        return command
    end = command.index("--") if "--" in command else len(command)
    parser = argparse.ArgumentParser(prog="archsim capture", add_help=False, allow_abbrev=False)
    _add_options(parser)
    _, left = parser.parse_known_args(command[1:end], args)
    return [command[0], *left, *command[end + 1 :]]


def run(args: argparse.Namespace) -> int:
    """Run the program; returns its exit code, or 3 when a kernel faulted."""
    from archsim.cuda.recording import Selection, default_output
    from archsim.errors import RunError

    command = _command(args)
    if not command:
        raise RunError("no program given: archsim capture [options] -- PROGRAM [ARGUMENT ...]")
    if args.turn < 1:
        raise RunError(f"--turn {args.turn}: must be 1 or more")
    selection = Selection.parse(args.kernel, args.launches, args.sample)
    output = None if args.functional_only else args.output or default_output(command[0].removesuffix(".cu"))
    with tempfile.TemporaryDirectory(prefix="archsim-build-") as folder, _progress() as progress:
        if command[0].endswith(".cu"):
            command = [_compile(args, Path(command[0]), Path(folder)), *command[1:]]
        result = _capture(args, command, output, selection, progress)
    return _report(result, command[0], output)


def _arch(args: argparse.Namespace) -> int:
    from archsim.errors import RunError

    if args.arch is None:
        return 0
    text = args.arch.removeprefix("sm_")
    if not text.isdigit():
        raise RunError(f"--arch {args.arch!r}: expected a name like sm_86")
    return int(text)


def _compile(args: argparse.Namespace, source: Path, folder: Path) -> str:
    from archsim.cuda.capture import DEFAULT_ARCH
    from archsim.cuda.nvcc import compile_program

    arch = _arch(args) or (config_from(args).arch if args.config else DEFAULT_ARCH)
    target = folder / source.stem
    compile_program(source, arch, target, args.nvcc_option)
    return str(target)


def _capture(
    args: argparse.Namespace,
    command: list[str],
    output: Path | None,
    selection: Selection,
    progress: Callable[[str, int, int], None] | None,
) -> CaptureResult:
    from archsim.cuda.capture import CaptureOptions, capture_program

    options = CaptureOptions(
        arch=_arch(args),
        output=output,
        selection=selection,
        config=config_from(args) if args.config or args.overrides else None,
        memory_bytes=int(args.memory * 2**30),
        max_instructions=args.max_instructions,
        turn_instructions=args.turn if args.concurrent else 0,
        progress=progress,
    )
    return capture_program(command, options)


def _report(result: CaptureResult, program: str, output: Path | None) -> int:
    """Say on stderr what happened; the program's own output stays alone on stdout."""
    from archsim.cuda.capture import describe_exit

    def say(text: str) -> None:
        print(f"archsim: {text}", file=sys.stderr)

    for fault in result.faults:
        say(f"error: {fault}")
    if result.unsupported:
        say(f"CUDA calls that are not supported and failed: {', '.join(sorted(result.unsupported))}")
    if not result.connected:
        say(f"{program} made no CUDA call")
    if result.exit_code:
        say(f"{program} ended with {describe_exit(result.exit_code)}")
    ran = f"{result.launches} launches, {result.warp_instructions} warp-instructions on sm_{result.arch}"
    if result.output is not None:
        say(f"{ran}; {result.recorded} recorded in {result.output}")
    elif output is not None:
        say(f"{ran}; no trace written: the run is incomplete")
    else:
        say(ran)
    if result.faults:
        return max(fault.exit_code for fault in result.faults)
    return result.exit_code


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress bar of the running launch on a terminal's stderr; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("CTAs"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda kernel, done, total: bar.update(task, description=kernel[:40], completed=done, total=total)
