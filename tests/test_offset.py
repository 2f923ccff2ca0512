import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skullnb.errors import InvalidSetting
from skullnb.metrics import dice, score
from skullnb.offset import (
    dice_of_offset,
    equivalent_radius,
    local_error,
    moved_border,
    offset_of_dice,
)
from skullnb.phantom import published_stack
from skullnb.reach import disc_element

RADII = st.floats(1, 1000)


@given(RADII, st.floats(0, 0.5))
def test_a_dice_can_be_turned_into_a_distance_and_back(radius, share):
    offset = share * radius
    assert offset_of_dice(radius, dice_of_offset(radius, offset)) == pytest.approx(
        offset, abs=1e-6 * radius
    )


@given(RADII, st.floats(0.001, 0.3), st.floats(1.5, 10))
def test_the_same_offset_costs_a_larger_head_less(radius, share, factor):
    offset = share * radius
    assert dice_of_offset(factor * radius, offset) > dice_of_offset(radius, offset)


@given(RADII, st.floats(-0.2, 0.2))
def test_a_small_offset_costs_its_share_of_the_radius(radius, share):
    expected = pytest.approx(1 - abs(share), abs=share**2 + 1e-9)
    assert dice_of_offset(radius, share * radius) == expected


def test_the_formula_is_right_about_drawn_discs():
    mask = np.pad(disc_element(301), 10)
    radius = equivalent_radius(mask)
    for offset in (-3, -1, 0, 1, 3):
        # Pixels leave the border uncertain by a fraction of one.
        near = pytest.approx(abs(offset), abs=0.2)
        assert offset_of_dice(radius, dice(moved_border(mask, offset), mask)) == near


def test_on_the_published_phantom_a_pixel_of_border_costs_less_than_half_a_percent():
    reference = published_stack().reference[2]
    scores = [dice(moved_border(reference, offset), reference) for offset in (1, 2, 3)]
    assert 0.995 < scores[0] < 0.997
    assert scores[0] - scores[1] == pytest.approx(scores[1] - scores[2], rel=0.2)


@given(st.integers(-8, 8))
def test_a_moved_border_lies_where_it_should(offset):
    mask = np.pad(disc_element(41), 12)
    moved = moved_border(mask, offset)
    result = score(moved, mask)
    assert result.hausdorff == pytest.approx(abs(offset), abs=0.9)
    assert np.all(moved >= mask) if offset >= 0 else np.all(moved <= mask)


def test_the_frame_counts_as_background():
    assert moved_border(np.ones((5, 5), dtype=np.uint8), -1).sum() == 9


@given(st.integers(0, 300))
def test_a_local_error_has_as_many_wrong_pixels_as_asked(n_pixels):
    mask = np.pad(disc_element(31), 15)
    bumped = local_error(mask, n_pixels)
    assert np.count_nonzero(bumped != mask) == n_pixels
    assert np.all(bumped >= mask)


def test_the_same_dice_can_hide_very_different_borders():
    reference = published_stack().reference[2]
    moved = moved_border(reference, 2)
    bumped = local_error(reference, int(moved.sum() - reference.sum()))
    everywhere, in_one_place = score(moved, reference), score(bumped, reference)
    assert everywhere.dice == in_one_place.dice
    assert in_one_place.hausdorff > 15 * everywhere.hausdorff
    assert everywhere.nsd == 0
    assert in_one_place.nsd > 0.9


def test_what_cannot_be_is_refused():
    empty = np.zeros((4, 4), dtype=np.uint8)
    with pytest.raises(InvalidSetting, match="no border"):
        moved_border(empty, 1)
    with pytest.raises(InvalidSetting, match="no border"):
        local_error(empty, 1)
    with pytest.raises(InvalidSetting, match="cannot be added"):
        local_error(np.ones((4, 4), dtype=np.uint8), 1)
    for radius, offset in ((0, 1), (-1, 1), (5, -5), (float("nan"), 1)):
        with pytest.raises(InvalidSetting, match="cannot be moved"):
            dice_of_offset(radius, offset)
    for value in (0, -0.1, 1.1, float("nan")):
        with pytest.raises(InvalidSetting, match="above 0 and at most 1"):
            offset_of_dice(100, value)
