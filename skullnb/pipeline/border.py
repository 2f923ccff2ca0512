"""A border that is looked for: growing from the brain through the dark, instead of one dilation.

Bone is dark and scalp is bright, so the outer surface of the skull can be seen. The idea is that of
Dogdas, Shattuck and Leahy (2005), who work in 3D with two thresholds; here it is one slice at a
time, after the article's own first three steps. A disc is a pile of rows, so dilating by one is
widening the picture step by step and ORing it into the rows above and below.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.pipeline import steps
from skullnb.pipeline.settings import DARK_GROWTH, REACH_MM, PipelineSettings
from skullnb.pipeline.steps import Mask, fill_holes

SHARE = 0.9  # of the threshold: darker pixels are grown through
MARGIN_MM = 3.0  # from the head's outline: not to be entered, as it is skin
CLOSING_MM = 8.0  # of the result
LEAST_MM = 2.0  # grown whatever the brightness, as bone begins a little farther out
OPENING_MM = 2.0  # of what was grown, so that thin dark paths lead nowhere
BRAIN_CLOSING_MM = 4.0  # of the brain, before it grows
HEAD_SHARE = 0.5  # of the threshold: brighter pixels belong to the head
HEAD_CLOSING_MM = 3.0

_Picture = NDArray[np.bool_]


def grow_through_dark(
    brain: Mask,
    normalised: Mask,
    threshold: float,
    spacing_mm: tuple[float, float],
    reach_mm: float = REACH_MM,
) -> Mask:
    """Grow a component through the dark around it, inside the head; in place of `dilate`.

    Parameters
    ----------
    brain, normalised : (H, W) uint8
        The chosen component {0, 1}, whose gaps and holes are closed first, and the levels 0..255.
    threshold : float
        Level that splits dark and bright; pixels darker than 0.9 of it are grown through.
    spacing_mm : (row, column)
        In mm per pixel.
    reach_mm : float
        The most that it grows, in mm; the first 2 mm whatever the brightness. It keeps 3 mm from
        the head's outline, and is closed by a disc of 8 mm. Nothing grows where there is no brain.

    Examples
    --------
    >>> normalised = np.full((60, 60), 200, dtype=np.uint8)
    >>> normalised[10:50, 10:50] = 20
    >>> normalised[20:40, 20:40] = 220
    >>> brain = (normalised == 220).astype(np.uint8)
    >>> int(grow_through_dark(brain, normalised, 100, (1.0, 1.0)).sum())
    1588
    """
    if not brain.any():
        return np.zeros(brain.shape, dtype=np.uint8)
    closed = closed_brain(brain > 0, spacing_mm)
    near, far = (_dilate(closed, mm, spacing_mm) for mm in (min(LEAST_MM, reach_mm), reach_mm))
    head, dark = head_of(normalised, threshold, spacing_mm), normalised < SHARE * threshold
    return grow_inside(head, near, far, dark, spacing_mm)


def closed_brain(brain: _Picture, spacing_mm: tuple[float, float]) -> _Picture:
    """Close gaps of a brain of up to 8 mm, and its holes."""
    return fill_holes(_close(brain, BRAIN_CLOSING_MM, spacing_mm)).view(np.bool_)


def head_of(normalised: Mask, threshold: float, spacing_mm: tuple[float, float]) -> _Picture:
    """Find the head: what is bright, with all that it encloses."""
    bright = _close(normalised > HEAD_SHARE * threshold, HEAD_CLOSING_MM, spacing_mm)
    # Filled before the largest is taken, as brain and scalp may be apart.
    return _largest(fill_holes(bright).view(np.bool_))


def grow_inside(
    head: _Picture, near: _Picture, far: _Picture, dark: _Picture, spacing_mm: tuple[float, float]
) -> Mask:
    """Grow from `near`, whatever its brightness, to what is dark in `far`, all inside a head."""
    inside = erode(head, MARGIN_MM, spacing_mm)
    near = near & inside
    found = near | (dark & inside & far)
    found = near | _dilate(erode(found, OPENING_MM, spacing_mm), OPENING_MM, spacing_mm)
    return _close(_largest(found), CLOSING_MM, spacing_mm).astype(np.uint8)


def grow(
    brain: Mask, normalised: Mask, threshold: int, settings: PipelineSettings, spacing_mm: Any
) -> Mask:
    """Do step 4 as settled settings say: dilate the chosen component, or grow it."""
    if settings.border != DARK_GROWTH:
        return steps.dilate(brain, settings.kernel_width, settings.kernel_shape)
    return grow_through_dark(brain, normalised, threshold, spacing_mm, settings.reach_mm or 0.0)


def disc(radius_mm: float, spacing_mm: tuple[float, float]) -> NDArray[np.int64]:
    """Give for rows 0, 1, 2, ... from a disc's middle how many px it reaches to each side."""
    down, across = (np.arange(int(radius_mm / size) + 2) * size for size in spacing_mm)
    within = (down * down)[:, None] + across * across <= radius_mm * radius_mm
    return np.asarray(within[within[:, 0]].sum(axis=1) - 1)


def _dilate(picture: _Picture, by_mm: float, spacing_mm: tuple[float, float]) -> _Picture:
    wide: Any = picture.view(np.uint8)
    grown, reach = np.zeros_like(picture), 0
    for row, farther in reversed(list(enumerate(disc(by_mm, spacing_mm)))):
        wide = cv2.dilate(wide, np.ones((1, 2 * (farther - reach) + 1), dtype=np.uint8))
        shift, reach = min(row, len(picture)), farther
        grown[shift:] |= wide[: len(picture) - shift].view(np.bool_)
        grown[: len(picture) - shift] |= wide[shift:].view(np.bool_)
    return grown


def erode(picture: _Picture, by_mm: float, spacing_mm: tuple[float, float]) -> _Picture:
    """Take so many mm off a picture; everything outside the frame is background."""
    around = np.pad(~picture, 1, constant_values=True)
    return ~_dilate(around, by_mm, spacing_mm)[1:-1, 1:-1]


def _close(picture: _Picture, by_mm: float, spacing_mm: tuple[float, float]) -> _Picture:
    """Dilate by so many mm and erode again, as if there were no frame."""
    rows = disc(by_mm, spacing_mm)
    down, across = len(rows) - 1, int(rows[0])
    roomy = np.pad(picture, ((down, down), (across, across)))
    closed = erode(_dilate(roomy, by_mm, spacing_mm), by_mm, spacing_mm)
    return closed[down : len(roomy) - down, across : roomy.shape[1] - across]


def _largest(picture: _Picture) -> _Picture:
    """Keep the largest component (4-connected); of equal ones the one that begins first."""
    labels, components = steps.label_components(picture.view(np.uint8), connectivity=4)
    return steps.component_mask(labels, steps.choose_brain(components, False)).view(np.bool_)
