"""Which rule of the pipeline fired on which slice, and what it changed.

A good score does not say which of the pipeline's rules the slices ever needed. The ledger does: a
row for each slice and rule holds whether the rule *fired* (its condition occurred), how many pixels
it set or removed, and what becomes of the mask, IoU and Dice without it. That gives its status:

- **exercised**: it fired, and changed the mask of at least one slice
- **inert**: it fired, and changed no mask
- **never fired**: its condition occurred on no slice
- **synthetic only**: there are real slices, but only phantoms make it exercised or inert

The idea has ancestors: `classify` and `cover` in property-based testing (Claessen & Hughes, 2000),
coverage contexts, mutation testing, and ablation studies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skullnb import pipeline
from skullnb.errors import InvalidSetting
from skullnb.metrics import count_pixels, overlaps_of
from skullnb.pipeline import Mask, PipelineSettings, SkullMaskTrace
from skullnb.pipeline.border import grow
from skullnb.pipeline.steps import threshold_of
from skullnb.pipeline.trace import GROW
from skullnb.stack import Stack

if TYPE_CHECKING:
    import pandas as pd

STATUSES = ("exercised", "inert", "never fired", "synthetic only")
EXERCISED, INERT, NEVER_FIRED, SYNTHETIC_ONLY = STATUSES
# A smaller change of the mean IoU is not called help or harm.
NOTABLE_IOU = 0.0005


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
    labels, components, drop = trace.labels, trace.components, trace.settings.drop_edge_touching
    if rule == "flat-image guard":
        with np.errstate(invalid="ignore"):  # C leaves open what NaN becomes as uint8
            levels = (np.zeros(levels.shape) / 0 * 255).astype(np.uint8)
        level = threshold_of(levels, settings)
    if rule in ("flat-image guard", "threshold"):
        level = 0 if rule == "threshold" else level
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
    *,
    visit: Callable[[int], object] | None = None,
) -> pd.DataFrame:
    """Trace every slice, switch every rule off in turn, and write down what changed.

    Parameters
    ----------
    stack : Stack
        With or without a reference mask; ``stack.synthetic`` says whether its slices were drawn.
    settings : PipelineSettings, optional
        The article's when left out.
    visit : callable, optional
        Called as ``visit(position)`` after each slice.

    Returns
    -------
    DataFrame
        A row for each slice and rule: stack, group ("" where unknown), position (in the stack),
        slice (its number in its file), synthetic, rule, fired, n_pixels (that the rule itself set
        or removed), changed_px (of the mask, by switching the rule off), iou and dice with the
        rule, iou_off and dice_off without it (NaN without a reference mask).

    Examples
    --------
    >>> images = np.zeros((1, 60, 60))
    >>> images[0, 20:40, 20:40] = images[0, 30, :5] = 1.0
    >>> ledger = build_ledger(Stack(images))
    >>> ledger.loc[ledger.fired, ["rule", "n_pixels", "changed_px"]]
                     rule  n_pixels  changed_px
    1           threshold       405           0
    2  drop edge-touching         5           0
    4              dilate      1494        1494
    """
    import pandas as pd

    settings = settings or PipelineSettings()
    rows = []
    for i, number in enumerate(stack.slice_numbers):
        trace = pipeline.trace_skull_mask(
            stack.images[i], settings, spacing_mm=stack.spacing_mm, slice_number=number
        )
        reference = None if stack.reference is None else stack.reference[i]
        group = stack.groups[i] if stack.groups else ""
        about = (stack.name, group, i, number, stack.synthetic)
        scores = _overlap(trace.mask, reference)
        for record in trace.rules:
            mask = switch_off(trace, record.name)
            changed = int(np.count_nonzero(mask != trace.mask))
            without = _overlap(mask, reference) if changed else scores
            rows.append((*about, *record, changed, *scores, *without))
        if visit:
            visit(i)
    columns = "stack group position slice synthetic rule fired n_pixels changed_px"
    columns += " iou dice iou_off dice_off"
    ledger = pd.DataFrame(rows, columns=columns.split())
    ledger.attrs["settings"] = asdict(settings)
    return ledger


def combine(ledgers: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put several ledgers under one another, for instance of real slices and of phantoms.

    Ledgers that were made with different settings are refused: their rules are not the same rules.

    Examples
    --------
    >>> real = build_ledger(Stack(np.zeros((2, 8, 8)), name="scan"))
    >>> drawn = build_ledger(Stack(np.zeros((1, 8, 8)), name="drawing", synthetic=True))
    >>> summarise(combine([real, drawn])).loc[0, "evidence"]
    'inert, fired on 3 of 3'
    """
    import pandas as pd

    ledgers = list(ledgers)
    if not ledgers:
        raise InvalidSetting("There is no ledger to combine; give at least one.")
    if any(one.attrs.get("settings") != ledgers[0].attrs.get("settings") for one in ledgers):
        raise InvalidSetting("These ledgers were made with different settings; make them anew.")
    return pd.concat(ledgers, ignore_index=True)


