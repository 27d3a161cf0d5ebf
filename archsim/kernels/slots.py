"""Hook slots: how a plug-in reaches compiled code.

The core calls a *hook*; the NamedTuple class of the hook's first argument picks the implementation while Numba compiles
the caller, so a plug-in costs no more than hard-coded code, is cached with it, and also runs with the JIT off.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from numba.extending import overload

REGISTRY: dict[tuple[str, str], type] = {}
HOOKS: dict[str, list[Callable[..., Any]]] = {}


def slot(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a hook of plug-in ``kind`` by its signature; the prototype's body is never run."""

    def mark(prototype: Callable[..., Any]) -> Callable[..., Any]:
        name = prototype.__name__
        names = tuple(inspect.signature(prototype).parameters)

        def hook(*args: Any) -> Any:  # the interpreter's path (NUMBA_DISABLE_JIT=1)
            return getattr(type(args[0]), name)(*args)

        hook.__name__ = name
        hook.__doc__ = prototype.__doc__
        hook.__signature__ = inspect.signature(prototype)  # type: ignore[attr-defined]
        hook.slot = (kind, name, names)  # type: ignore[attr-defined]
        overload(hook, jit_options={"no_cpython_wrapper": True})(_chooser(name, names))
        HOOKS.setdefault(kind, []).append(hook)
        return hook

    return mark


def _chooser(name: str, names: tuple[str, ...]) -> Callable[..., Any]:
    """A typing function with the hook's own parameter names: Numba matches them literally."""
    source = (
        f"def choose({', '.join(names)}):\n"
        f"    cls = getattr({names[0]}, 'instance_class', None)\n"
        f"    return getattr(cls, {name!r}, None) if cls is not None else None\n"
    )
    scope: dict[str, Any] = {}
    exec(source, scope)  # noqa: S102 - the text is built from identifiers of our own prototype
    return scope["choose"]


def plugin(kind: str, name: str) -> Callable[[type], type]:
    """Register a NamedTuple class as plug-in ``name`` of ``kind``.

    The class holds the plug-in's state as NumPy arrays, implements every hook of its kind as a static method, and has a
    class method ``create(spec, count)`` that returns an instance for ``count`` sub-cores (or channels). Signatures are
    checked here, so a mistake is one line at import rather than a page from the compiler.
    """

    def mark(cls: type) -> type:
        if not hasattr(cls, "create"):
            raise TypeError(f"{kind} {name!r} lacks the class method create(spec, count)")
        for hook in HOOKS.get(kind, []):
            _, hook_name, expected = hook.slot  # type: ignore[attr-defined]
            function = getattr(cls, hook_name, None)
            if function is None:
                raise TypeError(f"{kind} {name!r} lacks {hook_name}{inspect.signature(hook)}")
            got = tuple(inspect.signature(function).parameters)
            if got != expected:
                raise TypeError(f"{kind} {name!r}: {hook_name}{got} should be {hook_name}{expected}")
        REGISTRY[kind, name] = cls
        return cls

    return mark
