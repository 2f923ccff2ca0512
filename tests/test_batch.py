"""Batches: the same masks however they were made, stopped and resumed; and every refusal."""

import errno
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from functools import partial
from pathlib import Path
from unittest.mock import Mock
from unittest.mock import patch as replaced

import distributed
import filelock
import numpy as np
import pandas as pd
import pytest
import zarr
from bad_inputs import HEAD
from commands import COMMAND, run
from dicoms import save_series
from scans import save

from skullnb import batch as module
from skullnb import masking
from skullnb.batch import Work, is_for_batch, mask_batch
from skullnb.errors import BatchStopped, InvalidSetting, SkullnbError, UnreadableFile
from skullnb.pipeline import PipelineSettings, create_skull_masks, measure_slice
from skullnb.stack import Volume
from skullnb.stack import write as storage

SETTINGS = PipelineSettings(kernel_width=5)
KINDS = ("m.npy", "m.packed.npy", "m.zarr")
KILLS = int(os.environ.get("SKULLNB_KILLS", "2"))  # of every kind of run


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


IMAGES = heads(60)
EXPECTED = create_skull_masks(IMAGES, SETTINGS)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder to stand in, with 60 slices in a .npy file, and somebody's text."""
    monkeypatch.chdir(tmp_path)
    np.save("scans.npy", IMAGES)
    Path("thesis.tex").write_text("years of work")
    return tmp_path


def save_volume(path, images, spacing=1.0, step=9):
    Path(path).parent.mkdir(exist_ok=True)
    save(Path(path), images, np.diag([-spacing, -spacing, step, 1]))


def save_zarr(path, images, **options):
    zarr.create_array(path, data=images, chunks=(7, *images.shape[1:]), **options)


def batch(name="m.npy", images="scans.npy", **options):
    return mask_batch(images, name, SETTINGS, **{"chunk": 6, "workers": 2, **options})


def table_of(done):
    return pd.read_csv(masking.beside(done.path)[0])


def masks_of(path):
    """Read finished masks, whatever their kind."""
    if str(path).endswith(".zarr"):
        return zarr.open_array(path, mode="r")[:]
    masks = np.load(path)
    packed = str(path).endswith(".packed.npy")
    return np.unpackbits(masks, axis=-1, count=IMAGES.shape[2]) if packed else masks


def begun(name="m.npy"):
    """Stop a batch half-way, when five chunks are done; return its folder."""
    real = Work.do

    def stopping(self, number):
        if number >= 5:
            raise KeyboardInterrupt
        return real(self, number)

    with replaced.object(Work, "do", stopping), pytest.raises(KeyboardInterrupt):
        batch(name)
    assert not Path(name).exists()
    return Path(f"{name}.partial")


def everything():
    """All that is on the desk, with what the files hold."""
    return {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}


def test_many_files_are_one_batch_in_natural_order_and_a_range_of_them_is_a_shard(desk):
    save_volume("parts/p10.nii.gz", IMAGES[40:48])
    np.save("parts/p1.npy", IMAGES[0])
    np.save("parts/p2.npy", np.asfortranarray(IMAGES[1:40]))
    np.savez("parts/p11.npz", images=IMAGES[48:])
    table = table_of(batch(images="parts"))
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)
    names = ["p1.npy", "p2.npy", "p10.nii.gz", "p11.npz"]
    assert table["source"].tolist() == np.repeat(names, [1, 39, 8, 12]).tolist()
    assert table["slice"].tolist() == [0, *range(39), *range(8), *range(12)]
    Path("single").mkdir()  # files of one slice are numbered among all
    for number in range(12):
        np.save(f"single/p{number}.npy", IMAGES[number])
    table = table_of(batch("s.npy", "single", slices="2:12", chunk=3))
    assert table["reason"].isna().all(), table["reason"].tolist()
    np.testing.assert_array_equal(np.load("s.npy"), EXPECTED[2:12])
    assert (table["slice"].tolist(), table["source"][0]) == (list(range(2, 12)), "p2.npy")


def test_each_volume_s_own_kernel_is_used_and_told_in_rows(desk):
    for name, spacing in (("a", 0.5), ("b", 1.0), ("c", 2.0)):
        save_volume(f"parts/{name}.nii", IMAGES[:3], spacing)
    done = mask_batch("parts", "m.npy", PipelineSettings(reach_mm=2.0), workers=1)
    expected = [create_skull_masks(IMAGES[:3], PipelineSettings(w)) for w in (9, 5, 3)]
    np.testing.assert_array_equal(np.load("m.npy"), np.concatenate(expected))
    table = table_of(done).groupby("source").first()
    assert table["kernel_width"].tolist() == [9, 5, 3]
    assert table["spacing_mm"].tolist() == ["0.5x0.5", "1x1", "2x2"]
    told = done.account
    assert (told["SpacingMm"], told["ReachMm"], told["Settings"]["reach_mm"]) == (None, [2, 2], 2)
    with pytest.raises(InvalidSetting, match="reach of 2 mm needs"):
        mask_batch("scans.npy", "n.npy", PipelineSettings(reach_mm=2.0))
    assert not Path("n.npy.partial").exists()


