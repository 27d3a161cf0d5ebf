"""Control-flow, warp-wide and special-register rows of the op table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archsim.emulator.encoder import Encoder
from archsim.emulator.flow_ops import (
    BAR_AND,
    BAR_ARV,
    BAR_OR,
    BAR_POPC,
    BAR_SYNC,
    FL_BAR,
    FL_BMOV_FROM,
    FL_BMOV_TO,
    FL_BRA,
    FL_BRA_CONV,
    FL_BRA_DIV,
    FL_BREAK,
    FL_BSSY,
    FL_BSYNC,
    FL_CALL,
    FL_CALL_ABS,
    FL_CLUSTER_WAIT,
    FL_EXIT,
    FL_INDIRECT,
    FL_NANOSLEEP,
    FL_TRAP,
    FL_WARPSYNC,
    FL_YIELD,
)
from archsim.emulator.int_ops import I_MOV2
from archsim.emulator.ops_table_memory import nothing
from archsim.emulator.records import G_FLOW, G_INT, G_NOP, G_SPECIAL, G_WARP, K_IMM, K_REG, ROW_SINK, ROW_ZERO
from archsim.emulator.special_ops import (
    SR_CGACTAID,
    SR_CGASIZE,
    SR_CLOCKHI,
    SR_CLOCKLO,
    SR_CTAID_X,
    SR_CTAID_Y,
    SR_CTAID_Z,
    SR_EQMASK,
    SR_GEMASK,
    SR_GTIMEHI,
    SR_GTIMELO,
    SR_GTMASK,
    SR_LANEID,
    SR_LEMASK,
    SR_LTMASK,
    SR_SMEMSZ,
    SR_SMID,
    SR_SWINHI,
    SR_TID,
    SR_TID_X,
    SR_TID_Y,
    SR_TID_Z,
    SR_VIRTCFG,
    SR_VIRTID,
    SR_ZERO,
)
from archsim.emulator.warp_ops import (
    RD_AND,
    RD_MAX,
    RD_MIN,
    RD_OR,
    RD_SMAX,
    RD_SMIN,
    RD_SUM,
    RD_XOR,
    X_B2R,
    X_ELECT,
    X_MATCH_ALL,
    X_MATCH_ANY,
    X_REDUX,
    X_SHFL,
    X_VOTE,
)
from archsim.isa.program import RZ, Operand, OperandKind

SPECIAL = {
    "SRZ": SR_ZERO, "SR_TID": SR_TID, "SR_TID.X": SR_TID_X, "SR_TID.Y": SR_TID_Y, "SR_TID.Z": SR_TID_Z,
    "SR_CTAID.X": SR_CTAID_X, "SR_CTAID.Y": SR_CTAID_Y, "SR_CTAID.Z": SR_CTAID_Z, "SR_LANEID": SR_LANEID,
    "SR_EQMASK": SR_EQMASK, "SR_LTMASK": SR_LTMASK, "SR_LEMASK": SR_LEMASK, "SR_GTMASK": SR_GTMASK,
    "SR_GEMASK": SR_GEMASK, "SR_VIRTID": SR_VIRTID, "SR_VIRTUALSMID": SR_SMID, "SR_VIRTCFG": SR_VIRTCFG,
    "SR_SMEMSZ": SR_SMEMSZ, "SR_SWINHI": SR_SWINHI, "SR_CgaCtaId": SR_CGACTAID, "SR_CgaSize": SR_CGASIZE,
    "SR_CLOCKLO": SR_CLOCKLO, "SR_CLOCKHI": SR_CLOCKHI, "SR_CLOCK": SR_CLOCKLO, "SR_GLOBALTIMERLO": SR_GTIMELO,
    "SR_GLOBALTIMERHI": SR_GTIMEHI, "SR_PM0": SR_ZERO,
}  # fmt: skip


def special(words: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        narrow = e.has("32")
        count = 1 if narrow else words
        source = next((o for o in e.ins.sources if o.kind == OperandKind.SREG), None)
        if source is None or source.text not in SPECIAL:
            e.fail("special register " + (source.text if source else "?"))
        assert source is not None
        e.op(G_SPECIAL, SPECIAL[source.text], count)
        e.dst(count)
        e.pred_dst()

    return encode


def target(e: Encoder) -> None:
    """The branch target of the label operand."""
    labels = [o for o in (*e.ins.dests, *e.ins.sources) if o.kind == OperandKind.LABEL]
    if not labels:
        e.fail("no branch target")
    e.r["target"] = e.target_index(labels[0].value)


def bra(e: Encoder) -> None:
    e.ignore("U", "INC", "DEC")
    divergent, convergent = e.has("DIV"), e.has("CONV")
    e.op(G_FLOW, FL_BRA_DIV if divergent else (FL_BRA_CONV if convergent else FL_BRA))
    e.pred_src()
    if divergent or convergent:  # sm_75 leaves out the mask when it is all 32 lanes
        e.src("i", operand=None if e.regs else Operand(OperandKind.IMM, "0xffffffff", value=0xFFFFFFFF))
    elif e.regs:
        e.fail("register operand of a branch")
    target(e)


def barrier_register(e: Encoder) -> int:
    o = next((o for o in (*e.ins.dests, *e.ins.sources) if o.kind == OperandKind.BREG), None)
    if o is None:
        e.fail("no convergence register")
    return o.reg


def convergence(op: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        e.ignore("RELIABLE", "RECONVERGENT")
        e.op(G_FLOW, op, barrier_register(e))
        if e.preds:
            e.pred_src()
            if e.r["pa"] != 7 or e.r["pa_inv"]:
                e.fail("predicate operand")

    return encode


def bmov(e: Encoder) -> None:
    e.has("32")
    clear = 32 if e.has("CLEAR") else 0
    bar = barrier_register(e)
    if e.out_regs:
        e.op(G_FLOW, FL_BMOV_FROM, bar | clear)
        e.dst(0)
        if e.r["uniform"]:
            e.fail("uniform BMOV")
    elif any(o.kind == OperandKind.REG and o.reg == RZ for o in e.ins.dests):
        e.op(G_FLOW, FL_BMOV_FROM, bar | clear)
        e.r["dst"] = ROW_SINK
    else:
        e.op(G_FLOW, FL_BMOV_TO, bar | clear)
        e.src("i")


def exit_(e: Encoder) -> None:
    e.ignore("KEEPREFCOUNT", "PREEMPTED")
    e.op(G_FLOW, FL_EXIT)
    e.pred_src()


def register_pair(e: Encoder) -> None:
    o = next(o for o in e.regs if o.kind == OperandKind.REG)
    e.src("r", 2, o)


def call(e: Encoder) -> None:
    absolute = e.has("ABS")
    e.ignore("REL", "NOINC", "INC")
    has_register = any(o.kind == OperandKind.REG for o in e.regs)
    if has_register:
        e.op(G_FLOW, FL_CALL_ABS if absolute else FL_INDIRECT)
        register_pair(e)
        e.r["base"] = e.labels[0].value if e.labels and not absolute else 0
    elif any(o.kind == OperandKind.CONST for o in e.regs):
        e.op(G_FLOW, FL_CALL_ABS)
        e.src("r", 2)
    else:
        e.op(G_FLOW, FL_CALL)
        target(e)


def ret(e: Encoder) -> None:
    absolute = e.has("ABS")
    e.ignore("REL", "NODEC", "DEC")
    e.op(G_FLOW, FL_INDIRECT)
    register_pair(e)
    e.r["base"] = 0 if absolute or not e.labels else e.labels[0].value


def brx(e: Encoder) -> None:
    e.op(G_FLOW, FL_INDIRECT)
    register_pair(e)
    offset = next((o.value for o in e.regs if o.kind == OperandKind.IMM), 0)
    e.r["base"] = e.ins.address + 16 + offset


def bar(e: Encoder) -> None:
    e.ignore("DEFER_BLOCKING")
    kind = BAR_SYNC
    if e.has("ARV"):
        kind = BAR_ARV
    elif e.has("RED"):
        kind = e.choose({"POPC": BAR_POPC, "AND": BAR_AND, "OR": BAR_OR})
    else:
        e.has("SYNC")
    e.op(G_FLOW, FL_BAR, kind | (16 if len(e.regs) > 1 else 0))
    e.src("i")
    if len(e.regs) > 1:
        e.src("i")
    e.pred_src()


def warpsync(e: Encoder) -> None:
    everyone = e.has("ALL")
    if e.has("COLLECTIVE"):
        e.fail("WARPSYNC.COLLECTIVE")
    e.ignore("EXCLUSIVE")
    e.op(G_FLOW, FL_WARPSYNC, 1 if everyone else 0)
    if not everyone:
        e.src("i")


def flow(op: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        e.mods.clear()
        e.op(G_FLOW, op)

    return encode


def trap(e: Encoder) -> None:
    if not e.has("TRAP"):
        e.fail("BPT form")
    e.op(G_FLOW, FL_TRAP)


def lepc(e: Encoder) -> None:
    """Own address, or the address of a label: a 64-bit constant of the program's pc space."""
    value = e.labels[0].value if e.labels else e.ins.address
    immediates = [o for o in e.regs if o.kind == OperandKind.IMM]
    if not e.labels and immediates:
        value = e.ins.address + immediates[0].value
    e.op(G_INT, I_MOV2)
    e.dst(2)
    e.r["nsrc"], e.r["ak"], e.r["aw"], e.r["ai"] = 1, K_IMM, 2, value


