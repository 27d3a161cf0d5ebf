"""Accel-Sim traces: every form of line, every known trap (peer-profile.md), and real traces from the field."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest
import zstandard

from archsim.errors import TraceError
from archsim.isa.program import RZ, OperandKind
from archsim.testing import KernelBuilder
from archsim.trace import export_accelsim, import_accelsim, open_trace
from archsim.trace.layout import record_addresses

SHARED = Path("/work/shared/reference")
REAL = [
    SHARED / "traces/accelsim-k593/kernelslist.g",
    SHARED / "traces/romnn-microgpusim/vectoradd-100-32/kernelslist.g",
    SHARED / "traces/romnn-microgpusim/matrixmul-32-32/kernelslist.g",
    SHARED / "traces/romnn-nvbitrs-vecadd98/kernelslist.g",
    *(SHARED / f"crosscheck/gpu/s_{n}/kernelslist.g" for n in ("vecadd", "pchase_l2", "ffma1", "smem32")),
]
HEADER = {
    "kernel name": "_Z1kv",
    "kernel id": "7",
    "grid dim": "(2,1,1)",
    "block dim": "(32,1,1)",
    "shmem": "128",
    "nregs": "16",
    "binary version": "86",
    "cuda stream id": "3",
    "shmem base_addr": "0x00007f59dd000000",
    "local mem base_addr": "0x00007f59db000000",
    "nvbit version": "1.7.6",
    "accelsim tracer version": "5",
    "enable lineinfo": "0",
}


def header(**changes: str) -> str:
    fields = {**HEADER, **{k.replace("_", " "): v for k, v in changes.items()}}
    return "".join(f"-{k} = {v}\n" for k, v in fields.items() if v is not None) + "\n#traces format = x\n\n"


def body(*blocks: list[str], count: int | None = None) -> str:
    text = ""
    for number, lines in enumerate(blocks):
        told = len(lines) if count is None else count
        text += f"#BEGIN_TB\n\nthread block = {number},0,0\n\nwarp = 0\ninsts = {told}\n"
        text += "".join(f"{line}\n" for line in lines) + "\n#END_TB\n\n"
    return text


def convert(tmp_path, text, name="kernel-1.traceg", **options):
    source = tmp_path / name
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    import_accelsim(source, tmp_path / "out.h5", **options)
    return open_trace(tmp_path / "out.h5")


EXIT = "0200 ffffffff 0 EXIT 0 0 0 "


def addresses(trace, mask, record=0, cta=0):
    batch = trace.kernels[0].read_ctas(cta, 1)
    return [a for _, a in record_addresses(batch.mems[record], mask, batch.lanes)]


def test_header_fields(tmp_path):
    with convert(tmp_path, header() + body([EXIT], [EXIT])) as trace:
        launch = trace.kernels[0].launch
        assert trace.arch == 86
        assert (launch.name, launch.launch_id, launch.stream_id) == ("_Z1kv", 7, 3)
        assert (launch.grid, launch.block) == ((2, 1, 1), (32, 1, 1))
        assert (launch.registers, launch.shared_bytes) == (16, 128)
        assert (launch.shared_base, launch.local_base) == (0x7F59DD000000, 0x7F59DB000000)


def test_static_program_is_rebuilt_from_the_lines(tmp_path):
    lines = [
        "0000 ffffffff 1 R2 IADD3 2 R0 R255 0 0 ",
        "0010 ffffffff 1 R12 LDG.E.128.SYS 1 R2 16 1 0x7f0000000000 16 0 ",
        "0020 ffffffff 0 STG.E 2 R8 R12 4 1 0x7f0000001000 4 0 ",
        "0030 00000000 0 BRA 0 0 528 ",
        EXIT,
    ]
    with convert(tmp_path, header() + body(lines)) as trace:
        add, load, store, branch, leave = trace.kernels[0].program.instructions
        assert [i.address for i in (add, load, store, branch, leave)] == [0, 0x10, 0x20, 0x30, 0x200]
        assert [o.reg for o in add.sources] == [0, RZ] and add.sources[1].text == "RZ"
        assert load.dests[0].width == 4
        assert load.sources[0].kind == OperandKind.MEM and load.sources[0].width == 2
        assert [o.reg for o in store.sources] == [8, 12] and not store.dests
        assert all(i.control is None for i in trace.kernels[0].program.instructions)
        assert trace.kernels[0].mem_records.tolist() == [0, 1, 1, 0, 0]


def test_predicated_off_lines_are_issued_without_addresses(tmp_path):
    lines = ["0000 00000000 1 R2 LDG.E 1 R2 4 1 0x0 0 0 ", EXIT]
    with convert(tmp_path, header() + body(lines)) as trace:
        batch = trace.kernels[0].read_ctas(0, 1)
        assert batch.runs["mask"].tolist() == [0, 0xFFFFFFFF] and len(batch.mems) == 0


@pytest.mark.parametrize(
    ("mask", "tokens", "expected"),
    [
        ("0000000f", "0 0x10 0x20 0x40 0x80", [0x10, 0x20, 0x40, 0x80]),
        ("000000f0", "1 0x1000 -8", [0x1000, 0xFF8, 0xFF0, 0xFE8]),
        ("00000111", "2 0x1000 64 -32", [0x1000, 0x1040, 0x1020]),
        ("00000100", "2 0x1234", [0x1234]),  # one active lane: mode 2 without a delta
        ("00000100", "0 0x1234", [0x1234]),
        ("00000011", "2 0x1000 16", [0x1000, 0x1010]),
    ],
)
def test_address_modes(tmp_path, mask, tokens, expected):
    lines = [f"0000 {mask} 1 R2 LDG.E 1 R2 4 {tokens} 77 ", EXIT]
    with convert(tmp_path, header() + body(lines)) as trace:
        assert addresses(trace, int(mask, 16)) == expected
        assert trace.stored_program(0).accelsim["immediate"][0] == 77


def test_mode_2_has_one_delta_fewer_than_lanes(tmp_path):
    """Accel-Sim's reader takes one too many and swallows the immediate: here a fourth delta is an error."""
    with pytest.raises(TraceError, match=r"kernel-1\.traceg:23: unexpected text '0'"):
        convert(tmp_path, header() + body(["0000 0000000f 1 R2 LDG.E 1 R2 4 2 0x1000 1 2 4 99 0 ", EXIT]))


