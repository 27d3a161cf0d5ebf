"""Records and array layout of the functional SASS machine.

A warp's register file is one ``u4[ROWS][32]`` matrix: row r is register Rr of the 32 lanes, so that one instruction is
a loop over 32 adjacent words. Rows above 255 stand for things that are not registers: RZ as a destination (dropped),
RZ as a source (zeros, eight rows so that a quad works too) and scratch rows for immediates and results.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LANES = 32
FULL = np.uint32(0xFFFFFFFF)

# Rows of the register matrix.
ROW_SINK = 256  # RZ as destination: 8 rows
ROW_ZERO = 264  # RZ as source: 8 rows of zeros
ROW_A = 272  # materialised operands: 4 rows each
ROW_B = 276
ROW_C = 280
ROW_E = 284
ROW_D = 288  # results before the masked write-back: 8 rows
ROW_T = 296  # temporaries: 8 rows
ROWS = 304

# Words of the uniform register file.
U_SINK = 256  # URZ as destination: 8 words
U_ZERO = 264  # URZ as source: 8 words
U_WORDS = 272

# Words of the predicate file: lane masks. Uniform predicates are held as 0 or all ones.
P_TRUE = 7
P_SINK = 8
UP_BASE = 16
UP_TRUE = 23
P_WORDS = 32

# Operand kinds.
K_REG = 0
K_UREG = 1
K_IMM = 2

# Operand modifiers, applied in this order: select, absolute, negate / invert.
MOD_INEG = 1  # two's complement (of the operand's width)
MOD_INOT = 2  # bitwise not (both words of a pair)
MOD_FABS = 4  # clear the sign bit (of the high word of a pair)
MOD_FNEG = 8  # flip the sign bit
MOD_HABS = 16  # as FABS, both halves
MOD_HNEG = 32
MOD_H0 = 64  # broadcast the low half
MOD_H1 = 128  # broadcast the high half
MOD_NEG_H1 = 256  # flip the sign of the high half only
MOD_NEG_H0 = 512

#: One static instruction, decoded. Operands a, b, c, e; predicates pd, pe (written), pa, pb (read); mem: an address.
INST_DT = np.dtype(
    [
        ("group", "u1"),
        ("op", "u2"),
        ("var", "i4"),  # modifiers of the operation, meaning per op
        ("rnd", "u1"),  # 0 nearest even, 1 toward minus infinity, 2 toward plus infinity, 3 toward zero
        ("guard", "u1"),  # index in the predicate file
        ("guard_inv", "u4"),  # all ones when negated
        ("uniform", "u1"),  # result goes to the uniform register file, executed once
        ("dst", "i4"),  # row (or uniform word)
        ("dst2", "i4"),
        ("dw", "u1"),  # rows written: 0, 1, 2, 4
        ("ak", "u1"), ("aw", "u1"), ("amod", "u2"), ("ar", "i4"), ("ai", "u8"),
        ("bk", "u1"), ("bw", "u1"), ("bmod", "u2"), ("br", "i4"), ("bi", "u8"),
        ("ck", "u1"), ("cw", "u1"), ("cmod", "u2"), ("cr", "i4"), ("ci", "u8"),
        ("ek", "u1"), ("ew", "u1"), ("emod", "u2"), ("er", "i4"), ("ei", "u8"),
        ("nsrc", "u1"),  # how many of a, b, c, e to fetch
        ("pd", "u1"), ("pe", "u1"),
        ("pa", "u1"), ("pa_inv", "u4"),
        ("pb", "u1"), ("pb_inv", "u4"),
        ("mr", "i4"), ("m64", "u1"), ("mu", "i4"), ("mu64", "u1"), ("mscale", "u1"), ("moff", "i8"),
        ("mr2", "i4"), ("m2_64", "u1"), ("mu2", "i4"), ("moff2", "i8"),  # second address (LDGSTS: global side)
        ("space", "u1"),
        ("size", "u1"),  # bytes per lane of a memory access
        ("strong", "u1"),  # a polling candidate: strong load or atomic
        ("target", "i4"),  # index of the branch target
        ("base", "i8"),  # byte address added to register targets
        ("records", "u1"),  # address records that one execution leaves in a trace
    ]
)  # fmt: skip

SPACE_GLOBAL, SPACE_SHARED, SPACE_LOCAL, SPACE_GENERIC = 1, 2, 3, 4

# Groups: one compiled function each.
(G_UNSUPPORTED, G_NOP, G_FLOW, G_INT, G_WIDE, G_ICMP, G_FP32, G_FCMP, G_FP64, G_HALF, G_CVT, G_MUFU, G_MEM, G_ATOM,
 G_WARP, G_SPECIAL, G_MMA, G_CONST, G_ASYNC) = range(19)  # fmt: skip

# State of a split: threads of a warp that run together.
S_FREE, S_RUN, S_BSYNC, S_BAR, S_WARPSYNC, S_CLUSTER = range(6)

# State of a warp as seen by the scheduler of its CTA.
W_RUN, W_BLOCKED, W_DONE = range(3)

# Why run_warp came back.
R_BLOCKED, R_DONE, R_SLICE, R_SPIN, R_FAULT, R_SYSCALL, R_FLUSH, R_LIMIT, R_PROGRESS = range(9)

# Faults.
(F_NONE, F_UNSUPPORTED, F_OOB, F_MISALIGNED, F_STACK, F_BAD_PC, F_TRAP, F_DEADLOCK, F_LIMIT, F_SHARED_OOB, F_BARRIER,
 F_CONST) = range(12)  # fmt: skip

SPLIT_DT = np.dtype(
    [
        ("pc", "i4"),  # the next instruction
        ("mask", "u4"),
        ("state", "u1"),
        ("arg", "u4"),  # what it waits for: convergence register, CTA barrier, mask of WARPSYNC
        ("age", "i8"),  # larger: spilled or stopped later
        ("waited", "u4"),  # lanes that have waited in the BSYNC at pc
    ]
)
SPLITS = 34

WARP_STATE_DT = np.dtype(
    [
        ("exists", "u4"),  # lanes with a thread
        ("exited", "u4"),
        ("split", "i4"),  # the running one
        ("next", "i4"),  # the one deferred last, -1 none
        ("youngest", "i8"), ("oldest", "i8"),  # ages handed out
        ("restored", "u4"),  # convergence registers written by BMOV
        ("stuck", "i4"), ("stuck_at", "i8"), ("turns", "i4"),  # of take_turns
        ("credit", "i8"),  # concurrent order: instructions it may still execute, negative while it waits for memory
        ("state", "u1"),
        ("cta_slot", "i4"),
        ("index", "i4"),  # warp within the CTA
        ("bar_result", "u4"),
        ("spin_pc", "i4"),
        ("spin_count", "i4"),
        # trace staging
        ("run_start", "u4"),
        ("run_count", "u4"),
        ("run_mask", "u4"),
        ("n_runs", "i4"),
        ("n_mems", "i4"),
        ("n_lanes", "i4"),
        ("n_inst", "i4"),
        ("segment", "i4"),
        ("total", "i8"),
    ]
)

BARRIERS = 16
CTA_DT = np.dtype(
    [
        ("linear", "i8"),
        ("x", "u4"), ("y", "u4"), ("z", "u4"),
        ("state", "u1"),  # 0 free, 1 running, 2 done
        ("record", "u1"),  # write a trace of it
        ("live_warps", "i4"),
        ("rank", "u4"),  # in its cluster
        ("cluster_first", "i4"),  # slot of rank 0
        ("cluster_size", "i4"),
        ("next_warp", "i4"),
        ("spin_rounds", "i4"),
        ("cluster_arrived", "u1"),
        ("bar_need", "i4", (BARRIERS,)),  # threads, 0: all
        ("bar_pop", "u4", (BARRIERS,)),
        ("bar_and", "u4", (BARRIERS,)),
        ("bar_or", "u4", (BARRIERS,)),
        ("bar_used", "u4"),  # bit mask of barriers somebody waits at
    ]
)  # fmt: skip

FAULT_DT = np.dtype([("code", "i4"), ("pc", "i4"), ("lane", "i4"), ("warp", "i4"), ("address", "u8"), ("mask", "u4")])

# Most trace staging of one warp; a segment is cut when one of them is full.
CAP_RUNS, CAP_MEMS, CAP_LANES = 4096, 4096, 16384

#: Scalars of a launch, in ``Ctx.scal`` (i8).
(Q_GBASE, Q_GBYTES, Q_SHARED_BYTES, Q_SHARED_OFF, Q_SHARED_STRIDE, Q_LOCAL_BYTES, Q_LOCAL_OFF, Q_LOCAL_STRIDE,
 Q_SHARED_WIN, Q_LOCAL_WIN, Q_WARPS, Q_NTID_X, Q_NTID_Y, Q_NTID_Z, Q_NCTA_X, Q_NCTA_Y, Q_NCTA_Z, Q_ARCH, Q_CLOCK,
 Q_EXECUTED, Q_MAX_INST, Q_TRACE, Q_N_CODE, Q_NSM, Q_MMA_GROUP, Q_CLUSTER, Q_SHARED_HEAD, Q_BATCH_WARPS, Q_BATCH_RUNS,
 Q_BATCH_MEMS, Q_BATCH_LANES, Q_SYSCALL, Q_SLOT, Q_WARP, Q_THREADS, Q_SMEM_USER, Q_TIME0, Q_NEXT_CTA, Q_NCTAS,
 Q_SLOTS, Q_RUNNING, Q_SAMPLE, Q_REGS, Q_YIELD_AT, Q_DONE_CTAS, Q_CLUSTER_X, Q_CLUSTER_Y, Q_CLUSTER_Z,
 Q_TURN, Q_ACCESS, Q_NOW, Q_COUNT) = range(52)  # fmt: skip

QUEUES = 1 << 12  # of atomics in the concurrent order

SHARED_WINDOW = 0x7F0000000000  # generic addresses: 4 GiB aligned, low word 0
LOCAL_WINDOW = 0x7F8000000000
SYSCALL_BASE = 0x7FE000000000  # addresses of imported functions (vprintf ...), 16 bytes apart


class Ctx(NamedTuple):
    """Everything that the compiled interpreter reads and writes during a launch."""

    V: Any  # u4[warps][ROWS][32]
    VF: Any  # the same memory as f4
    P: Any  # u4[warps][P_WORDS]
    U: Any  # u4[warps][U_WORDS]
    B: Any  # u4[warps][17]: convergence registers
    S: Any  # u8[8][32] scratch
    SF: Any  # the same memory as f8
    warps: Any  # WARP_STATE_DT[warps]
    splits: Any  # SPLIT_DT[warps][SPLITS]
    ctas: Any  # CTA_DT[slots]
    bars: Any  # u4[slots][BARRIERS][warps per CTA]: arrived lanes
    code: Any  # INST_DT[n]
    pc_index: Any  # i4[code bytes / 16]: instruction index at an address, -1 none
    mem: Any  # u4[]: global heap, then shared and local of the resident CTAs
    valid: Any  # u2[]: live bytes of each 256-byte granule of the heap
    cbank: Any  # u1[]: constant banks one after the other
    cbank_pos: Any  # i8[32][2]: start and size
    mma: Any  # f8[4][1024] scratch of the matrix unit
    counts: Any  # i8[n][3]: executions, active lanes, active and predicated-on lanes
    fault: Any  # FAULT_DT[1]
    scal: Any  # i8[Q_COUNT]
    busy: Any  # i8[QUEUES]: concurrent order, when the atomics of a word (by hash) are done, in 1/16 instructions
    runs: Any  # u4[warps][CAP_RUNS][3] staging
    mems: Any  # i8[warps][CAP_MEMS][3] staging
    lanes: Any  # u8[warps][CAP_LANES] staging
    bwarps: Any  # WARP_DT[] batch
    bruns: Any  # u4[][3]
    bmems: Any  # i8[][3]
    blanes: Any  # u8[]
