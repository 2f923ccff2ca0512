"""Stand-in until the signs land."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class SliceFacts(NamedTuple):
    """Numbers of one slice from which the signs are told."""

    height: int
    width: int
    n_levels: int
    hot_level: float
    bright_px: int
    padding_px: int
    chosen_px: int
    hull_px: int
    bright_in_hull_px: int
    beside_px: int
    edge_px: int
    mask_px: int
    mask_hull_px: int


def quantile_of_counts(counts: NDArray[Any], share: float) -> float:
    """Do as `numpy.quantile`, from the counts of 256 levels instead of from sorted pixels."""
    place = (int(counts.sum()) - 1) * share
    ends = [int(place), int(-(-place // 1))]
    low, high = np.searchsorted(np.cumsum(counts), ends, side="right")
    return float(low + (high - low) * (place - int(place)))


def _chain(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    kept: list[tuple[int, int]] = []
    for y, x in points:
        while len(kept) > 1:
            (y0, x0), (y1, x1) = kept[-2], kept[-1]
            if (x1 - x0) * (y - y0) >= (x - x0) * (y1 - y0):
                kept.pop()
            else:
                break
        kept.append((y, x))
    return kept


def hull_rows(first: NDArray[Any], last: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Columns in which the convex hull begins and ends, row by row."""
    rows = np.flatnonzero(last >= first)
    y = np.arange(len(first))
    left = _envelope(rows, first[rows], y)
    right = -_envelope(rows, -last[rows], y)
    return left, right


def _envelope(rows: NDArray[Any], values: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    kept = np.array(_chain(list(zip(rows.tolist(), values.tolist(), strict=True))))
    if len(kept) == 1:
        return np.full(len(y), kept[0, 1])
    at = np.clip(np.searchsorted(kept[:, 0], y, side="right") - 1, 0, len(kept) - 2)
    (y0, x0), (y1, x1) = kept[at].T, kept[at + 1].T
    return -(-(x0 * (y1 - y) + x1 * (y - y0)) // (y1 - y0))


def _ends(mask: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    any_there = mask.any(axis=1)
    first = np.where(any_there, mask.argmax(axis=1), mask.shape[1])
    last = np.where(any_there, mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1), -1)
    return first, last


def facts_of(normalised: Any, binary: Any, labels: Any, components: Any, chosen: int, mask: Any) -> SliceFacts:
    """Take the facts from the arrays of a trace."""
    counts = np.bincount(normalised.ravel(), minlength=256)
    height, width = normalised.shape
    touching = components[components["touches_edge"]]
    padding, edge = 0, 0
    flat_labels = labels.ravel()
    starts = {}
    if len(touching):
        order = np.flatnonzero(np.isin(flat_labels, touching["label"]))
        for i in order[np.unique(flat_labels[order], return_index=True)[1]]:
            starts[int(flat_labels[i])] = int(i)
    for one in touching:
        own = normalised.ravel()[flat_labels == one["label"]]
        level = normalised.ravel()[starts[int(one["label"])]]
        if 10 * int(np.count_nonzero(own == level)) >= 9 * int(one["area"]):
            padding += int(one["area"])
        else:
            edge = max(edge, int(one["area"]))
    values = dict.fromkeys(("chosen_px", "hull_px", "bright_in_hull_px", "beside_px", "mask_px", "mask_hull_px"), 0)
    if chosen:
        own = components[components["label"] == chosen][0]
        rows = slice(own["top"], own["top"] + own["height"])
        left, right = hull_rows(*_ends(labels[rows] == chosen))
        values["chosen_px"] = int(own["area"])
        values["hull_px"] = int((right - left + 1).sum())
        values["bright_in_hull_px"] = sum(
            int(np.count_nonzero(line[a : b + 1])) for line, a, b in zip(binary[rows], left, right)
        )
        apart = ~_contains(components, own) & ~_contains(own, components)
        apart &= ~components["touches_edge"]
        values["beside_px"] = int(components["area"][apart].max(initial=0))
        values["mask_px"] = int(np.count_nonzero(mask))
        present = np.flatnonzero(mask.any(axis=1))
        left, right = hull_rows(*_ends(mask[present[0] : present[-1] + 1]))
        values["mask_hull_px"] = int((right - left + 1).sum())
    return SliceFacts(
        height=height, width=width, n_levels=int(np.count_nonzero(counts)),
        hot_level=quantile_of_counts(counts, 0.999),
        bright_px=int(np.count_nonzero(binary)), padding_px=padding, edge_px=edge, **values,
    )


def _contains(outer: Any, inner: Any) -> Any:
    return (
        (outer["top"] <= inner["top"])
        & (outer["left"] <= inner["left"])
        & (outer["top"] + outer["height"] >= inner["top"] + inner["height"])
        & (outer["left"] + outer["width"] >= inner["left"] + inner["width"])
    )


def warnings_of(facts: SliceFacts, settings: object, spacing_mm: object = None, reason: str = "") -> dict[str, str]:
    """Tell the signs."""
    found = {}
    if facts.n_levels > 1 and facts.hot_level / 255 < 0.1:
        found["hot pixels"] = (
            f"a few pixels own most of the range: 99.9% of the pixels lie in its "
            f"lowest {100 * (facts.hot_level + 1) / 255:.2g}%, so the threshold may only separate those few"
        )
    share = facts.mask_px / (facts.height * facts.width)
    if reason:
        found["empty"] = f"the mask is empty: {reason}"
    elif share < 0.01:
        found["small"] = f"the mask covers {100 * share:.2g}% of the frame ({facts.mask_px} px), too little for a head"
    elif share > 0.9:
        found["large"] = f"the mask covers {share:.0%} of the frame, too much for a head"
    if not facts.chosen_px:
        return found
    if facts.hull_px >= 0.01 * facts.height * facts.width:
        outside = 1 - facts.bright_in_hull_px / facts.bright_px
        fill = facts.chosen_px / facts.hull_px
        if outside < 0.05 and fill < 0.6:
            found["scalp ring"] = f"the chosen component is the outermost and fills only {fill:.0%} of its hull, so it may be the scalp"
        elif outside < 0.05:
            found["merged"] = f"only {outside:.1%} of the bright pixels lie around the chosen component, so brain and scalp may be joined"
        if facts.beside_px >= 0.5 * facts.chosen_px:
            found["one part"] = f"a component {facts.beside_px / facts.chosen_px:.0%} as large lies beside the chosen one, so half a brain may be left out"
    if facts.edge_px > 2 * facts.chosen_px:
        found["larger one dropped"] = f"a component {facts.edge_px / facts.chosen_px:.1f} times as large as the chosen one touches the frame and was dropped, so the brain may be lost"
    return found


def neighbour_signs(mask_px: Sequence[int], thresholds: Sequence[int], groups: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Tell the signs of slices beside their neighbours."""
    return [{} for _ in mask_px]
SIGNS = ("scalp ring", "merged", "one part", "larger one dropped")
