"""The article's pipeline, one function a step, and the trace that shows every step.

normalise -> Otsu threshold -> connected components -> largest inner component -> one dilation
-> fill holes. `create_skull_mask` gives only the mask; `trace_skull_mask` keeps every
intermediate array, says what each rule did, and warns when a mask looks wrong.

"A Classical Skull-Mask Baseline, and What 5 MRI Slices Did Not Prove" describes the method; the
numbers it reports are in `skullnb.published`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.errors import InvalidImage, InvalidSetting

Mask = NDArray[np.uint8]

# A kernel wider than this covers any head there is; refusing it keeps a typing error from
# asking for gigabytes.
MAX_KERNEL_WIDTH = 1023

# What counts as "looks wrong" in `SkullMaskTrace.warnings`.
HOT_QUANTILE, HOT_LEVEL = 0.999, 0.10
SMALLEST_PLAUSIBLE, LARGEST_PLAUSIBLE = 0.01, 0.90

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

_SHAPES = {"ellipse": cv2.MORPH_ELLIPSE, "rectangle": cv2.MORPH_RECT}


@dataclass(frozen=True)
class PipelineSettings:
    """Everything about the pipeline that can be chosen. The defaults are the article's.

    Parameters
    ----------
    kernel_width : int
        Side of the structuring element in px; 0 switches the dilation off. An even width is not
        symmetric: 26 reaches 12 px towards the top and left, 13 towards the bottom and right.
    kernel_shape : {"ellipse", "rectangle"}
        Shape of the structuring element, as OpenCV draws it.
    connectivity : {8, 4}
        Neighbours that join bright pixels into a component.
    drop_edge_touching : bool
        Treat components that touch the frame as scalp candidates and drop them.
    threshold : "otsu" or int
        Level in 0..255; a pixel is bright when it is strictly above.
    fill_holes : bool
        Fill what the dilated component encloses.

    Raises
    ------
    InvalidSetting
        If a value is outside what it may be.

    Examples
    --------
    >>> PipelineSettings(kernel_width=30).threshold
    'otsu'
    """

    kernel_width: int = 26
    kernel_shape: str = "ellipse"
    connectivity: int = 8
    drop_edge_touching: bool = True
    threshold: str | int = "otsu"
    fill_holes: bool = True

    def __post_init__(self) -> None:
        """Refuse values outside what they may be."""
        _check_width(self.kernel_width)
        if self.kernel_shape not in _SHAPES:
            raise InvalidSetting(
                f"kernel_shape must be one of {', '.join(_SHAPES)}, not {self.kernel_shape!r}"
            )
        if self.connectivity not in (4, 8):
            raise InvalidSetting(f"connectivity must be 4 or 8, not {self.connectivity!r}")
        if self.threshold != "otsu" and not (
            _is_int(self.threshold) and 0 <= int(self.threshold) <= 255
        ):
            raise InvalidSetting(
                f'threshold must be "otsu" or a whole number from 0 to 255, not {self.threshold!r}'
            )


@dataclass(frozen=True)
class RuleRecord:
    """What one rule of the pipeline did on one slice.

    Parameters
    ----------
    name : str
        One of the names in `RULES`.
    fired : bool
        Whether the rule's condition occurred.
    n_pixels : int
        Pixels the rule itself set or removed. Whether that changed the final mask is a matter
        of ablation, not of this count.
    """

    name: str
    fired: bool
    n_pixels: int


RULES = (
    "flat-image guard",
    "threshold",
    "drop edge-touching",
    "choose largest",
    "dilate",
    "fill holes",
)


@dataclass(frozen=True, eq=False)
class SkullMaskTrace:
    """Every intermediate result of the pipeline on one slice.

    Attributes
    ----------
    settings : PipelineSettings
        What was asked for.
    normalised : (H, W) uint8
        The slice mapped to 0..255.
    threshold : int
        The level used; bright is strictly above it.
    binary : (H, W) uint8 {0, 1}
        Bright pixels.
    labels : (H, W) int32
        Component labels, 0 = background.
    components : (n,) structured array
        One row a component: label, area [px], top, left, height, width [px], touches_edge.
    chosen : int
        Label of the component taken for the brain, 0 when there is none.
    brain, dilated, mask : (H, W) uint8 {0, 1}
        The chosen component, after dilation, after filling.
    rules : tuple of RuleRecord
        In the pipeline's order.
    reason : str
        Why the mask is empty; "" when it is not.
    warnings : tuple of str
        What succeeded and yet looks wrong.
    """

    settings: PipelineSettings
    normalised: Mask
    threshold: int
    binary: Mask
    labels: NDArray[np.int32]
    components: NDArray[Any]
    chosen: int
    brain: Mask
    dilated: Mask
    mask: Mask
    rules: tuple[RuleRecord, ...]
    reason: str
    warnings: tuple[str, ...]

    @property
    def n_edge_touching(self) -> int:
        """Number of bright components that touch the frame."""
        return int(np.count_nonzero(self.components["touches_edge"]))


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
    return _normalise(_as_slice(image))


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
        raise InvalidSetting("a structuring element is at least 1 px wide")
    kernel = cv2.getStructuringElement(_SHAPES[settings.kernel_shape], (width, width))
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


def create_skull_mask(image: ArrayLike, dilation_size: int = 26) -> Mask:
    """Mark the outer surface of the skull and everything inside it.

    Parameters
    ----------
    image : (H, W) array, real
        One slice, any intensities.
    dilation_size : int
        Kernel width in px (the article's name for it); it reaches half as far.

    Returns
    -------
    (H, W) uint8 {0, 1}
        Empty when the slice is flat or no inner component exists; `trace_skull_mask` says why.

    Raises
    ------
    InvalidImage
        If the slice is not a finite, real, non-empty 2D array.
    InvalidSetting
        If the kernel width is not a whole number from 0 to 1023.

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> print(create_skull_mask(image, dilation_size=3).sum())
    480
    """
    settings = PipelineSettings(kernel_width=dilation_size)
    return _mask_of(_as_slice(image), settings)


def create_skull_masks(images: ArrayLike, settings: PipelineSettings | None = None) -> Mask:
    """Skull masks of all slices of a stack.

    Parameters
    ----------
    images : (N, H, W) array, real
    settings : PipelineSettings, optional
        The article's when left out.

    Returns
    -------
    (N, H, W) uint8 {0, 1}

    Raises
    ------
    InvalidImage
        If a slice cannot be worked on; the message gives its number.

    Examples
    --------
    >>> create_skull_masks(np.zeros((2, 8, 8))).shape
    (2, 8, 8)
    """
    settings = settings or PipelineSettings()
    stack = _as_stack(images)
    masks = np.empty(stack.shape, dtype=np.uint8)
    for number, image in enumerate(stack):
        masks[number] = _mask_of(_as_slice(image, number), settings)
    return masks


def trace_skull_mask(
    image: ArrayLike, settings: PipelineSettings | None = None, *, slice_number: int | None = None
) -> SkullMaskTrace:
    """Run the pipeline on one slice and keep everything it saw on the way.

    Parameters
    ----------
    image : (H, W) array, real
    settings : PipelineSettings, optional
        The article's when left out.
    slice_number : int, optional
        Named in the error message when the slice cannot be worked on.

    Returns
    -------
    SkullMaskTrace
        Its `mask` is the same as `create_skull_mask`'s, bit for bit.

    Raises
    ------
    InvalidImage
        If the slice is not a finite, real, non-empty 2D array.

    Examples
    --------
    >>> trace = trace_skull_mask(np.zeros((8, 8)))
    >>> trace.reason
    'the slice is flat: every pixel has the same value'
    """
    settings = settings or PipelineSettings()
    pixels = _as_slice(image, slice_number)
    flat = bool(pixels.min() == pixels.max())

    normalised = _normalise(pixels)
    threshold = _threshold_of(normalised, settings)
    binary = binarise(normalised, threshold)
    labels, components = label_components(binary, settings.connectivity)
    chosen = choose_brain(components, settings.drop_edge_touching)
    brain = _component(labels, chosen)
    dilated = dilate(brain, settings.kernel_width, settings.kernel_shape)
    mask = fill_holes(dilated) if settings.fill_holes else dilated

    return SkullMaskTrace(
        settings=settings,
        normalised=normalised,
        threshold=threshold,
        binary=binary,
        labels=labels,
        components=components,
        chosen=chosen,
        brain=brain,
        dilated=dilated,
        mask=mask,
        rules=_rule_records(flat, settings, binary, components, chosen, brain, dilated, mask),
        reason=_reason(flat, components, chosen),
        warnings=_warnings(flat, normalised, chosen, mask),
    )


def _mask_of(pixels: NDArray[Any], settings: PipelineSettings) -> Mask:
    normalised = _normalise(pixels)
    binary = binarise(normalised, _threshold_of(normalised, settings))
    labels, components = label_components(binary, settings.connectivity)
    brain = _component(labels, choose_brain(components, settings.drop_edge_touching))
    dilated = dilate(brain, settings.kernel_width, settings.kernel_shape)
    return fill_holes(dilated) if settings.fill_holes else dilated


def _normalise(pixels: NDArray[Any]) -> Mask:
    if pixels.dtype.kind in "iu":
        pixels = pixels.astype(np.float64)
    low, high = pixels.min(), pixels.max()
    if low == high:
        return np.zeros(pixels.shape, dtype=np.uint8)
    with np.errstate(over="ignore"):
        overflows = not np.isfinite(high - low)
    if overflows:
        # Halving loses nothing but the last bit of the smallest subnormals.
        pixels = pixels.astype(np.promote_types(pixels.dtype, np.float64)) / 2
        low, high = pixels.min(), pixels.max()
    levels = (pixels - low) / (high - low) * 255
    return np.asarray(levels.astype(np.uint8))


def _threshold_of(normalised: Mask, settings: PipelineSettings) -> int:
    if settings.threshold == "otsu":
        return otsu_threshold(normalised)
    return int(settings.threshold)


def _component(labels: NDArray[np.int32], chosen: int) -> Mask:
    if chosen == 0:
        return np.zeros(labels.shape, dtype=np.uint8)
    return np.equal(labels, chosen).astype(np.uint8)


def _rule_records(
    flat: bool,
    settings: PipelineSettings,
    binary: Mask,
    components: NDArray[Any],
    chosen: int,
    brain: Mask,
    dilated: Mask,
    mask: Mask,
) -> tuple[RuleRecord, ...]:
    n_bright = int(np.count_nonzero(binary))
    drop = components["touches_edge"] & settings.drop_edge_touching
    candidates = components[~drop]
    passed_over = candidates["label"] != chosen
    grown = int(np.count_nonzero(dilated) - np.count_nonzero(brain))
    filled = int(np.count_nonzero(mask) - np.count_nonzero(dilated))
    facts = (
        (flat, 0),
        (0 < n_bright < binary.size, n_bright),
        (bool(drop.any()), int(components["area"][drop].sum())),
        (len(candidates) > 1, int(candidates["area"][passed_over].sum())),
        (grown > 0, grown),
        (filled > 0, filled),
    )
    return tuple(RuleRecord(name, *fact) for name, fact in zip(RULES, facts, strict=True))


def _reason(flat: bool, components: NDArray[Any], chosen: int) -> str:
    if chosen:
        return ""
    if flat:
        return "the slice is flat: every pixel has the same value"
    if len(components) == 0:
        return "no pixel is above the threshold"
    return f"every bright component touches the frame ({len(components)} of {len(components)})"


def _warnings(flat: bool, normalised: Mask, chosen: int, mask: Mask) -> tuple[str, ...]:
    found = []
    level = float(np.quantile(normalised, HOT_QUANTILE)) / 255
    if not flat and level < HOT_LEVEL:
        found.append(
            f"a few pixels own most of the range: {HOT_QUANTILE:.1%} of the pixels lie in its "
            f"lowest {level:.1%}, so the threshold may only separate those few"
        )
    share = float(np.count_nonzero(mask)) / mask.size
    if not chosen:
        found.append("nothing was chosen: the mask is empty")
    elif share < SMALLEST_PLAUSIBLE:
        found.append(
            f"the mask covers {share:.2%} of the frame ({np.count_nonzero(mask)} px), "
            "too little for a head"
        )
    elif share > LARGEST_PLAUSIBLE:
        found.append(f"the mask covers {share:.0%} of the frame, too much for a head")
    return tuple(found)


def _as_slice(image: ArrayLike, number: int | None = None) -> NDArray[Any]:
    where = "the image" if number is None else f"slice {number}"
    if isinstance(image, np.ma.MaskedArray):
        raise InvalidImage(f"{where} is a masked array; fill it with `.filled(value)` first")
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "iuf":
        raise InvalidImage(
            f"{where} has pixels of type {pixels.dtype}; give real numbers (integers or floats)"
        )
    if pixels.ndim != 2:
        hint = "; use create_skull_masks for a stack of slices" if pixels.ndim == 3 else ""
        raise InvalidImage(
            f"{where} has {pixels.ndim} dimension(s), shape {pixels.shape}; "
            f"give one 2D slice (rows, columns){hint}"
        )
    if pixels.size == 0:
        raise InvalidImage(f"{where} is empty, shape {pixels.shape}; give at least one pixel")
    if pixels.dtype.kind == "f":
        n_bad = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
        if n_bad:
            raise InvalidImage(
                f"{where} has {n_bad} of {pixels.size} pixels that are NaN or infinite; "
                "replace or crop them first"
            )
    return pixels


def _as_stack(images: ArrayLike) -> NDArray[Any]:
    stack = images if isinstance(images, np.ndarray) else np.asarray(images)
    if stack.ndim != 3:
        raise InvalidImage(
            f"the stack has {stack.ndim} dimension(s), shape {stack.shape}; "
            "give (slices, rows, columns)"
        )
    if stack.shape[0] == 0:
        raise InvalidImage("the stack has no slices; give at least one")
    return stack


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.bool_)


def _check_width(width: int) -> None:
    if not _is_int(width) or not 0 <= width <= MAX_KERNEL_WIDTH:
        raise InvalidSetting(
            f"the kernel width must be a whole number of pixels from 0 to {MAX_KERNEL_WIDTH}, "
            f"not {width!r}"
        )
