"""Masks of volumes: where they go, what is said and that storage order is no matter."""

import json
import re
import threading
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import cv2
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import scans
from commands import run
from dicoms import save_series

from skullnb import batch, heads, masking
from skullnb.errors import InvalidSetting, SkullnbError, UnreadableFile
from skullnb.masking import mask_volumes, plan_masks, warning_lines, write_table
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
NAN = HEAD.astype(np.float32)
NAN[2, 5, 5] = np.nan
run = partial(run, "mask")
by_both_doors = pytest.mark.parametrize("door", [[], ["--chunk", 2]])


def save(path, planes=HEAD, spacing=4.0):
    """Store a volume of canonical axial slices with pixels of so many mm: 4 make a head of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return scans.save(path, planes, np.diag([-spacing, -spacing, 5, 1]))


def pictures(folder, kind=".png", n=3):
    """Pictures of the head's slices, of another size of brain each."""
    folder.mkdir()
    for number in range(n):
        image = HEAD[number] // 4
        image[26 - number : 28] = 8
        cv2.imwrite(str(folder / f"p{number}{kind}"), image.astype(np.uint8))
    return folder


def mask(source, target, settings=SETTINGS, **options):
    return list(mask_volumes(plan_masks(source, target), settings, **options))


def told_of(path):
    return json.loads(Path(path).read_text())


def test_a_series_and_the_same_head_in_nifti_get_the_same_mask_in_the_same_place(tmp_path):
    lps = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    save_series(tmp_path / "scan", HEAD, directions=lps, spacing=(0.9, 0.7), first=(-31, -54, -12))
    # Stored as (slice, column, row), two axes backwards; the affine leaves each voxel where it was.
    affine = np.array([[0, 0.7, 0, -1.9], [0, 0, -0.9, 54], [-4, 0, 0, 0], [0, 0, 0, 1]])
    stored = HEAD.transpose(0, 2, 1)[::-1, ::-1]
    nib.Nifti1Image(stored, affine).to_filename(tmp_path / "scan.nii")
    places = []
    for scan in ("scan", "scan.nii"):
        (done,) = mask(tmp_path / scan, tmp_path / f"{len(places)}.nii.gz")
        image = nib.load(done.path)
        voxels = np.argwhere(np.asarray(image.dataobj) > 0)
        points = nib.affines.apply_affine(image.affine, voxels).round(3)
        places.append(points[np.lexsort(points.T)])
    np.testing.assert_allclose(*places)


def test_a_reach_in_mm_is_settled_at_each_volume_s_own_spacing_and_told(tmp_path):
    for name, spacing in (("a", 2.0), ("b", 4.0)):
        save(tmp_path / f"{name}.nii", HEAD, spacing)
    settings = PipelineSettings(reach_mm=8)
    one, other = mask(tmp_path, tmp_path / "out", settings)
    assert (one.table["kernel_width"][0], other.table["kernel_width"][0]) == (9, 5)
    np.testing.assert_array_equal(read_stack(other.path).images, create_skull_masks(HEAD, SETTINGS))
    told = told_of(tmp_path / "out" / "b_mask.json")
    assert (told["SettingsAsked"]["reach_mm"], told["Settings"]["kernel_width"]) == (8, 5)
    assert (told["SpacingMm"], told["ReachMm"]) == ([4, 4], [8, 8])


