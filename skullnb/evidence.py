"""Which rule of the pipeline fired on which slice, and what it changed.

A good score does not say which rules the slices ever needed. The ledger does: a row for each slice
and rule holds whether the rule *fired* (its condition occurred), how many pixels it set or removed,
and what becomes of the mask, IoU and Dice without it. That gives its status:

- **exercised**: it fired, and changed the mask of at least one slice
- **inert**: it fired, and changed no mask
- **never fired**: its condition occurred on no slice
- **synthetic only**: there are real slices, but only phantoms make it exercised or inert

An ancestor is `classify` in property-based testing (Claessen & Hughes, 2000).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from skullnb import pipeline
from skullnb.errors import InvalidSetting
from skullnb.metrics import overlaps
from skullnb.pipeline import Mask, PipelineSettings, SkullMaskTrace
from skullnb.pipeline.border import grow
from skullnb.pipeline.steps import threshold_of
from skullnb.pipeline.trace import GROW
from skullnb.stack import Stack

EXERCISED, INERT, NEVER_FIRED = "exercised", "inert", "never fired"
SYNTHETIC_ONLY = "synthetic only"
LEDGER_COLUMNS = ["stack", "group", "position", "slice", "synthetic", "rule", "fired", "n_pixels"]
LEDGER_COLUMNS += ["changed_px", "iou", "dice", "iou_off", "dice_off"]
NOTABLE_IOU = 0.0005  # a smaller change of the mean IoU is not called help or harm


def switch_off(trace: SkullMaskTrace, rule: str) -> Mask:
    """Skull mask, (H, W) uint8 {0, 1}, of a traced slice if one of its rules were not there.

    Without the *flat-image guard* the division by the range is done all the same; without
    *threshold* every pixel above 0 is bright; without *drop edge-touching* such components stay
    candidates for the brain; without *choose largest* all candidates are kept; without *dilate*,
    or *grow through the dark*, the component stays as it is; without *fill holes* they stay open.
    """
    fired = {record.name: record.fired for record in trace.rules}
    if rule not in fired:
        raise InvalidSetting(f"There is no rule {rule!r}; the rules are {', '.join(fired)}.")
    if not fired[rule]:
        return trace.mask
    if rule == "fill holes":
        return trace.dilated
    settings, levels, level = trace.settings, trace.normalised, trace.threshold
    labels, components, drop = trace.labels, trace.components, settings.drop_edge_touching
    if rule in ("flat-image guard", "threshold"):
        if rule == "flat-image guard":
            with np.errstate(invalid="ignore"):  # C leaves open what NaN becomes as uint8
                levels = (np.zeros(levels.shape) / 0 * 255).astype(np.uint8)
        level = 0 if rule == "threshold" else threshold_of(levels, settings)
        binary = pipeline.binarise(levels, level)
        labels, components = pipeline.label_components(binary, settings.connectivity)
    if rule == "choose largest":
        kept = ~(components["touches_edge"] & drop)  # by label; 0, the background, never is
        brain = np.array([False, *kept], dtype=np.uint8)[labels]
    else:
        drop = drop and rule != "drop edge-touching"
        brain = pipeline.component_mask(labels, pipeline.choose_brain(components, drop))
    if rule not in ("dilate", GROW):
        brain = grow(brain, levels, level, settings, trace.spacing_mm)
    return pipeline.fill_holes(brain) if settings.fill_holes else brain


def build_ledger(
    stack: Stack,
    settings: PipelineSettings | None = None,
    visit: Callable[[int], Any] | None = None,
) -> pd.DataFrame:
    """Trace every slice, switch every rule off in turn, and write down what changed.

    Calls ``visit(position)`` after each slice. The settings are the article's when left out.

    Returns
    -------
    DataFrame
        A row for each slice and rule: stack, group ("" where unknown), position (in the stack),
        slice (its number in its file), synthetic, rule, fired, n_pixels (that the rule itself set
        or removed), changed_px (of the mask, by switching the rule off), iou and dice with the
        rule, iou_off and dice_off without it; NaN if the reference is empty or none, head or not.

    Examples
    --------
    >>> images = np.zeros((1, 60, 60))
    >>> images[0, 20:40, 20:40] = 1.0
    >>> build_ledger(Stack(images)).query("changed_px > 0")["rule"].tolist()
    ['dilate']
    """
    settings, rows = settings or PipelineSettings(), list[tuple[Any, ...]]()
    for i, number in enumerate(stack.slice_numbers):
        known: Any = {"spacing_mm": stack.spacing_mm, "slice_number": number}
        trace = pipeline.trace_skull_mask(stack.images[i], settings, **known)
        place = (stack.name, stack.groups[i] if stack.groups else "", i, number, stack.synthetic)
        for record in trace.rules:
            mask = switch_off(trace, record.name)
            changed, pair = int(np.count_nonzero(mask != trace.mask)), (trace.mask, mask)
            found = [overlaps(one, stack.drawn[i]) for one in pair if i in stack.drawn]
            scores = [one[name] for one in found for name in ("iou", "dice")] or [np.nan] * 4
            rows.append((*place, *record, changed, *scores))
        if visit:
            visit(i)
    ledger = pd.DataFrame(rows, columns=LEDGER_COLUMNS)
    ledger.attrs["settings"] = asdict(settings)
    return ledger


def combine(ledgers: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put ledgers, all made with the same settings, under one another."""
    ledgers = list(ledgers)
    if len({str(one.attrs.get("settings")) for one in ledgers}) != 1:
        raise InvalidSetting("There are no ledgers, or they were made with different settings.")
    return pd.concat(ledgers, ignore_index=True)


