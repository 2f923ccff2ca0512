"""Signs, seen without a reference mask, that a slice went wrong: what is measured, what is said.

`SliceFacts` are plain numbers of one slice; `warnings_of` tells the signs from them. The limits
come from 130 slices of four open heads with reference masks, the same cropped in 20 ways, and
every slice of two whole heads, at a reach of 7.5 mm; "right" means an IoU of 0.8 or more. They fit
those heads; how well they do on others, others must say.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.pipeline.settings import PipelineSettings

Array = NDArray[Any]

EMPTY, SMALL, LARGE, HOLLOW = "empty", "too small", "too large", "hollow mask"
HOT, TWO_LEVELS, WIDE_KERNEL = "hot pixels", "two levels", "wide kernel"
SCALP_RING, MERGED, SPARSE = "scalp ring", "merged", "sparse"
OUTSIDE, PART, DROPPED = "mostly outside", "one part", "larger one dropped"
AREA_JUMP, THRESHOLD_JUMP = "area jump", "threshold jump"
SIGNS = (
    *(HOT, TWO_LEVELS, WIDE_KERNEL, EMPTY, SMALL, LARGE, HOLLOW),
    *(SCALP_RING, MERGED, SPARSE, OUTSIDE, PART, DROPPED),
    *(AREA_JUMP, THRESHOLD_JUMP),
)
"""Names of all signs, in the order of their sentences; the last two need a volume."""

HOT_QUANTILE, HOT_LEVEL = 0.999, 0.10
# Chosen on the other heads, four heads asked for 7.0 to 8.0 mm; 7.5 mm is best over all of them.
LARGEST_CHOSEN_REACH_MM, USUAL_REACH_MM = 8.0, 7.5
# Shares of the frame, where the pixel size is unknown.
SMALLEST_PLAUSIBLE, LARGEST_PLAUSIBLE = 0.01, 0.90
# Right slices: chosen components of 45 cm2 or more, masks of 239 cm2 or less, 273 at 26 px of 1 mm.
# Outlines of a whole head: 311 cm2 and more. Children's heads get some room.
SMALLEST_CM2, LARGEST_CM2 = 20.0, 300.0
# Right masks fill .94 of their hull or more, on other heads that were tried .82; wrong ones .80.
MASK_FILL = 0.81
# Share of the frame: of a smaller hull nothing can be told by what lies around it.
SMALLEST_HEAD = 0.01
# Bright tissue outside the chosen one's hull: right slices .10 to .53, brain joined to scalp .06
# and less. Where the frame cuts the scalp off, right ones may keep .02.
LEAST_OUTSIDE, LEAST_OUTSIDE_CUT, MOST_OUTSIDE = 0.065, 0.01, 0.60
# The frame cuts the head where a component that touches it has this share of the chosen one.
CUT_SHARE = 0.001
# Right components fill .79 of their hull or more, .66 where cropped, .50 on the noisiest synthetic
# heads; noise in air .30 to .51.
RING_FILL, SPARSE_FILL = 0.60, 0.48
# The largest component beside the chosen one: right slices .32 of it or less, wrong ones .36 to 1.
LIKE_SIZE = 0.35
# A component that touches the frame: right slices up to 1.2 times the chosen one (a neck).
MUCH_LARGER = 2.0
# Bright padding holds a corner of the frame and has one level but for a rim that resampling blurs;
# of the scalp where a frame cuts it, half of the pixels share one at most.
PADDING_SHARE = 0.75
# Against the median of up to five slices nearby that show no sign. Thresholds of right slices
# differed by 21% at most. Of every 2nd to 16th slice of five open stacks, no right one differed
# from neighbours within 12 mm; from those within 16 mm some did.
AREA_CHANGE, THRESHOLD_CHANGE, NEARBY, NEARBY_MM = 0.25, 0.40, 5, 10.0
MANY_TIMES = 2.0  # a larger change is told as a factor
_JUMPS = {
    AREA_JUMP: ("mask", AREA_CHANGE, "larger", "smaller", "large"),
    THRESHOLD_JUMP: ("threshold", THRESHOLD_CHANGE, "higher", "lower", "high"),
}


class SliceFacts(NamedTuple):
    """What the signs are told from: numbers of one slice, in px where no other unit is named."""

    height: int
    width: int
    n_levels: int  # different levels of the normalised slice
    hot_level: float  # their .999 quantile, as `numpy.quantile` gives it
    bright_px: int
    padding_px: int  # bright, but in components that are padding and not tissue
    chosen_px: int  # 0 = nothing was chosen
    hull_px: int  # convex hull of the chosen component
    bright_in_hull_px: int
    beside_px: int  # largest component neither around nor inside the chosen one, and no padding
    edge_px: int  # largest other component that touches the frame, and no padding
    mask_px: int
    mask_hull_px: int


def facts_of(
    normalised: Array, binary: Array, labels: Array, components: Array, chosen: int, mask: Array
) -> SliceFacts:
    """Measure one slice from the arrays of its trace; `components` as `label_components` gives."""
    counts = cv2.calcHist([normalised], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    is_own = components["label"] == chosen
    others = components[~is_own]
    is_padding = np.isin(others["label"], labels[[0, 0, -1, -1], [0, -1, 0, -1]])
    for i in np.flatnonzero(is_padding):
        levels = np.bincount(normalised[labels == others["label"][i]])
        is_padding[i] = levels.max() >= PADDING_SHARE * levels.sum()
    tissue = others[~is_padding]
    top, left, end = _hull(labels == chosen if chosen else labels < 0)
    ends = zip(binary[top : top + len(end)], left.tolist(), end.tolist(), strict=True)
    # Neither box holds the other where one is ahead on some sides, and the other on others.
    ahead = _sides(tissue) - (_sides(components[is_own]) if chosen else 0)
    beside = (ahead > 0).any(axis=0) & (ahead < 0).any(axis=0) & bool(chosen)
    _, mask_left, mask_end = _hull(mask != 0)
    return SliceFacts(
        height=normalised.shape[0],
        width=normalised.shape[1],
        n_levels=int(np.count_nonzero(counts)),
        hot_level=quantile_of_counts(counts, HOT_QUANTILE),
        bright_px=int(np.count_nonzero(binary)),
        padding_px=int(others["area"][is_padding].sum()),
        chosen_px=int(components["area"][is_own].sum()),
        hull_px=int((end - left).sum()),
        bright_in_hull_px=sum(cv2.countNonZero(row[i:j]) for row, i, j in ends),
        beside_px=int(tissue["area"][beside].max(initial=0)),
        edge_px=int(tissue["area"][tissue["touches_edge"]].max(initial=0)),
        mask_px=int(np.count_nonzero(mask)),
        mask_hull_px=int((mask_end - mask_left).sum()),
    )


def warnings_of(
    facts: SliceFacts,
    settings: PipelineSettings,
    spacing_mm: tuple[float, float] | None = None,
    reason: str = "",
) -> dict[str, str]:
    """Tell the signs of one slice, a sentence by name; `reason` is why its mask is empty."""
    found = {}
    if facts.n_levels > 1 and facts.hot_level / 255 < HOT_LEVEL:
        # Decimals were cut off, so a pixel lies below the next level up.
        found[HOT] = (
            f"a few pixels own most of the range: {HOT_QUANTILE:.1%} of the pixels lie in its "
            f"lowest {100 * (facts.hot_level + 1) / 255:.2g}%, so the threshold may only separate "
            "those few"
        )
    if facts.n_levels == 2:
        found[TWO_LEVELS] = (
            "scaled to 0..255 the slice has only two levels, like a drawing or a mask, not a scan"
        )
    found |= kernel_sign(settings, spacing_mm)
    if reason:
        return found | {EMPTY: f"the mask is empty: {reason}"}
    return found | _size_signs(facts, spacing_mm) | _choice_signs(facts)


def neighbour_signs(
    areas: Sequence[int],
    thresholds: Sequence[int],
    volumes: Sequence[str],
    numbers: Sequence[int],
    steps_mm: Sequence[float],
    warned: Sequence[bool],
) -> list[dict[str, str]]:
    """Tell for each slice how it differs from the slices of its volume nearby that show no sign.

    `areas` are those of masks in px, `volumes` name the volume of each slice ("" = not known: no
    neighbours), `numbers` are those of the slices there and `steps_mm` the mm from one to the next
    (0 = not known). A slice that differs in both ways has two signs and one sentence.
    """
    values = {AREA_JUMP: np.asarray(areas), THRESHOLD_JUMP: np.asarray(thresholds)}
    named, steps, full = np.array(volumes, dtype=str), np.array(steps_mm), np.asarray(areas) > 0
    silent = full & ~np.asarray(warned, dtype=bool)
    found: list[dict[str, str]] = [{} for _ in areas]
    for volume in filter(None, np.unique(named).tolist()):
        same = np.flatnonzero(named == volume)
        places = np.asarray(numbers)[same]
        if len(np.unique(places)) < len(places):  # of files with a slice each
            places = np.arange(len(same))
        reach = min(NEARBY, NEARBY_MM / max(float(steps[same].max()), 1e-9))
        for place, number in zip(places, same, strict=True):
            away = np.abs(places - place)
            close = np.flatnonzero((away <= reach) & (same != number) & silent[same])
            near = same[close[np.argsort(away[close], kind="stable")[:NEARBY]]]
            if not full[number] or len(near) < 2:
                continue
            told = {}
            for sign, (what, limit, more, less, much) in _JUMPS.items():
                times = values[sign][number] / max(1.0, float(np.median(values[sign][near])))
                change = f"{abs(times - 1):.0%} {more if times > 1 else less} than"
                if times > 1 + MANY_TIMES:
                    change = f"{times:.1f} times as {much} as"
                if abs(times - 1) > limit:
                    told[sign] = f"the {what} is {change}"
            sentence = ", and ".join(told.values()) + ","[: len(told) - 1]
            found[number] = dict.fromkeys(told, f"{sentence} those of the slices around it")
    return found


def quantile_of_counts(counts: Array, share: float) -> float:
    """Do as `numpy.quantile`, from the counts of 256 levels instead of from sorted pixels."""
    place = (int(counts.sum()) - 1) * share
    low, high = np.searchsorted(counts.cumsum(), [floor(place), ceil(place)], side="right")
    return float(low + (high - low) * (place - floor(place)))


def kernel_sign(
    settings: PipelineSettings, spacing_mm: tuple[float, float] | None
) -> dict[str, str]:
    """Tell the sign that a kernel itself gives, on every slice alike."""
    if spacing_mm is None or settings.border != "dilation":
        return {}
    pixel_mm = sum(spacing_mm) / 2
    if (settings.kernel_width - 1) / 2 * pixel_mm <= 2 * LARGEST_CHOSEN_REACH_MM:
        return {}
    width = 1 + 2 * max(ceil(USUAL_REACH_MM / pixel_mm - 0.5), 0)
    return {
        WIDE_KERNEL: f"the kernel of {settings.kernel_width} px reaches "
        f"{say_reach(settings.kernel_width, spacing_mm)} here, more than twice the "
        f"{LARGEST_CHOSEN_REACH_MM:g} mm that any open head chose, so the mask may cover too much, "
        f"and {say_nearest(width, spacing_mm)}"
    }


def say_reach(kernel_width: int, spacing_mm: Sequence[float]) -> str:
    """Write a kernel's mean reach, such as "7.5 mm", or "10 x 5 mm" (up and down, across)."""
    sides = dict.fromkeys(f"{(kernel_width - 1) / 2 * one:.3g}" for one in spacing_mm)
    return f"{' x '.join(sides)} mm"


