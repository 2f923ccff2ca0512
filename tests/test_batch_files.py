"""Batches and other people's files: what one may touch, and what is safely on the disk when."""

import csv
import errno
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import HEAD
from click.testing import CliRunner
from dicoms import save_series

from skullnb.batch import mask_batch, open_source, read_masks, read_table
from skullnb.batch.journal import Journal
from skullnb.batch.outputs import NpyOutput
from skullnb.batch.resume import resume
from skullnb.batch.table import table_of
from skullnb.batch.work import Work, mask_chunks
from skullnb.batch.workplace import Workplace, take_lock
from skullnb.cli import main
from skullnb.errors import BatchStopped, SkullnbError, UnreadableFile
from skullnb.pipeline import PipelineSettings, create_skull_masks

SETTINGS = PipelineSettings(kernel_width=5)
EXPECTED = create_skull_masks(HEAD, SETTINGS)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder to stand in, with a scan of three slices and somebody's text."""
    monkeypatch.chdir(tmp_path)
    np.save("scans.npy", HEAD)
    Path("thesis.tex").write_text("years of work")
    return tmp_path


def batch(name="m.npy", images="scans.npy", **options):
    return mask_batch(images, name, SETTINGS, **{"workers": 1, "chunk": 1, **options})


class Enough(Exception):
    """What stops a batch half-way in these tests."""


def begun(name="m.npy", **options):
    """Stop a batch after its first slice; return its folder."""

    def stop(done, total):
        if done:
            raise Enough

    with pytest.raises(Enough):
        batch(name, progress=stop, **options)
    return Path(f"{name}.partial")


def everything():
    """All that is on the desk, with what the files hold."""
    return {
        path: path.readlink() if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in Path().rglob("*")
    }


# --- other people's files ----------------------------------------------------------------------


def folder_with_a_file(partial):
    partial.mkdir()
    (partial / "journal").write_text("dear diary")


def link_to_a_folder(partial):
    Path("home").mkdir()
    partial.symlink_to("home")


def link_as_lock(partial):
    partial.mkdir()
    Path("begun.tex").touch()
    (partial / "lock").symlink_to(Path("begun.tex").absolute())


def second_name_as_lock(partial):
    partial.mkdir()
    (partial / "lock").hardlink_to("thesis.tex")


def folder_as_lock(partial):
    (partial / "lock").mkdir(parents=True)


@pytest.mark.parametrize(
    "make",
    [
        Path.touch,
        folder_with_a_file,
        link_to_a_folder,
        link_as_lock,
        second_name_as_lock,
        folder_as_lock,
    ],
)
def test_a_folder_that_no_batch_made_is_left_alone(desk, make):
    make(Path("m.npy.partial"))
    before = everything()
    with pytest.raises(BatchStopped, match=r"m.npy.partial is not what a batch left behind; move"):
        batch(overwrite=True)
    assert everything() == before


@pytest.mark.parametrize("end", ["finished", "begun otherwise"])
def test_what_somebody_puts_beside_the_journal_is_kept(desk, end):
    partial = begun()
    for name in ("notes.txt", "masks-final.npy"):
        (partial / name).write_text("mine")
    (partial / "masks-0123abcd").symlink_to(desk, target_is_directory=True)
    batch(overwrite=end == "begun otherwise", evidence="brief" if end != "finished" else "full")
    assert sorted(path.name for path in partial.iterdir()) == ["masks-final.npy", "notes.txt"]
    assert Path("thesis.tex").exists()
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)


@pytest.mark.parametrize(
    ("images", "output"),
    [
        ("scans.zarr", "sub/../scans.zarr"),
        ("link/scans.zarr", "scans.zarr"),
        ("scans.zarr", "link/scans.zarr"),
        ("parts", "scans.zarr"),
        ("scans.npy", "second.npy"),
        ("li*/scans.npy", "scans.npy"),
    ],
)
def test_scans_are_not_overwritten_by_their_masks_by_whatever_name(desk, images, output):
    import zarr

    zarr.create_array("scans.zarr", data=HEAD, chunks=(1, 40, 48))
    np.save("scans.zarr/one.npy", HEAD)
    for folder in ("sub", "parts"):
        Path(folder).mkdir()
    Path("parts/one.npy").symlink_to(desk / "scans.zarr/one.npy")
    Path("link").symlink_to(desk, target_is_directory=True)
    Path("second.npy").hardlink_to("scans.npy")
    before = everything()
    with pytest.raises(SkullnbError, match="is what the slices come from"):
        batch(output, images, overwrite=True)
    assert everything() == before


