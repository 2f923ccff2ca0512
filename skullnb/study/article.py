"""The article's own operations, call by call: what `skullnb` is held against.

These are the calls of the article (see `skullnb.published`), on the same arrays in the same order.
Where it describes a step without printing it, the shortest plain completion is marked *added*. The
tests take these masks for the truth, and the timing chapter starts from here.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.uint8]


def normalise(image: NDArray[Any]) -> Mask:
    """Step 1: minimum..maximum to 0..255, (H, W) uint8; a flat slice to zeros."""
    lowest, highest = image.min(), image.max()
    if highest == lowest:
        return np.zeros_like(image, dtype=np.uint8)
    unit = (image - lowest) / (highest - lowest)
    levels: Mask = (unit * 255).astype(np.uint8)
    return levels


def binarise(levels: Mask) -> Mask:
    """Step 2: Otsu's threshold, (H, W) uint8 {0, 255}."""
    _, binary = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(binary, dtype=np.uint8)


def choose_brain(binary: Mask) -> Mask:
    """Step 3: the largest bright component that does not touch the border, (H, W) uint8 {0, 1}."""
    n_labels, labels = cv2.connectedComponents(binary)  # added
    at_frame, free, areas = set(), [], []  # added
    for number in range(1, n_labels):
        blob = labels == number
        top, bottom = np.any(blob[0, :]), np.any(blob[-1, :])
        left, right = np.any(blob[:, 0]), np.any(blob[:, -1])
        if top or bottom or left or right:
            at_frame.add(number)  # as in the article, where it is not read again either
        else:
            free.append(number)
            areas.append(np.count_nonzero(blob))  # added
    if not free:  # added
        return np.zeros(binary.shape, dtype=np.uint8)
    brain: Mask = (labels == free[np.argmax(areas)]).astype(np.uint8)  # added
    return brain


def dilate(brain: Mask, kernel_width: int = 26) -> Mask:
    """Step 4: one dilation by an ellipse, (H, W) uint8 {0, 1}; described, so all of it is added."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel_width, kernel_width))
    return np.asarray(cv2.dilate(brain, kernel, iterations=1), dtype=np.uint8)


def fill_holes(dilated: Mask) -> Mask:
    """Step 5: what the mask encloses, (H, W) uint8 {0, 1}."""
    filled: Mask = ndimage.binary_fill_holes(dilated).astype(np.uint8)
    return filled


def skull_mask(image: NDArray[Any], kernel_width: int = 26) -> Mask:
    """All five steps; whole numbers may wrap around and NaN empties the mask, as for the author."""
    brain = choose_brain(binarise(normalise(image)))
    return fill_holes(dilate(brain, kernel_width))
