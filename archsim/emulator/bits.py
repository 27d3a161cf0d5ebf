"""Bit-level helpers shared by the execution units: reinterpretation, fused multiply-add, counting.

``fma32`` and ``fma64`` are LLVM's fused intrinsics: one rounding, whether or not the host has FMA instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from archsim.kernels.jit import jit


def _bitcast(source: Any, target: Any, llvm_target: Any) -> Any:
    @intrinsic
    def cast(typing_context: Any, value: Any) -> Any:
        if value != source:
            raise TypingError(f"bit cast of {value}, expected {source}")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], llvm_target)

        return target(source), codegen

    return cast


as_f32 = _bitcast(types.uint32, types.float32, ir.FloatType())
as_u32 = _bitcast(types.float32, types.uint32, ir.IntType(32))
as_f64 = _bitcast(types.uint64, types.float64, ir.DoubleType())
as_u64 = _bitcast(types.float64, types.uint64, ir.IntType(64))


def _unary_intrinsic(name: str, numba_type: Any, llvm_type: Any, arity: int) -> Any:
    if arity == 3:

        @intrinsic
        def call3(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                function_type = ir.FunctionType(llvm_type, [llvm_type] * 3)
                function = builder.module.declare_intrinsic(name, [llvm_type], function_type)
                return builder.call(function, args)

            return numba_type(numba_type, numba_type, numba_type), codegen

        return call3

    @intrinsic
    def call1(typing_context: Any, a: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            function_type = ir.FunctionType(llvm_type, [llvm_type])
            function = builder.module.declare_intrinsic(name, [llvm_type], function_type)
            return builder.call(function, args)

        return numba_type(numba_type), codegen

    return call1


fma32 = _unary_intrinsic("llvm.fma", types.float32, ir.FloatType(), 3)
fma64 = _unary_intrinsic("llvm.fma", types.float64, ir.DoubleType(), 3)
popc32 = _unary_intrinsic("llvm.ctpop", types.uint32, ir.IntType(32), 1)
brev32 = _unary_intrinsic("llvm.bitreverse", types.uint32, ir.IntType(32), 1)

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64


@jit
def highest(x: Any) -> Any:
    """Index of the highest set bit of a u4, -1 if none."""
    n = i64(-1)
    v = u64(x)
    if v >> u64(16):
        n += i64(16)
        v >>= u64(16)
    if v >> u64(8):
        n += i64(8)
        v >>= u64(8)
    if v >> u64(4):
        n += i64(4)
        v >>= u64(4)
    while v:
        n += i64(1)
        v >>= u64(1)
    return n


@jit
def lowest(x: Any) -> Any:
    """Index of the lowest set bit of a u4, -1 if none."""
    if x == u32(0):
        return i64(-1)
    return i64(popc32(u32((x & (u32(0) - x)) - u32(1))))


rint64 = _unary_intrinsic("llvm.rint", types.float64, ir.DoubleType(), 1)
floor64 = _unary_intrinsic("llvm.floor", types.float64, ir.DoubleType(), 1)
ceil64 = _unary_intrinsic("llvm.ceil", types.float64, ir.DoubleType(), 1)
trunc64 = _unary_intrinsic("llvm.trunc", types.float64, ir.DoubleType(), 1)
