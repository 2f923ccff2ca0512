"""Signs of failure as tables: what they are, how often they were right, and where they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import Markdown

from skullnb.external.choice import BRAIN
from skullnb.external.cropping import OUTCOMES
from skullnb.external.measuring import signs_of
from skullnb.external.rates import TRIED, failed, sign_rates
from skullnb.figures.external_tables import Columns
from skullnb.figures.tables import MISSING, markdown_table
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

KINDS = (LABELS, SEMI_AUTOMATIC)
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
        for sign in (*SIGNS, MISSING):
            at = [
                number
                for number, one in zip(found["slices"], found["signs"], strict=True)
                if sign in one or (sign == MISSING and not one)
            ]
            if at:
                told = "no sign" if sign == MISSING else sign
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
        rows.append((sign, reference, _of(len(at), len(stack)), ranges_of(at) or MISSING))
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
        Markdown for `Chapter.say`; needs n_own_signs, n_own, and what
        `skullnb.external.numbers.quoted` gives.

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
            "uncropped open heads a sign was false on {n_false_alarms} of {n_right} slices, but "
            "{n_heads} heads can't promise as much for yours."
        )
    return (
        "**None of your {n_own} slices shows a sign.** So the choice is probably right. It says "
        "nothing about how well the border fits: for that, look at the outlines."
    )


def _rows(columns: Columns, keep: Sequence[bool]) -> Columns:
    return {
        name: [value for value, kept in zip(values, keep, strict=True) if kept]
        for name, values in columns.items()
    }


def _of(count: int, total: int) -> str:
    return f"{count} of {total}" if total else MISSING
