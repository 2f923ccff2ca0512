"""The external check itself: every number of the chapter on real heads, from the heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from skullnb import metrics
from skullnb.evidence import build_ledger, combine, verdict
from skullnb.external.alternatives import ALTERNATIVES, ARTICLE, Alternative, brain_by
from skullnb.external.choice import what_was_chosen
from skullnb.external.cropping import cut_into_head, edge_outcome
from skullnb.pipeline import (
    Mask,
    PipelineSettings,
    SkullMaskTrace,
    dilate,
    fill_holes,
    normalise,
    otsu_threshold,
    trace_skull_mask,
)
from skullnb.pipeline.signs import failure_signs
from skullnb.reach import kernel_width_for
from skullnb.stack import Stack
from skullnb.summary import area_changes
from skullnb.validation import ScoreMatrix, apparent, leave_one_volume_out

REACHES_MM = tuple(np.arange(4.0, 12.01, 0.5).tolist())
CUTS = {"left and right": ("left", "right"), "all sides": ("top", "bottom", "left", "right")}
DEPTHS_MM = (2.0, 5.0)
MEASURES = ("iou", "dice", "nsd", "assd")

Columns = dict[str, list[Any]]


def measure(
    stacks: Mapping[str, Stack], alternatives: Sequence[Alternative] = ALTERNATIVES
) -> dict[str, Any]:
    """Run the whole external check.

    Parameters
    ----------
    stacks : mapping of str to Stack
        The open heads by name, from `skullnb.heads.load`.
    alternatives : sequence of Alternative
        To try; the article's rules are among them.

    Returns
    -------
    dict
        `slices`, `crops`, `reach`, `rules`, `verdict` and `alternatives`; columns of equal length
        where it is a table. Nothing in it is a pixel.
    """
    curves = {alternative: _curves(stacks, alternative) for alternative in alternatives}
    article = curves[ARTICLE]
    chosen = leave_one_volume_out(article)
    reaches = dict(zip(chosen.held_out, chosen.widths.tolist(), strict=True))
    slices = _joined([_score(stack, reaches) for stack in stacks.values()])
    crops = _joined([_crop(stack, reaches) for stack in stacks.values()])
    ledger = combine(build_ledger(stack) for stack in stacks.values())
    return {
        "slices": slices,
        "crops": crops,
        "reach": {
            "candidates_mm": list(REACHES_MM),
            "iou": {
                name: means.tolist()
                for name, means in zip(article.volumes, article.volume_means, strict=True)
            },
            "chosen_mm": reaches,
            "held_out_iou": dict(zip(chosen.held_out, chosen.scores.tolist(), strict=True)),
            "apparent_mm": float(apparent(article).widths[0]),
            "apparent_iou": apparent(article).score,
        },
        "rules": [
            {"rule": one.rule, "status": str(one), "iou": one.iou, "iou_off": one.iou_off}
            for one in ledger.summary()
        ],
        "verdict": verdict(ledger),
        "alternatives": _alternatives(curves),
    }


def pixel_mm(stack: Stack) -> float:
    """Size of a pixel; the geometric mean of its sides where it is not square.

    Examples
    --------
    >>> pixel_mm(Stack(np.zeros((1, 4, 4)), spacing_mm=(0.5, 2.0)))
    1.0
    """
    assert stack.spacing_mm is not None
    return float(np.sqrt(stack.spacing_mm[0] * stack.spacing_mm[1]))


def group_of(stack: Stack) -> str:
    """Name the head that a stack is of."""
    assert stack.groups is not None
    return stack.groups[0]


def settings_for(stack: Stack, reach_mm: float) -> PipelineSettings:
    """Give the article's settings with the kernel that reaches so many mm in a stack."""
    return PipelineSettings(kernel_width=kernel_width_for(reach_mm, pixel_mm(stack)))


def _curves(stacks: Mapping[str, Stack], alternative: Alternative) -> ScoreMatrix:
    """Score every slice at every reach."""
    scores, groups = [], []
    for stack in stacks.values():
        assert stack.reference is not None
        widths = [settings_for(stack, reach).kernel_width for reach in REACHES_MM]
        for image, reference in zip(stack.images, stack.reference, strict=True):
            brain = brain_by(alternative, image, pixel_mm(stack))
            scores.append([metrics.iou(_grown(brain, width), reference) for width in widths])
            groups.append(group_of(stack))
    return ScoreMatrix(np.array(scores), np.array(REACHES_MM), tuple(groups), unit="mm")


def _grown(brain: Mask, width: int) -> Mask:
    return fill_holes(dilate(brain, width))