def test_lists_that_are_affine_are_stored_as_such(tmp_path):
    lines = ["0000 80000001 1 R2 LDG.E 1 R2 4 2 0x1000 124 0 ", EXIT]
    with convert(tmp_path, header() + body(lines)) as trace:
        mem = trace.kernels[0].read_ctas(0, 1).mems[0]
        assert (mem["base"], mem["stride"], mem["lane_begin"]) == (0x1000, 4, -1)


def test_shared_and_local_generic_addresses_become_offsets(tmp_path):
    lines = [
        "0000 00000003 1 R2 LDS 1 R2 4 1 0x7f59dd000040 4 0 ",
        "0010 00000003 1 R2 LDL 1 R2 4 1 0x7f59db000010 4 0 ",
        "0020 00000003 1 R2 LDS 1 R2 4 1 0x80 4 0 ",
        "0030 00000003 1 R2 LD.E 1 R2 4 1 0x7f59dd000040 4 0 ",
        "0040 00000007 1 R2 LDS 1 R2 4 2 0x7f59dd000040 8 -4 0 ",
        EXIT,
    ]
    with convert(tmp_path, header() + body(lines)) as trace:
        assert addresses(trace, 3, 0) == [0x40, 0x44]
        assert addresses(trace, 3, 1) == [0x10, 0x14]
        assert addresses(trace, 3, 2) == [0x80, 0x84]
        assert addresses(trace, 3, 3) == [0x7F59DD000040, 0x7F59DD000044]  # generic: the window is told by the launch
        assert addresses(trace, 7, 4) == [0x40, 0x48, 0x44]


def test_version_3_and_4_have_no_immediate(tmp_path):
    lines = ["0008 ffffffff 1 R1 MOV 0 0 ", "0010 ffffffff 0 EXIT 0 0 "]
    for version in ("3", "4"):
        text = header(accelsim_tracer_version=version, binary_version="61") + body(lines)
        with convert(tmp_path, text) as trace:
            assert trace.arch == 61 and trace.kernels[0].program.instruction_bytes == 8
    with pytest.raises(TraceError, match="line ends before the immediate"):
        convert(tmp_path, header() + body(lines))


