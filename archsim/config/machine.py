"""The whole machine: root of the component tree, and the rules that span components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from archsim.config.memory import (
    L1D_LINE_BYTES,
    ConstantCacheSpec,
    ConstSpec,
    DramSpec,
    EnergySpec,
    L1dSpec,
    L2Spec,
    LaunchSpec,
    MemorySpec,
    NocSpec,
)
from archsim.config.sm import InstructionCacheSpec, SmSpec
from archsim.config.spec import Spec, component, param

ARCHS = (61, 75, 80, 86, 89, 90, 100, 120)


class MachineConfig(Spec):
    """A GPU. ``MachineConfig()`` is a valid machine: an RTX A6000, the published model's reference board."""

    name: str = param("default", doc="name shown in reports", source="none")
    description: str = param(
        "RTX A6000 (GA102), every parameter at its default", doc="one line about this machine", source="none"
    )
    arch: int = param(
        86, ge=61, le=120, doc="SM architecture (61, 75, 80, 86, 89, 90, 100 or 120)", source="gpu-core G.1"
    )
    clock_mhz: float = param(
        1800.0,
        unit="MHz",
        ge=1,
        le=10_000,
        doc="SM, network and L2 clock",
        source="gpu-core G.1, RTX A6000 boost clock",
    )
    num_sms: int = param(84, ge=1, le=1024, doc="streaming multiprocessors", source="gpu-core G.1")
    gpcs: int = param(
        7,
        ge=1,
        le=64,
        doc="graphics processing clusters; a thread-block cluster never spans two",
        source="GA102 whitepaper: 7 GPCs",
    )
    sms_per_gpc: int = param(12, ge=1, le=64, doc="SMs of a full GPC", source="GA102 whitepaper: 6 TPCs x 2 SMs")
    sms_per_tpc: int = param(2, ge=1, le=8, doc="SMs of a TPC", source="GA102 whitepaper")
    launch: LaunchSpec = component(LaunchSpec, doc="kernel launch")
    sm: SmSpec = component(SmSpec, doc="streaming multiprocessor")
    l1d: L1dSpec = component(L1dSpec, doc="L1 data cache")
    const: ConstSpec = component(ConstSpec, doc="constant caches")
    memory: MemorySpec = component(MemorySpec, doc="model of the chip beyond the SMs")
    l2: L2Spec = component(L2Spec, doc="L2 cache")
    noc: NocSpec = component(NocSpec, doc="network between SMs and L2")
    dram: DramSpec = component(DramSpec, doc="device memory")
    energy: EnergySpec = component(EnergySpec, doc="energy model")

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Peak memory bandwidth in bytes per SM clock."""
        return self.dram.bandwidth_gbps * 1000 / self.clock_mhz

    @model_validator(mode="after")
    def _possible(self) -> MachineConfig:
        for path, message in impossible(self):
            raise PydanticCustomError("impossible_machine", "{message}", {"path": path, "message": message})
        return self


def get(config: Spec, path: str) -> Any:
    """Value at a dotted path, for example ``get(config, "sm.num_warps")``."""
    value: Any = config
    for part in path.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


def impossible(config: MachineConfig) -> Iterator[tuple[str, str]]:
    """Yield ``(path, why)`` for every way in which this machine can't exist."""
    yield from _chip(config)
    yield from _residency(config)
    yield from _caches(config)


