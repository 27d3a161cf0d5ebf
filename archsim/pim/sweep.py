"""Sweeps: every combination of models, modes and parameters of one YAML file, one row each."""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.config.yaml_marks import Marked
from archsim.errors import ConfigError
from archsim.pim import reading
from archsim.pim.models import load_model
from archsim.pim.run import run_model
from archsim.pim.system import load_system

_KEYS = ("models", "modes", "config", "tokens", "prompt", "batch", "parameters")
METRICS = (
    "seconds_per_token", "tokens_per_second", "ratio_to_bound", "row_hit_rate", "data_movement_reduction",
    "non_vmm_share",
)  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """What to run. ``parameters``: ``{component.param: values}`` of the accelerator."""

    models: tuple[str, ...]
    modes: tuple[str, ...]
    config: str
    tokens: int
    prompt: int
    batch: int
    parameters: dict[str, tuple[Any, ...]]

    @property
    def points(self) -> int:
        """Number of runs."""
        n = len(self.models) * len(self.modes)
        for values in self.parameters.values():
            n *= len(values)
        return n


def read_sweep(path: str | Path) -> Sweep:
    """Read a sweep file. Raises ConfigError naming file and line."""
    tree = reading.read_mapping(Path(path)).value
    for key, item in tree.items():
        if key not in _KEYS:
            raise ConfigError(f"{item.origin}: unknown key {key!r}; known: {', '.join(_KEYS)}")
    if "models" not in tree:
        raise ConfigError(f"{path}: models is missing")
    numbers = {}
    for key, default in (("tokens", 1024), ("prompt", 0), ("batch", 1)):
        value = tree[key].value if key in tree else default
        if type(value) is not int or value < (0 if key == "prompt" else 1):
            raise ConfigError(f"{tree[key].origin}: {key}: expected a whole number, got {value!r}")
        numbers[key] = value
    modes = _values(tree["modes"], "modes") if "modes" in tree else ("paper",)
    for mode in modes:
        if mode not in ("paper", "overlap"):
            raise ConfigError(f"{tree['modes'].origin}: modes: paper or overlap, not {mode!r}")
    table = tree.get("parameters")
    if table is not None and not isinstance(table.value, dict):
        raise ConfigError(f"{table.origin}: parameters: expected component.param: [values]")
    parameters = {str(k): _values(item, str(k)) for k, item in table.value.items()} if table is not None else {}
    config = str(tree["config"].value) if "config" in tree else "pim_gpt"
    models = tuple(map(str, _values(tree["models"], "models")))
    return Sweep(models, tuple(map(str, modes)), config, parameters=parameters, **numbers)


def _values(item: Marked, key: str) -> tuple[Any, ...]:
    values = item.value if isinstance(item.value, tuple) else (item.value,)
    if not values or isinstance(item.value, dict):
        raise ConfigError(f"{item.origin}: {key}: expected a list of values")
    return values


def run_sweep(sweep: Sweep) -> list[dict[str, Any]]:
    """Run every combination, the last parameter changing fastest. Raises ConfigError for an impossible point."""
    rows = []
    names = list(sweep.parameters)
    for model_name, mode, *values in itertools.product(sweep.models, sweep.modes, *sweep.parameters.values()):
        overrides = [f"{name}={value}" for name, value in zip(names, values, strict=True)]
        result = run_model(
            load_model(model_name), load_system(sweep.config, overrides), sweep.tokens,
            prompt=sweep.prompt, batch=sweep.batch, mode=mode,
        )  # fmt: skip
        summary = result.summary()
        row = {"model": result.model.name, "mode": mode, **dict(zip(names, values, strict=True))}
        row |= {metric: summary[metric] for metric in METRICS}
        row |= {f"joules_per_token_{end}": summary["energy_joules_per_token"][end] for end in ("low", "high")}
        rows.append(row)
    return rows


def write_csv(rows: list[dict[str, Any]], path: str | Path) -> None:
    """Write the table; OSError when that fails."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
