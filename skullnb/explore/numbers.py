"""What the explorer says of the mask shown, and of what the last move changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import cv2
import numpy as np

from skullnb import metrics
from skullnb.explore.state import ExplorerState
from skullnb.pipeline import Mask, PipelineSettings, SkullMaskTrace, otsu_threshold
from skullnb.stack import Stack

SCORES: tuple[str, ...] = ("IoU", "Dice", "ASSD")
_NAMES = {
    "kernel_width": "Kernel width",
    "kernel_shape": "Kernel shape",
    "connectivity": "Neighbours",
    "drop_edge_touching": "Edge rule",
    "threshold": "Threshold",
    "fill_holes": "Filling",
}


@dataclass(frozen=True, eq=False)
class View:
    """What is shown at one moment.

    Parameters
    ----------
    stack : Stack
    state : ExplorerState
    trace : SkullMaskTrace
        Of the slice and settings that the state names.
    numbers : mapping of str to float
        From `take_view`.

    Examples
    --------
    >>> from skullnb.pipeline import trace_skull_mask
    >>> images = np.zeros((1, 8, 8))
    >>> images[0, 2:6, 2:6] = 1.0
    >>> settings = PipelineSettings(kernel_width=0)
    >>> state = ExplorerState(0, settings=settings)
    >>> view = take_view(Stack(images, images > 0), state, trace_skull_mask(images[0], settings))
    >>> view.facts()["Dice"], view.facts()["ASSD"], view.is_of_slice_of(view)
    ('1.0000', '0.00 px', True)
    """

    stack: Stack
    state: ExplorerState
    trace: SkullMaskTrace
    numbers: Mapping[str, float]

    @property
    def reference(self) -> Mask | None:
        """The slice's reference mask."""
        return reference_of(self.stack, self.state.slice_number)

    @property
    def unit(self) -> str:
        """Of the surface distance."""
        return "px" if self.stack.spacing_mm is None else "mm"

    def differs_in_looks_only(self, other: View) -> bool:
        """Whether its mask is another view's too, by slice and settings."""
        return self.is_of_slice_of(other) and self.state.settings == other.state.settings

    def is_of_slice_of(self, other: View) -> bool:
        """Whether it is of the same slice as another view."""
        return self.state.slice_number == other.state.slice_number

    def facts(self, *, scored: bool = True) -> dict[str, str]:
        """Say what is shown, name to text; `scored`: with the scores, if there are any."""
        state, trace, stack = self.state, self.trace, self.stack
        place = f"no. {state.slice_number + 1} of {len(stack)}"
        facts = {"slice": f"{stack.slice_numbers[state.slice_number]} ({place})"}
        if stack.groups is not None:
            facts["group"] = stack.groups[state.slice_number]
        if state.settings.threshold == "otsu":
            facts["threshold"] = f"{trace.threshold} (Otsu)"
        else:
            facts["threshold"] = f"{trace.threshold} (Otsu: {otsu_threshold(trace.normalised)})"
        facts["kernel width"] = f"{state.settings.kernel_width} px"
        facts["components"] = (
            f"{len(trace.components):,}, {trace.n_edge_touching:,} touch the frame"
        )
        facts["brain"] = f"{self.numbers['brain']:,.0f} px"
        area = self.numbers["mask"]
        facts["mask"] = f"{area:,.0f} px, {area / trace.mask.size:.1%} of frame"
        if trace.reason:
            facts["why empty"] = trace.reason
        if self.reference is None:
            facts["scores"] = "none: no reference mask"
        elif not scored:
            facts["scores"] = "hidden"
        else:
            facts["reference"] = f"{np.count_nonzero(self.reference):,} px"
            facts |= {name: self._score(name) for name in SCORES}
        return facts

    def _score(self, name: str) -> str:
        value = self.numbers[name]
        return f"{value:.2f} {self.unit}" if name == "ASSD" else f"{value:.4f}"

    def changes(self, before: View) -> dict[str, str]:
        """Say by how much each number differs from those of a view before; none if it does not."""
        changed = {}
        for name, value in self.numbers.items():
            step = value - before.numbers.get(name, np.nan)
            digits = {"IoU": "+.4f", "Dice": "+.4f", "ASSD": "+.2f"}.get(name, "+,.0f")
            text = format(step, digits)
            if np.isfinite(step) and text.strip("+-0.,"):
                changed[name] = text.replace("-", "−")
        return changed

    def sentence(self, before: View | None, *, scored: bool = True) -> str:
        """Say in a sentence or two what became of the mask since a view before."""
        if before is None:
            return "Nothing has been moved yet."
        old, new = before.state, self.state
        if old.slice_number != new.slice_number:
            numbers = self.stack.slice_numbers
            moved = f"{numbers[old.slice_number]} → {numbers[new.slice_number]}"
            return f"Slice {moved}: another slice has another mask, pixels cannot be compared."
        moves = [
            f"{_NAMES[one.name]} {before._setting(one.name)} → {self._setting(one.name)}"
            for one in fields(PipelineSettings)
            if getattr(old.settings, one.name) != getattr(new.settings, one.name)
        ]
        gained = np.count_nonzero(self.trace.mask > before.trace.mask)
        lost = np.count_nonzero(self.trace.mask < before.trace.mask)
        text = f"{', '.join(moves)}: " if moves else ""
        if not gained and not lost:
            return f"{text}the mask stays the same, pixel for pixel."
        parts = [f"gains {gained:,} px"] * bool(gained) + [f"loses {lost:,} px"] * bool(lost)
        text += f"the mask {' and '.join(parts)}."
        if scored and self.reference is not None:
            text += self._verdict(before)
        return text

    def _verdict(self, before: View) -> str:
        was, now = before.numbers["Dice"], self.numbers["Dice"]
        if f"{was:.4f}" == f"{now:.4f}" or not np.isfinite(was + now):
            return " Dice does not move."
        return f" Dice {'rises' if now > was else 'falls'} from {was:.4f} to {now:.4f}."

    def _setting(self, name: str) -> str:
        value = getattr(self.state.settings, name)
        if name == "threshold":
            return f"{self.trace.threshold}{' (Otsu)' if value == 'otsu' else ''}"
        if isinstance(value, bool):
            return "on" if value else "off"
        return f"{value} px" if name == "kernel_width" else str(value)