def _chip(config: MachineConfig) -> Iterator[tuple[str, str]]:
    if config.arch not in ARCHS:
        yield "arch", f"{config.arch} is not a known SM architecture; known: {', '.join(map(str, ARCHS))}"
    room = config.gpcs * config.sms_per_gpc
    if config.num_sms > room:
        yield "num_sms", f"{config.num_sms} SMs don't fit in {config.gpcs} GPCs of {config.sms_per_gpc} SMs ({room})"
    if config.launch.max_cluster_size > 1 and config.arch < 90:
        yield "launch.max_cluster_size", f"thread-block clusters need arch 90 or newer, this machine is {config.arch}"
    if config.l2.slices % config.l2.partitions:
        yield "l2.slices", f"{config.l2.slices} slices can't be split evenly over {config.l2.partitions} partitions"
    parametric = config.memory.parametric
    if parametric.dram_latency_cycles < parametric.l2_latency_cycles:
        yield (
            "memory.parametric.dram_latency_cycles",
            f"a miss ({parametric.dram_latency_cycles} cycles) can't be faster than an L2 hit "
            f"({parametric.l2_latency_cycles})",
        )
    if 2 * config.noc.latency_cycles >= parametric.l2_latency_cycles:
        yield (
            "noc.latency_cycles",
            f"two network crossings of {config.noc.latency_cycles} cycles exceed the L2 hit latency "
            f"of {parametric.l2_latency_cycles}",
        )


def _residency(config: MachineConfig) -> Iterator[tuple[str, str]]:
    sm = config.sm
    if sm.num_warps % sm.num_subcores:
        yield "sm.num_warps", f"{sm.num_warps} warps can't be split evenly over {sm.num_subcores} sub-cores"
    if sm.register_allocation_unit > sm.registers:
        yield (
            "sm.register_allocation_unit",
            f"allocates {sm.register_allocation_unit} registers at a time but the SM has {sm.registers}",
        )
    shared = sm.shared
    largest = shared.carveouts_kb[-1] * 1024
    if list(shared.carveouts_kb) != sorted(set(shared.carveouts_kb)) or shared.carveouts_kb[0] < 0:
        yield "sm.shared.carveouts_kb", "must be in strictly increasing order, none negative"
    elif largest != shared.max_bytes:
        yield (
            "sm.shared.max_bytes",
            f"{shared.max_bytes} bytes differ from the largest carve-out ({largest} bytes)",
        )
    if shared.max_bytes > sm.unified_l1_bytes:
        yield (
            "sm.shared.max_bytes",
            f"{shared.max_bytes} bytes of shared memory exceed the unified L1 array of {sm.unified_l1_bytes}",
        )


def _caches(config: MachineConfig) -> Iterator[tuple[str, str]]:
    if config.l2.line_bytes % config.l2.sector_bytes:
        yield (
            "l2.sector_bytes",
            f"a line of {config.l2.line_bytes} bytes can't be split into sectors of {config.l2.sector_bytes} bytes",
        )
    front = config.sm.front_end
    if front.l1i.line_bytes != front.l0i.line_bytes:
        yield "sm.front_end.l1i.line_bytes", f"{front.l1i.line_bytes} bytes differ from L0's {front.l0i.line_bytes}"
    if config.sm.unified_l1_bytes % (config.l1d.sets * L1D_LINE_BYTES):
        yield (
            "l1d.sets",
            f"the unified array of {config.sm.unified_l1_bytes} bytes isn't a whole number of ways of "
            f"{config.l1d.sets} sets x {L1D_LINE_BYTES} bytes",
        )
    indexed: dict[str, InstructionCacheSpec | ConstantCacheSpec] = {
        "sm.front_end.l0i": config.sm.front_end.l0i,
        "sm.front_end.l1i": config.sm.front_end.l1i,
        "const.fl": config.const.fl,
        "const.vl": config.const.vl,
    }
    for path, cache in indexed.items():
        if cache.bytes % (cache.line_bytes * cache.ways):
            yield (
                f"{path}.bytes",
                f"{cache.bytes} bytes isn't a whole number of sets of {cache.ways} ways x {cache.line_bytes} bytes",
            )
    l2 = config.l2
    if l2.bytes % (l2.slices * l2.line_bytes * l2.ways):
        yield (
            "l2.bytes",
            f"{l2.bytes} bytes isn't a whole number of sets of "
            f"{l2.slices} slices x {l2.ways} ways x {l2.line_bytes} bytes",
        )
