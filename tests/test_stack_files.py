"""Reading stacks from files and writing masks back."""

import hashlib
import itertools
import re
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import FLAT, KINDS, save

from skullnb.errors import InvalidSetting, ShapeMismatch, SkullnbError, UnreadableFile
from skullnb.stack import (
    Stack,
    list_volumes,
    read_stack,
    refuse_place,
    write_masks,
    write_stack,
    writing,
)
from skullnb.stack.read import is_mapped, open_volume

IMAGES = np.random.default_rng(1).integers(0, 4000, (6, 9, 7)).astype(np.int16)
MASKS = (IMAGES > 2000).astype(np.uint8)

# The 48 ways to store a volume: an order of the axes and a direction for each.
ORDERS = [
    np.column_stack([order, signs])
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
# A volume whose axes are R, A, S, all sizes and zooms different.
RAS = np.random.default_rng(2).integers(0, 4000, (5, 6, 7)).astype(np.int16)
RAS_AFFINE = np.diag([0.7, 0.8, 2.0, 1.0])
RAS_AFFINE[:3, 3] = -20, 31, 7
# By hand: the first column is the patient's right (high x), the first row anterior (high y), ...
CANONICAL = {
    "axial": RAS[::-1, ::-1, :].transpose(2, 1, 0),
    "coronal": RAS[::-1, :, ::-1].transpose(1, 2, 0),
    "sagittal": RAS[:, ::-1, ::-1].transpose(0, 2, 1),
}
SPACING = {"axial": (0.8, 0.7), "coronal": (2.0, 0.7), "sagittal": (2.0, 0.8)}


def stored(volume, affine, order):
    """Store a volume in another order, with the affine that leaves every voxel where it was."""
    image = nib.Nifti1Image(volume, affine).as_reoriented(order)
    return np.asarray(image.dataobj), image.affine


def save_nifti(path, data, affine=RAS_AFFINE):
    nib.Nifti1Image(data, affine).to_filename(path)
    return path


@pytest.mark.parametrize("name", [f"a.{kind}" for kind in KINDS])
def test_every_kind_of_file_gives_the_same_stack_mapped_where_that_can_be(tmp_path, name):
    stack = read_stack(save(tmp_path / name, IMAGES), slices="1:5")
    np.testing.assert_array_equal(stack.images, IMAGES[1:5])
    assert (stack.images.dtype.kind, stack.slice_numbers) == ("i", (1, 2, 3, 4))
    assert (stack.name, stack.sources) == ("a", (tmp_path / name,))
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert stack.fingerprint() == {name: digest}
    mapped = name in ("a.npy", "a.tif", "a.nii", "a.mgh")
    assert (is_mapped(stack[1:].images), stack.images.flags.writeable) == (mapped, not mapped)


@pytest.mark.parametrize("number", [1, 2])
def test_a_header_that_two_threads_parse_at_once_is_no_damaged_file(tmp_path, monkeypatch, number):
    (file,) = list_volumes(save(tmp_path / "scan.npy", IMAGES))
    parse, calls = np.lib.format.open_memmap, itertools.count(1)

    def stumble(*given, **words):
        if next(calls) == number:  # first the header is read, then the pixels
            raise SystemError("AST constructor recursion depth mismatch (before=2, after=4)")
        return parse(*given, **words)

    monkeypatch.setattr("numpy.lib.format.open_memmap", stumble)
    np.testing.assert_array_equal(open_volume(file).load(), IMAGES)
    assert next(calls) > 3


def test_an_error_without_words_is_named_where_a_file_can_not_be_written(tmp_path):
    said = pytest.raises(UnreadableFile, match=r"a.npy could not be written \(MemoryError\)")
    with said, writing(tmp_path / "a.npy"):
        raise MemoryError


def test_a_few_slices_of_a_packed_volume_keep_no_more_than_themselves_in_memory(tmp_path):
    save(tmp_path / "a.nii.gz", IMAGES)
    assert read_stack(tmp_path / "a.nii.gz", slices="2").images.base is None


def test_a_nifti_image_of_two_dimensions_is_one_slice(tmp_path):
    stack = read_stack(save_nifti(tmp_path / "flat.nii", IMAGES[0].T, FLAT))
    np.testing.assert_array_equal(stack.images, IMAGES[:1])
    assert nib.load(write_masks(MASKS[:1], tmp_path / "mask.nii", stack)).shape == (7, 9)


@pytest.mark.parametrize("axis", CANONICAL)
def test_a_volume_and_its_masks_are_cut_and_stored_alike_in_all_48_storage_orders(tmp_path, axis):
    """Every other one is oblique, and cut along the closest axes."""
    mask, tilt, angle = np.zeros(RAS.shape, np.uint8), np.eye(4), np.radians(25)
    tilt[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    chosen = np.moveaxis(mask, ["sagittal", "coronal", "axial"].index(axis), 0)
    chosen[1:4] = 1
    mask &= RAS > 2000
    for number, stored_as in enumerate(ORDERS):
        affine = tilt @ RAS_AFFINE if number % 2 else RAS_AFFINE
        scan = save_nifti(tmp_path / f"{number}.nii", *stored(RAS, affine, stored_as))
        stack = read_stack(scan, axis=axis, slices="1:4")
        np.testing.assert_array_equal(stack.images, CANONICAL[axis][1:4], err_msg=str(stored_as))
        assert stack.spacing_mm == SPACING[axis]
        path = write_masks(stack.images > 2000, tmp_path / f"m{number}.nii.gz", stack)
        image = nib.load(path)
        np.testing.assert_array_equal(image.dataobj, stored(mask, affine, stored_as)[0])
        np.testing.assert_array_equal(image.affine, nib.load(scan).affine)
        again = read_stack(scan, path, axis=axis, slices="1:4")
        np.testing.assert_array_equal(again.reference, CANONICAL[axis][1:4] > 2000)


def test_a_folder_is_read_in_natural_order_and_each_file_is_a_group(tmp_path):
    for number in (1, 2, 10):
        np.save(tmp_path / f"sub{number}.npy", IMAGES[:2] + number)
    (tmp_path / "notes.txt").write_text("not a scan")
    (tmp_path / ".hidden.npy").write_text("not a scan")
    stack = read_stack(tmp_path, slices="1")
    np.testing.assert_array_equal(stack.images, np.stack([IMAGES[1] + n for n in (1, 2, 10)]))
    assert stack.groups == ("sub1", "sub2", "sub10")
    assert (stack.slice_numbers, stack.name) == ((1, 1, 1), tmp_path.name)
    assert list(stack.fingerprint()) == ["sub1.npy", "sub2.npy", "sub10.npy"]
    assert [one.name for one in list_volumes(tmp_path / "sub1*.npy")] == ["sub1", "sub10"]


@pytest.mark.parametrize("kind", ["tif", "nii", "png"])
def test_files_of_one_slice_are_chosen_and_numbered_like_the_slices_of_one_volume(tmp_path, kind):
    for number in (1, 2, 10):
        one = IMAGES[number % 6 : number % 6 + 1]
        save(tmp_path / f"s{number}.{kind}", one.astype(np.uint16) if kind == "png" else one)
    np.save(tmp_path / "masks.npy", MASKS[[1, 2, 4]] * 255)
    stack = read_stack(tmp_path / f"*.{kind}", tmp_path / "masks.npy")
    assert (stack.slice_numbers, stack.groups) == ((0, 1, 2), None)
    np.testing.assert_array_equal(stack.reference, MASKS[[1, 2, 4]])
    stack = read_stack(tmp_path / f"*.{kind}", tmp_path / "masks.npy", slices="2,0", groups="a,b,c")
    assert (stack.slice_numbers, stack.volume_numbers) == ((2, 0), (2, 0))
    assert stack.groups == ("c", "a")
    np.testing.assert_array_equal(stack.images, IMAGES[[4, 1]])
    np.testing.assert_array_equal(stack.reference, MASKS[[4, 1]])
    path = write_masks(stack.reference[:1], tmp_path / "m.nii", stack[:1])
    np.testing.assert_array_equal(read_stack(path).images, stack.reference[:1])


def test_groups_are_given_per_slice_before_choosing_or_per_file_and_a_volume_is_one(tmp_path):
    assert read_stack(save(tmp_path / "s1.nii.gz", IMAGES)).groups == ("s1",) * 6
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, IMAGES[:3])
    assert read_stack(tmp_path / "a.npy").groups is None
    assert read_stack(tmp_path / "a.npy", groups="anna").groups == ("anna",) * 3
    both = f"{tmp_path}/*.npy"
    assert read_stack(both, groups="p,p,q,r,r,s", slices="1:3").groups == ("p", "q", "r", "s")
    assert read_stack(both, groups="anna,ben", slices="0").groups == ("anna", "ben")
    with pytest.raises(ShapeMismatch, match="4 group labels for 6 slices in 2 file"):
        read_stack(both, groups="p,q,r,s", slices="1:3")


def files(folder, **arrays):
    """Write arrays as .npy, with __ for a slash in their names."""
    for name, array in arrays.items():
        path = folder / f"{name.replace('__', '/')}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, array)
    return folder


REFUSED = {
    # name: what is read, given a folder; words of the refusal. Broken files: test_bad_input.py
    "two sizes in a folder": (
        lambda f: [files(f, a=IMAGES, b=IMAGES[:, :5])],
        r"Slices of b.npy are \(5, 7\) px .* of a.npy \(9, 7\) px",
    ),
    "two spacings in a folder": (
        lambda f: [
            save_nifti(f / f"{step}.nii", RAS, np.diag([step, 1, 1, 1])).parent for step in (1, 1.1)
        ][:1],
        r"\(1.0, 1.1\) mm, of 1.nii .* \(1.0, 1.0\) mm",
    ),
    "two files of one name": (
        lambda f: [files(f, s1__t1=IMAGES, s2__t1=IMAGES) / "s*" / "*.npy"],
        "2 of the files .* are called t1",
    ),
    "a volume in two kinds": (
        lambda f: [save(files(f, a=IMAGES) / "a.tif", IMAGES).parent],
        "2 of the files .* are called a",
    ),
    "references of other sizes": (
        lambda f: (
            files(f, i__a=IMAGES, i__b=IMAGES[:3]) / "i",
            files(f, m__a=MASKS[:3], m__b=MASKS) / "m",
        ),
        "its name or size is another's",
    ),
    "references of another head": (
        lambda f: (
            files(f, **{"i__sub-1": MASKS, "i__sub-2": MASKS}) / "i",
            files(f, **{"m__sub-1_mask": MASKS, "m__sub-3_mask": MASKS}) / "m",
        ),
        "sub-3_mask.npy is not that of sub-2.npy",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_read_is_refused_in_one_sentence(tmp_path, case):
    make, words = REFUSED[case]
    inputs = make(tmp_path)
    with pytest.raises(SkullnbError, match=words) as caught:
        read_stack(*inputs)
    assert re.fullmatch(r"[^\n]{20,500}\.", str(caught.value))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_the_memory_that_scaled_pixels_need_is_that_of_what_they_become(
    tmp_path, monkeypatch, name
):
    image = nib.Nifti1Image(np.zeros((20, 20, 10), np.uint8), np.eye(4))
    nib.save(image, tmp_path / name)
    monkeypatch.setattr("os.sysconf", lambda name: 100)  # 10,000 bytes of memory, for 4,000 pixels
    assert read_stack(tmp_path / name).images.dtype == np.uint8
    image.header.set_slope_inter(0.5, 3)
    nib.save(image, tmp_path / name)
    with pytest.raises(UnreadableFile, match="promises 32,000 bytes of pixels, more than"):
        read_stack(tmp_path / name)


@settings(max_examples=60)
@given(
    stored_as=st.sampled_from(ORDERS),
    axis=st.sampled_from(list(CANONICAL)),
    dtype=st.sampled_from([np.uint8, np.int16, np.float32]),
    codes=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    trailing=st.integers(0, 2),
    kind=st.sampled_from([nib.Nifti1Image, nib.Nifti2Image]),
    pick=st.lists(st.integers(0, 4), min_size=1, unique=True),
)
def test_a_mask_keeps_the_header_s_geometry(stored_as, axis, dtype, codes, trailing, kind, pick):
    data, affine = stored(RAS.astype(dtype), RAS_AFFINE, stored_as)
    source, slices = kind(data.reshape(data.shape + (1,) * trailing), affine), str(pick)[1:-1]
    source.set_qform(affine, codes[0])
    source.set_sform(affine, codes[1])
    source.header.set_xyzt_units("micron")
    source.header["descrip"] = b"a name that must not travel"
    with tempfile.TemporaryDirectory() as folder:
        source.to_filename(Path(folder) / "scan.nii")
        stack = read_stack(Path(folder) / "scan.nii", axis=axis, slices=slices)
        masks = (stack.images > 2000).astype(np.uint8)
        path = write_masks(masks, Path(folder) / "mask.nii", stack)
        before, after = nib.load(Path(folder) / "scan.nii"), nib.load(path)
        said = pytest.approx(tuple(np.multiply(SPACING[axis], 0.001)))
        assert not any(codes) or stack.spacing_mm == said
        assert (type(after), after.shape) == (type(before), before.shape)
        assert (after.get_data_dtype(), after.dataobj.slope) == (np.uint8, 1)
        np.testing.assert_array_equal(after.affine, before.affine)
        for field in ("qform_code", "sform_code", "pixdim", "quatern_b", "srow_y", "xyzt_units"):
            np.testing.assert_array_equal(after.header[field], before.header[field], err_msg=field)
        assert b"travel" not in path.read_bytes()
        np.testing.assert_array_equal(read_stack(path, axis=axis, slices=slices).images, masks)
        assert np.asarray(after.dataobj).sum() == masks.sum()
        del stack, before, after


@pytest.mark.parametrize("name", ["M.NPY", "m.npz", "m.tif", "m.nii", "m.nii.gz"])
@pytest.mark.parametrize("n", [1, 3])
def test_masks_of_slices_without_orientation_come_back_as_they_were(tmp_path, name, n):
    stack = Stack(IMAGES, spacing_mm="0.667x0.7")[len(IMAGES) - n :]
    again = read_stack(write_masks(MASKS[:n], tmp_path / name, stack))
    np.testing.assert_array_equal(again.images, MASKS[:n])
    assert again.images.dtype == np.uint8
    known = pytest.approx((0.667, 0.7)) if ".nii" in name else None
    assert again.spacing_mm == known


def test_masks_of_several_volumes_do_not_go_into_one_nifti_file(tmp_path):
    (tmp_path / "reference").mkdir()
    for name, high, order in (("s1", 2000, ORDERS[3]), ("s2", 999, ORDERS[9])):
        mask = (high < RAS).astype(np.uint8)
        save_nifti(tmp_path / f"{name}.nii", *stored(RAS, RAS_AFFINE, ORDERS[0]))
        save_nifti(tmp_path / "reference" / f"{name}.nii", *stored(mask, RAS_AFFINE, order))
    stack, expected = read_stack(tmp_path, tmp_path / "reference"), CANONICAL["axial"]
    both = np.concatenate([expected > 2000, expected > 999])
    np.testing.assert_array_equal(stack.reference, both)
    with pytest.raises(InvalidSetting, match="come from 2 files"):
        write_masks(both, tmp_path / "m.nii", stack)
    assert not (tmp_path / "m.nii").exists()
    path = write_masks(both[7:], tmp_path / "m.nii.gz", stack[7:])
    np.testing.assert_array_equal(read_stack(path).images, both[7:])


def test_masks_replace_a_file_when_allowed_but_never_the_source_and_what_is_refused_leaves_nothing(
    tmp_path,
):
    source = save(tmp_path / "a.npy", IMAGES)
    stack = Stack(IMAGES, sources=(source,), reference_sources=(source,))
    for masks, error, words in (
        (MASKS, UnreadableFile, "one of the files the slices came from"),
        (MASKS[:3], ShapeMismatch, r"\(3, 9, 7\), the images \(6, 9, 7\)"),
        (IMAGES, InvalidSetting, "^The mask is not binary in slice 0; give 0 and 1, or 0 and 255"),
    ):
        with pytest.raises(error, match=words):
            write_masks(masks, source, stack, overwrite=True)
    np.testing.assert_array_equal(np.load(source), IMAGES)
    for path, words in ((source.parent, "is a folder"), (source, "exists already")):
        with pytest.raises(UnreadableFile, match=words):
            refuse_place(path)
    (tmp_path / "m.npy").write_text("old")
    write_masks(MASKS, tmp_path / "m.npy", stack, overwrite=True)
    np.testing.assert_array_equal(np.load(tmp_path / "m.npy"), MASKS)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_whole_stack_comes_back_with_all_that_belongs_to_it(tmp_path):
    stack = Stack(IMAGES, MASKS, (0.5, 0.7), tuple("aabbcc"))
    assert write_stack(stack, tmp_path / "s.npz") == (tmp_path / "s.npz",)
    again = read_stack(tmp_path / "s.npz", slices="2:4")
    assert (again.spacing_mm, again.groups) == (stack.spacing_mm, ("b", "b"))
    assert list(again.fingerprint()) == ["s.npz", "s.npz (reference)"]
    assert read_stack(tmp_path / "s.npz", groups="x", spacing_mm=2).spacing_mm == (2, 2)
    scan, mask = write_stack(stack, tmp_path / "s.nii.gz")
    for one in (again, read_stack(scan, mask, slices="2:4")):
        np.testing.assert_array_equal(one.images, IMAGES[2:4])
        np.testing.assert_array_equal(one.reference, MASKS[2:4])
    scan.unlink()
    with pytest.raises(UnreadableFile, match=r"s_reference.nii.gz exists already"):
        write_stack(stack, tmp_path / "s.nii.gz")
    assert not scan.exists()


WRITING = {"m.npz": (np, "savez_compressed"), "m.nii.gz": (nib.Nifti1Image, "to_filename")}


@pytest.mark.parametrize("failure", [OSError("No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", WRITING)
def test_a_write_that_fails_half_way_leaves_nothing_and_keeps_the_old_file(
    tmp_path, monkeypatch, name, failure
):
    def half(*arguments, **options):
        target = next(part for part in arguments if isinstance(part, Path))
        target.write_bytes(b"half a file")
        raise failure

    (tmp_path / name).write_text("old")
    monkeypatch.setattr(*WRITING[name], half)
    expected = UnreadableFile if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match=r"No space left on device|^$"):
        write_masks(MASKS, tmp_path / name, Stack(IMAGES), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"


@pytest.mark.parametrize("shift", [0.3, 0.7, 50.0])
def test_a_reference_elsewhere_in_space_is_refused(tmp_path, shift):
    scan = save_nifti(tmp_path / "scan.nii", MASKS, np.eye(4))
    mask = save_nifti(tmp_path / "mask.nii", MASKS, np.eye(4) + shift * np.eye(4, k=3))
    if shift < 0.5:
        read_stack(scan, mask)
        return
    with pytest.raises(ShapeMismatch, match=rf"lies {shift:.1f} mm from it"):
        read_stack(scan, mask)