def take_view(stack: Stack, state: ExplorerState, trace: SkullMaskTrace) -> View:
    """Measure what is shown.

    Parameters
    ----------
    stack : Stack
    state : ExplorerState
    trace : SkullMaskTrace

    Returns
    -------
    View
        Its numbers are threshold, kernel width, components, brain and mask [px], and, where there
        is a reference, IoU, Dice and ASSD [mm, or px without a spacing].
    """
    numbers = {
        "threshold": float(trace.threshold),
        "kernel width": float(state.settings.kernel_width),
        "components": float(len(trace.components)),
        "brain": float(np.count_nonzero(trace.brain)),
        "mask": float(np.count_nonzero(trace.mask)),
    }
    reference = reference_of(stack, state.slice_number)
    if reference is not None:
        # No metric here looks at the pixels around both masks, so they are left out for speed.
        left, top, width, height = cv2.boundingRect(trace.mask | reference)
        box = np.s_[top : top + height, left : left + width] if width else np.s_[:, :]
        pair = trace.mask[box].view(np.bool_), reference[box].astype(np.bool_)
        values = metrics.iou(*pair), metrics.dice(*pair), metrics.assd(*pair, stack.spacing_mm)
        numbers |= dict(zip(SCORES, values, strict=True))
    return View(stack, state, trace, numbers)


def reference_of(stack: Stack, number: int) -> Mask | None:
    """Read the reference mask of one slice, (H, W) uint8 {0, 1}; None where there is none."""
    return None if stack.reference is None else np.asarray(stack.reference[number])
