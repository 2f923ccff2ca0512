"""The five steps, one function each, as a reader would write them.

`skullnb.pipeline.fast` does the same, bit for bit, where numba is installed.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.errors import InvalidSetting
from skullnb.pipeline.settings import SHAPES, PipelineSettings, as_slice

Mask = NDArray[np.uint8]

COMPONENT_DTYPE = np.dtype(
    [
        ("label", np.int32),
        ("area", np.int64),
        ("top", np.int32),
        ("left", np.int32),
        ("height", np.int32),
        ("width", np.int32),
        ("touches_edge", np.bool_),
    ]
)


def normalise(image: ArrayLike) -> Mask:
    """Map a slice linearly from its minimum..maximum to 0..255, cutting decimals off.

    Floating-point images are computed in their own precision, as in the article; integers are
    taken to float64 first, because a difference of small integers wraps around. A range too
    wide for the image's own precision is computed in a way that does not overflow.

    Parameters
    ----------
    image : (H, W) array, real
        Any intensities; the scale of MRI intensities is arbitrary.

    Returns
    -------
    (H, W) uint8
        All zero when the slice is flat.

    Raises
    ------
    InvalidImage
        If the slice is not a finite, real, non-empty 2D array.

    Examples
    --------
    >>> normalise([[0.0, 1.0], [2.0, 4.0]])
    array([[  0,  63],
           [127, 255]], dtype=uint8)
    """
    pixels, low, high = with_range(as_slice(image))
    if low == high:
        return np.zeros(pixels.shape, dtype=np.uint8)
    levels = (pixels - low) / (high - low) * 255
    return np.asarray(levels.astype(np.uint8))


def otsu_threshold(normalised: Mask) -> int:
    """Level that best splits the histogram into dark and bright (Otsu, 1979).

    Parameters
    ----------
    normalised : (H, W) uint8

    Returns
    -------
    int
        In 0..255. OpenCV decides between levels that split equally well.

    Examples
    --------
    >>> otsu_threshold(np.array([[10, 10, 10, 200]], dtype=np.uint8))
    10
    """
    level, _ = cv2.threshold(normalised, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return int(level)


def binarise(normalised: Mask, threshold: int) -> Mask:
    """Bright pixels: strictly above the threshold.

    Parameters
    ----------
    normalised : (H, W) uint8
    threshold : int
        In 0..255.

    Returns
    -------
    (H, W) uint8 {0, 1}

    Examples
    --------
    >>> binarise(np.array([[22, 23, 24]], dtype=np.uint8), 23)
    array([[0, 0, 1]], dtype=uint8)
    """
    return (normalised > threshold).astype(np.uint8)


def label_components(binary: Mask, connectivity: int = 8) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Number the connected components of the bright pixels and measure each.

    Parameters
    ----------
    binary : (H, W) uint8
        Bright where not zero.
    connectivity : {8, 4}

    Returns
    -------
    labels : (H, W) int32
        0 = background, 1.. = components.
    components : (n,) structured array
        One row a component, in label order: label, area [px], top, left, height, width [px],
        touches_edge (a pixel in the first or last row or column).

    Examples
    --------
    >>> labels, components = label_components(np.array([[0, 0, 0], [0, 1, 0]], dtype=np.uint8))
    >>> components["area"], components["touches_edge"]
    (array([1]), array([ True]))
    """
    count, found, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=connectivity)
    labels: NDArray[np.int32] = np.asarray(found, dtype=np.int32)
    frame = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    components = np.zeros(count - 1, dtype=COMPONENT_DTYPE)
    components["label"] = np.arange(1, count)
    components["area"] = stats[1:, cv2.CC_STAT_AREA]
    components["top"] = stats[1:, cv2.CC_STAT_TOP]
    components["left"] = stats[1:, cv2.CC_STAT_LEFT]
    components["height"] = stats[1:, cv2.CC_STAT_HEIGHT]
    components["width"] = stats[1:, cv2.CC_STAT_WIDTH]
    components["touches_edge"] = np.isin(components["label"], frame)
    return labels, components


def choose_brain(components: NDArray[Any], drop_edge_touching: bool = True) -> int:
    """Label of the largest inner component: the one taken for the brain.

    Parameters
    ----------
    components : (n,) structured array
        From `label_components`.
    drop_edge_touching : bool
        Leave components that touch the frame out (scalp candidates).

    Returns
    -------
    int
        The label; the first of equals; 0 when nothing is left to choose.

    Examples
    --------
    >>> binary = np.zeros((5, 7), dtype=np.uint8)
    >>> binary[2, 1:3] = binary[2, 4:6] = 1
    >>> choose_brain(label_components(binary)[1])
    1
    """
    candidates = components[~components["touches_edge"]] if drop_edge_touching else components
    if len(candidates) == 0:
        return 0
    return int(candidates["label"][np.argmax(candidates["area"])])


