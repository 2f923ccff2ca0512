import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from skullnb.bench.literal import literal_brain, literal_mask, literal_normalise
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.phantom import VARIANTS, published_stack, variant
from skullnb.pipeline import (
    RULES,
    PipelineSettings,
    binarise,
    choose_brain,
    component_mask,
    create_skull_mask,
    create_skull_masks,
    dilate,
    fill_holes,
    label_components,
    masks_by_width,
    normalise,
    otsu_threshold,
    structuring_element,
    trace_skull_mask,
)
from skullnb.pipeline.trace import _quantile

# The literal transcription is exact where its own subtraction does not overflow.
SAFE_FLOATS = {
    np.float32: st.floats(-(2.0**100), 2.0**100, width=32),
    np.float64: st.floats(-1e300, 1e300),
    np.float16: st.floats(-30000, 30000, width=16),
}


def head(scalp=200, brain=120, shape=(96, 80)):
    """A bright ring around a bright disc, dark between: the simplest head."""
    rows, columns = np.indices(shape)
    radius = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2)
    image = np.full(shape, 4.0)
    image[radius < 34] = scalp
    image[radius < 30] = 8
    image[radius < 22] = brain
    image[radius < 5] = 10
    return image


@st.composite
def any_image(draw):
    kind = draw(st.sampled_from(list(SAFE_FLOATS)))
    shape = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    return draw(hnp.arrays(kind, shape, elements=SAFE_FLOATS[kind]))


