"""Signs on one slice, seen without a reference mask, that not the brain was chosen."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.pipeline.steps import Mask

SCALP_RING = "scalp ring"
MERGED = "merged"
PART = "one part"
DROPPED = "larger one dropped"
SIGNS = (SCALP_RING, MERGED, PART, DROPPED)

# Of a speck in the frame nothing can be told by its shape; its size is warned about elsewhere.
SMALLEST_HEAD = 0.01
# Around a brain lies the scalp; on ordinary slices it holds a tenth of the bright pixels or more.
LEAST_OUTSIDE = 0.05
# A brain fills more of its convex hull than this, also where it is deeply furrowed; a ring less.
RING_FILL = 0.6
# One half of a brain is about as large as the other.
LIKE_SIZE = 0.5
# A scalp is seldom so much larger than the brain that it surrounds.
MUCH_LARGER = 2.0


def failure_signs(
    binary: Mask, components: NDArray[Any], chosen: int, brain: Mask
) -> dict[str, str]:
    """Look for signs that the chosen component is not the brain.

    Parameters
    ----------
    binary : (H, W) uint8 {0, 1}
        Bright pixels.
    components : (n,) structured array
        From `skullnb.pipeline.label_components`.
    chosen : int
        Label of the chosen component; 0 = none, of which there is nothing to say.
    brain : (H, W) uint8 {0, 1}
        Its pixels.

    Returns
    -------
    dict of str to str
        A sentence by name of the sign, in the order of `SIGNS`:

        - *scalp ring*, *merged*: hardly a bright pixel lies outside the convex hull of the
          component, so it is, or holds, the outermost tissue. It is called a ring when it leaves
          much of its hull empty.
        - *one part*: beside it, neither around nor inside, lies a component of like size.
        - *larger one dropped*: a much larger component touches the frame.

        Only the last is told of a speck.

    Examples
    --------
    >>> from skullnb.pipeline import choose_brain, component_mask, label_components
    >>> binary = np.zeros((60, 60), dtype=np.uint8)
    >>> binary[20:40, 10:28] = binary[20:40, 32:50] = 1
    >>> labels, components = label_components(binary)
    >>> chosen = choose_brain(components)
    >>> failure_signs(binary, components, chosen, component_mask(labels, chosen))
    {'one part': 'a component 100% as large lies beside the chosen one, ...'}
    """
    if not chosen:
        return {}
    own = components[components["label"] == chosen][0]
    found = {}
    hull = _hull(own, brain)
    hull_px = np.count_nonzero(hull)
    if hull_px >= SMALLEST_HEAD * hull.size:
        outside = 1 - np.count_nonzero(binary & hull) / np.count_nonzero(binary)
        fill = float(own["area"] / hull_px)
        if outside < LEAST_OUTSIDE and fill < RING_FILL:
            found[SCALP_RING] = (
                f"the chosen component is the outermost and fills only {fill:.0%} of its hull, "
                "so it may be the scalp"
            )
        elif outside < LEAST_OUTSIDE:
            found[MERGED] = (
                f"only {outside:.1%} of the bright pixels lie around the chosen component, so "
                "brain and scalp may be joined"
            )
        largest = components["area"][other_parts(components, own)].max(initial=0)
        if largest:
            found[PART] = (
                f"a component {largest / own['area']:.0%} as large lies beside the chosen one, so "
                "half a brain may be left out"
            )
    cut = components["area"][components["touches_edge"]].max(initial=0)
    if cut > MUCH_LARGER * own["area"]:
        found[DROPPED] = (
            f"a component {cut / own['area']:.1f} times as large as the chosen one touches the "
            "frame and was dropped, so the brain may be lost"
        )
    return found


def other_parts(components: NDArray[Any], own: Any) -> NDArray[np.bool_]:
    """Tell which components may be other parts of the same brain.

    Parameters
    ----------
    components : (n,) structured array
    own : row of `components`

    Returns
    -------
    (n,) bool
        Those at least half as large whose bounding boxes neither hold its box nor lie in it, and
        which do not touch the frame.

    Examples
    --------
    >>> from skullnb.pipeline import label_components
    >>> binary = np.zeros((9, 9), dtype=np.uint8)
    >>> binary[2:7, 1:4] = binary[2:7, 5:8] = 1
    >>> components = label_components(binary)[1]
    >>> other_parts(components, components[0])
    array([False,  True])
    """
    apart = ~_contains(components, own) & ~_contains(own, components)
    like = components["area"] >= LIKE_SIZE * own["area"]
    return np.asarray(apart & like & ~components["touches_edge"])


def _hull(own: Any, brain: Mask) -> Mask:
    """Fill the convex hull of a component."""
    top, left = int(own["top"]), int(own["left"])
    box = brain[top : top + int(own["height"]), left : left + int(own["width"])]
    hull = np.zeros_like(brain)
    points = np.add(cv2.convexHull(cv2.findNonZero(box)), (left, top))
    return np.asarray(cv2.fillConvexPoly(hull, points.astype(np.int32), 1), dtype=np.uint8)


def _contains(outer: Any, inner: Any) -> Any:
    """Whether the bounding box of one holds that of the other."""
    return (
        (outer["top"] <= inner["top"])
        & (outer["left"] <= inner["left"])
        & (outer["top"] + outer["height"] >= inner["top"] + inner["height"])
        & (outer["left"] + outer["width"] >= inner["left"] + inner["width"])
    )
