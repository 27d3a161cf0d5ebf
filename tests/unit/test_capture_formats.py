"""Fat binaries, executables, the device's description and the choice of launches: pure functions of capture."""

from __future__ import annotations

import shutil
import struct
import subprocess

import lz4.block
import pytest
import zstandard

from archsim.cuda.build import SOURCES, exported_names, library_folder
from archsim.cuda.capture import check_program, choose_arch
from archsim.cuda.device import PROPERTY_BYTES, PROPERTY_FIELDS, Device, KernelLimits
from archsim.cuda.probe import Executable, inspect
from archsim.cuda.protocol import CallError, CudaError
from archsim.cuda.recording import Selection, plain_name
from archsim.errors import ArchsimError, IsaError, RunError
from archsim.isa.fatbin import choose, read_entries
from archsim.isa.tools import find_tool

PAYLOAD = b"\x7fELF" + bytes(range(256)) * 3 + b"abcabcabcabcabcabcabcabcabcabc" * 20


def entry(payload: bytes, *, kind: int = 2, arch: int = 90, flags: int = 0x11) -> bytes:
    packed = payload
    if flags & 0x8000:
        packed = zstandard.ZstdCompressor().compress(payload)
    elif flags & 0x2000:
        packed = lz4.block.compress(payload, store_size=False)
    compressed = packed is not payload
    padded = packed + bytes(-len(packed) % 8)
    head = struct.pack("<HHIQII", kind, 0x0101, 64, len(padded), len(packed) if compressed else 0, 0)
    head += struct.pack("<HHIIIQQQ", 8, 1, arch, 0, 0, flags, 0, len(payload) if compressed else 0)
    return head + padded


def container(*entries: bytes) -> bytes:
    body = b"".join(entries)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


@pytest.mark.parametrize("flags", [0x11, 0x8011, 0x2011])
def test_entries_unpack_to_what_was_packed(flags):
    (found,) = read_entries(container(entry(PAYLOAD, flags=flags)))
    assert found.payload()[: len(PAYLOAD)] == PAYLOAD
    assert (found.arch, found.is_ptx) == (90, False)


def test_several_containers_follow_one_another():
    two = container(entry(PAYLOAD, arch=75)) + container(entry(PAYLOAD, arch=86), entry(b".version 9.0\0\0", kind=1))
    assert [(e.arch, e.is_ptx) for e in read_entries(two)] == [(75, False), (86, False), (90, True)]
    assert read_entries(two)[2].payload() == b".version 9.0"


@pytest.mark.parametrize("flags", [0x8011, 0x2011])
def test_damaged_entries_are_errors(flags):
    good = container(entry(PAYLOAD, flags=flags))
    broken = bytearray(good)
    broken[16 + 64 : 16 + 64 + 12] = b"\xff" * 12
    with pytest.raises(IsaError, match="fat binary"):
        read_entries(bytes(broken))[0].payload()
    with pytest.raises(IsaError, match="cut short"):
        read_entries(good[:-16])


@pytest.mark.parametrize(
    ("archs", "device", "expected"),
    [([75, 80, 86], 86, 86), ([75, 80], 86, 80), ([80], 89, 80), ([90], 86, None), ([86], 80, None), ([80], 90, None)],
)
def test_the_best_cubin_of_the_same_major_version(archs, device, expected):
    chosen = choose(read_entries(container(*(entry(PAYLOAD, arch=a) for a in archs))), device)
    assert (chosen.arch if chosen else None) == expected


def test_specific_code_only_for_its_own_chip_and_ptx_as_a_last_resort():
    entries = read_entries(
        container(entry(PAYLOAD, arch=90), entry(PAYLOAD, arch=90, flags=0x100011), entry(b"ptx", kind=1, arch=75))
    )
    assert choose(entries, 90).specific
    assert choose(entries, 86).is_ptx
    assert choose(entries, 70) is None


# ---- the device ----


