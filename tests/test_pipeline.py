import re

import cv2
import nibabel as nib
import numpy as np
import pytest

from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.pipeline import (
    PipelineSettings,
    component_mask,
    create_skull_mask,
    create_skull_masks,
    masks_by_width,
    measure_slice,
    measure_stack,
    normalise,
    trace_skull_mask,
)
from skullnb.pipeline.measure import _volumes_of, add_neighbour_signs
from skullnb.stack import Stack, read_stack
from skullnb.study import article


def head(scalp=200, brain=120, shape=(96, 80)):
    """A bright ring around a bright disc, dark between: the simplest head."""
    rows, columns = np.indices(shape)
    radius = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2)
    image = np.full(shape, 4.0)
    for size, level in ((34, scalp), (30, 8), (22, brain), (5, 10)):
        image[radius < size] = level
    return image


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_a_range_that_overflows_is_still_normalised(kind):
    top = np.finfo(kind).max
    image = np.array([[-top, 0], [top / 2, top]], dtype=kind)
    wide = np.linspace(-1, 1, 256).reshape(16, 16)  # whole numbers but for rounding
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_array_equal(normalise(image), [[0, 127], [191, 255]])
        for image in (wide, wide * np.finfo(np.float64).max):
            np.testing.assert_array_equal(normalise(image), article.normalise(image / 4))


def test_the_articles_whole_numbers_wrap_around_as_they_do_for_its_author():
    wide = np.array([[-32768, 0], [16000, 32767]], dtype=np.int16)
    with np.errstate(all="ignore"):
        assert article.normalise(wide).tolist() != [[0, 127], [189, 255]]


def test_an_image_of_single_precision_is_computed_in_single_precision():
    # Levels that are whole numbers but for rounding, so that the precision decides.
    image = np.arange(256, dtype=np.float32).reshape(16, 16) * np.float32(0.1)
    np.testing.assert_array_equal(normalise(image), article.normalise(image))
    assert np.any(normalise(image) != article.normalise(image.astype(np.float64)))
    tiny = np.array([[0, 1], [2, 4]], dtype=np.float32) * np.finfo(np.float32).smallest_subnormal
    np.testing.assert_array_equal(normalise(tiny), [[0, 63], [127, 255]])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((4, 4), np.nan), "16 of 16 pixels that are NaN .* --nan-background"),
        (np.array([[0, -np.inf], [np.nan, 2]], dtype=np.float32), "2 of 4 pixels"),
        (np.zeros((4, 4), dtype=complex), "complex128"),
        (np.zeros((4, 4), dtype=bool), "of bool"),
        (np.array([["a", "b"]]), "real numbers"),
        (np.array([[1, None]], dtype=object), "of object"),
        (np.ma.masked_less(np.eye(4), 0.5), "MaskedArray .* none masked"),
        ([[1, 2], [3]], "rows of several lengths"),
        (np.zeros(7), r"shape \(7,\)"),
        (np.float64(3), r"shape \(\)"),
        (np.zeros((2, 4, 4)), "2D slice .* create_skull_masks"),
        (np.zeros((0, 4)), r"shape \(0, 4\)"),
    ],
)
def test_what_is_no_slice_is_refused_in_one_sentence_that_names_it(image, message):
    def by_width(image, slice_number):
        return next(masks_by_width(image, (3,), slice_number=slice_number))

    for door in (trace_skull_mask, measure_slice, by_width):
        with pytest.raises(InvalidImage, match=f"^Slice 7.*{message}"):
            door(image, slice_number=7)
    for door in (create_skull_mask, normalise):
        with pytest.raises(InvalidImage, match=f"^The image.*{message}"):
            door(image)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        *((np.zeros(shape), "The stack") for shape in ((96, 80), (0, 4, 4), (1, 2, 3, 4))),
        *((np.zeros((5, 30, n)), "one image with colour channels last") for n in (1, 3, 4)),
        ([[1, 2], [3]], "^The stack has rows of several lengths"),
        (np.stack([np.eye(4), np.full((4, 4), np.nan)]), "Slice 1 has 16 of 16 pixels"),
    ],
)
def test_what_is_no_stack_is_refused(images, message):
    with pytest.raises(InvalidImage, match=message):
        create_skull_masks(images)


