"""Messages between a captured program (archsim/cuda/src/core.c) and the process that owns the emulated GPU.

A request is ``u32 op, u32 flags (1: no reply), u64 bytes`` and a body; a reply ``i32 error, u32 sticky, u64 bytes`` and
a body; all little-endian, over a Unix stream socket. The reply to HELLO is followed by one byte that carries the
descriptor of device memory.
"""

from __future__ import annotations

import enum
import struct

VERSION = 1
REQUEST = struct.Struct("<IIQ")
REPLY = struct.Struct("<iIQ")
NO_REPLY = 1
MAX_BODY_BYTES = 1 << 31  # a fat binary; anything longer is not one of our clients


class Op(enum.IntEnum):
    """Request numbers, as in core.h."""

    HELLO = 1
    PROPERTIES = 2
    ALLOC = 3
    FREE = 4
    MEM_INFO = 5
    MODULE_LOAD = 6
    MODULE_UNLOAD = 7
    KERNEL = 8
    GLOBAL = 9
    LAUNCH = 10
    EVENT = 11
    OCCUPANCY = 12
    FUNC_SET = 13
    UNSUPPORTED = 14
    RESET = 15
    LIMIT = 16


class CudaError(enum.IntEnum):
    """The cudaError_t values that the emulated GPU answers with."""

    SUCCESS = 0
    INVALID_VALUE = 1
    OUT_OF_MEMORY = 2
    INVALID_CONFIGURATION = 9
    INVALID_SYMBOL = 13
    INVALID_DEVICE_FUNCTION = 98
    NO_KERNEL_IMAGE = 209
    INVALID_HANDLE = 400
    ILLEGAL_ADDRESS = 700
    LAUNCH_OUT_OF_RESOURCES = 701
    ASSERT = 710
    ILLEGAL_INSTRUCTION = 715
    MISALIGNED_ADDRESS = 716
    LAUNCH_FAILURE = 719
    COOPERATIVE_LAUNCH_TOO_LARGE = 720
    NOT_SUPPORTED = 801


class CallError(Exception):
    """A CUDA call that fails with a code; ``sticky``: every later call of the program fails too."""

    def __init__(self, code: CudaError, sticky: bool = False) -> None:
        super().__init__(code.name)
        self.code = code
        self.sticky = sticky


HELLO = struct.Struct("<II")  # protocol, pid
HELLO_REPLY = struct.Struct("<QQII")  # base, bytes, attributes, name bytes
ALLOC = struct.Struct("<QII")  # bytes, kind, align
U64 = struct.Struct("<Q")
U32 = struct.Struct("<I")
KERNEL_REPLY = struct.Struct("<II8i")  # id, parameters, as_kernel_info
PARAMETER = struct.Struct("<II")  # offset, bytes
GLOBAL_REPLY = struct.Struct("<QQ")
LAUNCH = struct.Struct("<II9IIQ")  # kernel, stream, grid, block, cluster, cooperative, dynamic shared bytes
EVENT = struct.Struct("<IIQQQ")  # kind, stream, dst, src, bytes
OCCUPANCY = struct.Struct("<IIQII")  # kernel, block, shared, cluster, query
LIMIT = struct.Struct("<IIQ")  # cudaLimit, 0, value
FUNC_SET = struct.Struct("<Iii")  # kernel, attribute, value

EVENT_NAMES = ("memcpy_h2h", "memcpy_h2d", "memcpy_d2h", "memcpy_d2d", "memcpy_default", "memset")
