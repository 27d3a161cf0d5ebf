"""Processing in memory as a target of studies: PIM programs (``.aim``) on memories, GPT models on accelerators."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archsim.config.yaml_marks import Origin
from archsim.engine.sweep.targets import DramTarget, RunOptions, RunOutcome, Target, TraceInfo
from archsim.errors import ConfigError, RunError

_NOT_STATISTICS = ("model", "config", "mode", "tokens", "prompt", "batch")


class PimProgramTarget(DramTarget):
    """PIM programs on PIM memories."""

    kind = "pim"
    default_base = ("gddr6_aim",)

    def load(self, name: str, overrides: Mapping[str, Any]) -> Any:
        from archsim.dram.pim import load_pim

        return load_pim(name, overrides)

    def run(self, path: str, config: Any, options: RunOptions, plugins: tuple[str, ...]) -> RunOutcome:
        from archsim.engine.pim_program import run_program

        return RunOutcome(run_program(path, config).summary(), [])


class PimGptTarget(Target):
    """GPT models on PIM accelerators: a study with ``models:`` in place of ``traces:``."""

    kind = "pim_gpt"
    default_base = ("pim_gpt",)

    def layers(self, base: tuple[str, ...], folder: Path | None) -> Any:
        from archsim.pim import load_system

        if len(base) != 1:
            raise ConfigError(f"a model runs on one accelerator, {len(base)} are given: {', '.join(base)}")
        name = str(folder / base[0]) if folder is not None and (folder / base[0]).is_file() else base[0]
        load_system(name)
        return name

    def check(self, layers: Any, path: str, value: Any, origin: Origin) -> None:
        self.resolve(layers, {path: (value, origin)})

    def resolve(self, layers: Any, settings: Mapping[str, tuple[Any, Origin]]) -> Any:
        from archsim.pim import load_system

        texts = [f"{path}={json.dumps(value)}" for path, (value, _) in settings.items()]
        try:
            return load_system(layers, texts)
        except ConfigError as error:
            text = str(error)
            for written, (_, origin) in zip(texts, settings.values(), strict=True):
                text = text.replace(f"--set {written}", str(origin))
            raise ConfigError(text) from None

    def lookup(self, config: Any, path: str) -> Any:
        from archsim.config.machine import get

        try:
            return get(config, path)
        except (AttributeError, KeyError, TypeError):
            raise ConfigError(f"unknown key {path!r}; `archsim pim describe` lists them") from None

    def hash(self, config: Any) -> str:
        return _content(config)

    def inspect(self, path: Path, name: str, options: RunOptions, origin: Origin) -> TraceInfo:
        from archsim.pim import load_model

        try:
            model = load_model(path)
        except ConfigError as error:
            text = str(error)
            raise ConfigError(text if str(origin) in text else f"{origin}: {text}") from None
        return TraceInfo(name, str(path), _content(model), model.weights * (options.tokens + options.prompt), origin)

    def run(self, path: str, config: Any, options: RunOptions, plugins: tuple[str, ...]) -> RunOutcome:
        from archsim.pim import load_model, run_model

        if plugins:
            raise RunError(f"{path}: a model: plugins do not apply to it")
        result = run_model(load_model(path), config, options.tokens, prompt=options.prompt, batch=options.batch)
        summary = {key: value for key, value in result.summary().items() if key not in _NOT_STATISTICS}
        return RunOutcome(_flat(summary, ""), [])


def _content(spec: Any) -> str:
    values = spec.model_dump(mode="json", exclude={"name", "description"})
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _flat(table: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Nested tables with dots in the names."""
    result: dict[str, Any] = {}
    for key, value in table.items():
        result |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return result
