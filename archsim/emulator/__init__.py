"""Functional SASS machine: executes cubins without a GPU and writes their traces."""

from archsim.emulator.machine import LaunchResult, Machine
from archsim.emulator.memory import DeviceMemory
from archsim.emulator.module import EmuKernel, Module

__all__ = ["DeviceMemory", "EmuKernel", "LaunchResult", "Machine", "Module"]
