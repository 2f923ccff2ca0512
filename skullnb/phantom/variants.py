"""Synthetic heads on which the pipeline is expected to struggle, one for each way of failing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting
from skullnb.phantom.slices import Recipe
from skullnb.phantom.stacks import PUBLISHED_LEVELS, PUBLISHED_SEED, draw_stack
from skullnb.stack import Stack

LOW = (2.0, 6.0, 10.0, 14.0, 18.0)  # alike enough for one frame to cut every scalp
ABOVE_CALLOSUM = (34.0, 38.0, 42.0, 46.0, 50.0)
VERTEX = (72.0, 80.0, 86.0, 92.0, 96.0)
VERTEX_CLOSE = (78.0, 79.0, 80.0, 81.0, 82.0)
SCALP_LEFT = 1.5  # mm of scalp that a cut leaves outside the skull of the widest slice
NOMINAL = Recipe()


@dataclass(frozen=True)
class Variant:
    """What to change in the published stack."""

    description: str
    anatomy: Mapping[str, Any] = field(default_factory=dict)
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    contrast: float = 1.0
    levels: tuple[float, ...] = PUBLISHED_LEVELS  # mm
    cut: tuple[str, ...] = ()  # sides on which the frame cuts the head
    margin: float = SCALP_LEFT  # mm kept outside the skull there; negative cuts the brain


PLAIN: dict[str, Any] = {"otsu_level": None}  # no bright vessels: the threshold falls where it may
NOISE, COIL = 5 * NOMINAL.acquisition.noise, 4 * NOMINAL.acquisition.coil
GAP, GAP_SD = NOMINAL.anatomy.gap, NOMINAL.anatomy.gap_sd  # mm
THICK = {"scalp": 30.0}  # mm
TWO = ("left", "right")
ALL = ("left", "right", "top", "bottom")

_VARIANTS = {
    "scalp-cut-one-side": Variant("The frame cuts the scalp on the left.", levels=LOW, cut=TWO[:1]),
    "scalp-cut-two-sides": Variant("The frame cuts the scalp left and right.", levels=LOW, cut=TWO),
    "scalp-cut-all-sides": Variant("The frame cuts the scalp all round.", levels=LOW, cut=ALL),
    "brain-touches-frame": Variant(
        "The frame cuts through the brain on the right.", cut=("right",), margin=-22.5
    ),
    "bridge": Variant("A bright corridor 8 mm wide joins brain and scalp.", {"bridge": 4.0}),
    "bridge-and-cut": Variant(
        "The bridge, and the scalp cut left and right.", {"bridge": 4.0}, levels=LOW, cut=TWO
    ),
    "hemispheres-apart": Variant(
        "Fluid parts the hemispheres on every slice.", {"touching": 0.0}, levels=ABOVE_CALLOSUM
    ),
    "thick-soft-tissue": Variant("30 mm of soft tissue, uncut: larger than the brain.", THICK),
    "thick-soft-tissue-cut": Variant(
        "30 mm of soft tissue, cut by the frame left and right.", THICK, cut=TWO, margin=20.0
    ),
    "vertex": Variant("Slices near the top of the head.", levels=VERTEX),
    "vertex-cut": Variant(
        "Slices near the top, the scalp cut left and right.", levels=VERTEX_CLOSE, cut=TWO
    ),
    "low-contrast": Variant("All tissues at 0.4 of their contrast.", {}, PLAIN, contrast=0.4),
    "noise": Variant("Five times the noise.", {}, PLAIN | {"noise": NOISE}),
    "strong-coil": Variant("Four times the coil's rise to the rim.", {}, PLAIN | {"coil": COIL}),
    "narrow-gap": Variant(
        "Half the gap from brain to outer skull.", {"gap": GAP / 2, "gap_sd": GAP_SD / 2}
    ),
    "wide-gap": Variant(
        "Twice the gap from brain to outer skull.", {"gap": GAP * 2, "gap_sd": GAP_SD * 2}
    ),
}

VARIANTS: dict[str, str] = {name: v.description for name, v in _VARIANTS.items()}


def variant(name: str) -> Stack:
    """Draw a synthetic stack that breaks one assumption of the pipeline.

    Parameters
    ----------
    name : str
        A key of `VARIANTS`, which also says what each one shows.

    Returns
    -------
    Stack
        Five slices of the published head (same seed), changed as described. Where the frame cuts
        the head, the reference mask is cut with it.

    Raises
    ------
    InvalidSetting
        If there is no such variant.

    Examples
    --------
    >>> stack = variant("scalp-cut-two-sides")
    >>> stack.name
    'synthetic phantom: scalp-cut-two-sides'
    """
    if name not in _VARIANTS:
        raise InvalidSetting(f"No variant called {name!r}: choose one of {', '.join(VARIANTS)}.")
    v = _VARIANTS[name]
    recipe = replace(
        NOMINAL,
        anatomy=replace(NOMINAL.anatomy, **v.anatomy),
        intensities=replace(NOMINAL.intensities, contrast=v.contrast),
        acquisition=replace(NOMINAL.acquisition, **v.acquisition),
    )
    stack = draw_stack(recipe, PUBLISHED_SEED, v.levels, f"synthetic phantom: {name}", "phantom")
    return cut_frame(stack, v.cut, v.margin) if v.cut else stack


def cut_frame(stack: Stack, sides: tuple[str, ...], margin: float) -> Stack:
    """Crop a stack `margin` mm outside its widest reference mask, on the sides named."""
    assert stack.reference is not None
    assert stack.spacing_mm is not None
    window = []
    for axis, (low, high) in enumerate((("top", "bottom"), ("left", "right"))):
        others = (0, 2 - axis)
        inside = np.nonzero(stack.reference.any(axis=others))[0]
        keep = round(margin / stack.spacing_mm[axis])
        first = max(int(inside[0]) - keep, 0) if low in sides else 0
        last = int(inside[-1]) + 1 + keep if high in sides else None
        window.append(slice(first, last))
    crop = (slice(None), *window)
    return replace(
        stack,
        images=np.ascontiguousarray(stack.images[crop]),
        reference=np.ascontiguousarray(stack.reference[crop]),
    )
