"""Inputs as people have them: pictures, other volumes, headers at odds, folders of many kinds."""

import re
import shutil
import tracemalloc

import cv2
import nibabel as nib
import numpy as np
import pytest
import tifffile
from dicoms import PLANES, save_series
from nibabel.testing import data_path
from pydicom.data import get_testdata_file

from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.stack import Grid, list_volumes, read_stack, write_masks
from skullnb.stack.read import is_mapped

rows, columns = np.mgrid[:48, :40]
radius = np.hypot((rows - 24) / 1.2, columns - 20)
HEAD = np.select([radius < 11, radius < 13, radius < 16], [500, 40, 600], 0).astype(np.uint16)
SLICES = np.stack([HEAD, HEAD // 2, HEAD // 3])
GREY = (HEAD // 3).astype(np.uint8)
MASK = radius < 13
AFFINES = {  # of slices stored as they are read: columns, rows, slices; steps in mm
    "axial": lambda c, r, s: [[-c, 0, 0], [0, -r, 0], [0, 0, s]],
    "coronal": lambda c, r, s: [[-c, 0, 0], [0, 0, s], [0, -r, 0]],
    "sagittal": lambda c, r, s: [[0, 0, s], [-c, 0, 0], [0, -r, 0]],
}


def save_volume(path, slices, axis="axial", steps=(1, 1, 1), kind=nib.Nifti1Image):
    affine = np.eye(4)
    affine[:3, :3] = AFFINES[axis](*steps)
    kind(slices.transpose(2, 1, 0), affine).to_filename(path)
    return path


@pytest.mark.parametrize("axis", AFFINES)
@pytest.mark.parametrize(
    ("n_slices", "steps"), [(1, (0.9, 0.9, 6)), (6, (1, 1, 9)), (5, (1, 1, 1)), (36, (1, 1, 1.25))]
)
def test_a_volume_is_cut_in_the_axis_it_was_acquired_in_and_says_so(
    tmp_path, axis, n_slices, steps
):
    slices = np.stack([HEAD + n for n in range(n_slices)])
    path = save_volume(tmp_path / "scan.nii.gz", slices, axis, steps)
    stack = read_stack(path)
    if n_slices == 36:  # of even voxels: axial, without a word
        assert (stack.axis, stack.remarks) == ("axial", ())
        return
    np.testing.assert_array_equal(stack.images, slices)
    assert (stack.axis, stack.spacing_mm) == (axis, (steps[1], steps[0]))
    said = f"scan.nii.gz was acquired in {axis} slices"
    assert [remark.startswith(said) for remark in stack.remarks] == [True] * (axis != "axial")
    for asked in AFFINES:
        other = read_stack(path, axis=asked)
        assert (other.axis, other.remarks) == (asked, ())
        assert (other.images.shape == slices.shape) == (asked == axis)
    written = write_masks(stack.images > 300, tmp_path / "m.nii.gz", stack)
    np.testing.assert_array_equal(read_stack(path, written).reference, slices > 300)


@pytest.mark.parametrize(
    ("shape", "steps", "axis"),
    [
        ((1, 3, 70), (1, 1, 9), "sagittal"),  # a single slice, before thickness
        ((40, 40, 9), (9, 1, 1), "sagittal"),  # thickness, before number
        ((40, 9, 40), (1, 1.9, 1), "coronal"),
        ((40, 11, 40), (1, 1.9, 1), "axial"),  # neither by far
    ],
)
def test_single_slices_decide_before_thick_ones_and_those_before_few(shape, steps, axis):
    assert Grid.of_affine(np.diag([*steps, 1]), shape).axis == axis


def test_a_dicom_series_is_cut_in_the_axis_it_was_acquired_in(tmp_path):
    slices = np.stack([HEAD + n for n in range(6)]).astype(np.int16)
    save_series(tmp_path, slices, directions=PLANES["coronal"], step=9)
    stack = read_stack(tmp_path)
    # These were stored from front to back; slices ascend from the back.
    np.testing.assert_array_equal(stack.images, slices[::-1])
    assert "coronal slices" in stack.remarks[0]


def two_forms(path, sform, qform, zooms=None, codes=(1, 1)):
    image = nib.Nifti1Image(SLICES.transpose(2, 1, 0), None)
    if codes != (0, 0):  # nibabel would write a form of its own
        image.set_qform(qform, codes[0])
        image.set_sform(sform, codes[1])
    if zooms:
        image.header["pixdim"][1:4] = zooms
    image.to_filename(path)
    return path


@pytest.mark.parametrize("scale", [0.5, 2.0, 1.02])
def test_the_spacing_is_that_of_the_affine_in_use_and_a_conflict_is_said_once(tmp_path, scale):
    affine = np.diag([-2.0 * scale, -scale, 3 * scale, 1])
    path = two_forms(tmp_path / "scan.nii", affine, None, (2, 1, 3), codes=(0, 1))
    stack = read_stack(path)
    assert stack.spacing_mm == pytest.approx((scale, 2 * scale))
    assert stack.aspect == pytest.approx(0.5)
    [remark] = stack.remarks
    assert re.search(r"its sform, qform and pixdim .*; the sform is used", remark)
    written = nib.load(write_masks(SLICES > 300, tmp_path / "m.nii", stack))
    np.testing.assert_array_equal(written.affine, nib.load(path).affine)


@pytest.mark.parametrize(("left", "shift"), [(2.0, 0), (-2.0, 4), (-2.0, 0.4)])
def test_forms_that_put_a_volume_in_two_places_are_remarked_on(tmp_path, left, shift):
    qform = np.diag([left, -2, 3, 1]) + np.eye(4, k=3) * shift
    stack = read_stack(two_forms(tmp_path / "scan.nii", np.diag([-2.0, -2, 3, 1]), qform))
    assert ["the sform is used" in remark for remark in stack.remarks] == [True] * (shift != 0.4)
    np.testing.assert_array_equal(stack.images, SLICES)  # as its sform says


def test_pairs_and_analyze_give_the_same_slices(tmp_path):
    steps = (2, 1, 3)
    save_volume(tmp_path / "pair.hdr", SLICES, steps=steps, kind=nib.Nifti1Pair)
    save_volume(tmp_path / "spm.img", SLICES.astype(np.int16), steps=steps, kind=nib.AnalyzeImage)
    for name in ("pair.hdr", "pair.img", "spm.hdr", "spm.img"):
        stack, guessed = read_stack(tmp_path / name), name.startswith("spm")
        # Analyze can't say that rows run to the back, and is taken to run to the front.
        np.testing.assert_array_equal(stack.images, SLICES[:, :: -1 if guessed else 1])
        assert (stack.spacing_mm, bool(stack.remarks)) == ((1, 2), guessed)
        assert {path.suffix for path in stack.members[0]} >= {".hdr", ".img"}
    assert [volume.path.name for volume in list_volumes(tmp_path)] == ["pair.hdr", "spm.hdr"]
    before = read_stack(tmp_path / "pair.hdr").fingerprint()
    (tmp_path / "pair.img").write_bytes((tmp_path / "pair.img").read_bytes()[:-1] + b"\1")
    assert read_stack(tmp_path / "pair.hdr").fingerprint() != before


@pytest.mark.parametrize("ending", [".nrrd", ".nhdr", ".mha", ".mhd"])
def test_itk_s_kinds_lie_where_itk_s_own_nifti_says(tmp_path, ending):
    itk = pytest.importorskip("SimpleITK")
    image = itk.GetImageFromArray(SLICES.astype(np.int16))
    image.SetSpacing((1.5, 2, 4))
    image.SetOrigin((5, 6, 7))
    image.SetDirection((0, -1, 0, 0, 0, -1, 1, 0, 0))
    for name in (f"scan{ending}", "scan.nii"):
        itk.WriteImage(image, str(tmp_path / name))
    stack, same = read_stack(tmp_path / f"scan{ending}"), read_stack(tmp_path / "scan.nii")
    np.testing.assert_array_equal(stack.images, same.images)
    np.testing.assert_allclose(stack.grids[0].affine, same.grids[0].affine, atol=1e-5)
    assert (stack.spacing_mm, stack.axis) == (same.spacing_mm, same.axis)
    for file in stack.members[0]:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    with pytest.raises(UnreadableFile, match=r"can't be read|doesn't name"):
        read_stack(tmp_path / f"scan{ending}")


@pytest.mark.parametrize("name", ["tiny.mnc", "scaled+tlrc.HEAD"])
def test_minc_and_afni_lie_where_their_headers_say(name):
    path = f"{data_path}/{name}"
    ras = np.squeeze(nib.as_closest_canonical(nib.load(path)).dataobj)
    np.testing.assert_array_equal(read_stack(path).images, ras[::-1, ::-1].transpose(2, 1, 0))


def test_itk_s_kinds_without_itk_name_the_extra_and_no_header_names_a_file_elsewhere(
    tmp_path, monkeypatch
):
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\n")
    monkeypatch.setitem(__import__("sys").modules, "SimpleITK", None)
    with pytest.raises(InvalidSetting, match=r"pip install 'skullnb\[itk\]'"):
        read_stack(tmp_path / "a.nrrd")
    monkeypatch.undo()
    pytest.importorskip("SimpleITK")
    (tmp_path / "a.mha").write_text("NDims = 2\nElementDataFile = /etc/hostname\n")
    (tmp_path / "a.nrrd").write_text("NRRD0004\ntype: uchar\ndata file: /etc/hostname\n")
    (tmp_path / "a.mhd").write_text("NDims = 2\nElementDataFile = ../b.raw\n")
    for name in ("a.mha", "a.nrrd", "a.mhd"):
        with pytest.raises(UnreadableFile, match="one file of pixels in its own folder"):
            read_stack(tmp_path / name)


@pytest.mark.parametrize(
    "pixels", [GREY, HEAD, cv2.merge([GREY] * 3), cv2.merge([GREY] * 3 + [GREY * 0 + 255])]
)
def test_a_picture_of_grey_values_is_a_slice(tmp_path, pixels):
    cv2.imwrite(str(tmp_path / "s.png"), pixels)
    stack = read_stack(tmp_path / "s.png")
    np.testing.assert_array_equal(stack.images[0], np.atleast_3d(pixels)[..., 0])
    assert (stack.spacing_mm, stack.groups, stack.name) == (None, None, "s")
    cv2.imwrite(str(tmp_path / "j.JPEG"), pixels[..., :3] if pixels.ndim == 3 else GREY)
    assert np.abs(read_stack(tmp_path / "j.JPEG").images[0].astype(int) - GREY).mean() <= 3


@pytest.mark.parametrize("channels", [[GREY, GREY, GREY // 2], [GREY] * 4])
def test_a_picture_in_colour_or_one_to_see_through_is_refused(tmp_path, channels):
    cv2.imwrite(str(tmp_path / "s.png"), cv2.merge(channels))
    with pytest.raises(UnreadableFile, match=r"s.png holds colour or transparency"):
        read_stack(tmp_path / "s.png")


def test_masks_of_pictures_are_pictures_and_beside_scans_those_are_previews(tmp_path):
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"s{number}.png"), GREY + number)
        cv2.imwrite(str(tmp_path / f"m{number}.png"), MASK.astype(np.uint8) * 255)
    stack = read_stack(tmp_path / "s*.png", tmp_path / "m*.png")
    np.testing.assert_array_equal(stack.reference, [MASK] * 2)
    written = write_masks(stack.images[1:] > 100, tmp_path / "out.png", stack[1:])
    np.testing.assert_array_equal(cv2.imread(str(written), -1), (GREY + 2 > 100) * 255)
    np.save(tmp_path / "scan.npy", SLICES)
    assert [volume.path.name for volume in list_volumes(tmp_path)] == ["scan.npy"]


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "contiguous": False}])
def test_a_tiff_written_a_page_at_a_time_is_one_stack(tmp_path, options):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for part in (*SLICES, SLICES):
            tiff.write(part, photometric="minisblack", **options)
    pages = np.concatenate([SLICES, SLICES])
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif").images, pages)
    several = (SLICES, SLICES[:, 1:]), (np.stack([SLICES] * 2), SLICES)
    for parts, words in zip(several, ("several sizes", "one volume or slice"), strict=True):
        with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
            for part in parts:
                tiff.write(part, photometric="minisblack", **options)
        with pytest.raises(UnreadableFile, match=words):
            read_stack(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "options", [{}, {"photometric": "minisblack"}, {"photometric": "minisblack", "bigtiff": True}]
)
def test_a_reference_of_one_bit_a_pixel_is_read(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", SLICES, photometric="minisblack")
    tifffile.imwrite(tmp_path / "m.tif", np.stack([MASK, ~MASK, MASK]), **options)
    stack = read_stack(tmp_path / "a.tif", tmp_path / "m.tif")
    np.testing.assert_array_equal(stack.reference, [MASK, ~MASK, MASK])
    # White is 0 in this file, unless it is known who wrote it.
    tifffile.imwrite(tmp_path / "m.tif", MASK, photometric="miniswhite", software="another")
    with pytest.raises(UnreadableFile, match="inverted grey"):
        read_stack(tmp_path / "m.tif")


@pytest.mark.parametrize(
    ("axes", "shape"),
    [("ZCYX", (3, 2)), ("CZYX", (2, 3)), ("TZYX", (2, 3)), ("CYX", (2,)), ("ZYX", (3,))],
)
def test_an_ome_tiff_of_more_than_one_channel_or_time_is_refused(tmp_path, axes, shape):
    pages = np.broadcast_to(HEAD, (*shape, *HEAD.shape))
    tifffile.imwrite(tmp_path / "a.ome.tif", pages, metadata={"axes": axes})
    if axes == "ZYX":
        np.testing.assert_array_equal(read_stack(tmp_path / "a.ome.tif").images, pages)
        return
    with pytest.raises(UnreadableFile, match="several channels or time points"):
        read_stack(tmp_path / "a.ome.tif")


def test_nan_is_background_only_where_that_is_asked_for(tmp_path):
    for lowest, background in ((100, 0), (-50, -50)):
        values = SLICES.astype(np.float32) + lowest
        values[:, radius > 16] = np.nan
        np.save(tmp_path / "a.npy", values)
        assert np.isnan(read_stack(tmp_path / "a.npy").images).any()
        images = read_stack(tmp_path / "a.npy", nan_background=True).images
        np.testing.assert_array_equal(images, np.where(np.isnan(values), background, values))
    np.save(tmp_path / "a.npy", np.zeros((200, 48, 40), np.float32))
    tracemalloc.start()
    assert is_mapped(read_stack(tmp_path / "a.npy", nan_background=True).images)
    assert tracemalloc.get_traced_memory()[1] < 200 * 48 * 40
    tracemalloc.stop()


def test_slices_in_the_last_axis_are_remarked_on(tmp_path):
    last = {(128, 128, 20), (200, 180, 5)}
    for shape in (*last, (20, 48, 40), (128, 128, 100), (48, 128, 40), (300, 64, 20)):
        np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
        remarks = read_stack(tmp_path / "a.npy").remarks
        assert ["moveaxis(images, -1, 0)" in one for one in remarks] == [True] * (shape in last)


def test_a_study_or_a_disc_names_the_folders_and_the_pattern_that_would_do(tmp_path):
    scans, pattern = tmp_path / "scans", f"{tmp_path}/**/*"
    for name in ("T1", "T2"):
        save_series(scans / name, SLICES.astype(np.int16))
    shutil.copy(get_testdata_file("DICOMDIR", download=False), tmp_path / "DICOMDIR")
    for path in (tmp_path, tmp_path / "DICOMDIR", f"{scans}#2"):
        with pytest.raises(UnreadableFile, match="these folders do") as caught:
            read_stack(path)
        for said in (f"{scans / 'T1'}, {scans / 'T2'}; name one", "/**/*'"):
            assert said in str(caught.value)
    assert set(read_stack(pattern).groups) == {"T1", "T2"}
    save_volume(scans / "T2" / "one.nii", SLICES)
    assert len(list_volumes(pattern)) == 3


@pytest.fixture
def bids(tmp_path):
    for place in ("sub-01", "sub-02/ses-a", "sub-02/ses-b", "derivatives/x/sub-01"):
        (tmp_path / "set" / place / "anat").mkdir(parents=True)
        for suffix in ("T1w", "T2w"):
            name = f"{place.replace('derivatives/x/', '').replace('/', '_')}_{suffix}.nii.gz"
            save_volume(tmp_path / "set" / place / "anat" / name, SLICES)
    return tmp_path / "set"


@pytest.mark.parametrize(
    ("where", "suffix", "names"),
    [
        (".", "", ["sub-01_T1w", "sub-02_ses-a_T1w", "sub-02_ses-b_T1w"]),
        ("sub-02", "", ["sub-02_ses-a_T1w", "sub-02_ses-b_T1w"]),
        ("sub-02/ses-b", "_T2w", ["sub-02_ses-b_T2w"]),
        ("sub-01/anat", "", ["sub-01_T1w", "sub-01_T2w"]),
    ],
)
def test_a_bids_dataset_is_walked_for_its_images_of_one_suffix(bids, where, suffix, names):
    assert [volume.name for volume in list_volumes(bids / where, suffix)] == names


def test_a_bids_dataset_without_the_suffix_names_those_it_has(bids):
    with pytest.raises(UnreadableFile, match=r"no images that end in _FLAIR; .*--suffix"):
        read_stack(bids, suffix="FLAIR")
