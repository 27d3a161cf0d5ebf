"""`ref`: pass a NamedTuple of arrays by reference.

Numba flattens a tuple into one argument per array member: a machine of twenty arrays costs some two hundred stack slots
in every call that is not inlined. ``ref(m)`` keeps the tuple once, in the entry point's frame; inner functions get one
pointer and read ``m.wp`` and so on as before. In the interpreter it is the tuple itself.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    models,
    overload,
    register_model,
)


class RefType(types.Type):
    """Pointer to a NamedTuple of type ``target``; attributes are the tuple's fields."""

    def __init__(self, target: Any) -> None:
        self.target = target
        super().__init__(name=f"Ref({target})")

    @property
    def fields(self) -> tuple[str, ...]:
        """Field names of the tuple."""
        return tuple(self.target.instance_class._fields)

    def field_type(self, name: str) -> Any:
        """Numba type of one field."""
        return self.target.types[self.fields.index(name)]


@register_model(RefType)
class _RefModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: RefType) -> None:
        pointee = manager.lookup(fe_type.target).get_value_type()
        super().__init__(manager, fe_type, pointee.as_pointer())


@infer_getattr
class _RefAttributes(AttributeTemplate):
    key = RefType

    def generic_resolve(self, typ: RefType, attr: str) -> Any:
        return typ.field_type(attr) if attr in typ.fields else None


@lower_getattr_generic(RefType)
def _load_field(context: Any, builder: Any, typ: RefType, value: Any, attr: str) -> Any:
    pointer = cgutils.gep_inbounds(builder, value, 0, typ.fields.index(attr))
    return impl_ret_borrowed(context, builder, typ.field_type(attr), builder.load(pointer))


@intrinsic
def _keep(typing_context: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.alloca_once_value(builder, args[0])

    return RefType(value)(value), codegen


def ref(machine: Any) -> Any:
    """Reference to a NamedTuple that lives as long as the calling (entry) function."""
    return machine


@overload(ref, inline="always")  # the tuple must live in the frame of the caller
def _ref(machine):  # type: ignore[no-untyped-def]
    return lambda machine: _keep(machine)
