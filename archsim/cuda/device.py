"""What the emulated GPU says about itself: attributes, cudaDeviceProp, occupancy, limits of a launch.

Everything that differs between chips comes from a machine configuration (``archsim.config``); what is the same for all
supported compute capabilities is written here with its source (CGP: CUDA C Programming Guide, "Compute Capabilities",
table of technical specifications).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsim.cuda.protocol import CallError, CudaError
from archsim.errors import ConfigError

if TYPE_CHECKING:
    from archsim.config import MachineConfig

# The machine that stands for an architecture when the user names none.
DEFAULT_MACHINES = {75: "rtx_2080_ti", 80: "a100_80gb", 86: "rtx_a6000", 89: "rtx_4090", 90: "h100_sxm"}

MAX_GRID = (2**31 - 1, 65535, 65535)  # CGP
MAX_BLOCK = (1024, 1024, 64)  # CGP
DEFAULT_SHARED_BYTES = 48 * 1024  # CGP: more needs an opt-in by cudaFuncSetAttribute
CONSTANT_BYTES = 64 * 1024  # CGP
MAX_PORTABLE_CLUSTER = 8  # CGP
_PITCH_BYTES = 2**31 - 1
# Textures and surfaces: CGP, the limits common to compute capability 7.5 and later.
_TEXTURES = {
    "maxTexture1D": (131072,), "maxTexture1DMipmap": (32768,), "maxTexture2D": (131072, 65536),
    "maxTexture2DMipmap": (32768, 32768), "maxTexture2DLinear": (131072, 65000, 2097120),
    "maxTexture2DGather": (32768, 32768), "maxTexture3D": (16384, 16384, 16384),
    "maxTexture3DAlt": (8192, 8192, 32768), "maxTextureCubemap": (32768,), "maxTexture1DLayered": (32768, 2048),
    "maxTexture2DLayered": (32768, 32768, 2048), "maxTextureCubemapLayered": (32768, 2046), "maxSurface1D": (32768,),
    "maxSurface2D": (131072, 65536), "maxSurface3D": (16384, 16384, 16384), "maxSurface1DLayered": (32768, 2048),
    "maxSurface2DLayered": (32768, 32768, 2048), "maxSurfaceCubemap": (32768,),
    "maxSurfaceCubemapLayered": (32768, 2046),
}  # fmt: skip

# Field offsets of cudaDeviceProp, taken with offsetof from the headers of CUDA 13.0 and 12.9 (12.1-12.9 agree):
# name: (offset in 13, offset in 12, struct format of one element). -1: the field is not in that version.
PROPERTY_BYTES = {13: 1008, 12: 1032}
PROPERTY_FIELDS: dict[str, tuple[int, int, str]] = {
    "name": (0, 0, "256s"), "uuid": (256, 256, "16s"), "totalGlobalMem": (288, 288, "Q"),
    "sharedMemPerBlock": (296, 296, "Q"), "regsPerBlock": (304, 304, "i"), "warpSize": (308, 308, "i"),
    "memPitch": (312, 312, "Q"), "maxThreadsPerBlock": (320, 320, "i"), "maxThreadsDim": (324, 324, "i"),
    "maxGridSize": (336, 336, "i"), "clockRate": (-1, 348, "i"), "totalConstMem": (352, 352, "Q"),
    "major": (360, 360, "i"), "minor": (364, 364, "i"), "textureAlignment": (368, 368, "Q"),
    "texturePitchAlignment": (376, 376, "Q"), "deviceOverlap": (-1, 384, "i"), "multiProcessorCount": (384, 388,
    "i"), "canMapHostMemory": (392, 400, "i"), "maxTexture1D": (396, 408, "i"), "maxTexture1DMipmap": (400, 412,
    "i"), "maxTexture1DLinear": (-1, 416, "i"), "maxTexture2D": (404, 420, "i"), "maxTexture2DMipmap": (412, 428,
    "i"), "maxTexture2DLinear": (420, 436, "i"), "maxTexture2DGather": (432, 448, "i"), "maxTexture3D": (440, 456,
    "i"), "maxTexture3DAlt": (452, 468, "i"), "maxTextureCubemap": (464, 480, "i"), "maxTexture1DLayered": (468, 484,
    "i"), "maxTexture2DLayered": (476, 492, "i"), "maxTextureCubemapLayered": (488, 504, "i"),
    "maxSurface1D": (496, 512, "i"), "maxSurface2D": (500, 516, "i"), "maxSurface3D": (508, 524, "i"),
    "maxSurface1DLayered": (520, 536, "i"), "maxSurface2DLayered": (528, 544, "i"), "maxSurfaceCubemap": (540, 556,
    "i"), "maxSurfaceCubemapLayered": (544, 560, "i"), "surfaceAlignment": (552, 568, "Q"),
    "concurrentKernels": (560, 576, "i"), "pciBusID": (568, 584, "i"), "asyncEngineCount": (584, 600, "i"),
    "unifiedAddressing": (588, 604, "i"), "memoryClockRate": (-1, 608, "i"), "memoryBusWidth": (592, 612, "i"),
    "l2CacheSize": (596, 616, "i"), "maxThreadsPerMultiProcessor": (604, 624, "i"),
    "streamPrioritiesSupported": (608, 628, "i"), "globalL1CacheSupported": (612, 632, "i"),
    "localL1CacheSupported": (616, 636, "i"), "sharedMemPerMultiprocessor": (624, 640, "Q"),
    "regsPerMultiprocessor": (632, 648, "i"), "managedMemory": (636, 652, "i"),
    "singleToDoublePrecisionPerfRatio": (-1, 668, "i"), "cooperativeLaunch": (668, 688, "i"),
    "sharedMemPerBlockOptin": (672, 696, "Q"), "maxBlocksPerMultiProcessor": (688, 712, "i"),
    "reservedSharedMemPerBlock": (696, 720, "Q"), "hostRegisterSupported": (704, 728, "i"),
    "memoryPoolsSupported": (720, 744, "i"), "clusterLaunch": (748, 772, "i"),
}  # fmt: skip

# cudaDeviceAttr number of each property (driver_types.h); a tuple names one number an element.
_ATTRIBUTES: dict[str, tuple[int, ...]] = {
    "maxThreadsPerBlock": (1,), "maxThreadsDim": (2, 3, 4), "maxGridSize": (5, 6, 7), "sharedMemPerBlock": (8,),
    "totalConstMem": (9,), "warpSize": (10,), "memPitch": (11,), "regsPerBlock": (12,), "clockRate": (13,),
    "textureAlignment": (14,), "deviceOverlap": (15,), "multiProcessorCount": (16,), "canMapHostMemory": (19,),
    "maxTexture1D": (21,), "maxTexture2D": (22, 23), "maxTexture3D": (24, 25, 26),
    "maxTexture2DLayered": (27, 28, 29), "surfaceAlignment": (30,), "concurrentKernels": (31,), "pciBusID": (33,),
    "memoryClockRate": (36,), "memoryBusWidth": (37,), "l2CacheSize": (38,), "maxThreadsPerMultiProcessor": (39,),
    "asyncEngineCount": (40,), "unifiedAddressing": (41,), "maxTexture1DLayered": (42, 43),
    "maxTexture2DGather": (45, 46), "maxTexture3DAlt": (47, 48, 49), "texturePitchAlignment": (51,),
    "maxTextureCubemap": (52,), "maxTextureCubemapLayered": (53, 54), "maxSurface1D": (55,),
    "maxSurface2D": (56, 57), "maxSurface3D": (58, 59, 60), "maxSurface1DLayered": (61, 62),
    "maxSurface2DLayered": (63, 64, 65), "maxSurfaceCubemap": (66,), "maxSurfaceCubemapLayered": (67, 68),
    "maxTexture1DLinear": (69,), "maxTexture2DLinear": (70, 71, 72), "maxTexture2DMipmap": (73, 74), "major": (75,),
    "minor": (76,), "maxTexture1DMipmap": (77,), "streamPrioritiesSupported": (78,), "globalL1CacheSupported": (79,),
    "localL1CacheSupported": (80,), "sharedMemPerMultiprocessor": (81,), "regsPerMultiprocessor": (82,),
    "managedMemory": (83,), "singleToDoublePrecisionPerfRatio": (87,), "cooperativeLaunch": (95,),
    "sharedMemPerBlockOptin": (97,), "hostRegisterSupported": (99,), "maxBlocksPerMultiProcessor": (106,),
    "reservedSharedMemPerBlock": (111,), "memoryPoolsSupported": (115,), "clusterLaunch": (120,),
}  # fmt: skip
ATTRIBUTE_COUNT = 160


@dataclass(frozen=True)
class KernelLimits:
    """What a launch or an occupancy query needs to know of a kernel. Bytes are per CTA or thread as named."""

    registers: int
    static_shared_bytes: int
    max_threads: int
    max_dynamic_shared_bytes: int
    cluster: tuple[int, int, int] = (1, 1, 1)
    non_portable_cluster: bool = False


class Device:
    """The emulated GPU as a program sees it."""

    def __init__(self, config: MachineConfig, memory_bytes: int) -> None:
        self.config = config
        self.arch = config.arch
        self.num_sms = config.num_sms
        self.memory_bytes = memory_bytes
        shared = config.sm.shared
        self.shared_optin_bytes = shared.max_bytes - shared.reserved_bytes_per_cta

    @classmethod
    def of_arch(cls, arch: int, memory_bytes: int) -> Device:
        """The default machine of an architecture. Raises ConfigError for one that the emulator lacks."""
        from archsim.config import load_config

        if arch not in DEFAULT_MACHINES:
            known = ", ".join(f"sm_{a}" for a in DEFAULT_MACHINES)
            raise ConfigError(f"sm_{arch}: programs can be emulated for {known}")
        return cls(load_config(DEFAULT_MACHINES[arch]), memory_bytes)

    @property
    def name(self) -> str:
        """What the program prints as the device's name."""
        return f"archsim {self.config.name} (emulated)"

    def properties(self) -> dict[str, tuple[int | bytes, ...]]:
        """Fields of cudaDeviceProp that are not 0."""
        sm, dram = self.config.sm, self.config.dram
        scalar: dict[str, int | bytes] = {
            "name": self.name.encode()[:255], "uuid": b"archsim emulated", "totalGlobalMem": self.memory_bytes,
            "sharedMemPerBlock": DEFAULT_SHARED_BYTES, "regsPerBlock": sm.registers, "warpSize": 32,
            "memPitch": _PITCH_BYTES, "maxThreadsPerBlock": sm.max_threads_per_cta, "totalConstMem": CONSTANT_BYTES,
            "clockRate": round(self.config.clock_mhz * 1000), "major": self.arch // 10, "minor": self.arch % 10,
            "textureAlignment": 512, "texturePitchAlignment": 32, "deviceOverlap": 1,
            "multiProcessorCount": self.num_sms, "canMapHostMemory": 1, "maxTexture1DLinear": 268435456,
            "surfaceAlignment": 512, "concurrentKernels": 1, "pciBusID": 1, "asyncEngineCount": 2,
            "unifiedAddressing": 1, "memoryClockRate": round(dram.data_rate_mtps * 1000 / 2),
            "memoryBusWidth": dram.channels * dram.channel_width_bits, "l2CacheSize": self.config.l2.bytes,
            "maxThreadsPerMultiProcessor": sm.num_warps * 32, "streamPrioritiesSupported": 1,
            "globalL1CacheSupported": 1, "localL1CacheSupported": 1,
            "sharedMemPerMultiprocessor": sm.shared.max_bytes, "regsPerMultiprocessor": sm.registers,
            "managedMemory": 1, "cooperativeLaunch": 1,
            "singleToDoublePrecisionPerfRatio": 2 if self.arch in (80, 90) else 32,
            "sharedMemPerBlockOptin": self.shared_optin_bytes, "maxBlocksPerMultiProcessor": sm.num_ctas,
            "reservedSharedMemPerBlock": sm.shared.reserved_bytes_per_cta, "hostRegisterSupported": 1,
            "memoryPoolsSupported": 1, "clusterLaunch": int(self.arch >= 90),
        }  # fmt: skip
        values: dict[str, tuple[int | bytes, ...]] = {name: (value,) for name, value in scalar.items()}
        return {**values, **_TEXTURES, "maxThreadsDim": MAX_BLOCK, "maxGridSize": MAX_GRID}

    def pack_properties(self, major: int) -> bytes:
        """cudaDeviceProp in the layout of CUDA 12 or 13."""
        blob = bytearray(PROPERTY_BYTES[major])
        for name, values in self.properties().items():
            in_13, in_12, form = PROPERTY_FIELDS[name]
            at = in_13 if major == 13 else in_12
            if at >= 0:
                struct.pack_into(f"<{form * len(values)}", blob, at, *values)
        return bytes(blob)

    def attributes(self) -> list[int]:
        """Values by cudaDeviceAttr number; 0 for what the device lacks."""
        table = [0] * ATTRIBUTE_COUNT
        properties = self.properties()
        for name, numbers in _ATTRIBUTES.items():
            for number, value in zip(numbers, properties[name], strict=True):
                table[number] = min(int(value), 2**31 - 1)
        return table

    def shared_allocation_bytes(self, kernel: KernelLimits, dynamic_bytes: int) -> int:
        """Shared memory that one CTA takes of its SM."""
        shared = self.config.sm.shared
        wanted = kernel.static_shared_bytes + dynamic_bytes + shared.reserved_bytes_per_cta
        return -(-wanted // shared.allocation_unit_bytes) * shared.allocation_unit_bytes

    def occupancy(self, kernel: KernelLimits, threads: int, dynamic_bytes: int) -> int:
        """CTAs of ``threads`` threads that one SM holds (the rules of cuda_occupancy.h)."""
        sm = self.config.sm
        if threads > min(sm.max_threads_per_cta, kernel.max_threads):
            return 0
        warps = -(-threads // 32)
        limits = [sm.num_ctas, sm.num_warps // warps]
        if kernel.registers:
            unit = sm.register_allocation_unit
            per_warp = -(-kernel.registers * 32 // unit) * unit
            assumed = -(-warps // sm.num_subcores) * sm.num_subcores  # the hardware's check rounds up to all sub-cores
            if per_warp * assumed > sm.registers:
                return 0
            limits.append(sm.registers // sm.num_subcores // per_warp * sm.num_subcores // warps)
        taken = self.shared_allocation_bytes(kernel, dynamic_bytes)
        if taken:
            limits.append(sm.shared.max_bytes // taken)
        return min(limits)

    def available_shared_bytes(self, kernel: KernelLimits, ctas: int) -> int:
        """Most dynamic shared memory per CTA with which ``ctas`` CTAs still share an SM; 0 if none."""
        shared = self.config.sm.shared
        each = shared.max_bytes // max(ctas, 1) // shared.allocation_unit_bytes * shared.allocation_unit_bytes
        return max(0, min(each - shared.reserved_bytes_per_cta, self.shared_optin_bytes) - kernel.static_shared_bytes)

    def max_clusters(self, kernel: KernelLimits, threads: int, dynamic_bytes: int, cluster: int) -> int:
        """Clusters resident on the whole chip; a cluster stays in one GPC."""
        per_gpc = self.occupancy(kernel, threads, dynamic_bytes) * (self.num_sms // self.config.gpcs)
        return self.config.gpcs * (per_gpc // max(cluster, 1))

    def resident_ctas(
        self, kernel: KernelLimits, block: tuple[int, int, int], dynamic_bytes: int, cluster: tuple[int, int, int]
    ) -> int:
        """CTAs that the whole chip holds at once (at least one cluster)."""
        threads, size = math.prod(block), math.prod(cluster)
        if size > 1:
            return max(1, self.max_clusters(kernel, threads, dynamic_bytes, size)) * size
        return max(1, self.occupancy(kernel, threads, dynamic_bytes) * self.num_sms)

    def check_launch(
        self,
        kernel: KernelLimits,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        cluster: tuple[int, int, int],
        dynamic_bytes: int,
        cooperative: bool,
    ) -> None:
        """Raises CallError with the code that the CUDA runtime gives for an impossible launch."""
        threads = block[0] * block[1] * block[2]
        if min(grid) < 1 or min(block) < 1 or any(g > most for g, most in zip(grid, MAX_GRID, strict=True)):
            raise CallError(CudaError.INVALID_CONFIGURATION)
        if threads > self.config.sm.max_threads_per_cta or any(b > m for b, m in zip(block, MAX_BLOCK, strict=True)):
            raise CallError(CudaError.INVALID_CONFIGURATION)
        if threads > kernel.max_threads:
            raise CallError(CudaError.LAUNCH_OUT_OF_RESOURCES)
        size = cluster[0] * cluster[1] * cluster[2]
        if size > 1:
            most = self.config.launch.max_cluster_size if kernel.non_portable_cluster else MAX_PORTABLE_CLUSTER
            if self.arch < 90 or size > most or any(g % c for g, c in zip(grid, cluster, strict=True)):
                raise CallError(CudaError.INVALID_CONFIGURATION)
        if dynamic_bytes > kernel.max_dynamic_shared_bytes:
            raise CallError(CudaError.INVALID_VALUE)
        resident = self.occupancy(kernel, threads, dynamic_bytes)
        if resident == 0:
            raise CallError(CudaError.LAUNCH_OUT_OF_RESOURCES)
        if cooperative and grid[0] * grid[1] * grid[2] > resident * self.num_sms:
            raise CallError(CudaError.COOPERATIVE_LAUNCH_TOO_LARGE)