@by_both_doors
@pytest.mark.parametrize(
    ("spacing", "words", "said"),
    [
        (1.0, (), "a kernel of 26 px .*--reach-mm.*--kernel-width"),
        (3.0, ("--kernel-width", 5), ""),  # nothing would change
        (4.0, (), ""),  # every slice is warned of it
        (3.0, ("--reach-mm", 7.5), "7.5 mm was asked for, and 5 px.*reaches 6 mm"),
        (4.0, ("--spacing", "1x1"), "scan.nii has pixels of 4 x 4 mm by its header, but 1 x 1 mm"),
        (4.0, ("--spacing", "4.05x3.95", "--kernel-width", 5), ""),
    ],
)
def test_what_is_remarkable_about_spacing_and_kernel_is_said_by_every_door(
    tmp_path, door, spacing, words, said
):
    save(tmp_path / "scan.nii", HEAD, spacing)
    result = run(tmp_path / "scan.nii", "-o", tmp_path / "m.npy", *words, *door)
    remarks = told_of(tmp_path / "m.json")["Remarks"]
    assert re.search(said or "^$", " ".join(remarks))
    assert all(remark in result.stderr for remark in remarks)
    if spacing == 4.0 and not words:
        warnings = pd.read_csv(tmp_path / "m.csv")["warnings"]
        assert warnings.str.contains("26 px reaches 50 mm").all()


@pytest.mark.parametrize("kind", [".png", ".jpg"])
def test_files_of_one_slice_are_one_stack_in_a_file_and_pictures_of_their_own_in_a_folder(
    tmp_path, kind
):
    scans = pictures(tmp_path / "scans", kind)
    (done,) = mask(scans, tmp_path / "m.npy")
    for _ in range(2):  # no image of the next run
        apart = mask(scans, scans / "out", overwrite=True)
        assert [one.path.name for one in apart] == [f"p{n}_mask.png" for n in range(3)]
    for number, one in enumerate(apart):
        picture = cv2.imread(str(one.path), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(np.load(done.path)[number] * 255, picture)
    told, names = told_of(tmp_path / "m.json"), [f"p{number}{kind}" for number in range(3)]
    assert done.table["source"].tolist() == told["Sources"] == list(told["SourceSHA256"]) == names
    assert len(mask(scans, tmp_path / "t.tif", slices="1:")[0].table) == 2


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("scan.npy", "m.npy", ["m.npy"]),
        ("scan.npy", "inner", ["scan_mask.npy"]),
        ("scan.npy", "new/", ["scan_mask.npy"]),
        ("phantom.nii", "there", ["phantom_mask.nii.gz"]),
        ("inner", "m.nii.gz", ["m.nii.gz"]),
        ("inner", "new", ["only_mask.npy"]),
        ("", "new", ["studyforrest_mask.nii.gz"]),
        ("phantom", "there", ["phantom_mask.nii.gz"]),
        ("colin27", "m.nii", ["m.nii"]),
        ("dicom", "out", ["a_mask.npy", "dicom-series3_mask.nii.gz", "dicom-series12_mask.nii.gz"]),
    ],
)
def test_a_volume_goes_to_a_file_or_into_a_folder_under_its_name(
    tmp_path, monkeypatch, source, target, expected
):
    monkeypatch.chdir(tmp_path)
    for folder in ("inner", "there"):
        Path(folder).mkdir()
    save_series(Path("dicom"), HEAD, number=3, names="A{:02d}")
    save_series(Path("dicom"), HEAD, number=12, names="B{:02d}")
    for name in ("scan.npy", "inner/only.npy", "dicom/a.npy"):
        np.save(name, HEAD)
    save(Path("phantom.nii"))
    assert [job.path.name for job in plan_masks(source, target)] == expected


@by_both_doors
@pytest.mark.parametrize(
    ("images", "output"),
    [("scans", "link/m.npy"), ("scans", "scans/../scans/m.npy"), ("scans/*.*", "scans/m.npy")],
)
def test_no_mask_lies_where_the_next_run_would_read_it_as_an_image(
    tmp_path, monkeypatch, door, images, output
):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "scans", n=1)
    (tmp_path / "link").symlink_to("scans", target_is_directory=True)
    before = sorted(tmp_path.rglob("*"))
    said = run(images, "-o", output, *door, expect=2).stderr
    assert "would lie among the images, which are read as a whole; write it to another" in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["m.nii", "m.csv", "m.json"])
