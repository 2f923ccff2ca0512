"""The development story on a stack: what each recipe scores, beside what was published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.history import RECIPES, Recipe
from skullnb.metrics import iou
from skullnb.pipeline import Mask
from skullnb.published import JOURNEY
from skullnb.stack import Stack

__all__ = [
    "AGREES",
    "Measured",
    "best_of",
    "crossings",
    "in_widths",
    "largest_gain",
    "measure",
    "meetings",
    "recorded",
    "scan",
    "targets",
]

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
    stack: Stack, make_mask: Callable[..., Mask], values: Iterable[int], **options: str
) -> NDArray[Any]:
    """Score one family of recipes over its free number, to see where it meets a published IoU.

    Parameters
    ----------
    stack : Stack
    make_mask : callable
        From an image, the number and the options to a mask.
    values : iterable of int
    **options
        What else the recipe needs, such as its `ending` or `shape`.

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
        found = _measured(stack, Recipe("", "", partial(_apply, make_mask, value, options))).iou
        rows.append((value, np.nan if found is None else found))
    return np.array(rows, dtype=[("value", np.int64), ("iou", np.float64)])


def in_widths(rows: NDArray[Any], width: int = 3) -> NDArray[Any]:
    """Turn passes of a small kernel into how wide they make a single pixel.

    Parameters
    ----------
    rows : (n,) structured array
        From `scan`, over numbers of passes.
    width : int
        Of the small kernel, odd, in px.

    Returns
    -------
    (n,) structured array
        With that width in px as value.

    Examples
    --------
    >>> rows = np.array([(7, 0.96)], dtype=[("value", int), ("iou", float)])
    >>> in_widths(rows)["value"]
    array([15])
    """
    wide = rows.copy()
    wide["value"] = rows["value"] * (width - 1) + 1
    return wide


def meetings(rows: NDArray[Any], target: float) -> list[float]:
    """Find where a scan meets an IoU.

    Parameters
    ----------
    rows : (n,) structured array
        From `scan`.
    target : float

    Returns
    -------
    list of float
        Values of the free number, between two of the scan by straight lines.

    Examples
    --------
    >>> meetings(np.array([(10, 0.9), (20, 0.8)], dtype=[("value", int), ("iou", float)]), 0.85)
    [15.0]
    """
    value, off = rows["value"].astype(np.float64), rows["iou"] - target
    here = np.flatnonzero((off[:-1] < 0) != (off[1:] < 0))
    part = off[here] / (off[here] - off[here + 1])
    places = value[here] + part * (value[here + 1] - value[here])
    return [float(place) for place in places.round(6)]


def targets(*versions: str) -> dict[str, float]:
    """Give the published IoUs of some versions.

    Parameters
    ----------
    *versions : str
        As in `skullnb.published.JOURNEY`.

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> targets("v5")
    {'v5': 0.96}
    """
    return {version: JOURNEY[version] for version in versions}


def crossings(
    scans: Mapping[str, NDArray[Any]], published: Mapping[str, float]
) -> dict[str, float | int | None]:
    """Count how often families of recipes meet published IoUs, under names for a results file.

    Parameters
    ----------
    scans : mapping of str to (n,) structured array
        Family to its `scan`.
    published : mapping of str to float
        From `targets`.

    Returns
    -------
    dict
        crossings_v5 and so on, None without a reference mask, and published_v5 and so on.

    Examples
    --------
    >>> rows = np.array([(10, 0.9), (20, 0.8)], dtype=[("value", int), ("iou", float)])
    >>> crossings({"one": rows, "other": rows}, {"v3-v4": 0.85})
    {'crossings_v3_v4': 2, 'published_v3_v4': 0.85}
    """
    known = not any(np.all(np.isnan(rows["iou"])) for rows in scans.values())
    values: dict[str, float | int | None] = {}
    for version, value in published.items():
        count = sum(len(meetings(rows, value)) for rows in scans.values())
        name = version.replace("-", "_")
        values[f"crossings_{name}"] = count if known else None
        values[f"published_{name}"] = value
    return values


