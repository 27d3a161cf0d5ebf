"""Cubins: programs, metadata, control bits, fat binaries; on kernels compiled here for every architecture."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from archsim.errors import IsaError
from archsim.isa import (
    OperandKind,
    decode_control,
    extract_cubins,
    format_control,
    format_listing,
    list_cubins,
    load_cubin,
    op_info,
    tools,
)  # fmt: skip
from archsim.isa.program import ControlBits

ARCHS = (75, 80, 86, 89, 90, 100, 120)
needs_nvcc = pytest.mark.skipif(
    not (tools.have_tool("nvcc") and tools.have_tool("nvdisasm")), reason="nvcc or nvdisasm is not installed"
)
SOURCE = r"""
#include <cstdio>
typedef float (*fp)(float, int);
__device__ __noinline__ float f1(float a, int n) { return n > 3 ? f1(a * 1.5f, n - 2) + n : a; }
__device__ __noinline__ float f2(float a, int n) { return a / n; }
__device__ fp table[2] = {f1, f2};
__constant__ float coefficients[16];
__device__ int counter;
__device__ int ready = 7;
__global__ void __launch_bounds__(128) kernel(float *o, int n, double d) {
  __shared__ int s[32];
  s[threadIdx.x & 31] = n;
  __syncthreads();
  o[threadIdx.x] = table[n](o[threadIdx.x], n) + coefficients[n] + s[(n + threadIdx.x) & 31];
  atomicAdd(&counter, ready);
  if (d > 1.5) printf("x %f\n", d / 3.7);
  switch (n) {
    case 0: o[1] = 2; break;
    case 1: o[2] = sinf(o[3]); break;
    case 2: o[4] = n; break;
    case 3: o[7] = o[8]; break;
    case 4: o[n] = n * 3; break;
    case 5: o[9] = cosf(o[4]); break;
  }
}
__global__ void branchy(int *p, int n) {
  for (int i = 0; i < n; i++)
    if (p[i] > i) p[i + n] = __popc(p[i]);
}
"""


@pytest.fixture(scope="module")
def cubins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("isa")
    (folder / "k.cu").write_text(SOURCE)
    made = {}
    for arch in ARCHS:
        path = folder / f"k{arch}.cubin"
        command = [str(tools.find_nvcc()), "-cubin", "-lineinfo", f"-arch=sm_{arch}", "k.cu", "-o", str(path)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        made[arch] = path
    return made


@pytest.fixture(scope="module")
def loaded(cubins):
    return {arch: load_cubin(path) for arch, path in cubins.items()}


@needs_nvcc
@pytest.mark.parametrize("arch", ARCHS)
def test_every_instruction_parses_and_is_known(loaded, arch):
    cubin = loaded[arch]
    assert cubin.arch == arch and len(cubin.kernels) == 2
    for program in cubin.kernels.values():
        size = len(cubin.elf.by_name[f".text.{program.name}"].data)
        assert len(program.instructions) * 16 == size
        for index, instruction in enumerate(program.instructions):
            assert instruction.index == index and instruction.address == 16 * index
            op_info(instruction, arch)
            kinds = {o.kind for o in (*instruction.dests, *instruction.sources)}
            assert OperandKind.OTHER not in kinds, instruction.text


@needs_nvcc
@pytest.mark.parametrize("arch", ARCHS)
def test_control_bits_follow_the_compilers_rules(loaded, arch):
    """gpu-core.md A.2, A.3, H.14: stall > 11 only with yield; 0 with yield only on ERRBAR, self-branch, NOP."""
    predicate_stalls = set()
    for program in loaded[arch].kernels.values():
        assert program.has_control_bits
        code = program.instructions
        for instruction, following in zip(code, code[1:], strict=False):
            control = instruction.control
            assert control.stall <= 11 or control.yield_, instruction.text
            if control.stall == 0:
                assert control.yield_ and instruction.base in ("ERRBAR", "BRA", "NOP"), instruction.text
            if instruction.base in ("EXIT", "BRA") and control.stall:
                assert control.stall >= 5, instruction.text  # A.3 says 5; ptxas for sm_90+ also emits more
            if instruction.base == "ISETP" and following.base == "BRA" and following.guard == instruction.dests[0].reg:
                predicate_stalls.add(control.stall)
    assert predicate_stalls and predicate_stalls <= ({12} if arch == 75 else {12, 13, 15})


@needs_nvcc
@pytest.mark.parametrize("arch", ARCHS)
def test_reuse_text_agrees_with_the_reuse_bits(loaded, arch):
    flagged = 0
    for program in loaded[arch].kernels.values():
        for instruction in program.instructions:
            printed = any(o.reuse for o in instruction.sources)
            assert printed == bool(instruction.control.reuse), instruction.text
            flagged += printed
    assert flagged


@needs_nvcc
@pytest.mark.parametrize("arch", ARCHS)
def test_every_variable_latency_result_is_guarded(loaded, arch):
    """A write barrier appears only on units that the tables call variable latency (BMOV aside)."""
    fixed = {"INT", "FP32", "FP16", "BRANCH", "MISC"}
    for program in loaded[arch].kernels.values():
        for instruction in program.instructions:
            unit = op_info(instruction, arch).unit.name
            if unit in fixed and instruction.base not in ("BMOV", "LDGDEPBAR"):
                assert instruction.control.write_barrier == 7, instruction.text


@needs_nvcc
@pytest.mark.parametrize("arch", ARCHS)
def test_kernel_metadata(loaded, arch):
    cubin = loaded[arch]
    info = cubin.info["_Z6kernelPfid"]
    base = 0x160 if arch < 90 else 0x210 if arch == 90 else 0x380
    assert info.params == ((0, 8), (8, 4), (16, 8)) and info.param_bytes == 24 and info.param_base == base
    assert info.constant0_bytes == base + 24
    assert info.max_threads == (128, 1, 1) and 0 < info.registers <= 255 and info.has_calls
    assert info.static_shared_bytes - info.reserved_shared_bytes == 128
    assert info.local_bytes > 0 and info.externs == ("vprintf",)
    assert cubin.info["_Z7branchyPii"].static_shared_bytes in (0, info.reserved_shared_bytes)


@needs_nvcc
@pytest.mark.parametrize("arch", ARCHS)
def test_variables_relocations_and_functions(loaded, arch):
    cubin = loaded[arch]
    assert cubin.globals["counter"].data is None and cubin.globals["counter"].size == 4
    assert cubin.globals["ready"].data == struct.pack("<I", 7)
    assert cubin.globals["coefficients"].section == ".nv.constant3" and cubin.globals["coefficients"].size == 64
    targets = {(r.symbol, r.symbol_section) for r in cubin.relocations if r.section == ".nv.constant4"}
    assert ("vprintf", "") in targets and ("counter", ".nv.global") in targets
    program = cubin.kernels["_Z6kernelPfid"]
    assert program.functions["_Z6kernelPfid"] == 0 and any(n.endswith("_Z2f1fi") for n in program.functions)
    assert {0, 2, 3, 4} <= set(program.constants) and len(program.constants[3]) == 64


@needs_nvcc
@pytest.mark.parametrize("arch", ARCHS)
def test_labels_and_branch_tables_land_on_instructions(loaded, arch):
    cubin = loaded[arch]
    program = cubin.kernels["_Z6kernelPfid"]
    labels = [o.value for i in program.instructions for o in i.sources if o.kind == OperandKind.LABEL]
    assert labels
    for address in labels:
        program.index_of(address)
    brx = [i for i in program.instructions if i.base in ("BRX", "BRXU")]
    targets = cubin.info[program.name].branch_targets
    assert brx and {i.address for i in brx} == set(targets)
    for instruction in brx:
        for address in targets[instruction.address]:
            program.index_of(address)
        offset = next(o.value for o in instruction.sources if o.kind == OperandKind.IMM)
        assert offset == -(instruction.address + 16)


@needs_nvcc
def test_source_lines(loaded):
    for instruction in loaded[90].kernels["_Z7branchyPii"].instructions:
        if instruction.base == "POPC":
            assert instruction.line == SOURCE.splitlines().index("    if (p[i] > i) p[i + n] = __popc(p[i]);") + 1
            assert instruction.file.endswith("k.cu")
            return
    pytest.fail("no POPC in branchy")


@needs_nvcc
def test_separately_compiled_code_is_laid_out_behind_the_entry(tmp_path):
    (tmp_path / "a.cu").write_text(
        "extern __device__ float ext(float,int);\n__global__ void k(float*o,int n){o[n]=ext(o[n],n)+1.f;}"
    )
    (tmp_path / "b.cu").write_text(
        "__device__ __noinline__ float in(float a){return a/3.3f;}\n"
        "__device__ float ext(float a,int n){return n>3?in(a):a+2;}"
    )
    nvcc = str(tools.find_nvcc())
    for unit in "ab":
        command = [nvcc, "-arch=sm_90", "-rdc=true", "-cubin", f"{unit}.cu", "-o", f"{unit}.o"]
        subprocess.run(command, cwd=tmp_path, check=True)
    with pytest.raises(IsaError, match=r"_Z1kPfi at 0x[0-9a-f]+: the branch target '`\(_Z3extfi\)'"):
        load_cubin(tmp_path / "a.o")
    subprocess.run(["nvlink", "-arch=sm_90", "a.o", "b.o", "-o", "l.cubin"], cwd=tmp_path, check=True)
    program = load_cubin(tmp_path / "l.cubin").kernels["_Z1kPfi"]
    assert {"_Z1kPfi", "_Z3extfi", "_Z2inf"} <= set(program.functions)
    assert all(address % 128 == 0 for address in program.functions.values())
    call = next(i for i in program.instructions if i.base == "CALL")
    assert call.sources[-1].value == program.functions["_Z3extfi"]
    moves = [i for i in program.instructions[: call.index] if "32@lo" in i.text]
    assert [i.sources[0].value for i in moves] == [call.address + 16]  # the return address


@needs_nvcc
@pytest.mark.parametrize(
    "mode", [[], ["-Xfatbin", "-compress-all"], ["--compress-mode=speed", "-Xfatbin", "-compress-all"]]
)
def test_cubins_inside_an_executable(tmp_path, mode):
    (tmp_path / "m.cu").write_text("__global__ void k(float*o){o[threadIdx.x]*=2;}\nint main(){k<<<1,32>>>(0);}")
    targets = ["-gencode", "arch=compute_75,code=sm_75", "-gencode", "arch=compute_90,code=sm_90"]
    subprocess.run([str(tools.find_nvcc()), *targets, *mode, "m.cu", "-o", "m"], cwd=tmp_path, check=True)
    found = [(arch, load_cubin(data)) for arch, data in list_cubins(tmp_path / "m")]
    with_code = [(arch, cubin) for arch, cubin in found if cubin.kernels]
    assert [arch for arch, _ in with_code] == [75, 90]
    assert all(cubin.arch == arch and list(cubin.kernels) == ["_Z1kPf"] for arch, cubin in with_code)


@needs_nvcc
def test_truncated_and_flipped_cubins_give_isa_errors(cubins):
    data = cubins[86].read_bytes()
    for size in (0, 3, 40, 64, 500, len(data) // 2, len(data) - 70):
        with pytest.raises(IsaError):
            load_cubin(data[:size])


def test_files_that_are_no_cubins(tmp_path):
    with pytest.raises(IsaError, match="missing.cubin: No such file"):
        load_cubin(tmp_path / "missing.cubin")
    with pytest.raises(IsaError, match="not an ELF file"):
        load_cubin(b"hello")
    with pytest.raises(IsaError, match="neither an ELF file nor a fat binary"):
        extract_cubins(b"hello")
    with pytest.raises(IsaError, match="is cut short"):
        extract_cubins(struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 4096))


def test_control_fields_by_hand():
    """gpu-core.md A.1: stall 41-44, yield 45 (active low), write 46-48, read 49-51, wait 52-57, reuse 58-61."""
    word = 13 << 41 | 0 << 45 | 2 << 46 | 5 << 49 | 0b100001 << 52 | 0b0110 << 58
    assert decode_control(word) == ControlBits(13, True, 2, 5, 0b100001, 0b0110)
    assert format_control(decode_control(word)) == "B0----5:R5:W2:Y:S13"
    assert format_control(decode_control(1 << 41 | 1 << 45 | 7 << 46 | 7 << 49)) == "B------:R-:W-:-:S01"


@needs_nvcc
def test_listing_has_a_line_per_instruction_and_function(loaded):
    program = loaded[90].kernels["_Z6kernelPfid"]
    lines = format_listing(program)
    assert len(lines) == len(program.instructions) + len(program.functions)
    assert lines[0] == "_Z6kernelPfid:" and lines[1].startswith("0000  B") and "LDC R1, c[0x0][0x28]" in lines[1]


def test_a_missing_tool_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(tools, "_candidates", lambda name: [])
    tools.find_tool.cache_clear()
    try:
        with pytest.raises(IsaError, match=r"nvdisasm was not found .* pip install archsim\[cuda\]"):
            tools.find_nvdisasm()
    finally:
        tools.find_tool.cache_clear()


CORPUS = [
    *sorted(Path("/work/shared/reference/crosscheck/gpu").glob("kernels.cu")),
    *(Path(__file__).parents[2] / "validation" / "kernels" / f"{name}.cu" for name in ("sha256", "attention_flash")),
]


@needs_nvcc
@pytest.mark.parametrize("source", CORPUS, ids=lambda p: p.stem)
def test_corpus_parses_on_every_architecture(source, tmp_path):
    """PTX once, then ptxas for each architecture: every instruction has operands of known kinds and an op_info."""
    if not source.exists():
        pytest.skip(f"{source} is not here")
    ptx = tmp_path / "k.ptx"
    command = [str(tools.find_nvcc()), "-std=c++17", "-ptx", "-arch=compute_75", str(source), "-o", str(ptx)]
    subprocess.run(command, check=True, capture_output=True)
    for arch in ARCHS:
        cubin = tmp_path / f"k{arch}.cubin"
        subprocess.run([str(tools.find_tool("ptxas")), f"-arch=sm_{arch}", str(ptx), "-o", str(cubin)], check=True)
        for program in load_cubin(cubin).kernels.values():
            for instruction in program.instructions:
                op_info(instruction, arch)
                assert OperandKind.OTHER not in {o.kind for o in instruction.sources}, instruction.text
