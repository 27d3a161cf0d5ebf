"""Arithmetic over parameters and results (``l2.bytes / l2.slices >= 32768``): parsed, checked, evaluated without eval.

Names are dotted paths. Names that hold other characters (``stall.long_scoreboard`` is fine, ``a-b`` is not) are written
between backquotes.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from archsim.errors import ConfigError

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "log2": math.log2,
    "sqrt": math.sqrt,
    "round": round,
}
_QUOTED = re.compile(r"`([^`]+)`")
_MAX_EXPONENT = 64
Lookup = Callable[[str], Any]


@dataclass(frozen=True)
class Expression:
    """A checked expression. ``names``: the dotted names that it reads."""

    text: str
    names: tuple[str, ...]
    _tree: ast.expr
    _quoted: tuple[str, ...] = ()

    def __call__(self, lookup: Lookup) -> Any:
        """Value, with ``lookup(name)`` for every name. ConfigError where the arithmetic fails."""
        try:
            return _evaluate(self._tree, lambda name: lookup(_unquote(name, self._quoted)))
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ConfigError(f"{self.text!r}: {error}") from None


def parse_expression(text: str) -> Expression:
    """Parse one expression. ConfigError when it isn't one."""
    quoted: list[str] = []

    def replace(match: re.Match[str]) -> str:
        quoted.append(match[1])
        return f"_quoted_{len(quoted) - 1}"

    try:
        tree = ast.parse(_QUOTED.sub(replace, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(f"{text!r}: not an expression over parameters") from None
    names: list[str] = []
    _check(tree, text, names)
    plain = tuple(dict.fromkeys(_unquote(name, tuple(quoted)) for name in names))
    return Expression(text, plain, tree, tuple(quoted))


def _unquote(name: str, quoted: tuple[str, ...]) -> str:
    return quoted[int(name[8:])] if name.startswith("_quoted_") and name[8:].isdigit() else name


def _dotted(node: ast.expr) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def _check(node: ast.expr, text: str, names: list[str]) -> None:
    """Refuse everything but arithmetic, comparison, logic, lists and the functions above; collect names."""
    name = _dotted(node)
    if name is not None:
        names.append(name)
        return
    children: list[ast.expr]
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            children = []
        case ast.BinOp() if type(node.op) in _BINARY:
            children = [node.left, node.right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not()):
            children = [node.operand]
        case ast.BoolOp():
            children = node.values
        case ast.Compare() if all(type(op) in _COMPARE for op in node.ops):
            children = [node.left, *node.comparators]
        case ast.IfExp():
            children = [node.test, node.body, node.orelse]
        case ast.List() | ast.Tuple():
            children = node.elts
        case ast.Call(func=ast.Name(id=function), keywords=[]) if function in _FUNCTIONS:
            children = node.args
        case _:
            shown = ast.unparse(node)
            raise ConfigError(f"{text!r}: {shown!r} is not allowed; known functions: {', '.join(_FUNCTIONS)}")
    for child in children:
        _check(child, text, names)


def _evaluate(node: ast.expr, lookup: Lookup) -> Any:
    name = _dotted(node)
    if name is not None:
        return lookup(name)
    match node:
        case ast.Constant():
            return node.value
        case ast.BinOp():
            left, right = _evaluate(node.left, lookup), _evaluate(node.right, lookup)
            if isinstance(node.op, ast.Pow) and abs(right) > _MAX_EXPONENT:
                raise ValueError(f"exponent {right} is beyond {_MAX_EXPONENT}")
            return _BINARY[type(node.op)](left, right)
        case ast.UnaryOp():
            value = _evaluate(node.operand, lookup)
            if isinstance(node.op, ast.Not):
                return not value
            return -value if isinstance(node.op, ast.USub) else +value
        case ast.BoolOp():
            stop = isinstance(node.op, ast.Or)
            value = not stop
            for item in node.values:
                value = _evaluate(item, lookup)
                if bool(value) is stop:
                    break
            return value
        case ast.Compare():
            left = _evaluate(node.left, lookup)
            for op, item in zip(node.ops, node.comparators, strict=True):
                right = _evaluate(item, lookup)
                if not _COMPARE[type(op)](left, right):
                    return False
                left = right
            return True
        case ast.IfExp():
            return _evaluate(node.body if _evaluate(node.test, lookup) else node.orelse, lookup)
        case ast.List() | ast.Tuple():
            return [_evaluate(item, lookup) for item in node.elts]
        case ast.Call(func=ast.Name(id=function)):
            return _FUNCTIONS[function](*(_evaluate(item, lookup) for item in node.args))
    raise AssertionError(f"unchecked node {node!r}")
