"""Masks of volumes: where they go, what is said and that storage order is no matter."""

import json
import re
import signal
import threading
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from dicoms import save_series
from real_data import real_data

from skullnb import __version__, masking
from skullnb.cli import main
from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.masking import (
    HEADING,
    Masked,
    mask_volumes,
    plan_masks,
    ranges_of,
    say_wrong,
    summary_line,
    warning_lines,
    write_table,
)
from skullnb.pipeline import PipelineSettings, create_skull_masks
from skullnb.stack import read_stack

SETTINGS = PipelineSettings(kernel_width=5)
# An axial head, face up, with a bright asymmetric brain inside a ring that is one pixel thin.
HEAD = np.zeros((4, 40, 48), np.int16)
HEAD[:, 4:36, 6:42] = 30
HEAD[:, [4, -5], 6:-6] = HEAD[:, 4:-4, [6, -7]] = 800
HEAD[:, 12:28, 14:34] = 900
HEAD[:, 12:18, 14:20] = 30
HEAD[1, 20:24, 20:24] = 0
MM = (4.0, 4.0, 5.0)  # columns, rows and slices: a head of 16 x 19 cm


def oblique(spacing=MM):
    """An affine of canonical axial slices: tilted by 20 and 10 degrees, anisotropic, off centre."""
    a, b = np.radians([20, 10])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_z @ np.diag([-1, -1, 1]) @ np.diag(spacing)
    affine[:3, 3] = 31, 54, -12
    return affine


def save(path, planes=HEAD, affine=None, order=(0, 1, 2), flips=(False,) * 3):
    """Store (column, row, slice) in some order; the affine leaves every voxel where it was."""
    affine = oblique() if affine is None else affine
    volume = planes.transpose(2, 1, 0)
    turned, new = volume.transpose(order), np.eye(4)
    new[:3, 3] = affine[:3, 3]
    for axis, (source, flip) in enumerate(zip(order, flips, strict=True)):
        new[:3, axis] = affine[:3, source] * (-1 if flip else 1)
        if flip:
            new[:3, 3] += affine[:3, source] * (turned.shape[axis] - 1)
    ways = tuple(slice(None, None, -1 if flip else None) for flip in flips)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(turned[ways], new).to_filename(path)
    return Path(path)


def places(path):
    """Where the mask's voxels lie, in mm, sorted."""
    image = nib.load(path)
    voxels = np.argwhere(np.asarray(image.dataobj) > 0)
    points = nib.affines.apply_affine(image.affine, voxels).round(3)
    return points[np.lexsort(points.T)]


def run(*words, expect=0):
    result = CliRunner().invoke(main, ["mask", *map(str, words)])
    assert result.exit_code == expect, (result.output, result.exception)
    return result


def mask(source, target, settings=SETTINGS, **options):
    return list(mask_volumes(plan_masks(source, target), settings, **options))


def told_of(path):
    return json.loads(Path(path).read_text())


# --- geometry -----------------------------------------------------------------------------------


def test_a_series_and_the_same_head_in_nifti_get_the_same_mask_in_the_same_place(tmp_path):
    lps = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    save_series(tmp_path / "scan", HEAD, directions=lps, spacing=(0.9, 0.7), first=(-31, -54, -12))
    affine = np.array([[-0.7, 0, 0, 31], [0, -0.9, 0, 54], [0, 0, 4, -12], [0, 0, 0, 1]])
    save(tmp_path / "scan.nii", HEAD, affine, (2, 0, 1), (True, False, True))
    mask(tmp_path / "scan", tmp_path / "a.nii.gz")
    mask(tmp_path / "scan.nii", tmp_path / "b.nii.gz")
    np.testing.assert_allclose(places(tmp_path / "a.nii.gz"), places(tmp_path / "b.nii.gz"))