def test_a_slice_is_held_against_its_volume_s_neighbours_in_whichever_chunk(desk):
    """The batch begins in the midst of the first of two heads, one half the size of the other."""
    whole = IMAGES[:1].repeat(12, 0)
    half = np.full_like(whole, 20)
    half[:, 8:20, 8:20] = half[:, 2] = 900  # a brain, and a scalp that touches the frame
    for name, images in (("a", whole), ("b", half)):
        images[6, 6:36, 6:36] = 20
        images[6, 8:17, 8:17] = 900  # a piece of it
        images += np.arange(45, dtype=np.int16) % 9
        save_volume(f"two/{name}.nii.gz", images, 6.0, 2)
    done = [batch(f"{n}.npy", "two", slices="3:", chunk=n) for n in (1, 4, 21)]
    table, *others = map(table_of, done)
    told = table["warnings"].astype(str).str.contains("around it")
    assert table["index"][told].tolist() == [3, 15]
    assert table["slice"][told].tolist() == [6, 6]
    for other in others:
        pd.testing.assert_frame_equal(table, other)
    np.save("scans.npy", whole)  # slices in a plain array may be of as many people
    assert not table_of(batch())["warnings"].astype(str).str.contains("around it").any()


def test_parquet_is_refused_before_the_work_where_nothing_writes_it(desk, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidSetting, match=r"Parquet needs pyarrow.*skullnb\[batch\]"):
        batch(parquet=True)
    assert not Path("m.npy.partial").exists()


def test_a_damaged_file_fails_alone_and_the_table_is_parquet_where_that_is_asked_for(desk):
    for part in range(3):
        save_volume(f"parts/p{part}.nii.gz", IMAGES[part * 10 : part * 10 + 10])
    damaged = Path("parts/p1.nii.gz")
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    done = batch(images="parts", chunk=4, parquet=True)
    table, masks = pd.read_parquet("m.parquet"), np.load("m.npy")
    assert table["status"].eq("failed").sum() == done.account["Counts"]["failed"] == 10
    assert pd.isna(table["threshold"][12])
    assert done.account["Failed"].startswith("10 of 30 slices failed: 10-19; p1.nii.gz can't")
    assert not masks[10:20].any()
    np.testing.assert_array_equal(masks[20:], EXPECTED[20:30])


def n_rows(folder):
    return len(list(folder.glob("rows/*.json")))


@pytest.mark.parametrize("name", KINDS)
def test_a_run_killed_at_any_moment_goes_on_to_the_same_masks(tmp_path, name):
    images = heads(480)
    np.save(tmp_path / "scans.npy", images)
    output, folder = tmp_path / name, tmp_path / f"{name}.partial"
    words = ["mask", tmp_path / "scans.npy", "-o", output, "--kernel-width", "5", "--chunk", "4"]
    rng, before = random.Random(name), 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            [*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        # Anywhere, from the first chunk to shortly before the last.
        goal = n_rows(folder) + rng.randrange(max(1, 110 // KILLS))
        while n_rows(folder) <= goal and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02)
        process.kill()
        process.wait()
        assert process.returncode in (0, -signal.SIGKILL), process.stderr.read()
        process.stderr.close()
        if output.exists():
            break  # killed while tidying up: complete all the same
        assert n_rows(folder) >= before, "a finished chunk was forgotten"
        before = n_rows(folder)
    done = mask_batch(tmp_path / "scans.npy", output, SETTINGS)
    np.testing.assert_array_equal(masks_of(output), create_skull_masks(images, SETTINGS))
    assert done.n_resumed >= before * 4 > 0
    assert table_of(done)["index"].tolist() == list(range(480))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"scans.npy", name, *(path.name for path in masking.beside(output))}


@pytest.mark.parametrize("name", KINDS)
def test_finished_chunks_are_not_done_again_and_then_the_batch_is_not(desk, monkeypatch, name):
    finished = n_rows(begun(name)) * 6
    assert finished == 30
    watched, told = Mock(wraps=measure_slice), Mock()
    monkeypatch.setattr(masking, "measure_slice", watched)
    done = batch(name, chunk=11, progress=told)  # the chunk that was begun with holds
    looked_at = [call.kwargs["slice_number"] for call in watched.call_args_list]
    assert len(looked_at) == len(set(looked_at)) == 60 - finished
    assert done.n_resumed == finished
    assert [told.call_args_list[at].args for at in (0, -1)] == [(finished, 60), (60, 60)]
    np.testing.assert_array_equal(masks_of(name), EXPECTED)
    if name == "m.packed.npy":
        assert np.load(name).shape == (60, 40, 6)
        assert not np.unpackbits(np.load(name), axis=-1)[..., 45:].any()
    if name == "m.zarr":
        array = zarr.open_array(name, mode="r")
        assert (array.chunks, array.fill_value) == ((6, 40, 45), 255)
    before = everything()
    assert (batch(name).n_resumed, everything()) == (60, before)


@pytest.mark.parametrize("step", ["table", "masks", "tidying"])
@pytest.mark.parametrize("name", ["m.npy", "m.zarr"])
def test_a_run_that_ended_between_its_last_steps_is_finished_by_the_next(desk, name, step):
    where, what = (masking, "write_table") if step == "table" else (module, "_publish")
    real = getattr(where, what)

    def ended(*given):
        if step == "tidying":
            real(*given)
        raise KeyboardInterrupt

    with replaced.object(where, what, ended), pytest.raises(KeyboardInterrupt):
        batch(name)
    assert Path(name).exists() == (step == "tidying")
    done = batch(name)
    assert done.n_resumed == 60
    np.testing.assert_array_equal(masks_of(name), EXPECTED)
    assert len(table_of(done)) == 60
    assert not Path(f"{name}.partial").exists()


def test_other_images_settings_or_versions_are_refused_by_name(desk):
    begun()

    def refused(words, **options):
        with pytest.raises(BatchStopped, match=f"its {words} changed; do the same as before"):
            batch(**options)

    refused("on warning", on_warning="empty")
    refused("shape", slices="0:50")
    with replaced.object(masking, "versions", lambda: {"skullnb": "9.9", "OpenCV": "x"}):
        refused("skullnb")
    with pytest.raises(BatchStopped, match="its kernel width changed"):
        mask_batch("scans.npy", "m.npy", PipelineSettings(kernel_width=7))
    np.save("scans.npy", IMAGES[::-1])
    refused("images")
    assert batch(overwrite=True).n_resumed == 0
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED[::-1])


