"""Stacks of synthetic slices: the published stand-in, and subjects of a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skullnb.errors import InvalidSetting
from skullnb.phantom.calibration import scale_to_peak
from skullnb.phantom.section import Frame
from skullnb.phantom.slices import Recipe, Subject
from skullnb.stack import Stack

PUBLISHED_SEED = 7  # picked by eye and by score; it is not a random draw
PUBLISHED_LEVELS = (4.0, 15.0, 26.0, 37.0, 48.0)  # mm
LOWEST_LEVEL, HIGHEST_LEVEL = -30.0, 100.0  # mm; the drawing has no face and ends at the vertex


def draw_stack(recipe: Recipe, seed: int, levels: Sequence[float], name: str, group: str) -> Stack:
    """Draw the slices of one synthetic head and scale them by one gain."""
    head = Subject(recipe, seed)
    drawn = [head.make_slice(level, index) for index, level in enumerate(levels)]
    return Stack(
        images=scale_to_peak(np.stack([image for image, _ in drawn]), recipe.acquisition.peak),
        reference=np.stack([reference for _, reference in drawn]),
        spacing_mm=recipe.frame.spacing_mm,
        groups=(group,) * len(drawn),
        name=name,
        synthetic=True,
    )


def published_stack() -> Stack:
    """Draw the stand-in for the article's data: five synthetic slices of one head.

    Synthetic, and *calibrated to* the published figures: the seed was picked and the parameters
    were tuned until range, thresholds, sweep and scores came out. Their agreement is therefore no
    evidence for the article or for the pipeline.

    Returns
    -------
    Stack
        ``images`` (5, 768, 624) float32 from 1.83e-07 to 3.49e-05 (arbitrary units), ``reference``
        (5, 768, 624) uint8, 1 inside the outer surface of the skull, 0.375 mm a pixel, all of one
        group. The same arrays on every call.

    Examples
    --------
    >>> stack = published_stack()
    >>> stack.images.shape, stack.images.dtype.name, stack.name
    ((5, 768, 624), 'float32', 'synthetic phantom')
    """
    return draw_stack(Recipe(), PUBLISHED_SEED, PUBLISHED_LEVELS, "synthetic phantom", "phantom")


def subject(
    seed: int,
    n_slices: int = 5,
    *,
    levels: Sequence[float] | None = None,
    shape: tuple[int, int] = (768, 624),
    spacing_mm: tuple[float, float] = (0.375, 0.375),
    spread: float = 1.0,
    recipe: Recipe | None = None,
) -> Stack:
    """Draw one synthetic subject of a cohort.

    Parameters
    ----------
    seed : int
        Number of the subject, 0 or more; decides anatomy, folding and noise.
    n_slices : int
        How many slices, evenly spaced from level 4 mm to 48 mm. Ignored when `levels` is given.
    levels : sequence of float, optional
        Heights of the slices, mm, from -30 to 100 (the vertex is near 104).
    shape : (int, int)
        Rows and columns of a slice, pixels. A frame smaller than the head cuts it.
    spacing_mm : (float, float)
        Size of a pixel (row, column), mm.
    spread : float
        How much subjects differ in size, proportions, gap, scalp, sulci and coil: 1 as among adults
        (an assumption, not a measurement), 0 not at all.
    recipe : Recipe, optional
        Anatomy, intensities and acquisition to spread around; nominal when left out.

    Returns
    -------
    Stack
        ``images`` (N, H, W) float32, ``reference`` (N, H, W) uint8, one group ``subject-<seed>``.

    Raises
    ------
    InvalidSetting
        If a size, spacing, level or seed is outside what can be drawn.

    Examples
    --------
    >>> stack = subject(3, levels=[20], shape=(120, 100), spacing_mm=(2.0, 2.0))
    >>> stack.images.shape, stack.groups
    ((1, 120, 100), ('subject-3',))
    """
    levels = spaced_levels(n_slices) if levels is None else [float(level) for level in levels]
    check(seed, levels, shape, spacing_mm)
    recipe = spread_recipe(recipe or Recipe(), seed, spread)
    frame = Frame((int(shape[0]), int(shape[1])), (float(spacing_mm[0]), float(spacing_mm[1])))
    recipe = replace(recipe, frame=frame)
    return draw_stack(recipe, seed, levels, f"synthetic subject {seed}", f"subject-{seed}")


def spaced_levels(n_slices: int) -> list[float]:
    """Levels of `n_slices` slices, mm: the published ones when there are five.

    Examples
    --------
    >>> spaced_levels(3)
    [4.0, 26.0, 48.0]
    """
    if n_slices < 1:
        raise InvalidSetting(f"A subject needs at least one slice, not n_slices={n_slices}.")
    ends = (PUBLISHED_LEVELS[0], PUBLISHED_LEVELS[-1])
    return [float(z) for z in np.linspace(*ends, n_slices)] if n_slices > 1 else [26.0]


def spread_recipe(recipe: Recipe, seed: int, spread: float) -> Recipe:
    """Vary a recipe as people vary; the standard deviations are assumptions, not measurements."""
    rng = np.random.Generator(np.random.PCG64([seed, 20240607]))

    def bell() -> float:  # nearly normal, within 2.5 standard deviations
        return spread * min(max(float(rng.random(12).sum()) - 6.0, -2.5), 2.5)

    a, scanner = recipe.anatomy, recipe.acquisition
    size, roundness, gap = 1 + 0.04 * bell(), 1 + 0.015 * bell(), max(a.gap + 0.6 * bell(), 1.5)
    anatomy = replace(
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
    )
    coil, bias = max(scanner.coil + 0.04 * bell(), 0), max(scanner.bias + 0.02 * bell(), 0)
    return replace(recipe, anatomy=anatomy, acquisition=replace(scanner, coil=coil, bias=bias))


def check(
    seed: int, levels: Sequence[float], shape: tuple[int, int], spacing_mm: tuple[float, float]
) -> None:
    """Refuse what cannot be drawn, with one sentence."""
    if seed < 0:
        raise InvalidSetting(f"The seed of a synthetic subject is 0 or more, not {seed}.")
    if not levels or not all(LOWEST_LEVEL <= level <= HIGHEST_LEVEL for level in levels):
        limits = f"from {LOWEST_LEVEL:g} to {HIGHEST_LEVEL:g} mm"
        raise InvalidSetting(f"A subject needs at least one level, each {limits}, not {levels}.")
    if len(shape) != 2 or min(shape) < 16:
        raise InvalidSetting(f"A slice needs at least 16 x 16 pixels, not shape={tuple(shape)}.")
    if len(spacing_mm) != 2 or not all(0.1 <= s <= 10 for s in spacing_mm):
        got = tuple(spacing_mm)
        raise InvalidSetting(f"Pixels are from 0.1 to 10 mm (row, column), not spacing_mm={got}.")