def summarise(ledger: pd.DataFrame, by: str | Sequence[str] = ()) -> pd.DataFrame:
    """Sum every rule up over all slices, or over those of each volume.

    Parameters
    ----------
    ledger : DataFrame
        From `build_ledger` or `combine`.
    by : str or sequence of str
        Columns to keep apart, such as "group", or ("stack", "group").

    Returns
    -------
    DataFrame
        A row for each rule, in the pipeline's order: the columns of `by`, rule; status (one of
        `STATUSES`); effect on the mean IoU in words; evidence (the status with the count that it
        rests on); n_slices, n_fired, n_changed; n_real, n_fired_real, n_changed_real (of slices
        that are not synthetic); n_pixels, changed_px (sums); iou, iou_off, dice, dice_off (means
        over the real slices with a reference mask, if any slice is real).

    Examples
    --------
    >>> ledger = build_ledger(Stack(np.zeros((5, 8, 8))))
    >>> summarise(ledger)[["rule", "effect", "evidence"]].head(2)
                   rule           effect                evidence
    0  flat-image guard  changes nothing  inert, fired on 5 of 5
    1         threshold     did not fire     never fired, 0 of 5
    """
    import pandas as pd

    keys = [*([by] if isinstance(by, str) else by), "rule"]
    return pd.DataFrame(
        [
            dict(zip(keys, names, strict=True)) | _account(rows)
            for names, rows in ledger.groupby(keys, sort=False)
        ]
    )


def verdict(ledger: pd.DataFrame, whose: str = "your data") -> str:
    """Say in one plain sentence what the slices showed about the rules, and what they did not.

    `whose` names the real slices; no other text from outside is in it.
    """
    found = summarise(ledger)
    n, n_real = int(found.n_slices.max()), int(found.n_real.max())
    data = whose if n_real else "these slices"
    phantoms, changed = found.status == SYNTHETIC_ONLY, found.n_changed > 0
    parts = [f"{(found.status == EXERCISED).sum()} of {len(found)} rules exercised"]
    for chosen, what in (
        (found.status == NEVER_FIRED, "never fired"),
        (phantoms & changed, "exercised on synthetic slices only"),
        (phantoms & ~changed, "fired on synthetic slices only and changed nothing there"),
    ):
        if rules := found.rule[chosen].tolist():
            whose = "its" if len(rules) == 1 else "their"
            parts.append(f"{_listed(rules)} {what}: {whose} value on {data} is unknown")
    if rules := found.rule[found.status == INERT].tolist():
        parts.append(f"{_listed(rules)} fired and changed nothing")
    worse = found[found.iou_off - found.iou > NOTABLE_IOU]
    for rule, iou, iou_off in zip(worse.rule, worse.iou, worse.iou_off, strict=True):
        parts.append(f"{rule} lowers the mean IoU ({iou:.3f} with it, {iou_off:.3f} without)")
    sentence = "; ".join(parts) + "."
    if not n_real:
        return f"{sentence} All of the slices are synthetic."
    return f"{sentence} {n - n_real} of the {n} slices are synthetic." if n > n_real else sentence


def _account(rows: pd.DataFrame) -> dict[str, Any]:
    """Sum the rows of one rule up."""
    real = rows[~rows.synthetic]
    (n, n_fired, n_changed), n_real = _counts(rows), _counts(real)
    scored = real if len(real) else rows
    scores = {name: scored[name].mean() for name in ("iou", "iou_off", "dice", "dice_off")}
    status = _reached(n_fired, n_changed)
    if len(real) and status != _reached(*n_real[1:]):
        status = SYNTHETIC_ONLY
    evidence = {
        NEVER_FIRED: f"0 of {n}",
        INERT: f"fired on {n_fired} of {n}",
        EXERCISED: f"changed {n_changed} of {n}",
        SYNTHETIC_ONLY: f"changed {n_changed - n_real[2]} of {n - n_real[0]} synthetic slices; "
        f"fired on {n_real[1]} of {n_real[0]} real ones",
    }
    return {
        "status": status,
        "effect": _effect(*_counts(scored)[1:], scores["iou"], scores["iou_off"]),
        "evidence": f"{status}, {evidence[status]}",
        **{"n_slices": n, "n_fired": n_fired, "n_changed": n_changed},
        **dict(zip(("n_real", "n_fired_real", "n_changed_real"), n_real, strict=True)),
        **{name: int(rows[name].sum()) for name in ("n_pixels", "changed_px")},
        **scores,
    }


def _counts(rows: pd.DataFrame) -> tuple[int, int, int]:
    """Slices in all, where the rule fired, and where it changed the mask."""
    return len(rows), int(rows.fired.sum()), int((rows.changed_px > 0).sum())


def _reached(n_fired: int, n_changed: int) -> str:
    return EXERCISED if n_changed else INERT if n_fired else NEVER_FIRED


def _effect(n_fired: int, n_changed: int, iou: float, iou_off: float) -> str:
    """Say in a few words what a rule did to the score."""
    if not n_changed:
        return "changes nothing" if n_fired else "did not fire"
    if np.isnan(iou - iou_off):
        return "changes the mask"
    if abs(iou - iou_off) <= NOTABLE_IOU:
        return "hardly matters"
    if iou > iou_off:
        return "helps"
    return "destroys" if iou < iou_off / 2 else "hurts"


def _overlap(mask: Mask, reference: NDArray[np.uint8] | None) -> tuple[float, float]:
    if reference is None:
        return float("nan"), float("nan")
    counts = count_pixels(mask.view(np.bool_), np.asarray(reference).view(np.bool_))
    overlaps = overlaps_of(*counts)
    return overlaps["iou"], overlaps["dice"]


def _listed(names: Sequence[str]) -> str:
    """Join names as a sentence does."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
