"""Reading DICOM: order, geometry, values, and not a word about the patient."""

import errno
import gzip
import io
import json
import re
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicoms import PLANES, PLANTED, patient_and_pixels, save_enhanced, save_series
from pydicom.data import get_testdata_file

from skullnb.errors import SkullnbError, UnreadableFile
from skullnb.stack import list_volumes, read_stack, write_masks
from skullnb.stack.dicom import TAGS

rng = np.random.default_rng(5)
PIXELS = rng.integers(0, 3000, (6, 9, 7)).astype(np.int16)
# In RAS order, all sizes different; and by hand, as axial slices with the face up.
RAS = rng.integers(0, 3000, (5, 6, 7)).astype(np.int16)
AXIAL = RAS[::-1, ::-1, :].transpose(2, 1, 0)
SHUFFLED = (3, 0, 5, 1, 4, 2)


LPS = RAS[::-1, ::-1, :]  # indices count towards the patient's left, back and head
IN_PLANE = {  # the same head as a scanner stores it
    "axial": LPS.transpose(2, 1, 0),
    "coronal": LPS[:, :, ::-1].transpose(1, 2, 0),  # columns left, rows down, slices to the back
    "sagittal": LPS[::-1, :, ::-1].transpose(0, 2, 1),  # columns back, rows down, slices right
}


def test_a_series_is_sorted_by_position_and_its_affine_is_the_one_worked_out_by_hand(tmp_path):
    save_series(tmp_path / "scan", PIXELS, order=SHUFFLED)
    stack = read_stack(tmp_path / "scan")
    np.testing.assert_array_equal(stack.images, PIXELS)
    assert (stack.images.dtype, stack.spacing_mm) == (np.int16, (0.5, 0.75))
    assert (stack.name, stack.sources) == ("scan", (tmp_path / "scan",))
    assert list(stack.fingerprint()) == ["scan (6 files)"]
    chosen = read_stack(tmp_path / "scan", slices="4,1")
    np.testing.assert_array_equal(chosen.images, PIXELS[[4, 1]])
    # Columns count to the left by 0.75 mm, rows to the back by 0.5, slices up by 4, from the
    # pixel at left -90, back -120, up 30: in right, front, up the first two change their sign.
    expected = [[-0.75, 0, 0, 90], [0, -0.5, 0, 120], [0, 0, 4, 30], [0, 0, 0, 1]]
    image = nib.load(write_masks(stack.images > 1500, tmp_path / "m.nii.gz", stack))
    np.testing.assert_allclose(image.affine, expected, atol=1e-6)
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (1, 1)
    np.testing.assert_array_equal(image.dataobj, (PIXELS > 1500).transpose(2, 1, 0))


def test_a_spacing_that_differs_in_its_last_digits_is_the_same(tmp_path):
    with_one(tmp_path / "in", PixelSpacing=["0.5000001", "0.7499999"])
    assert len(read_stack(tmp_path / "in")) == len(PIXELS)


@pytest.mark.parametrize("plane", PLANES)
def test_a_head_gives_the_same_axial_slices_in_whatever_plane_it_was_scanned(tmp_path, plane):
    sizes = {"axial": (0.8, 0.7, 2.0), "coronal": (2.0, 0.7, 0.8), "sagittal": (2.0, 0.8, 0.7)}
    *spacing, step = sizes[plane]
    save_series(tmp_path, IN_PLANE[plane], directions=PLANES[plane], spacing=spacing, step=step)
    stack = read_stack(tmp_path)
    np.testing.assert_array_equal(stack.images, AXIAL)
    assert stack.spacing_mm == pytest.approx((0.8, 0.7))
    written = write_masks(stack.images > 1500, tmp_path / "m.nii", stack)
    np.testing.assert_array_equal(read_stack(written).images, AXIAL > 1500)


def test_a_file_of_many_images_is_sorted_and_scaled_image_by_image(tmp_path):
    slopes = [1.0, 2.0, 0.5, 1.0, 3.0, 1.0]
    stack = read_stack(save_enhanced(tmp_path / "enhanced.dcm", PIXELS, SHUFFLED, slopes))
    np.testing.assert_array_equal(stack.images, PIXELS * np.array(slopes)[:, None, None] - 5)
    assert (stack.spacing_mm, stack.grids[0].steps_mm[0]) == ((0.5, 0.75), 4)


def test_a_mosaic_s_name_on_a_file_of_many_images_is_no_mosaic(tmp_path):
    path = save_enhanced(tmp_path / "e.dcm", PIXELS, SHUFFLED, [1] * 6)
    dataset = pydicom.dcmread(path)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    dataset.save_as(path)
    np.testing.assert_array_equal(read_stack(path).images, PIXELS - 5)
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(path)
    stack = read_stack(path)  # as a slice without a position is read
    np.testing.assert_array_equal(stack.images, PIXELS[list(SHUFFLED)])
    assert stack.grids == (None,)
    assert "doesn't say where its images lie" in stack.remarks[0]


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("name", ["scan.dcm", "IM1", "1.2.840.7"])
def test_a_file_without_a_preamble_is_read(tmp_path, name, implicit):
    dataset = pydicom.dcmread(save_series(tmp_path / "plain", PIXELS[:1])[0])
    bare = pydicom.Dataset({tag: dataset[tag] for tag in dataset.keys()})  # noqa: SIM118
    (tmp_path / "bare").mkdir()
    path = tmp_path / "bare" / name
    bare.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert path.read_bytes()[128:132] != b"DICM"
    for one in (path, path.parent):
        np.testing.assert_array_equal(read_stack(one).images, PIXELS[:1])