def say_nearest(kernel_width: int, spacing_mm: Sequence[float]) -> str:
    """Name the odd width that comes nearest to the usual reach, and what it does reach."""
    return (
        f"--reach-mm {USUAL_REACH_MM:g}, or --kernel-width {kernel_width}, the nearest of odd "
        f"width, reaches {say_reach(kernel_width, spacing_mm)}"
    )


def _size_signs(facts: SliceFacts, spacing_mm: tuple[float, float] | None) -> dict[str, str]:
    found = {}
    share = facts.mask_px / (facts.height * facts.width)
    cm2 = spacing_mm[0] * spacing_mm[1] / 100 if spacing_mm else None
    if cm2 and facts.chosen_px * cm2 < SMALLEST_CM2:
        found[SMALL] = (
            f"the chosen component covers {facts.chosen_px * cm2:.2g} cm² and the mask "
            f"{facts.mask_px * cm2:.3g} cm², too little for a head"
        )
    elif not cm2 and share < SMALLEST_PLAUSIBLE:
        found[SMALL] = (
            f"the mask covers {100 * share:.2g}% of the frame ({facts.mask_px} px), too little for "
            "a head"
        )
    if cm2 and facts.mask_px * cm2 > LARGEST_CM2:
        found[LARGE] = f"the mask covers {facts.mask_px * cm2:.0f} cm², too much for a head"
    elif share > LARGEST_PLAUSIBLE:
        found[LARGE] = f"the mask covers {share:.0%} of the frame, too much for a head"
    if facts.mask_px < MASK_FILL * facts.mask_hull_px:
        found[HOLLOW] = (
            f"the mask fills only {facts.mask_px / facts.mask_hull_px:.0%} of its convex hull, but "
            "the outline of a skull is nearly convex"
        )
    return found


