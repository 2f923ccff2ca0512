"""Measure the pipeline on the open heads: `python book/measure_heads.py`, for chapters 11 and 12.

`skullnb heads fetch --all` gets the heads first. The tables, and masks and outlines to be drawn,
are stored with the package; `skullnb.study.real_heads` says what is in them.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

import cv2
import numpy as np
import pandas as pd

from skullnb import heads, metrics, pipeline
from skullnb.pipeline import Mask
from skullnb.pipeline.settings import DARK_GROWTH, REACH_MM
from skullnb.reach import kernel_width_for
from skullnb.stack import Stack
from skullnb.study import real_heads
from skullnb.study.real_heads import (
    FAILURES,
    METHODS,
    NEAR_MM,
    WHOLE_PICTURED,
    Method,
    chosen_and_scored,
    measure,
    reference_of,
    slices_of,
    steps_of,
    with_jumps,
    with_reach,
)
from skullnb.study.timing import library_versions
from skullnb.volume import WholeHead, find_whole_head, signs_of_volume

LABELLED, PICTURED, WHOLE = "colin27", "mne-ecog", "whole head"
UNSCORED = {"at the eyes": range(104, 127), "near the vertex": range(152, 175)}
MOST_MM = np.arange(8.0, 24.01, 2.0).tolist()


def with_whole_head(stack: Stack, reach_mm: float) -> Mask:
    """Masks of the slices of a stack, found in the whole volume."""
    return found_in(stack.name, reach_mm).masks[list(stack.slice_numbers)]


def with_finder_alone(stack: Stack, reach_mm: float) -> Mask:
    """Grow brains that were found in the whole volume by the article's dilation."""
    brain = found_in(stack.name).brain.astype(np.uint8)[list(stack.slice_numbers)]
    width = kernel_width_for(reach_mm, stack.spacing_mm or 1.0)
    return np.stack([pipeline.fill_holes(pipeline.dilate(one, width)) for one in brain])


@lru_cache(maxsize=1)  # one is asked for many times in a row
def found_in(name: str, reach_mm: float = REACH_MM) -> WholeHead:
    """Find the brain in the whole volume of an open head."""
    whole = heads.load_whole(name)
    return find_whole_head(whole.images, steps_of(whole), reach_mm)


# Ways that look for the border (chapter 11), and for the brain.
BORDERS: dict[str, Method] = {
    "dark growth": (partial(with_reach, border=DARK_GROWTH), MOST_MM),
    WHOLE: (with_whole_head, MOST_MM),
    "whole head, dilated": (with_finder_alone, NEAR_MM),
}


def without_reference(volume: Stack) -> pd.DataFrame:
    """Tell the signs on slices of the pictured head that have no reference mask."""
    parts = [slices_of(volume.select(some)).assign(region=name) for name, some in UNSCORED.items()]
    return pd.concat(parts, ignore_index=True)[["region", "slice", "signs"]]


def score_top_to_bottom(scores: pd.DataFrame) -> pd.DataFrame:
    """Score every labelled slice of a whole head, at what the other heads chose."""
    whole = heads.load_whole(LABELLED)
    labelled = whole.select(np.flatnonzero(np.any(whole.reference, axis=(1, 2))).tolist())
    chosen = scores[scores["stack"] == LABELLED].groupby("method")["setting"].first()
    tables = []
    for name, (make, _) in (METHODS | BORDERS).items():
        found = metrics.score_slices(make(labelled, chosen[name]), reference_of(labelled))
        table = found[["iou"]].assign(method=name, slice=labelled.slice_numbers, signs="")
        table["both_px"] = found["true_positive"]
        table["any_px"] = found[[*metrics.COUNTS]].sum(axis=1)
        if name == WHOLE:
            table["signs"] = signs_of_whole(whole, labelled)
        tables.append(table[["method", "slice", "iou", "both_px", "any_px", "signs"]])
    return pd.concat(tables, ignore_index=True)


def signs_of_whole(whole: Stack, labelled: Stack) -> list[str]:
    """Name what the whole-head method warns of on some slices, joined by ;."""
    found = found_in(whole.name)
    areas = np.count_nonzero(found.masks, axis=(1, 2)).tolist()
    signs = with_jumps(signs_of_volume(found), areas, [found.threshold] * len(whole), whole)
    return [signs[number] for number in labelled.slice_numbers]


def draw_pictures(volume: Stack) -> dict[str, Any]:
    """What was found on the pictured slices, at half the size."""
    traces = [pipeline.trace_skull_mask(volume.images[number]) for number in FAILURES.values()]
    found, places = found_in(volume.name), list(WHOLE_PICTURED)
    drawn: dict[str, Any] = {
        "failed_parts": [one.binary + one.brain for one in traces],
        "failed_masks": [one.mask for one in traces],
        "whole_bright": found.levels[places] > found.threshold,
        "whole_masks": found.masks[places],
    }
    return {name: np.asarray(one, np.uint8)[:, ::2, ::2] for name, one in drawn.items()}


def draw_outlines(stack: Stack, scores: pd.DataFrame) -> dict[str, Any]:
    """Outlines of the masks of a stack's middle slice, (n, 2) points [x, y] in mm."""
    middle, found = stack.select([len(stack) // 2]), {}
    chosen = scores[scores["stack"] == stack.name].groupby("method", sort=False)["setting"].first()
    drawn = {name: METHODS[str(name)][0](middle, setting) for name, setting in chosen.items()}
    for name, mask in {"reference": reference_of(middle), **drawn}.items():
        contours, _ = cv2.findContours(mask[0], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        line = cv2.approxPolyDP(max(contours, key=len), 0.7, True)[:, 0]
        in_mm = line * np.array(stack.spacing_mm)[::-1]
        found[f"{stack.name}/{name}"] = in_mm.round(1).astype(np.float32)
    return found


def store(name: str, tables: Mapping[str, pd.DataFrame], **told: Any) -> None:
    """Keep tables, and beside them the date, the versions and more to be told of them."""
    for one, rows in tables.items():
        rows.round(6).to_csv(real_heads.FOLDER / f"{one}.csv", index=False, lineterminator="\n")
    told = {"date": datetime.now(UTC).date().isoformat(), "versions": library_versions(), **told}
    text = json.dumps(told, indent=1) + "\n"
    (real_heads.FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


def record() -> None:
    """Measure everything on the open heads and store it."""
    stacks, volume = [heads.load(name) for name in heads.HEADS], heads.load_whole(PICTURED)
    found = measure(stacks) | {"unscored": without_reference(volume)}
    curves, scores = chosen_and_scored(BORDERS, stacks)
    whole = score_top_to_bottom(pd.concat([found["scores"], scores]))
    found |= {"border_curves": curves, "border_scores": scores, "top_to_bottom": whole}
    drawn = draw_pictures(volume)
    for stack in stacks:
        drawn |= draw_outlines(stack, found["scores"])
    np.savez_compressed(real_heads.FOLDER / "pictures.npz", **drawn)
    store("about", found)


if __name__ == "__main__":
    record()