def test_line_numbers(tmp_path):
    lines = ["12 0000 ffffffff 1 R1 MOV 0 0 0 ", "13 0010 ffffffff 0 EXIT 0 0 0 "]
    with convert(tmp_path, header(enable_lineinfo="1") + body(lines)) as trace:
        assert [i.line for i in trace.kernels[0].program.instructions] == [12, 13]


RAW = [
    "1 0 0 0 0000 ffffffff 1 R1 MOV 0 0 0 ",
    "0 0 0 0 0000 ffffffff 1 R1 MOV 0 0 0 ",
    "0 0 0 0 0010 0000ffff 1 R2 LDG.E 1 R2 4 1 0x1000 4 0 ",
    "1 0 0 0 0010 0000ffff 1 R2 LDG.E 1 R2 4 1 0x2000 4 0 ",
    "1 0 0 0 0020 ffffffff 0 EXIT 0 0 0 ",
    "0 0 0 0 0020 ffffffff 0 EXIT 0 0 0 ",
]


def test_raw_traces_are_grouped(tmp_path):
    with convert(tmp_path, header() + "\n".join(RAW) + "\n", "kernel-1.trace") as trace:
        batch = trace.kernels[0].read_ctas(0, 2)
        assert batch.warps["cta"].tolist() == [0, 1] and batch.warps["n_inst"].tolist() == [3, 3]
        assert batch.mems["base"].tolist() == [0x1000, 0x2000]
        assert batch.warps["run_begin"].tolist() == [0, 0]


def test_raw_and_grouped_give_the_same_trace(tmp_path):
    grouped = [line.split(" ", 4)[4] for line in RAW if line.startswith("0 ")]
    other = [line.split(" ", 4)[4] for line in RAW if line.startswith("1 ")]
    with convert(tmp_path, header() + body(grouped, other)) as trace:
        expected = trace.sha256
    with convert(tmp_path, header() + "\n".join(RAW) + "\n", "kernel-1.trace") as trace:
        assert trace.sha256 == expected


@pytest.mark.parametrize(("chunk_lines", "held_lines"), [(1, 0), (1, 2), (1, 1 << 20), (1 << 20, 1 << 20)])
def test_both_lines_of_an_ldgsts_are_one_instruction(tmp_path, monkeypatch, chunk_lines, held_lines):
    """NVBit tells the shared half, then the global half; the record order is global, shared."""
    monkeypatch.setattr("archsim.trace.accelsim._CHUNK_LINES", chunk_lines)
    monkeypatch.setattr("archsim.trace.accelsim._HELD_LINES", held_lines)
    monkeypatch.setattr("archsim.trace.accelsim_files._READ_BYTES", 64)
    half = "0000 ffffffff 0 LDGSTS.E.128 2 R9 R2 16 1 {} 16 0 "
    lines = [half.format("0x7f59dd000100"), half.format("0x1000"), half.format("0x7f59dd000200"), half.format("0x3000")]
    raw = [f"{cta} 0 0 0 {line}" for line in [*lines, EXIT] for cta in (0, 1)]
    with convert(tmp_path, header() + "\n".join(raw) + "\n", "kernel-1.trace") as trace:
        kernel = trace.kernels[0]
        assert kernel.mem_records.tolist() == [2, 0] and kernel.warp_instructions == 6
        found = []
        for cta in (0, 1):
            segment = 0
            while True:
                batch = kernel.read_segments(*(np.array([n]) for n in (cta, 0, segment)))
                found += batch.mems["base"].tolist()
                segment += 1
                if batch.warps["last"][0]:
                    break
        assert found == 2 * [0x1000, 0x100, 0x3000, 0x200]


def test_grouped_ldgsts_has_the_global_half_only(tmp_path):
    lines = ["0000 ffffffff 0 LDGSTS.E.128 2 R9 R2 16 1 0x1000 16 0 ", EXIT]
    with convert(tmp_path, header() + body(lines)) as trace:
        assert trace.kernels[0].mem_records.tolist() == [1, 0]


