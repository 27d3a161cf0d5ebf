"""Records of the full memory backend: network, L2 slices, and the way to the DRAM engine (docs/memory.md).

Times are SM cycles. A *line* is a 128-byte line number; a line's *place* is its index in the L2 arrays
(set of the chip * ways + way).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

SECTORS = 4
REPLY_SLOTS = 8192  # cycles that the wheel of replies looks ahead; later ones go round once more
KIND_FORWARD = 16  # a request kind beside REQ_*: a slice asks the line's home slice for sectors

HASH_DT = np.dtype(
    [
        ("ways", "i8"),  # how many targets
        ("odd", "i8"),  # its odd factor
        ("bits", "i8"),  # log2 of the other factor
        ("rotate", "i8"),  # 1: the upper address rotates the odd part
        ("poly", "i8", (12,)),  # row k: which bits of the upper address are summed into bit k
    ]
)

PAR_NAMES = (
    "slices partitions slices_per_partition sets ways "
    "crossing hit_latency far_there far_back mshrs read_milli write_milli "
    "atomic_request_milli atomic_milli same_word_milli float_milli swap_milli "
    "write_packet_milli reduction_packet_milli atomic_packet_milli "
    "dram_there dram_back channels dram_backlog ticks_numerator in_network slice_queue bank_xor "
    "block_shift slices_per_channel gpcs num_sms coalescer_window coalescer_reads first_access"
).split()
PAR_DT = np.dtype([(name, "i8") for name in PAR_NAMES] + [("slice_hash", HASH_DT), ("channel_hash", HASH_DT)])
TICK_SHIFT = 20  # ticks = cycles * ticks_numerator >> TICK_SHIFT

STATE_DT = np.dtype(
    [
        ("stamp", "i8"),
        ("free_node", "i8"),
        ("free_nodes", "i8"),
        ("queued", "i8"),  # nodes in slice queues
        ("held", "i8"),  # requests left in outboxes because they leave their SM later
        ("forwards", "i8"),  # requests between slices not yet in the queue of the slice that they go to
        ("misses", "i8"),  # DRAM accesses not yet handed to a channel
        ("in_dram", "i8"),
        ("replies", "i8"),  # nodes in the wheel
        ("delivered", "i8"),  # cycle up to which replies were handed to the SMs
        ("crossbar_free", "i8"),  # thousandths of a cycle from which the crossbar takes another write or atomic
    ]
)

# Requests of the SMs to a slice, and those of other slices.
QUEUE_DT = np.dtype([("head", "i8"), ("tail", "i8"), ("stalled", "i8"), ("count", "i8")])
SLICE_DT = np.dtype(
    [
        ("free", "i8"),  # thousandths of a cycle from which the slice takes the next request
        ("atomic_free", "i8"),  # the same for its atomic unit
        ("queued", "i8"),
        ("mshrs", "i8", (2,)),  # lines with a miss outstanding: own lines, copies of another partition's lines
    ]
)

NODE_DT = np.dtype(
    [
        ("time", "i8"),
        ("line", "i8"),
        ("data", "i8"),  # cycle at which all its data are there, as far as known
        ("address", "i8"),
        ("place", "i8"),  # KIND_FORWARD: the copy to be filled
        ("kind", "i4"),
        ("sectors", "i4"),
        ("want", "i4"),  # sectors that it waits for
        ("sm", "i4"),
        ("tag", "i4"),
        ("bypass", "i4"),
        ("ops", "i4"),
        ("what", "i4"),
        ("far", "i4"),  # it went through another partition
        ("shared", "i4"),  # 1: answered together with an earlier read, -1: not decided yet
        ("late", "i4"),  # cycles that the answer comes later because the SM has just begun to use memory
        ("next", "i4"),
    ],
    align=True,
)

L2_DT = np.dtype(
    [
        ("ready", "i8"),  # cycle at which its last fill is there
        ("valid", "i4"),
        ("dirty", "i4"),
        ("pending", "i4"),
        ("copies", "i4"),  # bit p: partition p may hold a copy
        ("waiters", "i4"),
    ],
    align=True,
)

# Reads that the coalescer in front of a slice has sent on: a later one of the same group waits for the same answer.
SHARED_DT = np.dtype(
    [
        ("line", "i8"),
        ("since", "i8"),  # arrival of the read that was sent on
        ("until", "i8"),  # when its answer leaves the slice, if it hits
        ("group", "i4"),
        ("sectors", "i4"),
        ("count", "i4"),  # reads answered together so far
    ],
    align=True,
)

# A field of the DRAM address, from the lowest up: ``target`` 0 bank, 1 row, 2 column.
PART_DT = np.dtype([("shift", "i8"), ("mask", "i8"), ("target", "i8"), ("weight", "i8")])


class FullMemory(NamedTuple):
    """State of L2, its network and the DRAM behind it."""

    par: np.ndarray  # PAR_DT[1]
    state: np.ndarray  # STATE_DT[1]
    slice: np.ndarray  # SLICE_DT[slices]
    queue: np.ndarray  # QUEUE_DT[slices, 2]
    node: np.ndarray  # NODE_DT[pool]
    tags: np.ndarray  # i8[sets of the chip, ways]: line number or -1
    stamps: np.ndarray  # i8[sets of the chip, ways]: last use
    lines: np.ndarray  # L2_DT[sets of the chip * ways]
    wheel: np.ndarray  # i8[REPLY_SLOTS, 2]: first and last reply that arrives at its SM in that cycle
    in_network: np.ndarray  # i8[num_sms]: requests sent and not yet taken by a slice
    miss: np.ndarray  # i8[n, 4]: (time, access) and scratch for sorting
    forward: np.ndarray  # i8[n, 4]: (time, node) of requests between slices, and scratch for sorting
    in_dram: np.ndarray  # i8[channels]: accesses under way
    begun: np.ndarray  # i8[num_sms]: cycle from which an SM's first access of the kernel is through, -1 before it
    shared: np.ndarray  # SHARED_DT[slices, coalescer entries]
    parts: np.ndarray  # PART_DT[n]
    dram: Any  # archsim.kernels.dram_layout.Dram