def component_mask(labels: NDArray[np.int32], chosen: int) -> Mask:
    """Pixels of one component.

    Parameters
    ----------
    labels : (H, W) int32
        From `label_components`.
    chosen : int
        A label; 0 stands for "none".

    Returns
    -------
    (H, W) uint8 {0, 1}

    Examples
    --------
    >>> component_mask(np.array([[0, 1, 2]], dtype=np.int32), 2)
    array([[0, 0, 1]], dtype=uint8)
    """
    if chosen == 0:
        return np.zeros(labels.shape, dtype=np.uint8)
    return np.equal(labels, chosen).astype(np.uint8)


def structuring_element(width: int, shape: str = "ellipse") -> Mask:
    """OpenCV's structuring element of a given width.

    Parameters
    ----------
    width : int
        Side in px, at least 1. The anchor is at `width // 2`.
    shape : {"ellipse", "rectangle"}

    Returns
    -------
    (width, width) uint8 {0, 1}

    Raises
    ------
    InvalidSetting
        If the width or the shape is not one.

    Examples
    --------
    >>> structuring_element(3)
    array([[0, 1, 0],
           [1, 1, 1],
           [0, 1, 0]], dtype=uint8)
    """
    settings = PipelineSettings(kernel_width=width, kernel_shape=shape)
    if width == 0:
        raise InvalidSetting("A structuring element is at least 1 px wide.")
    kernel = cv2.getStructuringElement(SHAPES[settings.kernel_shape], (width, width))
    return np.asarray(kernel, dtype=np.uint8)


def dilate(brain: Mask, width: int = 26, shape: str = "ellipse") -> Mask:
    """Grow a component once by a structuring element, to cover the dark bone around it.

    Parameters
    ----------
    brain : (H, W) uint8 {0, 1}
    width : int
        Kernel width in px; 0 leaves the component as it is.
    shape : {"ellipse", "rectangle"}

    Returns
    -------
    (H, W) uint8 {0, 1}

    Examples
    --------
    >>> dilate(np.array([[0, 0, 0, 1, 0, 0, 0]], dtype=np.uint8), 4, "rectangle")
    array([[0, 0, 1, 1, 1, 1, 0]], dtype=uint8)
    """
    if width == 0:
        return brain.copy()
    return np.asarray(cv2.dilate(brain, structuring_element(width, shape)), dtype=np.uint8)


def fill_holes(mask: Mask) -> Mask:
    """Fill the background that is not joined to the frame.

    Parameters
    ----------
    mask : (H, W) uint8 {0, 1}

    Returns
    -------
    (H, W) uint8 {0, 1}
        The same as `scipy.ndimage.binary_fill_holes`, the article's own call: background is
        joined through its four neighbours.

    Examples
    --------
    >>> fill_holes(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=np.uint8))[1]
    array([1, 1, 1], dtype=uint8)
    """
    # Flooding the background from outside a one-pixel margin gives the same answer as the
    # article's scipy call in a tenth of its time.
    height, width = mask.shape
    flooded = np.zeros((height + 2, width + 2), dtype=np.uint8)
    flooded[1:-1, 1:-1] = mask
    cv2.floodFill(flooded, None, (0, 0), 2, flags=4)
    return np.not_equal(flooded[1:-1, 1:-1], 2).astype(np.uint8)


def threshold_of(normalised: Mask, settings: PipelineSettings) -> int:
    """Level that the settings ask for: Otsu's, or the one given by hand."""
    if settings.threshold == "otsu":
        return otsu_threshold(normalised)
    return int(settings.threshold)


def with_range(pixels: NDArray[Any]) -> tuple[NDArray[Any], Any, Any]:
    """Give pixels as floats that the range does not overflow, with their extremes."""
    if pixels.dtype.kind in "iu":
        pixels = pixels.astype(np.float64)
    low, high = pixels.min(), pixels.max()
    with np.errstate(over="ignore"):
        overflows = np.isfinite(low) and np.isfinite(high) and not np.isfinite(high - low)
    if overflows:
        # Halving loses nothing but the last bit of the smallest subnormals.
        pixels = pixels.astype(np.promote_types(pixels.dtype, np.float64)) / 2
        low, high = pixels.min(), pixels.max()
    return pixels, low, high
