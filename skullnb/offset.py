"""From overlap to distance: what an IoU or a Dice says about the border, and what it does not."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skullnb.errors import InvalidSetting
from skullnb.pipeline import Mask

__all__ = [
    "dice_of_offset",
    "equivalent_radius",
    "largest_slice",
    "local_error",
    "moved_border",
    "offset_of_dice",
    "same_dice",
]


def equivalent_radius(mask: Mask) -> float:
    """Radius of the disc as large as a mask.

    Parameters
    ----------
    mask : (H, W) uint8 {0, 1}

    Returns
    -------
    float
        In px.

    Examples
    --------
    >>> round(equivalent_radius(np.ones((10, 10), dtype=np.uint8)), 2)
    5.64
    """
    return math.sqrt(np.count_nonzero(mask) / math.pi)


def largest_slice(masks: Mask) -> int:
    """Find the slice with the largest mask.

    Parameters
    ----------
    masks : (N, H, W) uint8 {0, 1}

    Returns
    -------
    int
        Its index; the first of equals.

    Examples
    --------
    >>> largest_slice(np.array([[[0, 1]], [[1, 1]]], dtype=np.uint8))
    1
    """
    return int(np.argmax([np.count_nonzero(mask) for mask in masks]))


def dice_of_offset(radius: float, offset: float) -> float:
    """Dice of a disc with the disc whose border lies a little further out everywhere.

    Parameters
    ----------
    radius : float
        Of the reference, in px or mm, above zero.
    offset : float
        In the same unit; negative lies further in.

    Returns
    -------
    float
        In [0, 1]; close to 1 - offset / radius while the offset is small.

    Raises
    ------
    InvalidSetting
        If the radius is not positive, or the offset takes away more than the disc.

    Examples
    --------
    >>> round(dice_of_offset(100.0, 1.0), 4)
    0.99
    """
    if not radius > 0 or not offset > -radius:
        raise InvalidSetting(
            f"A disc of radius {radius:g} cannot be moved by {offset:g}; give a radius above zero "
            "and an offset that leaves some of it."
        )
    smaller, larger = sorted((radius**2, (radius + offset) ** 2))
    return 2 * smaller / (smaller + larger)


def offset_of_dice(radius: float, dice: float) -> float:
    """Invert `dice_of_offset`: how far out the border lies when the Dice is known.

    Parameters
    ----------
    radius : float
        Of the reference, in px or mm.
    dice : float
        In (0, 1].

    Returns
    -------
    float
        Outward, in the radius's unit.

    Raises
    ------
    InvalidSetting
        If the Dice is outside (0, 1].

    Examples
    --------
    >>> round(offset_of_dice(100.0, dice_of_offset(100.0, 2.5)), 6)
    2.5
    """
    if not 0 < dice <= 1:
        raise InvalidSetting(f"A Dice is above 0 and at most 1, not {dice!r}.")
    return radius * (math.sqrt(2 / dice - 1) - 1)


def moved_border(mask: Mask, offset: float) -> Mask:
    """Move the whole border of a mask outwards or inwards by one distance.

    Parameters
    ----------
    mask : (H, W) uint8 {0, 1}
        Not empty.
    offset : float
        In px; negative moves inwards. The frame cuts off what leaves it.

    Returns
    -------
    (H, W) uint8 {0, 1}
        Pixels no further than the offset from a mask pixel; inwards, those further than it from
        every background pixel.

    Raises
    ------
    InvalidSetting
        If the mask is empty.

    Examples
    --------
    >>> dot = np.zeros((5, 5), dtype=np.uint8)
    >>> dot[2, 2] = 1
    >>> int(moved_border(dot, 1).sum()), int(moved_border(moved_border(dot, 1), -1).sum())
    (5, 1)
    """
    if not mask.any():
        raise InvalidSetting("An empty mask has no border to move.")
    if offset >= 0:
        outside: NDArray[np.float64] = ndimage.distance_transform_edt(mask == 0)
        return (outside <= offset).astype(np.uint8)
    # Outside the frame is background too.
    inside: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1))
    return (inside[1:-1, 1:-1] > -offset).astype(np.uint8)


def local_error(mask: Mask, n_pixels: int) -> Mask:
    """Add a bump to a mask at one place, and leave the rest of its border alone.

    Parameters
    ----------
    mask : (H, W) uint8 {0, 1}
        Not empty.
    n_pixels : int
        How many background pixels to add: those nearest to the middle of the mask's right side.

    Returns
    -------
    (H, W) uint8 {0, 1}
        With as many wrong pixels as `moved_border` has when `n_pixels` says so, so with the same
        IoU and Dice, but all in one place.

    Raises
    ------
    InvalidSetting
        If the mask is empty or there is not so much background.

    Examples
    --------
    >>> mask = np.zeros((5, 5), dtype=np.uint8)
    >>> mask[1:4, 0:2] = 1
    >>> local_error(mask, 1)[:, :3]
    array([[0, 0, 0],
           [1, 1, 0],
           [1, 1, 1],
           [1, 1, 0],
           [0, 0, 0]], dtype=uint8)
    """
    if not mask.any():
        raise InvalidSetting("An empty mask has no border to move.")
    background = np.argwhere(mask == 0)
    if not 0 <= n_pixels <= len(background):
        raise InvalidSetting(
            f"{n_pixels} pixels cannot be added where {len(background)} are background."
        )
    column = int(np.flatnonzero(mask.any(axis=0))[-1])
    row = int(np.median(np.flatnonzero(mask[:, column])))
    centre = (row, column + 1)
    order = np.argsort(((background - centre) ** 2).sum(axis=1), kind="stable")
    bumped = mask.copy()
    bumped[tuple(background[order[:n_pixels]].T)] = 1
    return bumped


def same_dice(mask: Mask, offset: float) -> tuple[Mask, Mask]:
    """Make two masks with the same Dice and very different borders.

    Parameters
    ----------
    mask : (H, W) uint8 {0, 1}
        What both are compared with; not empty.
    offset : float
        In px, outward.

    Returns
    -------
    moved, bumped : (H, W) uint8 {0, 1}
        `moved_border`, and `local_error` with as many wrong pixels.

    Examples
    --------
    >>> mask = np.zeros((9, 9), dtype=np.uint8)
    >>> mask[3:6, 3:6] = 1
    >>> [int(one.sum()) for one in same_dice(mask, 1)]
    [21, 21]
    """
    moved = moved_border(mask, offset)
    return moved, local_error(mask, int(np.count_nonzero(moved & ~mask)))
