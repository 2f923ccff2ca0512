"""Signs, seen without a reference mask, that a slice went wrong: what is measured, what is said.

The limits come from 130 slices of four open heads with reference masks, the same cropped in 20
ways, and every slice of two whole heads, at a reach of 7.5 mm; "right" means an IoU of 0.8 or more.
They fit those heads, and maybe no others.
"""

from collections.abc import Sequence
from math import ceil, floor
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.pipeline.settings import DILATION, PipelineSettings

Array = NDArray[Any]

HOT, TWO_LEVELS, WIDE_KERNEL = "hot pixels", "two levels", "wide kernel"
EMPTY, SMALL, LARGE, HOLLOW = "empty", "too small", "too large", "hollow mask"
SCALP_RING, MERGED, SPARSE = "scalp ring", "merged", "sparse"
OUTSIDE, PART, DROPPED = "mostly outside", "one part", "larger one dropped"
AREA_JUMP, THRESHOLD_JUMP = "area jump", "threshold jump"

SENTENCES = {
    HOT: "a few pixels own most of the range: 99.9% of the pixels lie in its lowest "
    "{lowest:.2g}%, so the threshold may only separate those few",
    TWO_LEVELS: "scaled to 0..255 the slice has only two levels, like a drawing or a mask, not a "
    "scan",
    WIDE_KERNEL: "{kernel}",
    EMPTY: "the mask is empty: {reason}",
    SMALL: "{little}, too little for a head",
    LARGE: "the mask covers {much}, too much for a head",
    HOLLOW: "the mask fills only {mask_fill:.0%} of its convex hull, but the outline of a skull is "
    "nearly convex",
    SCALP_RING: "the chosen component is the outermost and fills only {fill:.0%} of its hull, so "
    "it may be the scalp",
    MERGED: "only {outside:.1%} of the bright tissue lies around the chosen component, so brain "
    "and scalp may be joined, or the scan has no scalp",
    SPARSE: "the chosen component fills only {fill:.0%} of its convex hull, so it may be noise, or "
    "a piece of the scalp",
    OUTSIDE: "{outside:.0%} of the bright tissue lies outside the chosen component's hull, so the "
    "brain, or a part of it, may be left out",
    PART: "a component {beside:.0%} as large lies beside the chosen one, so a part of the brain "
    "may be left out",
    DROPPED: "a component {edge:.1f} times as large as the chosen one touches the frame and was "
    "dropped, so the brain may be lost",
}
SIGNS = (*SENTENCES, AREA_JUMP, THRESHOLD_JUMP)  # in this order; the last two need a volume

HOT_QUANTILE, HOT_LEVEL = 0.999, 0.10
# Chosen on the other heads, four heads asked for 7.0 to 8.0 mm; 7.5 mm is best over all of them.
LARGEST_CHOSEN_REACH_MM, USUAL_REACH_MM = 8.0, 7.5
# Right slices: chosen components of 45 cm2 or more, masks of 239 cm2 or less, 273 at 26 px of 1 mm;
# outlines of a whole head 311 and more. Children's heads get some room. Else, shares of the frame.
SMALLEST_CM2, LARGEST_CM2 = 20.0, 300.0
SMALLEST_PLAUSIBLE, LARGEST_PLAUSIBLE = 0.01, 0.90
# Right masks fill .94 of their hull or more, on other heads that were tried .82; wrong ones .80.
MASK_FILL = 0.81
SMALLEST_HEAD = 0.01  # of the frame: a smaller hull tells nothing by what lies around it
# Bright tissue outside the chosen one's hull: right slices .10 to .53, brain joined to scalp .06
# and less. Where a component with the last share touches the frame, which cuts it, right ones .02.
LEAST_OUTSIDE, LEAST_OUTSIDE_CUT, MOST_OUTSIDE, CUT_SHARE = 0.065, 0.01, 0.60, 0.001
# Right ones fill .79 of their hull or more, .66 cropped, .50 in noise; noise in air .30 to .51.
RING_FILL, SPARSE_FILL = 0.60, 0.48
# Largest beside the chosen one: right .32 of it or less, wrong .36 to 1; at the frame: right 1.2.
LIKE_SIZE, MUCH_LARGER = 0.35, 2.0
# Of padding in a corner, of one level but for a blurred rim; in cut scalp half share one at most.
PADDING_SHARE = 0.75
# Against the median of five slices nearby without a sign; thresholds of right ones differ by .21.
AREA_CHANGE, THRESHOLD_CHANGE, NEARBY, NEARBY_MM = 0.25, 0.40, 5, 10.0


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
    areas, is_own = components["area"], components["label"] == chosen
    corners = labels[[0, 0, -1, -1], [0, -1, 0, -1]]
    is_padding = ~is_own & np.isin(components["label"], corners)
    for i in np.flatnonzero(is_padding):
        levels = np.bincount(normalised[labels == i + 1])
        is_padding[i] = levels.max() >= PADDING_SHARE * levels.sum()
    is_tissue = ~is_own & ~is_padding
    # Sides of boxes, larger further out; neither holds the other where each is ahead somewhere.
    top, left = components["top"], components["left"]
    sides = np.stack([-top, -left, top + components["height"], left + components["width"]])
    ahead = sides - sides[:, is_own].sum(axis=1, keepdims=True)
    is_beside = is_tissue & (ahead > 0).any(axis=0) & (ahead < 0).any(axis=0) & bool(chosen)
    hull = hull_of(labels == (chosen or -1))
    return SliceFacts(
        height=normalised.shape[0],
        width=normalised.shape[1],
        n_levels=int(np.count_nonzero(counts)),
        hot_level=quantile_of_counts(counts, HOT_QUANTILE),
        bright_px=int(np.count_nonzero(binary)),
        padding_px=int(areas[is_padding].sum()),
        chosen_px=int(areas[is_own].sum()),
        hull_px=int(np.count_nonzero(hull)),
        bright_in_hull_px=int(np.count_nonzero(binary * hull)),
        beside_px=int(areas[is_beside].max(initial=0)),
        edge_px=int(areas[is_tissue & components["touches_edge"]].max(initial=0)),
        mask_px=int(np.count_nonzero(mask)),
        mask_hull_px=int(np.count_nonzero(hull_of(mask))),
    )


