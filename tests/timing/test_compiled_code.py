"""What the compiler assumes of the hardware (gpu-core H.3, H.14, A.3, F.3), checked on code compiled here for sm_86.

Hardware does not check fixed-latency results, so the stall counts of ptxas are bounds on the real latencies: the
model's own latencies must not be larger, and the smallest distance found is the latency itself.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from archsim.config import load_config
from archsim.isa import OperandKind, load_cubin, op_info, tools
from archsim.isa.program import RZ, Instruction, Operand, Program
from archsim.isa.tables import Flow, MemKind, Unit

SOURCE = r"""
__global__ void chain(float *o, float a, float b) {
  float x = o[threadIdx.x];
  #pragma unroll
  for (int i = 0; i < 24; i++) x = x + a;
  #pragma unroll
  for (int i = 0; i < 24; i++) x = x * a + b;
  o[threadIdx.x] = x;
}
__global__ void branchy(int *p, int n) {
  for (int i = threadIdx.x; i < n; i += 32) {
    int j = i;
    while (p[j] > i) j = p[j + n] * 3 + __popc(p[i]);
    p[i] = j;
  }
}
__global__ void gather(const int *index, const float4 *from, float *to, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int k = index[i];
  float4 v = from[(k * 5 + 3) ^ (k >> 7)];
  to[(i & 31) * n + (k & 63)] = sinf(v.x) + v.y * v.z / v.w;
}
__global__ void staged(float *o, int n) {
  __shared__ float s[1024];
  for (int i = threadIdx.x; i < 1024; i += blockDim.x) s[(i * 33) & 1023] = o[i];
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < n; i++) sum += s[(threadIdx.x + i * 7) & 1023];
  o[threadIdx.x] = sum;
}
"""
VARIABLE = (Unit.SFU, Unit.MEMORY, Unit.FP64, Unit.MISC_QUEUE)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> list[Program]:
    if not (tools.have_tool("nvcc") and tools.have_tool("nvdisasm")):
        pytest.skip("nvcc or nvdisasm is not installed")
    folder: Path = tmp_path_factory.mktemp("compiled")
    (folder / "k.cu").write_text(SOURCE)
    command = [str(tools.find_nvcc()), "-cubin", "-arch=sm_86", "k.cu", "-o", "k.cubin"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    found = list(load_cubin(folder / "k.cubin").kernels.values())
    assert len(found) == 4
    return found


def registers(operands: tuple[Operand, ...], kind: OperandKind) -> set[int]:
    """Registers of a kind that operands name, addresses included for regular registers."""
    named: set[int] = set()
    for o in operands:
        if o.kind == kind and o.reg >= 0:
            named |= set(range(o.reg, o.reg + max(o.width, 1)))
        elif kind == OperandKind.REG and o.kind in (OperandKind.MEM, OperandKind.DESC) and o.reg >= 0:
            named |= {o.reg, o.reg + 1} if o.wide or o.width == 2 else {o.reg}
    return named - {RZ if kind == OperandKind.REG else 7}


def wait(instruction: Instruction) -> int:
    """Cycles from an instruction to the next one of its warp."""
    control = instruction.control
    assert control is not None
    return 45 if control.stall == 0 and control.yield_ else max(control.stall, 1)


def first_uses(program: Program, kind: OperandKind) -> Iterator[tuple[Instruction, Instruction, int]]:
    """(producer, first instruction that reads its result, cycles between them) in straight-line code."""
    code = program.instructions
    for i, producer in enumerate(code):
        results = registers(producer.dests, kind)
        cycles = wait(producer)
        if not results or producer.guard >= 0:
            continue
        for consumer in code[i + 1 :]:
            reads = registers(consumer.sources, kind)
            if kind == OperandKind.PRED and consumer.guard >= 0:
                reads |= {consumer.guard}
            if reads & results:
                yield producer, consumer, cycles
            results -= reads | registers(consumer.dests, kind)
            if not results or op_info(consumer, program.arch).flow not in (Flow.NONE, Flow.CLOCK):
                break
            cycles += wait(consumer)


def test_stall_over_11_only_with_yield(programs: list[Program]) -> None:
    """gpu-core H.14, A.2."""
    long = [i for p in programs for i in p.instructions if i.control is not None and i.control.stall > 11]
    assert long
    assert all(i.control is not None and i.control.yield_ for i in long)


def test_stall_0_with_yield_only_after_the_end(programs: list[Program]) -> None:
    """gpu-core A.3: the self-branch after EXIT and the padding behind it."""
    for p in programs:
        for i in p.instructions:
            if i.control is not None and i.control.stall == 0 and i.control.yield_:
                assert i.base in ("BRA", "NOP", "ERRBAR")


def test_predicate_to_branch_is_13_cycles(programs: list[Program]) -> None:
    """gpu-core H.14, A.3: exactly 13 when the branch is next; the model's predicate latency."""
    distances = []
    adjacent = []
    for p in programs:
        for producer, consumer, cycles in first_uses(p, OperandKind.PRED):
            if op_info(producer, p.arch).unit in (Unit.INT, Unit.FP32) and consumer.base in ("BRA", "EXIT"):
                distances.append(cycles)
                if consumer.index == producer.index + 1:
                    adjacent.append((consumer.base, cycles))
    assert min(distances) == 13 == load_config("rtx_a6000").sm.units.predicate_latency_cycles
    assert adjacent and all(cycles == 13 for _, cycles in adjacent)


def test_dependent_adds_are_4_cycles_apart(programs: list[Program]) -> None:
    """gpu-core H.14, F.3: FADD and FFMA chains."""
    (program,) = [p for p in programs if "chain" in p.name]
    found = {"FADD": [], "FFMA": []}
    for producer, consumer, cycles in first_uses(program, OperandKind.REG):
        if producer.base == consumer.base and producer.base in found:
            found[producer.base].append(cycles)
    for op, cycles in found.items():
        assert len(cycles) >= 20 and set(cycles) == {4}, op
    assert load_config("rtx_a6000").sm.units.fp32.latency_cycles == 4


def test_no_bypass_into_variable_latency_units(programs: list[Program]) -> None:
    """gpu-core H.3, listing 3: a result that a memory instruction reads needs a cycle more: 5 instead of 4.

    Wrong values are not part of a timing model driven by traces, so this holds for the code, not for a run.
    """
    units = load_config("rtx_a6000").sm.units
    to_fixed, to_memory = [], []
    for p in programs:
        for producer, consumer, cycles in first_uses(p, OperandKind.REG):
            if op_info(producer, p.arch).unit not in (Unit.INT, Unit.FP32) or producer.base == "IMAD":
                continue
            unit = op_info(consumer, p.arch).unit
            if unit == Unit.MEMORY and op_info(consumer, p.arch).kind in (MemKind.LOAD, MemKind.STORE):
                to_memory.append(cycles)
            elif unit not in VARIABLE:
                to_fixed.append(cycles)
    assert min(to_fixed) == 4
    assert min(to_memory) == 5 == units.int.latency_cycles + 1  # H.3