@pytest.mark.parametrize(
    ("images", "output"),
    [
        ("in", "in/m.packed.npy"),
        ("in", "link/m.packed.npy"),
        ("in#7", "in/m.packed.npy"),
        ("in/*.npy", "in/m.packed.npy"),
        ("i?/*", "in/m.zarr"),
        ("in/s.zarr", "in/s.zarr/m.packed.npy"),
        ("in/s.zarr", "in/s.zarr/c/m.packed.npy"),
    ],
)
def test_masks_are_not_written_where_they_would_be_read_as_scans(desk, images, output):
    import zarr

    Path("in").mkdir()
    Path("link").symlink_to("in", target_is_directory=True)
    np.save("in/one.npy", HEAD)
    save_series(Path("in"), HEAD.astype(np.int16))
    zarr.create_array("in/s.zarr", data=HEAD, chunks=(1, 40, 48))
    before = everything()
    with pytest.raises(UnreadableFile, match=r"m\..* would lie among the images"):
        batch(output, images)
    assert everything() == before


@pytest.mark.parametrize(
    ("images", "output"),
    [("in", "in/masks/m.npy"), ("in/one*.npy", "in/m.npy"), ("in/one.npy", "in/m.npy")],
)
def test_masks_may_lie_beside_what_is_not_read_as_a_whole(desk, images, output):
    Path("in/masks").mkdir(parents=True)
    np.save("in/one.npy", HEAD)
    for _ in range(2):
        np.testing.assert_array_equal(np.load(batch(output, images).path), EXPECTED)


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_name_is_refused_only_where_others_made_of_it_are_too_long(desk, monkeypatch, ending):
    monkeypatch.setattr("skullnb.batch.table.find_spec", lambda module: ending == ".parquet")
    passing = "." + max(ending, ".json", key=len) + "." + "0" * 32
    most = os.pathconf(desk, "PC_NAME_MAX") - len(passing) - len(".packed.npy")
    before = everything()
    for too_many in (1, 1000):
        with pytest.raises(UnreadableFile, match=r"too long"):
            batch("m" * (most + too_many) + ".packed.npy")
    assert everything() == before
    done = batch("m" * most + ".packed.npy")
    assert len(read_table(done.table)) == 3
    np.testing.assert_array_equal(read_masks(done.path), EXPECTED)


@pytest.mark.parametrize("name", ["m.npy", "m.npy.json", "m.npy.csv"])
@pytest.mark.parametrize("when", ["before", "meanwhile", "since"])
def test_no_file_is_overwritten_unasked_whenever_it_came(desk, monkeypatch, name, when):
    monkeypatch.setattr("skullnb.batch.table.find_spec", lambda module: None)

    def come(*_):
        Path(name).write_text("mine")

    if when == "since":
        begun()
    if when != "meanwhile":
        come()
    with pytest.raises(UnreadableFile, match=rf"{name} exists already.*\(--overwrite\)"):
        batch(progress=come)
    assert Path(name).read_text() == "mine"
    assert len([*Path().glob("m.npy*")]) == 1 + (when != "before")
    done = batch(overwrite=True)
    assert bool(done.n_resumed) == (when != "before")
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)
    assert Path(name).read_bytes() != b"mine"