def best_of(scans: Mapping[str, NDArray[Any]]) -> tuple[str | None, int | None, float | None]:
    """Find the best recipe of several families.

    Parameters
    ----------
    scans : mapping of str to (n,) structured array
        Family to its `scan`.

    Returns
    -------
    family, value, iou
        All None without a reference mask.

    Examples
    --------
    >>> rows = np.array([(10, 0.5), (20, 0.75)], dtype=[("value", int), ("iou", float)])
    >>> best_of({"ellipse": rows})
    ('ellipse', 20, 0.75)
    """
    known = {name: rows for name, rows in scans.items() if not np.all(np.isnan(rows["iou"]))}
    if not known:
        return None, None, None
    name = max(known, key=lambda one: float(np.nanmax(known[one]["iou"])))
    best = known[name][np.nanargmax(known[name]["iou"])]
    return name, int(best["value"]), float(best["iou"])


def largest_gain(measured: Sequence[Measured]) -> tuple[str, float]:
    """Find the version that improved most on the one before it.

    Parameters
    ----------
    measured : sequence of Measured
        With scores; the first recipe of each version counts.

    Returns
    -------
    version : str
    gain : float
        In IoU; 0 when there is only one version.

    Examples
    --------
    >>> from skullnb.history import recipe
    >>> largest_gain([Measured(recipe(name), (value,), value)
    ...               for name, value in [("v1", 0.5), ("v2", 0.75), ("v7", 0.875)]])
    ('v2', 0.25)
    """
    scores = _first_scores(measured)
    versions, values = list(scores), list(scores.values())
    if len(values) < 2:
        return versions[0], 0.0
    gains = np.diff(values)
    return versions[int(np.argmax(gains)) + 1], float(gains.max())


def recorded(measured: Sequence[Measured]) -> dict[str, Any]:
    """Bring the scores under the names that a chapter records.

    Parameters
    ----------
    measured : sequence of Measured
        Of all versions.

    Returns
    -------
    dict
        journey_recipe, journey_iou (lists), n_recipes, n_agreeing, agrees_within,
        largest_gain_version, largest_gain, gain_after_v5; scores are None without a reference.

    Examples
    --------
    >>> from skullnb.history import RECIPES
    >>> recorded([Measured(one, (0.5,), 0.5) for one in RECIPES])["n_agreeing"]
    0
    """
    scored = all(one.iou is not None for one in measured)
    first = _first_scores(measured) if scored else {}
    version, gain = largest_gain(measured) if scored else (None, None)
    return {
        "journey_recipe": [f"{one.recipe.version}: {one.recipe.name}" for one in measured],
        "journey_iou": [one.iou for one in measured],
        "n_recipes": len(measured),
        "n_agreeing": sum(bool(one.agrees) for one in measured) if scored else None,
        "agrees_within": AGREES,
        "largest_gain_version": version,
        "largest_gain": gain,
        "gain_after_v5": first["v7"] - first["v5"] if scored else None,
    }


def _first_scores(measured: Sequence[Measured]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for one in measured:
        scores.setdefault(one.recipe.version, float("nan") if one.iou is None else one.iou)
    return scores


def _measured(stack: Stack, one: Recipe) -> Measured:
    if stack.reference is None:
        return Measured(one, (), None)
    scores = tuple(
        iou(one.make_mask(image), reference)
        for image, reference in zip(stack.images, stack.reference, strict=True)
    )
    known = [score for score in scores if not np.isnan(score)]
    return Measured(one, scores, float(np.mean(known)) if known else None)


def _apply(
    make_mask: Callable[..., Mask], value: int, options: Mapping[str, str], image: ArrayLike
) -> Mask:
    return make_mask(image, value, **options)