def warnings_of(
    facts: SliceFacts,
    settings: PipelineSettings,
    spacing_mm: tuple[float, float] | None = None,
    reason: str = "",
) -> dict[str, str]:
    """Tell the signs of one slice, a sentence by name; `reason` is why its mask is empty."""
    own, frame = max(facts.chosen_px, 1), facts.height * facts.width
    share, cm2 = facts.mask_px / frame, spacing_mm[0] * spacing_mm[1] / 100 if spacing_mm else 0.0
    chosen, mask = facts.chosen_px * cm2, facts.mask_px * cm2
    little = f"the mask covers {100 * share:.2g}% of the frame ({facts.mask_px} px)"
    if cm2:
        little = f"the chosen component covers {chosen:.2g} cm² and the mask {mask:.3g} cm²"
    tissue = max(facts.bright_px - facts.padding_px, 1)
    words: dict[str, Any] = {
        "lowest": 100 * (facts.hot_level + 1) / 255,  # decimals were cut off
        "kernel": kernel_sign(settings, spacing_mm),
        "reason": reason,
        "little": little,
        "much": f"{mask:.0f} cm²" if mask > LARGEST_CM2 else f"{share:.0%} of the frame",
        "mask_fill": facts.mask_px / max(facts.mask_hull_px, 1),
        "fill": facts.chosen_px / max(facts.hull_px, 1),
        "outside": max(0.0, 1 - facts.bright_in_hull_px / tissue),
        "beside": facts.beside_px / own,
        "edge": facts.edge_px / own,
    }
    fill, outside = words["fill"], words["outside"]
    is_head = facts.hull_px >= SMALLEST_HEAD * frame
    is_cut = facts.edge_px >= CUT_SHARE * own
    is_outermost = is_head and outside < (LEAST_OUTSIDE_CUT if is_cut else LEAST_OUTSIDE)
    shown = {
        HOT: facts.n_levels > 1 and facts.hot_level / 255 < HOT_LEVEL,
        TWO_LEVELS: facts.n_levels == 2,
        WIDE_KERNEL: words["kernel"],
        EMPTY: reason,
        SMALL: chosen < SMALLEST_CM2 if cm2 else share < SMALLEST_PLAUSIBLE,
        LARGE: mask > LARGEST_CM2 or share > LARGEST_PLAUSIBLE,
        HOLLOW: facts.mask_px < MASK_FILL * facts.mask_hull_px,
        SCALP_RING: is_outermost and fill < RING_FILL,
        MERGED: is_outermost and fill >= RING_FILL,
        SPARSE: is_head and not is_outermost and fill < SPARSE_FILL,
        OUTSIDE: is_head and outside > MOST_OUTSIDE,
        PART: is_head and facts.beside_px > LIKE_SIZE * own,
        DROPPED: facts.edge_px > MUCH_LARGER * own,
    }
    judged = (HOT, TWO_LEVELS, WIDE_KERNEL, EMPTY) if reason else SENTENCES
    return {sign: SENTENCES[sign].format(**words) for sign in judged if shown[sign]}


