"""The pipeline with everything it saw on the way, what each rule did, and what looks wrong."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.pipeline import steps
from skullnb.pipeline.border import MARGIN_MM, grow
from skullnb.pipeline.settings import DARK_GROWTH, PipelineSettings, as_slice
from skullnb.pipeline.signs import SliceFacts, facts_of, warnings_of
from skullnb.pipeline.steps import Mask

RULES = (
    *("flat-image guard", "threshold", "drop edge-touching"),
    *("choose largest", "dilate", "fill holes"),
)
GROW = "grow through the dark"  # in place of "dilate", where dark growth is asked for


class RuleRecord(NamedTuple):
    """What one rule of the pipeline did on one slice; only ablation tells if that mattered."""

    name: str  # one of `RULES`, or `GROW`
    fired: bool  # whether its condition occurred
    n_pixels: int  # that the rule itself set or removed


@dataclass(frozen=True, eq=False)
class SkullMaskTrace:
    """Every intermediate result of the pipeline on one slice; pictures are (H, W) uint8.

    `settings` are settled (no reach in mm is left of a dilation), `spacing_mm` is as it was given.
    `normalised` has levels 0..255, and `binary` is 1 strictly above `threshold`; `labels` and
    `components` are those of `label_components`, and `chosen` is the label of the component taken
    for the brain, 0 when there is none. `brain`, `dilated` and `mask` {0, 1} are that component,
    after dilation (or dark growth), after filling. `rules` say in the pipeline's order what each
    did; `facts` are what `warnings` are told from: what succeeded and yet looks wrong, and an
    empty mask, whose `reason` is "" otherwise.
    """

    settings: PipelineSettings
    spacing_mm: tuple[float, float] | None
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
    facts: SliceFacts
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
    """Run the pipeline on one slice, as `measure_slice`, and keep everything it saw on the way.

    The mask is that of `create_skull_mask`, bit for bit.

    >>> trace = trace_skull_mask(np.zeros((8, 8)))
    >>> trace.reason
    'the slice is flat: every pixel has the same value'
    """
    settings = (settings or PipelineSettings()).at(spacing_mm)
    normalised = steps.normalise(as_slice(image, slice_number))
    threshold = steps.threshold_of(normalised, settings)
    binary = steps.binarise(normalised, threshold)
    labels, components = steps.label_components(binary, settings.connectivity)
    chosen = steps.choose_brain(components, settings.drop_edge_touching)
    brain = steps.component_mask(labels, chosen)
    dilated = grow(brain, normalised, threshold, settings, spacing_mm)
    mask = steps.fill_holes(dilated) if settings.fill_holes else dilated
    facts = facts_of(normalised, binary, labels, components, chosen, mask)
    reason = empty_reason(facts, len(components))
    areas, drop = components["area"], components["touches_edge"] & settings.drop_edge_touching
    dropped, others = areas[drop].sum(), areas[~drop & (components["label"] != chosen)].sum()
    grown, filled = np.count_nonzero(dilated != brain), np.count_nonzero(mask != dilated)
    n_pixels = [0, facts.bright_px, int(dropped), int(others), int(grown), int(filled)]
    fired = [facts.n_levels == 1, facts.n_levels > 1, *(n > 0 for n in n_pixels[2:])]
    names = (*RULES[:-2], GROW if settings.border == DARK_GROWTH else RULES[-2], RULES[-1])
    rules = tuple(map(RuleRecord, names, fired, n_pixels))
    seen = normalised, threshold, binary, labels, components, chosen, brain, dilated, mask
    told = tuple(warnings_of(facts, settings, spacing_mm, reason).values())
    return SkullMaskTrace(settings, spacing_mm, *seen, rules, facts, reason, told)


def empty_reason(facts: SliceFacts, n_components: int) -> str:
    """Say why the mask is empty, or nothing when it is not."""
    if facts.mask_px:
        return ""
    if facts.chosen_px:
        return f"nothing of the chosen component lies {MARGIN_MM:g} mm inside the head's outline"
    if facts.n_levels == 1:
        return "the slice is flat: every pixel has the same value"
    if n_components == 0:
        return "no pixel is above the threshold"
    return f"every bright component touches the frame ({n_components} in all)"
