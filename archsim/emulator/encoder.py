"""Encoder: writes one INST_DT record from one Instruction. The op table (ops_table.py) is written in its terms."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from archsim.emulator.records import (
    FULL,
    K_IMM,
    K_REG,
    K_UREG,
    MOD_FABS,
    MOD_FNEG,
    MOD_H0,
    MOD_H1,
    MOD_HABS,
    MOD_HNEG,
    MOD_INEG,
    MOD_INOT,
    P_SINK,
    P_TRUE,
    ROW_SINK,
    ROW_ZERO,
    U_SINK,
    U_ZERO,
    UP_BASE,
)
from archsim.isa.program import NONE_REG, PT, RZ, URZ, Instruction, Operand, OperandKind

REGISTER_KINDS = (OperandKind.REG, OperandKind.UREG, OperandKind.CONST, OperandKind.IMM, OperandKind.FIMM)
PREDICATE_KINDS = (OperandKind.PRED, OperandKind.UPRED)
MEMORY_KINDS = (OperandKind.MEM, OperandKind.DESC)
NAMES = "abce"
ROUNDING = {"RN": 0, "RM": 1, "RP": 2, "RZ": 3, "FLOOR": 1, "CEIL": 2, "TRUNC": 3}


class NotEmulated(Exception):
    """An opcode, modifier or operand form that the emulator does not know."""


class Encoder:
    """State of the encoding of one instruction. ``mods`` loses each modifier as it is understood; any left over makes
    the instruction unsupported."""

    def __init__(self, instruction: Instruction, arch: int, record: Any, target_index: Any) -> None:
        self.ins, self.arch, self.r = instruction, arch, record
        self.target_index = target_index
        self.constants: list[tuple[str, int, int, int]] = []  # (field, bank, offset, bytes) filled in at launch
        self.mods = list(instruction.modifiers)
        sources = instruction.sources
        self.regs = [o for o in sources if o.kind in REGISTER_KINDS]
        self.preds = [o for o in sources if o.kind in PREDICATE_KINDS]
        self.mems = [o for o in (*instruction.dests, *sources) if o.kind in MEMORY_KINDS]
        self.labels = [o for o in sources if o.kind == OperandKind.LABEL]
        self.out_regs = [o for o in instruction.dests if o.kind in (OperandKind.REG, OperandKind.UREG)]
        self.out_preds = [o for o in instruction.dests if o.kind in PREDICATE_KINDS]
        self.taken = 0

    # ---- modifiers

    def has(self, name: str) -> bool:
        """Consume a modifier."""
        if name in self.mods:
            self.mods.remove(name)
            return True
        return False

    def ignore(self, *names: str) -> None:
        """Consume modifiers without functional effect."""
        for name in names:
            self.has(name)

    def choose(self, table: dict[str, int], default: int | None = None) -> int:
        """The value of the first modifier found in the table."""
        for name in list(self.mods):
            if name in table:
                self.mods.remove(name)
                return table[name]
        if default is None:
            raise NotEmulated(f"none of {', '.join(table)}")
        return default

    def rounding(self) -> None:
        """Consume a rounding modifier."""
        self.r["rnd"] = self.choose(ROUNDING, 0)

    def fail(self, why: str) -> NoReturn:
        raise NotEmulated(why)

    # ---- operation

    def op(self, group: int, op: int, var: int = 0) -> None:
        r = self.r
        r["group"], r["op"], r["var"] = group, op, var

    # ---- destinations

    def dst(self, words: int = 1) -> None:
        """The destination register, `words` consecutive."""
        r = self.r
        if not self.out_regs:
            r["dst"], r["dw"] = ROW_SINK, 0
            return
        o = self.out_regs[0]
        if o.kind == OperandKind.UREG:
            r["uniform"] = max(int(r["uniform"]), 1)
            r["dst"] = U_SINK if o.reg == URZ else o.reg
        else:
            r["dst"] = ROW_SINK if o.reg == RZ else o.reg
        r["dw"] = words

    def pred_dst(self) -> None:
        """Up to two destination predicates."""
        for field, o in zip(("pd", "pe"), self.out_preds, strict=False):
            self.r[field] = self.pred_index(o, True)
            if o.kind == OperandKind.UPRED:
                self.r["uniform"] = max(int(self.r["uniform"]), 1)
        if len(self.out_preds) > 2:
            self.fail("three destination predicates")

    @staticmethod
    def pred_index(o: Operand, written: bool) -> int:
        base = UP_BASE if o.kind == OperandKind.UPRED else 0
        if o.reg == PT:
            return P_SINK if written else base + P_TRUE
        return base + o.reg

    # ---- sources

    def pred_src(self, count: int = 1, default: bool = True) -> None:
        """`count` source predicates into pa, pb; a missing one is `default`."""
        for i, field in enumerate(("pa", "pb")[:count]):
            if i < len(self.preds):
                o = self.preds[i]
                self.r[field] = self.pred_index(o, False)
                self.r[field + "_inv"] = FULL if o.negated else 0
            else:
                self.r[field], self.r[field + "_inv"] = P_TRUE, 0 if default else FULL
        if len(self.preds) > count:
            self.fail(f"{len(self.preds)} source predicates")

    def src(self, style: str = "i", width: int = 1, operand: Operand | None = None) -> Operand:
        """The next register-like source into a, b, c, e. Styles: i integer (- is two's complement, ~ is not), n
        integer whose - is kept as a complement (the caller adds 1), f FP32, d FP64, h packed half, r raw."""
        if operand is None:
            if self.taken >= len(self.regs):
                self.fail("too few operands")
            operand = self.regs[self.taken]
        name = NAMES[self.taken]
        self.taken += 1
        self.r["nsrc"] = self.taken
        self.set_source(name, operand, style, width)
        return operand

    def set_source(self, name: str, o: Operand, style: str, width: int) -> None:
        r = self.r
        r[name + "w"] = width
        r[name + "mod"] = self.source_mods(o, style, width)
        if o.kind == OperandKind.REG:
            r[name + "k"], r[name + "r"] = K_REG, ROW_ZERO if o.reg == RZ else o.reg
        elif o.kind == OperandKind.UREG:
            r[name + "k"], r[name + "r"] = K_UREG, U_ZERO if o.reg == URZ else o.reg
        else:
            r[name + "k"] = K_IMM
            r[name + "i"] = np.uint64(self.immediate(name, o, style, width) & (2**64 - 1))

    def immediate(self, name: str, o: Operand, style: str, width: int) -> int:
        """Value of an immediate; a constant-bank word is noted and filled in at launch."""
        if o.kind == OperandKind.CONST:
            if o.reg not in (NONE_REG, RZ) or o.ureg not in (NONE_REG, URZ) or o.desc != NONE_REG:
                self.fail("indexed constant operand")
            self.constants.append((name + "i", o.bank, o.value, 4 * width))
            return 0
        if style == "d" and o.kind == OperandKind.IMM and width == 2:
            return (o.value & 0xFFFFFFFF) << 32
        if width == 1:
            return o.value & 0xFFFFFFFF
        return o.value

    def source_mods(self, o: Operand, style: str, width: int) -> int:
        mods = 0
        if o.kind in (OperandKind.IMM, OperandKind.FIMM):
            if o.negated or o.absolute:
                self.fail("sign on an immediate")
            return 0
        for name in o.modifiers:
            if name in ("H0_H0", "H1_H1"):
                mods |= MOD_H0 if name == "H0_H0" else MOD_H1
            elif name in ("H1_H0", "reuse", "ROW", "COL"):
                pass
            elif style != "r":
                self.fail(f"operand modifier .{name}")
        if o.absolute:
            if style not in "fdh":
                self.fail("|x| on an integer")
            mods |= MOD_HABS if style == "h" else MOD_FABS
        if o.negated:
            if style in "in":
                inverted = o.text.lstrip().startswith("~") or style == "n"
                mods |= MOD_INOT if inverted else MOD_INEG
            elif style == "h":
                mods |= MOD_HNEG
            elif style in "fd":
                mods |= MOD_FNEG
            else:
                self.fail("negated operand")
        return mods

    def set_zero(self, name: str) -> None:
        """A source that is zero."""
        r = self.r
        self.taken = max(self.taken, NAMES.index(name) + 1)
        r["nsrc"] = self.taken
        r[name + "k"], r[name + "w"], r[name + "r"] = K_REG, 2, ROW_ZERO

    def arithmetic_negative(self, o: Operand) -> bool:
        """True for -x (not ~x) on a register-like operand."""
        return o.negated and o.text.lstrip().startswith("-")

    # ---- memory

    def memory(self, space: int, size: int, operand: Operand | None = None, second: bool = False) -> None:
        """The address operand."""
        o = operand if operand is not None else (self.mems[0] if self.mems else self.fail("no address"))
        assert o is not None
        r, tail = self.r, "2" if second else ""
        if not second:
            r["space"], r["size"] = space, size
        r["mr" + tail] = -1 if o.reg in (NONE_REG, RZ) else o.reg
        r["mu" + tail] = -1 if o.ureg in (NONE_REG, URZ) else o.ureg
        r["moff" + tail] = o.value
        wide = space in (1, 4) and "U32" not in o.modifiers
        r["m2_64" if second else "m64"] = 1 if wide else 0
        if not second:
            r["mu64"] = 1 if space in (1, 4) and self.arch < 80 else 0
            r["mscale"] = 1
        elif o.ureg not in (NONE_REG, URZ):
            self.fail("uniform register in a second address")
        for name in o.modifiers:
            if name in ("X4", "X8", "X16") and not second:
                r["mscale"] = int(name[1:])
            elif name not in ("U32",):
                self.fail(f"address modifier .{name}")

    def width_modifier(self) -> int:
        """Bytes of a load or store, consuming .U8 ... .128."""
        return self.choose({"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16}, 4)
