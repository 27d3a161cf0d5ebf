"""``archsim pim``: GPT models on a DRAM-PIM accelerator (PIM-GPT)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from archsim.cli._options import add_set_argument, table

if TYPE_CHECKING:
    from archsim.pim import GptModel, PimResult, PimSystem
    from archsim.pim.mapping import ModelLayout

HELP = "run GPT models on a DRAM-PIM accelerator (PIM-GPT): time, energy, mapping, sweeps"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sub-commands run, map, sweep, list, describe."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    run_ = actions.add_parser("run", help="generate tokens: time, energy, where they go")
    _model_arguments(run_)
    run_.add_argument("--mode", choices=("paper", "overlap"), help="one instruction at a time, or overlapped")
    run_.add_argument("--json", action="store_true", help="one JSON object on stdout")
    run_.add_argument("--plot", metavar="FILE.svg", help="latency and energy by operation, as a picture")
    run_.add_argument("--perfetto", metavar="FILE.json", help="timeline of banks, pins and ASIC for the last token")
    map_ = actions.add_parser("map", help="where a model lies in the memory, and whether it fits")
    _model_arguments(map_)
    map_.add_argument("--show", action="store_true", help="every matrix with its rows, and the heads of every channel")
    map_.add_argument("--json", action="store_true", help="one JSON object on stdout")
    sweep = actions.add_parser("sweep", help="run every combination of parameters that a YAML file lists")
    sweep.add_argument("file", metavar="SWEEP.yaml")
    sweep.add_argument("-o", "--output", metavar="FILE.csv", help="write the table there, too")
    sweep.add_argument("--json", action="store_true", help="one JSON list on stdout")
    listing = actions.add_parser("list", help="shipped models and accelerators")
    listing.add_argument("--json", action="store_true", help="one JSON object on stdout")
    describe = actions.add_parser("describe", help="every parameter of an accelerator: value, unit, meaning, source")
    describe.add_argument("-c", "--config", default="pim_gpt", metavar="NAME", help="accelerator (default: pim_gpt)")
    add_set_argument(describe)


def _model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="shipped model, YAML file, or Hugging Face config.json")
    parser.add_argument("-c", "--config", default="pim_gpt", metavar="NAME", help="accelerator (default: pim_gpt)")
    parser.add_argument("--tokens", type=int, default=1024, metavar="N", help="tokens to generate (default: 1024)")
    parser.add_argument("--prompt", type=int, default=0, metavar="N", help="tokens of the prompt (default: none)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="sequences at a time (default: 1)")
    parser.add_argument(
        "--reserve", type=int, metavar="N", help="tokens that K and V have room for (default: as needed)"
    )
    add_set_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Dispatch to the sub-command."""
    actions = {"run": _run, "map": _map, "sweep": _sweep, "list": _list, "describe": _describe}
    return actions[args.action](args)


def _load(args: argparse.Namespace) -> tuple[GptModel, PimSystem]:
    from archsim.pim import load_model, load_system

    return load_model(args.model), load_system(args.config, args.overrides)


def _run(args: argparse.Namespace) -> int:
    import json

    from archsim.pim import run_model

    model, system = _load(args)
    result = run_model(
        model, system, args.tokens, prompt=args.prompt, batch=args.batch, mode=args.mode, reserve=args.reserve
    )
    if args.plot:
        from archsim.pim.plot import write_breakdown

        write_breakdown(result, args.plot)
    if args.perfetto:
        from archsim.pim.timeline import write_timeline

        write_timeline(result, args.perfetto)
    if args.json:
        print(json.dumps(result.summary(), indent=2))
    else:
        print(_report(result))
    return 0


def _report(result: PimResult) -> str:
    from archsim.pim.program import OPERATIONS
    from archsim.pim.run import UNITS

    s = result.summary()
    joules = s["energy_joules_per_token"]
    lines = [
        f"{result.model.name} on {result.system.name}, mode {result.mode}: {result.tokens} tokens"
        + (f" after a prompt of {result.prompt}" if result.prompt else "")
        + (f", {result.batch} sequences" if result.batch > 1 else ""),
        f"time per token            {s['seconds_per_token'] * 1e6:12,.1f} us   {s['tokens_per_second']:,.0f} tokens/s",
    ]
    if result.prompt:
        lines.append(f"prefill                   {s['prefill_seconds'] * 1e6:12,.1f} us")
    lines += [
        f"analytic lower bound      {s['analytic_bound_seconds_per_token'] * 1e6:12,.1f} us   "
        f"{s['ratio_to_bound']:.3f} times it",
        f"row hit rate              {100 * s['row_hit_rate']:12.2f} %",
        f"bytes over the pins       {s['pin_bytes_per_token']:12,.0f}      {s['data_movement_reduction']:.1f} times "
        f"fewer than reading the weights ({s['data_movement_reduction_with_kv']:.1f} with K and V)",
        f"ASIC arithmetic           {100 * s['non_vmm_share']:12.2f} %    refresh {100 * s['refresh_share']:.2f} %",
        f"energy per token          {joules['low'] * 1e3:6.2f} to {joules['high'] * 1e3:.2f} mJ   "
        f"{s['watts']['low']:.1f} to {s['watts']['high']:.1f} W",
        "",
    ]
    total = result.total_ps
    rows = []
    for number, op in enumerate(OPERATIONS):
        times = result.busy_ps[number]
        if times.any():
            micro = [f"{t * 1e-6 / result.tokens:.2f}" for t in times]
            rows.append((op, *micro, f"{100 * times.sum() / total:.1f} %"))
    return "\n".join(lines) + table(rows, ("operation", *(f"{unit} us" for unit in UNITS), "of the time"))