def _score(stack: Stack, reaches: Mapping[str, float]) -> Columns:
    """Score a stack with the article's kernel, and with the one in mm that others chose."""
    assert stack.reference is not None
    in_mm = settings_for(stack, reaches[group_of(stack)])
    rows = []
    areas = []
    for image, reference, number in zip(
        stack.images, stack.reference, stack.slice_numbers, strict=True
    ):
        trace = trace_skull_mask(image)
        row: dict[str, Any] = {
            "stack": stack.name,
            "slice": number,
            "threshold": trace.threshold,
            "n_edge_touching": trace.n_edge_touching,
            "chosen": what_was_chosen(trace, reference),
            "signs": signs_of(trace),
            "brightness": _brightness(trace),
        }
        areas.append(int(np.count_nonzero(trace.mask)))
        masks = {"px": trace.mask, "mm": _grown(trace.brain, in_mm.kernel_width)}
        for kernel, mask in masks.items():
            found = metrics.score(mask, reference, stack.spacing_mm)
            row |= {f"{name}_{kernel}": getattr(found, name) for name in MEASURES}
        rows.append(row)
    changes = area_changes(np.array(areas))
    for row, change in zip(rows, changes.tolist(), strict=True):
        row["area_change"] = change
    return _columns(rows)


def signs_of(trace: SkullMaskTrace) -> list[str]:
    """Name the signs of failure that a slice shows, without looking at its reference mask.

    Examples
    --------
    >>> from skullnb.phantom import variant
    >>> signs_of(trace_skull_mask(variant("bridge").images[0]))
    ['merged']
    """
    return list(failure_signs(trace.binary, trace.components, trace.chosen, trace.brain))


def signs_of_stack(stack: Stack, settings: PipelineSettings) -> list[list[str]]:
    """Name the signs of failure on every slice of a stack.

    Examples
    --------
    >>> signs_of_stack(Stack(np.zeros((2, 8, 8))), PipelineSettings())
    [[], []]
    """
    return [signs_of(trace_skull_mask(image, settings)) for image in stack.images]


def _brightness(trace: SkullMaskTrace) -> float:
    """How bright the other bright pixels are, against the chosen ones."""
    brain = trace.brain.astype(bool)
    others = trace.binary.astype(bool) & ~brain
    if not brain.any() or not others.any():
        return float("nan")
    level = np.median(trace.normalised[others]) / np.median(trace.normalised[brain])
    return float(level)


def _crop(stack: Stack, reaches: Mapping[str, float]) -> Columns:
    """Crop every slice in every way, and see what the edge rule does."""
    assert stack.reference is not None
    assert stack.spacing_mm is not None
    settings = settings_for(stack, reaches[group_of(stack)])
    rows = []
    for index, number in enumerate(stack.slice_numbers):
        image, reference = stack.images[index], stack.reference[index]
        before = otsu_threshold(normalise(image))
        for sides, names in CUTS.items():
            for depth in DEPTHS_MM:
                frame = cut_into_head(image, depth, stack.spacing_mm, names)
                trace = trace_skull_mask(image[frame], settings)
                found = edge_outcome(trace, reference[frame])
                rows.append(
                    {
                        "stack": stack.name,
                        "slice": number,
                        "sides": sides,
                        "depth_mm": depth,
                        "threshold_before": before,
                        "threshold": trace.threshold,
                        **found._asdict(),
                        "chosen": what_was_chosen(trace, reference[frame]),
                        "signs": signs_of(trace),
                    }
                )
    return _columns(rows)


def _alternatives(curves: Mapping[Alternative, ScoreMatrix]) -> dict[str, Any]:
    """Choose among all alternatives and reaches at once, leaving each head out in turn."""
    matrices = list(curves.values())
    n = len(REACHES_MM)
    every = replace(
        matrices[0],
        scores=np.concatenate([matrix.scores for matrix in matrices], axis=1),
        widths=np.arange(n * len(matrices), dtype=float),
        unit="px",
    )
    joint = leave_one_volume_out(every)
    singles = {alternative: leave_one_volume_out(matrix) for alternative, matrix in curves.items()}
    return {
        "each": [
            {**alternative._asdict(), **dict(zip(one.held_out, one.scores.tolist(), strict=True))}
            for alternative, one in singles.items()
        ],
        "chosen": [
            {
                "held_out": name,
                **list(curves)[int(number) // n]._asdict(),
                "reach_mm": REACHES_MM[int(number) % n],
                "iou": score,
            }
            for name, number, score in zip(
                joint.held_out, joint.widths, joint.scores.tolist(), strict=True
            )
        ],
    }


def _columns(rows: list[dict[str, Any]]) -> Columns:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _joined(parts: list[Columns]) -> Columns:
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}
