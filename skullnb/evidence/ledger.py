"""The ledger: rule by rule and slice by slice, what happened and what it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.evidence.ablation import switch_off
from skullnb.evidence.status import RuleEvidence, status_of
from skullnb.metrics.overlap import count_pixels, overlaps_of
from skullnb.pipeline import RULES, PipelineSettings, trace_skull_mask
from skullnb.stack import Stack


@dataclass(frozen=True, eq=False)
class Ledger:
    """What every rule did on every slice of one or more stacks.

    Attributes
    ----------
    settings : PipelineSettings
        What the masks were made with.
    stacks, groups : (N,) array of str
        The stack and the volume each slice is from; a group is "" when it is not known.
    slices : (N,) int64
        Each slice's number in the file it came from.
    synthetic : (N,) bool
        Whether the slice was drawn, not scanned.
    fired : (N, 6) bool
        Whether the condition of each rule occurred, in the order of `skullnb.pipeline.RULES`.
    stage_px : (N, 6) int64
        Pixels that the rule set or removed at its own stage.
    changed_px : (N, 6) int64
        Pixels of the final mask that differ when the rule is switched off.
    iou, dice : (N,) float64
        Overlap with the reference mask; NaN without one, or when both are empty.
    iou_off, dice_off : (N, 6) float64
        The same with each rule switched off.
    """

    settings: PipelineSettings
    stacks: NDArray[Any]
    groups: NDArray[Any]
    slices: NDArray[np.int64]
    synthetic: NDArray[np.bool_]
    fired: NDArray[np.bool_]
    stage_px: NDArray[np.int64]
    changed_px: NDArray[np.int64]
    iou: NDArray[np.float64]
    dice: NDArray[np.float64]
    iou_off: NDArray[np.float64]
    dice_off: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.slices)

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Whether switching the rule off changes the final mask, (N, 6) bool."""
        return np.asarray(self.changed_px > 0)

    def where(self, keep: NDArray[np.bool_]) -> Ledger:
        """Return the entries of some slices.

        Parameters
        ----------
        keep : (N,) bool

        Examples
        --------
        >>> ledger = build_ledger(Stack(np.zeros((5, 8, 8))))
        >>> len(ledger.where(~ledger.synthetic)), len(ledger.where(ledger.synthetic))
        (5, 0)
        """
        return Ledger(self.settings, **{name: getattr(self, name)[keep] for name in _ARRAYS})

    def by_volume(self) -> dict[tuple[str, str], Ledger]:
        """Return one ledger a volume, by the names of its stack and its group.

        Examples
        --------
        >>> stack = Stack(np.zeros((3, 8, 8)), groups="a,a,b", name="demo")
        >>> {volume: len(part) for volume, part in build_ledger(stack).by_volume().items()}
        {('demo', 'a'): 2, ('demo', 'b'): 1}
        """
        volumes = dict.fromkeys(zip(self.stacks.tolist(), self.groups.tolist(), strict=True))
        return {
            (stack, group): self.where((self.stacks == stack) & (self.groups == group))
            for stack, group in volumes
        }

    def evidence(self, rule: str) -> RuleEvidence:
        """Sum one rule up over all slices.

        Parameters
        ----------
        rule : str
            A name in `skullnb.pipeline.RULES`.

        Raises
        ------
        InvalidSetting
            If there is no such rule.
        """
        if rule not in RULES:
            raise InvalidSetting(f"There is no rule {rule!r}; the rules are {', '.join(RULES)}.")
        column = RULES.index(rule)
        fired, changed, real = self.fired[:, column], self.changed[:, column], ~self.synthetic
        scored = real if real.any() else self.synthetic
        return RuleEvidence(
            rule=rule,
            status=status_of(fired, changed, self.synthetic),
            n_slices=len(self),
            n_fired=int(fired.sum()),
            n_changed=int(changed.sum()),
            n_real=int(real.sum()),
            n_fired_real=int(fired[real].sum()),
            n_changed_real=int(changed[real].sum()),
            stage_px=int(self.stage_px[:, column].sum()),
            changed_px=int(self.changed_px[:, column].sum()),
            iou=_mean(self.iou[scored]),
            iou_off=_mean(self.iou_off[scored, column]),
            dice=_mean(self.dice[scored]),
            dice_off=_mean(self.dice_off[scored, column]),
        )

    def summary(self) -> tuple[RuleEvidence, ...]:
        """Sum every rule up, in the pipeline's order."""
        return tuple(self.evidence(rule) for rule in RULES)

    def values(self) -> dict[str, Any]:
        """Everything in the ledger, for `skullnb.results.Results.record`.

        Returns
        -------
        dict
            `rules` (by rule: what `evidence` says), `status` (by rule), `volumes` (by volume:
            status by rule), `slices` (one value a slice: where it is from, iou, dice), and
            `changes` (by rule, one value a slice: fired, stage_px, changed_px, iou_off,
            dice_off).
        """
        volumes = {
            " / ".join(part for part in volume if part): _statuses(ledger)
            for volume, ledger in self.by_volume().items()
        }
        return {
            "rules": {one.rule: dict(vars(one)) for one in self.summary()},
            "status": _statuses(self),
            "volumes": volumes,
            "slices": {name: getattr(self, name).tolist() for name in _PER_SLICE},
            "changes": {
                rule: {name: getattr(self, name)[:, column].tolist() for name in _PER_RULE}
                for column, rule in enumerate(RULES)
            },
        }


