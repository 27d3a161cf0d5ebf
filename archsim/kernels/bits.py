"""Bit tricks: count trailing zeros and population count of 64-bit words."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic, overload


@intrinsic
def _llvm_ctz(typing_context: Any, word: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], context.get_constant(types.boolean, False))

    return types.int64(types.int64), codegen


@intrinsic
def _llvm_popcount(typing_context: Any, word: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.int64), codegen


def ctz(word: int) -> int:
    """Index of the lowest set bit; 64 for zero."""
    return (word & -word).bit_length() - 1 if word else 64


def popcount(word: int) -> int:
    """Number of set bits of a 64-bit word."""
    return (word & 0xFFFFFFFFFFFFFFFF).bit_count()


@overload(ctz, inline="always")
def _ctz(word):  # type: ignore[no-untyped-def]  # Numba compares the signatures, annotations included
    return lambda word: _llvm_ctz(word)


@overload(popcount, inline="always")
def _popcount(word):  # type: ignore[no-untyped-def]
    return lambda word: _llvm_popcount(word)