def summarise(ledger: pd.DataFrame, by: str | Sequence[str] = ()) -> pd.DataFrame:
    """Sum every rule up over all slices, or apart for columns such as "group", in order.

    Returns
    -------
    DataFrame
        A row for each rule: the columns of `by`, rule; status; effect on the mean IoU in words;
        evidence (the status with the count that it rests on); n_slices, n_fired, n_changed; n_real,
        n_fired_real, n_changed_real (of slices that are not synthetic); n_pixels, changed_px
        (sums); iou, iou_off, dice, dice_off (means over the real slices, if any slice is real).

    Examples
    --------
    >>> summarise(build_ledger(Stack(np.zeros((5, 8, 8)))))["evidence"].head(2).tolist()
    ['inert, fired on 5 of 5', 'never fired, 0 of 5']
    """
    keys = [*([by] if isinstance(by, str) else by), "rule"]
    groups = ledger.groupby(keys, sort=False)
    return pd.DataFrame([dict(zip(keys, key, strict=True)) | _account(one) for key, one in groups])


def verdict(ledger: pd.DataFrame, whose: str = "your data") -> str:
    """Say in one plain sentence what the slices showed about the rules; `whose` names real ones."""
    found = summarise(ledger)
    n, n_real = int(found.n_slices.max()), int(found.n_real.max())
    unknown = f"value on {whose if n_real else 'these slices'} is unknown"
    drawn, changed = found.status == SYNTHETIC_ONLY, found.n_changed > 0
    parts = [f"{(found.status == EXERCISED).sum()} of {len(found)} rules exercised"]
    for chosen, what, so in (
        (found.status == NEVER_FIRED, "never fired", unknown),
        (drawn & changed, "exercised on synthetic slices only", unknown),
        (drawn & ~changed, "fired on synthetic slices only and changed nothing there", unknown),
        (found.status == INERT, "fired and changed nothing", ""),
    ):
        if rules := found.rule[chosen].tolist():
            listed = " and ".join(", ".join(rules).rsplit(", ", 1))
            so = so and f": {'its' if len(rules) == 1 else 'their'} {so}"
            parts.append(f"{listed} {what}{so}")
    for row in found[found.iou_off - found.iou > NOTABLE_IOU].itertuples():
        scores = f"{row.iou:.3f} with it, {row.iou_off:.3f} without"
        parts.append(f"{row.rule} lowers the mean IoU ({scores})")
    some = f"{n - n_real} of the {n}" if n_real else "All of the"
    return "; ".join(parts) + (f". {some} slices are synthetic." if n > n_real else ".")


def _account(rows: pd.DataFrame) -> dict[Any, Any]:
    """Sum the rows of one rule up."""
    real = rows[~rows.synthetic]
    (n, fired, changed), (n_real, real_fired, real_changed) = (
        (len(one), int(one.fired.sum()), int((one.changed_px > 0).sum())) for one in (rows, real)
    )
    scores = (real if n_real else rows)[["iou", "iou_off", "dice", "dice_off"]].mean().to_dict()
    status, count = NEVER_FIRED, f"0 of {n}"
    if changed:
        status, count = EXERCISED, f"changed {changed} of {n}"
    elif fired:
        status, count = INERT, f"fired on {fired} of {n}"
    if n_real and (fired > 0, changed > 0) != (real_fired > 0, real_changed > 0):
        status = SYNTHETIC_ONLY
        count = f"changed {changed - real_changed} of {n - n_real} synthetic slices; "
        count += f"fired on {real_fired} of {n_real} real ones"
    acted = (real_fired, real_changed) if n_real else (fired, changed)
    return {
        "status": status,
        "effect": effect(*acted, scores["iou"], scores["iou_off"]),
        "evidence": f"{status}, {count}",
        **{"n_slices": n, "n_fired": fired, "n_changed": changed},
        **{"n_real": n_real, "n_fired_real": real_fired, "n_changed_real": real_changed},
        **rows[["n_pixels", "changed_px"]].sum().to_dict(),
        **scores,
    }


def effect(n_fired: int, n_changed: int, iou: float, iou_off: float) -> str:
    """Say in a few words what a rule did to the IoU."""
    if not n_changed:
        return "changes nothing" if n_fired else "did not fire"
    if np.isnan(iou - iou_off):
        return "changes the mask"
    if abs(iou - iou_off) <= NOTABLE_IOU:
        return "hardly matters"
    if iou > iou_off:
        return "helps"
    return "destroys" if iou < iou_off / 2 else "hurts"
