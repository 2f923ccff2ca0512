import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from skullnb import published
from skullnb.errors import InvalidSetting
from skullnb.head_model import smallest_head
from skullnb.implied import (
    check_chain,
    difference_element,
    error_share,
    least_area,
    least_growth,
    solid_cells,
)
from skullnb.phantom import VARIANTS, published_stack, subject, variant
from skullnb.pipeline import dilate, trace_skull_mask
from skullnb.reach import disc_element

FRAME = published.SHAPE[1] * published.SHAPE[2]
TABLE = {width: row.iou for width, row in published.SWEEP.items()}
SHAPES = st.sampled_from(["ellipse", "rectangle"])
BLOBS = hnp.arrays(np.uint8, (14, 17), elements=st.integers(0, 1))


def disc(radius, centre, shape=(120, 120)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    return inside.astype(np.uint8)


@pytest.fixture(scope="module")
def head_of_the_published_table():
    return smallest_head(TABLE)


@given(BLOBS, BLOBS, st.integers(1, 9), st.integers(1, 9), SHAPES)
def test_the_argument_holds_for_any_two_shapes(brain, reference, narrow, more, shape):
    assume(brain.any() and reference.any())
    chain = check_chain(brain, reference, narrow, narrow + more, shape)
    assert chain.holds, chain.steps


@given(
    st.integers(3, 40),
    st.integers(3, 55),
    st.integers(0, 12),
    st.integers(1, 30),
    st.integers(1, 12),
)
@settings(max_examples=50)
def test_the_argument_holds_for_discs_that_are_not_centred(inner, outer, shift, narrow, more):
    brain, reference = disc(inner, (60, 60)), disc(outer, (60 + shift, 60))
    chain = check_chain(brain, reference, narrow, narrow + more)
    assert chain.holds, chain.steps


@given(st.integers(0, 10_000), st.floats(-20, 90), st.sampled_from([(6, 8), (5, 7), (2, 30)]))
@settings(max_examples=12)
def test_the_argument_holds_for_any_subject(seed, level, widths):
    head = subject(seed, levels=[level], shape=(192, 156), spacing_mm=(1.5, 1.5))
    brain = trace_skull_mask(head.images[0]).brain
    assume(brain.any())
    chain = check_chain(brain, head.reference[0], *widths)
    assert chain.holds, chain.steps


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_the_argument_holds_for_every_variant(name):
    stack = variant(name)
    checked = 0
    for image, reference in zip(stack.images[::2], stack.reference[::2], strict=True):
        brain = trace_skull_mask(image).brain
        if brain.any():
            for widths in ((22, 30), (45, 61)):
                chain = check_chain(brain, reference, *widths)
                assert chain.holds, chain.steps
                checked += 1
    assert checked


def test_the_argument_says_something_about_the_phantom():
    stack = published_stack()
    for image, reference in zip(stack.images, stack.reference, strict=True):
        chain = check_chain(trace_skull_mask(image).brain, reference, 22, 30)
        assert chain.holds
        assert 0.25 < chain.least_reference / chain.reference <= 1
        assert chain.growth > 0.7 * (chain.wide - chain.narrow)


@given(st.integers(1, 40), st.integers(0, 25), SHAPES)
def test_the_difference_element_is_all_that_is_left_between_two_kernels(narrow, more, shape):
    wide = narrow + more
    element = difference_element(narrow, wide, shape)
    pixel = np.zeros((4 * wide + 3, 4 * wide + 3), dtype=np.uint8)
    pixel[2 * wide + 1, 2 * wide + 1] = 1
    small, large = dilate(pixel, narrow, shape), dilate(pixel, wide, shape)
    steps = np.argwhere(element) - wide
    moved = [np.roll(small, tuple(step), axis=(0, 1)) for step in steps]
    assert all(np.all(one <= large) for one in moved)
    outside = set(map(tuple, np.argwhere(element == 0) - wide))
    neighbours = {
        (row + down, column + right)
        for row, column in steps
        for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0))
    }
    for step in neighbours & outside:
        assert np.any(np.roll(small, step, axis=(0, 1)) > large)


def test_the_difference_of_two_rectangles_is_a_rectangle():
    element = difference_element(22, 30, "rectangle")
    assert element.sum() == 9 * 9
    assert solid_cells(element) == 8 * 8


def test_a_kernel_cannot_be_narrower_than_itself():
    with pytest.raises(InvalidSetting, match="is wider than"):
        difference_element(30, 22)


def test_growth_of_a_large_disc_is_near_the_bound():
    width = 801
    grown = np.count_nonzero(dilate(np.pad(disc_element(width), 20), 21))
    area = np.count_nonzero(disc_element(width))
    bound = least_growth(area, np.pi * 10**2)
    assert grown - area == pytest.approx(bound, rel=0.04)


