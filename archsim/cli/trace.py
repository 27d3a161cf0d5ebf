"""``archsim trace``: look at, convert and check instruction traces."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HELP = "look at, convert and check instruction traces"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sub-commands info, dump, import, export, validate."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = actions.add_parser("info", help="what a trace holds, and how compactly")
    info.add_argument("trace", type=Path, metavar="TRACE")
    info.add_argument("--json", action="store_true", help="one JSON object on stdout")
    dump = actions.add_parser("dump", help="the instruction stream as text")
    dump.add_argument("trace", type=Path, metavar="TRACE")
    dump.add_argument("--kernel", type=int, default=0, metavar="N", help="which launch (default 0)")
    dump.add_argument("--cta", type=int, default=0, metavar="N", help="which thread block (default 0)")
    dump.add_argument("--warp", type=int, metavar="N", help="one warp of it (default: all)")
    dump.add_argument("--limit", type=int, default=1000, metavar="N", help="instructions per warp (default 1000)")
    dump.add_argument("--static", action="store_true", help="the program instead of the stream")
    take = actions.add_parser("import", help="convert an Accel-Sim trace")
    take.add_argument("source", type=Path, metavar="KERNELSLIST", help="kernelslist.g, or one .traceg / .trace file")
    take.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.h5")
    take.add_argument("--cubin", type=Path, help="the cubin that was traced: gives control bits")
    take.add_argument("--arch", metavar="sm_75", help="replaces a damaged 'binary version'")
    take.add_argument("--nregs", type=int, metavar="N", help="replaces a damaged 'nregs'")
    take.add_argument("--shmem", type=int, metavar="BYTES", help="replaces a damaged 'shmem'")
    give = actions.add_parser("export", help="write Accel-Sim text (tracer version 5)")
    give.add_argument("trace", type=Path, metavar="TRACE")
    give.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    check = actions.add_parser("validate", help="read everything, compare the hash, check every stream")
    check.add_argument("traces", type=Path, nargs="+", metavar="TRACE")


def run(args: argparse.Namespace) -> int:
    """Dispatch to the sub-command."""
    actions = {"info": _info, "dump": _dump, "import": _import, "export": _export, "validate": _validate}
    return actions[args.action](args)


def _info(args: argparse.Namespace) -> int:
    from archsim.trace.inspect import describe

    found = describe(args.trace)
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"{found['path']}: sm_{found['arch']}, {found['source'] or 'unknown source'}")
    print(f"sha256 {found['sha256']}")
    rate = found["bytes_per_warp_instruction"]
    print(
        f"{len(found['kernels'])} kernels, {found['warp_instructions']:,} warp-instructions, {found['file_bytes']:,} "
        f"bytes on disk ({rate:.3f} a warp-instruction; streams alone {found['stream_bytes_per_warp_instruction']:.3f})"
    )
    for number, kernel in enumerate(found["kernels"]):
        print(
            f"  [{number}] {kernel['name']}: grid {tuple(kernel['grid'])}, block {tuple(kernel['block'])}, "
            f"{kernel['registers']} registers, {kernel['shared_bytes']} B shared, {kernel['static_instructions']} "
            f"static and {kernel['warp_instructions']:,} warp-instructions, {kernel['address_records']:,} address "
            f"records, {kernel['run_lists']} run lists, {kernel['stream_bytes']:,} bytes"
        )
    return 0


def _dump(args: argparse.Namespace) -> int:
    from archsim.trace.inspect import dump_lines, static_lines

    lines = (
        static_lines(args.trace, args.kernel)
        if args.static
        else dump_lines(args.trace, args.kernel, args.cta, args.warp, args.limit)
    )
    for line in lines:
        print(line)
    return 0


def _import(args: argparse.Namespace) -> int:
    from archsim.errors import TraceError
    from archsim.trace import import_accelsim

    arch = None
    if args.arch is not None:
        digits = args.arch.lower().removeprefix("sm_").rstrip("af")
        if not digits.isdigit():
            raise TraceError(f"--arch {args.arch!r} is not of the form sm_75")
        arch = int(digits)
    import_accelsim(
        args.source,
        args.output,
        cubin=args.cubin,
        arch=arch,
        registers=args.nregs,
        shared_bytes=args.shmem,
        progress=_progress if sys.stderr.isatty() else None,
    )
    return _info(argparse.Namespace(trace=args.output, json=False))


def _export(args: argparse.Namespace) -> int:
    from archsim.trace import export_accelsim, open_trace

    with open_trace(args.trace) as trace:
        print(export_accelsim(trace, args.output))
    return 0


def _validate(args: argparse.Namespace) -> int:
    from archsim.trace.inspect import validate

    for path in args.traces:
        total = validate(path)
        print(f"{path}: good ({total:,} warp-instructions)")
    return 0


def _progress(name: str, instructions: Any) -> None:
    print(f"\r{name[:60]}: {instructions:,} warp-instructions", end="", file=sys.stderr, flush=True)