def test_property_offsets_match_the_headers(tmp_path):
    nvcc = find_tool("nvcc")
    if nvcc is None or shutil.which("gcc") is None:
        pytest.skip("needs gcc and the CUDA 13 headers")
    done = subprocess.run(
        [nvcc, "--dryrun", "-E", "-x", "cu", "/dev/null"], capture_output=True, text=True, check=False
    )
    top = next(line.split("=", 1)[1] for line in done.stderr.split("\n") if line.startswith("#$ TOP="))
    include = f"-I{top}/include"
    fields = {name: at[0] for name, at in PROPERTY_FIELDS.items() if at[0] >= 0}
    prints = "".join(f'printf("{n} %zu\\n", offsetof(struct cudaDeviceProp, {n}));' for n in fields)
    text = f"#include <driver_types.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {{ {prints} "
    source = tmp_path / "offsets.c"
    source.write_text(text + 'printf("sizeof %zu\\n", sizeof(struct cudaDeviceProp)); return 0; }\n')
    subprocess.run(["gcc", include, "-o", tmp_path / "offsets", source], check=True)
    lines = subprocess.run([tmp_path / "offsets"], capture_output=True, text=True, check=True).stdout.split()
    found = dict(zip(lines[::2], map(int, lines[1::2]), strict=True))
    assert found.pop("sizeof") == PROPERTY_BYTES[13]
    assert found == fields


@pytest.mark.parametrize("major", [12, 13])
def test_property_fields_do_not_overlap(major):
    device = Device.of_arch(90, 1 << 30)
    spans = []
    for name, values in device.properties().items():
        at = PROPERTY_FIELDS[name][0 if major == 13 else 1]
        if at >= 0:
            spans.append((at, at + struct.calcsize(f"<{PROPERTY_FIELDS[name][2] * len(values)}")))
    spans.sort()
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))
    assert len(device.pack_properties(major)) == PROPERTY_BYTES[major] >= spans[-1][1]


@pytest.mark.parametrize(
    ("arch", "registers", "static", "dynamic", "threads", "expected"),
    [  # by hand from cuda_occupancy.h: 65536 registers, warps allocated by 4, 1 KiB reserved per CTA from 8.0 on
        (90, 32, 0, 0, 256, 8),  # threads: 2048 / 256
        (90, 64, 0, 0, 256, 4),  # registers: 65536 / (64 * 256)
        (90, 255, 0, 0, 1024, 0),  # 255 -> 256 * 1024 registers don't fit
        (90, 32, 0, 0, 32, 32),  # CTAs
        (90, 32, 0, 100 * 1024, 128, 2),  # shared: 228 / 101
        (86, 32, 0, 0, 1024, 1),  # threads: 1536 / 1024
        (75, 32, 32 * 1024, 0, 128, 2),  # shared: 64 / 32, nothing reserved
    ],
)
def test_occupancy(arch, registers, static, dynamic, threads, expected):
    kernel = KernelLimits(registers, static, 1024, 232448)
    assert Device.of_arch(arch, 1 << 30).occupancy(kernel, threads, dynamic) == expected


@pytest.mark.parametrize(
    ("grid", "block", "cluster", "shared", "cooperative", "code"),
    [
        ((1, 1, 1), (1024, 1, 1), (1, 1, 1), 0, False, None),
        ((1, 65536, 1), (32, 1, 1), (1, 1, 1), 0, False, CudaError.INVALID_CONFIGURATION),
        ((1, 1, 1), (1, 1, 65), (1, 1, 1), 0, False, CudaError.INVALID_CONFIGURATION),
        ((3, 1, 1), (32, 1, 1), (2, 1, 1), 0, False, CudaError.INVALID_CONFIGURATION),
        ((16, 1, 1), (32, 1, 1), (16, 1, 1), 0, False, CudaError.INVALID_CONFIGURATION),
        ((16, 1, 1), (32, 1, 1), (8, 1, 1), 0, False, None),
        ((1, 1, 1), (32, 1, 1), (1, 1, 1), 49153, False, CudaError.INVALID_VALUE),
        ((132 * 2, 1, 1), (1024, 1, 1), (1, 1, 1), 0, True, None),
        ((132 * 2 + 1, 1, 1), (1024, 1, 1), (1, 1, 1), 0, True, CudaError.COOPERATIVE_LAUNCH_TOO_LARGE),
    ],
)
def test_impossible_launches_are_refused(grid, block, cluster, shared, cooperative, code):
    device, kernel = Device.of_arch(90, 1 << 30), KernelLimits(32, 0, 1024, 48 * 1024)
    if code is None:
        device.check_launch(kernel, grid, block, cluster, shared, cooperative)
        return
    with pytest.raises(CallError) as caught:
        device.check_launch(kernel, grid, block, cluster, shared, cooperative)
    assert caught.value.code == code


