"""Slices cropped so that the scalp touches the frame, as in a tight field of view."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.evidence import switch_off
from skullnb.evidence.verdict import NOTABLE_IOU
from skullnb.metrics import iou
from skullnb.pipeline import SkullMaskTrace, trace_skull_mask

SIDES = ("top", "bottom", "left", "right")
# Specks of noise in the air are no part of a head.
LEAST_SHARE = 0.01

RULE = "drop edge-touching"
NOT_FIRED = "did not fire"
NOTHING = "changes nothing"
HELPS = "helps"
HARDLY = "hardly matters"
HURTS = "hurts"
LOSES = "loses the brain"
OUTCOMES = (NOT_FIRED, NOTHING, HARDLY, HELPS, HURTS, LOSES)


class EdgeOutcome(NamedTuple):
    """What the edge rule did on one slice."""

    n_edge_touching: int
    iou: float
    iou_off: float
    outcome: str


def cut_into_head(
    image: NDArray[Any], depth_mm: float, spacing_mm: tuple[float, float], sides: tuple[str, ...]
) -> tuple[slice, slice]:
    """Find the frame that cuts a head by so many mm on some sides.

    Parameters
    ----------
    image : (H, W) array
    depth_mm : float
        How much of the bright tissue's extent is cut off on each side.
    spacing_mm : (row, column)
    sides : tuple of {"top", "bottom", "left", "right"}

    Returns
    -------
    rows, columns : slice

    Raises
    ------
    InvalidSetting
        If nothing of the head would be left.

    Examples
    --------
    >>> image = np.zeros((20, 20))
    >>> image[5:15, 4:16] = 1
    >>> cut_into_head(image, 2.0, (1.0, 1.0), ("left", "right"))
    (slice(0, 20, None), slice(6, 14, None))
    """
    found = trace_skull_mask(image).components
    found = found[found["area"] >= LEAST_SHARE * found["area"].sum()]
    frame = []
    for axis, (first, size, low, high) in enumerate(
        (("top", "height", *SIDES[:2]), ("left", "width", *SIDES[2:]))
    ):
        depth = round(depth_mm / spacing_mm[axis])
        start = int(found[first].min(initial=image.shape[axis])) + depth if low in sides else 0
        end = int((found[first] + found[size]).max(initial=0)) - depth
        stop = end if high in sides else image.shape[axis]
        if stop <= start:
            raise InvalidSetting(f"Cutting {depth_mm:g} mm off the head leaves nothing; cut less.")
        frame.append(slice(start, stop))
    return frame[0], frame[1]


def edge_outcome(trace: SkullMaskTrace, reference: NDArray[np.uint8]) -> EdgeOutcome:
    """Say what dropping the components that touch the frame did to one slice.

    Parameters
    ----------
    trace : SkullMaskTrace
        Of the slice as it is cropped.
    reference : (H, W) uint8 {0, 1}
        Cropped alike.

    Returns
    -------
    EdgeOutcome
        `iou_off` is without the rule. The outcome is one of `OUTCOMES`; the rule *loses the brain*
        when the IoU is less than half of what it is without, and *hardly matters* when it moves
        the IoU by no more than `NOTABLE_IOU`.

    Examples
    --------
    >>> from skullnb.phantom import variant
    >>> head = variant("brain-touches-frame")
    >>> edge_outcome(trace_skull_mask(head.images[0]), head.reference[0]).outcome
    'loses the brain'
    """
    without = switch_off(trace, RULE)
    on, off = iou(trace.mask, reference), iou(without, reference)
    if not trace.n_edge_touching:
        outcome = NOT_FIRED
    elif np.array_equal(without, trace.mask):
        outcome = NOTHING
    elif abs(on - off) <= NOTABLE_IOU:
        outcome = HARDLY
    elif on > off:
        outcome = HELPS
    else:
        outcome = LOSES if on < off / 2 else HURTS
    return EdgeOutcome(trace.n_edge_touching, on, off, outcome)