def test_functions_share_program_counters(tmp_path):
    lines = [
        "0000 ffffffff 1 R1 MOV 0 0 0 ",
        "0010 ffffffff 0 CALL.REL.NOINC 0 0 96 ",
        "0000 ffffffff 1 R4 FADD 2 R4 R5 0 0 ",
        "0010 ffffffff 0 RET.REL.NODEC 1 R20 0 0 ",
        "0020 ffffffff 0 EXIT 0 0 0 ",
    ]
    with convert(tmp_path, header() + body(lines)) as trace:
        program = trace.kernels[0].program
        assert [i.address for i in program.instructions] == [0, 0x10, 0x20, 0x80, 0x90]
        assert program.functions == {"_Z1kv": 0, "_Z1kv$callee1": 0x80}
        assert trace.kernels[0].read_ctas(0, 1).runs["start"].tolist() == [0, 3, 2]
        folder = tmp_path / "again"
        import_accelsim(export_accelsim(trace, folder), tmp_path / "again.h5")
        with open_trace(tmp_path / "again.h5") as again:
            assert again.sha256 == trace.sha256


def test_kernel_list_with_copies(tmp_path):
    (tmp_path / "kernel-1.traceg").write_text(header() + body([EXIT]))
    (tmp_path / "kernel-2.traceg.xz").write_bytes(lzma.compress((header() + body([EXIT])).encode()))
    (tmp_path / "kernelslist.g").write_text(
        "MemcpyHtoD,0x00007f2b2d500000,400\nkernel-1.traceg\nMemcpyDtoH,0x10,8\nkernel-2.traceg\n"
    )
    import_accelsim(tmp_path / "kernelslist.g", tmp_path / "out.h5")
    with open_trace(tmp_path / "out.h5") as trace:
        assert trace.events == [
            ("memcpy_h2d", 0x7F2B2D500000, 400),
            ("kernel", 0),
            ("memcpy_d2h", 0x10, 8),
            ("kernel", 1),
        ]
        assert len(trace.kernels) == 2 and trace.kernels[0].program_id == trace.kernels[1].program_id


@pytest.mark.parametrize("packed", [lzma.compress, zstandard.ZstdCompressor().compress, lambda data: data])
def test_compressed_files(tmp_path, packed):
    with convert(tmp_path, packed((header() + body([EXIT])).encode())) as trace:
        assert trace.kernels[0].warp_instructions == 1