def _choice_signs(facts: SliceFacts) -> dict[str, str]:
    """Signs that not the brain was chosen, or not the brain alone."""
    found: dict[str, str] = {}
    own = max(facts.chosen_px, 1)
    if facts.hull_px >= SMALLEST_HEAD * facts.height * facts.width:
        fill = facts.chosen_px / facts.hull_px
        tissue = max(facts.bright_px - facts.padding_px, 1)
        outside = max(0.0, 1 - facts.bright_in_hull_px / tissue)
        cut = facts.edge_px >= CUT_SHARE * own
        is_outermost = outside < (LEAST_OUTSIDE_CUT if cut else LEAST_OUTSIDE)
        if is_outermost and fill < RING_FILL:
            found[SCALP_RING] = (
                f"the chosen component is the outermost and fills only {fill:.0%} of its hull, so "
                "it may be the scalp"
            )
        elif is_outermost:
            found[MERGED] = (
                f"only {outside:.1%} of the bright tissue lies around the chosen component, so "
                "brain and scalp may be joined, or the scan has no scalp"
            )
        elif fill < SPARSE_FILL:
            found[SPARSE] = (
                f"the chosen component fills only {fill:.0%} of its convex hull, so it may be "
                "noise, or a piece of the scalp"
            )
        if outside > MOST_OUTSIDE:
            found[OUTSIDE] = (
                f"{outside:.0%} of the bright tissue lies outside the chosen component's hull, so "
                "the brain, or a part of it, may be left out"
            )
        if facts.beside_px > LIKE_SIZE * own:
            found[PART] = (
                f"a component {facts.beside_px / own:.0%} as large lies beside the chosen one, so "
                "a part of the brain may be left out"
            )
    if facts.edge_px > MUCH_LARGER * own:
        found[DROPPED] = (
            f"a component {facts.edge_px / own:.1f} times as large as the chosen one touches the "
            "frame and was dropped, so the brain may be lost"
        )
    return found