def shfl(e: Encoder) -> None:
    mode = e.choose({"IDX": 0, "UP": 1, "DOWN": 2, "BFLY": 3})
    e.op(G_WARP, X_SHFL, mode)
    e.dst()
    e.pred_dst()
    for _ in range(3):
        e.src("i")


def vote(e: Encoder) -> None:
    mode = e.choose({"ANY": 0, "ALL": 1, "EQ": 2})
    e.op(G_WARP, X_VOTE, mode)
    e.dst()
    e.pred_dst()
    if e.ins.base == "VOTEU":
        e.r["uniform"] = 2
    e.pred_src()


def match(e: Encoder) -> None:
    every = e.choose({"ANY": 0, "ALL": 1})
    wide = 1 if e.has("U64") else 0
    e.ignore("U32")
    e.op(G_WARP, X_MATCH_ALL if every else X_MATCH_ANY, wide)
    e.dst()
    e.pred_dst()
    e.src("r", 2 if wide else 1)


def redux(e: Encoder) -> None:
    name = next((m for m in e.mods if m in ("SUM", "MIN", "MAX", "OR", "XOR", "AND")), "AND")
    e.has(name)
    signed = e.has("S32")
    e.has("U32")
    op = {"AND": RD_AND, "OR": RD_OR, "XOR": RD_XOR, "SUM": RD_SUM, "MIN": RD_SMIN if signed else RD_MIN,
          "MAX": RD_SMAX if signed else RD_MAX}[name]  # fmt: skip
    e.op(G_WARP, X_REDUX, op)
    e.dst()
    e.r["uniform"] = 2
    e.src("i")