@st.composite
def blobs(draw):
    """Few grey levels on a small grid: many components, many ties, many frame contacts."""
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    seed = draw(st.integers(0, 2**32 - 1))
    block = draw(st.integers(1, 6))
    levels = draw(st.integers(2, 5))
    coarse = np.random.default_rng(seed).integers(0, levels, (40 // block + 1, 40 // block + 1))
    return np.kron(coarse, np.ones((block, block)))[: shape[0], : shape[1]].astype(np.float32)


@given(any_image(), st.integers(1, 30))
def test_any_finite_float_image_gives_the_literal_mask(image, width):
    np.testing.assert_array_equal(create_skull_mask(image, width), literal_mask(image, width))


@given(blobs(), st.integers(1, 60))
@settings(max_examples=200)
def test_ties_and_frame_contacts_are_decided_as_in_the_literal_version(image, width):
    np.testing.assert_array_equal(create_skull_mask(image, width), literal_mask(image, width))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_noise_with_thousands_of_components_gives_the_literal_mask(kind, seed):
    image = np.random.default_rng(seed).integers(0, 200, (120, 130)).astype(kind)
    np.testing.assert_array_equal(create_skull_mask(image, 3), literal_mask(image, 3))


@pytest.mark.parametrize("number", range(5))
def test_the_phantom_gives_the_literal_mask(number):
    image = published_stack().images[number]
    for width in (1, 2, 25, 26, 27):
        np.testing.assert_array_equal(create_skull_mask(image, width), literal_mask(image, width))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_phantom_variant_gives_the_literal_mask(name):
    image = variant(name).images[0]
    np.testing.assert_array_equal(create_skull_mask(image), literal_mask(image))


@given(blobs(), st.sampled_from([4, 8]), st.booleans(), st.booleans(), st.integers(0, 9))
def test_the_trace_holds_each_stage_of_the_literal_version(image, connectivity, drop, fill, width):
    chosen = PipelineSettings(
        kernel_width=width, connectivity=connectivity, drop_edge_touching=drop, fill_holes=fill
    )
    trace = trace_skull_mask(image, chosen)
    normalised = literal_normalise(image)
    np.testing.assert_array_equal(trace.normalised, normalised)
    level, binary = cv2.threshold(normalised, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    assert trace.threshold == level
    np.testing.assert_array_equal(trace.binary, binary)
    np.testing.assert_array_equal(trace.brain, literal_brain(binary, connectivity, drop))
    if not fill:
        np.testing.assert_array_equal(trace.mask, trace.dilated)
    np.testing.assert_array_equal(create_skull_masks(image[None], chosen)[0], trace.mask)


def test_the_trace_and_the_short_form_agree_bit_for_bit():
    for image in published_stack().images:
        np.testing.assert_array_equal(create_skull_mask(image), trace_skull_mask(image).mask)


def test_the_mask_is_uint8_of_zeros_and_ones():
    mask = create_skull_mask(head())
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 1}


@given(
    hnp.arrays(
        np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 1)
    )
)
def test_holes_are_filled_as_scipy_fills_them(mask):
    np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("width", [1, 2, 3, 25, 26, 27, 60])
def test_one_pixel_dilates_to_the_kernel_turned_about_its_anchor(width):
    dot = np.zeros((151, 151), dtype=np.uint8)
    dot[75, 75] = 1
    rows, columns = np.nonzero(dilate(dot, width))
    before, after = (width - 1) // 2, width // 2
    assert (75 - rows.min(), rows.max() - 75) == (before, after)
    assert (75 - columns.min(), columns.max() - 75) == (before, after)
    assert len(rows) == np.count_nonzero(structuring_element(width))


@given(st.integers(1, 59))
def test_a_wider_kernel_never_gives_a_smaller_mask(width):
    narrow, wide = create_skull_mask(head(), width), create_skull_mask(head(), width + 1)
    # Kernels are nested about the anchor only in steps of two, areas in every step.
    assert wide.sum() >= narrow.sum()


@given(st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_gain_and_offset_hardly_matter(gain, offset):
    moved = create_skull_mask(head() * gain + offset)
    assert np.mean(moved != create_skull_mask(head())) < 0.01


def test_an_odd_kernel_commutes_with_mirroring_and_an_even_one_does_not():
    image = head(shape=(97, 81))
    image[30:40, 20:60] += 30
    mirrored = image[:, ::-1]
    np.testing.assert_array_equal(
        create_skull_mask(mirrored, 25), create_skull_mask(image, 25)[:, ::-1]
    )
    assert np.any(create_skull_mask(mirrored, 26) != create_skull_mask(image, 26)[:, ::-1])


@pytest.mark.parametrize(
    "kind", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
)
def test_integers_over_their_full_range_do_not_wrap(kind):
    limits = np.iinfo(kind)
    unit = head() / 200
    wide = (limits.min + unit * (float(limits.max) - float(limits.min)) * 0.99).astype(kind)
    expected = literal_normalise(wide.astype(np.float64))
    np.testing.assert_array_equal(normalise(wide), expected)
    np.testing.assert_array_equal(create_skull_mask(wide), literal_mask(wide.astype(np.float64)))


def test_the_literal_version_wraps_where_ours_does_not():
    wide = np.array([[-32768, 0], [16000, 32767]], dtype=np.int16)
    with np.errstate(all="ignore"):
        literal = (wide - wide.min()) / (wide.max() - wide.min())
    assert literal.min() < 0 or literal.max() > 1
    np.testing.assert_array_equal(normalise(wide), [[0, 127], [189, 255]])


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_a_range_that_overflows_is_still_normalised(kind):
    top = np.finfo(kind).max
    image = np.array([[-top, 0], [top / 2, top]], dtype=kind)
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_array_equal(normalise(image), [[0, 127], [191, 255]])


@pytest.mark.parametrize("scale", [1.0, np.finfo(np.float64).max])
def test_a_wide_range_has_the_levels_of_the_same_range_a_quarter_as_wide(scale):
    image = np.linspace(-1, 1, 256).reshape(16, 16) * scale  # whole numbers but for rounding
    levels = (image / 4 - image.min() / 4) / (image.max() / 4 - image.min() / 4) * 255
    np.testing.assert_array_equal(normalise(image), levels.astype(np.uint8))


def test_an_image_of_single_precision_is_computed_in_single_precision():
    # Levels that are whole numbers but for rounding, so that the precision decides.
    image = np.arange(256, dtype=np.float32).reshape(16, 16) * np.float32(0.1)
    levels = (image - image.min()) / (image.max() - image.min()) * 255
    assert levels.dtype == np.float32
    in_double = image.astype(np.float64) / image.max().astype(np.float64) * 255
    assert np.any(in_double.astype(np.uint8) != levels.astype(np.uint8))
    np.testing.assert_array_equal(normalise(image), levels.astype(np.uint8))


def test_the_smallest_floats_are_still_normalised():
    tiny = np.finfo(np.float32).smallest_subnormal
    image = np.array([[0, 1], [2, 4]], dtype=np.float32) * tiny
    np.testing.assert_array_equal(normalise(image), [[0, 63], [127, 255]])


@pytest.mark.parametrize(
    "view",
    [
        lambda image: image.astype(">f8"),
        lambda image: np.asfortranarray(image),
        lambda image: np.repeat(np.repeat(image, 2, 0), 2, 1)[::2, ::2],
        lambda image: image[::-1][::-1],
    ],
    ids=["big-endian", "column-major", "strided", "negative stride"],
)
def test_the_layout_in_memory_does_not_matter(view):
    np.testing.assert_array_equal(create_skull_mask(view(head())), create_skull_mask(head()))


def test_a_read_only_image_works_and_is_left_alone():
    image = head()
    image.flags.writeable = False
    before = image.copy()
    create_skull_mask(image)
    np.testing.assert_array_equal(image, before)


def test_a_list_of_lists_is_taken_as_an_image():
    assert create_skull_mask([[0, 0, 0], [0, 9, 0], [0, 0, 0]], 1).sum() == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((4, 4), np.nan), "16 of 16 pixels that are NaN"),
        (np.array([[0, np.inf], [1, 2]]), "1 of 4 pixels that are NaN or infinite"),
        (np.array([[0, -np.inf], [np.nan, 2]], dtype=np.float32), "2 of 4 pixels"),
        (np.zeros((4, 4), dtype=complex), "complex128"),
        (np.zeros((4, 4), dtype=bool), "type bool"),
        (np.array([["a", "b"]]), "real numbers"),
        (np.array([[1, None]], dtype=object), "type object"),
        (np.ma.masked_less(np.eye(4), 0.5), "masked array"),
        (np.zeros(7), "1 dimension"),
        (np.float64(3), "0 dimension"),
        (np.zeros((2, 4, 4)), "create_skull_masks"),
        (np.zeros((0, 4)), "is empty"),
        (np.zeros((4, 0)), "is empty"),
    ],
)
def test_what_is_no_slice_is_refused_in_one_sentence(image, message):
    for function in (create_skull_mask, trace_skull_mask, normalise):
        with pytest.raises(InvalidImage, match=message):
            function(image)


