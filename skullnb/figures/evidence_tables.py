"""The evidence ledger as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from IPython.display import Markdown

from skullnb.evidence import DEFINITIONS, Ledger, effect
from skullnb.figures.tables import MOST_ROWS, markdown_table
from skullnb.pipeline import RULES
from skullnb.text import escape


def definitions_table() -> Markdown:
    """Say when each rule fires, and what the pipeline does without it.

    Examples
    --------
    >>> print(definitions_table().data.splitlines()[-1])
    | fill holes | the filling adds a pixel | holes stay open |
    """
    rows = [(rule, definition.fires, definition.off) for rule, definition in DEFINITIONS.items()]
    return markdown_table(["rule", "fires when", "switched off means"], rows)


def rules_table(ledger: Ledger) -> Markdown:
    """List each rule's status, and what the counts and scores behind it are.

    Examples
    --------
    >>> from skullnb.evidence import build_ledger
    >>> from skullnb.stack import Stack
    >>> ledger = build_ledger(Stack(np.zeros((2, 8, 8))))
    >>> print(rules_table(ledger).data.splitlines()[-1])
    | fill holes | never fired | 0 of 2 | 0 | 0 of 2 | 0 |
    """
    header = "rule | status | fired on | px at its own step | mask changed on | px of the mask"
    rows = [
        [
            one.rule,
            one.status,
            f"{one.n_fired} of {one.n_slices}",
            one.stage_px,
            f"{one.n_changed} of {one.n_slices}",
            one.changed_px,
        ]
        for one in ledger.summary()
    ]
    return markdown_table(header, rows, ["", "", "", ",d", "", ",d"])


def scores_table(ledger: Ledger) -> Markdown:
    """List the mean scores with each rule and without it.

    A sentence instead where no slice has a reference mask.

    Examples
    --------
    >>> from skullnb.evidence import build_ledger
    >>> from skullnb.stack import Stack
    >>> print(scores_table(build_ledger(Stack(np.zeros((2, 8, 8))))).data)
    Without a reference mask nobody can say whether a changed mask is better or worse...
    """
    found = ledger.summary()
    if all(np.isnan(one.iou) for one in found):
        return Markdown(
            "Without a reference mask nobody can say whether a changed mask is better or worse; "
            "the counts above are what can be known."
        )
    header = ["rule", "IoU", "IoU without it", "Dice", "Dice without it", "the rule"]
    rows = [[one.rule, one.iou, one.iou_off, one.dice, one.dice_off, effect(one)] for one in found]
    return markdown_table(header, rows, ["", ".4f", ".4f", ".4f", ".4f", ""])


def slices_table(ledger: Ledger) -> Markdown:
    """List for every slice how many pixels of the mask each rule changes.

    A dash where the rule did not fire; the first forty slices.

    Examples
    --------
    >>> from skullnb.evidence import build_ledger
    >>> from skullnb.stack import Stack
    >>> print(slices_table(build_ledger(Stack(np.zeros((1, 8, 8))))).data.splitlines()[-1])
    | 0 | 0 | – | – | – | – | – |
    """
    counts = np.where(ledger.fired, ledger.changed_px, np.nan)[:MOST_ROWS]
    rows = [[number, *row] for number, row in zip(ledger.slices, counts, strict=False)]
    formats = ["", *[",.0f"] * len(RULES)]
    return markdown_table(["slice", *RULES], rows, formats, of=(len(ledger), "slices"))


def statuses_table(ledgers: Mapping[str, Ledger]) -> Markdown:
    """Set the statuses of several ledgers side by side.

    `ledgers`: by the heading of their column.

    Examples
    --------
    >>> from skullnb.evidence import build_ledger
    >>> from skullnb.stack import Stack
    >>> ledger = build_ledger(Stack(np.zeros((2, 8, 8))))
    >>> print(statuses_table({"these": ledger}).data.splitlines()[2])
    | flat-image guard | inert, fired on 2 of 2 |
    """
    rows = [[rule, *(str(one.evidence(rule)) for one in ledgers.values())] for rule in RULES]
    return markdown_table(["rule", *ledgers], rows)


def volumes_table(ledger: Ledger) -> Markdown:
    """Set the statuses of the volumes side by side, the first forty.

    Examples
    --------
    >>> from skullnb.evidence import build_ledger
    >>> from skullnb.stack import Stack
    >>> stack = Stack(np.zeros((3, 8, 8)), groups="a,a,b", name="demo")
    >>> print(volumes_table(build_ledger(stack)).data.splitlines()[2][:30])
    | a | inert, fired on 2 of 2 |
    """
    volumes = list(ledger.by_volume().items())
    rows = [
        [group or stack or "–", *(str(one) for one in part.summary())]
        for (stack, group), part in volumes[:MOST_ROWS]
    ]
    return markdown_table(["volume", *RULES], rows, of=(len(volumes), "volumes"))


def one_rule_table(ledgers: Sequence[Ledger], rule: str) -> Markdown:
    """Set what one rule did on several stacks below one another.

    `ledgers`: of one stack each.

    Examples
    --------
    >>> from skullnb.evidence import build_ledger
    >>> from skullnb.stack import Stack
    >>> ledger = build_ledger(Stack(np.zeros((2, 8, 8)), name="demo"))
    >>> print(one_rule_table([ledger], "drop edge-touching").data.splitlines()[-1])
    | demo | 0 of 2 | 0 of 2 | – | – | did not fire |
    """
    rows = []
    for ledger in ledgers:
        one = ledger.evidence(rule)
        rows.append(
            [
                str(ledger.stacks[0]).removeprefix("synthetic phantom: "),
                f"{one.n_fired} of {one.n_slices}",
                f"{one.n_changed} of {one.n_slices}",
                one.iou,
                one.iou_off,
                effect(one),
            ]
        )
    header = ["stack", "fired on", "mask changed on", "IoU with it", "IoU without it", "the rule"]
    return markdown_table(header, rows, ["", "", "", ".3f", ".3f", ""])


def effects_text(ledgers: Sequence[Ledger], rule: str) -> str:
    """Say on which stacks a rule helps, changes nothing or does harm.

    `ledgers`: of one stack each.

    Examples
    --------
    >>> from skullnb.evidence import build_ledger
    >>> from skullnb.stack import Stack
    >>> ledger = build_ledger(Stack(np.zeros((2, 8, 8)), name="demo"))
    >>> print(effects_text([ledger], "drop edge-touching"))
    - The rule **did not fire** on 1 of 1: demo
    """
    found: dict[str, list[str]] = {}
    for ledger in ledgers:
        name = escape(str(ledger.stacks[0]).removeprefix("synthetic phantom: "))
        found.setdefault(effect(ledger.evidence(rule)), []).append(name)
    return "\n".join(
        f"- The rule **{word}** on {len(names)} of {len(ledgers)}: {', '.join(names)}"
        for word, names in found.items()
    )
