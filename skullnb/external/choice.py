"""What the chosen component was: by the reference mask where there is one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from skullnb.pipeline import SkullMaskTrace

BRAIN = "brain"
RING = "scalp ring"
MERGED = "merged"
PART = "one part"
LOST = "lost"
CHOICES = (BRAIN, RING, MERGED, PART, LOST)

DEFINITIONS = {
    BRAIN: "none of the others",
    RING: "more than half of the component lies outside the reference mask",
    MERGED: "more than a twentieth of it lies outside",
    PART: "it holds less than 70% of the bright pixels inside the reference mask",
    LOST: "it holds less than 10% of them, or there is no component",
}
"""When a choice is called what; the first of ring, merged, lost, part that applies."""


def what_was_chosen(trace: SkullMaskTrace, reference: ArrayLike) -> str:
    """Say what the pipeline took for the brain.

    Parameters
    ----------
    trace : SkullMaskTrace
    reference : (H, W) array of {0, 1}

    Returns
    -------
    str
        One of `CHOICES`, by the rules in `DEFINITIONS`.

    Examples
    --------
    >>> from skullnb.phantom import variant
    >>> from skullnb.pipeline import trace_skull_mask
    >>> head = variant("thick-soft-tissue")
    >>> what_was_chosen(trace_skull_mask(head.images[0]), head.reference[0])
    'scalp ring'
    """
    inside = np.asarray(reference).astype(bool)
    brain, bright = trace.brain.astype(bool), trace.binary.astype(bool)
    if not brain.any():
        return LOST
    outside = np.count_nonzero(brain & ~inside) / np.count_nonzero(brain)
    if outside > 0.5:
        return RING
    if outside > 0.05:
        return MERGED
    # Whatever of the component lies inside is bright, so there is something to divide by.
    held = float(np.count_nonzero(brain & inside) / np.count_nonzero(bright & inside))
    if held < 0.1:
        return LOST
    return PART if held < 0.7 else BRAIN
