"""Masks of many volumes: where they go, what is said, and that storage order changes nothing."""

import itertools
import json
import re

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner
from dicoms import save_series
from real_data import real_data

from skullnb.cli import main
from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.masking import HEADING, Masked, mask_volumes, plan_masks, summary_line
from skullnb.phantom import subject
from skullnb.pipeline import PipelineSettings
from skullnb.stack import read_stack

SETTINGS = PipelineSettings(kernel_width=5)
# An axial head, face up, with a bright asymmetric brain inside a ring that is one pixel thin.
HEAD = np.zeros((4, 40, 48), np.int16)
HEAD[:, 4:36, 6:42] = 30
HEAD[:, [4, -5], 6:-6] = HEAD[:, 4:-4, [6, -7]] = 800
HEAD[:, 12:28, 14:34] = 900
HEAD[:, 12:18, 14:20] = 30
HEAD[1, 20:24, 20:24] = 0


def oblique(spacing):
    """An affine of canonical axial slices: tilted by 20 and 10 degrees, anisotropic, off centre."""
    a, b = np.radians([20, 10])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_z @ np.diag([-1, -1, 1]) @ np.diag(spacing)
    affine[:3, 3] = 31, 54, -12
    return affine


def save_in_order(path, planes, affine, order=(0, 1, 2), flips=(False,) * 3):
    """Store (column, row, slice) in another order; the affine leaves every voxel where it was."""
    volume = planes.transpose(2, 1, 0)
    turned, new = volume.transpose(order), np.eye(4)
    new[:3, 3] = affine[:3, 3]
    for axis, (source, flip) in enumerate(zip(order, flips, strict=True)):
        new[:3, axis] = affine[:3, source] * (-1 if flip else 1)
        if flip:
            new[:3, 3] += affine[:3, source] * (turned.shape[axis] - 1)
    ways = tuple(slice(None, None, -1 if flip else None) for flip in flips)
    nib.Nifti1Image(turned[ways], new).to_filename(path)
    return path


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


def mask(source, target, **options):
    return list(mask_volumes(plan_masks(source, target), SETTINGS, **options))


# --- geometry ----------------------------------------------------------------------------------


def test_a_mask_marks_the_same_places_in_whatever_order_the_volume_is_stored(tmp_path):
    affine = oblique((0.7, 0.9, 4.0))
    save_in_order(tmp_path / "first.nii", HEAD, affine)
    mask(tmp_path / "first.nii", tmp_path / "first-mask.nii")
    expected = places(tmp_path / "first-mask.nii")
    assert len(expected) > 500
    orders = itertools.product(
        itertools.permutations(range(3)), itertools.product((False, True), repeat=3)
    )
    seen = set()
    for order, flips in orders:
        source = save_in_order(tmp_path / "scan.nii", HEAD, affine, order, flips)
        mask(source, tmp_path / "mask.nii.gz", overwrite=True)
        image, scan = nib.load(tmp_path / "mask.nii.gz"), nib.load(source)
        assert image.shape == scan.shape
        np.testing.assert_array_equal(image.affine, scan.affine)
        assert image.header.get_zooms() == scan.header.get_zooms()
        seen.add("".join(nib.aff2axcodes(image.affine)))
        np.testing.assert_allclose(places(tmp_path / "mask.nii.gz"), expected, atol=2e-3)
        np.testing.assert_array_equal(
            read_stack(tmp_path / "mask.nii.gz").images,
            read_stack(tmp_path / "first-mask.nii").images,
        )
    assert len(seen) == 48
    assert {"LAS", "RAS"} <= seen


def test_a_series_and_the_same_head_in_nifti_get_the_same_mask_in_the_same_place(tmp_path):
    lps = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    save_series(tmp_path / "scan", HEAD, directions=lps, spacing=(0.9, 0.7), first=(-31, -54, -12))
    save_in_order(
        tmp_path / "scan.nii",
        HEAD,
        np.array([[-0.7, 0, 0, 31], [0, -0.9, 0, 54], [0, 0, 4, -12], [0, 0, 0, 1]]),
        (2, 0, 1),
        (True, False, True),
    )
    mask(tmp_path / "scan", tmp_path / "a.nii.gz")
    mask(tmp_path / "scan.nii", tmp_path / "b.nii.gz")
    np.testing.assert_allclose(places(tmp_path / "a.nii.gz"), places(tmp_path / "b.nii.gz"))


# --- where masks go ----------------------------------------------------------------------------


