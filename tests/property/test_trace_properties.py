"""Properties of the trace house: the block code is exact, and the compiled parser equals the plain-Python one."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.errors import TraceError
from archsim.trace._accelsim import BodyParser as CompiledParser
from archsim.trace.accelsim import import_accelsim
from archsim.trace.accelsim_text import BodyParser as ReferenceParser
from archsim.trace.accelsim_text import Layout, ParseProblem, canonical_record
from archsim.trace.layout import MEM_DT, RUN_DT, expand_ranges, popcount
from archsim.trace.store import StaticRecords, decode_block, encode_block, unzigzag, zigzag

U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
MASK = st.one_of(
    st.integers(0, 2**32 - 1), st.just(0xFFFFFFFF), st.just(0), st.sampled_from([1 << k for k in range(32)])
)


@given(st.lists(U64))
def test_zigzag_is_exact(values):
    steps = np.array(values, np.uint64)
    assert unzigzag(zigzag(steps)).tolist() == values


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(1, 12), MASK), max_size=20),
    st.data(),
)
def test_blocks_decode_to_what_was_encoded(per_instruction, run_list, data):
    n = len(per_instruction)
    runs = np.array([(a % n, min(c, n - a % n), m) for a, c, m in run_list], RUN_DT)
    static = StaticRecords.of(np.array(per_instruction, np.uint8))
    numbers, lengths = static.expand(runs)
    mems = np.zeros(len(numbers), MEM_DT)
    lanes: list[int] = []
    for k, count in enumerate(lengths.tolist()):
        if data.draw(st.booleans()):
            mems[k] = (data.draw(U64), data.draw(I64), -1)
        else:
            values = data.draw(st.lists(U64, min_size=count, max_size=count))
            mems[k] = (values[0], 0, len(lanes))
            lanes += values
    order = static.order(numbers)
    rows, steps = encode_block(order, mems, np.array(lanes, np.uint64), lengths)
    out, values = decode_block(order, rows, steps, lengths)
    assert out[["base", "stride"]].tolist() == mems[["base", "stride"]].tolist()
    for old, new, count in zip(mems["lane_begin"], out["lane_begin"], lengths, strict=True):
        assert (old < 0) == (new < 0)
        if old >= 0:
            assert values[new : new + count].tolist() == lanes[old : old + count]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 9)), max_size=20))
def test_expand_ranges(pairs):
    begins, counts = (np.array([p[k] for p in pairs], np.int64) for k in (0, 1))
    assert expand_ranges(begins, counts).tolist() == [b + k for b, c in pairs for k in range(c)]


@given(st.lists(MASK, max_size=10))
def test_popcount(masks):
    assert popcount(np.array(masks, np.uint32)).tolist() == [m.bit_count() for m in masks]


@given(MASK.filter(bool), U64, I64, st.booleans(), st.data())
def test_canonical_records_name_the_same_addresses(mask, base, stride, affine, data):
    active = [lane for lane in range(32) if mask >> lane & 1]
    addresses = [(base + stride * lane) % 2**64 if affine else data.draw(U64) for lane in active]
    got_base, got_stride, listed = canonical_record(mask, addresses)
    if listed is None:
        assert [(got_base + got_stride * lane) % 2**64 for lane in active] == addresses
    else:
        assert listed == addresses


# Lines as the tracer writes them, and lines damaged in every way.


@st.composite
def instruction_line(draw, layout: Layout) -> str:
    mask = draw(MASK)
    pc = draw(st.integers(0, 15)) * 8
    opcode = draw(st.sampled_from(["MOV", "LDG.E.64", "STS", "LDGSTS.E", "EXIT", "FADD"]))
    dests, sources = draw(st.integers(0, 1)), draw(st.integers(0, 4))
    registers = st.integers(0, 255)
    words = [f"{draw(st.integers(0, 99))}"] if layout.line_numbers else []
    words += [f"{pc:04x}", f"{mask:08x}", str(dests), *(f"R{draw(registers)}" for _ in range(dests)), opcode]
    words += [str(sources), *(f"R{draw(registers)}" for _ in range(sources))]
    width = draw(st.sampled_from([0, 4, 8, 16]))
    words.append(str(width))
    if width:
        words += draw(address_tokens(mask))
    if layout.immediates:
        words.append(str(draw(st.one_of(st.integers(-9, 9), I64))))
    gap = draw(st.sampled_from([" ", " ", " ", "  ", "\t"]))
    return gap.join(words) + draw(st.sampled_from(["", " ", "\r"]))


@st.composite
def address_tokens(draw, mask: int) -> list[str]:
    count = mask.bit_count()
    modes = [0, 2, 2] + ([1] if not mask & (mask + (mask & -mask)) else [])
    mode = draw(st.sampled_from(modes))
    base = f"0x{draw(U64):x}"
    if mode == 1:
        return ["1", base, str(draw(st.one_of(st.integers(-64, 64), I64)))]
    if mode == 2:
        step = draw(st.one_of(st.none(), st.integers(-64, 64)))
        steps = [draw(st.integers(-99, 2**40)) if step is None else step for _ in range(count - 1)]
        return ["2", base, *map(str, steps)]
    return ["0", *(f"{draw(U64):x}" for _ in range(count))]


@st.composite
def whole_body(draw) -> tuple[Layout, str]:
    layout = Layout((2, 2, 1), 2, draw(st.booleans()), draw(st.booleans()), draw(st.booleans()))
    if not layout.grouped:
        lines = draw(st.lists(instruction_line(layout), max_size=12))
        prefix = st.tuples(st.integers(0, 1), st.integers(0, 1), st.just(0), st.integers(0, 1))
        return layout, "".join("{} {} {} {} ".format(*draw(prefix)) + line + "\n" for line in lines)
    text = ""
    for cta in draw(st.lists(st.integers(0, 3), unique=True, max_size=3)):
        text += f"\n#BEGIN_TB\n\nthread block = {cta % 2},{cta // 2},0\n\n"
        for warp in draw(st.lists(st.integers(0, 1), unique=True, max_size=2)):
            lines = draw(st.lists(instruction_line(layout), max_size=6))
            text += f"warp = {warp}\ninsts = {len(lines)}\n" + "".join(line + "\n" for line in lines)
        text += "\n#END_TB\n"
    return layout, text


def outcome(parser_class, layout: Layout, data: bytes, pieces: list[int]):
    """Everything a parser says about a body fed in pieces, or where and why it stopped."""
    parser = parser_class(layout)
    found = []
    try:
        for collect in (False, True):
            parser.restart(collect)
            cuts = [0, *sorted(p % (len(data) + 1) for p in pieces), len(data)]
            for low, high in zip(cuts, cuts[1:], strict=False):
                parser.feed(data[low:high])
            parser.finish()
            found.append([(a.dtype, a.tolist()) for a in parser.take()])
    except ParseProblem as problem:
        return problem.line, problem.message
    return found, parser.statics, parser.paired, parser.instructions


@settings(max_examples=300, deadline=None)
@given(whole_body(), st.lists(st.integers(0, 10**6), max_size=3))
def test_compiled_parser_equals_the_reference(made, pieces):
    layout, text = made
    result = outcome(ReferenceParser, layout, text.encode(), [])
    assert len(result) == 4, result  # well-formed: understood
    assert outcome(CompiledParser, layout, text.encode(), pieces) == result


@settings(max_examples=300, deadline=None)
@given(whole_body(), st.data())
def test_compiled_parser_equals_the_reference_on_damage(made, data):
    layout, text = made
    damaged = mutate(text.encode(), random.Random(data.draw(st.integers(0, 2**32))))
    assert outcome(CompiledParser, layout, damaged, [7, 100]) == outcome(ReferenceParser, layout, damaged, [])


PIECES = [b"0x", b" ", b"-", b"\n", b"R256", b"99999999999999999999", b"\x00", b"\xff\xfe", b"#END_TB\n", b"warp = 1\n"]
PIECES += [b"insts = 3\n", b"#BEGIN_TB\n", b"0", b"f", b"1 ", b"\x0b", b"\x0c", b"\r", b"thread block = 0,0,0\n", b"\t"]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A few random edits: delete, insert, overwrite, duplicate, truncate."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(out))
        kind = rng.randrange(5)
        if kind == 0:
            del out[at : at + rng.randint(1, 8)]
        elif kind == 1:
            out[at:at] = rng.choice(PIECES)
        elif kind == 2 and out:
            out[min(at, len(out) - 1)] = rng.randrange(256)
        elif kind == 3:
            out[at:at] = out[at : at + rng.randint(1, 60)]
        else:
            del out[at:]
    return bytes(out)


SEED_FILE = b"""-kernel name = _Z1kv
-kernel id = 1
-grid dim = (2,1,1)
-block dim = (64,1,1)
-shmem = 128
-nregs = 16
-binary version = 86
-cuda stream id = 0
-shmem base_addr = 0x00007f59dd000000
-local mem base_addr = 0x00007f59db000000
-accelsim tracer version = 5
-enable lineinfo = 0