@given(st.floats(0.5, 0.999), st.floats(0.5, 0.999))
def test_the_share_covers_means_and_pooled_rows(first, second):
    assume(first + second > 1.001)
    each = (1 - first) / first + (1 - second) / second
    assert error_share(first, second, rounding=0) >= each * (1 - 1e-12)
    assert error_share(first, second) > error_share(first, second, rounding=0)


@given(
    st.lists(st.tuples(st.floats(0.7, 1), st.floats(0.7, 1), st.floats(1, 9)), min_size=1),
    st.booleans(),
)
def test_at_least_one_slice_of_a_table_has_so_few_errors(slices, pooled):
    # A slice is its two IoUs and its area; the masks hold the reference, so errors are 1/IoU - 1.
    iou = np.array([one[:2] for one in slices])
    area = np.array([one[2] for one in slices])[:, None]
    errors = area * (1 / iou - 1)
    row = area.sum() / (area + errors).sum(axis=0) if pooled else iou.mean(axis=0)
    share = error_share(*row, rounding=0)
    assert np.min(errors.sum(axis=1) / area[:, 0]) <= share * (1 + 1e-9) + 1e-12


def test_rows_too_low_to_bound_anything_bound_nothing():
    assert error_share(0.4, 0.5) == np.inf
    assert least_area(1.0, 34) == least_area(np.inf, 34) == 0
    with pytest.raises(InvalidSetting, match="above zero"):
        least_area(0.0, 34)


@given(st.floats(0.001, 0.9), st.floats(1, 1000))
def test_the_least_area_solves_the_inequality(share, cells):
    area = least_area(share, cells)
    assert share * area == pytest.approx(least_growth((1 - share) * area, cells))
    for factor, enough in ((0.99, False), (1.01, True)):
        trial = factor * area
        assert (share * trial >= least_growth((1 - share) * trial, cells)) == enough


def test_empty_masks_and_widths_in_the_wrong_order_are_refused():
    mask = disc(5, (20, 20), (40, 40))
    with pytest.raises(InvalidSetting, match="not empty"):
        check_chain(np.zeros_like(mask), mask, 3, 5)
    with pytest.raises(InvalidSetting, match="narrower than the second"):
        check_chain(mask, mask, 5, 5)


def test_read_as_a_reach_the_table_needs_more_than_half_the_frame():
    share = error_share(TABLE[22], TABLE[30])
    as_width = least_area(share, solid_cells(difference_element(22, 30)))
    # An ellipse that reaches r px to every side is 2 r + 1 px wide.
    as_reach = least_area(share, solid_cells(difference_element(45, 61)))
    assert as_width < 0.12 * FRAME
    assert as_reach > 0.5 * FRAME


def test_read_as_a_reach_no_head_in_the_model_fits_the_frame(head_of_the_published_table):
    assert np.pi * head_of_the_published_table**2 > FRAME
    assert np.pi * (head_of_the_published_table / 2) ** 2 < FRAME / 2


def test_twice_the_reach_needs_a_head_twice_as_large(head_of_the_published_table):
    halved = smallest_head({width / 2: iou for width, iou in TABLE.items()})
    assert halved == pytest.approx(head_of_the_published_table / 2, rel=5e-5)  # five digits


def test_the_model_allows_the_phantom(head_of_the_published_table):
    radius = np.sqrt(published_stack().reference.sum(axis=(1, 2)) / np.pi)
    assert head_of_the_published_table / 2 < radius.max()


@pytest.mark.parametrize("law", [stats.norm(13, 3), stats.uniform(9, 8), stats.gamma(9, 0, 1.5)])
def test_the_model_never_asks_for_more_than_a_head_that_gives_the_table(law):
    brain, distance = 180.0, law.ppf(np.linspace(0.0005, 0.9995, 1000))
    reference = (brain + distance) ** 2
    table = {}
    for reach in (9, 11, 13, 15, 17):
        mask = (brain + reach) ** 2
        both = np.minimum(reference, mask).mean()
        table[reach] = both / (reference.mean() + mask - both)
    truth = np.sqrt(reference.mean())
    one_hump, any_law = smallest_head(table), smallest_head(table, one_hump=False)
    assert any_law <= one_hump * 1.005
    assert one_hump <= truth * 1.02
    assert any_law > 0.5 * truth


def test_a_table_that_no_head_gives_is_called_impossible():
    assert smallest_head({10: 0.9, 14: 0.2, 18: 0.9}) == np.inf


def test_one_row_is_too_few():
    with pytest.raises(InvalidSetting, match="at least two"):
        smallest_head({13: 0.98})
