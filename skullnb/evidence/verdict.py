"""The ledger in one plain sentence, and one rule's effect in one word."""

from __future__ import annotations

import math
from collections.abc import Sequence

from skullnb.evidence.ledger import Ledger
from skullnb.evidence.status import EXERCISED, INERT, NEVER_FIRED, SYNTHETIC_ONLY, RuleEvidence
from skullnb.pipeline import RULES

# A smaller change of the mean IoU is not called help or harm.
NOTABLE_IOU = 0.0005


def verdict(ledger: Ledger) -> str:
    """Say in one plain sentence what the slices showed about the rules, and what they did not.

    Parameters
    ----------
    ledger : Ledger

    Returns
    -------
    str
        How many rules were exercised; which never fired, changed nothing, or were exercised on
        synthetic slices only; which lower the mean IoU where there is a reference mask; and
        whether the slices are synthetic. No text from outside is in it.

    Examples
    --------
    >>> import numpy as np
    >>> from skullnb.evidence import build_ledger
    >>> from skullnb.stack import Stack
    >>> images = np.zeros((1, 60, 60))
    >>> images[0, 20:40, 20:40] = images[0, 2, 2] = images[0, 30, :5] = 1.0
    >>> print(verdict(build_ledger(Stack(images))))
    2 of 6 rules exercised; flat-image guard and fill holes never fired: their value on your data
    is unknown; threshold and drop edge-touching fired and changed nothing.
    """
    found = ledger.summary()
    all_synthetic = bool(ledger.synthetic.all())
    data = "these slices" if all_synthetic else "your data"

    def named(status: str, *, changed: bool | None = None) -> list[str]:
        chosen = [one for one in found if one.status == status]
        return [one.rule for one in chosen if changed in (None, one.n_changed > 0)]

    def unknown(rules: list[str]) -> str:
        return f"{'its' if len(rules) == 1 else 'their'} value on {data} is unknown"

    parts = [f"{len(named(EXERCISED))} of {len(RULES)} rules exercised"]
    if rules := named(NEVER_FIRED):
        parts.append(f"{_listed(rules)} never fired: {unknown(rules)}")
    if rules := named(SYNTHETIC_ONLY, changed=True):
        parts.append(f"{_listed(rules)} exercised on synthetic slices only: {unknown(rules)}")
    if rules := named(SYNTHETIC_ONLY, changed=False):
        parts.append(
            f"{_listed(rules)} fired on synthetic slices only and changed nothing there: "
            f"{unknown(rules)}"
        )
    if rules := named(INERT):
        parts.append(f"{_listed(rules)} fired and changed nothing")
    parts += [
        f"{one.rule} lowers the mean IoU ({one.iou:.3f} with it, {one.iou_off:.3f} without)"
        for one in found
        if one.iou_off - one.iou > NOTABLE_IOU
    ]
    sentence = "; ".join(parts) + "."
    n_synthetic = int(ledger.synthetic.sum())
    if all_synthetic:
        return f"{sentence} All of the slices are synthetic."
    if n_synthetic:
        return f"{sentence} {n_synthetic} of the {len(ledger)} slices are synthetic."
    return sentence


def effect(evidence: RuleEvidence) -> str:
    """Say in a few words what a rule did to the score, on the real slices if there are any.

    Parameters
    ----------
    evidence : RuleEvidence
        From `Ledger.evidence`.

    Returns
    -------
    str
        "did not fire", "changes nothing", "helps", "hurts", "destroys" (with the rule the mean IoU
        is less than half of what it is without), "hardly matters" (less than 0.0005), or
        "changes the mask" where there is no reference mask to say more.

    Examples
    --------
    >>> import numpy as np
    >>> from skullnb.evidence import build_ledger
    >>> from skullnb.stack import Stack
    >>> effect(build_ledger(Stack(np.zeros((1, 8, 8)))).evidence("dilate"))
    'did not fire'
    """
    real = evidence.n_real > 0
    if not (evidence.n_fired_real if real else evidence.n_fired):
        return "did not fire"
    if not (evidence.n_changed_real if real else evidence.n_changed):
        return "changes nothing"
    gain = evidence.iou - evidence.iou_off
    if math.isnan(gain):
        return "changes the mask"
    if abs(gain) <= NOTABLE_IOU:
        return "hardly matters"
    if gain > 0:
        return "helps"
    return "destroys" if evidence.iou < evidence.iou_off / 2 else "hurts"


def _listed(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    Examples
    --------
    >>> _listed(["a"]), _listed(["a", "b"]), _listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