def test_only_slices_along_the_last_axis_are_remarked_on(recwarn):
    create_skull_masks(np.zeros((70, 27, 9)))
    create_skull_masks(np.zeros((4, 60, 3)))  # few colours
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"\(64, 28, 9\), whose .* puts it first\.$"):
        create_skull_masks(np.zeros((64, 28, 9)))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("kernel_width", (-1, 2.5, "26", None, True, 1024, float("nan")), "whole number of pixels"),
        ("kernel_shape", ("star", 1), r"one of \('ellipse', 'rectangle'\)"),
        ("connectivity", (6, 8.0, True, "8"), r"one of \(8, 4\)"),
        ("threshold", (256, -1, "mean", True, 2.5), '"otsu" or a whole number from 0 to 255'),
        ("reach_mm", (-1, float("inf"), float("nan"), "7", True), "finite and not negative"),
        ("fill_holes", ("no", 1), r"one of \(True, False\)"),
        ("drop_edge_touching", (None, 0), r"one of \(True, False\)"),
        ("border", ("snake", None), r"one of \('dilation', 'dark growth'\)"),
    ],
)
def test_an_impossible_setting_is_refused(name, values, message):
    what = {"kernel_width": "The kernel width", "reach_mm": "The reach"}.get(name, name)
    for value in values:
        end = "( from 0 to 1023)?, not " + re.escape(repr(value))
        with pytest.raises(InvalidSetting, match=rf"^{what} must be (a.* )?{message}{end}\.$"):
            PipelineSettings(**{name: value})
    with pytest.raises(InvalidSetting, match=r"25 px.* neither with a reach .* of them out\.$"):
        PipelineSettings(reach_mm=7, kernel_width=25)


@pytest.mark.parametrize("drop", [True, False])
def test_a_yes_or_no_may_be_a_number_of_numpy(drop):
    image = head(brain=200)
    image[:20] = 200  # larger than the brain, and it touches the frame
    expected = trace_skull_mask(image, PipelineSettings(drop_edge_touching=drop)).mask
    assert expected.any()
    for kind in (np.bool_, np.int64, np.float32):
        trace = trace_skull_mask(image, PipelineSettings(drop_edge_touching=kind(drop)))
        np.testing.assert_array_equal(trace.mask, expected)


def test_a_reach_in_mm_needs_the_size_of_a_pixel_by_every_door():
    chosen, image = PipelineSettings(reach_mm=7), head()
    with pytest.raises(InvalidSetting, match=r"^A reach of 7 mm needs .* width in px\.$"):
        create_skull_masks(image[None], chosen)
    with pytest.raises(InvalidSetting, match=r"must be \(row, column\) in mm, .* not 0\.5"):
        create_skull_masks(image[None], chosen, spacing_mm=0.5)
    expected = create_skull_mask(image, 15)
    np.testing.assert_array_equal(measure_slice(image, chosen, (1, 1)).mask, expected)
    np.testing.assert_array_equal(trace_skull_mask(image, chosen, spacing_mm=(1, 1)).mask, expected)
    stack = Stack(image[None], spacing_mm=(1, 1))
    assert [*measure_stack(stack, chosen)[["group", "mask_px"]].loc[0]] == ["", expected.sum()]


@pytest.mark.parametrize(
    ("image", "threshold", "reason"),
    [
        (np.full((8, 9), 7.5), "otsu", "the slice is flat: every pixel has the same value"),
        (np.eye(20)[::-1], "otsu", "every bright component touches the frame (1 in all)"),
        (head(), 255, "no pixel is above the threshold"),
    ],
)
def test_an_empty_mask_says_why(image, threshold, reason):
    trace = trace_skull_mask(image, PipelineSettings(threshold=threshold))
    assert not trace.mask.any()
    assert trace.reason == reason
    assert f"the mask is empty: {reason}" in trace.warnings
    assert trace.rules[0].fired == ("flat" in reason)
    nothing = component_mask(trace.labels, 0)
    assert (nothing.dtype, nothing.shape, nothing.sum()) == (np.uint8, image.shape, 0)