_PER_SLICE = ("stacks", "groups", "slices", "synthetic", "iou", "dice")
_PER_RULE = ("fired", "stage_px", "changed_px", "iou_off", "dice_off")
_ARRAYS = (*_PER_SLICE, *_PER_RULE)


def build_ledger(
    stack: Stack,
    settings: PipelineSettings | None = None,
    *,
    visit: Callable[[int], object] | None = None,
) -> Ledger:
    """Trace every slice, switch every rule off in turn, and write down what changed.

    Parameters
    ----------
    stack : Stack
        With or without a reference mask; `stack.synthetic` says whether its slices were drawn.
    settings : PipelineSettings, optional
        The article's when left out. A rule that they leave out never fires.
    visit : callable, optional
        Called as ``visit(index)`` after each slice.

    Returns
    -------
    Ledger

    Raises
    ------
    InvalidImage
        If a slice cannot be worked on; the message gives its number.

    Examples
    --------
    >>> images = np.zeros((1, 60, 60))
    >>> images[0, 20:40, 20:40] = images[0, 30, :5] = 1.0
    >>> ledger = build_ledger(Stack(images))
    >>> print(*ledger.summary()[2:4], sep="; ")
    inert, fired on 1 of 1; never fired, 0 of 1
    """
    settings = settings or PipelineSettings()
    n, n_rules = len(stack), len(RULES)
    fired = np.zeros((n, n_rules), dtype=np.bool_)
    stage_px, changed_px = np.zeros((2, n, n_rules), dtype=np.int64)
    iou, dice = np.full((2, n), np.nan)
    iou_off, dice_off = np.full((2, n, n_rules), np.nan)
    for i, number in enumerate(stack.slice_numbers):
        trace = trace_skull_mask(stack.images[i], settings, slice_number=number)
        reference = None if stack.reference is None else stack.reference[i]
        iou[i], dice[i] = _overlap(trace.mask, reference)
        for j, record in enumerate(trace.rules):
            mask = switch_off(trace, record.name)
            fired[i, j], stage_px[i, j] = record.fired, record.n_pixels
            changed_px[i, j] = np.count_nonzero(mask != trace.mask)
            same = changed_px[i, j] == 0
            overlap = (iou[i], dice[i]) if same else _overlap(mask, reference)
            iou_off[i, j], dice_off[i, j] = overlap
        if visit:
            visit(i)
    return Ledger(
        settings,
        stacks=np.array([stack.name] * n),
        groups=np.array(stack.groups or [""] * n),
        slices=np.array(stack.slice_numbers, dtype=np.int64),
        synthetic=np.full(n, stack.synthetic),
        fired=fired,
        stage_px=stage_px,
        changed_px=changed_px,
        iou=iou,
        dice=dice,
        iou_off=iou_off,
        dice_off=dice_off,
    )


def combine(ledgers: Iterable[Ledger]) -> Ledger:
    """Bring several ledgers into one, for instance of real slices and of phantoms.

    Parameters
    ----------
    ledgers : iterable of Ledger

    Returns
    -------
    Ledger
        The slices of all, in the order given; each stays real or synthetic.

    Raises
    ------
    InvalidSetting
        If there is none, or if they were made with different settings: then the rules are not
        the same rules.

    Examples
    --------
    >>> real = build_ledger(Stack(np.zeros((2, 8, 8)), name="scan"))
    >>> drawn = build_ledger(Stack(np.zeros((1, 8, 8)), name="drawing", synthetic=True))
    >>> both = combine([real, drawn])
    >>> len(both), both.evidence("dilate").n_real
    (3, 2)
    """
    ledgers = list(ledgers)
    if not ledgers:
        raise InvalidSetting("There is no ledger to combine; give at least one.")
    settings = ledgers[0].settings
    if any(one.settings != settings for one in ledgers):
        raise InvalidSetting(
            "These ledgers were made with different settings, so their rules are not the same; "
            "make them with the same settings."
        )
    joined = {name: np.concatenate([getattr(one, name) for one in ledgers]) for name in _ARRAYS}
    return Ledger(settings, **joined)


def _statuses(ledger: Ledger) -> dict[str, str]:
    return {one.rule: one.status for one in ledger.summary()}


def _overlap(mask: NDArray[np.uint8], reference: NDArray[np.uint8] | None) -> tuple[float, float]:
    if reference is None:
        return float("nan"), float("nan")
    counts = count_pixels(mask.view(np.bool_), np.asarray(reference).view(np.bool_))
    overlaps = overlaps_of(*counts)
    return overlaps["iou"], overlaps["dice"]


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