def _map(args: argparse.Namespace) -> int:
    import json

    from archsim.pim.mapping import map_model, most_tokens

    model, system = _load(args)
    layout = map_model(model, system, args.prompt + args.tokens, args.batch, args.reserve)
    most = most_tokens(model, system, args.batch)
    rows = system.memory.rows
    if args.json:
        content = {
            "model": model.name, "rows_per_bank": rows, "weight_rows": layout.weight_rows, "kv_rows": layout.kv_rows,
            "most_tokens": most,
            "regions": [{"name": name, "first_row": first, "rows": n} for name, first, n in layout.rows_of()],
        }  # fmt: skip
        print(json.dumps(content, indent=2))
        return 0
    print(
        f"{model.name} on {system.name}: {system.memory.channels} channels x {system.memory.banks} banks\n"
        f"weights  {layout.weight_rows:6} of {rows} rows of every bank ({100 * layout.weight_rows / rows:.1f} %)\n"
        f"K and V  {layout.kv_rows:6} rows, for {layout.attention.reserved} tokens of {args.batch} sequence(s)\n"
        f"longest sequence that fits: {most} tokens"
    )
    if args.show:
        print("\n" + _layout_tables(layout))
    return 0


def _layout_tables(layout: ModelLayout) -> str:
    matrices = [*layout.matrices.values(), *([layout.head] if layout.head else [])]
    shapes = [
        (
            m.name, f"{m.d_in} x {m.d_out}", "+".join(map(str, m.chunks)), m.outputs_per_bank, m.columns, m.rows,
            f"{100 * m.d_in * m.d_out / (m.rows * m.row_columns * m.column_values * m.units):.1f} %",
        )
        for m in matrices
    ]  # fmt: skip
    heads = layout.attention
    held = []
    for channel in range(heads.channels):
        pieces = [
            f"{head}" if ways == 1 else f"{head} (tokens {residue} mod {ways})"
            for head, ways, residue in heads.pieces(channel)
        ]
        held.append((channel, ", ".join(pieces)))
    regions = [row for row in layout.rows_of() if row[0].startswith("layer 0 ")]
    return "\n\n".join(
        [
            table(shapes, ("matrix", "shape", "input chunks", "outputs/bank", "columns", "rows", "filled")),
            table(held, ("channel", "key/value heads")),
            table([(name, first, n) for name, first, n in regions], ("rows of a bank", "first", "number"))
            + f"\n(and so on for {layout.model.layers} layers)",
        ]
    )


def _sweep(args: argparse.Namespace) -> int:
    import json

    from archsim.pim.sweep import read_sweep, run_sweep, write_csv

    rows = run_sweep(read_sweep(args.file))
    if args.output:
        write_csv(rows, args.output)
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        header = list(rows[0])
        print(table([[_short(row[key]) for key in header] for row in rows], header))
    return 0


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _list(args: argparse.Namespace) -> int:
    import json

    from archsim.pim import list_models, load_model, load_system
    from archsim.resources import list_configs

    models = [load_model(name) for name in list_models()]
    systems = [load_system(name) for name in list_configs("accelerator")]
    if args.json:
        content = {"models": [m.model_dump() for m in models], "accelerators": [s.model_dump() for s in systems]}
        print(json.dumps(content, indent=2))
        return 0
    rows = [(m.name, m.layers, m.d_model, m.heads, m.kv, f"{m.weights / 2**20:.1f}", m.description) for m in models]
    print(table(rows, ("model", "layers", "width", "heads", "kv heads", "weights / 2^20", "description")))
    print()
    print(table([(s.name, s.description) for s in systems], ("accelerator", "description")))
    return 0


def _describe(args: argparse.Namespace) -> int:
    from archsim.config.spec import source_of, spec_class, unit_of, walk
    from archsim.pim import load_system
    from archsim.pim.system import PimSystem

    system = load_system(args.config, args.overrides)
    rows = []
    for path, _, _, field in walk(PimSystem):
        if spec_class(field) is None:
            value = system
            for part in path.split("."):
                value = getattr(value, part)
            rows.append((path, value, unit_of(field), field.description, source_of(field)))
    print(table(rows, ("parameter", "value", "unit", "meaning", "source")))
    return 0
