"""The interpreter: executes decoded records warp by warp, and schedules warps and CTAs.

Warps of a CTA run one after the other, each until it waits, ends, polls in vain or has used its slice. CTAs run one
after the other too; only when every runnable warp of the resident CTAs polls global memory in vain is a further CTA
started beside them, so that spin-waits between CTAs make progress.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.atomic_ops import A_CAS, A_CAST_SPIN, AT_F64, AT_S64, AT_U64, atomic_group
from archsim.emulator.bits import popc32
from archsim.emulator.convert_ops import convert_group
from archsim.emulator.flow_ops import FL_BRA, flow_group
from archsim.emulator.fp_ops import fcmp_group, fp32_group, fp64_group
from archsim.emulator.half_ops import half_group
from archsim.emulator.int_ops import icmp, imad_wide, int_group, lut_bits
from archsim.emulator.mem_ops import (
    L_LDGSTS,
    L_LDSM,
    L_LOAD,
    L_MOVM,
    L_QSPC,
    L_STORE,
    LOCAL_HIGH,
    SHARED_HIGH,
    addresses,
    ldgsts,
    ldsm,
    load,
    movm,
    set_fault,
    store,
    stsm,
    translate,
)
from archsim.emulator.mma_ops import mma_group
from archsim.emulator.mufu import mufu_group
from archsim.emulator.operands import fetch, write_pred, write_rows
from archsim.emulator.records import (
    F_BAD_PC,
    F_CONST,
    F_LIMIT,
    F_UNSUPPORTED,
    FULL,
    G_ATOM,
    G_CONST,
    G_CVT,
    G_FCMP,
    G_FLOW,
    G_FP32,
    G_FP64,
    G_HALF,
    G_ICMP,
    G_INT,
    G_MEM,
    G_MMA,
    G_MUFU,
    G_NOP,
    G_SPECIAL,
    G_UNSUPPORTED,
    G_WARP,
    G_WIDE,
    P_SINK,
    P_TRUE,
    Q_ACCESS,
    Q_ARCH,
    Q_CLOCK,
    Q_EXECUTED,
    Q_LOCAL_OFF,
    Q_LOCAL_STRIDE,
    Q_MAX_INST,
    Q_N_CODE,
    Q_NOW,
    Q_SHARED_OFF,
    Q_SHARED_STRIDE,
    Q_TRACE,
    QUEUES,
    R_FAULT,
    R_FLUSH,
    R_LIMIT,
    R_SLICE,
    R_SPIN,
    ROW_A,
    ROW_B,
    ROW_C,
    ROW_D,
    ROW_E,
    ROW_T,
    SPACE_GENERIC,
    SPACE_GLOBAL,
    SPACE_LOCAL,
    SPACE_SHARED,
)
from archsim.emulator.special_ops import special_group
from archsim.emulator.splits import CONTINUE, POLL, take_turns
from archsim.emulator.trace_ops import close_segment, end_run, record_addresses, segment_full
from archsim.emulator.warp_ops import warp_group
from archsim.kernels.jit import jit

u32, u64, i32, i64 = np.uint32, np.uint64, np.int32, np.int64
ALL64 = u64(0xFFFFFFFFFFFFFFFF)
LOW32 = u64(0xFFFFFFFF)
WINDOW24 = u64(0xFFFFFF)
SPIN_LIMIT = 8
ATOMIC_16THS = 7  # sixteenths of an instruction (4.5 cycles): 2.07 cycles a swap of one word (CALIBRATION.md, H100)


@jit
def trace_instruction(ctx: Any, w: int, index: int, m: Any) -> None:
    """Extend the open run by one instruction, or begin a new one."""
    ws = ctx.warps[w]
    if ws["run_count"] != 0 and ws["run_start"] + ws["run_count"] == index and ws["run_mask"] == m:
        ws["run_count"] += 1
    else:
        end_run(ctx, w)
        ws["run_start"], ws["run_count"], ws["run_mask"] = index, 1, m
    ws["n_inst"] += 1


@jit
def const_load(V: Any, S: Any, cbank: Any, pos: Any, bank: int, size: int, signed: int, m: Any, fault: Any) -> Any:
    """LDC with a register index: S[4] = byte offset in the bank; result in D."""
    for l in range(32):
        if not m >> u32(l) & u32(1):
            continue
        offset = i64(S[4, l])
        if offset < 0 or offset + size > pos[bank, 1]:
            return set_fault(fault, F_CONST, l, S[4, l])
        at = pos[bank, 0] + offset
        for j in range((size + 3) >> 2):
            x = u32(0)
            for k in range(min(size, 4)):
                x |= u32(cbank[at + 4 * j + k]) << u32(8 * k)
            V[ROW_D + j, l] = x
        if signed:
            bits = 8 * size
            if V[ROW_D, l] >> u32(bits - 1) & u32(1):
                V[ROW_D, l] |= u32(0xFFFFFFFF) << u32(bits)
    return True


@jit
def queue_delay(ctx: Any, m: Any) -> int:
    """Concurrent order: instructions that an atomic waits because others use its words; S[4] holds the addresses."""
    begin = ctx.scal[Q_NOW] * 16
    done = begin
    for l in range(32):
        if m >> u32(l) & u32(1):
            word = i64(ctx.S[4, l] >> u64(2))
            k = (word ^ word >> 12) & (QUEUES - 1)
            ctx.busy[k] = max(ctx.busy[k], begin) + ATOMIC_16THS
            done = max(done, ctx.busy[k])
    return (done - begin) >> 4


@jit
def spin_check(ws: Any, pc: int) -> Any:
    """True when the warp has polled the same instruction SPIN_LIMIT times running."""
    if ws["spin_pc"] == pc:
        ws["spin_count"] += 1
        if ws["spin_count"] >= SPIN_LIMIT:
            ws["spin_count"] = 0
            return True
    else:
        ws["spin_pc"] = pc
        ws["spin_count"] = 0
    return False


@jit
def copy_async(ctx: Any, w: int, ins: Any, pa: Any, m: Any, sbase: Any, lbase: Any, cfirst: int) -> Any:
    """LDGSTS: S[4] holds the shared addresses; records global first, then shared."""
    V, U, S, scal = ctx.V[w], ctx.U[w], ctx.S, ctx.scal
    size = i64(ins["size"])
    zfill = i64(ins["var"]) & 1
    if not translate(S, 4, SPACE_SHARED, size, m, scal, ctx.valid, sbase, lbase, cfirst, ctx.fault):
        return False
    for l in range(32):
        S[6, l] = S[5, l]
        S[2, l] = S[4, l]
    addresses(V, U, S, 4, i64(ins["mr2"]), i64(ins["m2_64"]), i64(ins["mu2"]), 1, 1, ins["moff2"], 0)
    for l in range(32):
        S[3, l] = u64(0)
        if zfill:
            S[3, l] = S[4, l] & u64(size - 1)
            S[4, l] -= S[3, l]
    read = u32(m & pa) if zfill else m
    for l in range(32):  # a lane whose predicate is false reads nothing
        S[7, l] = u64(0)
    if not translate(S, 4, SPACE_GLOBAL, size, read, scal, ctx.valid, sbase, lbase, cfirst, ctx.fault):
        return False
    for l in range(32):
        if read >> u32(l) & u32(1):
            S[7, l] = S[5, l]
    if scal[Q_TRACE]:
        record_addresses(ctx.warps, ctx.mems, ctx.lanes, S, w, 4, ALL64, m)
        record_addresses(ctx.warps, ctx.mems, ctx.lanes, S, w, 2, WINDOW24, m)
    ldgsts(S, ctx.mem, size, zfill, pa, m)
    return True


@jit
def space_query(S: Any, P: Any, pd: int, which: int, m: Any) -> None:
    """QSPC.E.G / .S / .L."""
    r = u32(0)
    for l in range(32):
        high = S[4, l] >> u64(32)
        if high == u64(SHARED_HIGH):
            hit = which == SPACE_SHARED
        elif high == u64(LOCAL_HIGH):
            hit = which == SPACE_LOCAL
        else:
            hit = which == SPACE_GLOBAL
        r |= u32(u32(hit) << u32(l))
    write_pred(P, pd, r, m)


@jit
def memory_group(ctx: Any, w: int, ins: Any, pa: Any, rb: int, rc: int, m: Any, tracing: Any) -> Any:
    """Loads, stores, atomics, constant loads with an index. False after a fault."""
    V, U, S, scal = ctx.V[w], ctx.U[w], ctx.S, ctx.scal
    ws = ctx.warps[w]
    space, size, op, group = i64(ins["space"]), i64(ins["size"]), i64(ins["op"]), i64(ins["group"])
    if group == G_MEM and op == L_MOVM:
        movm(V, rb)
        write_rows(V, i64(ins["dst"]), 1, m)
        return True
    narrow = 1 if space == SPACE_SHARED or space == SPACE_LOCAL or group == G_CONST else 0
    addresses(
        V, U, S, 4, i64(ins["mr"]), i64(ins["m64"]), i64(ins["mu"]), i64(ins["mu64"]), i64(ins["mscale"]), ins["moff"],
        narrow,
    )  # fmt: skip
    slot = i64(ws["cta_slot"])
    if group == G_CONST:
        if tracing and ins["records"]:
            record_addresses(ctx.warps, ctx.mems, ctx.lanes, S, w, 4, LOW32, m)
        var = i64(ins["var"])
        if not const_load(V, S, ctx.cbank, ctx.cbank_pos, var & 31, size, var >> 5 & 1, m, ctx.fault):
            return False
        if not ins["uniform"]:
            write_rows(V, i64(ins["dst"]), i64(ins["dw"]), m)
        return True
    cfirst = i64(ctx.ctas[slot]["cluster_first"])
    sbase = scal[Q_SHARED_OFF] + slot * scal[Q_SHARED_STRIDE]
    lbase = scal[Q_LOCAL_OFF] + w * i64(32) * scal[Q_LOCAL_STRIDE]
    if group == G_MEM and op == L_LDGSTS:
        return copy_async(ctx, w, ins, pa, m, sbase, lbase, cfirst)
    if group == G_MEM and op == L_QSPC:
        space_query(S, ctx.P[w], i64(ins["pd"]), i64(ins["var"]), m)
        return True
    am = m
    if group == G_MEM and op != L_LOAD and op != L_STORE:  # LDSM, STSM: address lanes
        count = 8 * (i64(ins["var"]) >> 1)
        am = u32((u64(1) << u64(count)) - u64(1))
    if tracing:
        keep = WINDOW24 if space == SPACE_SHARED else (LOW32 if space == SPACE_LOCAL else ALL64)
        record_addresses(ctx.warps, ctx.mems, ctx.lanes, S, w, 4, keep, m)
    if not translate(S, 4, space, size, am, scal, ctx.valid, sbase, lbase, cfirst, ctx.fault):
        return False
    dst = i64(ins["dst"])
    if group == G_ATOM:
        kind = i64(ins["var"])
        done = atomic_group(V, S, ctx.mem, op, kind, rb, rc, m)
        if op == A_CAST_SPIN:
            for l in range(32):
                bit = done >> u32(l) & u32(1)
                V[ROW_D, l] = bit
                V[ROW_D + 1, l] = u32(0)
        write_pred(ctx.P[w], i64(ins["pd"]), done, m)
        write_rows(V, dst, i64(ins["dw"]), m)
    elif op == L_LOAD:
        load(V, S, ctx.mem, dst, size, i64(ins["var"]) & 1, m)
    elif op == L_STORE:
        store(V, S, ctx.mem, rb, size, m)
    elif op == L_LDSM:
        n = i64(ins["var"]) >> 1
        ldsm(V, S, ctx.mem, dst, n, i64(ins["var"]) & 1, m)
        write_rows(V, dst, n, m)
    else:
        stsm(V, S, ctx.mem, rb, i64(ins["var"]) >> 1, i64(ins["var"]) & 1)
    return True


@jit
def plop3(P: Any, ins: Any, m: Any) -> None:
    """PLOP3 / UPLOP3: var = lut1 | lut2 << 8; third source in er."""
    a, b = u32(P[ins["pa"]] ^ ins["pa_inv"]), u32(P[ins["pb"]] ^ ins["pb_inv"])
    c = u32(P[ins["er"]] ^ u32(ins["ei"] & u64(0xFFFFFFFF)))
    x = lut_bits(a, b, c, i64(ins["var"]) & 255)
    y = lut_bits(a, b, c, i64(ins["var"]) >> 8 & 255)
    write_pred(P, i64(ins["pd"]), x, m)
    write_pred(P, i64(ins["pe"]), y, m)


@jit
def alu_rare(ctx: Any, w: int, ins: Any, group: int, op: int, pa: Any, ra: int, rb: int, rc: int, m: Any) -> None:
    """The groups that are not worth a place in the inner loop."""
    V, P = ctx.V[w], ctx.P[w]
    var, rnd = i64(ins["var"]), i64(ins["rnd"])
    pd, pe = i64(ins["pd"]), i64(ins["pe"])
    if group == G_CVT:
        convert_group(V, op, var, rnd, ra, rb, rc)
    elif group == G_MUFU:
        mufu_group(V, op, ra)
    elif group == G_HALF:
        half_group(V, ctx.VF[w], P, op, var, pd, pe, pa, ra, rb, rc, m)
    elif group == G_WARP:
        warp_group(V, P, op, var, pd, pe, pa, ra, rb, rc, m, ctx.warps[w]["bar_result"])
    elif group == G_SPECIAL:
        special_group(ctx, w, op, var, m)
    elif group == G_MMA:
        mma_group(V, ctx.mma, op, var, ra, rb, rc, ctx.scal[Q_ARCH])
    else:
        plop3(P, ins, m)


@jit
def execute(ctx: Any, w: int, ins: Any, V: Any, VF: Any, P: Any, U: Any, m: Any, tracing: Any) -> Any:
    """One instruction that is not control flow, on the lanes of m (not empty). False after a fault."""
    group, op, n = i64(ins["group"]), i64(ins["op"]), i64(ins["nsrc"])
    ra = rb = rc = i64(ROW_A)
    if n > 0:
        ra = fetch(V, U, i64(ins["ak"]), i64(ins["ar"]), ins["ai"], i64(ins["amod"]), i64(ins["aw"]), ROW_A)
        if n > 1:
            rb = fetch(V, U, i64(ins["bk"]), i64(ins["br"]), ins["bi"], i64(ins["bmod"]), i64(ins["bw"]), ROW_B)
            if n > 2:
                rc = fetch(V, U, i64(ins["ck"]), i64(ins["cr"]), ins["ci"], i64(ins["cmod"]), i64(ins["cw"]), ROW_C)
    pa = u32(P[ins["pa"]] ^ ins["pa_inv"])
    if group == G_MEM or group == G_ATOM or group == G_CONST:
        if not memory_group(ctx, w, ins, pa, ra, rb, m, tracing):
            return False
        if ins["uniform"]:
            for k in range(i64(ins["dw"])):
                U[i64(ins["dst"]) + k] = V[ROW_D + k, 0]
        return True
    uniform = i64(ins["uniform"])
    em = FULL if uniform == 1 else m
    var = i64(ins["var"])
    pd, pe = i64(ins["pd"]), i64(ins["pe"])
    if group == G_INT:
        pb = u32(P[ins["pb"]] ^ ins["pb_inv"])
        int_group(V, P, op, var, pd, pe, pa, pb, ra, rb, rc, em)
    elif group == G_FP32:
        fp32_group(V, VF, P, op, var, i64(ins["rnd"]), pd, pa, ra, rb, rc, em)
    elif group == G_WIDE:
        imad_wide(V, P, op, var, pd, pa, ra, rb, rc, em)
    elif group == G_ICMP:
        pb = u32(P[ins["pb"]] ^ ins["pb_inv"])
        icmp(V, P, var, pd, pe, pa, pb, ra, rb, em)
    elif group == G_FCMP:
        fcmp_group(V, VF, P, op, var, pd, pe, pa, ra, rb, em)
    elif group == G_FP64:
        fp64_group(V, ctx.S, ctx.SF, op, i64(ins["rnd"]), ra, rb, rc)
    else:
        alu_rare(ctx, w, ins, group, op, pa, ra, rb, rc, em)
    dw = i64(ins["dw"])
    if dw:
        if uniform:
            for k in range(dw):
                U[i64(ins["dst"]) + k] = V[ROW_D + k, 0]
        else:
            write_rows(V, i64(ins["dst"]), dw, m)
    return True


@jit
def step_flow(ctx: Any, w: int, ins: Any, pc: int, active: Any, m: Any) -> int:
    """One control-flow instruction: fetch its operands and execute."""
    V, U, P = ctx.V[w], ctx.U[w], ctx.P[w]
    n = i64(ins["nsrc"])
    ra = rb = i64(ROW_A)
    if n > 0:
        ra = fetch(V, U, i64(ins["ak"]), i64(ins["ar"]), ins["ai"], i64(ins["amod"]), i64(ins["aw"]), ROW_A)
        if n > 1:
            rb = fetch(V, U, i64(ins["bk"]), i64(ins["br"]), ins["bi"], i64(ins["bmod"]), i64(ins["bw"]), ROW_B)
    pa = u32(P[ins["pa"]] ^ ins["pa_inv"])
    return flow_group(ctx, w, pc, active, m, pa, ra, rb)


@jit
def run_warp(ctx: Any, w: int, budget: int) -> int:
    """Run one warp for at most `budget` instructions; returns why it stopped (R_*).

    In the concurrent order an access of global memory takes scal[Q_ACCESS] of the budget; what is left (or owed) of it
    goes to the warp's credit.
    """
    V, VF, P, U = ctx.V[w], ctx.VF[w], ctx.P[w], ctx.U[w]
    ws, sp, code, counts, scal = ctx.warps[w], ctx.splits[w], ctx.code, ctx.counts, ctx.scal
    cta = ctx.ctas[ws["cta_slot"]]
    tracing = scal[Q_TRACE] != 0 and cta["record"] != 0
    cur = i64(ws["split"])
    pc, active = i64(sp[cur]["pc"]), u32(sp[cur]["mask"])
    executed, access = i64(0), scal[Q_ACCESS]
    reason = R_SLICE
    lanes_active = i64(popc32(active))
    while executed < budget:
        if tracing and segment_full(ctx, ws):
            if not close_segment(ctx, w, cta["linear"], 0):
                reason = R_FLUSH
                break
        if pc >= scal[Q_N_CODE]:
            ctx.fault[0]["code"], ctx.fault[0]["lane"] = F_BAD_PC, 0
            reason = R_FAULT
            break
        ins = code[pc]
        m = u32(active & (P[ins["guard"]] ^ ins["guard_inv"]))
        executed += 1
        counts[pc, 0] += 1
        counts[pc, 1] += lanes_active
        group = i64(ins["group"])
        on = m
        if group == G_FLOW and ins["op"] == FL_BRA and ins["pa"] < P_TRUE:  # a branch with two predicates needs both
            on = u32(m & (P[ins["pa"]] ^ ins["pa_inv"]))
        counts[pc, 2] += i64(popc32(on))
        if tracing:
            trace_instruction(ctx, w, pc, on)
        pc += 1
        if group == G_FLOW:
            sp[cur]["pc"] = pc
            status = step_flow(ctx, w, ins, pc, active, m)
            if status != CONTINUE:
                reason = status
                pc = i64(-1)
                break
            cur = i64(ws["split"])
            pc, active = i64(sp[cur]["pc"]), u32(sp[cur]["mask"])
            lanes_active = i64(popc32(active))
        elif m != u32(0) and group != G_NOP:
            if group == G_SPECIAL:
                scal[Q_CLOCK] = scal[Q_EXECUTED] + executed
            if group == G_UNSUPPORTED:
                ctx.fault[0]["code"], ctx.fault[0]["lane"] = F_UNSUPPORTED, 0
                reason = R_FAULT
                break
            if not execute(ctx, w, ins, V, VF, P, U, m, tracing):
                reason = R_FAULT
                break
            if access != 0 and (group == G_MEM or group == G_ATOM) and ins["dw"]:
                if ins["space"] == SPACE_GLOBAL or ins["space"] == SPACE_GENERIC:
                    budget -= access
                    if group == G_ATOM:
                        budget -= queue_delay(ctx, m)
            if ins["strong"] and spin_check(ws, pc):
                reason = R_SPIN
                break
    scal[Q_EXECUTED] += executed
    ws["total"] += executed
    ws["credit"] = budget - executed
    if pc >= 0:
        sp[cur]["pc"] = pc
        if reason == R_FAULT:
            ctx.fault[0]["pc"] = pc - 1
        elif reason == R_SLICE or reason == R_SPIN:
            take_turns(ws, sp, ctx.B[w], executed if reason == R_SLICE else i64(POLL))
    elif reason == R_FAULT:
        ctx.fault[0]["pc"] = sp[cur]["pc"] - 1
    if scal[Q_MAX_INST] > 0 and scal[Q_EXECUTED] >= scal[Q_MAX_INST] and reason != R_FAULT and reason <= R_SPIN:
        ctx.fault[0]["code"], ctx.fault[0]["pc"], ctx.fault[0]["lane"] = F_LIMIT, sp[ws["split"]]["pc"], 0
        reason = R_LIMIT
    return reason


__all__ = ["A_CAS", "AT_F64", "AT_S64", "AT_U64", "P_SINK", "P_TRUE", "ROW_E", "ROW_T"]
