"""What the ASIC's SRAM has to hold: it bounds the length of a sequence, and how many heads are in work at a time.

Live at the same time, for every sequence of a batch: residual stream, q, k and v, context vector, and the scores of the
heads in work; in the feed-forward part the residual stream, the inner values and the sums of the second product.
Weights, and what a product has not needed yet, never enter the ASIC; logits leave it as they come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.errors import ConfigError
from archsim.pim.system import VALUE_BYTES

if TYPE_CHECKING:
    from archsim.pim.mapping import HeadLayout, ModelLayout
    from archsim.pim.models import GptModel


def _vectors(model: GptModel) -> tuple[int, int]:
    """Values beside the scores: during attention, and during the feed-forward part."""
    heads, pairs = model.heads * model.head_width, 2 * model.kv * model.head_width
    inner = model.ff * (2 if model.gated_mlp else 1)
    return model.d_model + heads + pairs + heads, 2 * model.d_model + inner


def pair_values(heads: HeadLayout, pair: int, group: int, context: int) -> int:
    """Scores of pair ``pair`` (a query head of every channel, ``group`` of them for each key/value head)."""
    ways = 1 if pair < heads.full * group else heads.ways
    return -(-context // ways) * heads.channels


def _room(layout: ModelLayout) -> int:
    """Values of scores that fit beside the vectors of one sequence."""
    return layout.system.asic.sram_bytes // VALUE_BYTES // layout.batch - _vectors(layout.model)[0]


def pairs_in_work(layout: ModelLayout, context: int) -> list[range]:
    """The query heads of a channel in the groups whose scores the SRAM holds at a time."""
    heads, group, room = layout.attention, layout.model.group, _room(layout)
    groups, first, held = [], 0, 0
    for pair in range(heads.slots * group):
        values = pair_values(heads, pair, group, context)
        if held + values > room and pair > first:
            groups.append(range(first, pair))
            first, held = pair, 0
        held += values
    return [*groups, range(first, heads.slots * group)]


def most_scored_tokens(layout: ModelLayout) -> int:
    """Longest sequence of which one query head of every channel fits, negative if not even the vectors do."""
    heads = layout.attention
    return _room(layout) // heads.channels * (1 if heads.full else heads.ways)


def check(layout: ModelLayout, tokens: int) -> None:
    """ConfigError naming ``asic.sram_bytes`` where vectors or scores of ``tokens`` tokens don't fit."""
    sram = layout.system.asic.sram_bytes
    attention, feed_forward = (VALUE_BYTES * layout.batch * n for n in _vectors(layout.model))
    of = f"{layout.batch} sequence{'s' if layout.batch > 1 else ''}"
    needed = max(attention, feed_forward)
    if needed > sram:
        raise ConfigError(
            f"{layout.model.name} on {layout.system.name}: the vectors of {of} take {needed:,} bytes, "
            f"asic.sram_bytes is {sram:,}"
        )
    most = most_scored_tokens(layout)
    if tokens > most:
        raise ConfigError(
            f"{layout.model.name} on {layout.system.name}: asic.sram_bytes = {sram:,} overflows at token {most + 1}: "
            f"beside {attention:,} bytes of vectors the scores of one head a channel don't fit ({of})"
        )
