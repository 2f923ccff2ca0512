"""The check on real heads as tables and sentences; the kind of reference stands in every table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from IPython.display import Markdown

from skullnb.external.alternatives import ARTICLE, Alternative
from skullnb.external.choice import CHOICES, DEFINITIONS
from skullnb.external.cropping import OUTCOMES
from skullnb.external.measuring import CUTS, DEPTHS_MM
from skullnb.figures.tables import markdown_table
from skullnb.heads import HEADS

Columns = Mapping[str, Sequence[Any]]


def heads_table() -> Markdown:
    """List the stacks: what each is, how large its pixels are, and what its reference mask is.

    Examples
    --------
    >>> print(heads_table().data.splitlines()[2][:42])
    | colin27 | colin27 | T1 | 86 | 1 x 1 mm |
    """
    rows = [
        (
            one.name,
            one.group,
            one.contrast,
            one.n_slices,
            "{:.3g} x {:.3g} mm".format(*one.spacing_mm),
            one.reference,
            one.licence,
        )
        for one in HEADS.values()
    ]
    return markdown_table(
        ["stack", "head", "contrast", "slices", "pixel", "reference", "licence"], rows
    )


def choices_table(stored: Mapping[str, Any]) -> Markdown:
    """List thresholds, contacts with the frame, and what was chosen, a row a stack."""
    slices = stored["slices"]
    rows = []
    for name, at in by_stack(slices).items():
        levels = [slices["threshold"][i] for i in at]
        chosen = Counter(slices["chosen"][i] for i in at)
        rows.append(
            (
                name,
                HEADS[name].reference,
                len(at),
                f"{min(levels)}-{max(levels)}",
                sum(slices["n_edge_touching"][i] for i in at),
                *(chosen[one] for one in CHOICES),
            )
        )
    header = ["stack", "reference", "slices", "Otsu's level", "touching the frame", *CHOICES]
    return markdown_table(header, rows)


def choice_definitions() -> Markdown:
    """Say by which rules a choice gets its name.

    Examples
    --------
    >>> print(choice_definitions().data.splitlines()[2])
    | brain | none of the others |
    """
    return markdown_table(["called", "when"], list(DEFINITIONS.items()))


def scores_table(stored: Mapping[str, Any]) -> Markdown:
    """List the mean scores of every stack, with the article's kernel and with the one in mm."""
    slices, reaches = stored["slices"], stored["reach"]["chosen_mm"]
    rows = []
    for name, at in by_stack(slices).items():
        head = HEADS[name]
        for kernel, text in (("px", "26 px"), ("mm", f"{reaches[head.group]:.1f} mm reach")):
            means = [np.mean([slices[f"{m}_{kernel}"][i] for i in at]) for m in _SCORES]
            rows.append((name, head.reference, len(at), text, *means))
    header = ["stack", "reference", "slices", "kernel", *_SCORES.values()]
    return markdown_table(header, rows, ["", "", "", "", ".4f", ".4f", ".3f", ".2f"])


_SCORES = {"iou": "IoU", "dice": "Dice", "nsd": "NSD (1 mm)", "assd": "ASSD [mm]"}


def reach_table(stored: Mapping[str, Any]) -> Markdown:
    """List the reach that the other heads chose for each head, and what it scored there."""
    reach = stored["reach"]
    rows = [
        (group, kind_of(group), reach["chosen_mm"][group], score, max(reach["iou"][group]))
        for group, score in reach["held_out_iou"].items()
    ]
    header = ["head left out", "reference", "reach the others chose [mm]", "IoU", "best possible"]
    return markdown_table(header, rows, ["", "", ".1f", ".4f", ".4f"])


def crops_table(stored: Mapping[str, Any]) -> Markdown:
    """List what the edge rule did on cropped slices, a row a stack and crop."""
    crops = stored["crops"]
    seen = [one for one in OUTCOMES if one in crops["outcome"]]
    rows = []
    for (name, sides, depth), at in by_crop(crops).items():
        told = Counter(crops["outcome"][i] for i in at)
        cut = f"{depth:g} mm, {len(CUTS[sides])} sides"
        before, after, on, off = (
            float(np.mean([crops[key][i] for i in at]))
            for key in ("threshold_before", "threshold", "iou", "iou_off")
        )
        levels = f"{before:.0f} → {after:.0f}"
        counts = (told[one] for one in seen)
        rows.append((name, HEADS[name].reference, cut, *counts, levels, on, off))
    header = ["stack", "reference", "cut", *seen, "Otsu's level", "IoU", "without the rule"]
    return markdown_table(header, rows, [""] * (4 + len(seen)) + [".3f", ".3f"])


def by_crop(crops: Columns) -> dict[tuple[str, str, float], list[int]]:
    """Give the rows of each stack and way of cropping."""
    ways = product(by_stack(crops), CUTS, DEPTHS_MM)
    found: dict[tuple[str, str, float], list[int]] = {way: [] for way in ways}
    for row, key in enumerate(zip(crops["stack"], crops["sides"], crops["depth_mm"], strict=True)):
        found[key].append(row)
    return found


def rules_table(stored: Mapping[str, Any]) -> Markdown:
    """List what the ledger says of each rule over all real slices."""
    rows = [(one["rule"], one["status"], one["iou"], one["iou_off"]) for one in stored["rules"]]
    header = ["rule", "on real slices", "IoU (both kinds of reference)", "IoU without the rule"]
    return markdown_table(header, rows, ["", "", ".4f", ".4f"])


def alternatives_table(stored: Mapping[str, Any]) -> Markdown:
    """List other rules, each with the reach that the other heads chose, a column a head."""
    found = stored["alternatives"]
    groups = list(stored["reach"]["chosen_mm"])
    rows = [
        (_named(one), *(one[group] for group in groups), np.mean([one[group] for group in groups]))
        for one in found["each"]
    ]
    picked = {one["held_out"]: one["iou"] for one in found["chosen"]}
    scores = [picked[group] for group in groups]
    rows.append(("what the other heads would choose", *scores, np.mean(scores)))
    header = ["rules", *(f"{group} ({kind_of(group)})" for group in groups), "mean"]
    return markdown_table(header, rows, ["", *[".4f"] * (len(groups) + 1)])


def by_stack(columns: Columns) -> dict[str, list[int]]:
    """Give the rows of each stack, in the order of the registry.

    Examples
    --------
    >>> by_stack({"stack": ["mne-ecog", "colin27", "mne-ecog"]})
    {'colin27': [1], 'mne-ecog': [0, 2]}
    """
    found: dict[str, list[int]] = {name: [] for name in HEADS}
    for row, name in enumerate(columns["stack"]):
        found[name].append(row)
    return {name: at for name, at in found.items() if at}


def kind_of(group: str) -> str:
    """Say which kind of reference a head has.

    Examples
    --------
    >>> kind_of("ubermuda")
    'semi-automatic'
    """
    return next(one.reference for one in HEADS.values() if one.group == group)


def _named(one: Mapping[str, Any]) -> str:
    rules = Alternative(one["clip"], one["opening_mm"], one["innermost"])
    if rules == ARTICLE:
        return "the article's"
    parts = [
        f"clip {rules.clip:g}%" if rules.clip else "",
        f"opening {rules.opening_mm:g} mm" if rules.opening_mm else "",
        "innermost" if rules.innermost else "",
    ]
    return ", ".join(part for part in parts if part)