def _sides(components: Array) -> Array:
    """Bounding boxes as four numbers a component, each larger where its side lies further out."""
    top, left = components["top"], components["left"]
    return np.stack([-top, -left, top + components["height"], left + components["width"]])


def _hull(pixels: Array) -> tuple[int, Array, Array]:
    """First row of the convex hull of some pixels, and by row its first column and end column.

    A pixel belongs to the hull when its centre lies in or on the hull of the pixels' centres.
    """
    rows = np.flatnonzero(pixels.any(axis=1))
    if not len(rows):
        return 0, rows, rows
    last = pixels.shape[1] - 1 - pixels[rows, ::-1].argmax(axis=1)
    left, right = _envelope(rows, pixels[rows].argmax(axis=1)), -_envelope(rows, -last)
    return int(rows[0]), left, right + 1


def _envelope(rows: Array, columns: Array) -> Array:
    """Lower convex envelope of a column by row, at every row between, rounded up."""
    far = columns.max() + 1
    # With two points added far right, only the left side of the hull is left to find.
    points = np.stack([np.append(columns, [far, far]), np.append(rows, rows[[0, -1]])], axis=1)
    corners = cv2.convexHull(points.astype(np.int32))[:, 0]
    x, y = corners[(corners[:, 0] < far).nonzero()[0]].T
    order = np.argsort(y)
    between = np.interp(np.arange(rows[0], rows[-1] + 1), y[order], x[order])
    # Where it lies between two pixels, it does so by at least one part in so many rows.
    return np.asarray(np.ceil(between - 1e-6), dtype=np.int64)