def test_launch_bounds_are_a_resource_limit():
    with pytest.raises(CallError) as caught:
        Device.of_arch(90, 1).check_launch(KernelLimits(32, 0, 128, 0), (1, 1, 1), (129, 1, 1), (1, 1, 1), 0, False)
    assert caught.value.code == CudaError.LAUNCH_OUT_OF_RESOURCES


# ---- programs ----


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("name", ["libcudart.so.12", "libcudart.so.13", "libcuda.so.1"])
def test_every_listed_name_is_exported(name):
    table = subprocess.run(
        ["readelf", "--dyn-syms", "-W", library_folder() / name], capture_output=True, text=True, check=True
    ).stdout
    defined = {row.split()[7] for row in table.split("\n") if len(row.split()) > 7 and row.split()[6] != "UND"}
    version = f"@@{name}" if "cudart" in name else ""
    names = exported_names(SOURCES / f"{name}.map")
    assert len(names) > 400
    assert not {f"{each}{version}" for each in names} - defined


def test_a_static_program_is_told_how_to_relink(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    source = tmp_path / "static.c"
    source.write_text('__attribute__((section(".nv_fatbin"))) int blob[4] = {1}; int main(void) { return 0; }\n')
    subprocess.run(["gcc", "-o", tmp_path / "static", source], check=True)
    with pytest.raises(RunError, match="nvcc -cudart shared"):
        check_program([str(tmp_path / "static")])


def test_programs_that_cannot_run(tmp_path):
    with pytest.raises(RunError, match="no such program"):
        check_program([str(tmp_path / "nothing")])
    (tmp_path / "plain").write_text("hello")
    with pytest.raises(RunError, match="not an executable"):
        check_program([str(tmp_path / "plain")])
    (tmp_path / "script").write_text("#!/bin/sh\n" + "true\n" * 20)
    assert not inspect(tmp_path / "script").is_elf
    (tmp_path / "bad").write_bytes(b"\x7fELF\x02" + b"\xff" * 80)
    with pytest.raises(RunError, match="bad"):
        inspect(tmp_path / "bad")


def test_the_newest_known_architecture_is_chosen():
    def program(*archs: int, ptx: int = 0) -> Executable:
        parts = [entry(PAYLOAD, arch=a) for a in archs] + ([entry(b"x", kind=1, arch=ptx)] if ptx else [])
        return Executable(True, has_fatbin=True, entries=tuple(read_entries(container(*parts))))

    assert choose_arch(program(75, 86, 120)) == 86
    assert choose_arch(program(75, 90)) == 90
    assert choose_arch(Executable(is_elf=False)) == 90
    assert choose_arch(program(ptx=75)) == 90
    with pytest.raises(ArchsimError, match="sm_120 only"):
        choose_arch(program(120))


# ---- which launches ----


@pytest.mark.parametrize(
    ("launches", "taken"), [(None, [0, 1, 2, 3]), ("1:3", [1, 2]), ("2:", [2, 3]), (":2", [0, 1]), ("3", [3])]
)
def test_launch_ranges(launches, taken):
    assert [i for i in range(4) if Selection.parse(None, launches).takes(i, "k")] == taken


@pytest.mark.parametrize("bad", ["x", ":", "3:1", "2:2", "-1:2", "1:2:3"])
def test_bad_launch_ranges(bad):
    with pytest.raises(RunError, match="--launches"):
        Selection.parse(None, bad)


def test_bad_patterns_and_samples():
    with pytest.raises(RunError, match="--kernel"):
        Selection.parse("(", None)
    with pytest.raises(RunError, match="--sample"):
        Selection.parse(None, None, 0)


@pytest.mark.parametrize(
    ("mangled", "plain"),
    [
        ("_Z5saxpyifPfS_", "saxpy"),
        ("_ZN4math4gemmIfLi16EEEvPKT_", "math::gemm"),
        ("_ZN12_GLOBAL__N_14stepEv", "(anonymous)::step"),
        ("_Z4tileIfEvPT_", "tile"),
        ("plain_c", "plain_c"),
    ],
)
def test_plain_names(mangled, plain):
    assert plain_name(mangled) == plain
    assert Selection.parse(f"^{plain.replace('(', '[(]').replace(')', '[)]')}$", None).takes(0, mangled)
