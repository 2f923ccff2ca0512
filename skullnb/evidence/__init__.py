"""Which rule of the pipeline fired on which slice, and what it changed.

A good score says that the pipeline as a whole worked on some slices. It does not say which of its
rules those slices ever asked for. The ledger does: for each rule and each slice it holds whether
the rule *fired* (its condition occurred), how many pixels it set or removed, and what becomes of
the mask, IoU and Dice when the rule is switched off. From that follows a status:

- **exercised**: fired, and changed the mask of at least one slice
- **inert**: fired, and changed the mask of none
- **never fired**: the condition occurred on no slice
- **synthetic only**: there are real slices, and it is only phantoms that make it exercised or inert

`skullnb.evidence.ablation.switch_off` says what "switched off" means for each rule.

The idea has ancestors: `classify` and `cover` in property-based testing (Claessen & Hughes, 2000),
which ask how often a test's interesting case came up; coverage contexts (coverage.py), which ask
which test ran a line; mutation testing and modified condition/decision coverage, which ask whether
a part makes a difference to the outcome; and ablation studies.

Examples
--------
>>> from skullnb.phantom import published_stack
>>> ledger = build_ledger(published_stack()[:1])
>>> print(ledger.evidence("drop edge-touching"))
never fired, 0 of 1
"""

from skullnb.evidence.ablation import DEFINITIONS, Definition, switch_off
from skullnb.evidence.ledger import Ledger, build_ledger, combine
from skullnb.evidence.status import (
    EXERCISED,
    INERT,
    NEVER_FIRED,
    STATUSES,
    SYNTHETIC_ONLY,
    RuleEvidence,
    status_of,
)
from skullnb.evidence.verdict import effect, verdict

__all__ = [
    "DEFINITIONS",
    "EXERCISED",
    "INERT",
    "NEVER_FIRED",
    "STATUSES",
    "SYNTHETIC_ONLY",
    "Definition",
    "Ledger",
    "RuleEvidence",
    "build_ledger",
    "combine",
    "effect",
    "status_of",
    "switch_off",
    "verdict",
]