def test_slices_and_axis_are_taken_in_every_volume(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / f"{name}.nii")
    for one in mask(tmp_path, tmp_path / "out", slices="1:3"):
        assert one.counts["slices"] == 2
        filled = read_stack(one.path).images.any(axis=(1, 2))
        assert filled.tolist() == [False, True, True, False]
    # Air above and below, or the brain would touch the frame of a coronal slice.
    taller = np.pad(HEAD, ((3, 3), (0, 0), (0, 0)))
    scan = save(tmp_path / "taller.nii", taller)
    mask(scan, tmp_path / "m.nii", axis="coronal", slices="20")
    filled = read_stack(tmp_path / "m.nii", axis="coronal").images.any(axis=(1, 2))
    assert filled.nonzero()[0].tolist() == [20]


# --- the kernel in mm ---------------------------------------------------------------------------


def test_a_reach_in_mm_is_settled_at_each_volume_s_own_spacing_and_told(tmp_path):
    for name, spacing in (("a", 2.0), ("b", 4.0)):
        save(tmp_path / f"{name}.nii", HEAD, oblique((spacing, spacing, 5)))
    one, other = mask(tmp_path, tmp_path / "out", PipelineSettings(reach_mm=8))
    assert (one.kernel_width, other.kernel_width) == (9, 5)
    np.testing.assert_array_equal(
        read_stack(other.path).images, create_skull_masks(HEAD, PipelineSettings(kernel_width=5))
    )
    told = told_of(tmp_path / "out" / "b_mask.json")
    assert told["Settings"]["kernel_width"] == 5
    assert told["ReachMm"] == [8.0, 8.0]
    assert "5 px" in str(other)
    np.save(tmp_path / "scan.npy", HEAD)
    with pytest.raises(InvalidSetting, match="8 mm needs the size of a pixel"):
        mask(tmp_path / "scan.npy", tmp_path / "m.npy", PipelineSettings(reach_mm=8))
    mask(tmp_path / "scan.npy", tmp_path / "m.npy", PipelineSettings(reach_mm=8), spacing_mm="4")


@pytest.mark.parametrize("door", [[], ["--workers", "2"], ["--strict"]])
def test_a_kernel_that_spans_another_distance_is_remarked_on_by_every_door(tmp_path, door):
    for name, spacing in (("large", 1.0), ("usual", 0.6)):
        save(tmp_path / f"{name}.nii.gz", HEAD, oblique((spacing, spacing, 2)))
    said = CliRunner().invoke(
        main, ["mask", str(tmp_path / "*.nii.gz"), "-o", str(tmp_path / "out"), *door]
    )
    (line,) = [line for line in said.stderr.splitlines() if "26 px" in line]
    assert line.startswith("large, ")
    assert "--reach-mm" in line
    assert "--kernel-width" in line


def test_what_every_slice_is_warned_of_is_not_remarked_on_as_well(tmp_path):
    save(tmp_path / "scan.nii", HEAD, oblique((4.0, 4.0, 5.0)))
    (done,) = mask(tmp_path / "scan.nii", tmp_path / "m.nii", PipelineSettings())
    assert done.table["warnings"].astype(str).str.contains("26 px reaches 50 mm").all()
    assert not [remark for remark in done.remarks if "px" in remark]


def test_a_reach_asked_for_that_pixels_cannot_give_is_remarked_on(tmp_path):
    save(tmp_path / "scan.nii", HEAD, oblique((3.0, 3.0, 5.0)))
    (done,) = mask(tmp_path / "scan.nii", tmp_path / "m.nii", PipelineSettings(reach_mm=7.5))
    assert "7.5 mm was asked for" in done.remarks[0]
    assert "reaches 6 mm" in done.remarks[0]