def test_nothing_beside_a_mask_is_replaced_unless_that_is_allowed(tmp_path, name):
    np.save(tmp_path / "scan.npy", HEAD)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UnreadableFile, match=rf"{name} exists already.*--overwrite"):
        mask(tmp_path / "scan.npy", tmp_path / "m.nii")
    assert {path.name for path in tmp_path.iterdir()} == {"scan.npy", name}
    assert (tmp_path / name).read_text() == "mine"
    mask(tmp_path / "scan.npy", tmp_path / "m.nii", overwrite=True)
    assert (tmp_path / name).read_bytes() != b"mine"


def test_every_volume_has_a_line_and_a_failed_one_does_not_stop_the_others(tmp_path):
    scans, out = tmp_path / "scans", tmp_path / "masks"
    whole = save(scans / "a.nii.gz").read_bytes()
    (scans / "b.nii.gz").write_bytes(whole[: len(whole) // 2])
    partly = HEAD.copy()
    partly[2:] = 7
    save(scans / "c.nii.gz", partly)
    save(scans / "d.nii.gz", np.full_like(HEAD, 7))
    result = run(scans, "-o", out, "--kernel-width", 5, expect=1)
    assert result.stdout.splitlines() == [
        "ok      a_mask.nii.gz  4 slices, 4 ok",
        "failed  b_mask.nii.gz",
        "warned  c_mask.nii.gz  4 slices, 2 ok, 2 empty",
        "empty   d_mask.nii.gz  4 slices, 4 empty",
        f"4 volumes: 1 ok, 1 failed, 1 warned, 1 empty; in {out}",
    ]
    masks = [read_stack(path).images.any() for path in sorted(out.glob("*.nii.gz"))]
    assert masks == [True, True, False]
    assert "b_mask.nii.gz: b.nii.gz can't be read" in result.stderr
    assert "c_mask.nii.gz: slices 2-3: the mask is empty: the slice is flat" in result.stderr


@pytest.fixture
def wrong(tmp_path):
    """A scan whose last two slices look wrong, as far as can be seen: nothing around the brain."""
    images = HEAD.copy()
    images[2:] = np.where(images[2:] == 900, 900, 0)
    np.save(tmp_path / "scan.npy", images)
    return tmp_path / "scan.npy"


@pytest.mark.parametrize("on_warning", masking.ON_WARNING)
def test_a_mask_that_looks_wrong_leaves_a_trace_in_all_places(wrong, tmp_path, on_warning):
    words = (wrong, "-o", tmp_path / "m.npy", "--kernel-width", 5, "--on-warning", on_warning)
    said = run(*words).stdout
    assert "warned  m.npy  4 slices, 2 ok, 2 warned\n" in said
    assert "m.npy: 2 of 4 slices look wrong: 2-3\n" in said
    table = pd.read_csv(tmp_path / "m.csv")
    assert table["status"].tolist() == ["ok", "ok", "warned", "warned"]
    assert table["warnings"].notna().tolist() == [False, False, True, True]
    kept = on_warning == "keep"
    assert (table["written_px"] == table["mask_px"]).tolist() == [True, True, kept, kept]
    assert np.load(tmp_path / "m.npy").any(axis=(1, 2)).tolist() == [True, True, kept, kept]
    told = told_of(tmp_path / "m.json")
    assert told["Counts"] == {"slices": 4, "ok": 2, "warned": 2, "empty": 0}
    assert set(told["Versions"]) == {"skullnb", "OpenCV", "numpy"}
    assert told["LooksWrong"] in said
    assert {line.partition(":")[0] for line in told["Warnings"]} == {"slices 2-3"}
    assert len(told["SourceSHA256"]["scan.npy"]) == 64
    assert str(tmp_path) not in (tmp_path / "m.json").read_text()
    run(*words, "--overwrite", "--strict", expect=1)
    run(*words, "-o", f"{tmp_path}/new/", "--strict", "--slices", "0:2")
    for door in (partial(masking.mask_volumes, []), partial(batch.mask_batch, wrong, "n.npy")):
        with pytest.raises(InvalidSetting, match="keep or empty"):
            list(door(on_warning="maybe"))


@by_both_doors
def test_a_slice_that_can_not_be_worked_on_fails_alone_and_only_all_of_them_are_refused(
    tmp_path, door
):
    np.save(tmp_path / "scan.npy", NAN)
    words = (tmp_path / "scan.npy", "--kernel-width", 5, *door)
    result = run(*words, "-o", tmp_path / "m.npy", expect=1)
    assert "1 of 4 slices failed: 2; Slice 2 has 1 of 1920 pixels that are NaN" in result.stdout
    assert np.load(tmp_path / "m.npy").any(axis=(1, 2)).tolist() == [True, True, False, True]
    row = (tmp_path / "m.csv").read_text().splitlines()[3]
    assert row.startswith('2,scan.npy,2,,failed,5,,,,,,,,0,"Slice 2 has 1 of 1920')
    told = told_of(tmp_path / "m.json")
    assert told["Status"] == "warned"
    assert told["Counts"] == {"slices": 4, "ok": 3, "warned": 0, "empty": 0, "failed": 1}
    run(*words, "-o", tmp_path / "n.npy", "--nan-background")
    before = sorted(tmp_path.iterdir())
    alone = run(*words, "-o", tmp_path / "o.npy", "--slices", "2", expect=2)
    assert "Error: Slice 2 has 1 of 1920 pixels that are NaN" in alone.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("on_warning", masking.ON_WARNING)
def test_the_tables_of_both_doors_have_the_same_columns_and_rows(wrong, tmp_path, on_warning):
    words = [wrong, "--kernel-width", 5, "--spacing", "4x3", "--on-warning", on_warning]
    run(*words, "-o", tmp_path / "volume.npy")
    run(*words, "-o", tmp_path / "batch.npy", "--chunk", 3)
    texts = [(tmp_path / f"{door}.csv").read_text() for door in ("volume", "batch")]
    assert texts[0] == texts[1]
    assert texts[0].splitlines()[0] == ",".join(masking.MASK_COLUMNS)
    written = pd.read_csv(tmp_path / "batch.csv")["written_px"].tolist()
    for door in ("volume", "batch"):
        assert written == np.load(tmp_path / f"{door}.npy").sum(axis=(1, 2)).tolist()
    told, by_batch = (set(told_of(tmp_path / f"{door}.json")) for door in ("volume", "batch"))
    assert told - by_batch == {"SourceSHA256", "Axis", "Method", "Mask", "VolumeCm3"}


def test_warnings_that_differ_in_their_numbers_only_are_one_line_with_the_numbers_range():
    texts = [("fills 9% of 1.2e-05",), (), ("fills 10% of 0.5", "9 of 9"), ("other",), ("9 of 9",)]
    lines = warning_lines(pd.DataFrame({"slice": range(3, 8), "warnings": texts}))
    assert lines[:2] == ["slices 3, 5: fills 9-10% of 1.2e-05-0.5", "slices 5, 7: 9 of 9"]
    assert lines[2:] == ["slice 6: other"]
    told = [masking.ranges_of(one, 2) for one in ([], [0, 1, 2, 7], [1, 3, 4, 7])]
    assert told == ["", "0-2, 7", "1, 3-4 and 1 more"]


def test_what_the_system_refuses_is_said_of_one_volume_and_the_rest_done(tmp_path, monkeypatch):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", HEAD)
    answers = iter([MemoryError(), read_stack(tmp_path / "b.npy")])
    monkeypatch.setattr(heads, "read_stack", Mock(side_effect=answers))
    one, other = mask(tmp_path, tmp_path / "out", workers=1)
    assert (one.account["Status"], other.account["Status"]) == ("failed", "ok")
    assert "not enough memory" in one.account["Remarks"][0]


def test_volumes_are_masked_side_by_side_and_given_back_in_order(tmp_path, monkeypatch):
    for name in "abcd":
        np.save(tmp_path / f"{name}.npy", np.roll(HEAD, ord(name) % 3, axis=1))
    both, opened = threading.Barrier(2, timeout=60), heads.open_data
    monkeypatch.setattr(heads, "open_data", lambda *of: (both.wait(), opened(*of))[1])
    for name, one in zip("abcd", mask(tmp_path, tmp_path / "out", workers=2), strict=True):
        expected = create_skull_masks(np.load(tmp_path / f"{name}.npy"), SETTINGS)
        np.testing.assert_array_equal(np.load(one.path), expected)


@pytest.mark.parametrize("name", ["m.csv", "m.tsv"])
def test_a_table_holds_no_formula_and_says_what_is_missing(tmp_path, name):
    table = pd.DataFrame({"=p": [1, None], "reason": ["=1+1", "a=b"], "warnings": [("x", "y"), ()]})
    write_table(table, tmp_path / name)
    first, *lines = (tmp_path / name).read_text().replace("\t", ",").splitlines()
    assert first == "'=p,reason,warnings"
    assert lines == ["1.0,'=1+1,x; y", "n/a,a=b," if name == "m.tsv" else ",a=b,"]


def test_a_dataset_is_walked_and_its_masks_are_a_whole_derivative_of_it(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "derivatives" / "skullnb"
    for name in ("sub-01/anat/sub-01_T1w", "sub-01/anat/sub-01_T2w", "sub-02/anat/sub-02_T1w"):
        save(raw / f"{name}.nii.gz")
    run(raw, "-o", out, "--bids", "--kernel-width", 5)
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    name = "sub-0{0}/anat/sub-0{0}_desc-T1wSkullAndInside_mask.{1}"
    assert found == [
        ".bidsignore",
        "dataset_description.json",
        *(name.format(subject, kind) for subject in (1, 2) for kind in ("json", "nii.gz", "tsv")),
    ]
    assert told_of(out / found[2])["Sources"] == ["sub-01_T1w.nii.gz"]
    table = pd.read_csv(out / found[4], sep="\t", keep_default_na=False)
    assert table["warnings"].tolist() == [""] * 4
    assert "2 failed" in run(raw, "-o", out, "--bids", expect=1).stdout
    (out / "dataset_description.json").write_text('{"Name": "mine"}')
    run(raw / "sub-01/anat/sub-01_T1w.nii.gz", "-o", out, "--bids", "--overwrite")
    assert told_of(out / "dataset_description.json") == {"Name": "mine"}
    run(raw / "sub-01", "-o", out, "--bids", "--suffix", "T2w")  # beside the other, and both kept
    names = sorted(path.name for path in (out / "sub-01").rglob("*.nii.gz"))
    assert [name.split("desc-")[1][:3] for name in names] == ["T1w", "T2w"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("anat/sub-01_T1w", "sub-01/anat/sub-01_desc-T1w"),
        ("anat/sub-01_ses-b_run-2_FLAIR", "sub-01/ses-b/anat/sub-01_ses-b_run-2_desc-FLAIR"),
        ("func/sub-01_task-x_desc-mean_bold", "sub-01/func/sub-01_task-x_desc-meanbold"),
        ("scans/sub-01_T1w", "sub-01/anat/sub-01_desc-T1w"),
        *((name, "") for name in ("my scan", "sub-_T1w", "sub-01", "sub-1_desc-a_run-1_T1w")),
    ],
)
def test_a_mask_keeps_the_entities_of_its_source_and_nothing_is_invented(
    tmp_path, source, expected
):
    scan, out = save(tmp_path / f"{source}.nii.gz"), tmp_path / "out"
    if expected:
        (job,) = plan_masks(scan, out, bids=True)
        assert job.path == out / f"{expected}SkullAndInside_mask.nii.gz"
    else:
        with pytest.raises(SkullnbError, match=r"has no BIDS name; call it sub-LABEL_T1w.nii.gz"):
            plan_masks(scan, out, bids=True)
