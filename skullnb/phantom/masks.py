"""Small operations on masks and distances; exact, so that every machine gets the same result."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.phantom.anatomy import Array, snap

Mask = NDArray[np.bool_]


def segment_distance(x: Array, y: Array, start: Array, end: Array) -> Array:
    """Distance (mm) of every pixel to a straight segment between two points (x, y)."""
    (x0, y0), (dx, dy) = start, end - start
    share = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    distance: Array = np.sqrt((x - x0 - share * dx) ** 2 + (y - y0 - share * dy) ** 2)
    return distance


def round_corners(mask: Mask, spacing_mm: tuple[float, float]) -> Mask:
    """Round the corners of a mask (morphological opening, 1.3 mm)."""
    height, width = (2 * round(1.3 / step) + 1 for step in spacing_mm)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height))
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0


def keep_large(mask: Mask, least_pixels: float) -> Mask:
    """Keep the connected pieces of a mask that have enough pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_pixels
    keep[0] = False
    kept: Mask = keep[labels]
    return kept


def distance_inside(mask: Mask, spacing_mm: tuple[float, float]) -> Array:
    """Distance (mm) of each pixel of a mask to the nearest pixel outside it, 0 outside.

    OpenCV's exact distance transform varies in its last bits from run to run, but a squared
    distance is a whole number of pixels: rounding makes it exact. Oblong pixels are split first.
    """
    step = min(spacing_mm)
    rows, columns = (round(n * s / step) for n, s in zip(mask.shape, spacing_mm, strict=True))
    square = resample(mask.astype(np.uint8), rows, columns)
    distance = cv2.distanceTransform(square, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
    return resample(snap(np.sqrt(np.rint(distance**2)) * step, 65536), *mask.shape)


def resample(image: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Nearest-neighbour resampling to another number of rows and columns."""
    row = (2 * np.arange(rows) + 1) * image.shape[0] // (2 * rows)
    column = (2 * np.arange(columns) + 1) * image.shape[1] // (2 * columns)
    return np.ascontiguousarray(image[np.ix_(row, column)])
