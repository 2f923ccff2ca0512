"""The check on real heads as tables and sentences; the kind of reference stands in every table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from IPython.display import Markdown

from skullnb.external.alternatives import ARTICLE, Alternative
from skullnb.external.choice import BRAIN, CHOICES, DEFINITIONS
from skullnb.external.cropping import OUTCOMES
from skullnb.external.measuring import CUTS, DEPTHS_MM, signs_of
from skullnb.external.rates import TRIED, failed, sign_rates
from skullnb.figures.tables import markdown_table
from skullnb.heads import HEADS
from skullnb.heads.registry import LABELS, SEMI_AUTOMATIC
from skullnb.metrics import iou
from skullnb.phantom import variant
from skullnb.pipeline import PipelineSettings, trace_skull_mask
from skullnb.pipeline.signs import (
    DROPPED,
    LEAST_OUTSIDE,
    LIKE_SIZE,
    MERGED,
    MUCH_LARGER,
    PART,
    RING_FILL,
    SCALP_RING,
    SIGNS,
)
from skullnb.stack import Stack
from skullnb.summary import ranges_of

Columns = Mapping[str, Sequence[Any]]
KINDS = (LABELS, SEMI_AUTOMATIC)
NONE = "–"
# One for each sign, one for each reason why there is none, and two that are in between.
SHOWN_VARIANTS = (
    "thick-soft-tissue",
    "bridge",
    "low-contrast",
    "hemispheres-apart",
    "brain-touches-frame",
    "scalp-cut-two-sides",
    "wide-gap",
    "vertex",
    "noise",
)


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
    means = ("threshold_before", "threshold", "iou", "iou_off")
    rows = []
    for (name, sides, depth), at in by_crop(crops).items():
        told = Counter(crops["outcome"][i] for i in at)
        cut = f"{depth:g} mm, {sides}"
        scores = [np.mean([crops[key][i] for i in at]) for key in means]
        rows.append((name, HEADS[name].reference, cut, *(told[one] for one in seen), *scores))
    levels = ["Otsu's level before", "after"]
    header = ["stack", "reference", "cut", *seen, *levels, "IoU with the rule", "IoU without"]
    return markdown_table(header, rows, [""] * (3 + len(seen)) + [".0f", ".0f", ".3f", ".3f"])


def by_crop(crops: Columns) -> dict[tuple[str, str, float], list[int]]:
    """Give the rows of each stack and way of cropping."""
    ways = product(by_stack(crops), CUTS, DEPTHS_MM)
    found: dict[tuple[str, str, float], list[int]] = {way: [] for way in ways}
    for row, key in enumerate(zip(crops["stack"], crops["sides"], crops["depth_mm"], strict=True)):
        found[key].append(row)
    return found


def rates_table(stored: Mapping[str, Any], by: str = "choice") -> Markdown:
    """List how often each sign showed on failed slices and on others, by kind of reference."""
    slices = stored["slices"]
    bad = failed(slices, by)
    kinds = np.array([HEADS[name].reference for name in slices["stack"]])
    per_kind = []
    for kind in KINDS:
        part = _rows(slices, kinds == kind)
        per_kind.append(sign_rates(part, bad[kinds == kind]))
    rows = []
    for every in zip(*per_kind, strict=True):
        cells = []
        for rate in every:
            cells += [_of(rate.n_hits, rate.n_failures), _of(rate.n_false, rate.n_others)]
        sign = every[0].sign
        rows.append((f"{sign} (tried, no warning)" if sign in TRIED else sign, *cells))
    header = ["sign"]
    for kind in KINDS:
        header += [f"{kind}: failures with it", f"{kind}: others with it"]
    return markdown_table(header, rows)


def crop_rates_table(stored: Mapping[str, Any]) -> Markdown:
    """List how often a sign showed on cropped slices, by what the edge rule did there."""
    crops = stored["crops"]
    rows = []
    for kind in KINDS:
        for outcome in OUTCOMES:
            at = [
                i
                for i, one in enumerate(crops["outcome"])
                if one == outcome and HEADS[crops["stack"][i]].reference == kind
            ]
            warned = sum(bool(crops["signs"][i]) for i in at)
            fine = [i for i in at if crops["chosen"][i] == BRAIN]
            alarms = sum(bool(crops["signs"][i]) for i in fine)
            if at:
                rows.append((outcome, kind, _of(warned, len(at)), _of(alarms, len(fine))))
    header = ["the rule", "reference", "crops with a sign", "of them where the brain was chosen"]
    return markdown_table(header, rows)


def unscored_table(stored: Mapping[str, Any]) -> Markdown:
    """List the signs on slices that nobody has drawn a reference mask for."""
    rows = []
    for region, found in stored["unscored"].items():
        for sign in (*SIGNS, NONE):
            at = [
                number
                for number, one in zip(found["slices"], found["signs"], strict=True)
                if sign in one or (sign == NONE and not one)
            ]
            if at:
                told = "no sign" if sign == NONE else sign
                rows.append((region, "none", told, len(at), ranges_of(at)))
    return markdown_table(["mne-ecog", "reference", "sign", "slices", "which"], rows)


def variants_table(settings: PipelineSettings | None = None) -> Markdown:
    """Show which signs some synthetic heads give; computed anew."""
    rows = []
    for name in SHOWN_VARIANTS:
        stack = variant(name)
        assert stack.reference is not None
        traces = [trace_skull_mask(image, settings) for image in stack.images]
        scores = [
            iou(trace.mask, reference)
            for trace, reference in zip(traces, stack.reference, strict=True)
        ]
        signs = [signs_of(trace) for trace in traces]
        told = Counter(sign for one in signs for sign in one)
        said = ", ".join(f"{sign} on {n}" for sign, n in told.items())
        rows.append((name, "exact (drawn)", len(stack), np.mean(scores), said or "none"))
    header = ["synthetic head", "reference", "slices", "IoU", "signs"]
    return markdown_table(header, rows, ["", "", "", ".3f", ""])


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


def own_table(stack: Stack, signs: Sequence[Sequence[str]]) -> Markdown:
    """List the signs on the stack at hand, a row a sign.

    Parameters
    ----------
    stack : Stack
    signs : sequence of sequences of str
        One a slice, from `skullnb.external.measuring.signs_of_stack`.

    Examples
    --------
    >>> stack = Stack(np.zeros((3, 8, 8)))
    >>> print(own_table(stack, [["merged"], [], ["merged"]]).data.splitlines()[3])
    | merged | none | 2 of 3 | 0, 2 |
    """
    numbers = np.array(stack.slice_numbers)
    reference = (
        "none" if stack.reference is None else "exact (drawn)" if stack.synthetic else "given"
    )
    rows = []
    for sign in SIGNS:
        at = numbers[[sign in one for one in signs]].tolist()
        rows.append((sign, reference, _of(len(at), len(stack)), ranges_of(at) or NONE))
    return markdown_table(["sign", "reference", "slices with it", "which"], rows)


def own_verdict(n_signs: int, is_published_stack: bool) -> str:
    """Say what signs on the stack at hand mean.

    Parameters
    ----------
    n_signs : int
        Slices with at least one.
    is_published_stack : bool

    Returns
    -------
    str
        Markdown for `Chapter.say`; needs n_own_signs and n_own.

    Examples
    --------
    >>> own_verdict(0, is_published_stack=True)[:30]
    'No scans were given, so this i'
    """
    if is_published_stack:
        return (
            "No scans were given, so this is the **synthetic** phantom: {n_own_signs} of its "
            "{n_own} slices show a sign. It was drawn without these failures, so none is due."
        )
    if n_signs:
        return (
            "**{n_own_signs} of your {n_own} slices show a sign.** Look at these first. On the "
            "open heads a sign has so far been right; four heads can't promise that for yours."
        )
    return (
        "**None of your {n_own} slices shows a sign.** So the choice is probably right. It says "
        "nothing about how well the border fits: for that, look at the outlines."
    )


def signs_table() -> Markdown:
    """Say what each sign looks at, and what it may mean."""
    rows = [
        (
            SCALP_RING,
            f"less than {LEAST_OUTSIDE:.0%} of the bright pixels outside the chosen component's "
            f"convex hull, and less than {RING_FILL:.0%} of the hull filled",
            "the scalp was chosen: it is larger than the brain, as near the vertex",
        ),
        (
            MERGED,
            "as few pixels outside, and the hull is filled",
            "brain and scalp are one component, through fat, a vessel or a thin skull",
        ),
        (
            PART,
            f"another component at least {LIKE_SIZE:.0%} as large beside it: neither box holds "
            "the other",
            "one hemisphere was chosen, the other left out",
        ),
        (
            DROPPED,
            f"a component that touches the frame is more than {MUCH_LARGER:g} times as large",
            "the brain touched the frame, or what it is joined to did",
        ),
    ]
    return markdown_table(["sign", "what the trace shows", "what it may mean"], rows)


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


def _rows(columns: Columns, keep: Sequence[bool]) -> Columns:
    return {
        name: [value for value, kept in zip(values, keep, strict=True) if kept]
        for name, values in columns.items()
    }


def _of(count: int, total: int) -> str:
    return f"{count} of {total}" if total else NONE
