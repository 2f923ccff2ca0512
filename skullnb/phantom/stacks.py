"""Stacks of synthetic slices: the published stand-in, other subjects, and heads made to fail."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from skullnb.errors import InvalidSetting
from skullnb.phantom import signal as scan
from skullnb.phantom.cortex import fold_cortex
from skullnb.phantom.shape import Head, Recipe, Section
from skullnb.published import INTENSITY_RANGE
from skullnb.stack import Stack

NOMINAL = Recipe()
PUBLISHED_SEED = 7  # picked by eye and by score; it is not a random draw
PUBLISHED_LEVELS = (4.0, 15.0, 26.0, 37.0, 48.0)  # mm
LOWEST_LEVEL, HIGHEST_LEVEL = -30.0, 100.0  # mm; the drawing has no face and ends at the vertex


def draw_stack(recipe: Recipe, seed: int, levels: Sequence[float], name: str, group: str) -> Stack:
    """Draw slices of one synthetic head at some levels (mm), and scale them by one gain."""
    head = Head(recipe, seed)
    images = np.zeros((len(levels), *recipe.shape))
    reference = np.zeros(images.shape, np.uint8)
    for index, level in enumerate(levels):
        section = Section(head, level)
        reference[index][section.window] = section.below(section.surfaces.skull) >= 0
        brain_tissue, depth, falx = fold_cortex(section)
        signal = scan.paint_scalp_and_skull(section)
        signal = np.where(brain_tissue, scan.paint_brain(section, depth), signal)
        signal = scan.paint_bridge(section, np.where(falx, scan.FALX, signal))
        signal = np.where(signal > 0, 22 + (signal - 22) * recipe.contrast, 0.0)
        images[index][section.window] = scan.receive(signal, section)
        images[index] = scan.add_noise(images[index], recipe.noise, seed, index)
        if recipe.otsu_level is not None:
            vessels = scan.vessel_profile(section)
            images[index] = scan.light_vessels(images[index], vessels, recipe.otsu_level)
    scaled = (images * (INTENSITY_RANGE[1] / float(images.max()))).astype(np.float32)
    groups = (group,) * len(levels)
    return Stack(scaled, reference, recipe.spacing_mm, groups, name, synthetic=True)


def published_stack() -> Stack:
    """Draw the stand-in for the article's data: five synthetic slices, *calibrated to* its figures.

    Seed and parameters were chosen until range, thresholds, sweep and scores came out, so their
    agreement is no evidence for the article or for the pipeline. Images (5, 768, 624) float32 from
    1.83e-07 to 3.49e-05 (arbitrary units), 0.375 mm a pixel; the reference mask is 1 inside the
    outer surface of the skull.
    """
    return draw_stack(Recipe(), PUBLISHED_SEED, PUBLISHED_LEVELS, "synthetic phantom", "phantom")


def subject(
    seed: int,
    n_slices: int = 5,
    *,
    levels: Sequence[float] | None = None,
    shape: tuple[int, int] = (768, 624),
    spacing_mm: tuple[float, float] = (0.375, 0.375),
) -> Stack:
    """Draw one synthetic subject of a cohort; its size and proportions vary as among adults.

    Parameters
    ----------
    seed : int
        Number of the subject, 0 or more; decides anatomy, folding and noise.
    n_slices : int
        How many slices, evenly spaced from level 4 mm to 48 mm. Ignored when `levels` is given.
    levels : sequence of float, optional
        Heights of the slices, mm, from -30 to 100 (the vertex is near 104).
    shape, spacing_mm : (row, column)
        Size of a slice in pixels, and of a pixel in mm. A frame smaller than the head cuts it.

    Examples
    --------
    >>> stack = subject(3, levels=[20], shape=(120, 100), spacing_mm=(2.0, 2.0))
    >>> stack.images.shape, stack.groups
    ((1, 120, 100), ('subject-3',))
    """
    if levels is None:
        ends = (PUBLISHED_LEVELS[0], PUBLISHED_LEVELS[-1])
        levels = np.linspace(*ends, max(n_slices, 0)).tolist() if n_slices != 1 else [26.0]
    sizes_fit = min(shape) >= 16 and all(0.1 <= side <= 10 for side in spacing_mm)
    levels_fit = levels and all(LOWEST_LEVEL <= level <= HIGHEST_LEVEL for level in levels)
    if seed < 0 or not sizes_fit or not levels_fit:
        raise InvalidSetting(
            "A synthetic subject has a seed of 0 or more, one slice or more at levels from "
            f"{LOWEST_LEVEL:g} to {HIGHEST_LEVEL:g} mm, 16 x 16 pixels or more, of 0.1 to 10 mm."
        )
    recipe = replace(vary(NOMINAL, seed), shape=shape, spacing_mm=spacing_mm)
    return draw_stack(recipe, seed, levels, f"synthetic subject {seed}", f"subject-{seed}")


def vary(a: Recipe, seed: int) -> Recipe:
    """Vary a recipe as people vary; the standard deviations are assumptions, not measurements."""
    rng = np.random.Generator(np.random.PCG64([seed, 20240607]))

    def bell() -> float:  # nearly normal, within 2.5 standard deviations
        return min(max(float(rng.random(12).sum()) - 6.0, -2.5), 2.5)

    size, roundness, gap = 1 + 0.04 * bell(), 1 + 0.015 * bell(), max(a.gap + 0.6 * bell(), 1.5)
    return replace(
        a,
        half_length=a.half_length * size / roundness,
        half_width=a.half_width * size * roundness,
        gap=gap,
        gap_sd=a.gap_sd * float(np.sqrt(gap / a.gap)) * max(1 + 0.15 * bell(), 0.2),
        csf_share=max(a.csf_share + 0.03 * bell(), 0.02),
        scalp=max(a.scalp + 1.0 * bell(), 3.5),
        sulcus_half_width=max(a.sulcus_half_width + 0.1 * bell(), 0.3),
        ventricles=max(a.ventricles + 0.2 * bell(), 0.4),
        rotation=a.rotation + 3 * bell(),
        offset_right=a.offset_right + 4 * bell(),
        offset_down=a.offset_down + 4 * bell(),
        coil=max(a.coil + 0.04 * bell(), 0),
        bias=max(a.bias + 0.02 * bell(), 0),
    )


LOW = (2.0, 6.0, 10.0, 14.0, 18.0)  # alike enough for one frame to cut every scalp
ABOVE_CALLOSUM = (34.0, 38.0, 42.0, 46.0, 50.0)
VERTEX = (72.0, 80.0, 86.0, 92.0, 96.0)
VERTEX_CLOSE = (78.0, 79.0, 80.0, 81.0, 82.0)


class Variant(NamedTuple):
    """What to change in the published stack."""

    description: str
    recipe: Recipe = NOMINAL
    levels: tuple[float, ...] = PUBLISHED_LEVELS  # mm
    cut: tuple[str, ...] = ()  # sides on which the frame cuts the head
    margin: float = 1.5  # mm kept outside the widest skull there; negative cuts the brain


GAP, GAP_SD = NOMINAL.gap, NOMINAL.gap_sd  # mm
THICK, BRIDGE = Recipe(scalp=30.0), Recipe(bridge=4.0)  # mm
TWO, ALL = ("left", "right"), ("left", "right", "top", "bottom")

# Without bright vessels the threshold falls where it may.
_VARIANTS = {
    "scalp-cut-one-side": Variant("The frame cuts the scalp on the left.", levels=LOW, cut=TWO[:1]),
    "scalp-cut-two-sides": Variant("The frame cuts the scalp left and right.", levels=LOW, cut=TWO),
    "scalp-cut-all-sides": Variant("The frame cuts the scalp all round.", levels=LOW, cut=ALL),
    "brain-touches-frame": Variant(
        "The frame cuts through the brain on the right.", cut=("right",), margin=-22.5
    ),
    "bridge": Variant("A bright corridor 8 mm wide joins brain and scalp.", BRIDGE),
    "bridge-and-cut": Variant("The bridge, and the scalp cut left and right.", BRIDGE, LOW, TWO),
    "hemispheres-apart": Variant(
        "Fluid parts the hemispheres on every slice.", Recipe(touching=0.0), ABOVE_CALLOSUM
    ),
    "thick-soft-tissue": Variant("30 mm of soft tissue, uncut: larger than the brain.", THICK),
    "thick-soft-tissue-cut": Variant(
        "30 mm of soft tissue, cut by the frame left and right.", THICK, cut=TWO, margin=20.0
    ),
    "vertex": Variant("Slices near the top of the head.", levels=VERTEX),
    "vertex-cut": Variant(
        "Slices near the top, the scalp cut left and right.", levels=VERTEX_CLOSE, cut=TWO
    ),
    "low-contrast": Variant(
        "All tissues at 0.4 of their contrast.", Recipe(contrast=0.4, otsu_level=None)
    ),
    "noise": Variant("Five times the noise.", Recipe(noise=5 * NOMINAL.noise, otsu_level=None)),
    "strong-coil": Variant(
        "Four times the coil's rise to the rim.", Recipe(coil=4 * NOMINAL.coil, otsu_level=None)
    ),
    "narrow-gap": Variant(
        "Half the gap from brain to outer skull.", Recipe(gap=GAP / 2, gap_sd=GAP_SD / 2)
    ),
    "wide-gap": Variant(
        "Twice the gap from brain to outer skull.", Recipe(gap=GAP * 2, gap_sd=GAP_SD * 2)
    ),
}

VARIANTS: dict[str, str] = {name: v.description for name, v in _VARIANTS.items()}


def variant(name: str) -> Stack:
    """Draw five slices of the published head that break one assumption of the pipeline.

    `name` is a key of `VARIANTS`, which also says what each one shows (else InvalidSetting). Where
    the frame cuts the head, the reference mask is cut with it.
    """
    if name not in _VARIANTS:
        raise InvalidSetting(f"No variant called {name!r}: choose one of {', '.join(VARIANTS)}.")
    v, stack = _VARIANTS[name], _draw_uncut(name)
    assert stack.reference is not None
    crop = [slice(None)]
    for axis, (low, high) in enumerate((("top", "bottom"), ("left", "right"))):
        inside = np.nonzero(stack.reference.any(axis=(0, 2 - axis)))[0]
        keep = round(v.margin / v.recipe.spacing_mm[axis])
        first = max(int(inside[0]) - keep, 0) if low in v.cut else 0
        crop.append(slice(first, int(inside[-1]) + 1 + keep if high in v.cut else None))
    images, reference = (one[tuple(crop)].copy() for one in (stack.images, stack.reference))
    return replace(stack, images=images, reference=reference)


@lru_cache(maxsize=4)  # a chapter asks for the same few again, and each takes seconds
def _draw_uncut(name: str) -> Stack:
    """Draw a variant before the frame cuts it."""
    v, whole = _VARIANTS[name], f"synthetic phantom: {name}"
    return draw_stack(v.recipe, PUBLISHED_SEED, v.levels, whole, "phantom")