def group(path):
    import zarr

    zarr.create_group(path).create_array("a", data=HEAD)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("m.npy", Path.mkdir),
        ("m.zarr", Path.mkdir),
        ("m.zarr", group),
        ("m.npy.json", Path.mkdir),
        ("m.zarr.parquet", Path.mkdir),
        ("m.npy", lambda path: mask_batch("scans.npy", "m.zarr").path.rename(path)),
    ],
)
def test_a_folder_that_is_no_array_is_not_replaced_even_when_overwriting(desk, name, make):
    make(Path(name))
    before = everything()
    with pytest.raises(UnreadableFile, match=rf"{name} is a folder"):
        batch(name.removesuffix(".json").removesuffix(".parquet"), overwrite=True)
    assert everything() == before


@pytest.mark.parametrize("there", ["file", "link", "link to nothing"])
@pytest.mark.parametrize("name", ["m.npy", "m.zarr"])
def test_a_file_or_link_in_the_masks_place_is_replaced_and_not_what_it_leads_to(desk, name, there):
    if there == "file":
        Path(name).touch()
    else:
        other = batch(f"other{Path(name).suffix}", evidence="brief").path
        Path(name).symlink_to(other if there == "link" else "nowhere")
        before = everything()
    with pytest.raises(UnreadableFile, match="exists already"):
        batch(name)
    batch(name, overwrite=True)
    np.testing.assert_array_equal(read_masks(name), EXPECTED)
    assert not Path(name).is_symlink()
    assert not Path(f"{name}.partial").exists()
    if there != "file":
        now = everything()
        assert all(now[path] == before[path] for path in before if path.name != name)


# --- descriptions and journals that are damaged, or of another version ---------------------------


def of_another_version(found):
    found["settings"]["of_old"] = 1


def without_a_setting(found):
    del found["settings"]["connectivity"]


def counts_as_text(found):
    found["counts"]["n_slices"] = "3"


def no_mapping(found):
    found["slices"] = {"0": 3}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (of_another_version, "its of old was 1, now it is not there"),
        (without_a_setting, "its connectivity was not there, now it is 8"),
        (counts_as_text, "it is not described"),
        (no_mapping, "its slices was {'0': 3}, now it is"),
        (None, "it is not described"),
    ],
)
def test_masks_with_a_strange_description_are_answered_in_a_sentence(desk, change, words):
    batch()
    description = Path("m.npy.json")
    found = json.loads(description.read_text())
    if change:
        change(found)
    description.write_text(json.dumps(found) if change else "[" * 100_000)
    with pytest.raises(UnreadableFile, match=rf"m.npy exists already \({words}"):
        batch()


def test_a_batch_of_another_version_is_answered_in_a_sentence(desk):
    partial = begun()
    about = Journal(partial / "journal").about
    Journal.begin(partial / "journal", {**about, "versions": {}}).append({0: [[]]})
    with pytest.raises(BatchStopped, match=r"its skullnb was not there, now it is"):
        batch()


@pytest.mark.parametrize("content", [b"", b"00000000 {}\n", b"\xff" * 50])
def test_a_damaged_journal_is_refused_or_overwritten(desk, content):
    partial = begun()
    (partial / "journal").write_bytes(content)
    place = Workplace(Path("m.npy"))
    with pytest.raises(BatchStopped, match=r"journal is damaged; allow overwriting"), place:
        resume(place, {}, ".npy", overwrite=False)
    assert (partial / "journal").read_bytes() == content
    assert batch(overwrite=True).n_resumed == 0
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)


