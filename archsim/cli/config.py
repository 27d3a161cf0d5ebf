"""``archsim config``: list, show, compare and check machine configurations."""

from __future__ import annotations

import argparse

from archsim.cli._options import add_set_argument, table

HELP = "list, show, compare and check machine configurations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sub-commands list, show, diff, validate."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="shipped configurations")
    listing.add_argument("--json", action="store_true", help="one JSON list on stdout")
    show = actions.add_parser("show", help="one machine, every parameter resolved")
    show.add_argument("names", nargs="*", metavar="NAME", help="shipped name or YAML file; several are layered")
    show.add_argument("--json", action="store_true", help="JSON instead of YAML")
    add_set_argument(show)
    compare = actions.add_parser("diff", help="parameters in which two machines differ")
    compare.add_argument("first", metavar="A")
    compare.add_argument("second", metavar="B")
    compare.add_argument("--json", action="store_true", help="one JSON object on stdout")
    check = actions.add_parser("validate", help="check configuration files")
    check.add_argument("files", nargs="+", metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """Dispatch to the sub-command."""
    actions = {"list": _list, "show": _show, "diff": _diff, "validate": _validate}
    return actions[args.action](args)


def _list(args: argparse.Namespace) -> int:
    import json

    from archsim.config import load_config
    from archsim.resources import list_configs

    machines = {name: load_config(name) for name in list_configs()}
    if args.json:
        print(json.dumps([{"name": name, "description": m.description} for name, m in machines.items()], indent=2))
        return 0
    rows = [
        (
            name,
            f"sm_{machine.arch}",
            machine.num_sms,
            f"{machine.clock_mhz:g}",
            f"{machine.l2.bytes / 2**20:g}",
            f"{machine.dram.bandwidth_gbps:.0f}",
            machine.description,
        )
        for name, machine in machines.items()
    ]
    print(table(rows, ("name", "arch", "SMs", "MHz", "L2 MB", "GB/s", "description")))
    return 0


def _show(args: argparse.Namespace) -> int:
    from archsim.config import load_config, to_yaml

    machine = load_config(*args.names, overrides=args.overrides)
    print(machine.model_dump_json(indent=2) if args.json else to_yaml(machine).rstrip())
    return 0


def _diff(args: argparse.Namespace) -> int:
    import json

    from archsim.config import diff, load_config

    rows = diff(load_config(args.first), load_config(args.second))
    if args.json:
        print(json.dumps({path: [first, second] for path, first, second in rows}, indent=2))
    elif rows:
        shown = [(path, *("-" if value is None else value for value in values)) for path, *values in rows]
        print(table(shown, ("parameter", args.first, args.second)))
    else:
        print("no differences")
    return 0


def _validate(args: argparse.Namespace) -> int:
    from archsim.config import load_config
    from archsim.errors import ConfigError

    problems = []
    for file in args.files:
        try:
            machine = load_config(file)
        except ConfigError as error:
            problems.append(str(error))
        else:
            print(f"{file}: valid ({machine.name}: sm_{machine.arch}, {machine.num_sms} SMs)")
    if problems:
        raise ConfigError("\n".join(problems))
    return 0
