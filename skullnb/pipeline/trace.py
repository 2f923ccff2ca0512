"""The pipeline with everything it saw on the way, what each rule did, and what looks wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.pipeline.checks import as_slice
from skullnb.pipeline.settings import PipelineSettings
from skullnb.pipeline.signs import facts_of, warnings_of
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
    image: ArrayLike,
    settings: PipelineSettings | None = None,
    *,
    spacing_mm: tuple[float, float] | None = None,
    slice_number: int | None = None,
) -> SkullMaskTrace:
    """Run the pipeline on one slice and keep everything it saw on the way.

    Parameters
    ----------
    image : (H, W) array, real
    settings : PipelineSettings, optional
        The article's when left out.
    spacing_mm : (row, column), optional
        In mm per pixel; signs are judged in cm² and mm where it is known.
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
    facts = facts_of(normalised, binary, labels, components, chosen, mask)

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
        warnings=tuple(warnings_of(facts, settings, spacing_mm, reason).values()),
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
