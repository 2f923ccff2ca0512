"""Other rules that might help on real heads, to be tried beside the article's.

None of them is a setting of the pipeline; the chapter on real heads says why.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.pipeline import (
    Mask,
    binarise,
    component_mask,
    label_components,
    normalise,
    otsu_threshold,
    structuring_element,
)
from skullnb.pipeline.signs import MERGED, PART, SCALP_RING, failure_signs, other_parts
from skullnb.reach import kernel_width_for

# Smaller components, against the largest inner one, are not tried.
WORTH_TRYING = 0.1


class Alternative(NamedTuple):
    """Rules in place of the article's.

    Parameters
    ----------
    clip : float
        Percent of the pixels that are clipped at either end before the slice is normalised.
    opening_mm : float
        Reach of an opening of the bright pixels, against bridges between brain and scalp.
    innermost : bool
        Pass over components that look outermost, and keep both parts of a brain in two.
    """

    clip: float = 0.0
    opening_mm: float = 0.0
    innermost: bool = False


ARTICLE = Alternative()
ALTERNATIVES = tuple(
    Alternative(*choice) for choice in product((0.0, 1.0), (0.0, 1.0, 2.0), (False, True))
)


def brain_by(alternative: Alternative, image: NDArray[Any], spacing_mm: float) -> Mask:
    """Find the brain by other rules; what is the article's where nothing is switched on.

    Parameters
    ----------
    alternative : Alternative
    image : (H, W) array
    spacing_mm : float

    Returns
    -------
    (H, W) uint8 {0, 1}

    Examples
    --------
    >>> from skullnb.phantom import variant
    >>> head = variant("hemispheres-apart")
    >>> one, both = (
    ...     brain_by(Alternative(innermost=innermost), head.images[0], 0.4).sum()
    ...     for innermost in (False, True)
    ... )
    >>> print(round(both / one, 1))
    2.0
    """
    if alternative.clip:
        image = np.clip(image, *np.percentile(image, [alternative.clip, 100 - alternative.clip]))
    normalised = normalise(image)
    binary = binarise(normalised, otsu_threshold(normalised))
    if alternative.opening_mm:
        kernel = structuring_element(kernel_width_for(alternative.opening_mm, spacing_mm))
        binary = np.asarray(cv2.morphologyEx(binary, cv2.MORPH_OPEN, kernel), dtype=np.uint8)
    labels, components = label_components(binary)
    inner = components[~components["touches_edge"]]
    # Stable, so that the first of equals comes first, as in the article's pipeline.
    inner = inner[np.argsort(-inner["area"], kind="stable")]
    if not len(inner):
        return np.zeros_like(binary)
    if alternative.innermost:
        return _innermost(binary, labels, components, inner)
    return component_mask(labels, int(inner["label"][0]))


def _innermost(
    binary: Mask, labels: NDArray[np.int32], components: NDArray[Any], inner: NDArray[Any]
) -> Mask:
    """Take the largest component that shows no sign of being outermost, and its other half."""
    for number, label in enumerate(inner["label"].tolist()):
        if inner["area"][number] < WORTH_TRYING * inner["area"][0]:
            break
        brain = component_mask(labels, label)
        signs = failure_signs(binary, components, label, brain)
        if not {SCALP_RING, MERGED} & set(signs):
            return _with_other_part(labels, inner, number, brain) if PART in signs else brain
    return component_mask(labels, int(inner["label"][0]))


def _with_other_part(
    labels: NDArray[np.int32], inner: NDArray[Any], number: int, brain: Mask
) -> Mask:
    """Add the components of like size that lie beside the chosen one."""
    own = inner[number]
    return brain | np.isin(labels, inner["label"][other_parts(inner, own)]).astype(np.uint8)
