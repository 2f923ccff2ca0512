"""Growing through the dark: the rule against itself written the long way, and on known shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from skullnb.pipeline import Mask, fill_holes
from skullnb.pipeline.border import disc, grow_through_dark

Spacing = tuple[float, float]


def footprint(radius_mm: float, spacing: Spacing) -> np.ndarray:
    """Ask of every pixel whether it lies within the radius."""
    down, across = (int(radius_mm / size) + 1 for size in spacing)
    rows, columns = np.mgrid[-down : down + 1, -across : across + 1]
    return (rows * spacing[0]) ** 2 + (columns * spacing[1]) ** 2 <= radius_mm**2


def long_way(
    brain: Mask, normalised: Mask, threshold: float, spacing: Spacing, *words: float
) -> np.ndarray:
    """Write the rule down as it is told, on a frame so wide that nothing reaches its end."""
    reach_mm, share, margin_mm, closing_mm = words
    room = int((reach_mm + closing_mm + 8) / min(spacing)) + 2
    inner = (slice(room, -room),) * 2

    def dilate(mask: np.ndarray, mm: float) -> np.ndarray:
        return ndimage.binary_dilation(mask, footprint(mm, spacing))

    def erode(mask: np.ndarray, mm: float) -> np.ndarray:
        return ndimage.binary_erosion(mask, footprint(mm, spacing))

    def close(mask: np.ndarray, mm: float) -> np.ndarray:
        closed = np.zeros_like(mask)
        closed[inner] = erode(dilate(mask, mm), mm)[inner]
        return closed

    def largest(mask: np.ndarray) -> np.ndarray:
        labels, n = ndimage.label(mask)
        return mask & (labels == 1 + np.argmax(np.bincount(labels.ravel(), minlength=n + 2)[1:]))

    grey, found = (np.pad(one.astype(float), room) for one in (normalised, brain))
    head = largest(ndimage.binary_fill_holes(close(grey > 0.5 * threshold, 3)))
    closed = ndimage.binary_fill_holes(close(found > 0, 4))
    inside = erode(head, margin_mm)
    near = dilate(closed, min(2, reach_mm)) & inside
    grown = near | ((grey < share * threshold) & dilate(closed, reach_mm) & inside)
    grown = near | dilate(erode(grown, 2), 2)
    return close(largest(grown), closing_mm)[inner]


def blobs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    smooth = ndimage.gaussian_filter(rng.random(shape), rng.uniform(0, 3))
    return smooth > np.quantile(smooth, rng.uniform(0.05, 0.95))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_every_pixel_is_as_the_rule_written_the_long_way_says(
    seed: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    brain = blobs(rng, (height, width))
    levels = rng.integers(0, 256, (height, width)) // rng.integers(1, 4)
    levels[blobs(rng, (height, width))] = rng.integers(0, 256)
    spacing = tuple(rng.choice([0.6, 0.7, 1.0, 1.3, 3.0], 2).tolist())
    words = (
        float(rng.choice([0, 1.4, 5, 14])),
        float(rng.choice([0.6, 0.9, 1.2])),
        float(rng.choice([0, 1, 3])),
        float(rng.choice([0, 2, 8])),
    )
    threshold = float(rng.choice([0, 40, 97, 130.5]))
    found = grow_through_dark(
        brain.astype(np.uint8), levels.astype(np.uint8), threshold, spacing, *words
    )
    assert found.dtype == np.uint8
    expected = long_way(brain, levels.astype(np.uint8), threshold, spacing, *words)
    np.testing.assert_array_equal(found, expected)


@given(st.floats(0, 20), st.floats(0.3, 4), st.floats(0.3, 4))
def test_a_disc_holds_the_pixels_whose_centres_are_near_enough(
    radius_mm: float, row: float, column: float
) -> None:
    rows, there = disc(radius_mm, (row, column)), footprint(radius_mm, (row, column))
    middle = len(there) // 2
    widths = there[middle:].sum(axis=1)
    assert rows.tolist() == ((widths[widths > 0] - 1) // 2).tolist()


def drawn_head(brain_mm: float, skull_mm: float, head_mm: float, spacing: Spacing) -> Mask:
    """Draw a brain, bone and CSF around it, and scalp, all round: levels 220, 20, 180."""
    rows, columns = np.mgrid[-110:111, -110:111]
    away = np.hypot(rows * spacing[0], columns * spacing[1])
    levels = np.zeros(away.shape, dtype=np.uint8)
    for radius, level in ((head_mm, 180), (skull_mm, 20), (brain_mm, 220)):
        levels[away <= radius] = level
    return levels


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.8, 0.8), (1.0, 0.75)])
@pytest.mark.parametrize(("thickness", "expected"), [(4, 4), (11, 11), (20, 14)])
def test_it_stops_where_the_scalp_begins_and_at_the_reach_at_the_latest(
    spacing: Spacing, thickness: float, expected: float
) -> None:
    levels = drawn_head(40, 40 + thickness, 52 + thickness, spacing)
    brain = (levels == 220).astype(np.uint8)
    mask = fill_holes(grow_through_dark(brain, levels, 100, spacing))
    area = np.count_nonzero(mask) * spacing[0] * spacing[1]
    assert np.sqrt(area / np.pi) == pytest.approx(40 + expected, abs=0.5)


def test_where_bright_marrow_touches_the_brain_it_still_grows_a_little() -> None:
    levels = drawn_head(40, 40, 60, (1.0, 1.0))
    brain = (levels == 220).astype(np.uint8)
    grown = grow_through_dark(brain, levels, 100, (1.0, 1.0))
    assert np.sqrt(np.count_nonzero(grown) / np.pi) == pytest.approx(42, abs=0.5)


def test_a_head_without_scalp_is_kept_out_of_by_the_margin() -> None:
    levels = drawn_head(40, 40, 40, (1.0, 1.0))
    brain = (levels == 220).astype(np.uint8)
    grown = grow_through_dark(brain, levels, 100, (1.0, 1.0))
    assert np.sqrt(np.count_nonzero(grown) / np.pi) == pytest.approx(37, abs=0.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (30, 30)])
def test_without_a_brain_nothing_grows(shape: tuple[int, int]) -> None:
    nothing = np.zeros(shape, dtype=np.uint8)
    assert not grow_through_dark(nothing, nothing, 0, (1.0, 1.0)).any()


def test_its_arrays_may_be_read_only_and_are_not_changed() -> None:
    levels = drawn_head(40, 46, 60, (1.0, 1.0))
    brain = (levels == 220).astype(np.uint8)
    before = grow_through_dark(brain, levels, 100, (1.0, 1.0))
    levels.flags.writeable = brain.flags.writeable = False
    np.testing.assert_array_equal(grow_through_dark(brain, levels, 100, (1.0, 1.0)), before)
    strided = np.asfortranarray(brain), np.asfortranarray(levels)
    np.testing.assert_array_equal(grow_through_dark(*strided, 100, (1.0, 1.0)), before)