def test_a_bad_slice_in_a_stack_is_named_with_its_count():
    images = np.stack([head()] * 3)
    images[2, :2, :3] = np.nan
    with pytest.raises(InvalidImage, match=r"Slice 2 has 6 of 7680 pixels"):
        create_skull_masks(images)


def test_a_bad_slice_at_several_widths_is_named():
    for bad in (np.zeros((4, 4), dtype=complex), np.full((4, 4), np.nan)):
        with pytest.raises(InvalidImage, match="Slice 7 has"):
            next(masks_by_width(bad, (3,), slice_number=7))


def test_no_component_is_an_empty_mask_like_any_other():
    nothing = component_mask(np.ones((3, 4), dtype=np.int32), 0)
    assert (nothing.dtype, nothing.shape, nothing.sum()) == (np.uint8, (3, 4), 0)


def test_slices_that_hold_no_numbers_are_refused_with_the_first_ones_number():
    with pytest.raises(InvalidImage, match="Slice 0 has pixels of type complex128"):
        create_skull_masks(np.zeros((2, 4, 4), dtype=complex))


@pytest.mark.parametrize("images", [head(), np.zeros((0, 4, 4)), np.zeros((1, 2, 3, 4))])
def test_what_is_no_stack_is_refused(images):
    with pytest.raises(InvalidImage, match="The stack"):
        create_skull_masks(images)


@pytest.mark.parametrize("width", [-1, 2.5, "26", None, True, 1024, float("nan")])
def test_an_impossible_kernel_width_is_refused(width):
    with pytest.raises(InvalidSetting, match="whole number of pixels"):
        create_skull_mask(head(), width)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"kernel_shape": "star"}, "ellipse, rectangle"),
        ({"connectivity": 6}, "4 or 8"),
        ({"threshold": 256}, "0 to 255"),
        ({"threshold": -1}, "0 to 255"),
        ({"threshold": "mean"}, "otsu"),
        ({"threshold": True}, "otsu"),
    ],
)
def test_an_impossible_setting_is_refused(setting, message):
    with pytest.raises(InvalidSetting, match=message):
        PipelineSettings(**setting)


def test_a_kernel_of_no_width_cannot_be_drawn():
    with pytest.raises(InvalidSetting, match=r"^A structuring element is at least 1 px wide\.$"):
        structuring_element(0)
    with pytest.raises(InvalidSetting, match="whole number of pixels"):
        structuring_element(-1)


def test_the_kernel_is_as_wide_as_the_article_says_unless_told():
    np.testing.assert_array_equal(dilate(head()), dilate(head(), 26))
    assert dilate(head()).sum() < dilate(head(), 27).sum()


def test_width_zero_switches_the_dilation_off():
    trace = trace_skull_mask(head(), PipelineSettings(kernel_width=0))
    np.testing.assert_array_equal(trace.dilated, trace.brain)


def test_a_threshold_by_hand_is_used_as_given():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    trace = trace_skull_mask(image, PipelineSettings(threshold=200))
    assert trace.threshold == 200
    assert trace.binary.sum() == 55


def test_bright_is_strictly_above_the_threshold():
    np.testing.assert_array_equal(binarise(np.array([[22, 23, 24]], np.uint8), 23), [[0, 0, 1]])
    two_levels = np.array([[10] * 5 + [200] * 5], dtype=np.uint8)
    assert otsu_threshold(two_levels) == 10