def test_loading_the_kernels_is_in_no_volume_s_time(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(masking, "load", lambda: order.append("load"))
    monkeypatch.setattr(masking.time, "monotonic", lambda: order.append("clock") or 0.0)
    save(tmp_path / "scan.nii", HEAD, oblique((3.0, 3.0, 5.0)))
    mask(tmp_path / "scan.nii", tmp_path / "m.nii")
    assert order[:2] == ["load", "clock"]


def test_no_remark_where_nothing_would_change(tmp_path):
    save(tmp_path / "scan.nii", HEAD, oblique((3.0, 3.0, 5.0)))
    (done,) = mask(tmp_path / "scan.nii", tmp_path / "m.nii")
    assert not [remark for remark in done.remarks if "px" in remark]


# --- where masks go -----------------------------------------------------------------------------


def test_masks_in_a_folder_are_called_after_their_volumes(tmp_path):
    scans = tmp_path / "scans"
    save_series(scans, HEAD, number=3, names="A{:02d}")
    save_series(scans, HEAD, number=12, names="B{:02d}")
    save(scans / "sub-1.nii")
    np.save(scans / "array.npy", HEAD)
    jobs = plan_masks(scans, tmp_path / "masks")
    assert [job.path.name for job in jobs] == [
        "array_mask.npy",
        "scans-series3_mask.nii.gz",
        "scans-series12_mask.nii.gz",
        "sub-1_mask.nii.gz",
    ]
    assert "failed" not in [one.status for one in mask_volumes(jobs, SETTINGS)]
    for job in jobs:
        assert all(path.is_file() for path in (job.path, *job.beside))


@pytest.mark.parametrize("kind", [".png", ".jpg"])
def test_pictures_become_pictures(tmp_path, kind):
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"p{number}{kind}"), (HEAD[number] // 4).astype(np.uint8))
    done = mask(tmp_path, tmp_path / "out")
    assert [one.path.name for one in done] == ["p0_mask.png", "p1_mask.png"]
    for one in done:
        picture = cv2.imread(str(one.path), cv2.IMREAD_UNCHANGED)
        assert np.unique(picture).tolist() == [0, 255]
        assert np.count_nonzero(picture) == one.table["written_px"][0]


def test_one_volume_goes_to_a_file_or_into_a_folder_that_is_there(tmp_path):
    np.save(tmp_path / "scan.npy", HEAD)
    inner = tmp_path / "inner"
    inner.mkdir()
    np.save(inner / "only.npy", HEAD)
    for source, target, expected in (
        (tmp_path / "scan.npy", tmp_path / "m.npy", "m.npy"),
        (tmp_path / "scan.npy", inner, "scan_mask.npy"),
        (inner, tmp_path / "m.nii.gz", "m.nii.gz"),
        (inner, tmp_path / "new", "only_mask.npy"),
        ("", tmp_path / "new", "studyforrest_mask.nii.gz"),
        ("phantom", inner, "phantom_mask.npy"),
        ("colin27", tmp_path / "m.nii", "m.nii"),
    ):
        assert [job.path.name for job in plan_masks(source, target)] == [expected]


def test_masks_that_would_meet_in_one_file_are_refused_before_anything_is_done(tmp_path):
    for name in ("a.nii", "b.nii"):
        save(tmp_path / name)
    with pytest.raises(InvalidSetting, match="2 volumes, and their masks don't go into one file"):
        plan_masks(tmp_path, tmp_path / "m.nii.gz")
    with pytest.raises(InvalidSetting, match="BIDS masks go into a folder"):
        plan_masks(tmp_path / "a.nii", tmp_path / "m.nii.gz", bids=True)
    save(tmp_path / "a.nii.gz")
    with pytest.raises(InvalidSetting, match=r"would both be called a_mask"):
        plan_masks(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_mask_takes_the_place_of_another_image(tmp_path):
    for name in ("a.npy", "a_mask.npy"):
        np.save(tmp_path / name, np.zeros((2, 8, 8)))
    with pytest.raises(InvalidSetting, match=r"a_mask.npy, the mask of a.npy, is itself among"):
        plan_masks(tmp_path, tmp_path / "x" / "..")
    assert len(plan_masks(tmp_path, tmp_path / "masks")) == 2


@pytest.mark.parametrize("name", ["m.nii", "m.csv", "m.json"])
def test_nothing_beside_a_mask_is_replaced_unless_that_is_allowed(tmp_path, name):
    np.save(tmp_path / "scan.npy", HEAD)
    (tmp_path / name).write_text("mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UnreadableFile, match=rf"{name} exists already.*--overwrite"):
        mask(tmp_path / "scan.npy", tmp_path / "m.nii")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    mask(tmp_path / "scan.npy", tmp_path / "m.nii", overwrite=True)
    assert (tmp_path / name).read_bytes() != b"mine"


def test_a_write_that_fails_leaves_neither_mask_nor_table(tmp_path, monkeypatch):
    np.save(tmp_path / "scan.npy", HEAD)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(masking, "write_masks", full)
    with pytest.raises((UnreadableFile, OSError), match="space left"):
        mask(tmp_path / "scan.npy", tmp_path / "m.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["scan.npy"]


# --- what is said -------------------------------------------------------------------------------


def test_every_volume_has_a_line_and_a_failed_one_does_not_stop_the_others(tmp_path):
    scans, out = tmp_path / "scans", tmp_path / "masks"
    whole = save(scans / "a.nii.gz").read_bytes()
    (scans / "b.nii.gz").write_bytes(whole[: len(whole) // 2])
    partly = HEAD.copy()
    partly[2:] = 7
    save(scans / "c.nii.gz", partly)
    save(scans / "d.nii.gz", np.full_like(HEAD, 7))
    result = run(scans, "-o", out, "--kernel-width", 5, expect=1)
    heading, *lines = result.stdout.splitlines()
    assert heading == HEADING
    assert lines[-1] == f"4 volumes: 1 ok, 1 failed, 1 warned, 1 empty; in {out}"
    assert [line.split()[0] for line in lines[:4]] == ["ok", "failed", "warned", "empty"]
    assert [line.split("  ")[-1] for line in lines[:4]] == [
        "a -> a_mask.nii.gz",
        "b",
        "c -> c_mask.nii.gz",
        "d -> d_mask.nii.gz",
    ]
    pixels = int(np.asarray(nib.load(out / "a_mask.nii.gz").dataobj).sum())
    assert re.search(rf"^ok +4 +0 +0 +\d+ +5 px +{pixels} px +\d+\.\d s", lines[0])
    assert re.search(r"^warned +4 +0 +2 ", lines[2])
    assert "b, b.nii.gz can't be read" in result.stderr
    assert "c, slices 2-3: the mask is empty: the slice is flat" in result.stderr
    assert "d, slices 0-3: the mask is empty" in result.stderr
    assert not list(out.glob("b_*"))
    assert not np.asarray(nib.load(out / "d_mask.nii.gz").dataobj).any()


@pytest.fixture
def wrong(tmp_path):
    """A scan whose last two slices look wrong, as far as can be seen: nothing around the brain."""
    images = HEAD.copy()
    images[2:] = np.where(images[2:] == 900, 900, 0)
    np.save(tmp_path / "scan.npy", images)
    return tmp_path / "scan.npy"


def test_a_mask_that_looks_wrong_leaves_a_trace_in_all_places(wrong, tmp_path):
    result = run(wrong, "-o", tmp_path / "m.npy", "--kernel-width", 5)
    assert re.search(r"^warned +4 +2 +0 ", result.stdout, re.M)
    assert "scan: 2 of 4 slices look wrong: 2-3\n" in result.stdout
    table = pd.read_csv(tmp_path / "m.csv")
    assert table["slice"].tolist() == [0, 1, 2, 3]
    assert table["status"].tolist() == ["ok", "ok", "warned", "warned"]
    assert table["warnings"].notna().tolist() == [False, False, True, True]
    assert table["written_px"].tolist() == table["mask_px"].tolist()
    told = told_of(tmp_path / "m.json")
    assert told["Counts"] == {"slices": 4, "ok": 2, "warned": 2, "empty": 0}
    assert told["SlicesWithWarning"] == "2-3"
    assert told["GeneratedBy"] == [{"Name": "skullnb", "Version": __version__}]
    assert set(told["Versions"]) == {"skullnb", "OpenCV", "numpy"}
    assert len(told["SourceSHA256"]["scan.npy"]) == 64
    assert told["Settings"]["kernel_width"] == 5
    assert str(tmp_path) not in (tmp_path / "m.json").read_text()


def test_what_looks_wrong_is_left_empty_where_that_is_asked_for(wrong, tmp_path):
    run(wrong, "-o", tmp_path / "m.npy", "--kernel-width", 5, "--on-warning", "empty")
    assert np.load(tmp_path / "m.npy").any(axis=(1, 2)).tolist() == [True, True, False, False]
    table = pd.read_csv(tmp_path / "m.csv")
    assert table["status"].tolist() == ["ok", "ok", "warned", "warned"]
    assert (table["written_px"] > 0).tolist() == [True, True, False, False]
    assert told_of(tmp_path / "m.json")["OnWarning"] == "empty"
    with pytest.raises(InvalidSetting, match="keep or empty"):
        mask(wrong, tmp_path / "n.npy", on_warning="maybe")


@pytest.mark.parametrize(("slices", "code"), [("0:2", 0), ("1:3", 1)])
def test_strictness_is_an_exit_code(wrong, tmp_path, slices, code):
    words = (wrong, "-o", tmp_path / "m.npy", "--kernel-width", 5, "--slices", slices)
    run(*words)
    run(*words, "--overwrite", "--strict", expect=code)


def test_warnings_that_differ_in_their_numbers_only_are_one_line_with_the_numbers_range():
    texts = [("fills 9% of 1.2e-05",), (), ("fills 10% of 0.5", "9 of 9"), ("other",), ("9 of 9",)]
    status = ["warned", "ok", "warned", "warned", "warned"]
    table = pd.DataFrame({"slice": range(3, 8), "warnings": texts, "status": status})
    assert warning_lines(table) == [
        "slices 3, 5: fills 9-10% of 1.2e-05-0.5",
        "slices 5, 7: 9 of 9",
        "slice 6: other",
    ]
    assert say_wrong(status, range(3, 8)) == "4 of 5 slices look wrong: 3, 5-7"
    assert say_wrong(status[:1], (3,)) == "1 of 1 slice looks wrong: 3"
    assert say_wrong(status[:2], (3, 4)) == "1 of 2 slices looks wrong: 3"
    assert say_wrong(["ok"], [3]) == ""
    assert ranges_of([]) == ""


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        (["ok", "ok"], "ok"),
        (["ok", "warned"], "warned"),
        (["ok", "empty"], "warned"),
        (["empty", "empty"], "empty"),
        (None, "failed"),
    ],
)
def test_a_volume_has_the_status_of_its_slices_and_its_line_stands_under_the_heading(kinds, status):
    numbers = dict.fromkeys(("threshold", "mask_px", "slice"), 3)
    table = None if kinds is None else pd.DataFrame({"status": kinds}).assign(**numbers)
    one = Masked("a", Path("m.nii"), 0.0, table, 26, error="" if kinds else "no")
    assert one.status == status
    assert str(one).index(" s  a") + 4 == HEADING.index("volume")
    assert summary_line([one]) == f"1 volume: 1 {status}"


def test_what_the_system_refuses_is_said_of_one_volume_and_the_rest_done(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        np.save(tmp_path / f"{name}.npy", HEAD)

    def failing(volume, **options):
        if volume.name == "a":
            raise MemoryError
        if volume.name == "b":
            raise PermissionError(13, "Permission denied")
        return read_stack(volume, **options)

    monkeypatch.setattr(masking, "read_stack", failing)
    done = mask(tmp_path, tmp_path / "out")
    assert [one.status for one in done] == ["failed", "failed", "ok"]
    assert "not enough memory" in done[0].error
    assert "Permission denied" in done[1].error


def test_volumes_side_by_side_give_what_they_give_one_after_another(tmp_path, monkeypatch):
    for name in "abcd":
        save(tmp_path / f"{name}.nii", np.roll(HEAD, ord(name) % 3, axis=1))
    threads = set()

    def watched(volume, **options):
        threads.add((threading.get_ident(), cv2.getNumThreads()))
        return read_stack(volume, **options)

    before = cv2.getNumThreads()
    one_by_one = mask(tmp_path, tmp_path / "one", workers=1)
    monkeypatch.setattr(masking, "read_stack", watched)
    side_by_side = mask(tmp_path, tmp_path / "two", workers=2)
    assert cv2.getNumThreads() == before
    assert {count for _, count in threads} == {1}
    for one, other in zip(one_by_one, side_by_side, strict=True):
        assert one.path.name == other.path.name
        pd.testing.assert_frame_equal(one.table, other.table)
        assert one.path.read_bytes() == other.path.read_bytes()


@pytest.mark.parametrize("name", ["m.csv", "m.tsv"])
def test_a_table_holds_no_formula_and_says_what_is_missing(tmp_path, name):
    table = pd.DataFrame({"=p": [1, None], "reason": ["=1+1", "a=b"], "warnings": [("x", "y"), ()]})
    write_table(table, tmp_path / name)
    first, *lines = (tmp_path / name).read_text().replace("\t", ",").splitlines()
    assert first == "'=p,reason,warnings"
    assert lines == ["1.0,'=1+1,x; y", "n/a,a=b," if name == "m.tsv" else ",a=b,"]


# --- BIDS ---------------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path):
    """A BIDS dataset of two subjects, one of them with two kinds of images."""
    for name in ("sub-01/anat/sub-01_T1w", "sub-01/anat/sub-01_T2w", "sub-02/anat/sub-02_T1w"):
        save(tmp_path / "raw" / f"{name}.nii.gz")
    (tmp_path / "raw" / "dataset_description.json").write_text("{}")
    return tmp_path / "raw"


def test_a_dataset_is_walked_and_its_masks_are_a_whole_derivative_of_it(raw, tmp_path):
    out = tmp_path / "derivatives" / "skullnb"
    run(raw, "-o", out, "--bids", "--kernel-width", 5)
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    name = "sub-0{0}/anat/sub-0{0}_desc-T1wSkullAndInside_mask.{1}"
    kinds = ("json", "nii.gz", "tsv")
    assert found.pop(0) == ".bidsignore"
    assert found == [
        "dataset_description.json",
        *(name.format(subject, kind) for subject in (1, 2) for kind in kinds),
    ]
    told = told_of(out / found[1])
    assert told["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    assert told["Type"] == "ROI"
    assert "outer surface of the skull" in told["Description"]
    assert (told["Axis"], told["Slices"], told["SlicesWithEmptyMask"]) == ("axial", "0-3", "")
    assert len(told["SourceSHA256"]["sub-01_T1w.nii.gz"]) == 64
    table = pd.read_csv(out / found[3], sep="\t", keep_default_na=False)
    assert table["warnings"].tolist() == [""] * 4
    described = told_of(out / found[0])
    assert described["DatasetType"] == "derivative"
    assert (out / described["DatasetLinks"]["raw"]).resolve() == raw.resolve()
    assert "2 failed" in run(raw, "-o", out, "--bids", expect=1).stdout
    (out / found[2]).unlink()
    alone = raw / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    assert "exists already" in run(alone, "-o", out, "--bids", expect=2).stderr
    run(alone, "-o", out, "--bids", "--overwrite")


def test_masks_of_two_kinds_of_images_of_a_subject_are_both_kept(raw, tmp_path):
    run(raw, "-o", tmp_path / "out", "--bids")
    run(raw / "sub-01", "-o", tmp_path / "out", "--bids", "--suffix", "T2w")
    names = sorted(path.name for path in (tmp_path / "out" / "sub-01").rglob("*.nii.gz"))
    assert [name.split("desc-")[1][:3] for name in names] == ["T1w", "T2w"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("anat/sub-01_T1w", "sub-01/anat/sub-01_desc-T1wSkullAndInside_mask.nii.gz"),
        (
            "anat/sub-01_ses-b_acq-x_run-2_FLAIR",
            "sub-01/ses-b/anat/sub-01_ses-b_acq-x_run-2_desc-FLAIRSkullAndInside_mask.nii.gz",
        ),
        (
            "func/sub-01_task-rest_desc-mean_bold",
            "sub-01/func/sub-01_task-rest_desc-meanboldSkullAndInside_mask.nii.gz",
        ),
        ("scans/sub-01_T1w", "sub-01/anat/sub-01_desc-T1wSkullAndInside_mask.nii.gz"),
    ],
)
def test_a_mask_keeps_the_entities_of_its_source(tmp_path, source, expected):
    scan = save(tmp_path / f"{source}.nii.gz")
    (job,) = plan_masks(scan, tmp_path / "out", bids=True)
    assert job.path == tmp_path / "out" / expected


@pytest.mark.parametrize("name", ["my scan", "run-1_T1w", "sub-_T1w", "sub-01", "sub-01_a b_T1w"])
def test_a_name_that_is_not_bids_is_refused_and_nothing_is_invented(tmp_path, name):
    scan = save(tmp_path / f"{name}.nii.gz")
    said = run(scan, "-o", tmp_path / "out", "--bids", expect=2).stderr
    assert "has no BIDS name; call it sub-LABEL_T1w.nii.gz" in said
    assert not (tmp_path / "out").exists()


def test_a_source_outside_a_dataset_is_named_alone_and_a_description_left_as_it_is(tmp_path):
    scan, out = save(tmp_path / "sub-1_T1w.nii"), tmp_path / "out"
    out.mkdir()
    (out / "dataset_description.json").write_text('{"Name": "mine"}')
    list(mask_volumes(plan_masks(scan, out, bids=True), SETTINGS))
    assert told_of(next(out.rglob("*_mask.json")))["Sources"] == ["sub-1_T1w.nii"]
    assert told_of(out / "dataset_description.json") == {"Name": "mine"}


# --- a synthetic and a real head ----------------------------------------------------------------


def test_the_built_in_head_is_masked_where_no_images_are_named_as_its_files_are(tmp_path):
    folder = real_data() / "studyforrest"
    said = [
        run(*words, "-o", tmp_path / f"{n}.nii.gz").stdout
        for n, words in enumerate([(), (folder,)])
    ]
    for one in said:
        assert re.search(r"^ok +16 +0 +0 +67-89 +26 px ", one, re.M)
    images = [nib.load(tmp_path / f"{n}.nii.gz") for n in range(2)]
    assert images[0].shape == (274, 384, 16)
    np.testing.assert_allclose(images[0].affine, images[1].affine)
    np.testing.assert_array_equal(images[0].dataobj, images[1].dataobj)


# --- files of one slice each, and what both doors say -------------------------------------------


def pictures(folder, n=3):
    """Pictures of the head's slices, of another size of brain each."""
    folder.mkdir()
    for number in range(n):
        image = HEAD[number] // 4
        image[26 - number : 28] = 8
        cv2.imwrite(str(folder / f"p{number}.png"), image.astype(np.uint8))
    return folder


def test_files_of_one_slice_are_one_stack_in_a_file_and_masks_of_their_own_in_a_folder(tmp_path):
    scans = pictures(tmp_path / "scans")
    (done,) = mask(scans, tmp_path / "m.npy")
    apart = mask(scans, tmp_path / "out")
    assert [one.path.name for one in apart] == [f"p{number}_mask.png" for number in range(3)]
    for number, one in enumerate(apart):
        picture = read_stack(one.path).images[0]
        np.testing.assert_array_equal(np.load(done.path)[number], picture // 255)
    assert done.name == "scans"
    assert done.table["slice"].tolist() == [0, 1, 2]
    assert done.table["source"].tolist() == ["p0.png", "p1.png", "p2.png"]
    told = told_of(tmp_path / "m.json")
    assert told["Sources"] == list(told["SourceSHA256"]) == ["p0.png", "p1.png", "p2.png"]
    assert told["Slices"] == "0-2"
    assert len(mask(scans, tmp_path / "t.tif", slices="1:")[0].table) == 2
    for name in ("one.nii", "two.nii"):
        save(tmp_path / "nifti" / name, HEAD[:1])
    assert len(mask(tmp_path / "nifti", tmp_path / "n.npy")[0].table) == 2
    for source, output in ((scans, "m.png"), (tmp_path / "nifti", "m.nii.gz")):
        with pytest.raises(InvalidSetting, match="name a folder"):
            plan_masks(source, tmp_path / output)


@pytest.mark.parametrize("on_warning", ["keep", "empty"])
def test_the_tables_of_both_doors_have_the_same_columns_and_rows(wrong, tmp_path, on_warning):
    words = [wrong, "--kernel-width", 5, "--spacing", "4x3", "--on-warning", on_warning]
    run(*words, "-o", tmp_path / "volume.npy")
    run(*words, "-o", tmp_path / "batch.npy", "--chunk", 3)
    one, other = (pd.read_csv(tmp_path / f"{door}.csv") for door in ("volume", "batch"))
    assert one.columns.tolist() == other.columns.tolist()
    assert {"index", "source", "slice", "group", "kernel_width", "written_px"} <= set(one)
    pd.testing.assert_frame_equal(one, other)
    for door, table in (("volume", one), ("batch", other)):
        written = np.count_nonzero(np.load(tmp_path / f"{door}.npy"), axis=(1, 2))
        assert table["written_px"].tolist() == written.tolist()
    told, by_batch = (told_of(tmp_path / f"{door}.json") for door in ("volume", "batch"))
    assert set(told) - set(by_batch) == {"Axis", "Slices"}
    assert told["Kernels"] == by_batch["Kernels"]


def test_what_was_asked_for_and_what_was_used_are_both_told(tmp_path):
    save(tmp_path / "scan.nii")
    mask(tmp_path / "scan.nii", tmp_path / "m.nii", PipelineSettings(reach_mm=8))
    told = told_of(tmp_path / "m.json")
    assert told["SettingsAsked"]["reach_mm"] == 8
    assert (told["Settings"]["kernel_width"], told["Settings"]["reach_mm"]) == (5, None)
    assert told["Kernels"] == [
        {"KernelWidth": 5, "SpacingMm": [4, 4], "ReachMm": [8, 8], "Sources": ["scan.nii"]}
    ]


@pytest.mark.parametrize("door", [[], ["--chunk", "2"]])
@pytest.mark.parametrize(("given", "said"), [("1x1", True), ("4.05x3.95", False)])
def test_a_spacing_that_contradicts_the_header_is_remarked_on(tmp_path, door, given, said):
    save(tmp_path / "scan.nii")
    result = run(tmp_path / "scan.nii", "-o", tmp_path / "m.npy", "--spacing", given, *door)
    words = "scan.nii has pixels of 4 x 4 mm by its header, but 1 x 1 mm were given"
    assert (words in result.stderr) == said
    assert any(words in one for one in told_of(tmp_path / "m.json")["Remarks"]) == said


def test_the_help_says_what_is_masked_without_images_and_which_options_are_a_batch_s():
    told = " ".join(run("--help").stdout.split())
    assert "Without IMAGES they are of the head inside the package" in told
    assert 'whose help begins with "Batch:"' in told
    assert "Volumes, or a batch's chunks, side by side" in told


def test_a_signal_to_stop_waits_until_no_lock_is_held():
    before = signal.getsignal(signal.SIGINT)
    with masking.stopped_between() as look:
        look()
        signal.raise_signal(signal.SIGINT)  # would be raised right here
        with pytest.raises(KeyboardInterrupt):
            look()
    assert signal.getsignal(signal.SIGINT) is before
