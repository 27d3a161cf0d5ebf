"""The errors that archsim shows to a user: one line that names the file, line or field, never a traceback."""

from __future__ import annotations


class ArchsimError(Exception):
    """Base of every expected failure. ``exit_code`` is what the CLI returns."""

    exit_code = 2


class ConfigError(ArchsimError):
    """A configuration that cannot be built or run."""


class TraceError(ArchsimError):
    """A trace that is missing, truncated, corrupt or of an unknown version."""


class IsaError(ArchsimError):
    """Code that cannot be decoded: an unknown opcode or a damaged cubin."""


class RunError(ArchsimError):
    """A run that cannot start or go on (block larger than an SM, unwritable output)."""


class DeadlockError(RunError):
    """A simulated kernel whose warps wait for what never comes; the message says which warp waits on what."""

    exit_code = 4


class EmulationError(ArchsimError):
    """A fault of the emulated program: out-of-bounds or misaligned access, illegal instruction, deadlock."""

    exit_code = 3
