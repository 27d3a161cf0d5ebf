"""Every parameter of an SM is read by what builds its model: none can be set without effect.

The machine is built with each attribute access recorded, for a kernel that uses every kind of instruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import archsim
from archsim.config.spec import Spec
from archsim.model.machine import build_machine, residency
from archsim.model.machine import parameters as machine_parameters
from archsim.model.program import static_records
from archsim.testing import KernelBuilder

READ_ELSEWHERE = {
    "sm.front_end.l1i_kept_between_kernels",  # by the run, between kernels: test_code_between_kernels.py
    "sm.issue.dependence",  # by the run, which also looks at the trace
    "sm.issue.scheduler_options",  # numbers for plug-ins of the user
    "sm.prefetcher.options",
    "sm.rfc.options",
}


def parameters(spec: Spec, prefix: str = "") -> Iterator[tuple[Spec, str, str]]:
    """(component, field, path) of every parameter."""
    for field in type(spec).model_fields:
        value = spec.__dict__[field]
        if isinstance(value, Spec):
            yield from parameters(value, f"{prefix}{field}.")
        elif isinstance(value, dict) and value and all(isinstance(v, Spec) for v in value.values()):
            for key, one in value.items():
                yield from parameters(one, f"{prefix}{field}.{key}.")
            yield spec, field, f"{prefix}{field}"
        else:
            yield spec, field, f"{prefix}{field}"


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[int, str]]]:
    """(id of the component, field) of every access while the block runs."""
    seen: set[tuple[int, str]] = set()
    plain = Spec.__getattribute__

    def access(self: Spec, name: str) -> Any:
        seen.add((id(self), name))
        return plain(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Spec, "__getattribute__", access)
        yield seen


def everything(arch: int) -> Any:
    """A kernel with every kind of instruction that has a parameter of its own."""
    k = KernelBuilder(arch=arch)
    for text in (
        "LDG.E R2, [R4.64]",
        "LDG.E R2, [UR4]",
        "LDS R6, [R8]",
        "LDS R6, [UR4]",
        "LDL R6, [R8]",
        "LDC R8, c[0x0][R2+0x160]",
        "LDC R8, c[0x0][0x160]",
        "ATOMS.ADD R3, [R8], R6",
        "ATOMG.E.ADD.STRONG.GPU PT, R6, [R2.64], R4",
        "LDSM.16.M88.4 R4, [R2]",
        "SHFL.IDX PT, R2, R3, R4, R5",
        "S2R R2, SR_TID.X",
        "S2UR UR4, SR_CTAID.X",
        "MUFU.EX2 R7, R5",
        "DADD R2, R4, R6",
    ):
        k.add(text, write=0, stall=2, read=1)
    stores = ("STG.E [R4.64], R2", "STG.E [UR4], R2", "STS [R8], R6", "STS [UR4], R6")
    for text in (*stores, "RED.E.ADD.STRONG.GPU [R2.64], R4"):
        k.add(text, read=1, stall=2)
    k.add("LDGSTS.E.128 [R9], [R2.64]", address=(0x100000, 16), shared_address=(0, 16), write=0, read=1)
    for text in (
        "FFMA R1, R2, c[0x0][0x160], R3",
        "IADD3 R1, R2, R3, R4",
        "IMAD.WIDE R4, R2, R3, R6",
        "IMAD.HI R4, R2, R3, R6",
        "HADD2 R1, R2, R3",
        "ISETP.NE.AND P0, PT, R2, R3, PT",
        "UIADD3 UR4, UR4, UR5, URZ",
        "HMMA.16816.F32 R4, R8, R12, R4",
        "HMMA.16816.F16 R4, R8, R12, R4",
        "DMMA.884 R4, R8, R12, R4",
        "MOVM.16.MT88 R4, R8",
        "MEMBAR.SC.CTA",
        "MEMBAR.SC.GPU",
        "MEMBAR.SC.SYS",
        "NANOSLEEP 0x10",
        "BAR.SYNC 0x1",
    ):
        k.add(text, stall=5)
    if arch == 90:
        k.add("HGMMA.64x128x16.F32 R4, gdesc[UR4], R4", stall=5)
    return k.build(block=64, grid=3, shared_bytes=1024)


def test_every_parameter_of_the_sm_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what builds the machine from `rtx_a6000` and `h100_sxm`: parameter record, static program, state, plug-ins."""
    read: set[str] = set()
    paths: set[str] = set()
    for machine, arch in (("rtx_a6000", 86), ("h100_sxm", 90)):
        kernel = everything(arch).kernels[0]
        config = archsim.load_config(machine, overrides=["num_sms=1"])
        with recorded(monkeypatch) as seen:
            fit = residency(config, kernel.launch)
            par = machine_parameters(config, kernel.launch, False, fit.shared_carveout_bytes, True)
            build_machine(config, par, static_records(kernel.program, kernel.mem_records, config))
        for spec, field, path in parameters(config):
            if path.startswith(("sm.", "l1d.", "const.")):
                paths.add(path)
                if (id(spec), field) in seen:
                    read.add(path)
    assert paths - read - READ_ELSEWHERE == set()
