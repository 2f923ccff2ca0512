"""The few numbers that sentences about real heads quote, from the stored tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skullnb.external.choice import BRAIN
from skullnb.external.cropping import HELPS, HURTS, LOSES, NOTHING
from skullnb.external.rates import ANY, BRIGHT_FAT, failed, sign_rates
from skullnb.heads import HEADS
from skullnb.validation import smallest_sign_test_p, zero_failure_bound


def quoted(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what the chapter's sentences quote.

    Parameters
    ----------
    stored : mapping
        From `skullnb.external.stored.stored_results`.

    Returns
    -------
    dict
        For `skullnb.chapter.Chapter.record`. Means over heads count every head once.

    Examples
    --------
    >>> from skullnb.external.stored import stored_results
    >>> found = quoted(stored_results())
    >>> found["n_heads"], found["n_stacks"]
    (4, 5)
    """
    slices, crops, reach = stored["slices"], stored["crops"], stored["reach"]
    heads = np.array([HEADS[name].group for name in slices["stack"]])
    bad = failed(slices)
    rates = {rate.sign: rate for rate in sign_rates(slices, bad)}
    poor = {rate.sign: rate for rate in sign_rates(slices, failed(slices, "iou"))}
    signs = rates[ANY]
    in_px = [_mean(slices["iou_px"], heads == head) for head in reach["chosen_mm"]]
    in_mm = list(reach["held_out_iou"].values())
    picked = [one["iou"] for one in stored["alternatives"]["chosen"]]
    outcomes = np.array(crops["outcome"])
    risen = _rise_by_stack(crops)
    plain, innermost = (
        [_alone(stored["alternatives"]["each"], inner)[head] for head in reach["chosen_mm"]]
        for inner in (False, True)
    )
    return {
        "measured_on": stored["date"],
        "n_stacks": len(set(slices["stack"])),
        "n_heads": len(set(heads)),
        "n_slices": len(heads),
        "n_labels": sum(HEADS[name].reference == "labels" for name in slices["stack"]),
        "n_edge_touching": sum(slices["n_edge_touching"]),
        "n_wrong": int(bad.sum()),
        "n_wrong_heads": len(set(heads[bad])),
        "wrong": sorted({one for one in slices["chosen"] if one != BRAIN}),
        "n_failure_hits": signs.n_hits,
        "n_false_alarms": signs.n_false,
        "n_right": signs.n_others,
        "n_poor": poor[ANY].n_failures,
        "n_poor_hits": poor[ANY].n_hits,
        "n_poor_false": poor[ANY].n_false,
        "n_bright_fat_false": rates[BRIGHT_FAT].n_false,
        "head_iou_px": float(np.mean(in_px)),
        "head_iou_mm": float(np.mean(in_mm)),
        "head_iou_mm_least": min(in_mm),
        "head_iou_mm_most": max(in_mm),
        "n_better_in_mm": sum(a > b for a, b in zip(in_mm, in_px, strict=True)),
        "reaches_mm": sorted(set(reach["chosen_mm"].values())),
        "alternatives_iou": float(np.mean(picked)),
        "n_better_alternative": sum(a > b for a, b in zip(picked, in_mm, strict=True)),
        "n_worse_alternative": sum(a < b for a, b in zip(picked, in_mm, strict=True)),
        "n_better_innermost": sum(a > b for a, b in zip(innermost, plain, strict=True)),
        "n_worse_innermost": sum(a < b for a, b in zip(innermost, plain, strict=True)),
        "level_rise": max(risen.values()),
        "level_rises_most_on": max(risen, key=risen.__getitem__),
        "n_crops": len(outcomes),
        "n_crops_fired": sum(n > 0 for n in crops["n_edge_touching"]),
        "n_crops_nothing": int(np.count_nonzero(outcomes == NOTHING)),
        "n_crops_help": int(np.count_nonzero(outcomes == HELPS)),
        "n_crops_hurt": int(np.count_nonzero(outcomes == HURTS)),
        "n_crops_lost": int(np.count_nonzero(outcomes == LOSES)),
        "failure_bound": zero_failure_bound(len(set(heads))),
        "least_p": smallest_sign_test_p(len(set(heads))),
        "n_unscored_merged": sum(
            "merged" in one for one in stored["unscored"]["at the eyes"]["signs"]
        ),
        "n_unscored_eyes": len(stored["unscored"]["at the eyes"]["signs"]),
        # The ledger speaks to whoever gave the slices.
        "ledger_verdict": stored["verdict"].replace("your data", "such slices"),
    }


def _rise_by_stack(crops: Mapping[str, Any]) -> dict[str, float]:
    """How many times as high Otsu's level is once a head is cut on all sides."""
    stacks, whole = np.array(crops["stack"]), np.array(crops["sides"]) == "all sides"
    return {
        name: _mean(crops["threshold"], (stacks == name) & whole)
        / _mean(crops["threshold_before"], (stacks == name) & whole)
        for name in dict.fromkeys(crops["stack"])
    }


def _alone(each: Sequence[Mapping[str, Any]], innermost: bool) -> Mapping[str, Any]:
    """Find the row without clipping and opening."""
    plain = [one for one in each if not one["clip"] and not one["opening_mm"]]
    return next(one for one in plain if one["innermost"] == innermost)


def _mean(values: list[float], keep: Any) -> float:
    return float(np.mean(np.array(values)[keep]))
