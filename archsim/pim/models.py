"""Decoder-only transformers: shapes of the paper's eight GPTs, of a YAML file, or of a Hugging Face ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from archsim import resources
from archsim.config.spec import Spec, param
from archsim.errors import ConfigError
from archsim.pim import reading

_OWN = "value of a shape that has to be given"


class GptModel(Spec):
    """Shape of a decoder. Derived sizes are properties; weights are BF16."""

    name: str = param("custom", doc="name in reports", source=_OWN)
    description: str = param("", doc="one line", source=_OWN)
    source: str = param("", doc="where the shape comes from", source=_OWN)
    layers: int = param(12, ge=1, doc="decoder blocks", source="GPT-2 paper")
    d_model: int = param(768, ge=16, doc="width of the residual stream", source="GPT-2 paper")
    heads: int = param(12, ge=1, doc="query heads", source="GPT-2 paper")
    kv_heads: int = param(0, ge=0, doc="key/value heads (grouped-query attention); 0: as many as heads", source="GPT-2")
    head_dim: int = param(0, ge=0, doc="width of a head; 0: d_model / heads", source="GPT-2 paper")
    d_ff: int = param(0, ge=0, doc="width of the feed-forward layer; 0: 4 d_model", source="GPT-2 paper")
    gated_mlp: bool = param(False, doc="gate and up projections, multiplied (Llama)", source="GPT-2 paper")
    activation: Literal["gelu", "silu", "relu"] = param("gelu", doc="feed-forward activation", source="GPT-2 paper")
    norm: Literal["layernorm", "rmsnorm"] = param("layernorm", doc="normalisation", source="GPT-2 paper")
    rotary_fraction: float = param(0.0, ge=0, le=1, doc="share of a head that is rotated by position", source="GPT-2")
    rope_theta: float = param(10000.0, ge=1, doc="base of the rotary frequencies", source="RoFormer")
    parallel_residual: bool = param(False, doc="attention and feed-forward read the same input (NeoX)", source="GPT-2")
    bias: bool = param(
        False,
        doc="every matrix has a bias, stored as one more input row of the matrix",
        source="the paper counts 12 L d^2 parameters: no biases",
    )
    output_head: bool = param(False, doc="multiply by the vocabulary matrix", source="the paper counts blocks only")
    vocab: int = param(50257, ge=1, doc="vocabulary", source="GPT-2 paper")
    max_positions: int = param(0, ge=0, doc="longest sequence that the model was made for; 0: no limit", source=_OWN)

    def model_post_init(self, context: Any) -> None:
        """Shapes that don't fit together are errors."""
        if self.head_dim == 0 and self.d_model % self.heads:
            raise ValueError(
                f"heads: {self.heads} heads don't divide d_model {self.d_model} "
                f"(set head_dim if a head isn't d_model / heads wide)"
            )
        if self.kv_heads and self.heads % self.kv_heads:
            raise ValueError(f"kv_heads: {self.kv_heads} key/value heads don't divide {self.heads} query heads")

    @property
    def head_width(self) -> int:
        """Values of one head."""
        return self.head_dim or self.d_model // self.heads

    @property
    def kv(self) -> int:
        """Key/value heads."""
        return self.kv_heads or self.heads

    @property
    def group(self) -> int:
        """Query heads that share a key/value head."""
        return self.heads // self.kv

    @property
    def ff(self) -> int:
        """Width of the feed-forward layer."""
        return self.d_ff or 4 * self.d_model

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """``{name: (d_in, d_out)}`` of one decoder block, in the order of use."""
        q, kv = self.heads * self.head_width, self.kv * self.head_width
        return {
            "qkv": (self.d_model, q + 2 * kv),
            "projection": (q, self.d_model),
            "ffn1": (self.d_model, (2 if self.gated_mlp else 1) * self.ff),
            "ffn2": (self.ff, self.d_model),
        }

    @property
    def block_weights(self) -> int:
        """Matrix elements of one block, biases left out."""
        return sum(d_in * d_out for d_in, d_out in self.matrices.values())

    @property
    def weights(self) -> int:
        """Matrix elements that one token multiplies: blocks, and the output head if there is one."""
        return self.layers * self.block_weights + (self.d_model * self.vocab if self.output_head else 0)

    @property
    def kv_values_per_token(self) -> int:
        """K and V elements of one token over all layers."""
        return 2 * self.layers * self.kv * self.head_width


