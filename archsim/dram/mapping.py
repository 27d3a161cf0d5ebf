"""Address mappings: which bits of a byte address select channel, bank, row and column.

Two notations. An *order* string lists the fields from the most significant down: ``RoBaRaCoBgPcCh``; a number after a
field gives the bits (or, for a size that is no power of two, the share) of this part, so that a field can be split:
``RoBaCo4BgCo1``. A *bit* string has one letter a bit, as GPGPU-Sim writes it: R row, B bank, G bank group, P
pseudo-channel, K rank, C column, D channel, S byte within a burst; dots are ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from archsim.dram.config import DramConfig
from archsim.errors import ConfigError

FIELDS = {
    "Ch": "channel",
    "Pc": "pseudochannel",
    "Ra": "rank",
    "Bg": "bankgroup",
    "Ba": "bank",
    "Ro": "row",
    "Co": "column",
}
_LETTERS = {"D": "Ch", "P": "Pc", "K": "Ra", "G": "Bg", "B": "Ba", "R": "Ro", "C": "Co", "S": "S"}
_PART = re.compile(r"(Ch|Pc|Ra|Bg|Ba|Ro|Co)(\d*)")


@dataclass(frozen=True)
class Mapping:
    """``parts``: (field, size, weight) from the least significant up; address/burst is divided by the sizes in turn."""

    offset_bytes: int
    parts: tuple[tuple[str, int, int], ...]
    xor: tuple[tuple[str, str, int], ...]
    sizes: dict[str, int]

    def decode(self, address: np.ndarray) -> dict[str, np.ndarray]:
        """Fields of byte addresses (int64 arrays of the same shape); addresses beyond the capacity wrap around."""
        rest = np.asarray(address, np.uint64) // np.uint64(self.offset_bytes)
        fields = {name: np.zeros(rest.shape, np.int64) for name in FIELDS.values()}
        for name, size, weight in self.parts:
            quotient = rest // np.uint64(size)
            fields[name] += (rest - quotient * np.uint64(size)).astype(np.int64) * weight
            rest = quotient
        for target, source, shift in self.xor:
            fields[target] ^= (fields[source] >> shift) & (self.sizes[target] - 1)
        return fields

    def encode(self, fields: dict[str, np.ndarray]) -> np.ndarray:
        """Byte address of the first byte of a burst: the inverse of `decode`. Missing fields are 0."""
        shape = np.broadcast_shapes(*(np.shape(v) for v in fields.values()))
        values = {n: np.broadcast_to(np.asarray(fields.get(n, 0), np.int64), shape).copy() for n in FIELDS.values()}
        for target, source, shift in reversed(self.xor):
            values[target] ^= (values[source] >> shift) & (self.sizes[target] - 1)
        address = np.zeros(shape, np.int64)
        weight = 1
        for name, size, part_weight in self.parts:
            address += values[name] // part_weight % size * weight
            weight *= size
        return address * self.offset_bytes

    @property
    def capacity_bytes(self) -> int:
        """Bytes that the mapping addresses."""
        total = self.offset_bytes
        for _, size, _ in self.parts:
            total *= size
        return total


def make_mapping(config: DramConfig) -> Mapping:
    """Mapping of a configuration. ConfigError if a field is missing, too wide or unknown."""
    o = config.organization
    sizes = {
        "channel": config.channels,
        "pseudochannel": o["pseudochannel"],
        "rank": o["rank"],
        "bankgroup": o["bankgroup"],
        "bank": o["bank"],
        "row": o["rows"],
        "column": o["columns"],
    }
    text = config.mapping
    is_bits = re.fullmatch(r"[DPKGBRCS.;]+", text) is not None
    parts = _bit_parts(text) if is_bits else _order_parts(text)
    where = f"{config.name}: mapping {text!r}"
    offset = config.burst_bytes
    if is_bits:
        offset = 1
        for name, size in parts:
            if name != "S":
                break
            offset *= size
        if offset != config.burst_bytes:
            raise ConfigError(f"{where}: {offset} bytes of S at the bottom, but a burst has {config.burst_bytes}")
        parts = [part for part in parts if part[0] != "S"]
    for target, source, shift in config.xor:
        for name in (target, source):
            if name not in sizes:
                raise ConfigError(f"{config.name}: xor: {name!r} is not a field ({', '.join(sizes)})")
        if sizes[target] & (sizes[target] - 1) or target == source or shift < 0:
            raise ConfigError(f"{config.name}: xor: can't apply ({target}, {source}, {shift})")
    return Mapping(offset, _weigh(parts, sizes, where), config.xor, sizes)


def _order_parts(text: str) -> list[tuple[str, int]]:
    """(field, bits or 0) from the least significant up."""
    found = _PART.findall(text)
    if "".join(name + digits for name, digits in found) != text or not found:
        raise ConfigError(
            f"mapping {text!r}: expected fields {', '.join(FIELDS)} with optional bit counts, or a bit string"
        )
    return [(FIELDS[name], 1 << int(digits) if digits else 0) for name, digits in reversed(found)]


def _bit_parts(text: str) -> list[tuple[str, int]]:
    letters = [c for c in reversed(text) if c not in ".;"]
    return [
        ("S" if letter == "S" else FIELDS[_LETTERS[letter]], 1 << len(list(group)))
        for letter, group in groupby(letters)
    ]


def _weigh(parts: list[tuple[str, int]], sizes: dict[str, int], where: str) -> tuple[tuple[str, int, int], ...]:
    """Give every part its size and its weight within the field; the part without a size takes the rest."""
    given: dict[str, int] = {}
    open_parts: dict[str, int] = {}
    for name, size in parts:
        if size:
            given[name] = given.get(name, 1) * size
        else:
            open_parts[name] = open_parts.get(name, 0) + 1
    result = []
    weight = dict.fromkeys(sizes, 1)
    for name, size in parts:
        if not size:
            if open_parts[name] > 1:
                raise ConfigError(f"{where}: {name} appears twice without a bit count")
            if sizes[name] % given.get(name, 1):
                raise ConfigError(f"{where}: {name} has {sizes[name]} values, not a multiple of {given[name]}")
            size = sizes[name] // given.get(name, 1)
        result.append((name, size, weight[name]))
        weight[name] *= size
    for name, size in sizes.items():
        if weight[name] != size and not (weight[name] == 1 and size == 1):
            raise ConfigError(f"{where}: addresses {weight[name]} of {size} values of {name}")
    return tuple(result)


def flat_bank(config: DramConfig, fields: dict[str, np.ndarray]) -> np.ndarray:
    """Bank number within the channel: pseudo-channel, rank, bank group and bank in that order."""
    o = config.organization
    bank = fields["pseudochannel"]
    for name in ("rank", "bankgroup", "bank"):
        bank = bank * o[name] + fields[name]
    return bank
