"""The article's method, transcribed step by step and left slow: what `skullnb` is held against.

It loops over labels, looks at whole frame rows, and fills holes with scipy, as described. Nothing
of the package is used here; tests take it for the truth, and benchmarks for where they start.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def literal_normalise(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Step 1: map a slice to 0..255; (H, W) uint8."""
    low, high = image.min(), image.max()
    if high == low:
        return np.zeros_like(image, dtype=np.uint8)
    unit = (image - low) / (high - low)
    return np.asarray((unit * 255).astype(np.uint8))


def literal_binary(normalised: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Step 2: bright pixels by Otsu's threshold; (H, W) uint8 {0, 255}."""
    _, binary = cv2.threshold(normalised, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(binary, dtype=np.uint8)


def literal_brain(
    binary: NDArray[np.uint8], connectivity: int = 8, drop_edge_touching: bool = True
) -> NDArray[np.uint8]:
    """Step 3: the largest component that does not touch the frame; (H, W) uint8 {0, 1}."""
    count, labels = cv2.connectedComponents(binary, connectivity=connectivity)
    largest, size = None, 0
    for label in range(1, count):
        component = labels == label
        rows, columns = np.nonzero(component)
        touches = (
            rows.min() == 0
            or columns.min() == 0
            or rows.max() == component.shape[0] - 1
            or columns.max() == component.shape[1] - 1
        )
        if touches and drop_edge_touching:
            continue
        if component.sum() > size:
            largest, size = component, component.sum()
    if largest is None:
        return np.zeros(binary.shape, dtype=np.uint8)
    return np.asarray(largest.astype(np.uint8))


def literal_dilate(brain: NDArray[np.uint8], dilation_size: int = 26) -> NDArray[np.uint8]:
    """Step 4: one dilation; (H, W) uint8 {0, 1}."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (dilation_size, dilation_size))
    return np.asarray(cv2.dilate(brain, kernel, iterations=1), dtype=np.uint8)


def literal_fill(grown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Step 5: fill the holes; (H, W) uint8 {0, 1}."""
    return np.asarray(ndimage.binary_fill_holes(grown).astype(np.uint8))


def literal_mask(image: NDArray[Any], dilation_size: int = 26) -> NDArray[np.uint8]:
    """All five steps.

    Parameters
    ----------
    image : (H, W) array, real
        Nothing is checked: whole numbers may wrap around, and a pixel that is not finite empties
        the mask.
    dilation_size : int
        Kernel width in px, at least 1.

    Returns
    -------
    (H, W) uint8 {0, 1}

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> print(literal_mask(image, dilation_size=3).sum())
    480
    """
    brain = literal_brain(literal_binary(literal_normalise(image)))
    return literal_fill(literal_dilate(brain, dilation_size))
