"""Tying the images to the published figures: Otsu's threshold and the range.

This is where the agreement comes from. Nothing here is measured on a scan.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.phantom.anatomy import Array, snap


def otsu_level(image: Array) -> int:
    """Otsu's threshold of an image stretched to 0..255 and truncated.

    Examples
    --------
    >>> otsu_level(np.array([[0.0, 1.0, 9.0, 10.0]]))
    25
    """
    low, high = image.min(), image.max()
    stretched = ((image - low) / (high - low) * 255).astype(np.uint8)
    return int(cv2.threshold(stretched, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0])


def light_vessels(image: Array, vessels: Array, target: int) -> Array:
    """Brighten the scalp vessels until Otsu's threshold falls on `target`.

    A few vessel pixels own the maximum, and so the scale of the stretched image: the brighter they
    are, the lower the threshold on the 0..255 scale. The search follows that proportion.

    Parameters
    ----------
    image : (H, W) float64
        The noisy slice.
    vessels : (H, W) float64
        Weights, 1 where a vessel takes its full brightness.
    target : int
        Otsu's threshold to reach.

    Returns
    -------
    (H, W) float64
    """
    if vessels.max(initial=0.0) < 1:
        return image
    peak = 255 / (target + 0.5) * float(np.percentile(image, 99)) / 3
    for _ in range(20):
        lit = snap(image + (peak - image) * vessels, 8192)
        level = otsu_level(lit)
        if level == target:
            break
        peak *= 1 + 0.6 * ((level + 0.5) / (target + 0.5) - 1)
    return lit


def scale_to_peak(images: Array, peak: float) -> NDArray[np.float32]:
    """Multiply a stack by one gain so that its largest value is `peak`; no offset."""
    scaled: NDArray[np.float32] = (images * (peak / float(images.max()))).astype(np.float32)
    return scaled