def elect(e: Encoder) -> None:
    e.op(G_WARP, X_ELECT)
    e.dst()
    e.pred_dst()
    e.pred_src()
    if e.out_regs and e.out_regs[0].kind == OperandKind.UREG:
        e.r["uniform"] = 2


def b2r(e: Encoder) -> None:
    if not e.has("RESULT"):
        e.fail("B2R form")
    e.op(G_WARP, X_B2R)
    e.dst()
    e.pred_dst()


WARP_OPS: dict[str, Callable[[Encoder], Any]] = {
    "BRA": bra, "BSSY": convergence(FL_BSSY), "BSYNC": convergence(FL_BSYNC), "BREAK": convergence(FL_BREAK),
    "BMOV": bmov, "EXIT": exit_, "KILL": exit_, "CALL": call, "RET": ret, "BRX": brx, "JMP": bra, "BAR": bar,
    "WARPSYNC": warpsync, "YIELD": flow(FL_YIELD), "NANOSLEEP": flow(FL_NANOSLEEP), "BPT": trap, "LEPC": lepc,
    "S2R": special(1), "S2UR": special(1), "CS2R": special(2), "CS2UR": special(2), "SHFL": shfl, "VOTE": vote,
    "VOTEU": vote, "MATCH": match, "REDUX": redux, "ELECT": elect, "B2R": b2r, "NOP": nothing, "PMTRIG": nothing,
    "UCGABAR_ARV": nothing, "UCGABAR_WAIT": flow(FL_CLUSTER_WAIT),
}  # fmt: skip

__all__ = ["G_NOP", "K_REG", "ROW_ZERO", "WARP_OPS"]