def sealed(content):
    """A line of a journal, with the right checksum whatever it says."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def about(**changed):
    whole = {"shape": [3, 40, 48], "chunk": 1, "masks": "masks-0123abcd", **changed}
    return sealed({name: value for name, value in whole.items() if value is not None})


def pipe_as_journal(journal):
    journal.unlink()
    os.mkfifo(journal)


def link_as_journal(journal):
    journal.replace("elsewhere")
    journal.symlink_to(Path("elsewhere").absolute())


@pytest.mark.parametrize(
    "content",
    [
        sealed({}),
        sealed([1]),
        sealed(b"no JSON"),
        sealed(b"[" * 100_000),
        about(masks=None),
        about(masks="../thesis.tex"),
        about(masks="masks-0123abcd/../../thesis.tex"),
        about(chunk=0),
        about(chunk="1"),
        about(shape=3),
        about(shape=[3, "40", 48]),
        pipe_as_journal,
        link_as_journal,
    ],
)
def test_a_journal_that_no_batch_wrote_is_damaged_whatever_its_checksum(desk, content):
    journal = begun() / "journal"
    if callable(content):
        content(journal)
    else:
        journal.write_bytes(content)
    before = everything()
    with pytest.raises(BatchStopped, match=r"journal is damaged; allow overwriting"):
        batch()
    assert everything() == before
    assert batch(overwrite=True).n_resumed == 0
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)
    assert Path("thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    "line",
    [
        {},
        [1],
        b"no JSON",
        {"chunk": 3, "rows": [[]]},
        {"chunk": -1, "rows": [[]]},
        {"chunk": "1", "rows": [[]]},
        {"chunk": 1, "rows": []},
        {"chunk": 1, "rows": {"0": []}},
    ],
)
def test_a_line_that_tells_of_no_chunk_does_not_count_whatever_its_checksum(desk, line):
    journal = begun() / "journal"
    lines = journal.read_bytes().splitlines(keepends=True)[:2]
    journal.write_bytes(b"".join(lines) + sealed(line))
    done = batch()
    assert done.n_resumed == 1
    assert len(read_table(done.table)) == 3
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)


def test_a_damaged_journal_does_not_hide_what_else_is_in_the_way(desk):
    (begun() / "journal").write_bytes(b"")
    Path("m.npy.json").mkdir()
    with pytest.raises(UnreadableFile, match=r"m.npy.json is a folder"):
        batch(overwrite=True)


# --- masks that were harmed between two runs -----------------------------------------------------


def cut_short(masks):
    os.truncate(masks, masks.stat().st_size - EXPECTED[0].size)


def of_another_shape(masks):
    np.save(masks.with_suffix(".npy"), EXPECTED.reshape(6, 20, 48))
    masks.with_suffix(".npy").replace(masks)


def link_to_masks(masks):
    masks.replace("other")
    masks.symlink_to(Path("other").absolute())


def in_other_chunks(masks):
    import zarr

    zarr.create_array(masks, data=EXPECTED, chunks=(2, 40, 48), overwrite=True)


HARMS = [
    ("m.npy", cut_short),
    ("m.packed.npy", lambda masks: os.truncate(masks, masks.stat().st_size - 1)),
    ("m.npy", of_another_shape),
    ("m.zarr", in_other_chunks),
    ("m.zarr", lambda masks: (masks / "zarr.json").unlink()),
    ("m.zarr", lambda masks: (masks / "c" / "0" / "0" / "0").unlink()),
]


@pytest.mark.parametrize(
    ("name", "harm"), [*HARMS, ("m.npy", link_to_masks), ("m.npy", Path.unlink)]
)
def test_masks_that_were_harmed_since_are_never_finished(desk, name, harm):
    [masks] = begun(name).glob("masks-*")
    harm(masks)
    before = everything()
    with pytest.raises(BatchStopped, match=r"masks-\w+ is damaged; allow overwriting"):
        batch(name)
    assert everything() == before
    assert batch(name, overwrite=True).n_resumed == 0
    np.testing.assert_array_equal(read_masks(name), EXPECTED)


@pytest.mark.parametrize(
    ("name", "harm"), [*HARMS, ("m.npy", lambda masks: next(Path().glob("m.npy.[cp]*")).unlink())]
)
def test_masks_that_were_harmed_when_they_were_finished_are_not_said_to_be_there(desk, name, harm):
    batch(name)
    harm(Path(name))
    with pytest.raises(UnreadableFile, match=r"\(a part of it is damaged or missing\); .*overwrit"):
        batch(name)


def test_finished_masks_may_be_elsewhere_behind_a_link(desk):
    batch()
    link_to_masks(Path("m.npy"))
    assert batch().n_resumed == len(EXPECTED)


def test_finished_masks_may_be_given_attributes(desk):
    import zarr

    batch("m.zarr")
    zarr.open_array("m.zarr").attrs["note"] = "looked at"
    assert batch("m.zarr").n_resumed == len(EXPECTED)


@pytest.mark.parametrize("name", ["m.npy", "m.zarr"])
def test_what_has_the_name_of_lost_masks_is_not_taken_for_them(desk, name):
    [masks] = begun(name, chunk=3).glob("masks-*")
    masks.replace("lost")
    Path(name).write_text("mine")
    with pytest.raises(BatchStopped, match=r"masks-\w+ is damaged"):
        batch(name)
    assert Path(name).read_text() == "mine"
    assert not Path(f"{name}.json").exists()


# --- the disk ----------------------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch):
    """Numbers of the files and folders that are safely on the disk, the last one synced last."""
    real, numbers = os.fsync, []

    def fsync(handle):
        numbers.append(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return numbers


def test_a_journal_has_its_name_when_it_is_on_the_disk(desk, synced, monkeypatch):
    real, before = os.replace, []

    def replace(source, target):
        before.append(Path(source).stat().st_ino in synced)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    Journal.begin(desk / "journal", {"shape": [3, 40, 48], "chunk": 1, "masks": "masks-0123abcd"})
    assert before == [True]
    assert synced[-1] == desk.stat().st_ino
    assert [path.name for path in desk.glob("*journal*")] == ["journal"]


@pytest.mark.parametrize("name", ["m.npy", "m.zarr"])
def test_all_is_on_the_disk_before_the_journal_goes(desk, synced, monkeypatch, name):
    real, made = Workplace.clear, []

    def clear(place):
        made.extend(
            path for path in desk.rglob(f"{name}*/**/*") if place.folder not in path.parents
        )
        made.extend(path for path in desk.glob(f"{name}*") if path != place.folder)
        assert synced[-1] == desk.stat().st_ino
        assert [path for path in made if path.stat().st_ino not in synced] == []
        real(place)

    monkeypatch.setattr(Workplace, "clear", clear)
    batch(name)
    assert len(made) == (3 if name == "m.npy" else 3 + 1 + 1 + 3 * 3)


def test_masks_are_never_met_beside_the_description_of_others(desk, synced, monkeypatch):
    def write_table(*_):
        assert Path("m.npy").stat().st_mtime_ns > before
        assert synced[-1] == desk.stat().st_ino  # a power cut can't bring the old masks back
        raise Enough

    mask_batch("scans.npy", "m.npy")
    before = Path("m.npy").stat().st_mtime_ns
    monkeypatch.setattr("skullnb.batch.resume.write_table", write_table)
    with pytest.raises(Enough):
        batch(overwrite=True)
    assert not Path("m.npy.json").exists()


@pytest.mark.parametrize("module", ["skullnb.batch.table", "skullnb.results"])
def test_a_batch_killed_while_it_tells_of_its_masks_leaves_no_halves(desk, module):
    killed = f"""
