"""Record layouts of the GPU timing model: every array that the compiled kernels touch.

Times are int64 SM cycles. Register ids live in one space per warp (used by the scoreboard mode): 0-254 regular, 256-318
uniform, 320-326 predicate, 328-334 uniform predicate.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from archsim.kernels.jit import jit  # noqa: F401 - every kernel module takes it from here

NEVER = 1 << 60  # a time that does not come by itself
NO_SB = 7
NUM_SB = 6
REGISTER_WORDS = 6  # 336 register ids in 64-bit words, the sign bit unused: 63 ids a word
IDS_PER_WORD = 56
MAX_IBUFFER = 16
MAX_BARRIERS = 16
INSTRUCTION_SPACE = 1 << 50  # where program code lies in the address space that L2 sees
CONST_SPACE = 1 << 51  # where constant banks lie among the addresses that the chip sees
CONST_MISSES = 32  # constant misses of an SM that are merged by line
CONST_MERGED = 1 << 16  # tag of their request
MISS_NODES = 640  # that one instruction can take: LDL.128 touches 128 lines, each with a miss and waits for others (5)
MAX_GROUPS = 8  # LDGSTS groups of one warp that may be open

# Execution units, numbered like archsim.isa.tables.Unit.
INT, FP32, FP16, FP64, SFU, TENSOR, UNIFORM, BRANCH, MISC, MISC_QUEUE, MEMORY = range(11)
FP32_SECOND = 11  # a second FP32 datapath of its own
NUM_UNITS = 12

# Memory spaces and kinds, numbered like archsim.isa.tables.MemSpace / MemKind.
SPACE_NONE, SPACE_GLOBAL, SPACE_LOCAL, SPACE_SHARED, SPACE_CONST, SPACE_GENERIC, SPACE_TEXTURE, SPACE_SURFACE = range(8)
KIND_NONE, KIND_LOAD, KIND_STORE, KIND_ATOMIC, KIND_REDUCTION, KIND_LDGSTS, KIND_FENCE, KIND_MISC, KIND_BULK = range(9)

# Control flow, numbered like archsim.isa.tables.Flow.
FLOW_NONE, FLOW_BRANCH, FLOW_CALL, FLOW_RET, FLOW_EXIT, FLOW_BARRIER = range(6)
FLOW_WARPSYNC, FLOW_DEPBAR, FLOW_LDGDEPBAR, FLOW_SLEEP, FLOW_CLOCK, FLOW_YIELD = range(6, 12)

# What became of an issue slot. Nearest to issue first: a slot is charged to the smallest reason among its warps.
ISSUED, STALL_DISPATCH, STALL_MATH_PIPE, STALL_MIO_THROTTLE, STALL_LG_THROTTLE, STALL_IMC_MISS = range(6)
STALL_WAIT, STALL_BRANCH_RESOLVE, STALL_NO_INSTRUCTION, STALL_SHORT_SCOREBOARD, STALL_LONG_SCOREBOARD = range(6, 11)
STALL_MEMBAR, STALL_BARRIER, STALL_SLEEPING, STALL_DRAIN, STALL_NO_WARP = range(11, 16)
NUM_REASONS = 16
REASON_NAMES = (
    "issued",
    "dispatch_stall",
    "math_pipe_throttle",
    "mio_throttle",
    "lg_throttle",
    "imc_miss",
    "wait",
    "branch_resolve",
    "no_instruction",
    "short_scoreboard",
    "long_scoreboard",
    "membar",
    "barrier",
    "sleeping",
    "drain",
    "no_warp",
)

# Static instruction flags.
F_VARIABLE = 1  # guarded by dependence counters: leaves Control for a unit's queue
F_PREDICATE = 2  # writes a predicate
F_WIDE_READ = 4  # long operand window (tensor operations with a four-register operand)
F_IMAD_WIDE = 8
F_RFC = 16  # its operands go through the register-file cache
F_BYPASS_L1 = 32  # served at L2: atomics, .STRONG.GPU/.SYS loads, LDGSTS.BYPASS
F_LONG = 64  # its write barrier counts as a long scoreboard
F_SECOND_PIPE = 128  # FP32 that may use the second datapath
F_CLOCK = 256  # reads the clock in Control
F_MATRIX_LOAD = 512  # LDSM: row addresses
F_ARRIVE_ONLY = 1024  # BAR.ARV

TURN_NONE, TURN_DIRECT, TURN_INDIRECT, TURN_SYNC = range(4)

INST = np.dtype(
    [
        ("unit", "u1"),
        ("space", "u1"),
        ("kind", "u1"),
        ("flow", "u1"),
        ("flags", "i4"),
        ("stall", "u1"),
        ("yields", "u1"),
        ("wb", "u1"),
        ("rb", "u1"),
        ("wait", "u1"),
        ("bytes", "u1"),  # access size of one lane
        ("mem_records", "u1"),
        ("turn", "u1"),  # TURN_*: what deciding where the warp goes on takes
        ("num_src", "u1"),
        ("src", "i2", (4,)),  # regular source registers by operand slot
        ("src_width", "u1", (4,)),
        ("src_reuse", "u1", (4,)),
        ("dst", "i2"),
        ("dst_width", "u1"),
        ("latency", "i4"),  # issue to use; memory: issue to release of the write barrier on a hit
        ("ii", "i4"),  # cycles that the unit's input latch is held
        ("war", "i4"),  # issue to release of the read barrier (variable latency)
        ("agu", "i4"),  # cycles of address generation
        ("const_line", "i4"),  # fixed-latency constant operand: its cache line, -1 none
        ("arg0", "i4"),  # BAR: id; DEPBAR: counter; MEMBAR: issue block in cycles
        ("arg1", "i4"),  # BAR: warps expected (0 = the whole CTA); DEPBAR: limit
        ("arg2", "i4"),  # DEPBAR: mask of further counters
        ("reads", "i8", (REGISTER_WORDS,)),
        ("writes", "i8", (REGISTER_WORDS,)),
    ],
    align=True,
)

PARAM_NAMES = (
    # machine
    "num_sms num_subcores num_warps num_ctas window_cycles scoreboard war_consumers "
    # issue
    "stall0_yield stall_no_yield depbar_check imad_wide_port fl_switch ibuffer fetch_to_issue sleep_cycles "
    "turn_direct turn_indirect turn_divergent turn_sync "
    # front end (cache sizes in sets and ways; lines in instructions)
    "line_insts l0_sets l0_ways l1i_sets l1i_ways l0_l1_request l0_l1_reply perfect_icache prefetch_lines "
    "l1i_fill l1i_mshrs launch_lines "
    "fl_sets fl_ways vl_sets vl_ways vl_miss "
    # register file
    "banks read_ports write_ports window tensor_window second_pipe "
    # memory pipeline
    "queue accept_base accept_interval prt shared_conflict return_cycles_per_register prefetch_slots "
    "shared_base local_base window_bytes local_bytes data_bytes_per_cycle tag_quarters l1_mshrs "
    "l1_sets l1_lines l1_write_allocate l1_buckets barrier_interval barrier_latency sm_port_bytes request_bytes "
    # chip
    "l2_trip l2_far_extra l2_partitions l2_sets l2_ways l2_milli_per_sector dram_trip dram_milli_per_sector "
    "atomic_milli_per_packet reply_milli_per_sector cta_launch_latency first_wave_interval cta_milli "
    "launch_constants acks"
).split()
PARAM = np.dtype([(name, "i8") for name in PARAM_NAMES])

W_EMPTY, W_ACTIVE, W_BARRIER, W_MEMBAR, W_DRAIN = range(5)

WARP = np.dtype(
    [
        ("state", "u1"),
        ("why", "u1"),  # last reason that this warp could not issue
        ("buffered", "u1"),  # instruction-buffer entries, decoded or in flight
        ("fetch_blocked", "u1"),  # an L0 miss is outstanding
        ("sb_long", "u1"),  # bit k: counter k was last raised by a long-latency producer
        ("redirected", "u1"),  # the buffer was flushed by a taken branch
        ("last", "u1"),  # the loaded segment is the warp's last
        ("next_last", "u1"),
        ("next_ready", "u1"),  # the next segment is loaded
        ("sleeping", "u1"),
        ("groups", "u1"),  # open LDGSTS groups
        ("group_sb", "u1", (MAX_GROUPS,)),
        ("cta", "i4"),  # CTA slot of this SM
        ("pc", "i4"),  # static index of the oldest instruction
        ("fetch_pc", "i4"),  # next static index to fetch
        ("mask", "u4"),
        ("run_off", "i4"),
        ("depbar_pc", "i4"),
        ("ldgsts_issued", "i4"),
        ("ldgsts_done", "i4"),
        ("loads", "i4"),  # memory instructions in flight that return something
        ("stores", "i4"),  # unacknowledged stores
        ("warp_in_cta", "i4"),
        ("barrier", "i4"),
        ("group_at", "i4", (MAX_GROUPS,)),
        ("try_at", "i8"),  # earliest cycle at which it might issue
        ("ready_at", "i8"),  # stall counter and yield
        ("avail", "i8", (MAX_IBUFFER,)),  # cycles at which the buffered instructions can issue
        ("sb", "i8"),  # six 8-bit dependence counters
        ("depbar_from", "i8"),  # cycle from which the armed DEPBAR holds (NEVER: none)
        ("run", "i8"),
        ("run_end", "i8"),
        ("mem", "i8"),
        ("left", "i8"),  # instructions left in the loaded segment
        ("next_run", "i8"),
        ("next_run_end", "i8"),
        ("next_mem", "i8"),
        ("next_left", "i8"),
        ("segment", "i8"),  # index of the loaded segment
        ("trace_cta", "i8"),
        ("busy", "i8", (REGISTER_WORDS,)),  # registers waiting for a result (scoreboard mode)
        ("busy_long", "i8", (REGISTER_WORDS,)),  # those of them that wait for memory
    ],
    align=True,
)

SUBCORE = np.dtype(
    [
        ("wake", "i8"),  # next cycle that needs evaluation
        ("idle_from", "i8"),  # first cycle not yet accounted
        ("idle_why", "i8"),
        ("idle_pc", "i8"),  # instruction that empty slots are charged to (kept only with Machine.per_pc)
        ("greedy", "i8"),  # slot that issued last
        ("fl_until", "i8"),  # until then, issue sticks to a greedy warp whose constant misses
        ("port_block", "i8"),  # issue port blocked until this cycle
        ("want_fetch", "i8"),  # bit per slot: has a free instruction-buffer entry and may fetch
        ("ctl_pc", "i4"),  # Issue -> Control latch; pc < 0: empty
        ("ctl_warp", "i4"),
        ("ctl_mask", "u4"),
        ("ctl_seen", "u1"),
        ("ctl_mem", "i8"),
        ("ctl_at", "i8"),
        ("alc_pc", "i4"),  # Control -> Allocate latch; pc < 0: empty
        ("alc_warp", "i4"),
        ("alc_at", "i8"),
        ("pend_warp", "i4"),  # dependence-counter increments that become visible after this cycle
        ("pend_long", "u1"),
        ("pend_delta", "i8"),
        ("port_base", "i8"),  # register-port bookings: bit k of a word = cycle port_base + k
        ("read_used", "i8", (2,)),
        ("write_used", "i8", (2,)),
        ("mq_count", "i4"),  # sub-core memory unit: entries, oldest, entries past address generation
        ("mq_head", "i4"),
        ("mq_started", "i4"),
        ("agu_free", "i8"),
        ("accept_after", "i8"),
        ("return_free", "i8"),
        ("sfu_free", "i8"),
        ("fp64_free", "i8"),
        ("misc_free", "i8"),
        ("pf_active", "u1"),  # prefetch queue: FIFO of lines
        ("pf_count", "i4"),
        ("pf_head", "i4"),
        ("pf_last", "i8"),
    ],
    align=True,
)

SM = np.dtype(
    [
        ("now", "i8"),
        ("next", "i8"),  # earliest cycle at which anything can happen
        ("live_warps", "i8"),
        ("live_ctas", "i8"),
        ("launches", "i8"),  # warps launched so far: a warp's age
        ("accept_free", "i8"),
        ("accept_next", "i8"),
        ("data_free_x4", "i8"),  # data stage of the L1D/shared array, in quarter cycles
        ("prt_free_count", "i8"),
        ("prt_free", "i8"),
        ("mshr_free_count", "i8"),
        ("mshr_free", "i8"),
        ("event_free", "i8"),
        ("far_head", "i8"),
        ("far_check", "i8"),
        ("fp64_free", "i8"),
        ("barrier_free", "i8"),
        ("l1i_free", "i8"),
        ("l1i_missing", "i8"),  # instruction lines on their way from the chip
        ("code_next", "i8"),  # next line that the launch brings into L1, and the line after its last
        ("code_end", "i8"),
        ("out_free", "i8"),
        ("requests", "i8"),
        ("active_from", "i8"),
        ("last_done", "i8"),
        ("error", "i8"),
        ("lsu_next", "i8"),  # when the shared load/store unit looks for an instruction
        ("refill", "i8"),  # a warp will need its next segment soon
        ("done_ctas", "i8"),
        ("lru", "i8"),
        ("launched", "i8"),  # what the launch itself brings to this SM is there
        ("const_waiting", "i8"),  # constant misses on their way, in the order in which they were found
        ("const_line", "i8", (CONST_MISSES,)),
        ("const_tag", "i4", (CONST_MISSES,)),
    ],
    align=True,
)

ERR_NONE, ERR_EVENTS, ERR_REQUESTS, ERR_SEGMENT, ERR_MSHR = range(5)

MQ = np.dtype(
    [("pc", "i4"), ("warp", "i4"), ("mask", "u4"), ("mem", "i8"), ("issued", "i8"), ("start", "i8"), ("ready", "i8")],
    align=True,
)

PRT = np.dtype(
    [
        ("warp", "i4"),
        ("pc", "i4"),
        ("waiting", "i4"),  # requests outstanding
        ("next", "i4"),
        ("extra", "i8"),  # cycles from the last reply to the release of the write barrier
    ],
    align=True,
)

# Kinds of requests to the chip.
REQ_READ, REQ_WRITE, REQ_ATOMIC, REQ_REDUCTION, REQ_INST, REQ_CONST = range(6)

ATOMIC_INTEGER, ATOMIC_FLOAT, ATOMIC_SWAP = range(3)

REQUEST = np.dtype(
    [
        ("time", "i8"),  # cycle at which it leaves the SM
        ("line", "i8"),  # byte address of the 128-byte line
        ("kind", "u1"),
        ("sectors", "u1"),  # bit k: 32-byte sector k
        ("sm", "i4"),
        (
            "tag",
            "i4",
        ),  # MSHR (REQ_READ through L1), PRT (bypass, atomics), warp (stores), sub-core (REQ_INST, REQ_CONST)
        ("bypass", "u1"),
        ("bytes", "i4"),  # payload towards L2
        ("ops", "i4"),  # packets of an atomic: one a sector, or one a lane where lanes name the same word
        ("what", "u1"),  # ATOMIC_*
    ],
    align=True,
)

EVENT = np.dtype([("time", "i8"), ("kind", "i4"), ("arg", "i4"), ("value", "i8"), ("next", "i8")], align=True)
EV_SB, EV_REGISTERS, EV_READERS, EV_FETCH, EV_FL, EV_VL, EV_REPLY_L1, EV_REPLY_DIRECT = range(8)
EV_ACK, EV_LOAD_DONE, EV_LDGSTS, EV_BARRIER, EV_INST, EV_CONST, EV_START, EV_DRAIN = range(8, 16)
EV_TURN = 16  # a branch is decided: the warp fetches from its target

WHEEL_SLOTS = 2048
WHEEL_WORDS = WHEEL_SLOTS // 32  # 32 slots a word keeps the sign bit out of the way

CTA_EMPTY, CTA_RUNNING, CTA_DONE = range(3)
CTA = np.dtype(
    [
        ("state", "u1"),
        ("trace_cta", "i8"),
        ("batch", "i8"),
        ("warps", "i4"),
        ("warps_left", "i4"),
        ("arrived", "i4", (MAX_BARRIERS,)),
        ("expected", "i4", (MAX_BARRIERS,)),
        ("done_at", "i8"),
    ],
    align=True,
)

LINE = np.dtype(
    [
        ("tag", "i8"),
        ("valid", "u1"),
        ("pending", "u1"),
        ("older", "i4"),
        ("newer", "i4"),
        ("chain", "i4"),
        ("mshr", "i4"),
    ],
    align=True,
)
# An MSHR node is either a request (sectors != 0; `waiters` heads a chain of waiter nodes) or a waiter (prt).
MSHR = np.dtype([("sectors", "u1"), ("prt", "i4"), ("next", "i4"), ("waiters", "i4"), ("line", "i4")], align=True)

QUEUED = np.dtype([("trace_cta", "i8"), ("row", "i8"), ("warps", "i8"), ("batch", "i8")], align=True)
ROW = np.dtype(
    [("run", "i8"), ("run_end", "i8"), ("mem", "i8"), ("left", "i8"), ("warp", "i4"), ("last", "u1")], align=True
)
L2LINE = np.dtype(
    [("tag", "i8"), ("stamp", "i8"), ("ready", "i8"), ("valid", "u1"), ("dirty", "u1")], align=True
)  # ready: cycle at which its last fill from DRAM is there

CHIP = np.dtype(
    [
        ("now", "i8"),
        ("queue_head", "i8"),  # next CTA in the queue
        ("queue_tail", "i8"),
        ("ctas_left", "i8"),  # CTAs of the kernel not yet queued
        ("running", "i8"),
        ("started", "i8"),  # the first wave is placed
        ("dispatch_milli", "i8"),  # thousandths of a cycle from which the chip starts another CTA
        ("first_start", "i8"),  # cycle at which the first wave starts
        ("last_done", "i8"),
        ("low_water", "i8"),  # CTAs in the queue below which it is refilled
        ("ctas_per_sm", "i8"),
        ("l2_free_milli", "i8"),
        ("dram_free_milli", "i8"),
        ("atomic_free_milli", "i8"),
        ("stamp", "i8"),
    ],
    align=True,
)
STOP_DONE, STOP_QUEUE, STOP_SEGMENTS, STOP_LIMIT, STOP_TIME, STOP_DEADLOCK, STOP_ERROR = range(7)

COUNTERS = (
    "warp_instructions thread_instructions fetches l0_hits l0_misses prefetch_hits prefetches l1i_hits l1i_misses "
    "fl_hits fl_misses vl_hits vl_misses register_reads rfc_hits rfc_lookups port_stall_cycles write_port_delays "
    "global_loads global_stores shared_loads shared_stores local_loads local_stores atomics shared_atomics reductions "
    "ldgsts constants misc_memory "
    "load_requests load_sectors load_sector_hits load_sector_pending load_sector_misses "
    "store_requests store_sectors store_sector_hits atomic_sectors local_load_sectors local_store_sectors "
    "ldgsts_sectors shared_wavefronts shared_ideal_wavefronts l1_wavefronts lsu_backpressure_cycles "
    "barriers branches taken_branches ctas active_cycles warp_cycles "
    "l2_read_sectors l2_read_hits l2_write_sectors l2_write_hits l2_atomic_sectors l2_inst_sectors l2_const_sectors "
    "dram_read_bytes dram_write_bytes noc_request_bytes noc_reply_bytes"
).split()
STATS = np.dtype([(name, "i8") for name in COUNTERS] + [("unit", "i8", (NUM_UNITS,))], align=True)

LOG_ISSUE, LOG_CONTROL, LOG_ALLOCATE, LOG_READ, LOG_WRITEBACK, LOG_ACCEPT, LOG_SB = range(7)
LOG_CTA_BEGIN, LOG_CTA_END = 7, 8  # ``warp`` is the CTA's slot, ``value`` its number in the launch
LOG = np.dtype(
    [("cycle", "i8"), ("what", "i4"), ("sm", "i4"), ("warp", "i4"), ("pc", "i4"), ("value", "i8")], align=True
)


class Machine(NamedTuple):
    """All state of one chip. Sub-core index = sm * num_subcores + k; warp index = sm * num_warps + w."""

    par: np.ndarray  # PARAM[1]
    ins: np.ndarray  # INST[n]: the static program
    sm: np.ndarray  # SM[num_sms]
    sc: np.ndarray  # SUBCORE[sub-cores]
    wp: np.ndarray  # WARP[warps]
    age: np.ndarray  # i8[sub-cores, slots]: launch order of the warp in each slot; larger = younger
    unit_free: np.ndarray  # i8[sub-cores, NUM_UNITS]: cycle from which a unit's input latch is free
    stalls: np.ndarray  # i8[sub-cores, NUM_REASONS]: issue slots by fate
    mq: np.ndarray  # MQ[sub-cores, queue entries]
    prt: np.ndarray  # PRT[num_sms, entries]
    mshr: np.ndarray  # MSHR[num_sms, nodes]
    lines: np.ndarray  # LINE[num_sms, l1_lines]: L1D
    index: np.ndarray  # i4[num_sms, l1_buckets + 2 * l1_sets]: hash buckets, then newest and oldest line of each set
    caches: np.ndarray  # i8[num_sms, n]: tags and stamps of the small caches (L0 I, L1 I, FL, VL)
    pending: np.ndarray  # i8[sub-cores, slots, 3]: (line, state, cycle at which the request reaches L1) of prefetches,
    # demand misses and constant misses (line and state only)
    wheel: np.ndarray  # i4[num_sms, WHEEL_SLOTS, 2]: first and last event of each slot
    wheel_bits: np.ndarray  # i8[num_sms, WHEEL_WORDS]: which slots hold an event
    events: np.ndarray  # EVENT[num_sms, pool]
    cta: np.ndarray  # CTA[num_sms, num_ctas]
    stats: np.ndarray  # STATS[num_sms]
    requests: np.ndarray  # REQUEST[num_sms, max_requests]
    scratch: np.ndarray  # i8[num_sms, 160]: coalescer's working space
    readers: np.ndarray  # u1[warps, 336] pending readers of each register (scoreboard mode), or u1[1, 1]
    plugins: Any  # Plugins: scheduler, prefetcher, register-file cache
    log: Any  # LOG[n] event log, or None
    per_pc: Any  # i8[num_sms, static instructions + 1, NUM_REASONS] issue slots by instruction (last: none), or None


class Chip(NamedTuple):
    """What the SMs share."""

    state: np.ndarray  # CHIP[1]
    l2: np.ndarray  # L2LINE[l2_sets, l2_ways]
    order: np.ndarray  # i8[n, 4]: scratch for ordering requests and finished CTAs
    reply_free: np.ndarray  # i8[num_sms]: thousandths of a cycle from which an SM's reply port is free
    batch_left: np.ndarray  # i8[n]: CTAs of each loaded batch that have not finished
    memory: Any  # memory_layout.FullMemory, or None: the parametric backend
    team: np.ndarray  # i8[TEAM_CLAIMS + threads, TEAM_WORDS]: see `team`


class Trace(NamedTuple):
    """Loaded parts of the trace: rows and records of the batches in memory."""

    queue: np.ndarray  # QUEUED[n]
    rows: np.ndarray  # ROW[n]
    runs: np.ndarray  # archsim.trace RUN_DT[n]
    mems: np.ndarray  # archsim.trace MEM_DT[n]
    lanes: np.ndarray  # u8[n]


class Plugins(NamedTuple):
    """One plug-in instance of each kind."""

    scheduler: Any
    prefetcher: Any
    rfc: Any
