"""What the safety net asks of the package, in one place: each function gives plain numbers.

Where the package answers in another form, only this file changes; `tests/golden/` does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skullnb import Stack, evidence, metrics, reach, sweep
from skullnb.study import history, validation


def plain(value: Any) -> Any:
    """Turn arrays, rows and numpy's numbers into what JSON holds; NaN and infinity as texts."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _columns(table: pd.DataFrame) -> dict[str, Any]:
    return {name: table[name].tolist() for name in table}


def evidence_of(stack: Stack) -> Any:
    """By rule: status, sums, and what it did on each slice; by slice: IoU and Dice."""
    names = {"n_pixels": "stage_px", "group": "groups"}
    ledger = evidence.build_ledger(stack)
    found = evidence.summarise(ledger).rename(columns=names).set_index("rule")
    sums = ["status", "n_slices", "n_fired", "n_changed", "stage_px", "changed_px"]
    means = ["iou", "iou_off", "dice", "dice_off"]
    by_volume = evidence.summarise(ledger, by="group").groupby("group", sort=False)
    ledger = ledger.rename(columns=names)
    changes = ["fired", "stage_px", "changed_px", "iou_off", "dice_off"]
    by_rule = ledger.groupby("rule", sort=False)
    return {
        "rules": found[sums + means].to_dict("index"),
        "by volume": {
            group: dict(zip(part.rule, part.status, strict=True)) for group, part in by_volume
        },
        "slices": _columns(by_rule.get_group("dilate")[["groups", "iou", "dice"]]),
        "changes": {rule: _columns(part[changes]) for rule, part in by_rule},
        "effect": found.effect.to_dict(),
    }


def sweep_of(stack: Stack, widths: Sequence[int], names: Sequence[str]) -> Any:
    """Score of every slice at every width, their means, and the best width by each metric."""
    table = sweep.sweep_kernel_width(stack, widths, names)
    return {
        "rows": {"slice": table.position.tolist()} | _columns(table[["kernel_width", *names]]),
        "means": _columns(sweep.summarise(table)[["kernel_width", *names]]),
        "best": {name: sweep.best_width(table, name) for name in names},
    }


def validation_of(scores: Any, widths: Iterable[float], groups: Sequence[str]) -> Any:
    """Splits, tuning on one volume, the negative control, and how alike slices are."""
    index = pd.MultiIndex.from_arrays([groups, range(len(groups))], names=["volume", "slice"])
    table = pd.DataFrame(np.array(scores), index, [float(width) for width in widths])
    ways = (validation.apparent, validation.leave_one_slice_out, validation.leave_one_volume_out)
    control = validation.negative_control(table, n_draws=50)
    alike = validation.correlation(table.max(axis=1), groups)
    return {
        "splits": [
            {
                "method": method,
                "held_out": [
                    f"slice {name[1]}" if isinstance(name, tuple) else name
                    for name in folds.held_out
                ],
                "widths": folds.chosen.tolist(),
                "scores": folds.score.tolist(),
                "score": score,
            }
            for method, folds, score in (test(table) for test in ways)
        ],
        "one volume": _columns(
            validation.tune_on_each_volume(table).rename(columns={"chosen": "width"})
        ),
        "control": {
            "by_slice": control.by_slice,
            "by_volume": control.by_volume,
            "worth": control.worth,
            "slice split is fooled": control.slice_split_is_fooled,
            "volume split passes": control.volume_split_passes,
        },
        "correlation": alike,
        "effective number": validation.effective_number(len(groups), len(set(groups)), alike),
    }


def validation_of_sweep(stack: Stack, widths: Sequence[int]) -> Any:
    """Do the same with the IoUs of a sweep of a stack that has groups."""
    table = validation.score_table(sweep.sweep_kernel_width(stack, widths, ("iou",)))
    return validation_of(table, table.columns, table.index.get_level_values("volume").tolist())


def small_numbers() -> Any:
    """What few cases can say."""
    sizes = (1, 2, 5, 6, 20, 59)
    smallest = [validation.smallest_sign_test_p(n) for n in sizes]
    return {
        "covers the median": [1 - p for p in smallest],
        "zero failures": [validation.zero_failure_bound(n) for n in sizes],
        "smallest p": smallest,
    }


def history_of(stack: Stack) -> Any:
    """IoU of every recipe, v1 to v7, on every slice, and of two families of recipes."""
    thresholds = history.scan(stack, history.fixed_threshold, (1, 4, 28, 60), ending="filled")
    passes = history.scan(stack, history.component_grown_in_passes, (1, 3, 10))
    table = history.measure(stack)
    make = {one.name: one.make_mask for one in history.RECIPES}
    return {
        "recipes": [
            {
                "version": row.version,
                "name": row.recipe,
                "slices": [
                    metrics.iou(make[row.recipe](image), reference)
                    for image, reference in zip(stack.images, stack.reference, strict=True)
                ],
                "iou": row.iou,
            }
            for row in table.itertuples()
        ],
        "thresholds": _columns(thresholds),
        "passes": _columns(passes),
    }


def reach_of(brain: NDArray[np.uint8]) -> Any:
    """How far kernels reach, in px and mm, and what their lopsidedness does to a mask."""
    widths, some = range(61), (0, 1, 2, 3, 25, 26, 27, 255, 256)
    asked = [(mm, side) for mm in (0.4, 2.0, 4.7, 4.9, 12.0) for side in (0.375, 0.7, 1.0)]
    found: dict[str, Any] = {
        shape: {
            "sides": [reach.kernel_reach(width, shape) for width in widths],
            "mirrored": [reach.mirror_asymmetry(brain, width, shape) for width in (25, 26)],
            "mm": [reach.reach_mm(width, (0.5, 0.75), shape) for width in some],
        }
        for shape in ("ellipse", "rectangle")
    }
    return found | {"odd width for": [reach.kernel_width_for(*one) for one in asked]}


def metrics_of(pairs: Iterable[tuple[Any, Any]], spacing_mm: Any = None) -> Any:
    """Every metric of every pair of masks, their mean, and the overlaps pooled over pixels."""
    masks, references = zip(*pairs, strict=True)
    rows = [metrics.score(*pair, spacing_mm) for pair in zip(masks, references, strict=True)]
    together = metrics.aggregate(metrics.score_slices(masks, references, spacing_mm))
    return {
        "slices": [row | {"unit": "px" if spacing_mm is None else "mm"} for row in rows],
        "mean": together.loc["mean"].to_dict(),
        "pooled": together.loc["pooled", list(metrics.OVERLAPS)].to_dict(),
    }


def metrics_of_volume(mask: Any, reference: Any, spacing_mm: Any) -> Any:
    """Overlap and distances of two masks of any dimension."""
    pair = (mask, reference)
    overlaps, distances = ("iou", "dice", "precision", "recall"), ("hausdorff", "hd95", "assd")
    found = {name: getattr(metrics, name)(*pair) for name in overlaps}
    found |= {name: getattr(metrics, name)(*pair, spacing_mm) for name in distances}
    return found | {"nsd": metrics.nsd(*pair, 2.0, spacing_mm)}
