"""The development story on a stack: what each recipe scores, beside what was published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.history import RECIPES, Recipe
from skullnb.metrics import iou
from skullnb.pipeline import Mask
from skullnb.stack import Stack

__all__ = ["AGREES", "Measured", "measure", "scan"]

# The published IoUs have two decimals, and the built-in stack only resembles the article's
# slices: candidates this near are all as good as one another.
AGREES = 0.02


@dataclass(frozen=True)
class Measured:
    """A recipe and what it scored.

    Attributes
    ----------
    recipe : Recipe
    slice_iou : tuple of float
        One a slice; empty without a reference mask.
    iou : float or None
        Their mean.
    """

    recipe: Recipe
    slice_iou: tuple[float, ...]
    iou: float | None

    @property
    def agrees(self) -> bool | None:
        """Whether it lies within `AGREES` of the published IoU; None without a reference."""
        if self.iou is None:
            return None
        return abs(self.iou - self.recipe.published_iou) <= AGREES


def measure(stack: Stack, recipes: Sequence[Recipe] = RECIPES) -> list[Measured]:
    """Score recipes on a stack.

    Parameters
    ----------
    stack : Stack
    recipes : sequence of Recipe

    Returns
    -------
    list of Measured
        In the order of the recipes; without a reference mask the scores are None.

    Examples
    --------
    >>> from skullnb.history import recipe
    >>> image = np.zeros((1, 30, 30))
    >>> image[0, 10:20, 10:20] = 1
    >>> stack = Stack(image, (image > 0).astype(np.uint8))
    >>> measure(stack, [recipe("v1")])[0].iou
    1.0
    """
    return [_measured(stack, one) for one in recipes]


def scan(
    stack: Stack, make_mask: Callable[[ArrayLike, int], Mask], values: Iterable[int]
) -> NDArray[Any]:
    """Score one family of recipes over its free number, to see where it meets a published IoU.

    Parameters
    ----------
    stack : Stack
    make_mask : callable
        From an image and the number to a mask.
    values : iterable of int

    Returns
    -------
    (n,) structured array
        One row a value: value, iou (mean over slices; NaN without a reference mask).

    Examples
    --------
    >>> from skullnb.history import component_dilated
    >>> image = np.zeros((1, 30, 30))
    >>> image[0, 10:20, 10:20] = 1
    >>> stack = Stack(image, (image > 0).astype(np.uint8))
    >>> [float(iou) for iou in scan(stack, component_dilated, [1, 3])["iou"].round(2)]
    [1.0, 0.71]
    """
    rows = []
    for value in values:
        found = _measured(stack, Recipe("", "", partial(_apply, make_mask, value))).iou
        rows.append((value, np.nan if found is None else found))
    return np.array(rows, dtype=[("value", np.int64), ("iou", np.float64)])


def _measured(stack: Stack, one: Recipe) -> Measured:
    if stack.reference is None:
        return Measured(one, (), None)
    scores = tuple(
        iou(one.make_mask(image), reference)
        for image, reference in zip(stack.images, stack.reference, strict=True)
    )
    known = [score for score in scores if not np.isnan(score)]
    return Measured(one, scores, float(np.mean(known)) if known else None)


def _apply(make_mask: Callable[[ArrayLike, int], Mask], value: int, image: ArrayLike) -> Mask:
    return make_mask(image, value)