@pytest.mark.parametrize("now", [HEAD + 1, HEAD[:1], HEAD[:, :30]])
@pytest.mark.parametrize("name", ["b.npz", "b.npy", "b.zarr"])
def test_images_changed_under_a_run_stop_it(desk, name, now):
    def store(values):
        save = {".npz": np.savez, ".npy": np.save, ".zarr": partial(save_zarr, overwrite=True)}
        save[Path(name).suffix](name, values)

    store(HEAD)
    with pytest.raises(BatchStopped, match=r"images were changed while"):
        batch(images=name, chunk=1, progress=lambda done, total: done or store(now))
    assert not Path("m.npy").exists()


def test_a_zarr_array_is_read_and_kept_unless_overwriting_is_allowed(desk):
    save_zarr("scans.zarr", IMAGES)
    np.testing.assert_array_equal(masks_of(batch("m.zarr", "scans.zarr").path), EXPECTED)
    with pytest.raises(UnreadableFile, match=r"exists already; .*--overwrite"):
        batch("m.zarr", slices="3:40")
    batch("m.zarr", slices="3:40", overwrite=True)
    np.testing.assert_array_equal(masks_of("m.zarr"), EXPECTED[3:40])


@pytest.mark.parametrize("name", ["m.npy", "m.json", "m.csv"])
@pytest.mark.parametrize("when", ["before", "meanwhile", "since"])
def test_no_file_is_overwritten_unasked_whenever_it_came(desk, name, when):
    def come(*_):
        Path(name).write_text("mine")

    if when == "since":
        begun()
    if when != "meanwhile":
        come()
    with pytest.raises(UnreadableFile, match=rf"{name} exists already.*\(--overwrite\)"):
        batch(progress=come)
    assert Path(name).read_text() == "mine"
    batch(overwrite=True)
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)


def test_a_second_run_is_refused_and_where_there_are_no_locks_one_goes_on(desk, monkeypatch):
    folder = begun()
    with filelock.FileLock(folder / "lock"), pytest.raises(BatchStopped, match="Another run is"):
        batch()
    no_locks = Mock(side_effect=OSError(errno.ENOLCK, "No locks available"))
    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    np.testing.assert_array_equal(np.load(batch().path), EXPECTED)


