"""``archsim warmup``: compile the model now, so that the first run starts at once."""

from __future__ import annotations

import argparse

from archsim.cli._options import add_config_arguments

HELP = "compile the model for a machine, so that later runs start at once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The machine (only its plug-ins matter), user plug-ins, views."""
    add_config_arguments(parser)
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="FILE.py", help="load plug-ins from a file; repeatable"
    )
    parser.add_argument("--views", action="store_true", help="also compile what --pipeview and --perfetto need")


def run(args: argparse.Namespace) -> int:
    """Run an empty kernel on one SM of the machine: it has the code of the whole chip."""
    from archsim.cli._options import config_from
    from archsim.engine.run import run as simulate
    from archsim.model.compile import cache_root, load_plugin_file
    from archsim.testing import KernelBuilder

    for file in args.plugin:
        load_plugin_file(file)
    config = config_from(args)
    small = config.model_copy(update={"num_sms": 1})
    trace = KernelBuilder(arch=config.arch, name="warmup").nops(1).build()
    for entries in (0, 64) if args.views else (0,):
        seconds = simulate(trace, small, log_entries=entries).kernels[0].compile_seconds
        print(f"{'with event log' if entries else 'model'}: ready after {seconds:.1f} s")
    print(f"compiled code is in {cache_root()}")
    return 0
