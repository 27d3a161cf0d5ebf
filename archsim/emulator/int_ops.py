"""Integer, logic, shift and bit-field instructions on 32-bit lanes (sass.md 4.1, 4.2).

Every operation reads operand rows ra, rb, rc of V and leaves its result in ROW_D (and ROW_D+1 for pairs).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.bits import brev32, highest, popc32
from archsim.emulator.operands import write_pred
from archsim.emulator.records import ROW_D
from archsim.kernels.jit import jit

u32, u64, i32, i64 = np.uint32, np.uint64, np.int32, np.int64
LOW = u64(0xFFFFFFFF)

(I_IADD3, I_MOV, I_IMAD, I_LOP3, I_SHF, I_LEA, I_LEAHI, I_SEL, I_IMNMX, I_IABS, I_PRMT, I_BMSK, I_SGXT, I_FLO, I_POPC,
 I_BREV, I_IDP4, I_IDP2, I_VABSDIFF, I_VABSDIFF4, I_VADDMNMX, I_IMNMX3, I_VADD2, I_VMNMX2, I_PRMT_MODE, I_VADDMNMX2,
 I_VMNMX3_2, I_LOP3P, I_R2P, I_P2R, I_MOV2, I_SEL2) = range(32)  # fmt: skip
(W_WIDE, W_HI) = range(2)


@jit
def lut_rows(V: Any, ra: int, rb: int, rc: int, lut: int) -> None:
    """D = the three-input bit function whose truth table is lut (index a*4 + b*2 + c)."""
    z, o = u32(0), u32(0xFFFFFFFF)
    k0 = o if lut & 1 else z
    k1 = o if lut & 2 else z
    k2 = o if lut & 4 else z
    k3 = o if lut & 8 else z
    k4 = o if lut & 16 else z
    k5 = o if lut & 32 else z
    k6 = o if lut & 64 else z
    k7 = o if lut & 128 else z
    for l in range(32):
        a, b, c = V[ra, l], V[rb, l], V[rc, l]
        t0 = k0 ^ ((k0 ^ k1) & c)
        t1 = k2 ^ ((k2 ^ k3) & c)
        t2 = k4 ^ ((k4 ^ k5) & c)
        t3 = k6 ^ ((k6 ^ k7) & c)
        t0 = t0 ^ ((t0 ^ t1) & b)
        t2 = t2 ^ ((t2 ^ t3) & b)
        V[ROW_D, l] = t0 ^ ((t0 ^ t2) & a)


@jit
def lut_bits(a: Any, b: Any, c: Any, lut: int) -> Any:
    """The same on three single words."""
    r = u32(0)
    for i in range(8):
        if lut >> i & 1:
            x = a if i & 4 else u32(~a)
            y = b if i & 2 else u32(~b)
            z = c if i & 1 else u32(~c)
            r |= x & y & z
    return u32(r)


@jit
def iadd3(V: Any, P: Any, pd: int, pe: int, pa: Any, pb: Any, ra: int, rb: int, rc: int, extra: int, m: Any) -> None:
    """T = a + b + c + carries + extra (one for each negated operand, held as its complement); carry-outs to pd, pe."""
    x = u64(extra)
    one, two = u32(0), u32(0)
    for l in range(32):
        t = u64(V[ra, l]) + u64(V[rb, l]) + u64(V[rc, l]) + x
        t += u64(pa >> u32(l) & u32(1)) + u64(pb >> u32(l) & u32(1))
        V[ROW_D, l] = u32(t & LOW)
        k = t >> u64(32)
        one |= u32(u32(k >= u64(1)) << u32(l))
        two |= u32(u32(k >= u64(2)) << u32(l))
    write_pred(P, pd, one, m)
    write_pred(P, pe, two, m)


@jit
def shf(V: Any, ra: int, rb: int, rc: int, var: int) -> None:
    """Funnel shift; var bits: 1 right, 2 high word, 4 64-bit type, 8 signed, 16 wrap."""
    right, high, wide, signed, wrap = var & 1, var & 2, var & 4, var & 8, var & 16
    limit = u64(64) if wide else u64(32)
    for l in range(32):
        s = u64(V[rb, l])
        if wrap:
            s &= limit - u64(1)
        elif s > limit:
            s = limit
        v = u64(V[rc, l]) << u64(32) | u64(V[ra, l])
        if right:
            if signed:
                v = u64(i64(v) >> i64(63)) if s == u64(64) else u64(i64(v) >> i64(s))
            else:
                v = u64(0) if s == u64(64) else v >> s
        else:
            v = u64(0) if s == u64(64) else v << s
        V[ROW_D, l] = u32(v >> u64(32)) if high else u32(v & LOW)


@jit
def prmt(a: Any, s: Any, c: Any) -> Any:
    """Byte permute in the default mode."""
    v = u64(c) << u64(32) | u64(a)
    r = u64(0)
    for i in range(4):
        n = u64(s) >> u64(4 * i)
        byte = v >> (u64(8) * (n & u64(7))) & u64(0xFF)
        if n & u64(8):
            byte = u64(0xFF) if byte & u64(0x80) else u64(0)
        r |= byte << u64(8 * i)
    return u32(r)


@jit
def prmt_mode(a: Any, s: Any, c: Any, mode: int) -> Any:
    """PTX prmt.f4e/.b4e/.rc8/.ecl/.ecr/.rc16 (modes 1..6)."""
    k = i64(s) & i64(3)
    v = u64(c) << u64(32) | u64(a)
    r = u64(0)
    for i in range(4):
        if mode == 1:
            j = k + i
        elif mode == 2:
            j = (k - i) & i64(7)
        elif mode == 3:
            j = k
        elif mode == 4:
            j = max(k, i64(i))
        elif mode == 5:
            j = min(k, i64(i))
        else:
            j = (k & i64(1)) * 2 + (i & 1)
        r |= (v >> u64(8 * j) & u64(0xFF)) << u64(8 * i)
    return u32(r)


@jit
def part(x: Any, shift: int, bits: int, signed: int) -> Any:
    """A sub-word as i8."""
    v = i64(u64(x) >> u64(shift) & ((u64(1) << u64(bits)) - u64(1)))
    if signed and v >> i64(bits - 1) & i64(1):
        v -= i64(1) << i64(bits)
    return v


@jit
def minmax(a: Any, b: Any, smallest: Any) -> Any:
    return min(a, b) if smallest else max(a, b)


@jit
def vector2(a: Any, b: Any, c: Any, op: int, var: int, smallest: Any) -> Any:
    """Packed 16-bit: add, min/max, add+min/max, three-input min/max. var: 1 unsigned, 2 RELU."""
    r = u64(0)
    signed = 0 if var & 1 else 1
    for h in range(2):
        x, y, z = part(a, 16 * h, 16, signed), part(b, 16 * h, 16, signed), part(c, 16 * h, 16, signed)
        if op == I_VADD2:
            t = x + y
        elif op == I_VMNMX2:
            t = minmax(x, y, smallest)
        elif op == I_VADDMNMX2:
            t = minmax(part(u32((x + y) & i64(0xFFFF)), 0, 16, signed), z, smallest)
        else:
            t = minmax(minmax(x, y, smallest), z, smallest)
        if var & 2:
            t = max(t, i64(0))
        r |= u64(t & i64(0xFFFF)) << u64(16 * h)
    return u32(r)


@jit
def dot(a: Any, b: Any, c: Any, op: int, var: int) -> Any:
    """IDP: var bits 1 a signed, 2 b signed, 4 high bytes of b (2A)."""
    total = i64(c)
    if op == I_IDP4:
        for i in range(4):
            total += part(a, 8 * i, 8, var & 1) * part(b, 8 * i, 8, var & 2)
    else:
        first = 16 if var & 4 else 0
        for i in range(2):
            total += part(a, 16 * i, 16, var & 1) * part(b, first + 8 * i, 8, var & 2)
    return u32(total & i64(0xFFFFFFFF))


@jit
def int_simple(V: Any, op: int, var: int, pa: Any, ra: int, rb: int, rc: int) -> None:
    """The common vector operations."""
    if op == I_IMAD:
        for l in range(32):
            V[ROW_D, l] = V[ra, l] * V[rb, l] + V[rc, l] + (pa >> u32(l) & u32(1))
    elif op == I_SEL:
        for l in range(32):
            V[ROW_D, l] = V[ra, l] if pa >> u32(l) & u32(1) else V[rb, l]
    elif op == I_IMNMX:
        for l in range(32):
            x, y = V[ra, l], V[rb, l]
            less = (x < y) if var & 1 else (i32(x) < i32(y))
            smallest = (pa >> u32(l) & u32(1)) != u32(0)
            r = x if less == smallest else y
            V[ROW_D, l] = u32(0) if var & 2 and i32(r) < i32(0) else r
    elif op == I_IABS:
        for l in range(32):
            x = i32(V[ra, l])
            V[ROW_D, l] = u32(-x) if x < i32(0) else u32(x)
    elif op == I_POPC:
        for l in range(32):
            V[ROW_D, l] = popc32(V[ra, l])
    elif op == I_BREV:
        for l in range(32):
            V[ROW_D, l] = brev32(V[ra, l])
    elif op == I_FLO:  # 1 unsigned, 2 SH
        for l in range(32):
            x = V[ra, l]
            if not var & 1 and i32(x) < i32(0):
                x = u32(~x)
            k = highest(x)
            if k < 0:
                V[ROW_D, l] = u32(0xFFFFFFFF)
            else:
                V[ROW_D, l] = u32(i64(31) - k) if var & 2 else u32(k)


@jit
def int_fields(V: Any, op: int, var: int, ra: int, rb: int, rc: int) -> None:
    """Bit fields, permutes, dot products, differences."""
    for l in range(32):
        a, b, c = V[ra, l], V[rb, l], V[rc, l]
        r = u32(0)
        if op == I_PRMT:
            r = prmt(a, b, c)
        elif op == I_PRMT_MODE:
            r = prmt_mode(a, b, c, var)
        elif op == I_BMSK:
            p, w = u64(a), u64(b)
            if var & 1:
                p, w = p & u64(31), w & u64(31)
            p, w = min(p, u64(32)), min(w, u64(32))
            r = u32((((u64(1) << w) - u64(1)) << p) & LOW)
        elif op == I_SGXT:  # 1 unsigned, 2 wrap
            w = u64(b) & u64(31) if var & 2 else min(u64(b), u64(32))
            if w == u64(0):
                r = u32(0)
            else:
                r = u32(part(a, 0, i64(w), 0 if var & 1 else 1) & i64(0xFFFFFFFF))
        elif op == I_IDP4 or op == I_IDP2:
            r = dot(a, b, c, op, var)
        elif op == I_VABSDIFF:
            x = i64(a) - i64(b) if var & 1 else i64(i32(a)) - i64(i32(b))
            r = u32((abs(x) + i64(c)) & i64(0xFFFFFFFF))
        else:  # VABSDIFF4: 1 accumulate, 2 signed bytes
            total = i64(c)
            packed = i64(0)
            for i in range(4):
                d = abs(part(a, 8 * i, 8, var & 2) - part(b, 8 * i, 8, var & 2))
                total += d
                packed |= (d & i64(0xFF)) << i64(8 * i)
            r = u32((total if var & 1 else packed + i64(c)) & i64(0xFFFFFFFF))
        V[ROW_D, l] = r


@jit
def int_minmax(V: Any, op: int, var: int, pa: Any, ra: int, rb: int, rc: int) -> None:
    """sm_90 min/max family: VIADDMNMX, VIMNMX3 and the packed 16-bit forms. var: 1 unsigned, 2 RELU."""
    for l in range(32):
        a, b, c = V[ra, l], V[rb, l], V[rc, l]
        smallest = (pa >> u32(l) & u32(1)) != u32(0)
        if op == I_VADDMNMX or op == I_IMNMX3:
            x = u32(a + b)
            if var & 1:
                t = minmax(i64(x), i64(c), smallest) if op == I_VADDMNMX else minmax(minmax(i64(a), i64(b), smallest), i64(c), smallest)
            elif op == I_VADDMNMX:
                t = minmax(i64(i32(x)), i64(i32(c)), smallest)
            else:
                t = minmax(minmax(i64(i32(a)), i64(i32(b)), smallest), i64(i32(c)), smallest)
            if var & 2:
                t = max(t, i64(0))
            V[ROW_D, l] = u32(t & i64(0xFFFFFFFF))
        else:
            V[ROW_D, l] = vector2(a, b, c, op, var, smallest)


@jit
def lea(V: Any, P: Any, op: int, var: int, pd: int, pa: Any, ra: int, rb: int, rc: int, m: Any) -> None:
    """LEA / LEA.HI: var = shift | 256 * (b negated, held as its complement) | 512 * SX32. Carry to pd."""
    s = u64(var & 255)
    extra = u64(1) if var & 256 else u64(0)
    carry = u32(0)
    for l in range(32):
        a = u64(V[ra, l])
        if op == I_LEA:
            x = a << s & LOW
        else:
            c = u64(V[rc, l])
            if var & 512:
                c = LOW if a >> u64(31) else u64(0)
            x = ((c << u64(32) | a) << s) >> u64(32)
        t = x + u64(V[rb, l]) + extra + u64(pa >> u32(l) & u32(1))
        V[ROW_D, l] = u32(t & LOW)
        carry |= u32(u32(t >> u64(32) != u64(0)) << u32(l))
    write_pred(P, pd, carry, m)


@jit
def imad_wide(
    V: Any, P: Any, op: int, var: int, pd: int, pa: Any, ra: int, rb: int, rc: int, m: Any
) -> None:
    """IMAD.WIDE / .HI: 64-bit product plus the pair c plus a carry; var: 1 unsigned, 2 negated product."""
    carry = u32(0)
    for l in range(32):
        if var & 1:
            p = u64(V[ra, l]) * u64(V[rb, l])
        else:
            p = u64(i64(i32(V[ra, l])) * i64(i32(V[rb, l])))
        if var & 2:
            p = u64(0) - p
        c = u64(V[rc + 1, l]) << u64(32) | u64(V[rc, l])
        t = p + c
        k = t < p
        t2 = t + u64(pa >> u32(l) & u32(1))
        k = k or t2 < t
        carry |= u32(u32(k) << u32(l))
        if op == W_HI:
            V[ROW_D, l] = u32(t2 >> u64(32))
        else:
            V[ROW_D, l] = u32(t2 & LOW)
            V[ROW_D + 1, l] = u32(t2 >> u64(32))
    write_pred(P, pd, carry, m)


@jit
def pred_moves(V: Any, P: Any, op: int, var: int, pbase: int, ra: int, rb: int, m: Any) -> None:
    """P2R (rows) and R2P: var = 8 * byte selector; rb = mask row."""
    shift = u32(var & 31)
    if op == I_P2R:
        for l in range(32):
            bits = u32(0)
            for i in range(7):
                bits |= (P[pbase + i] >> u32(l) & u32(1)) << u32(i)
            mask = V[rb, l]
            V[ROW_D, l] = (V[ra, l] & ~u32(mask << shift)) | u32((bits & mask) << shift)
    else:
        for i in range(7):
            value, where = u32(0), u32(0)
            for l in range(32):
                value |= (V[ra, l] >> shift >> u32(i) & u32(1)) << u32(l)
                where |= (V[rb, l] >> u32(i) & u32(1)) << u32(l)
            write_pred(P, pbase + i, value, u32(m & where))


@jit
def icmp(V: Any, P: Any, var: int, pd: int, pe: int, pa: Any, pb: Any, ra: int, rb: int, m: Any) -> None:
    """ISETP: var = comparison (0 F, 1 LT, 2 EQ, 3 LE, 4 GT, 5 NE, 6 GE, 7 T) | 8 unsigned | 16 EX | bop << 5."""
    cmp, unsigned, extended, bop = var & 7, var & 8, var & 16, var >> 5 & 3
    lt, eq = u32(0), u32(0)
    for l in range(32):
        x, y = V[ra, l], V[rb, l]
        less = (x < y) if unsigned else (i32(x) < i32(y))
        lt |= u32(u32(less) << u32(l))
        eq |= u32(u32(x == y) << u32(l))
    gt = u32(~(lt | eq))
    r = u32(0)
    if extended:
        if cmp == 5:
            r = u32(~eq | pb)
        else:
            if cmp & 1:
                r |= lt
            if cmp & 4:
                r |= gt
            r |= eq & pb
    else:
        if cmp & 1:
            r |= lt
        if cmp & 2:
            r |= eq
        if cmp & 4:
            r |= gt
    write_bop(P, pd, pe, u32(r), pa, bop, m)


@jit
def write_bop(P: Any, pd: int, pe: int, r: Any, pa: Any, bop: int, m: Any) -> None:
    """pd = r bop pa, pe = !r bop pa (bop 0 AND, 1 OR, 2 XOR)."""
    n = u32(~r)
    if bop == 0:
        write_pred(P, pd, u32(r & pa), m)
        write_pred(P, pe, u32(n & pa), m)
    elif bop == 1:
        write_pred(P, pd, u32(r | pa), m)
        write_pred(P, pe, u32(n | pa), m)
    else:
        write_pred(P, pd, u32(r ^ pa), m)
        write_pred(P, pe, u32(n ^ pa), m)


@jit
def int_group(
    V: Any, P: Any, op: int, var: int, pd: int, pe: int, pa: Any, pb: Any, ra: int, rb: int, rc: int, m: Any
) -> None:
    """All 32-bit integer operations with a register result."""
    if op == I_IADD3:
        if pd == 8 and pe == 8 and var == 0:
            for l in range(32):
                V[ROW_D, l] = V[ra, l] + V[rb, l] + V[rc, l] + (pa >> u32(l) & u32(1)) + (pb >> u32(l) & u32(1))
        else:
            iadd3(V, P, pd, pe, pa, pb, ra, rb, rc, var, m)
    elif op == I_MOV:
        for l in range(32):
            V[ROW_D, l] = V[ra, l]
    elif op == I_MOV2:
        for l in range(32):
            V[ROW_D, l] = V[ra, l]
            V[ROW_D + 1, l] = V[ra + 1, l]
    elif op == I_LOP3:
        lut_rows(V, ra, rb, rc, var)
    elif op == I_LOP3P:  # with a predicate result: (result != 0) bop pa
        lut_rows(V, ra, rb, rc, var & 255)
        r = u32(0)
        for l in range(32):
            r |= u32(u32(V[ROW_D, l] != u32(0)) << u32(l))
        write_pred(P, pd, u32(r & pa) if var & 256 else u32(r | pa), m)
    elif op == I_SHF:
        shf(V, ra, rb, rc, var)
    elif op == I_LEA or op == I_LEAHI:
        lea(V, P, op, var, pd, pa, ra, rb, rc, m)
    elif op == I_P2R or op == I_R2P:
        pred_moves(V, P, op, var & 31, var >> 8, ra, rb, m)
    elif op >= I_PRMT and op <= I_SGXT or op >= I_IDP4 and op <= I_VABSDIFF4 or op == I_PRMT_MODE:
        int_fields(V, op, var, ra, rb, rc)
    elif op == I_VADDMNMX or op == I_IMNMX3 or op == I_VADD2 or op == I_VMNMX2 or op == I_VADDMNMX2 or op == I_VMNMX3_2:
        int_minmax(V, op, var, pa, ra, rb, rc)
    else:
        int_simple(V, op, var, pa, ra, rb, rc)