NOT_OURS = "not what a batch left behind; move it away"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "m.tif"}, "A batch writes .packed.npy, .npy, .zarr"),
        ({"scheduler": "tcp://127.0.0.1:9"}, "No Dask scheduler with workers is at 'tcp:"),
        ({"name": "nowhere/m.npy"}, "no folder"),
        ({"images": "none.zarr"}, "none.zarr can.t be read"),
        ({"images": "sizes"}, "one size, and these are 20 x 45 and 40 x 45 px"),
        ({"name": "scans.npy"}, "slices came from"),
        ({"name": "second.npy"}, "slices came from"),
        ({"name": "sub/../scans.zarr", "images": "scans.zarr"}, "would lie among the images"),
        ({"name": "scans.zarr/c/m.packed.npy", "images": "scans.zarr"}, "would lie among the"),
        ({"name": "in/m.packed.npy", "images": "in#7"}, "would lie among the images"),
        ({"name": "a.npy"}, f"a.npy.partial is {NOT_OURS}"),
        ({"name": "b.npy"}, "b.npy is a folder"),
        ({"name": "c.zarr"}, "c.zarr is a folder"),
        ({"name": "d.npy"}, "d.json is a folder"),
    ],
)
def test_what_makes_no_sense_or_would_harm_is_refused_even_when_overwriting(
    desk, monkeypatch, options, words
):
    monkeypatch.setattr(distributed, "Client", Mock(side_effect=OSError("Timed out")))
    for name in ("sub", "a.npy.partial", "b.npy", "c.zarr", "d.json"):
        Path(name).mkdir()
        (Path(name) / "diary").touch()
    save_volume("sizes/a.nii", IMAGES[:2])
    save_volume("sizes/b.nii", IMAGES[:2, :20])
    save_series(Path("in"), HEAD.astype(np.int16))
    save_zarr("scans.zarr", HEAD)
    Path("second.npy").hardlink_to("scans.npy")
    before = everything()
    with pytest.raises(SkullnbError, match=words):
        batch(**options, overwrite=True)
    assert everything() == before


@pytest.mark.parametrize(
    ("name", "content"), [("masks.npy", ""), ("about.json", "[1]"), ("about.json", "[" * 100_000)]
)
def test_what_was_harmed_since_is_never_finished(desk, name, content):
    (begun() / name).write_text(content)
    with pytest.raises(BatchStopped, match=r"its (masks are gone or cut|description is).*--overwr"):
        batch()
    assert batch(overwrite=True).n_resumed == 0
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)


def test_a_full_disk_is_said_and_the_batch_can_be_resumed(desk):
    nearly_full = shutil.disk_usage(desk)._replace(free=1000)
    said = pytest.raises(BatchStopped, match=r"masks take 0 MB, and 0 MB are free.*packed")
    with replaced.object(shutil, "disk_usage", lambda path: nearly_full), said:
        batch()
    fits, full = storage.write_slices, OSError(errno.ENOSPC, "No space left on device")
    room = iter([fits] * 7)

    def write(*of):
        next(room, Mock(side_effect=full))(*of)

    with replaced.object(storage, "write_slices", write), pytest.raises(OSError, match="No space"):
        batch(workers=1, chunk=3)
    assert batch().n_resumed > 0
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)


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
    assert many - few < 1_500 * (200 - 40)  # bytes a slice, for its row in the table


def test_work_that_travels_is_small_and_refused_by_another_version(tmp_path):
    images = (Volume(tmp_path / "a.npy"),), (1,), 0, (1, 1, 1), {}
    work = Work(*images, tmp_path / "m.npy", (1, 1, 1), 1, SETTINGS, {"skullnb": "1"})
    assert len(pickle.dumps(work)) < 2000
    with pytest.raises(BatchStopped, match=r"A worker has .*this machine {'skullnb': '1'}"):
        work.do(0)


def test_a_cluster_that_loses_a_worker_gives_the_same_masks(desk):
    images = heads(200)
    np.save("scans.npy", images)
    killed = []

    def kill(done, total):
        if not killed and done >= 40:
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**workers) as cluster:
        for name in ("m.npy", "m.zarr"):
            done = batch(name, chunk=5, scheduler=cluster.scheduler_address, progress=kill)
            np.testing.assert_array_equal(masks_of(name), create_skull_masks(images, SETTINGS))
            assert table_of(done)["index"].tolist() == list(range(200))
    assert killed


def test_the_command_makes_a_batch_of_what_only_a_batch_can_do_or_has_begun(desk, monkeypatch):
    words = ("mask", "scans.npy", "--kernel-width", 5, "-o")
    said = run(*words, "m.packed.npy").stdout
    assert said == "ok      m.packed.npy  60 slices, 60 ok\n"
    assert "60 ok, 60 done before\n" in run(*words, "m.packed.npy").stdout
    refused = run("mask", "scans.npy", "-o", "m.zarr", "--bids", expect=2)
    assert "not go with a batch" in refused.stderr
    begun()
    assert "60 ok, 30 done before\n" in run(*words, "m.npy").stdout
    assert not is_for_batch("scans.npy", "n.npy")
    monkeypatch.setattr(module, "_LARGE", 1000)
    assert is_for_batch("scans.npy", "n.npy")
    assert not is_for_batch("scans.npy", "n.nii.gz")
