"""What is drawn of the open heads: outlines of masks, and the bright components of four slices.

A picture of a slice is a derived scan, so no grey values are kept. The components, what the
threshold left, are of the head from MNE's sample data, whose face was removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.external.measuring import group_of, settings_for, signs_of
from skullnb.heads import HEADS
from skullnb.pipeline import Mask, trace_skull_mask
from skullnb.stack import Stack

PICTURED = "mne-ecog"
FAILURES = {
    "merged with scalp": 124,
    "bright fat": 112,
    "hemispheres apart": 158,
    "scalp ring": 164,
}
"""Named failures, and the axial slice of the pictured head that shows each."""

# Slices of the pictured head that have no reference mask: at the eyes and near the vertex.
UNSCORED = {"at the eyes": (104, 127), "near the vertex": (152, 175)}

HEIGHT_PX = 128
BACKGROUND, OTHER, CHOSEN = 0, 1, 2


def outlines(stacks: Mapping[str, Stack], reaches: Mapping[str, float]) -> dict[str, Any]:
    """Draw the middle slice of every stack as outlines in mm.

    Returns
    -------
    dict
        By stack: `slice`, and `reference`, `px` and `mm` (the masks with the article's kernel and
        with the kernel in mm), each a list of closed lines of [x, y] points.
    """
    found = {}
    for name, stack in stacks.items():
        assert stack.reference is not None
        assert stack.spacing_mm is not None
        middle = len(stack) // 2
        in_mm = settings_for(stack, reaches[group_of(stack)])
        masks = {
            "reference": stack.reference[middle],
            "px": trace_skull_mask(stack.images[middle]).mask,
            "mm": trace_skull_mask(stack.images[middle], in_mm).mask,
        }
        found[name] = {"slice": stack.slice_numbers[middle]} | {
            kind: _lines(mask, stack.spacing_mm) for kind, mask in masks.items()
        }
    return found


def unscored(volume: Stack) -> dict[str, Any]:
    """Look for signs where the pictured head has no reference mask.

    Parameters
    ----------
    volume : Stack
        All axial slices of the pictured head.

    Returns
    -------
    dict
        By region: `slices` and `signs`, one a slice.
    """
    return {
        region: {
            "slices": list(range(*limits)),
            "signs": [signs_of(trace_skull_mask(volume.images[n])) for n in range(*limits)],
        }
        for region, limits in UNSCORED.items()
    }


def pictures(volume: Stack) -> dict[str, NDArray[np.uint8]]:
    """Reduce the components of the slices that show a failure each.

    Returns
    -------
    dict
        For failure number i: `parts_i` (`BACKGROUND`, `OTHER` bright component, `CHOSEN`) and
        `mask_i`, each (h, w) uint8.
    """
    found = {}
    for i, number in enumerate(FAILURES.values()):
        trace = trace_skull_mask(volume.images[number])
        box = _box(trace.mask | trace.binary)
        parts = trace.binary * np.uint8(OTHER) + trace.brain * np.uint8(CHOSEN - OTHER)
        found[f"parts_{i}"] = _reduced(parts[box])
        found[f"mask_{i}"] = _reduced(trace.mask[box])
    return found


def credit() -> str:
    """Say whose head is pictured, and under which licence.

    Examples
    --------
    >>> credit().rpartition(" Licence: ")[2]
    'BSD-3-Clause.'
    """
    head = HEADS[PICTURED]
    return f"{head.citation} Licence: {head.licence}."


def _lines(mask: Mask, spacing_mm: tuple[float, float]) -> list[list[Sequence[float]]]:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    scale = np.array(spacing_mm[::-1])
    return [
        (cv2.approxPolyDP(contour, 0.7, True)[:, 0] * scale).round(1).tolist()
        for contour in contours
    ]


def _box(mask: Mask) -> tuple[slice, slice]:
    left, top, width, height = cv2.boundingRect(mask)
    return slice(top, top + height), slice(left, left + width)


def _reduced(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    height, width = pixels.shape
    size = (round(width * HEIGHT_PX / height), HEIGHT_PX)
    small = cv2.resize(pixels.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(small, dtype=np.uint8)
