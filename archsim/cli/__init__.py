"""The ``archsim`` command. One module a command; only the one that runs is imported.

A command is a module of this package, named after it, with ``HELP`` (a string literal of one line),
``add_arguments(parser)`` and ``run(args) -> int``. Modules whose names start with ``_`` are helpers.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from archsim.errors import ArchsimError

_ORDER = (
    "run", "report", "sweep", "optimize", "sensitivity", "plot", "trace", "capture", "pim", "validate", "compare",
    "config", "describe", "warmup",
)  # fmt: skip
_USAGE_ERROR = 2
_INTERRUPTED = 130


def commands() -> dict[str, str]:
    """``{name: one-line help}`` of every command, read from the sources without importing them."""
    folder = Path(__file__).parent
    found = {path.stem: _help_of(path) for path in folder.glob("*.py") if not path.stem.startswith("_")}
    rank = {name: index for index, name in enumerate(_ORDER)}
    return {name: found[name] for name in sorted(found, key=lambda name: (rank.get(name, len(rank)), name))}


def _help_of(path: Path) -> str:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        is_help = any(isinstance(target, ast.Name) and target.id == "HELP" for target in targets)
        if is_help and isinstance(value, ast.Constant):
            return str(value.value)
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code (0 well, 2 bad input, 130 interrupted)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them reads every installed package
    try:
        return _dispatch(arguments)
    except ArchsimError as error:
        print(f"archsim: error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has gone (`archsim ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"archsim: error: {error.strerror or error}{where}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        print("archsim: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except SystemExit as stop:  # argparse: help shown (0) or a usage error (2)
        return stop.code if isinstance(stop.code, int) else _USAGE_ERROR


def entry_point() -> None:
    """Console script."""
    sys.exit(main())


def _dispatch(arguments: list[str]) -> int:
    known = commands()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview(known))
        return 0 if arguments else _USAGE_ERROR
    name = arguments[0]
    if name in ("-V", "--version"):
        from archsim import __version__

        print(f"archsim {__version__}")
        return 0
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; `archsim --help` lists them"
        print(f"archsim: error: unknown command {name!r}{hint}", file=sys.stderr)
        return _USAGE_ERROR
    module = importlib.import_module(f"archsim.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"archsim {name}", description=module.HELP)
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(arguments[1:])))


def _overview(known: dict[str, str]) -> str:
    width = max(map(len, known), default=0)
    rows = [f"  {name.ljust(width)}  {text}" for name, text in known.items()]
    return "\n".join(
        [
            "usage: archsim COMMAND ...",
            "",
            "Cycle-level simulator of NVIDIA GPUs: a trace of a kernel and a machine in, cycles and their reasons out.",
            "",
            "commands:",
            *rows,
            "",
            "`archsim COMMAND --help` explains one of them; `archsim --version` prints the version.",
        ]
    )
