"""Addresses of one warp memory instruction -> distinct lines and sectors (global) or wavefronts (shared memory).

Scratch of an SM (``Machine.scratch[sm]``): [0:128] line numbers, [128:256] their sector masks, [256:288] lane
addresses, [288:416] bytes that lanes touch in each sector of a line (16 bits a sector), [416:544] lanes of each line.
"""

import numpy as np

from archsim.kernels.bits import ctz, popcount
from archsim.kernels.layout import jit

SECTORS_AT = 128  # 32 lanes touch at most 4 lines each
LANES_AT = 256
BYTES_AT = 288
LANE_COUNT_AT = 416
SCRATCH_WORDS = 544


@jit
def lane_addresses(row, mem, lanes, mask):
    """Write the address of every active lane to scratch."""
    begin = mem["lane_begin"]
    rest = mask
    if begin < 0:
        base = np.int64(mem["base"])
        stride = mem["stride"]
        while rest != 0:
            lane = ctz(rest)
            rest &= rest - 1
            row[LANES_AT + lane] = base + stride * lane
    else:
        while rest != 0:
            lane = ctz(rest)
            rest &= rest - 1
            row[LANES_AT + lane] = np.int64(lanes[begin])
            begin += 1


@jit
def spread_local(row, mask, window):
    """Turn per-thread local offsets into addresses: word j of the 32 lanes is one 128-byte line of ``window``."""
    rest = mask
    while rest != 0:
        lane = ctz(rest)
        rest &= rest - 1
        offset = row[LANES_AT + lane]
        row[LANES_AT + lane] = window + (offset >> 2) * 128 + lane * 4 + (offset & 3)


@jit
def _add(row, count, line, sector, size):
    """Add ``size`` bytes of a sector to the list of lines; returns the new number of lines."""
    for i in range(count - 1, -1, -1):
        if row[i] == line:
            row[SECTORS_AT + i] |= 1 << sector
            row[BYTES_AT + i] += size << (16 * sector)
            row[LANE_COUNT_AT + i] += 1
            return count
    row[count] = line
    row[SECTORS_AT + count] = 1 << sector
    row[BYTES_AT + count] = size << (16 * sector)
    row[LANE_COUNT_AT + count] = 1
    return count + 1


@jit
def lines_and_sectors(row, mask, size, word_stride):
    """Distinct 128-byte lines and their 32-byte sectors, in lane order; returns the number of lines.

    ``size``: bytes per lane. ``word_stride``: distance between the 4-byte words of one lane (4 in global memory, 128 in
    the interleaved local space).
    """
    count = 0
    pieces = 1
    step = size
    if word_stride != 4:
        pieces = (size + 3) // 4
        step = word_stride
    rest = mask
    while rest != 0:
        lane = ctz(rest)
        rest &= rest - 1
        address = row[LANES_AT + lane]
        for piece in range(pieces):
            at = address + piece * step
            count = _add(row, count, at >> 7, (at >> 5) & 3, min(size, 4) if pieces > 1 else size)
        if pieces == 1:
            last = address + size - 1
            if last >> 5 != address >> 5:
                count = _add(row, count, last >> 7, (last >> 5) & 3, 0)
    return count


@jit
def full_sectors(row, i):
    """Sectors of line ``i`` of the list that the lanes cover completely (each byte once)."""
    full = 0
    for sector in range(4):
        if (row[BYTES_AT + i] >> (16 * sector)) & 0xFFFF >= 32:
            full |= 1 << sector
    return full


@jit
def count_sectors(row, count):
    total = 0
    for i in range(count):
        total += popcount(row[SECTORS_AT + i])
    return total


@jit
def _group_wavefronts(row, lanes):
    """Most distinct words that fall into one of the 32 banks, over a group of lanes that are served together."""
    worst = 1
    seen = 0  # banks touched so far
    repeated = 0  # banks touched more than once: only these need counting
    rest = lanes
    while rest != 0:
        lane = ctz(rest)
        rest &= rest - 1
        bank = (row[LANES_AT + lane] >> 2) & 31
        repeated |= seen & (1 << bank)
        seen |= 1 << bank
    while repeated != 0:
        bank = ctz(repeated)
        repeated &= repeated - 1
        worst = max(worst, _distinct_words(row, lanes, bank))
    return worst