import os, {module}
from skullnb.batch import mask_batch
end = lambda path: path.name.startswith(".m.npy.") and os._exit(9)  # its passing name
{module}.sync_path = end
mask_batch("scans.npy", "m.npy", workers=1)
"""
    before = everything().keys()
    assert subprocess.run([sys.executable, "-c", killed]).returncode == 9
    halves = [path for path in Path().rglob(".m.npy.*") if path.is_file()]
    assert len(halves) == 1
    mask_batch("scans.npy", "m.npy", workers=1)
    names = ("m.npy", "m.npy.json", table_of(Path("m.npy")))
    assert everything().keys() - before == set(map(Path, names))


def test_what_a_killed_worker_left_of_a_chunk_is_not_among_the_masks(desk):
    [masks] = begun("m.zarr").glob("masks-*")
    (masks / "c" / "0" / "0" / "0.0123abcd.partial").write_bytes(b"half")
    batch("m.zarr")
    assert not [*Path("m.zarr").rglob("*.partial")]


# --- what is no fault of a slice ---------------------------------------------------------------


@pytest.mark.parametrize("cause", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_what_the_system_refuses_stops_the_batch_and_fails_no_slice(desk, monkeypatch, cause):
    def refused(*_):
        raise UnreadableFile("scans.npy can't be read.") from cause

    monkeypatch.setattr("skullnb.batch.sources._read", refused)
    with pytest.raises(UnreadableFile, match=r"scans.npy can't be read"):
        batch()


def test_a_file_that_is_not_there_for_now_stops_the_batch_and_fails_no_slice(desk):
    np.savez("scans.npz", images=HEAD)

    def hide(done, total):
        Path("scans.npz").replace("hidden")

    with pytest.raises(UnreadableFile, match=r"scans.npz"):
        batch(images="scans.npz", progress=hide)
    Path("hidden").replace("scans.npz")
    assert batch(images="scans.npz").counts.n_failed == 0
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)


def save(path, images):
    if path.endswith(".zarr"):
        import zarr

        zarr.create_array(path, data=images, chunks=(1, *images.shape[1:]), overwrite=True)
    elif path.endswith(".npz"):
        np.savez(path, images=images)
    else:
        np.save(path, images.T.copy().T if "fortran" in path else images)


@pytest.mark.parametrize("images", ["b.npz", "b.npy", "fortran.npy", "b.zarr"])
@pytest.mark.parametrize("now", [HEAD[:1], HEAD[:, :30], HEAD.repeat(2, 2)])
def test_images_of_another_size_under_a_run_stop_it(desk, images, now):
    save(images, HEAD)

    def replace(done, total):
        if not done:
            save(images, now)

    with pytest.raises(BatchStopped, match=r"The images were changed while"):
        batch(images=images, progress=replace)
    assert not Path("m.npy").exists()


def test_a_worker_with_other_versions_makes_no_masks(desk):
    source = open_source("scans.npy")
    output = NpyOutput(desk / "m", source.shape)
    work = Work(source, output, SETTINGS, "full", 1, {"skullnb": "9.9"})
    with pytest.raises(
        BatchStopped, match=r"A worker has skullnb .*, and this machine skullnb 9.9"
    ):
        mask_chunks(work, (0,))
    assert not output.path.exists()


# --- locks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_without_locks_a_batch_goes_on_and_says_so(desk, monkeypatch, number):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.warns(UserWarning, match=r"keeps no locks.*only one run writes m.npy") as warned:
        batch()
    assert len(warned) == 1
    np.testing.assert_array_equal(np.load("m.npy"), EXPECTED)
    told = CliRunner().invoke(main, ["mask", "scans.npy", "-o", "n.packed.npy"]).stderr
    assert told.count("keeps no locks; see to it that only one run writes n.packed.npy.\n") == 1
    assert "Warning" not in told
    with (desk / "scans.npy").open("rb") as file:
        assert not take_lock(file)  # a report must not take another's folder for left behind


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES])
def test_a_lock_that_another_run_has_is_told_from_none(desk, monkeypatch, number):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(BatchStopped, match=r"Another run \(another process\) is writing m.npy"):
        batch()


def test_the_lock_of_a_folder_that_was_cleaned_up_meanwhile_is_taken_anew(desk, monkeypatch):
    def late(file):
        monkeypatch.undo()
        (desk / "m.npy.partial" / "lock").unlink()
        return take_lock(file)

    monkeypatch.setattr("skullnb.batch.workplace.take_lock", late)
    place = Workplace(desk / "m.npy")
    with place, pytest.raises(BatchStopped, match="Another run"):
        Workplace(desk / "m.npy").__enter__()


# --- the table ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ['=HYPERLINK("x").npy', "-1.npy", "'=1.npy", "'one.npy", "a=b.npy"]
)
def test_a_spreadsheet_runs_no_name_and_the_table_reads_back_as_it_was(desk, monkeypatch, name):
    monkeypatch.setattr("skullnb.batch.table.find_spec", lambda module: None)
    np.save(name, HEAD)
    done = batch(images=desk / name)
    with done.table.open(newline="") as file:
        assert not next(csv.DictReader(file))["source"].startswith(("=", "-", "+", "@"))
    assert [row["source"] for row in read_table(done.table)] == [name] * 3