def test_a_flat_slice_gives_an_empty_mask_and_says_why():
    trace = trace_skull_mask(np.full((8, 9), 7.5))
    assert not trace.mask.any()
    assert "flat" in trace.reason
    assert trace.rules[0].fired
    assert any("the mask is empty" in one for one in trace.warnings)


def test_no_inner_component_gives_an_empty_mask_and_says_why():
    image = np.zeros((20, 20))
    image[:, :5] = 1.0
    trace = trace_skull_mask(image)
    assert not trace.mask.any()
    assert trace.reason == "every bright component touches the frame (1 of 1)"


def test_a_threshold_above_everything_says_that_nothing_is_bright():
    trace = trace_skull_mask(head(), PipelineSettings(threshold=255))
    assert not trace.mask.any()
    assert trace.reason == "no pixel is above the threshold"


def test_equal_components_are_decided_for_the_first_label():
    binary = np.zeros((9, 20), dtype=np.uint8)
    binary[2:5, 2:5] = binary[2:5, 10:13] = binary[6:8, 2:5] = 1
    labels, components = label_components(binary)
    chosen = choose_brain(components)
    assert components["area"].max() == 9
    assert chosen == labels[2, 2]


def test_components_are_measured():
    binary = np.zeros((10, 12), dtype=np.uint8)
    binary[0, 3] = 1
    binary[4:7, 5:10] = 1
    _, components = label_components(binary)
    assert components["label"].tolist() == [1, 2]
    assert components["area"].tolist() == [1, 15]
    assert components["touches_edge"].tolist() == [True, False]
    one = components[1]
    assert (one["top"], one["left"], one["height"], one["width"]) == (4, 5, 3, 5)


@pytest.mark.parametrize(("row", "column"), [(0, 5), (9, 5), (4, 0), (4, 11), (0, 0), (9, 11)])
def test_contact_with_any_side_of_the_frame_counts(row, column):
    binary = np.zeros((10, 12), dtype=np.uint8)
    binary[row, column] = 1
    assert label_components(binary)[1]["touches_edge"].tolist() == [True]


def test_diagonal_neighbours_join_in_eight_and_not_in_four():
    binary = np.eye(5, dtype=np.uint8)
    assert len(label_components(binary, 8)[1]) == 1
    assert len(label_components(binary, 4)[1]) == 5


def test_each_rule_says_what_it_did():
    image = head()
    image[:, 0:2] = 250
    trace = trace_skull_mask(image, PipelineSettings(kernel_width=5))
    rules = {rule.name: rule for rule in trace.rules}
    assert tuple(rules) == RULES
    assert not rules["flat-image guard"].fired
    assert rules["threshold"].n_pixels == trace.binary.sum()
    assert rules["drop edge-touching"].fired
    assert rules["drop edge-touching"].n_pixels == 2 * image.shape[0]
    assert rules["choose largest"].fired
    assert rules["dilate"].n_pixels == trace.dilated.sum() - trace.brain.sum()
    assert rules["fill holes"].n_pixels == trace.mask.sum() - trace.dilated.sum()
    assert trace.n_edge_touching == 1


def test_a_rule_that_is_switched_off_does_not_fire():
    image = head()
    image[:, 0:2] = 250
    off = PipelineSettings(kernel_width=0, drop_edge_touching=False, fill_holes=False)
    rules = {rule.name: rule for rule in trace_skull_mask(image, off).rules}
    assert not rules["drop edge-touching"].fired
    assert not rules["dilate"].fired
    assert not rules["fill holes"].fired


def test_an_ordinary_head_raises_no_warning():
    for image in published_stack().images:
        assert trace_skull_mask(image).warnings == ()


def test_one_hot_pixel_is_warned_about():
    image = published_stack().images[2].copy()
    image[300, 300] *= 1e6
    trace = trace_skull_mask(image)
    assert 0 < trace.mask.sum() < 1000
    assert any("a few pixels own most of the range" in one for one in trace.warnings)
    assert any("in its lowest 0.39%," in one for one in trace.warnings)
    assert any("too little for a head" in one for one in trace.warnings)


def test_the_range_that_a_few_pixels_leave_is_given_up_to_the_next_level():
    image = np.tile([0.0, 5.0], 800).reshape(40, 40)
    image[20, 20] = 255
    assert "in its lowest 2.4%," in trace_skull_mask(image).warnings[0]


def test_a_mask_over_the_whole_frame_is_warned_about():
    image = np.zeros((40, 40))
    image[1:-1, 1:-1] = 1.0
    assert any("too much for a head" in one for one in trace_skull_mask(image).warnings)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30))))
def test_the_level_that_tells_a_hot_pixel_is_a_quantile_of_the_pixels(levels):
    assert _quantile(levels, 0.999) == pytest.approx(np.quantile(levels, 0.999))