@jit
def _distinct_words(row, lanes, bank):
    """Distinct 4-byte words of ``bank`` among the first words of the given lanes."""
    count = 0
    rest = lanes
    while rest != 0:
        lane = ctz(rest)
        rest &= rest - 1
        word = row[LANES_AT + lane] >> 2
        if word & 31 == bank:
            new = True
            earlier = lanes & ((1 << lane) - 1)
            while earlier != 0:
                other = ctz(earlier)
                earlier &= earlier - 1
                if row[LANES_AT + other] >> 2 == word:
                    new = False
                    break
            if new:
                count += 1
    return count


@jit
def shared_wavefronts(row, mask, size):
    """Cycles of the shared-memory array for one instruction: bank conflicts, and the passes of wide accesses.

    64-bit accesses are served a half warp at a time, 128-bit ones a quarter warp (also the rows of LDSM).
    """
    if size <= 4:
        return _group_wavefronts(row, mask)
    lanes = 16 if size == 8 else 8
    total = 0
    for first in range(0, 32, lanes):
        group = mask & (((1 << lanes) - 1) << first)
        if group != 0:
            total += _group_wavefronts(row, group)
    return max(total, 1)


@jit
def ideal_wavefronts(mask, size):
    """Wavefronts of a conflict-free access."""
    if size <= 4:
        return 1
    lanes = 16 if size == 8 else 8
    total = 0
    for first in range(0, 32, lanes):
        if mask & (((1 << lanes) - 1) << first) != 0:
            total += 1
    return max(total, 1)


@jit
def first_lane(mask):
    """Lowest active lane."""
    return ctz(mask)


@jit
def earlier_lane(row, mask, lane, shift):
    """True if an active lane before ``lane`` has the same address, without its ``shift`` lowest bits."""
    wanted = row[LANES_AT + lane] >> shift
    earlier = mask & ((1 << lane) - 1)
    while earlier != 0:
        other = ctz(earlier)
        earlier &= earlier - 1
        if row[LANES_AT + other] >> shift == wanted:
            return True
    return False


@jit
def same_address(row, mask):
    """True if all active lanes name one address."""
    first = row[LANES_AT + ctz(mask)]
    rest = mask & (mask - 1)
    while rest != 0:
        if row[LANES_AT + ctz(rest)] != first:
            return False
        rest &= rest - 1
    return True


@jit
def subtract(row, mask, base):
    """Turn addresses into offsets from ``base``."""
    rest = mask
    while rest != 0:
        lane = ctz(rest)
        rest &= rest - 1
        row[LANES_AT + lane] -= base


@jit
def atomic_packets(row, mask, i):
    """Packets of an atomic to line ``i`` of the list: one a sector, one a lane where lanes name the same word."""
    line = row[i]
    total = 0
    for sector in range(4):
        worst = 0
        rest = mask
        while rest != 0:
            lane = ctz(rest)
            rest &= rest - 1
            address = row[LANES_AT + lane]
            if address >> 5 != line * 4 + sector:
                continue
            count = 1
            others = mask & ((1 << lane) - 1)
            while others != 0:
                other = ctz(others)
                others &= others - 1
                if row[LANES_AT + other] == address:
                    count += 1
            worst = max(worst, count)
        total += worst
    return total


@jit
def same_address_lanes(row, mask):
    """Largest number of lanes that name the same word: atomics on it are carried out one after the other."""
    worst = 1
    rest = mask
    while rest != 0:
        lane = ctz(rest)
        rest &= rest - 1
        count = 1
        others = rest
        while others != 0:
            other = ctz(others)
            others &= others - 1
            if row[LANES_AT + other] == row[LANES_AT + lane]:
                count += 1
        worst = max(worst, count)
    return worst
