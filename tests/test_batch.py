"""Batches: the same masks however they were made, stopped and resumed; and every refusal."""

import errno
import json
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from skullnb import published
from skullnb.batch import (
    COLUMNS,
    is_for_batch,
    mask_batch,
    one_opencv_thread,
    open_source,
    plan,
    read_masks,
    read_table,
)
from skullnb.batch import run as run_module
from skullnb.batch.bar import Bar, remaining
from skullnb.batch.fingerprint import fingerprint
from skullnb.batch.journal import Journal
from skullnb.batch.outputs import NpyOutput
from skullnb.batch.work import Work
from skullnb.batch.workplace import Workplace
from skullnb.cli import main
from skullnb.errors import BatchStopped, InvalidSetting, ShapeMismatch, UnreadableFile
from skullnb.phantom import subject
from skullnb.pipeline import PipelineSettings, create_skull_masks, trace_skull_mask

SETTINGS = PipelineSettings(kernel_width=5)
KINDS = ("m.npy", "m.packed.npy", "m.zarr")

# How often every kind of run is killed; CI is content with few.
KILLS = int(os.environ.get("SKULLNB_KILLS", "2"))


def heads(n_slices, height=40, width=45):
    """Bright blocks in a thin ring, on noise, none like another; the width is no multiple of 8."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 60, (n_slices, height, width)).astype(np.int16)
    for index, image in enumerate(images):
        top, left = 6 + index % 7, 6 + index % 11
        image[top : top + 18, left : left + 20] += 900
        image[top + 6 : top + 9, left + 5 : left + 9] = index % 50
        image[[2, -3], 2:-2] = image[2:-2, [2, -3]] = 900
    return images


@pytest.fixture
def scans(tmp_path):
    """Hold 100 slices in a .npy file."""
    images = heads(100)
    np.save(tmp_path / "scans.npy", images)
    return tmp_path / "scans.npy"


@pytest.fixture
def expected(scans):
    return create_skull_masks(np.load(scans), SETTINGS)


def batch(scans, name, **options):
    options = {"chunk": 6, "workers": 2, **options}
    return mask_batch(scans, scans.parent / name, SETTINGS, **options)


class Enough(Exception):
    """What stops a batch half-way in these tests."""


def stop_after(n_done):
    def progress(done, total):
        if done >= n_done:
            raise Enough

    return progress


def begun(scans, name, **options):
    """Stop a batch half-way; return its folder."""
    with pytest.raises(Enough):
        batch(scans, name, progress=stop_after(30), **options)
    folder = scans.parent / f"{name}.partial"
    assert folder.is_dir()
    assert not (scans.parent / name).exists()
    return folder


# --- the masks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("evidence", ["full", "brief"])
def test_masks_are_those_of_the_pipeline_whatever_their_kind(scans, expected, name, evidence):
    done = batch(scans, name, evidence=evidence)
    np.testing.assert_array_equal(read_masks(done.path), expected)
    np.testing.assert_array_equal(read_masks(done.path, 30, 41), expected[30:41])
    assert expected.any(axis=(1, 2)).all()
    assert not (scans.parent / f"{name}.partial").exists()
    assert done.counts.n_slices == 100
    told = json.loads((scans.parent / f"{name}.json").read_text())
    assert told["shape"] == [100, 40, 45]
    assert told["settings"]["kernel_width"] == 5


def test_each_kind_of_output_is_laid_out_as_documented(scans, expected):
    import zarr

    plain, packed, array = (batch(scans, name).path for name in KINDS)
    np.testing.assert_array_equal(np.load(plain), expected)
    bits = np.load(packed)
    assert bits.shape == (100, 40, 6)
    np.testing.assert_array_equal(np.unpackbits(bits, axis=-1, count=45), expected)
    assert not np.unpackbits(bits, axis=-1)[..., 45:].any()
    opened = zarr.open_array(array, mode="r")
    assert opened.chunks == (6, 40, 45)
    np.testing.assert_array_equal(opened[:], expected)
    (array / "c" / "3" / "0" / "0").unlink()
    with pytest.raises(UnreadableFile, match="lost a part"):
        read_masks(array)


def test_zarr_and_processes_give_the_same_masks(scans, expected, tmp_path, monkeypatch):
    import zarr

    # A folder of data may hold what looks like a module; no worker imports it.
    planted = tmp_path / "planted"
    planted.mkdir()
    for name in ("pickle", "signal"):  # the second is asked for before there is a worker
        (planted / f"{name}.py").write_text("open('ran', 'w').close(); raise SystemExit")
    monkeypatch.chdir(planted)
    images = np.load(scans)
    source = scans.parent / "scans.zarr"
    zarr.create_array(source, data=images, chunks=(7, 40, 45))
    assert open_source(source).step == 7
    done = mask_batch(source, scans.parent / "a.npy", SETTINGS, processes=True, workers=2)
    np.testing.assert_array_equal(np.load(done.path), expected)
    assert not (planted / "ran").exists()


def test_many_files_are_one_batch_in_natural_order(scans, expected):
    images, folder = np.load(scans), scans.parent / "parts"
    folder.mkdir()
    np.save(folder / "p1.npy", images[:1][0])
    np.save(folder / "p2.npy", np.asfortranarray(images[1:50]))
    affine = np.diag([-1, -1, 2, 1])
    nib.save(nib.Nifti1Image(images[50:58].transpose(2, 1, 0), affine), folder / "p10.nii.gz")
    np.savez(folder / "p11.npz", images=images[58:])
    done = mask_batch(folder, scans.parent / "m.npy", SETTINGS, chunk=6, workers=2)
    np.testing.assert_array_equal(np.load(done.path), expected)
    rows = read_table(done.table)
    assert [row["index"] for row in rows] == list(range(100))
    assert [(rows[i]["source"], rows[i]["slice"]) for i in (0, 1, 50, 99)] == [
        ("p1.npy", 0),
        ("p2.npy", 0),
        ("p10.nii.gz", 0),
        ("p11.npz", 41),
    ]


def test_a_range_of_slices_is_a_shard(scans, expected):
    done = batch(scans, "m.packed.npy", slices="10:40")
    np.testing.assert_array_equal(read_masks(done.path), expected[10:40])
    assert [row["slice"] for row in read_table(done.table)] == list(range(10, 40))
    with pytest.raises(InvalidSetting, match="one range of slices"):
        batch(scans, "n.npy", slices="1,5,9")


@pytest.mark.parametrize("dtype", [">f4", "u1", "f8"])
def test_every_number_type_is_read_as_it_is(scans, expected, dtype):
    images = np.load(scans)
    changed = (images // 4).astype(dtype)
    np.save(scans, changed)
    done = batch(scans, "m.npy")
    np.testing.assert_array_equal(np.load(done.path), create_skull_masks(changed, SETTINGS))


def test_opencv_has_its_threads_back_afterwards(scans, monkeypatch):
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        seen = set()

        def watched(*arguments, **options):
            seen.add(cv2.getNumThreads())
            return trace_skull_mask(*arguments, **options)

        monkeypatch.setattr("skullnb.batch.work.trace_skull_mask", watched)
        batch(scans, "m.npy")
        assert seen == {1}
        assert cv2.getNumThreads() == 3
        with one_opencv_thread(), pytest.raises(Enough), one_opencv_thread():
            raise Enough
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)


# --- the table ---------------------------------------------------------------------------------


@pytest.mark.parametrize("parquet", [True, False])
def test_the_table_says_of_every_slice_what_the_trace_says(scans, monkeypatch, parquet):
    if not parquet:
        monkeypatch.setattr("skullnb.batch.table.find_spec", lambda name: None)
    images = np.load(scans).astype(np.float32)
    images[20] = 7
    images[33, 5, 5] = np.nan
    images[47, 0, 0] = 50_000
    np.save(scans, images)
    done = batch(scans, "m.npy")
    assert done.table.name == ("m.npy.parquet" if parquet else "m.npy.csv")
    rows = read_table(done.table)
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 100
    for index in (0, 20, 47, 99):
        trace = trace_skull_mask(images[index], SETTINGS)
        assert rows[index] == {
            "index": index,
            "source": "scans.npy",
            "slice": index,
            "status": "empty" if trace.reason else "ok",
            "threshold": trace.threshold,
            "n_components": len(trace.components),
            "n_edge_touching": trace.n_edge_touching,
            "brain_px": trace.brain.sum(),
            "dilated_px": trace.dilated.sum(),
            "mask_px": trace.mask.sum(),
            "reason": trace.reason,
            "warnings": "; ".join(trace.warnings),
        }
    assert rows[33]["status"] == "failed"
    assert rows[33]["reason"].startswith("Slice 33 has 1 of 1800 pixels that are NaN")
    assert rows[33]["threshold"] is None
    assert not np.load(done.path)[33].any()
    assert (done.counts.n_empty, done.counts.n_failed) == (2, 1)
    assert done.counts.n_warned == sum(bool(row["warnings"]) for row in rows)
    assert "few pixels own most of the range" in rows[47]["warnings"]


def test_brief_evidence_looks_twice_only_where_the_mask_is_conspicuous(scans):
    images = np.load(scans).astype(np.float32)
    images[20] = 7
    images[21, 5, 5] = np.inf
    images[22, 20, 20] = 1e6
    np.save(scans, images)
    full, brief = (batch(scans, f"{kind}.npy", evidence=kind) for kind in ("full", "brief"))
    np.testing.assert_array_equal(np.load(full.path), np.load(brief.path))
    assert full.counts == brief.counts
    rows, others = read_table(brief.table), read_table(full.table)
    assert rows[20:23] == others[20:23]
    assert [row["status"] for row in rows] == [row["status"] for row in others]
    assert [row["mask_px"] for row in rows] == [row["mask_px"] for row in others]
    assert sum(row["threshold"] is not None for row in rows) == 2


def test_a_damaged_file_fails_alone(scans, expected):
    images, folder = np.load(scans), scans.parent / "parts"
    folder.mkdir()
    affine = np.diag([-1, -1, 2, 1])
    for part in range(3):
        some = images[part * 10 : part * 10 + 10].transpose(2, 1, 0)
        nib.save(nib.Nifti1Image(some, affine), folder / f"p{part}.nii.gz")
    damaged = folder / "p1.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    done = mask_batch(folder, scans.parent / "m.npy", SETTINGS, chunk=4, workers=2)
    assert done.counts.n_failed == 10
    masks = np.load(done.path)
    assert not masks[10:20].any()
    np.testing.assert_array_equal(masks[20:], expected[20:30])
    assert "p1.nii.gz can't be read" in read_table(done.table)[12]["reason"]


def test_after_a_damaged_file_the_one_before_it_is_read_again(scans):
    images, folder = np.load(scans), scans.parent / "parts"
    folder.mkdir()
    np.savez(folder / "a.npz", images=images[:3])
    np.savez(folder / "b.npz", images=images[3:6])
    source = open_source(folder)
    (folder / "b.npz").write_bytes(b"PK")
    for _ in range(2):
        np.testing.assert_array_equal(list(source.slices(0, 3)), images[:3])
        assert [type(image) for image in source.slices(3, 6)] == [UnreadableFile] * 3


# --- stopped and resumed -----------------------------------------------------------------------


def command(*words):
    code = "from skullnb.cli import main; main()"
    words = ["mask", *map(str, words), "--kernel-width", "5", "--chunk", "4"]
    return [sys.executable, "-c", code, *words]


def n_lines(path):
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, ["--workers", "2"]) for name in KINDS), ("m.npy", ["--processes", "--workers", "2"])],
    ids=["npy", "packed", "zarr", "processes"],
)
def test_a_run_killed_at_any_moment_goes_on_to_the_same_masks(tmp_path, name, options):
    images = heads(480)
    np.save(tmp_path / "scans.npy", images)
    expected = create_skull_masks(images, SETTINGS)
    output, journal = tmp_path / name, tmp_path / f"{name}.partial" / "journal"
    rng = random.Random(name + str(options))
    kept = b""
    for _ in range(KILLS):
        run = subprocess.Popen(
            command(tmp_path / "scans.npy", "-o", output, *options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        # Anywhere, from the first chunk to shortly before the last.
        goal = n_lines(journal) + 1 + rng.randrange(max(1, 110 // KILLS))
        while n_lines(journal) <= goal and run.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02)
        run.kill()
        run.wait()
        assert run.returncode in (0, -signal.SIGKILL), run.stderr.read()
        run.stderr.close()
        if run.returncode == 0:
            break
        if output.exists():
            # Killed while tidying up: complete all the same.
            continue
        now = journal.read_bytes() if journal.exists() else b""
        whole = kept[: kept.rfind(b"\n") + 1]
        assert now.startswith(whole), "a finished chunk was forgotten"
        kept = now
    done_before = max(n_lines(journal) - 1, 0) * 4
    done = mask_batch(tmp_path / "scans.npy", output, SETTINGS, workers=2)
    np.testing.assert_array_equal(read_masks(output), expected)
    assert done.n_resumed >= done_before
    assert done.n_resumed > 0
    assert [row["index"] for row in read_table(done.table)] == list(range(480))
    assert not journal.parent.exists()


@pytest.mark.parametrize("name", KINDS)
def test_finished_chunks_are_not_done_again(scans, expected, monkeypatch, name):
    folder = begun(scans, name)
    finished = Journal(folder / "journal").n_slices
    assert 30 <= finished < 100
    looked_at = []

    def watched(image, settings, *, slice_number):
        looked_at.append(slice_number)
        return trace_skull_mask(image, settings, slice_number=slice_number)

    monkeypatch.setattr("skullnb.batch.work.trace_skull_mask", watched)
    told = []
    # A chunk of another size is asked for; the one begun with holds.
    done = batch(scans, name, chunk=11, progress=lambda *numbers: told.append(numbers))
    assert len(looked_at) == len(set(looked_at)) == 100 - finished
    assert done.n_resumed == finished
    assert told[0] == (finished, 100)
    assert told[-1] == (100, 100)
    np.testing.assert_array_equal(read_masks(done.path), expected)


def test_a_run_that_finished_nothing_leaves_nothing_behind(scans):
    with pytest.raises(Enough):
        batch(scans, "m.npy", progress=stop_after(0))
    assert sorted(path.name for path in scans.parent.iterdir()) == ["scans.npy"]


def test_half_written_masks_are_written_again(scans, expected):
    folder = begun(scans, "m.npy")
    finished = set(Journal(folder / "journal").done)
    (path,) = folder.glob("masks-*")
    masks = np.load(path, mmap_mode="r+")
    assert masks.shape == (100, 40, 45)
    for index in range(100):
        if index // 6 not in finished:
            masks[index] = 7
    masks.flush()
    np.testing.assert_array_equal(np.load(batch(scans, "m.npy").path), expected)


@pytest.mark.parametrize("cut", [1, 20])
def test_a_line_of_the_journal_that_was_cut_short_does_not_count(scans, expected, cut):
    journal = begun(scans, "m.npy") / "journal"
    before = Journal(journal).n_slices
    os.truncate(journal, journal.stat().st_size - cut)
    assert Journal(journal).n_slices < before
    assert journal.read_bytes().endswith(b"\n")
    np.testing.assert_array_equal(np.load(batch(scans, "m.npy").path), expected)


@pytest.mark.parametrize("name", ["m.npy", "m.zarr"])
def test_a_chunk_is_marked_only_when_its_masks_are_on_the_disk(scans, monkeypatch, name):
    synced, order = os.fsync, []

    def watched(handle):
        order.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        synced(handle)

    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not tell which file is synced")
    monkeypatch.setattr(os, "fsync", watched)
    batch(scans, name, workers=1)
    told = [name.split("-")[0] for name in order]
    marks = [place for place, one in enumerate(told) if one == "journal"]
    assert len(marks) >= 100 // 6 // 6
    assert all(told[place - 1] == "masks" for place in marks)


def test_a_run_that_ended_between_its_last_steps_is_finished_by_the_next(
    scans, expected, monkeypatch
):
    real = Workplace.clear
    monkeypatch.setattr(Workplace, "clear", lambda self: (_ for _ in ()).throw(Enough))
    with pytest.raises(Enough):
        batch(scans, "m.npy")
    monkeypatch.setattr(Workplace, "clear", real)
    description = scans.parent / "m.npy.json"
    description.unlink()
    done = batch(scans, "m.npy")
    assert done.n_resumed == 100
    assert description.exists()
    np.testing.assert_array_equal(np.load(done.path), expected)
    assert not (scans.parent / "m.npy.partial").exists()


def test_a_finished_batch_is_not_made_again(scans):
    first = batch(scans, "m.npy")
    before = first.path.stat().st_mtime_ns
    again = batch(scans, "m.npy")
    assert again.path.stat().st_mtime_ns == before
    assert (again.counts, again.table, again.n_resumed) == (first.counts, first.table, 100)


# --- refused -----------------------------------------------------------------------------------


def test_other_images_settings_or_versions_are_refused_by_name(scans, monkeypatch):
    place = begun(scans, "m.npy")
    with pytest.raises(BatchStopped, match="its kernel width was 5, now it is 7; do the same"):
        mask_batch(scans, scans.parent / "m.npy", PipelineSettings(kernel_width=7))
    with pytest.raises(BatchStopped, match="its table was full, now it is brief"):
        batch(scans, "m.npy", evidence="brief")
    with pytest.raises(BatchStopped, match=r"its slices was \[0, 100\]"):
        batch(scans, "m.npy", slices="0:50")
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "versions", lambda: {"skullnb": "9.9", "OpenCV": "x"})
        with pytest.raises(BatchStopped, match=r"its skullnb was .*, now it is 9.9"):
            batch(scans, "m.npy")
    images = np.load(scans)
    images[99, 3, 3] += 1
    np.save(scans, images)
    with pytest.raises(BatchStopped, match="the images have changed"):
        batch(scans, "m.npy")
    assert Journal(place / "journal").n_slices >= 30
    done = batch(scans, "m.npy", overwrite=True)
    assert done.n_resumed == 0
    np.testing.assert_array_equal(np.load(done.path), create_skull_masks(images, SETTINGS))


def test_images_changed_under_a_run_are_noticed_at_its_end(scans):
    images = np.load(scans)

    def meddle(done, total):
        if done == total:
            images[5] += 1
            np.save(scans, images)

    with pytest.raises(BatchStopped, match=r"changed while m.npy was being made"):
        batch(scans, "m.npy", progress=meddle)
    assert not (scans.parent / "m.npy").exists()


@pytest.mark.parametrize("changed", [0, -1])
def test_a_large_input_is_known_by_size_time_and_samples(scans, monkeypatch, changed):
    monkeypatch.setattr("skullnb.batch.fingerprint.WHOLLY_HASHED", 1000)
    first = fingerprint([scans])
    assert first == fingerprint([scans])
    assert first["looked_at"] != "every byte"
    stat = scans.stat()
    os.utime(scans, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert fingerprint([scans]) != first
    images = np.load(scans)
    images.flat[changed] += 1
    np.save(scans, images)
    os.utime(scans, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fingerprint([scans])["bytes"] == first["bytes"]
    assert fingerprint([scans]) != first


@pytest.mark.parametrize("name", KINDS)
def test_what_is_there_is_kept_unless_overwriting_is_allowed(scans, expected, name):
    done = batch(scans, name)
    other = PipelineSettings(kernel_width=9)
    with pytest.raises(UnreadableFile, match=r"exists already \(its kernel width was 5"):
        mask_batch(scans, done.path, other)
    np.testing.assert_array_equal(read_masks(done.path), expected)
    mask_batch(scans, done.path, other, overwrite=True)
    np.testing.assert_array_equal(read_masks(done.path), create_skull_masks(np.load(scans), other))
    assert not (scans.parent / f"{name}.partial").exists()


def test_a_second_run_on_one_output_is_refused(scans, expected):
    with (
        Workplace((scans.parent / "m.npy").absolute()),
        pytest.raises(BatchStopped, match=rf"Another run \(process {os.getpid()} on .*wait for it"),
    ):
        batch(scans, "m.npy")
    np.testing.assert_array_equal(np.load(batch(scans, "m.npy").path), expected)


def test_places_that_make_no_sense_are_refused_and_nothing_is_left(scans):
    folder = scans.parent
    before = sorted(folder.iterdir())
    with pytest.raises(InvalidSetting, match="chunk must be at least 1"):
        batch(scans, "m.npy", chunk=0)
    with pytest.raises(UnreadableFile, match="no zarr array"):
        mask_batch(folder / "none.zarr", folder / "m.npy")
    np.save(folder / "other.npy", heads(2)[:, :20])
    with pytest.raises(ShapeMismatch, match=r"scans.npy are 40 x 45 px.*other.npy 20 x 45"):
        open_source(folder)
    (folder / "other.npy").unlink()
    assert sorted(folder.iterdir()) == before


def test_a_disk_too_small_is_said_before_anything_is_done(scans, monkeypatch):
    nearly_full = shutil.disk_usage(scans)._replace(free=1000)
    monkeypatch.setattr("skullnb.batch.refusals.shutil.disk_usage", lambda path: nearly_full)
    with pytest.raises(BatchStopped, match=r"takes 0 MB, and 0 MB are free.*packed"):
        batch(scans, "m.npy")
    assert sorted(path.name for path in scans.parent.iterdir()) == ["scans.npy"]


@pytest.mark.parametrize("where", ["write", "sync"])
def test_a_full_disk_ends_in_a_sentence_and_can_be_resumed(scans, expected, monkeypatch, where):
    real, calls = getattr(NpyOutput, where), []

    def full(self, *arguments):
        calls.append(arguments)
        if len(calls) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(NpyOutput, where, full)
        with pytest.raises(BatchStopped, match=r"disk is full, so m.npy.*run the same command"):
            batch(scans, "m.npy", workers=1, chunk=3)
    done = batch(scans, "m.npy")
    assert done.n_resumed > 0
    np.testing.assert_array_equal(np.load(done.path), expected)


def test_a_killed_worker_process_ends_in_a_sentence_and_can_be_resumed(scans, expected):
    def kill(done, total):
        if done >= 12:
            for child in multiprocessing.active_children():
                child.kill()

    with pytest.raises(BatchStopped, match=r"worker process of m.npy was killed.*go on"):
        batch(scans, "m.npy", processes=True, chunk=1, progress=kill)
    done = batch(scans, "m.npy")
    assert done.n_resumed >= 12
    np.testing.assert_array_equal(np.load(done.path), expected)


def test_memory_does_not_grow_with_the_number_of_slices(tmp_path):
    def peak(n_slices, name):
        np.save(tmp_path / "scans.npy", heads(n_slices, 100, 100))
        tracemalloc.start()
        mask_batch(tmp_path / "scans.npy", tmp_path / name, workers=1, chunk=5)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(5, "warm.npy")  # what is imported stays
    few, many = peak(40, "few.npy"), peak(200, "many.npy")
    assert many - few < 5_000 * (200 - 40) / 5  # bytes a chunk, for its rows in the table


# --- a cluster ---------------------------------------------------------------------------------


def test_work_that_travels_is_small(scans):
    work = Work(
        open_source(scans), NpyOutput(Path("m"), (1, 1, 1)), SETTINGS, "full", 20, {"skullnb": "1"}
    )
    assert len(pickle.dumps(work)) < 2000


def test_a_cluster_that_loses_a_worker_gives_the_same_masks(scans, monkeypatch):
    import zarr
    from distributed import LocalCluster

    images = heads(400)
    source, output = scans.parent / "scans.zarr", scans.parent / "m.zarr"
    zarr.create_array(source, data=images, chunks=(5, 40, 45))
    killed = []

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:

        def kill(done, total):
            if not killed and done >= 40:
                killed.append(cluster.workers[0].pid)
                os.kill(killed[0], signal.SIGKILL)

        done = mask_batch(
            source,
            output,
            SETTINGS,
            chunk=5,
            scheduler=cluster.scheduler_address,
            progress=kill,
        )
        np.save(scans.parent / "other.npy", images)
        with pytest.raises(InvalidSetting, match="one zarr array or one file"):
            mask_batch(
                scans.parent / "*.npy", scans.parent / "n.zarr", scheduler=cluster.scheduler_address
            )
    assert killed
    np.testing.assert_array_equal(read_masks(done.path), create_skull_masks(images, SETTINGS))
    assert [row["index"] for row in read_table(done.table)] == list(range(400))
    monkeypatch.setattr("skullnb.batch.workers._ANSWERS_WITHIN", "1s")
    with pytest.raises(BatchStopped, match="No Dask scheduler answers"):
        mask_batch(source, scans.parent / "n.zarr", scheduler=cluster.scheduler_address)


# --- the command -------------------------------------------------------------------------------


def run(*words, expect=0):
    result = CliRunner().invoke(main, ["mask", *map(str, words)])
    assert result.exit_code == expect, (result.output, result.exception)
    return result


def test_the_command_makes_a_batch_of_what_only_a_batch_can_do(scans, expected):
    output = scans.parent / "m.packed.npy"
    result = run(scans, "-o", output, "--kernel-width", 5)
    assert result.stdout.startswith(f"{output}: 100 slices, ")
    assert "0 empty, 0 with a warning, 0 failed; each has a row in m.packed.npy." in result.stdout
    np.testing.assert_array_equal(read_masks(output), expected)
    assert "100 of them done before" in run(scans, "-o", output, "--kernel-width", 5).stdout
    assert "allow overwriting (--overwrite)" in run(scans, "-o", output, expect=2).stderr


def test_the_command_leaves_small_volumes_to_the_usual_way(scans, monkeypatch):
    assert not is_for_batch(scans, "m.npy")
    monkeypatch.setattr(run_module, "_LARGE", 1000)
    assert is_for_batch(scans, "m.npy")
    assert not is_for_batch(scans, "m.nii.gz")


def test_a_batch_that_was_begun_is_gone_on_with_by_the_plain_command(scans, expected):
    begun(scans, "m.npy")
    result = run(scans, "-o", scans.parent / "m.npy", "--kernel-width", 5)
    assert " of them done before" in result.stdout
    np.testing.assert_array_equal(np.load(scans.parent / "m.npy"), expected)


def test_the_command_says_what_does_not_go_together_and_what_failed(scans):
    result = run(scans, "-o", scans.parent / "m.zarr", "--bids", expect=2)
    assert "don't go with a batch" in result.stderr
    images = np.load(scans).astype(float)
    images[4, 4, 4] = np.nan
    np.save(scans, images)
    assert "1 failed" in run(scans, "-o", scans.parent / "m.npy", "--workers", 1, expect=1).stdout


def test_the_command_can_be_stopped_and_says_how_to_go_on(scans, monkeypatch):
    def interrupted(self, done, total):
        if done > 30:
            raise KeyboardInterrupt

    monkeypatch.setattr("skullnb.batch.bar.Bar.__call__", interrupted)
    result = run(scans, "-o", scans.parent / "m.npy", "--chunk", 4, expect=130)
    assert "the same command goes on from here" in result.stderr
    assert (scans.parent / "m.npy.partial" / "journal").exists()


def test_the_time_left_is_said_in_fitting_units():
    assert remaining(100, 300, 2.0) == "50 slices/s, 6 s left"
    assert remaining(10, 100_000, 0.1) == "100 slices/s, 16 min 40 s left"
    assert remaining(10, 1_000_000, 0.1) == "100 slices/s, 2 h 46 min left"
    assert remaining(0, 10, 1.0) == ""


# --- the plan ----------------------------------------------------------------------------------


def test_a_plan_keeps_what_was_measured_from_what_is_assumed():
    shape = published.SHAPE[1:]
    rates = {"1 thread": 400.0, "cluster": 5000.0}
    need = plan(published.PROJECTED_SLICES, shape, rates, 0.5, zarr_share=0.01)
    assert need.measured == {**rates, "zarr_share": 0.01}
    assert need.assumed["gb_a_second"] == 0.5
    assert {name: round(size) for name, size in need.sizes_gb.items()} == {
        "input": 192,
        "npy": 48,
        "packed": 6,
        "zarr": 0,
    }
    # (191.7 + 6.0) GB at 0.5 GB/s, against 100,000 slices at 400 and at 5000 a second.
    assert need.storage_s["packed"] == pytest.approx(395.4, abs=0.1)
    assert need.compute_s == {"1 thread": 250.0, "cluster": 20.0}
    assert need.limit["1 thread"] == {"npy": "storage", "packed": "storage", "zarr": "storage"}
    fast = plan(published.PROJECTED_SLICES, shape, rates, 2.0)
    assert fast.limit["1 thread"] == {"npy": "compute", "packed": "compute"}
    assert fast.total_s["1 thread"]["npy"] == 250.0
    assert fast.limit["cluster"]["packed"] == "storage"
    assert fast.useful_rate["packed"] == pytest.approx(100_000 / fast.storage_s["packed"])
    for number in (0, float("nan"), -1):
        with pytest.raises(InvalidSetting, match="needs gb_a_second above 0"):
            plan(10, shape, rates, number)


def test_a_phantom_in_a_batch_gets_the_masks_of_the_pipeline(tmp_path):
    stack = subject(4, n_slices=3)
    np.save(tmp_path / "scans.npy", stack.images)
    done = mask_batch(tmp_path / "scans.npy", tmp_path / "m.packed.npy")
    np.testing.assert_array_equal(read_masks(done.path), create_skull_masks(stack.images))


def test_without_a_terminal_a_batch_says_a_line_every_half_minute(monkeypatch, capsys):
    times = iter([0, 0, 10, 40, 50])
    monkeypatch.setattr("skullnb.batch.bar.monotonic", lambda: next(times))
    with Bar() as bar:
        for done in (100, 200, 300, 400):
            bar(done, 1000)
    assert capsys.readouterr().err == "300 of 1,000 slices, 5 slices/s, 2 min 20 s left\n"


def test_a_bar_leaves_its_line_before_something_else_is_said(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Bar() as bar:
        bar(100, 1000)
        assert "100/1000" in capsys.readouterr().err
        bar.clear()
        assert capsys.readouterr().err.endswith("\n")
    assert capsys.readouterr().err == ""
