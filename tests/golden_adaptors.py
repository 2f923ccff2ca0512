"""What the safety net asks of the package, in one place: each function gives plain numbers.

Where the package answers in another form, only this file changes; `tests/golden/` does not.
Imports stand inside, so that one part that moves does not hide what the others say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb import Stack


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


def _columns(table: NDArray[Any]) -> dict[str, Any]:
    return {name: table[name].tolist() for name in table.dtype.names or ()}


def evidence_of(stack: Stack) -> Any:
    """By rule: status, sums, and what it did on each slice; by slice: IoU and Dice."""
    from skullnb import evidence

    ledger = evidence.build_ledger(stack)
    values = ledger.values()
    sums = ("status", "n_slices", "n_fired", "n_changed", "stage_px", "changed_px")
    means = ("iou", "iou_off", "dice", "dice_off")
    return plain(
        {
            "rules": {
                rule: {name: one[name] for name in (*sums, *means)}
                for rule, one in values["rules"].items()
            },
            "by volume": {
                group: {one.rule: one.status for one in part.summary()}
                for (_, group), part in ledger.by_volume().items()
            },
            "slices": {name: values["slices"][name] for name in ("groups", "iou", "dice")},
            "changes": values["changes"],
            "effect": {one.rule: evidence.effect(one) for one in ledger.summary()},
        }
    )


def sweep_of(stack: Stack, widths: Sequence[int], names: Sequence[str]) -> Any:
    """Score of every slice at every width, their means, and the best width by each metric."""
    from skullnb import sweep

    table = sweep.sweep_kernel_width(stack, widths, names)
    return plain(
        {
            "rows": _columns(table),
            "means": _columns(sweep.summarise(table)),
            "best": {name: sweep.best_width(table, name) for name in names},
        }
    )


def validation_of(
    scores: Any, widths: Iterable[float], groups: Sequence[str], spacing_mm: Any
) -> Any:
    """Splits (px and mm), tuning on few volumes, the negative control, and how alike slices are."""
    from skullnb import validation

    matrix = validation.ScoreMatrix(scores, widths, tuple(groups), spacing_mm)
    outcomes = validation.compare_splits(matrix)
    control = validation.negative_control(matrix, n_draws=50)
    best = matrix.scores.max(axis=1)
    alike = validation.correlation(best, matrix.groups)
    fields = ("method", "unit", "held_out", "widths", "scores", "score")
    return plain(
        {
            "splits": [{name: getattr(one, name) for name in fields} for one in outcomes],
            "one volume": _columns(validation.tune_on_each_volume(matrix)),
            "curve": _columns(validation.tuning_curve(matrix)),
            "control": {
                "by_slice": control.by_slice,
                "by_volume": control.by_volume,
                "worth": control.worth,
                "slice split is fooled": control.slice_split_is_fooled,
                "volume split passes": control.volume_split_passes,
            },
            "correlation": alike,
            "effective number": validation.effective_number(
                len(matrix), len(matrix.volumes), alike
            ),
        }
    )


def validation_of_sweep(stack: Stack, widths: Sequence[int]) -> Any:
    """Do the same with the IoUs of a sweep of a stack that has groups."""
    from skullnb import sweep, validation

    table = sweep.sweep_kernel_width(stack, widths, ("iou",))
    matrix = validation.from_sweep(table, "iou", stack.groups, stack.spacing_mm)
    return validation_of(matrix.scores, matrix.widths, matrix.groups, matrix.spacing_mm)


def small_numbers() -> Any:
    """What few cases can say, and how often intervals from few values cover the mean."""
    from skullnb import validation

    options = {"n_experiments": 500, "n_resamples": 200}
    sizes = (1, 2, 5, 6, 20, 59)
    return plain(
        {
            "covers the median": [validation.range_covers_median(n) for n in sizes],
            "zero failures": [validation.zero_failure_bound(n) for n in sizes],
            "smallest p": [validation.smallest_sign_test_p(n) for n in sizes],
            "sign test": [validation.sign_test(n, 6 - n) for n in range(7)],
            "coverage": _columns(validation.coverage_table((3, 5, 10), **options)),
            "coverage of alike": validation.coverage(5, shared=0.9, **options),
        }
    )


def cohort_of(n_subjects: int, n_slices: int, widths: tuple[int, ...], folder: Any) -> Any:
    """Scores of synthetic subjects on coarse pixels, with their groups and spacing."""
    from skullnb import validation

    plan = validation.CohortPlan(
        n_subjects=n_subjects, n_slices=n_slices, spacing_mm=(1.8, 2.4), widths=widths
    )
    matrix = validation.cohort_scores(plan, workers=1, cache_dir=folder)
    return plain(
        {"scores": matrix.scores, "groups": matrix.groups, "spacing_mm": matrix.spacing_mm}
    )


def history_of(stack: Stack) -> Any:
    """IoU of every recipe, v1 to v7, on every slice, and of two families of recipes."""
    from skullnb import history, journey

    thresholds = journey.scan(stack, history.fixed_threshold, (1, 4, 28, 60), ending="filled")
    passes = journey.scan(stack, history.component_grown_in_passes, (1, 3, 10))
    return plain(
        {
            "recipes": [
                {
                    "version": one.recipe.version,
                    "name": one.recipe.name,
                    "slices": one.slice_iou,
                    "iou": one.iou,
                }
                for one in journey.measure(stack)
            ],
            "thresholds": _columns(thresholds),
            "passes": _columns(passes),
        }
    )


def reach_of(brain: NDArray[np.uint8]) -> Any:
    """How far kernels reach, in px and mm, and what their lopsidedness does to a mask."""
    from skullnb import reach

    widths, some = range(61), (0, 1, 2, 3, 25, 26, 27, 255, 256)
    angles = np.arange(0, 8) * np.pi / 4
    asked = [(mm, side) for mm in (0.4, 2.0, 4.7, 4.9, 12.0) for side in (0.375, 0.7, 1.0)]
    return plain(
        {
            shape: {
                "sides": [reach.kernel_reach(width, shape) for width in widths],
                "shift": [reach.kernel_shift(width, shape) for width in some],
                "radial": [reach.radial_reach(width, angles, shape) for width in (25, 26, 27)],
                "mirrored": [reach.mirror_asymmetry(brain, width, shape) for width in (25, 26)],
                "mm": [reach.reach_mm(width, (0.5, 0.75), shape) for width in some],
            }
            for shape in ("ellipse", "rectangle")
        }
        | {
            "disc": [reach.disc_difference(brain, width) for width in (3, 25, 26, 27)],
            "odd width for": [reach.kernel_width_for(*one) for one in asked],
            "any width for": [reach.kernel_width_for(*one, odd=False) for one in asked],
        }
    )


def metrics_of(pairs: Iterable[tuple[Any, Any]], spacing_mm: Any = None) -> Any:
    """Every metric of every pair of masks, their mean, and the overlaps pooled over pixels."""
    from skullnb import metrics

    scores = [metrics.score(mask, reference, spacing_mm) for mask, reference in pairs]
    together = metrics.aggregate(scores)
    return plain(
        {
            "slices": [vars(one) for one in scores],
            "mean": together.mean,
            "pooled": together.pooled,
        }
    )


def metrics_of_volume(mask: Any, reference: Any, spacing_mm: Any) -> Any:
    """Overlap and distances of two masks of any dimension."""
    from skullnb import metrics

    pair = (mask, reference)
    return plain(
        {
            "iou": metrics.iou(*pair),
            "dice": metrics.dice(*pair),
            "precision": metrics.precision(*pair),
            "recall": metrics.recall(*pair),
            "hausdorff": metrics.hausdorff(*pair, spacing_mm),
            "hd95": metrics.hd95(*pair, spacing_mm),
            "assd": metrics.assd(*pair, spacing_mm),
            "nsd": metrics.nsd(*pair, 2.0, spacing_mm),
        }
    )
