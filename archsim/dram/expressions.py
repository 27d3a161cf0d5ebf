"""Latency expressions of DRAM tables: arithmetic on named parameters, e.g. ``max(4, ns(5))`` or ``nCL + nBL + 2``."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping

from archsim.errors import ConfigError

Number = int | float
_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
}


def evaluate(expression: object, names: Mapping[str, Number], where: str, clock_ps: Number = 1000) -> Number:
    """Value of a number or of an expression in the parameters ``names``.

    ``ns(x)`` is the number of clocks of ``clock_ps`` that cover x nanoseconds; ``max``, ``min``, ``ceil`` and ``floor``
    are what they say. Raises ConfigError that begins with ``where``.
    """
    if isinstance(expression, bool) or not isinstance(expression, int | float | str):
        raise ConfigError(f"{where}: expected a number or an expression, got {expression!r}")
    if not isinstance(expression, str):
        return expression
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError:
        raise ConfigError(f"{where}: {expression!r} is not an expression") from None
    functions: dict[str, Callable[..., Number]] = {
        "max": max,
        "min": min,
        "ceil": math.ceil,
        "floor": math.floor,
        # The tolerance keeps 13.75 ns at 1.25 ns from becoming 12 clocks.
        "ns": lambda x: math.ceil(x * 1000 / clock_ps - 1e-6),
    }

    def visit(node: ast.expr) -> Number:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return node.value
        if isinstance(node, ast.Name):
            if node.id not in names:
                raise ConfigError(f"{where}: {expression!r} uses {node.id}, which has no value")
            return names[node.id]
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](visit(node.left), visit(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -visit(node.operand)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
            return functions[node.func.id](*[visit(argument) for argument in node.args])
        raise ConfigError(f"{where}: {expression!r}: only + - * / //, max, min, ceil, floor and ns() are allowed")

    try:
        return visit(tree)
    except (ZeroDivisionError, TypeError, OverflowError) as error:
        raise ConfigError(f"{where}: {expression!r}: {error}") from None


def resolve(
    table: Mapping[str, object], given: Mapping[str, Number], where: str, clock_ps: Number
) -> dict[str, Number]:
    """Evaluate parameters that may refer to each other, in any order. ConfigError on unknown names and on cycles."""
    known: dict[str, Number] = dict(given)
    pending = dict(table)
    while pending:
        progress = False
        for name, expression in list(pending.items()):
            try:
                known[name] = evaluate(expression, known, f"{where}.{name}", clock_ps)
            except ConfigError:
                if not (isinstance(expression, str) and names_in(expression) & pending.keys() - {name}):
                    raise
                continue
            del pending[name]
            progress = True
        if not progress:
            raise ConfigError(f"{where}: parameters refer to each other in a circle: {', '.join(sorted(pending))}")
    return known


def names_in(expression: str) -> set[str]:
    """Names that an expression mentions."""
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError:
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