#traces format = [line_num] PC mask dest_num

#BEGIN_TB

thread block = 0,0,0

warp = 0
insts = 5
0000 ffffffff 1 R1 MOV 0 0 0 
0010 0000ffff 1 R2 LDG.E 1 R2 4 1 0x7f0000001000 4 0 
0020 00000101 1 R2 LDG.E.64 1 R2 8 2 0x7f0000001000 12345 0 
0030 00000000 0 BRA 0 0 528 
0040 ffffffff 0 EXIT 0 0 0 

warp = 1
insts = 3
0000 ffffffff 1 R1 MOV 0 0 0 
0028 00000007 0 STS 2 R2 R3 4 0 0x7f59dd000000 0x20 0x30 0 
0040 ffffffff 0 EXIT 0 0 0 

#END_TB
"""  # noqa: W291 - the tracer ends its lines with a space


def test_ten_thousand_damaged_bodies_end_in_one_kind_of_error():
    layout = Layout((2, 1, 1), 2, True, False, True)
    start = SEED_FILE.index(b"#BEGIN_TB")
    rng = random.Random(20)
    understood = 0
    for _ in range(10_000):
        damaged = mutate(SEED_FILE[start:], rng)
        result = outcome(CompiledParser, layout, damaged, [50])
        understood += len(result) == 4
        assert len(result) == 4 or (result[0] >= 0 and result[1])
    assert 100 < understood < 9_900


@pytest.mark.parametrize("seed", range(300))
def test_damaged_files_import_or_name_the_file(tmp_path, seed):
    (tmp_path / "k.traceg").write_bytes(mutate(SEED_FILE, random.Random(seed)))
    try:
        import_accelsim(tmp_path / "k.traceg", tmp_path / "out.h5")
    except TraceError as error:
        assert "k.traceg" in str(error)
        assert not list(tmp_path.glob("out*"))


def _ends_in_one_kind_of_error(data: bytes) -> None:
    """Whatever the bytes, at any cut: understood, or a line number and a message."""
    result = outcome(CompiledParser, Layout((2, 1, 1), 2, True, False, True), data, [50])
    assert len(result) == 4 or (result[0] >= 0 and result[1])


BODY = SEED_FILE[SEED_FILE.index(b"#BEGIN_TB") :]
LINES = st.sampled_from([line + b"\n" for line in BODY.split(b"\n")] + PIECES)
ANY_TEXT = st.one_of(
    st.binary(max_size=300),
    st.lists(LINES, max_size=30).map(b"".join),
    st.builds(lambda seed: mutate(BODY, random.Random(seed)), st.integers(0, 2**64)),
)


@settings(max_examples=500, deadline=None)
@given(ANY_TEXT)
def test_any_text_ends_in_one_kind_of_error(data):
    _ends_in_one_kind_of_error(data)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(ANY_TEXT)
def test_ten_thousand_texts_end_in_one_kind_of_error(data):
    _ends_in_one_kind_of_error(data)
