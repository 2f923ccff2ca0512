"""The pipeline with everything it saw on the way, what each rule did, and what looks wrong."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.pipeline.checks import as_slice
from skullnb.pipeline.settings import PipelineSettings
from skullnb.pipeline.signs import failure_signs
from skullnb.pipeline.steps import (
    Mask,
    binarise,
    choose_brain,
    component_mask,
    dilate,
    fill_holes,
    label_components,
    normalise,
    threshold_of,
)

RULES = (
    "flat-image guard",
    "threshold",
    "drop edge-touching",
    "choose largest",
    "dilate",
    "fill holes",
)

# What counts as "looks wrong" in `SkullMaskTrace.warnings`.
HOT_QUANTILE, HOT_LEVEL = 0.999, 0.10
SMALLEST_PLAUSIBLE, LARGEST_PLAUSIBLE = 0.01, 0.90


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
    pixels = as_slice(image, slice_number)
    flat = bool(pixels.min() == pixels.max())

    normalised = normalise(pixels)
    threshold = threshold_of(normalised, settings)
    binary = binarise(normalised, threshold)
    labels, components = label_components(binary, settings.connectivity)
    chosen = choose_brain(components, settings.drop_edge_touching)
    brain = component_mask(labels, chosen)
    dilated = dilate(brain, settings.kernel_width, settings.kernel_shape)
    mask = fill_holes(dilated) if settings.fill_holes else dilated

    reason = _reason(flat, components, chosen)

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
        reason=reason,
        warnings=(
            *_warnings(flat, normalised, reason, mask),
            *failure_signs(binary, components, chosen, brain).values(),
        ),
    )


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
        (not flat, n_bright),
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


def _warnings(flat: bool, normalised: Mask, reason: str, mask: Mask) -> tuple[str, ...]:
    found = []
    level = _quantile(normalised, HOT_QUANTILE)
    if not flat and level / 255 < HOT_LEVEL:
        # Decimals were cut off, so a pixel lies below the next level up.
        found.append(
            f"a few pixels own most of the range: {HOT_QUANTILE:.1%} of the pixels lie in its "
            f"lowest {100 * (level + 1) / 255:.2g}%, so the threshold may only separate those few"
        )
    share = float(np.count_nonzero(mask)) / mask.size
    if reason:
        found.append(f"the mask is empty: {reason}")
    elif share < SMALLEST_PLAUSIBLE:
        found.append(
            f"the mask covers {100 * share:.2g}% of the frame ({np.count_nonzero(mask)} px), "
            "too little for a head"
        )
    elif share > LARGEST_PLAUSIBLE:
        found.append(f"the mask covers {share:.0%} of the frame, too much for a head")
    return tuple(found)


def _quantile(levels: Mask, share: float) -> float:
    """Do as `numpy.quantile`, from the counts of 256 levels instead of from sorted pixels."""
    counts = cv2.calcHist([levels], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    place = (levels.size - 1) * share
    low, high = np.searchsorted(counts.cumsum(), [floor(place), ceil(place)], side="right")
    return float(low + (high - low) * (place - floor(place)))
