"""The trace file: what is written is read back, and damage is told."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from archsim.errors import TraceError
from archsim.testing import KernelBuilder
from archsim.trace import Batch, LaunchInfo, TraceWriter, open_trace
from archsim.trace.layout import MEM_DT, RUN_DT, WARP_DT


def sample_builder() -> KernelBuilder:
    scattered = np.random.default_rng(5).integers(0, 1 << 40, (64, 32))
    k = KernelBuilder(86, name="sample")
    k.add("S2R R1, SR_TID.X", write=0)
    with k.loop(1100):
        k.add("LDG.E R2, [R4.64]", write=1, address=lambda c, w, i: (0x7F0000000000 + c * 4096 + w * 128 + i * 8192, 4))
        k.add("LDG.E R3, [R6.64]", write=2, address=lambda c, w, i: list(scattered[(c + w + i) % 64]))
        k.add("FADD R2, R2, R3", stall=4, wait=(1, 2), mask=lambda c, w, i: 0xFFFF if i % 3 else 0xFFFFFFFF)
    k.add("STS [R7], R2", address=lambda c, w, i: (w * 128, -4))
    return k


@pytest.fixture(scope="module")
def sample():
    return sample_builder().build(grid=(3, 2, 1), block=(64, 1, 1), shared_bytes=4096, registers=24)


@pytest.fixture(scope="module")
def saved(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "sample.h5"
    sample.save(path)
    return path


def streams(batch: Batch):
    """Everything each segment says, independent of how rows are shared."""
    for w in batch.warps:
        runs = batch.runs[w["run_begin"] :][: w["run_count"]].tolist()
        mems = []
        # lane lists are compared by content: the masks tell their length
        for base, stride, begin in batch.mems[w["mem_begin"] :][: w["mem_count"]].tolist():
            mems.append((base, stride) if begin < 0 else tuple(batch.lanes[begin : begin + 32].tolist()))
        yield tuple(w[name].item() for name in ("cta", "warp", "segment", "last", "n_inst")), runs, mems


def test_read_ctas_gives_what_was_written(sample, saved):
    with open_trace(saved) as trace:
        kernel = trace.kernels[0]
        assert list(streams(kernel.read_ctas(0, 6))) == list(streams(sample.kernels[0].read_ctas(0, 6)))
        assert list(streams(kernel.read_ctas(2, 2))) == list(streams(sample.kernels[0].read_ctas(2, 2)))
        assert kernel.cta_instructions(1, 4).tolist() == sample.kernels[0].cta_instructions(1, 4).tolist()


def test_read_segments_in_any_order(sample, saved):
    where = (np.array([5, 0, 5, 2]), np.array([1, 0, 1, 1]), np.array([1, 0, 0, 1]))
    with open_trace(saved) as trace:
        assert list(streams(trace.kernels[0].read_segments(*where))) == list(
            streams(sample.kernels[0].read_segments(*where))
        )


def test_a_tiny_cache_changes_nothing(saved):
    with open_trace(saved) as big, open_trace(saved, cache_bytes=1) as tiny:
        assert list(streams(big.kernels[0].read_ctas(0, 6))) == list(streams(tiny.kernels[0].read_ctas(0, 6)))
        assert len(tiny.cache._items) == 1


def test_launch_program_and_events(sample, saved):
    with open_trace(saved) as trace:
        kernel = trace.kernels[0]
        assert trace.arch == 86 and trace.events == [("kernel", 0)]
        assert kernel.launch == sample.kernels[0].launch
        assert kernel.program == sample.kernels[0].program
        assert kernel.mem_records.tolist() == sample.kernels[0].mem_records.tolist()
        assert (kernel.num_ctas, kernel.warps_per_cta) == (6, 2)
        assert kernel.warp_instructions == sample.kernels[0].warp_instructions == 6 * 2 * (1 + 1100 * 4 + 2)


def test_cta_order_in_the_file_does_not_matter(sample, saved, tmp_path):
    batch = sample.kernels[0]._batch
    path = tmp_path / "shuffled.h5"
    with TraceWriter(path, arch=86, source="shuffled") as writer:
        program = writer.add_program(sample.kernels[0].program, sample.kernels[0].mem_records)
        kernel = writer.begin_kernel(program, sample.kernels[0].launch)
        for cta in (4, 1, 0, 5, 3, 2):
            kernel.add(batch._replace(warps=batch.warps[batch.warps["cta"] == cta]))
    with open_trace(path) as one, open_trace(saved) as other:
        assert list(streams(one.kernels[0].read_ctas(0, 6))) == list(streams(other.kernels[0].read_ctas(0, 6)))


def test_equal_streams_share_one_run_list(tmp_path):
    k = KernelBuilder(86)
    with k.loop(100):
        k.add("NOP")
    k.build(grid=50, block=128).save(tmp_path / "t.h5")
    with open_trace(tmp_path / "t.h5") as trace:
        batch = trace.kernels[0].read_ctas(0, 50)
        assert len(batch.warps) == 200 and len(set(batch.warps["run_begin"].tolist())) == 1


def test_regular_kernels_cost_under_a_byte_per_instruction(tmp_path):
    from archsim.trace.inspect import describe

    k = KernelBuilder(86)
    k.add("S2R R1, SR_TID.X")
    for array in range(3):
        k.add("LDG.E R2, [R4.64]", address=lambda c, w, i, a=array: (a << 32 | c * 1024 + w * 128, 4))
    k.add("FADD R2, R2, R3")
    k.build(grid=300, block=256).save(tmp_path / "t.h5")
    assert describe(tmp_path / "t.h5")["stream_bytes_per_warp_instruction"] < 0.5


def test_a_tiny_trace_has_little_overhead(tmp_path):
    """What HDF5 adds to the contents: headers of ten tables, no heaps."""
    path = tmp_path / "t.h5"
    k = KernelBuilder(86)
    k.add("LDG.E R2, [R4.64]", address=lambda c, w, i: (c * 1024 + w * 128, 4))
    k.build(grid=2, block=64).save(path)
    sizes = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: sizes.append(item.id.get_storage_size()) if hasattr(item, "chunks") else None)
    assert len(sizes) > 8 and path.stat().st_size - sum(sizes) < 6000


def test_irregular_kernels_cost_under_twelve_bytes_per_instruction(tmp_path):
    from archsim.trace.inspect import describe

    rng = np.random.default_rng(1)
    k = KernelBuilder(86)
    with k.loop(20):
        k.nops(8)
        k.add("LDG.E R2, [R4.64]", address=lambda c, w, i: list(rng.integers(0, 1 << 26, 32) * 4))
    k.build(grid=20, block=256).save(tmp_path / "t.h5")
    assert describe(tmp_path / "t.h5")["bytes_per_warp_instruction"] < 12


def test_hash_names_the_contents_not_the_place(sample, saved, tmp_path):
    path = tmp_path / "copy.h5"
    sample_builder().build(grid=(3, 2, 1), block=(64, 1, 1), shared_bytes=4096, registers=24).save(path)
    with open_trace(path) as one, open_trace(saved) as other:
        assert one.sha256 == other.sha256 == one.compute_sha256()
    sample_builder().build(grid=(3, 2, 1), block=(64, 1, 1), shared_bytes=4096, registers=25).save(path)
    with open_trace(path) as one, open_trace(saved) as other:
        assert one.sha256 != other.sha256


def test_writing_is_bounded_and_streams(tmp_path):
    launch = LaunchInfo("long", (1, 1, 1), (32, 1, 1))
    k = KernelBuilder(86, name="long")
    k.nops(2)
    program = k.program()
    runs = np.array([(0, 3, 1)], RUN_DT)
    with TraceWriter(tmp_path / "t.h5", arch=86) as writer:
        kernel = writer.begin_kernel(writer.add_program(program, np.zeros(3, np.uint8)), launch)
        for segment in range(5000):
            warps = np.zeros(1, WARP_DT)
            warps["segment"], warps["run_count"], warps["n_inst"] = segment, 1, 3
            kernel.add(Batch(warps, runs, np.zeros(0, MEM_DT), np.zeros(0, np.uint64)))
            assert len(kernel._pending) <= 4096
    with open_trace(tmp_path / "t.h5") as trace:
        assert trace.kernels[0].warp_instructions == 15000
        last = trace.kernels[0].read_segments(np.array([0, 0]), np.array([0, 0]), np.array([4999, 4998]))
        assert last.warps["last"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("cta", 1, "CTA outside the grid"),
        ("warp", 1, "warp outside the CTA"),
        ("n_inst", 4, "n_inst differs"),
        ("mem_count", 1, "mem_count differs"),
        ("run_count", 2, "outside the batch"),
        ("segment", 1, "repeated or missing"),
    ],
)
def test_inconsistent_batches_are_refused(tmp_path, field, value, message):
    k = KernelBuilder(86, name="wrong")
    k.nops(2)
    warps = np.zeros(1, WARP_DT)
    warps["run_count"], warps["n_inst"] = 1, 3
    warps[field] = value
    with pytest.raises(TraceError, match=message), TraceWriter(tmp_path / "t.h5", arch=86) as writer:
        kernel = writer.begin_kernel(
            writer.add_program(k.program(), np.zeros(3, np.uint8)), LaunchInfo("wrong", (1, 1, 1), (32, 1, 1))
        )
        kernel.add(Batch(warps, np.array([(0, 3, 1)], RUN_DT), np.zeros(0, MEM_DT), np.zeros(0, np.uint64)))
        kernel.end()
    assert list(tmp_path.iterdir()) == []


def test_asking_for_what_is_not_there(saved):
    with open_trace(saved) as trace:
        kernel = trace.kernels[0]
        with pytest.raises(TraceError, match="the grid has 6"):
            kernel.read_ctas(5, 2)
        with pytest.raises(TraceError, match="no segment 9 of CTA 0 warp 1"):
            kernel.read_segments(np.array([0]), np.array([1]), np.array([9]))


def test_sampled_traces_hold_some_ctas(tmp_path):
    from dataclasses import replace

    whole = sample_builder().build(grid=4, block=32).kernels[0]
    kept = whole._batch.warps[whole._batch.warps["cta"] % 2 == 0]
    with TraceWriter(tmp_path / "t.h5", arch=86) as writer:
        kernel = writer.begin_kernel(writer.add_program(whole.program, whole.mem_records), whole.launch)
        kernel.add(whole._batch._replace(warps=kept))
        kernel.end(replace(whole.launch, sample_every=2))
    with open_trace(tmp_path / "t.h5") as trace:
        kernel = trace.kernels[0]
        assert kernel.recorded_ctas.tolist() == [0, 2] and kernel.launch.sample_every == 2
        assert kernel.read_ctas(0, 4).warps["cta"].tolist() == [0, 2]
        assert kernel.cta_instructions(0, 4)[1] == 0


def test_missing_empty_and_foreign_files(tmp_path):
    with pytest.raises(TraceError, match="no such file"):
        open_trace(tmp_path / "none.h5")
    (tmp_path / "empty.h5").write_bytes(b"")
    with pytest.raises(TraceError, match="empty file"):
        open_trace(tmp_path / "empty.h5")
    (tmp_path / "text.h5").write_text("-kernel name = x\n")
    with pytest.raises(TraceError, match="not an HDF5 file"):
        open_trace(tmp_path / "text.h5")
    with pytest.raises(TraceError, match="cannot be read"):
        open_trace(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(TraceError, match="not an archsim trace"):
        open_trace(tmp_path / "other.h5")


def test_other_version_and_unfinished(saved, tmp_path):
    for key, value, message in (("version", 99, "version 99"), ("complete", 0, "incomplete")):
        path = tmp_path / f"{key}.h5"
        shutil.copy(saved, path)
        with h5py.File(path, "a") as file:
            file.attrs[key] = value
        with pytest.raises(TraceError, match=message):
            open_trace(path)


def test_a_failed_writer_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), TraceWriter(tmp_path / "t.h5", arch=86):
        assert [p.name for p in tmp_path.iterdir()] == ["t.h5.partial"]
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def read_everything(path):
    from archsim.trace.inspect import validate

    validate(path)
    with open_trace(path) as trace:
        return [list(streams(kernel.read_ctas(0, kernel.num_ctas))) for kernel in trace.kernels]


def test_truncation_at_every_length_is_told(saved, tmp_path):
    data = saved.read_bytes()
    path = tmp_path / "cut.h5"
    for size in np.linspace(1, len(data) - 1, 25).astype(int):
        path.write_bytes(data[:size])
        with pytest.raises(TraceError, match=r"cut\.h5"):
            read_everything(path)


def test_flipped_bits_are_told_or_harmless(saved, tmp_path):
    data = saved.read_bytes()
    good = read_everything(saved)
    path = tmp_path / "flipped.h5"
    rng = np.random.default_rng(3)
    told = 0
    for _ in range(60):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert read_everything(path) == good
        except TraceError as error:
            told += 1
            assert "flipped.h5" in str(error)
    assert told > 20