@pytest.mark.parametrize("lowest", [0, -100])
def test_values_that_begin_at_the_lowest_bit_are_read_and_others_refused(tmp_path, lowest):
    values = PIXELS[0] % 100 + np.int16(lowest)
    stored = values if lowest else values | np.int16(-1) << np.int16(12)  # an overlay's bits
    bits = {"BitsStored": 12, "PixelRepresentation": int(lowest < 0)}
    path = save_series(tmp_path, [stored], HighBit=11, **bits)[0]
    np.testing.assert_array_equal(read_stack(path).images[0], values)
    for high in (13, 15):
        path = save_series(tmp_path, [stored], HighBit=high, **bits)[0]
        assert "begin above the lowest bit" in refusal(path)


@pytest.mark.parametrize(
    ("padding", "signed", "lowest"),
    [(-2000, True, 100), (-2000, True, -50), (63536, False, 100), (0, False, 100)],
)
def test_padding_is_background_and_not_the_darkest_tissue(tmp_path, padding, signed, lowest):
    values = np.clip(PIXELS[0], 100, None)
    values[0, 4] = lowest
    stored = values.copy()
    stored[:, :2] = padding if padding < 5000 else padding - 65536
    tags = {"PixelRepresentation": int(signed), "PixelPaddingValue": padding}
    path = save_series(tmp_path, [stored], **tags)[0]
    values[:, :2] = min(lowest, 0)
    np.testing.assert_array_equal(read_stack(path).images[0], values)


def test_padding_may_be_a_range_of_values(tmp_path):
    stored = np.clip(PIXELS[0], 100, None)
    stored[:2] = [[-2000], [-1600]]
    tags = {"PixelRepresentation": 1, "PixelPaddingValue": -1500, "PixelPaddingRangeLimit": -2000}
    path = save_series(tmp_path, [stored], **tags)[0]
    np.testing.assert_array_equal(read_stack(path).images[0], np.clip(stored, 0, None))


def two_series(folder):
    save_series(folder, PIXELS, number=6, names="A{:03d}")
    save_series(folder, PIXELS[:4, :5] + 1, number=11, names="B{:03d}")
    report = patient_and_pixels(PIXELS[0])
    del report.Rows, report.Columns, report.PixelData
    report.save_as(folder / "report", enforce_file_format=True)  # which is no image
    return folder


def test_several_series_in_a_folder_are_listed_and_one_is_chosen_by_its_number(tmp_path):
    folder = two_series(tmp_path / "scan")
    for path, none in ((folder, ""), (f"{folder}#5", "no series 5, but ")):
        listed = "2 series of DICOM images (#6 of 6 images, #11 of 4 images)"
        assert refusal(path) == f"scan holds {none}{listed}; choose one, as in scan#6."
    chosen = read_stack(f"{folder}#11")
    np.testing.assert_array_equal(chosen.images, PIXELS[:4, :5] + 1)
    everything = list_volumes(folder, every_series=True)
    assert [volume.name for volume in everything] == [chosen.name.replace("11", "6"), chosen.name]


def with_one(folder, **tags):
    """A series, one file of which says something else."""
    path = save_series(folder, PIXELS)[2]
    dataset = pydicom.dcmread(path)
    dataset.update(tags)
    dataset.save_as(path)


def drifting(folder):
    """Slices each of which is nearly as far from the next as it should be."""
    for count, path in enumerate(save_series(folder, PIXELS)):
        dataset = pydicom.dcmread(path)
        dataset.ImagePositionPatient[2] += 0.36 * min(count, len(PIXELS) - 1 - count)
        dataset.save_as(path)


def quoting(folder):
    """A number that is a name: the parser's message quotes it."""
    path = save_series(folder, PIXELS)[3]
    path.write_bytes(path.read_bytes().replace(b"0.5\\0.75", PLANTED.encode()[:8]))