def test_a_stack_is_measured_a_row_a_slice_and_its_word_is_the_worst():
    images = np.stack([head(), np.zeros(head().shape), (head() > 100) * 1.0])
    table = measure_stack(Stack(images, groups="a,b,c"))
    assert table.columns.tolist() == [
        *("slice", "group", "threshold", "n_components", "n_edge_touching"),
        *("brain_px", "dilated_px", "mask_px", "reason", "warnings", "status"),
    ]
    assert table["slice"].tolist() == [0, 1, 2]
    assert table["group"].tolist() == ["a", "b", "c"]
    assert table["status"].tolist() == ["ok", "empty", "warned"]
    for index, row in table.iterrows():
        trace = trace_skull_mask(images[index])
        assert (row["warnings"], row["reason"]) == (trace.warnings, trace.reason)
        areas = [one.sum() for one in (trace.brain, trace.dilated, trace.mask)]
        assert row[["brain_px", "dilated_px", "mask_px"]].tolist() == areas
    rows = [{"mask_px": 900, "threshold": 20, "reason": "", "warnings": ()}] * 6
    rows = [row | {"slice": number} for number, row in enumerate(rows)]
    rows[3]["mask_px"], rows[5]["mask_px"] = 300, 100
    add_neighbour_signs(rows, [*"aaaaab"], [0.0] * 6)
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "warned", "ok", "ok"]
    for row in rows:
        row["warnings"] = () if row["slice"] in (3, 4) else ("odd",)  # so no neighbours
    add_neighbour_signs(rows, ["a"] * 6, [1.0] * 6)
    assert [row["status"] for row in rows] == [*["warned"] * 3, "ok", "ok", "warned"]


@pytest.mark.parametrize(
    ("name", "groups", "volumes", "step_mm"),
    [
        *((name, "", [""] * 12, 0.0) for name in ("heads.npy", "single", "pairs")),
        ("heads.nii.gz", "", ["0 heads"] * 12, 4.0),
        ("heads.npy", "him", ["0 him"] * 12, 0.0),
        ("single", ",".join(["him"] * 12), ["him"] * 12, 0.0),
        ("pairs", ",".join(["him"] * 6), [f"{n // 2} him" for n in range(12)], 0.0),
    ],
)
def test_only_slices_of_a_known_volume_are_neighbours(tmp_path, name, groups, volumes, step_mm):
    """Heads of all sizes: of many people, or of one where a grid or a label says so."""
    images = np.zeros((12, *head().shape))
    for image, size in zip(images, np.random.default_rng(3).uniform(0.5, 1, 12), strict=True):
        small = cv2.resize(head(), None, fx=size, fy=size)
        image[-small.shape[0] :, -small.shape[1] :] = small
    np.save(tmp_path / "heads.npy", images)
    affine = np.diag([2.5, 2.5, 4.0, 1])
    nib.save(nib.Nifti1Image(images.transpose(2, 1, 0), affine), tmp_path / "heads.nii.gz")
    for folder, n_files in (("single", 12), ("pairs", 6)):
        (tmp_path / folder).mkdir()
        for number, part in enumerate(np.split(images, n_files)):
            np.save(tmp_path / folder / f"{number:02}.npy", part if n_files == 6 else part[0])
    stack = read_stack(tmp_path / name, groups=groups)
    assert _volumes_of(stack) == (volumes, [step_mm] * 12)
    table, files = measure_stack(stack, PipelineSettings(1)), [one.name for one in stack.sources]
    told = table["warnings"].astype(str).str.contains("around it").any()
    assert told == (volumes[0] != "" and name != "pairs")
    sources = np.repeat(files, 12 // len(files)) if len(files) > 1 else []
    assert list(table.get("source", ())) == list(sources)
