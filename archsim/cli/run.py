"""``archsim run``: simulate a trace on a machine. See docs/running.md."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from archsim.cli._options import add_config_arguments, config_from
from archsim.errors import ArchsimError, RunError, TraceError

HELP = "simulate a trace on a machine: cycles, stall breakdown, caches, a result folder"

_INTERRUPTED = 130
_HDF5 = b"\x89HDF"
_ACCELSIM = re.compile(r"\.(g|traceg|trace)(\.(xz|zst|gz))?$")
_PIM_LINE = re.compile(rb"^(AiM\s|[RW]\s+(GPR|CFR|MEM)\s)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The trace, the machine, what to run, where the result goes."""
    parser.add_argument("trace", metavar="TRACE", help="a file or a shipped name (`archsim trace list`)")
    add_config_arguments(parser)
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="FILE.py", help="load plug-ins from a file; repeatable"
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="result folder (default: results/TRACE-CONFIG)")
    parser.add_argument("--no-output", action="store_true", help="write no result folder")
    parser.add_argument("--kernel", metavar="REGEX", help="only kernels whose name matches")
    parser.add_argument(
        "--launches", metavar="A:B", help="only launches A to B-1, counted from 0 (either may be left out)"
    )
    parser.add_argument("--max-cycles", type=int, default=0, metavar="N", help="stop each kernel after N cycles")
    parser.add_argument("--json", action="store_true", help="print one JSON object; a folder is written only with -o")
    parser.add_argument("--pipeview", metavar="FILE", help="write the pipeline for Konata (Kanata format)")
    parser.add_argument("--perfetto", metavar="FILE", help="write a timeline for ui.perfetto.dev")
    parser.add_argument(
        "--window", default="0:2000", metavar="FIRST:LAST", help="cycles of those two (default: %(default)s)"
    )
    parser.add_argument(
        "--timeline",
        type=int,
        default=256,
        metavar="N",
        help="keep counters over time in at most N intervals a launch, for `archsim report` (default: %(default)s)",
    )
    parser.add_argument(
        "--per-pc", action="store_true", help="keep issue slots by instruction (stall reasons on the SASS listing)"
    )
    parser.add_argument(
        "--flush-caches",
        dest="overrides",
        action="append_const",
        const="memory.flush_between_kernels=true",
        help="every kernel starts with empty caches, as under a profiler (memory.flush_between_kernels)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="threads that share the SMs of the chip; the result is the same for any number (default: %(default)s)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no table, no progress")


def run(args: argparse.Namespace) -> int:
    """Run; 0 well, 2 bad input, 130 interrupted with a partial result."""
    from archsim.engine.team import usable_threads
    from archsim.resources import find_trace

    if args.max_cycles < 0:
        raise RunError(f"--max-cycles {args.max_cycles}: must not be negative")
    if args.timeline < 0:
        raise RunError(f"--timeline {args.timeline}: must not be negative")
    usable_threads(args.threads)
    path = find_trace(args.trace)
    with ExitStack() as stack:
        notes: list[str] = []
        if _is_pim_program(path, args.config):
            from archsim.cli._run_pim import run_pim_program

            return run_pim_program(path, args)
        if _ACCELSIM.search(path.name):
            path = _import(path, Path(stack.enter_context(tempfile.TemporaryDirectory())), notes)
        elif not _is_hdf5(path):
            from archsim.cli._run_requests import run_request_trace

            return run_request_trace(path, args)
        return _run_trace(args, path, stack, notes)


def _is_pim_program(path: Path, configs: list[str]) -> bool:
    """By its name, by the memory that it is to run on, or by its first instruction."""
    from archsim.resources import list_configs

    if path.suffix == ".aim" or (configs and configs[0].split(":")[0] in list_configs("pim")):
        return True
    with path.open("rb") as file:
        lines = (line.strip() for line in file.read(4096).splitlines())
        return _PIM_LINE.match(next((line for line in lines if line and not line.startswith(b"#")), b"")) is not None


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix in (".h5", ".hdf5") or file.read(len(_HDF5)) == _HDF5


def _import(path: Path, folder: Path, notes: list[str]) -> Path:
    from archsim.trace import import_accelsim

    out = folder / "imported.h5"
    import_accelsim(path, out)
    notes.append(f"{path}: imported for this run only; `archsim trace import {path} -o FILE.h5` keeps it")
    return out


def _run_trace(args: argparse.Namespace, path: Path, stack: ExitStack, notes: list[str]) -> int:
    from archsim.energy import config_table
    from archsim.model.compile import load_plugin_file
    from archsim.trace import open_trace

    for file in args.plugin:
        load_plugin_file(file)
    config = config_from(args)
    config_table(config)  # a table that is not there is found before the run
    window = _range(args.window, "--window") if args.pipeview or args.perfetto else None
    trace = stack.enter_context(open_trace(path))
    chosen = _chosen(args, trace)
    if window is not None and len(chosen) > 1:
        option = "--pipeview" if args.pipeview else "--perfetto"
        raise RunError(
            f"{option} shows one launch, {len(chosen)} are chosen: add --launches {chosen[0]}:{chosen[0] + 1}"
        )
    folder = _folder(args, config)
    if folder is not None:
        stack.callback(folder.discard)
    result, error = _simulate(args, trace, config, chosen, window)
    result.notes[:0] = notes
    if window is not None and result.kernels:
        _write_views(args, trace, result, window)
    _publish(args, result, folder, path)
    if error is not None:
        raise error
    return _INTERRUPTED if result.stop_reason == "interrupted" else 0


def _simulate(
    args: argparse.Namespace, trace: Any, config: Any, chosen: list[int], window: tuple[int, int] | None
) -> tuple[Any, ArchsimError | None]:
    """The result, and the error that ended it early (raised if no kernel had ended)."""
    from archsim.cli._progress import kernel_progress
    from archsim.engine.run import run as simulate

    entries = begin = 0
    if window is not None:
        from archsim.view import log_entries, log_from

        entries, begin = log_entries(config, window), log_from(window)
    sizes = [trace.kernels[i].warp_instructions for i in chosen]
    with kernel_progress(not args.quiet, sizes) as progress:
        try:
            return simulate(
                trace,
                config,
                kernels=chosen,
                max_cycles=args.max_cycles,
                progress=progress,
                log_entries=entries,
                log_from=begin,
                timeline_samples=args.timeline,
                per_pc=args.per_pc,
                threads=args.threads,
            ), None
        except ArchsimError as error:
            partial = getattr(error, "partial_result", None)
            if partial is None or not partial.kernels:
                raise
            return partial, error


def _publish(args: argparse.Namespace, result: Any, folder: Any, path: Path) -> None:
    """Save, then print; a result that cannot be saved is printed all the same before the error is shown."""
    from archsim.cli._run_report import json_object, print_report

    failure: RunError | None = None
    place = None
    if folder is not None:
        try:
            place = folder.save(result, _facts(args, path))
        except RunError as error:
            failure = error
    if args.json:
        print(json.dumps(json_object(result)))
    elif not args.quiet or failure is not None:
        print_report(result, place)
    if failure is not None:
        raise failure


def _facts(args: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Entries of run.json that only the command line knows."""
    plugins = [{"path": file, "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()} for file in args.plugin]
    return {"trace_path": str(path), "command": sys.argv[1:], "plugin_files": plugins}


def _chosen(args: argparse.Namespace, trace: Any) -> list[int]:
    """Indices of the launches to run. RunError when none is left."""
    total = len(trace.kernels)
    if total == 0:
        raise TraceError(f"{args.trace}: holds no kernel")
    first, last = _range(args.launches, "--launches", total) if args.launches else (0, total)
    indices = list(range(total))[first:last]
    if args.kernel:
        try:
            pattern = re.compile(args.kernel)
        except re.error as error:
            raise RunError(f"--kernel {args.kernel!r}: not a regular expression: {error}") from None
        indices = [i for i in indices if pattern.search(trace.kernels[i].launch.name)]
    if not indices:
        names = sorted({kernel.launch.name for kernel in trace.kernels})
        known = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise RunError(f"{args.trace}: no launch is chosen; it has {total} launches of: {known}")
    return indices


def _range(text: str, option: str, default_end: int | None = None) -> tuple[int, int]:
    match = re.fullmatch(r"(\d*):(\d*)", text.strip())
    if not match or (match[2] == "" and default_end is None):
        raise RunError(f"{option} {text!r}: give two numbers, FIRST:LAST")
    first = int(match[1] or 0)
    last = int(match[2]) if match[2] else int(default_end or 0)
    if last <= first:
        raise RunError(f"{option} {text!r}: nothing between {first} and {last}")
    return first, last


def _folder(args: argparse.Namespace, config: Any) -> Any:
    from archsim.engine.result_folder import ResultFolder

    if args.output:
        return ResultFolder(args.output)
    if args.no_output or args.json:
        return None
    path = Path(args.trace)
    name = path.resolve().parent.name if path.name.startswith("kernelslist.") else path.name.split(".")[0]
    stem = f"{name or 'trace'}-{config.name}"
    place = Path("results", stem)
    number = 1
    while place.exists():
        number += 1
        place = Path("results", f"{stem}-{number}")
    return ResultFolder(place)


def _write_views(args: argparse.Namespace, trace: Any, result: Any, window: tuple[int, int]) -> None:
    from archsim.view import Pipeline, write_kanata, write_perfetto

    outcome = result.kernels[0]
    pipeline = Pipeline.from_result(outcome, trace.kernels[outcome.index], result.config, window)
    result.notes += pipeline.notes
    for path, write in ((args.pipeview, write_kanata), (args.perfetto, write_perfetto)):
        if path:
            try:
                write(pipeline, path)
            except OSError as error:
                raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None
