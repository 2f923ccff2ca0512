"""What "switched off" means for each rule, and the mask that results."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skullnb.errors import InvalidSetting
from skullnb.pipeline import (
    RULES,
    Mask,
    PipelineSettings,
    SkullMaskTrace,
    binarise,
    choose_brain,
    component_mask,
    dilate,
    fill_holes,
    label_components,
    otsu_threshold,
)


class Definition(NamedTuple):
    """When a rule fires, and what the pipeline does without it; in words, for tables."""

    fires: str
    off: str


DEFINITIONS = {
    "flat-image guard": Definition(
        "all pixels of the slice have the same value",
        "the division by the range is done all the same (0/0, taken as it comes)",
    ),
    "threshold": Definition(
        "the slice has more than one grey level",
        "no level is chosen: every pixel above 0 is bright",
    ),
    "drop edge-touching": Definition(
        "a bright component touches the frame",
        "such components stay candidates for the brain",
    ),
    "choose largest": Definition(
        "there is more than one candidate for the brain",
        "all candidates are kept",
    ),
    "dilate": Definition(
        "the dilation adds a pixel",
        "kernel width 0: the component stays as it is",
    ),
    "fill holes": Definition(
        "the filling adds a pixel",
        "holes stay open",
    ),
}


def switch_off(trace: SkullMaskTrace, rule: str) -> Mask:
    """Skull mask of a traced slice if one rule were not there, all others as they are.

    - *flat-image guard*: the literal ``(image - min) / (max - min) * 255``. On a flat slice it
      gives NaN, whose conversion to uint8 the C standard leaves open; what this machine makes of
      it is what is used.
    - *threshold*: level 0 instead of Otsu's or a given one, so every pixel above 0 is bright.
    - *drop edge-touching*: components that touch the frame may be chosen.
    - *choose largest*: every candidate is kept, where otherwise only the largest is.
    - *dilate*: kernel width 0.
    - *fill holes*: what the dilated component encloses stays open.

    Stages before the rule come from the trace; only those after it run again. A rule that did not
    fire is not run again at all.

    Parameters
    ----------
    trace : SkullMaskTrace
        From `skullnb.pipeline.trace_skull_mask`.
    rule : str
        A name in `skullnb.pipeline.RULES`.

    Returns
    -------
    (H, W) uint8 {0, 1}

    Raises
    ------
    InvalidSetting
        If there is no such rule.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> trace = trace_skull_mask(image)
    >>> print(trace.mask.sum(), switch_off(trace, "dilate").sum())
    1894 400
    """
    if rule not in RULES:
        raise InvalidSetting(f"There is no rule {rule!r}; the rules are {', '.join(RULES)}.")
    fired = trace.rules[RULES.index(rule)].fired
    return _WITHOUT[rule](trace) if fired else trace.mask


def _without_guard(trace: SkullMaskTrace) -> Mask:
    with np.errstate(invalid="ignore"):
        zeros = np.zeros(trace.normalised.shape)
        normalised = (zeros / zeros * 255).astype(np.uint8)
    chosen = trace.settings.threshold
    level = otsu_threshold(normalised) if chosen == "otsu" else int(chosen)
    return _from_binary(binarise(normalised, level), trace.settings)


def _without_threshold(trace: SkullMaskTrace) -> Mask:
    return _from_binary(binarise(trace.normalised, 0), trace.settings)


def _without_edge_rule(trace: SkullMaskTrace) -> Mask:
    chosen = choose_brain(trace.components, drop_edge_touching=False)
    if chosen == trace.chosen:
        return trace.mask
    return _grown(component_mask(trace.labels, chosen), trace.settings)


def _without_choice(trace: SkullMaskTrace) -> Mask:
    dropped = trace.components["touches_edge"] & trace.settings.drop_edge_touching
    # One entry a label; label 0, the background, is never kept.
    kept = np.concatenate([[False], ~dropped]).astype(np.uint8)
    return _grown(kept[trace.labels], trace.settings)


def _without_dilation(trace: SkullMaskTrace) -> Mask:
    return fill_holes(trace.brain) if trace.settings.fill_holes else trace.brain


def _without_filling(trace: SkullMaskTrace) -> Mask:
    return trace.dilated


def _from_binary(binary: Mask, settings: PipelineSettings) -> Mask:
    labels, components = label_components(binary, settings.connectivity)
    chosen = choose_brain(components, settings.drop_edge_touching)
    return _grown(component_mask(labels, chosen), settings)


def _grown(brain: Mask, settings: PipelineSettings) -> Mask:
    dilated = dilate(brain, settings.kernel_width, settings.kernel_shape)
    return fill_holes(dilated) if settings.fill_holes else dilated


_WITHOUT: dict[str, Callable[[SkullMaskTrace], Mask]] = {
    "flat-image guard": _without_guard,
    "threshold": _without_threshold,
    "drop edge-touching": _without_edge_rule,
    "choose largest": _without_choice,
    "dilate": _without_dilation,
    "fill holes": _without_filling,
}