def list_models() -> list[str]:
    """Shipped models."""
    return resources.list_configs("gpt")


def load_model(name: str | Path, overrides: tuple[str, ...] | list[str] = ()) -> GptModel:
    """A shipped model, a YAML file with the keys of :class:`GptModel`, or a Hugging Face ``config.json`` (its folder).

    Raises:
        ConfigError: unknown name or key, wrong value, heads that don't divide d_model, unsupported architecture.
    """
    path = Path(name)
    if path.is_dir() and (path / "config.json").is_file():
        path = path / "config.json"
    if path.suffix == ".json":
        if overrides:
            raise ConfigError(f"{path}: overrides apply to YAML models only")
        return from_hugging_face(path)
    try:
        found = resources.find_config(name, kind="gpt")
    except ConfigError as error:
        raise ConfigError(str(error).replace("configuration", "model")) from None
    tree = reading.read_mapping(found)
    for text in overrides:
        tree = reading.override(tree, text)
    return reading.build(tree, GptModel)


def from_hugging_face(path: Path) -> GptModel:
    """Read a ``config.json``: GPT-2, GPT-NeoX, and Llama-shaped models (Llama, Mistral). Raises ConfigError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a JSON file: {error}") from None
    kind = content.get("model_type") if isinstance(content, dict) else None
    reader = _READERS.get(str(kind))
    if reader is None:
        raise ConfigError(f"{path}: model_type {kind!r} isn't one of {', '.join(_READERS)}")
    try:
        values = reader(content)
    except KeyError as error:
        raise ConfigError(f"{path}: {error.args[0]} is missing") from None
    values |= {"name": path.parent.name or str(kind), "source": str(path), "output_head": True}
    values = {key: float(v) if GptModel.model_fields[key].annotation is float else v for key, v in values.items()}
    try:
        return GptModel.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path}: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
        ) from None


def _activation(name: str) -> str:
    for known in ("gelu", "silu", "relu"):
        if name.startswith(known) or (name == "swish" and known == "silu"):
            return known
    raise KeyError(f"activation {name!r} (gelu, silu and relu are known)")


def _gpt2(c: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "layers": c["n_layer"],
        "d_model": c["n_embd"],
        "heads": c["n_head"],
        "d_ff": c.get("n_inner") or 4 * c["n_embd"],
        "activation": _activation(c.get("activation_function", "gelu_new")),
        "bias": True,
        "vocab": c["vocab_size"],
        "max_positions": c.get("n_positions", 0),
    }


def _neox(c: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "layers": c["num_hidden_layers"],
        "d_model": c["hidden_size"],
        "heads": c["num_attention_heads"],
        "d_ff": c["intermediate_size"],
        "activation": _activation(c.get("hidden_act", "gelu")),
        "rotary_fraction": c.get("rotary_pct", 0.25),
        "rope_theta": c.get("rotary_emb_base", 10000),
        "parallel_residual": c.get("use_parallel_residual", True),
        "bias": c.get("attention_bias", True),
        "vocab": c["vocab_size"],
        "max_positions": c.get("max_position_embeddings", 0),
    }


def _llama(c: Mapping[str, Any]) -> dict[str, Any]:
    if c.get("attention_bias") or c.get("mlp_bias"):
        raise KeyError("support for attention_bias or mlp_bias in Llama shapes")
    return {
        "layers": c["num_hidden_layers"],
        "d_model": c["hidden_size"],
        "heads": c["num_attention_heads"],
        "kv_heads": c.get("num_key_value_heads") or c["num_attention_heads"],
        "head_dim": c.get("head_dim") or 0,
        "d_ff": c["intermediate_size"],
        "gated_mlp": True,
        "activation": _activation(c.get("hidden_act", "silu")),
        "norm": "rmsnorm",
        "rotary_fraction": 1.0,
        "rope_theta": c.get("rope_theta", 10000),
        "vocab": c["vocab_size"],
        "max_positions": c.get("max_position_embeddings", 0),
    }


_READERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "gpt2": _gpt2,
    "gpt_neox": _neox,
    "llama": _llama,
    "mistral": _llama,
}