REFUSED = {
    "several sizes": (lambda f: with_one(f, Rows=7, Columns=9), "several sizes or directions"),
    "a localiser": (
        lambda f: with_one(f, ImageOrientationPatient=[0, 1, 0, 1, 0, 0]),
        "several sizes or directions",
    ),
    "a slice is missing": (
        lambda f: save_series(f, PIXELS)[2].unlink(),
        "slices 4 to 8 mm apart in one series, so some are missing",
    ),
    "slices lie unevenly": (drifting, "slices 3.64 to 4.36 mm apart in one series"),
    "no positions": (lambda f: save_series(f, PIXELS, ImagePositionPatient=None), "no position"),
    "skewed": (
        lambda f: save_series(f, PIXELS, ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0]),
        "askew",
    ),
    "a mosaic": (
        lambda f: save_series(f, PIXELS[:1], ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]),
        "holds a mosaic, all slices .* convert it to NIfTI",
    ),
    "not numbers": (quoting, "damaged, cut short"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_volume_is_refused_in_one_sentence_that_quotes_nothing(tmp_path, case):
    make, words = REFUSED[case]
    make(tmp_path / "scan")
    with pytest.raises(UnreadableFile, match=words) as caught:
        read_stack(tmp_path / "scan")
    assert re.fullmatch(r"[^\n]+\.", str(caught.value))
    assert PLANTED[:8] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("way", ["RLE", "bigendian", "implicit", "expb", "padded"])
def test_a_transfer_syntax_does_not_change_the_pixels(way):
    names = "MR_small.dcm", f"MR_small_{way}.dcm"
    plain, other = (read_stack(get_testdata_file(name, download=False)) for name in names)
    np.testing.assert_array_equal(other.images, plain.images)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_RLE.dcm"])
def test_what_the_system_refuses_is_told_apart_from_a_damaged_file(monkeypatch, error, name):
    """A batch stops at the one, to go on tomorrow, and counts the other as failed."""

    def refuse(*_, **__):
        raise error

    for place in ("pydicom.pixels.pixel_array", "pydicom.dcmread"):
        monkeypatch.setattr(place, refuse)
        with pytest.raises(UnreadableFile, match=name) as caught:
            read_stack(get_testdata_file(name, download=False))
        assert caught.value.__cause__ is error


def refusal(path):
    """Return the sentence that refuses a file, "" where it is read; any other failure passes."""
    try:
        return "" if len(read_stack(path)) else "nothing"
    except SkullnbError as error:
        return str(error)


def test_no_dicom_file_however_strange_ends_in_anything_but_pixels_or_one_sentence():
    folder, refusals = Path(get_testdata_file("MR_small.dcm", download=False)).parent, []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in (".txt", ".json", ".gz", ".icc", ".dump"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                refusals.append(refusal(path))
    assert "\n" not in "".join(refusals)
    assert refusals.count("") >= 10


def test_the_planted_name_is_in_no_output(tmp_path, recwarn, caplog):
    scan, out = tmp_path / "scan", tmp_path / "out"
    out.mkdir()
    # A date that is none and a text too long for its kind: what the parser would warn about.
    save_series(scan, PIXELS, PatientBirthDate=PLANTED, PatientID=PLANTED * 9)
    two = two_series(tmp_path / "two")
    assert PLANTED.encode() in (scan / "IM000000").read_bytes()
    recwarn.clear()  # the writer did warn, in the name's own letters
    caplog.clear()
    stack = read_stack(scan)
    said = [repr(stack), repr(vars(stack)), json.dumps(stack.fingerprint())]
    said += [repr(vars(volume)) for volume in list_volumes(two, every_series=True)]
    for name in ("m.nii", "m.nii.gz", "m.npy", "m.npz", "m.tif"):
        content = write_masks(stack.images > 1500, out / name, stack).read_bytes()
        content = gzip.decompress(content) if name.endswith(".gz") else content
        said.append(content.decode("latin-1"))
    said += [refusal(two), caplog.text, *(str(warning.message) for warning in recwarn)]
    assert not [text for text in said if PLANTED in text]


def test_a_name_in_any_field_that_is_read_is_in_no_name_and_no_sentence(tmp_path):
    save_series(tmp_path, PIXELS[:1], names="A.dcm")
    path = save_series(tmp_path, PIXELS[:1] + 1, number=8, names="B.dcm")[0]
    whole, said = path.read_bytes(), []
    for keyword in sorted({*TAGS, "TransferSyntaxUID"}):
        dataset = pydicom.dcmread(io.BytesIO(whole))
        place = dataset.file_meta if keyword == "TransferSyntaxUID" else dataset
        place.pop(keyword, None)
        place.add_new(keyword, "UI" if place is dataset.file_meta else "LO", PLANTED)
        dataset.save_as(path, implicit_vr=False, little_endian=True)
        assert PLANTED.encode() in path.read_bytes()
        said += [refusal(tmp_path), refusal(path)]
        with suppress(UnreadableFile):
            said += [repr(list_volumes(tmp_path, every_series=True))]
    assert len(set(said)) > 3  # of several kinds, and not one refusal of all
    assert not [text for text in said if PLANTED in text]


def test_nothing_about_the_patient_is_ever_in_memory_as_a_value(tmp_path, monkeypatch):
    paths = save_series(tmp_path, PIXELS[:1])
    assert PLANTED in str(pydicom.dcmread(paths[0]))
    kept, dcmread = [], pydicom.dcmread

    def spy(*words, **options):
        kept.append(dcmread(*words, **options))
        return kept[-1]

    monkeypatch.setattr("pydicom.dcmread", spy)
    np.testing.assert_array_equal(read_stack(tmp_path).images, PIXELS[:1])
    assert len(kept) == 2  # where the pixels lie, and the pixels
    assert not [dataset for dataset in kept if PLANTED in str(dataset)]