def test_masks_in_a_folder_are_called_after_their_volumes(tmp_path):
    scans = tmp_path / "scans"
    save_series(scans, HEAD, number=3, names="A{:02d}")
    save_series(scans, HEAD, number=12, names="B{:02d}")
    save_in_order(scans / "sub-1.nii", HEAD, oblique((1, 1, 2)))
    np.save(scans / "array.npy", HEAD)
    jobs = plan_masks(scans, tmp_path / "masks")
    assert [job.path.name for job in jobs] == [
        "array_mask.npy",
        "scans-series3_mask.nii.gz",
        "scans-series12_mask.nii.gz",
        "sub-1_mask.nii.gz",
    ]
    assert [one.status for one in mask_volumes(jobs, SETTINGS)] == ["ok"] * 4
    assert all(job.path.is_file() for job in jobs)


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
    ):
        assert [job.path.name for job in plan_masks(source, target)] == [expected]


def test_masks_that_would_meet_in_one_file_are_refused_before_anything_is_done(tmp_path):
    for name in ("sub-1_T1w.nii", "sub-1_FLAIR.nii"):
        save_in_order(tmp_path / name, HEAD, oblique((1, 1, 2)))
    with pytest.raises(InvalidSetting, match="2 volumes, and their masks don't go into one file"):
        plan_masks(tmp_path, tmp_path / "m.nii.gz")
    with pytest.raises(InvalidSetting, match=r"sub-1_FLAIR.nii and sub-1_T1w.nii would both"):
        plan_masks(tmp_path, tmp_path / "out", bids=True)
    with pytest.raises(InvalidSetting, match="BIDS masks go into a folder"):
        plan_masks(tmp_path / "sub-1_T1w.nii", tmp_path / "m.nii.gz", bids=True)
    save_in_order(tmp_path / "sub-1_T1w.nii.gz", HEAD, oblique((1, 1, 2)))
    with pytest.raises(InvalidSetting, match=r"would both be called sub-1_T1w_mask"):
        plan_masks(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_mask_takes_the_place_of_another_image(tmp_path):
    for name in ("a.npy", "a_mask.npy"):
        np.save(tmp_path / name, np.zeros((2, 8, 8)))
    with pytest.raises(InvalidSetting, match=r"a_mask.npy, the mask of a.npy, is itself among"):
        plan_masks(tmp_path, tmp_path / "x" / "..")
    assert len(plan_masks(tmp_path, tmp_path / "masks")) == 2


# --- what is said ------------------------------------------------------------------------------


def test_every_volume_has_a_line_and_a_failed_one_does_not_stop_the_others(tmp_path):
    scans, out = tmp_path / "scans", tmp_path / "masks"
    scans.mkdir()
    for name in ("a", "c", "d", "e"):
        save_in_order(scans / f"{name}.nii.gz", HEAD, oblique((1, 1, 2)))
    whole = (scans / "a.nii.gz").read_bytes()
    (scans / "b.nii.gz").write_bytes(whole[: len(whole) // 2])
    partly = HEAD.copy()
    partly[2:] = 7
    save_in_order(scans / "c.nii.gz", partly, oblique((1, 1, 2)))
    save_in_order(scans / "d.nii.gz", np.full_like(HEAD, 7), oblique((1, 1, 2)))
    touching = HEAD.copy()
    touching[:, 0, 0] = 900
    save_in_order(scans / "e.nii.gz", touching, oblique((1, 1, 2)))

    result = run(scans, "-o", out, "--kernel-width", 5, expect=1)
    heading, *lines, summary = result.stdout.splitlines()
    assert heading == HEADING
    status = [re.split(r" {2,}", line)[0] for line in lines]
    assert status == ["ok", "failed", "2 empty", "empty", "ok"]
    assert [line.split("  ")[-1] for line in lines] == [
        "a -> a_mask.nii.gz",
        "b",
        "c -> c_mask.nii.gz",
        "d -> d_mask.nii.gz",
        "e -> e_mask.nii.gz",
    ]
    assert summary == f"5 volumes: 2 ok, 1 failed, 2 with empty masks; in {out}"
    pixels = int(np.asarray(nib.load(out / "e_mask.nii.gz").dataobj).sum())
    # Otsu, then one edge-touching pixel on each of the four slices, then the area.
    assert re.search(rf"^ok +4 +\d+ +4 +{pixels} px +\d+\.\d s", lines[4])
    assert re.search(r"^empty +4 +0 +0 +0 px", lines[3])
    assert "b, b.nii.gz can't be read" in result.stderr
    assert "c, slices 2-3: the mask is empty: the slice is flat" in result.stderr
    assert "d, slices 0-3: the mask is empty" in result.stderr
    assert not (out / "b_mask.nii.gz").exists()
    assert not np.asarray(nib.load(out / "d_mask.nii.gz").dataobj).any()


def test_a_pattern_stands_for_the_files_it_meets(tmp_path):
    for name in ("a_T1w", "b_T1w", "b_T2w"):
        np.save(tmp_path / f"{name}.npy", HEAD)
    result = run(tmp_path / "*_T1w.npy", "-o", tmp_path / "out")
    assert "2 volumes: 2 ok" in result.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a_T1w_mask.npy",
        "b_T1w_mask.npy",
    ]


def test_volumes_of_different_sizes_are_masked_in_one_go(tmp_path):
    np.save(tmp_path / "a.npy", HEAD)
    np.save(tmp_path / "b.npy", HEAD[:2, :36])
    assert "2 volumes: 2 ok" in run(tmp_path, "-o", tmp_path / "out").stdout


def test_masks_that_are_there_are_kept_unless_overwriting_is_allowed(tmp_path):
    scans, out = tmp_path / "scans", tmp_path / "out"
    for folder in (scans, out):
        folder.mkdir()
    for name in ("a", "b"):
        np.save(scans / f"{name}.npy", HEAD)
    (out / "a_mask.npy").write_text("mine")
    result = run(scans, "-o", out, expect=1)
    assert (out / "a_mask.npy").read_text() == "mine"
    assert "a_mask.npy exists already; choose another name" in result.stderr
    assert "(--overwrite)" in result.stderr
    assert "1 failed, 1 ok" in result.stdout
    assert "2 ok" in run(scans, "-o", out, "--overwrite").stdout


def test_a_single_volume_that_fails_ends_in_one_sentence(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"nothing")
    result = run(tmp_path / "a.nii.gz", "-o", tmp_path / "m.nii.gz", expect=2)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: a.nii.gz can't be read")
    np.save(tmp_path / "b.npy", HEAD)
    with pytest.raises(UnreadableFile, match="no folder"):
        mask(tmp_path / "b.npy", tmp_path / "no" / "m.npy")


def test_what_the_system_refuses_is_said_of_one_volume_and_the_rest_done(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        np.save(tmp_path / f"{name}.npy", HEAD)
    real = read_stack

    def failing(volume, **options):
        if volume.name == "a":
            raise MemoryError
        if volume.name == "b":
            raise PermissionError(13, "Permission denied")
        return real(volume, **options)

    monkeypatch.setattr("skullnb.masking.read_stack", failing)
    done = mask(tmp_path, tmp_path / "out")
    assert [one.status for one in done] == ["failed", "failed", "ok"]
    assert "not enough memory" in done[0].error
    assert "Permission denied" in done[1].error


def test_slices_and_axis_are_taken_in_every_volume(tmp_path):
    for name in ("a", "b"):
        save_in_order(tmp_path / f"{name}.nii", HEAD, oblique((1, 1, 2)))
    for one in mask(tmp_path, tmp_path / "out", slices="1:3"):
        assert one.n_slices == 2
        filled = read_stack(one.path).images.any(axis=(1, 2))
        assert filled.tolist() == [False, True, True, False]
    # Air above and below, or the brain would touch the frame of a coronal slice.
    taller = np.pad(HEAD, ((3, 3), (0, 0), (0, 0)))
    scan = save_in_order(tmp_path / "taller.nii", taller, oblique((1, 1, 2)))
    mask(scan, tmp_path / "m.nii", axis="coronal", slices="20")
    filled = read_stack(tmp_path / "m.nii", axis="coronal").images.any(axis=(1, 2))
    assert filled.nonzero()[0].tolist() == [20]


def test_a_status_says_how_many_masks_are_empty_and_how_many_others_look_wrong(tmp_path):
    path = tmp_path / "m.nii"
    assert Masked("a", path, 0, n_slices=3).status == "ok"
    assert Masked("a", path, 0, n_slices=3, n_warned=2).status == "2 warned"
    assert Masked("a", path, 0, n_slices=3, n_empty=1).status == "1 empty"
    both = Masked("a", path, 0, n_slices=300, n_empty=150, n_warned=149)
    assert both.status == "150 empty, 149 warned"
    assert str(both).index("a -> ") == HEADING.index("volume")
    assert summary_line([both]) == "1 volume: 1 with empty masks and warnings"
    assert Masked("a", path, 0, n_slices=3, n_empty=3).status == "empty"
    assert Masked("a", path, 0, error="no").status == "failed"


# --- BIDS --------------------------------------------------------------------------------------


def test_a_bids_dataset_of_masks_is_whole_and_says_what_it_is_made_of(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "derivatives" / "skullnb"
    for subject_name in ("sub-01", "sub-02"):
        (raw / subject_name / "anat").mkdir(parents=True)
        save_in_order(
            raw / subject_name / "anat" / f"{subject_name}_T1w.nii.gz", HEAD, oblique((1, 1, 2))
        )
    (raw / "dataset_description.json").write_text("{}")
    run(raw / "sub-*" / "anat" / "*_T1w.nii.gz", "-o", out, "--bids", "--kernel-width", 5)
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert found == [
        "dataset_description.json",
        "sub-01/anat/sub-01_desc-skullinner_mask.json",
        "sub-01/anat/sub-01_desc-skullinner_mask.nii.gz",
        "sub-02/anat/sub-02_desc-skullinner_mask.json",
        "sub-02/anat/sub-02_desc-skullinner_mask.nii.gz",
    ]
    told = json.loads((out / found[1]).read_text())
    assert told["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    assert told["Settings"]["kernel_width"] == 5
    assert (told["Axis"], told["Slices"], told["SlicesWithEmptyMask"]) == ("axial", "0-3", [])
    assert len(told["SourceSHA256"]["sub-01_T1w.nii.gz"]) == 64
    again = run(raw / "sub-*" / "anat" / "*.nii.gz", "-o", out, "--bids", expect=1)
    assert "2 failed" in again.stdout
    (out / found[2]).unlink()
    alone = raw / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    assert "mask.json exists already" in run(alone, "-o", out, "--bids", expect=2).stderr
    run(alone, "-o", out, "--bids", "--overwrite")


def test_a_sidecar_names_the_slices_whose_mask_is_empty(tmp_path):
    images = HEAD.copy()
    images[2] = 7
    np.save(tmp_path / "scan.npy", images)
    result = run(tmp_path / "scan.npy", "-o", tmp_path / "out", "--bids", "--slices", "1:4")
    assert "1 empty" in result.stdout
    sidecar = next((tmp_path / "out").rglob("*_mask.json"))
    assert json.loads(sidecar.read_text())["SlicesWithEmptyMask"] == [2]


# --- a synthetic and a real head ---------------------------------------------------------------


def test_a_phantom_gets_the_same_mask_from_dicom_as_from_memory(tmp_path):
    stack = subject(3, n_slices=2)
    scaled = (stack.images * (30000 / stack.images.max())).astype(np.int16)
    save_series(tmp_path / "phantom", scaled, spacing=stack.spacing_mm)
    done = mask(tmp_path / "phantom", tmp_path / "m.nii.gz")
    assert done[0].mask_px > 10_000
    np.save(tmp_path / "phantom.npy", scaled)
    mask(tmp_path / "phantom.npy", tmp_path / "m.npy")
    np.testing.assert_array_equal(
        read_stack(tmp_path / "m.nii.gz").images, np.load(tmp_path / "m.npy")
    )


def test_a_real_series_is_masked_into_one_nifti_file(tmp_path):
    folder = real_data() / "studyforrest"
    result = run(folder, "-o", tmp_path / "masks.nii.gz")
    assert re.search(r"^ok +16 +67-89 +0 ", result.stdout, re.M)
    image = nib.load(tmp_path / "masks.nii.gz")
    assert image.shape == (274, 384, 16)
    np.testing.assert_allclose(image.header.get_zooms(), (0.7, 0.6667, 2.6667), atol=1e-4)


def test_a_kernel_that_spans_another_distance_than_usual_is_one_remark_a_volume(tmp_path):
    for name, spacing in (("large", 1.0), ("usual", 0.4)):
        save_in_order(tmp_path / f"{name}.nii.gz", HEAD, oblique((spacing, spacing, 2)))
    (tmp_path / "masks").mkdir()
    jobs = plan_masks(tmp_path / "*.nii.gz", tmp_path / "masks")
    large, usual = mask_volumes(jobs)
    assert "--kernel-width 11 reaches as far" in large.remarks[0]
    assert "kernel-width" not in " ".join((*large.remarks[1:], *usual.remarks))
    result = CliRunner().invoke(
        main, ["mask", str(tmp_path / "large.nii.gz"), "-o", str(tmp_path / "mask.nii.gz")]
    )
    assert "26 px span 26 mm here" in result.stderr


def test_a_volume_whose_slices_look_wrong_is_not_called_ok(tmp_path):
    lone = np.where(HEAD == 900, HEAD, 0)
    lone[3] = 0
    np.save(tmp_path / "lone.npy", lone)
    (done,) = mask(tmp_path / "lone.npy", tmp_path / "mask.npy")
    assert done.status == "1 empty, 3 warned"
    assert (
        "1 with empty masks and warnings"
        in run(tmp_path / "lone.npy", "-o", tmp_path / "again.npy").stdout
    )
