"""Atomic words that threads share: rows of an i8[n, TEAM_WORDS] array, one to a row so that none share a cache line.

Numba has no atomics on CPU arrays; these are LLVM's, with the ordering that hands data over: what a thread wrote before
`store` or `add` is seen by one whose `load` or `add` of the same word comes later.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

TEAM_WORDS = 16  # 128 bytes: two cache lines, which some cores fetch in pairs


def _address(context: Any, builder: Any, array_type: Any, array: Any, row: Any) -> Any:
    zero = context.get_constant(types.intp, 0)
    made = context.make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, made, [row, zero])


@intrinsic
def _load(typing_context: Any, array: Any, row: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_address(context, builder, signature.args[0], *args), "acquire", 8)

    return types.int64(array, types.intp), codegen


@intrinsic
def _store(typing_context: Any, array: Any, row: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _address(context, builder, signature.args[0], *args[:2]), "release", 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, types.int64), codegen


@intrinsic
def _add(typing_context: Any, array: Any, row: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _address(context, builder, signature.args[0], *args[:2]), args[2], "acq_rel")

    return types.int64(array, types.intp, types.int64), codegen


_sched_yield = types.ExternalFunction("sched_yield", types.int32())  # POSIX


def load(array, row):  # type: ignore[no-untyped-def]
    """The word of a row."""
    return array[row, 0]


def store(array, row, value):  # type: ignore[no-untyped-def]
    """Set the word of a row."""
    array[row, 0] = value


def add(array, row, value):  # type: ignore[no-untyped-def]
    """Add to the word of a row; returns what it was."""
    before = array[row, 0]
    array[row, 0] = before + value
    return before


def give_way():  # type: ignore[no-untyped-def]
    """Let another thread have the core."""


@overload(load)
def _load_compiled(array, row):  # type: ignore[no-untyped-def]
    return lambda array, row: _load(array, row)


@overload(store)
def _store_compiled(array, row, value):  # type: ignore[no-untyped-def]
    return lambda array, row, value: _store(array, row, value)


@overload(add)
def _add_compiled(array, row, value):  # type: ignore[no-untyped-def]
    return lambda array, row, value: _add(array, row, value)


@overload(give_way)
def _give_way_compiled():  # type: ignore[no-untyped-def]
    return lambda: _sched_yield()
