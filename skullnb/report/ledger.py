"""The evidence ledger as one picture, for the page that sums up the method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skullnb.published import FINAL
from skullnb.text import escape

# The step of the pipeline that holds each rule.
_STEPS = {
    "flat-image guard": "Normalise",
    "threshold": "Threshold",
    "drop edge-touching": "Choose",
    "choose largest": "Choose",
    "dilate": "Dilate",
    "fill holes": "Fill holes",
}
_ROW = (
    '<li><span class="step">{step}</span> <strong>{rule}</strong> '
    '<span class="status">{status}</span>{bar}<span class="counts">{counts}</span></li>'
)


def ledger_picture(chapters: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw what each rule did on the slices: a bar, its status, and what it is worth.

    Markdown with an HTML list; a sentence when the chapter on evidence has no ledger. `chapters`:
    recorded values by chapter, as in the collated results.

    Examples
    --------
    >>> print(ledger_picture({}))
    This report was made without [the evidence ledger](notebooks/09-evidence.ipynb).
    <BLANKLINE>
    """
    found = chapters.get("09-evidence", {})
    if not {"rules", "verdict"} <= set(found):
        return "This report was made without [the evidence ledger](notebooks/09-evidence.ipynb).\n"
    rows = "\n".join(_row(rule, found["rules"][rule]) for rule in _STEPS)
    return (
        f"**{escape(found['verdict'])}**\n\n"
        '```{raw} html\n<ul class="ledger" aria-label="What each rule did">\n'
        f"{rows}\n</ul>\n```\n\n"
        "Each bar is all slices: full height where the rule changed the mask, half height where"
        " it fired and changed nothing, a line where it did not fire."
        " [The evidence ledger](notebooks/09-evidence.ipynb) has the numbers slice by slice.\n"
    )


def baseline_sentence(chapters: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what the method scored, on the article's slices and on heads nobody tuned it on.

    Markdown. `chapters`: recorded values by chapter, as in the collated results.

    Examples
    --------
    >>> print(baseline_sentence({}))
    **Score**: the article reports an IoU of 0.9795 (a Dice of 0.9896) on the five slices that
    chose its kernel.
    <BLANKLINE>
    """
    text = (
        f"**Score**: the article reports an IoU of {FINAL.iou:.4f} (a Dice of {FINAL.dice:.4f}) on"
        " the five slices that chose its kernel."
    )
    heads = chapters.get("12-real-heads", {})
    if {"n_heads", "head_iou_px", "head_iou_mm"} <= set(heads):
        text += (
            f" On {heads['n_heads']} [open heads](notebooks/12-real-heads.ipynb) that had no part"
            f" in it, its kernel has a mean IoU of {heads['head_iou_px']:.3f}, and one chosen in mm"
            f" on the other heads {heads['head_iou_mm']:.3f}."
        )
    return text + "\n"


def _row(rule: str, one: Mapping[str, Any]) -> str:
    n, n_fired, n_changed = (one[name] for name in ("n_slices", "n_fired", "n_changed"))
    counts = f"fired on {n_fired} of {n} slices"
    if n_fired:
        counts += f", changed the mask of {n_changed}"
    if n_changed and one["iou"] is not None:
        counts += f"; IoU {one['iou']:.3f}, without it {one['iou_off']:.3f}"
    return _ROW.format(
        step=_STEPS[rule],
        rule=rule,
        status=one["status"],
        bar=_bar(n, n_fired, n_changed),
        counts=counts,
    )


def _bar(n: int, n_fired: int, n_changed: int) -> str:
    """Heights say the same as the colours, as in the chapter's own figure."""
    parts = (
        ("changed", 0, n_changed, 10),
        ("inert", n_changed, n_fired, 5),
        ("silent", n_fired, n, 1),
    )
    bars = "".join(
        f'<rect class="{name}" x="{start}" y="{5 - height / 2}" width="{end - start}"'
        f' height="{height}"/>'
        for name, start, end, height in parts
        if end > start
    )
    return (
        f'<svg viewBox="0 0 {max(n, 1)} 10" preserveAspectRatio="none" aria-hidden="true">{bars}'
        "</svg>"
    )