def test_truncated_compressed_file(tmp_path):
    data = lzma.compress((header() + body([EXIT] * 500)).encode())
    with pytest.raises(TraceError, match=r"kernel-1\.traceg"):
        convert(tmp_path, data[: len(data) // 2])


def test_damaged_header_is_told_and_can_be_repaired(tmp_path):
    text = header(nregs="21955", shmem="1", binary_version="0") + body([EXIT])
    with pytest.raises(TraceError) as told:
        convert(tmp_path, text)
    for field in ("nregs = 21955", "shmem = 1", "binary version = 0", "--arch", "--nregs", "--shmem"):
        assert field in str(told.value)
    with convert(tmp_path, text, arch=75, registers=20, shared_bytes=0) as trace:
        launch = trace.kernels[0].launch
        assert (trace.arch, launch.registers, launch.shared_bytes) == (75, 20, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nregs": "x"}, r":6: nregs = 'x' is not a number"),
        ({"grid_dim": "(0,1,1)"}, r":3: grid dim = '\(0,1,1\)' is not three positive numbers"),
        ({"block_dim": "(2048,1,1)"}, "2048 threads, at most 1024"),
        ({"grid_dim": "(2000000000,60000,60000)"}, "this importer takes"),
        ({"binary_version": "35"}, "binary version = 35"),
        ({"accelsim_tracer_version": "6"}, "tracer version 6 is not supported"),
        ({"kernel_name": None}, "no '-kernel name'"),
    ],
)
def test_bad_headers(tmp_path, changes, message):
    with pytest.raises(TraceError, match=message):
        convert(tmp_path, header(**changes) + body([EXIT]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (body([EXIT], count=2), "says 2 instructions, 1 follow"),
        (body([EXIT])[:-10], "truncated"),
        (body([EXIT], [EXIT], [EXIT]), "thread block 2,0,0 lies outside the grid"),
        (body([EXIT]).replace("warp = 0", "warp = 1"), "warp 1 in a block of 1 warps"),
        (body([EXIT, "xyz"]), "'xyz' is not a valid PC"),
        (body(["0000 ffffffff 1 R2 LDG.E 1 R2 4 7 0x0 0"]), "address mode 7 is not supported"),
        (body(["0000 00000005 1 R2 LDG.E 1 R2 4 1 0x0 4 0"]), "not contiguous"),
        (body(["0000 ffffffff 3 R2 MOV 0 0 0"]), "'MOV' is not a valid destination register"),
        (body([EXIT]) + body([EXIT]), "appears twice"),
        ("", "no instruction in this trace"),
    ],
)
def test_bad_bodies_name_file_and_line(tmp_path, text, message):
    with pytest.raises(TraceError, match=r"kernel-1\.traceg.*" + message):
        convert(tmp_path, header() + text)


def test_list_errors_name_the_line(tmp_path):
    (tmp_path / "kernelslist.g").write_text("MemcpyHtoD,0x10,8\nkernel-9.traceg\n")
    with pytest.raises(TraceError, match=r"kernelslist\.g:2: .*kernel-9\.traceg: no such file"):
        import_accelsim(tmp_path / "kernelslist.g", tmp_path / "out.h5")
    (tmp_path / "kernelslist.g").write_text("MemcpyHtoD,zz,8\n")
    with pytest.raises(TraceError, match=r"kernelslist\.g:1: "):
        import_accelsim(tmp_path / "kernelslist.g", tmp_path / "out.h5")


def test_builder_traces_survive_export_and_import(tmp_path):
    k = KernelBuilder(86)
    k.add("LDGSTS.E.128 [R9], [R2.64]", address=(0x100000, 16), shared_address=(0, 16))
    k.add("LDG.E R2, [R4.64]", address=[5, 3, 8], mask=0b1110)
    k.add("@P0 STG.E [R4.64], R2", address=(0, 4), mask=lambda c, w, i: 0 if w else 0xF0F0)
    k.build(grid=2, block=64).save(tmp_path / "a.h5")
    with open_trace(tmp_path / "a.h5") as trace:
        import_accelsim(export_accelsim(trace, tmp_path / "text"), tmp_path / "b.h5")
        with open_trace(tmp_path / "b.h5") as again:
            import_accelsim(export_accelsim(again, tmp_path / "text2"), tmp_path / "c.h5")
            one, two = trace.kernels[0].read_ctas(0, 2), again.kernels[0].read_ctas(0, 2)
            assert one.mems[["base", "stride"]].tolist() == two.mems[["base", "stride"]].tolist()
            assert one.runs.tolist() == two.runs.tolist()
            with open_trace(tmp_path / "c.h5") as third:
                assert third.sha256 == again.sha256


@pytest.mark.parametrize("source", REAL, ids=lambda p: p.parent.name)
def test_real_traces_round_trip(tmp_path, source):
    if not source.exists():
        pytest.skip("third-party trace not present")
    import_accelsim(source, tmp_path / "a.h5")
    with open_trace(tmp_path / "a.h5") as trace:
        import_accelsim(export_accelsim(trace, tmp_path / "text"), tmp_path / "b.h5")
        with open_trace(tmp_path / "b.h5") as again:
            assert again.sha256 == trace.sha256 == again.compute_sha256()
            assert again.events == trace.events


@pytest.mark.parametrize("name", ["vectoradd-100-32", "matrixmul-32-32"])
def test_instruction_counts_of_real_traces(tmp_path, name):
    """stats.csv beside each trace holds the tracer's own count (README: 344 and 4,416)."""
    folder = SHARED / "traces/romnn-microgpusim" / name
    if not folder.exists():
        pytest.skip("third-party trace not present")
    import_accelsim(folder / "kernelslist.g", tmp_path / "a.h5")
    expected = int((folder / "stats.csv").read_text().splitlines()[1].split(",")[-1])
    with open_trace(tmp_path / "a.h5") as trace:
        assert trace.kernels[0].warp_instructions == expected


def test_raw_and_grouped_real_trace_agree(tmp_path):
    folder = SHARED / "traces/romnn-nvbitrs-vecadd98"
    if not folder.exists():
        pytest.skip("third-party trace not present")
    for name in ("kernel-1.trace.xz", "kernel-1.traceg.xz"):
        import_accelsim(folder / name, tmp_path / f"{name}.h5")
    with open_trace(tmp_path / "kernel-1.trace.xz.h5") as raw, open_trace(tmp_path / "kernel-1.traceg.xz.h5") as good:
        assert raw.kernels[0].warp_instructions == good.kernels[0].warp_instructions == 71_974
        assert raw.sha256 == good.sha256


def test_k593_header_needs_repair(tmp_path):
    source = SHARED / "traces/accelsim-k593/kernel-593-ctx_0x55c28dad19e0.traceg"
    if not source.exists():
        pytest.skip("third-party trace not present")
    with pytest.raises(TraceError, match="nregs = 21955"):
        import_accelsim(source, tmp_path / "a.h5")
    import_accelsim(source, tmp_path / "a.h5", arch=75, registers=20, shared_bytes=0)
    with open_trace(tmp_path / "a.h5") as trace:
        assert trace.kernels[0].warp_instructions == 7_260


def test_a_cubin_gives_control_bits(tmp_path, monkeypatch):
    """The code of the cubin replaces the rebuilt one; PCs are matched per function, opcodes must agree."""
    from types import SimpleNamespace

    k = KernelBuilder(86, name="_Z1kv")
    k.add("MOV R1, c[0x0][0x28]", stall=3)
    k.add("LDG.E R2, [R4.64+0x10]", write=1)
    k.add("@P0 CALL.REL.NOINC 0x0", stall=5)
    k.add("EXIT")
    program = k.program()
    monkeypatch.setattr("archsim.isa.load_cubin", lambda path: SimpleNamespace(kernels={"_Z1kv": program}))
    lines = [
        "0000 ffffffff 1 R1 MOV 0 0 0 ",
        "0010 ffffffff 1 R2 LDG.E 1 R4 4 1 0x1000 4 16 ",
        "0020 00000000 0 BRA 0 0 0 ",  # the trap: ptxas 13 ends loops with CALL.REL.NOINC
        "0030 ffffffff 0 EXIT 0 0 0 ",
    ]
    with convert(tmp_path, header() + body(lines), cubin=tmp_path / "k.cubin") as trace:
        kernel = trace.kernels[0]
        assert kernel.program == program and kernel.program.has_control_bits
        assert kernel.mem_records.tolist() == [0, 1, 0, 0]
        assert kernel.read_ctas(0, 1).runs["start"].tolist() == [0, 2, 3]
    with pytest.raises(TraceError, match="executes 'FADD R1' at 0x0, .* does not"):
        convert(tmp_path, header() + body([lines[0].replace("MOV", "FADD")]), cubin=tmp_path / "k.cubin")
    with pytest.raises(TraceError, match="has no kernel other"):
        convert(tmp_path, header(kernel_name="other") + body(lines), cubin=tmp_path / "k.cubin")


@pytest.mark.parametrize("grouped", [True, False])
def test_segments_do_not_depend_on_where_chunks_end(tmp_path, monkeypatch, grouped):
    """The same trace read in pieces of any size, with any tracer's line endings, is the same content."""
    lines = [f"{16 * k:04x} ffffffff 1 R1 LDG.E 1 R2 4 2 0x{k:x} {'7 3 ' * 15}1 0 " for k in range(2000)]
    stream = lines + lines + lines  # 6000 instructions: two segments
    if grouped:
        text = body([*stream, EXIT], [*stream, EXIT])
    else:
        text = "".join(f"{cta} 0 0 0 {line}\n" for line in [*stream, EXIT] for cta in (0, 1))
    hashes = set()
    for chunk_lines, read_bytes in ((1 << 20, 1 << 22), (100, 5000), (3001, 40000)):
        monkeypatch.setattr("archsim.trace.accelsim._CHUNK_LINES", chunk_lines)
        monkeypatch.setattr("archsim.trace.accelsim_files._READ_BYTES", read_bytes)
        with convert(tmp_path, header() + text) as trace:
            kernel = trace.kernels[0]
            assert kernel.read_ctas(0, 2).warps["n_inst"].tolist() == [4096, 4096]
            hashes.add(trace.sha256)
    assert len(hashes) == 1
    # with little room to hold lines back, whole segments still are
    monkeypatch.setattr("archsim.trace.accelsim._HELD_LINES", 5000 if grouped else 9000)
    with convert(tmp_path, header() + text) as trace:
        assert trace.kernels[0].read_ctas(0, 2).warps["n_inst"].tolist() == [4096, 4096]
    monkeypatch.setattr("archsim.trace.accelsim._HELD_LINES", 10)
    with convert(tmp_path, header() + text) as trace:
        assert trace.kernels[0].cta_instructions(0, 2).tolist() == [6001, 6001]