def kernel_sign(settings: PipelineSettings, spacing_mm: tuple[float, float] | None) -> str:
    """Say what a kernel itself gives a sign of, on every slice alike, or nothing."""
    if spacing_mm is None or settings.border != DILATION:
        return ""
    if (settings.kernel_width - 1) * sum(spacing_mm) / 4 <= 2 * LARGEST_CHOSEN_REACH_MM:
        return ""
    width = PipelineSettings(reach_mm=USUAL_REACH_MM).at(spacing_mm).kernel_width
    return (
        f"the kernel of {settings.kernel_width} px reaches "
        f"{say_reach(settings.kernel_width, spacing_mm)} here, more than twice the "
        f"{LARGEST_CHOSEN_REACH_MM:g} mm that any open head chose, so the mask may cover too much, "
        f"and {say_nearest(width, spacing_mm)}"
    )


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


def neighbour_signs(
    areas: Sequence[int],  # of masks in px
    thresholds: Sequence[int],
    volumes: Sequence[str],  # "" where none is known: no neighbours
    numbers: Sequence[int],  # of the slices there
    steps_mm: Sequence[float],  # from one to the next, 0 where it is not known
    warned: Sequence[bool],
) -> list[dict[str, str]]:
    """Tell for each slice how it differs from the slices of its volume nearby that show no sign."""
    names, values = np.array(volumes, dtype=str), np.array([areas, thresholds], dtype=float)
    silent = (values[0] > 0) & ~np.asarray(warned, dtype=bool)
    found: list[dict[str, str]] = [{} for _ in areas]
    for volume in set(volumes) - {""}:
        same = np.flatnonzero(names == volume)
        places = np.asarray(numbers)[same]
        if len(np.unique(places)) < len(places):  # of files with a slice each
            places = np.arange(len(same))
        reach = min(NEARBY, NEARBY_MM / max(float(np.array(steps_mm)[same].max()), 1e-9))
        for place, number in zip(places, same, strict=True):
            away = np.abs(places - place)
            close = np.flatnonzero((away <= reach) & (same != number) & silent[same])
            near = same[close[np.argsort(away[close], kind="stable")[:NEARBY]]]
            if values[0, number] and len(near) > 1:
                usual = np.maximum(1, np.median(values[:, near], axis=1))
                found[number] = _jumps(*(values[:, number] / usual - 1))
    return found


def _jumps(area: float, threshold: float) -> dict[str, str]:
    """Put into words how much larger an area and a threshold are than usual, where it is much."""
    told = {}
    if abs(area) > AREA_CHANGE:
        told[AREA_JUMP] = f"the mask is {abs(area):.0%} {'larger' if area > 0 else 'smaller'} than"
    if abs(threshold) > THRESHOLD_CHANGE:
        word = "higher" if threshold > 0 else "lower"
        told[THRESHOLD_JUMP] = f"the threshold is {abs(threshold):.0%} {word} than"
    sentence = ", and ".join(told.values()) + ","[: len(told) - 1]
    return dict.fromkeys(told, f"{sentence} those of the slices around it")


def quantile_of_counts(counts: Array, share: float) -> float:
    """Do as `numpy.quantile`, from the counts of 256 levels instead of from sorted pixels."""
    place = (int(counts.sum()) - 1) * share
    low, high = np.searchsorted(counts.cumsum(), [floor(place), ceil(place)], side="right")
    return float(low + (high - low) * (place - floor(place)))


def hull_of(pixels: Array) -> NDArray[np.bool_]:
    """Convex hull of what is set: pixels whose centres lie in or on the hull of its centres."""
    mode = cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    contours, _ = cv2.findContours(pixels.astype(np.uint8), *mode)
    if not contours:
        return np.zeros(pixels.shape, dtype=np.bool_)
    corners: Any = cv2.convexHull(np.concatenate(contours))[:, 0]  # clockwise
    x, y = corners.T
    right, down = np.roll(x, -1) - x, np.roll(y, -1) - y
    rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    sides = x + right * (rows - y) / np.where(down, down, 1)  # columns by row of its straight lines
    first = sides[:, down < 0].max(axis=1, initial=x.min(), keepdims=True)
    last = sides[:, down > 0].min(axis=1, initial=x.max(), keepdims=True)
    inside = (columns > first - 1e-6) & (columns < last + 1e-6)
    return np.asarray(inside & (rows >= y.min()) & (rows <= y.max()))
