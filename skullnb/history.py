"""The development story: recipes v1 to v7, each as a function that can be run.

The article gives each version a few words and a rounded IoU. For v1, v2 and v7 the words are
enough to write the recipe down. For v3-v4, v5 and v6 they are not: several recipes fit, so several
are here, and nothing says which of them was used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import ArrayLike

from skullnb.errors import InvalidSetting
from skullnb.pipeline import (
    Mask,
    PipelineSettings,
    binarise,
    choose_brain,
    component_mask,
    create_skull_mask,
    fill_holes,
    label_components,
    normalise,
    otsu_threshold,
    structuring_element,
    trace_skull_mask,
)
from skullnb.published import JOURNEY

__all__ = [
    "RECIPES",
    "THRESHOLD_ENDINGS",
    "Recipe",
    "component_dilated",
    "component_grown_in_passes",
    "fixed_threshold",
    "flood_from_edges",
    "one_of_each_version",
    "otsu_largest",
    "recipe",
]

THRESHOLD_ENDINGS = {
    "all": "all bright pixels",
    "largest": "the largest component",
    "filled": "the largest component, holes filled",
}


def otsu_largest(image: ArrayLike) -> Mask:
    """v1: Otsu's threshold, then the largest bright component.

    Parameters
    ----------
    image : (H, W) array, real

    Returns
    -------
    (H, W) uint8 {0, 1}
        Holes stay open; filled, they would lift the IoU past the published one.

    Examples
    --------
    >>> image = np.zeros((9, 9))
    >>> image[2:7, 2:7] = 1
    >>> int(otsu_largest(image).sum())
    25
    """
    normalised = normalise(image)
    return _largest(binarise(normalised, otsu_threshold(normalised)))


def flood_from_edges(image: ArrayLike) -> Mask:
    """v2: flood the dark background from the frame, and keep what the flood does not reach.

    Parameters
    ----------
    image : (H, W) array, real

    Returns
    -------
    (H, W) uint8 {0, 1}
        The head with its scalp. The flood starts at the dark pixels of the frame, so bright pixels
        there decide how far it comes.

    Examples
    --------
    >>> image = np.zeros((9, 9))
    >>> image[2:7, 2:7] = 1
    >>> image[4, 4] = 0
    >>> int(flood_from_edges(image).sum())
    25
    """
    normalised = normalise(image)
    return fill_holes(binarise(normalised, otsu_threshold(normalised)))


def fixed_threshold(image: ArrayLike, level: int, ending: str = "all") -> Mask:
    """v3 and v4, a candidate: a threshold chosen by hand, and what is done with the bright pixels.

    Parameters
    ----------
    image : (H, W) array, real
    level : int
        In 0..255, of the normalised slice; bright is strictly above.
    ending : {"all", "largest", "filled"}
        Keep all bright pixels, the largest component, or that with its holes filled.

    Returns
    -------
    (H, W) uint8 {0, 1}

    Raises
    ------
    InvalidSetting
        If the level or the ending is not possible.

    Examples
    --------
    >>> [int(fixed_threshold([[0, 5, 0, 9, 9]], 100, ending).sum()) for ending in THRESHOLD_ENDINGS]
    [3, 2, 2]
    """
    settings = PipelineSettings(threshold=level)
    if ending not in THRESHOLD_ENDINGS:
        raise InvalidSetting(
            f"The ending must be one of {', '.join(THRESHOLD_ENDINGS)}, not {ending!r}."
        )
    bright = binarise(normalise(image), int(settings.threshold))
    if ending == "all":
        return bright
    largest = _largest(bright)
    return fill_holes(largest) if ending == "filled" else largest


def component_dilated(image: ArrayLike, width: int, shape: str = "ellipse") -> Mask:
    """v5 and v6, a candidate: the final pipeline with another kernel.

    Parameters
    ----------
    image : (H, W) array, real
    width : int
        Kernel width in px.
    shape : {"ellipse", "rectangle"}

    Returns
    -------
    (H, W) uint8 {0, 1}

    Examples
    --------
    >>> image = np.zeros((30, 30))
    >>> image[10:20, 10:20] = 1
    >>> int(component_dilated(image, 3, "rectangle").sum())
    144
    """
    settings = PipelineSettings(kernel_width=width, kernel_shape=shape)
    return trace_skull_mask(image, settings).mask


def component_grown_in_passes(
    image: ArrayLike, passes: int, width: int = 3, shape: str = "ellipse"
) -> Mask:
    """v5 and v6, a candidate: the final pipeline with many small dilations in place of one.

    Parameters
    ----------
    image : (H, W) array, real
    passes : int
        How many dilations.
    width : int
        Of the small kernel, in px.
    shape : {"ellipse", "rectangle"}
        An ellipse 3 px wide is a cross, and many passes of it draw a diamond. Passes of a square
        are no recipe of their own: they do what one larger square does.

    Returns
    -------
    (H, W) uint8 {0, 1}

    Raises
    ------
    InvalidSetting
        If there is not at least one pass.

    Examples
    --------
    >>> image = np.zeros((30, 30))
    >>> image[10:20, 10:20] = 1
    >>> int(component_grown_in_passes(image, 2).sum())
    184
    """
    if passes < 1:
        raise InvalidSetting(f"At least one pass is needed, not {passes}.")
    kernel = structuring_element(width, shape)
    brain = trace_skull_mask(image, PipelineSettings(kernel_width=0)).brain
    return fill_holes(np.asarray(cv2.dilate(brain, kernel, iterations=passes), dtype=np.uint8))


@dataclass(frozen=True)
class Recipe:
    """One version of the development story, or one candidate for it.

    Attributes
    ----------
    version : str
        As in `skullnb.published.JOURNEY`.
    name : str
        What it does, in a few words; no two recipes share one.
    make_mask : callable
        From an (H, W) image to an (H, W) uint8 mask.
    """

    version: str
    name: str
    make_mask: Callable[[ArrayLike], Mask]

    @property
    def published_iou(self) -> float:
        """IoU that the article gives for this version, to two decimals."""
        return JOURNEY[self.version]


RECIPES: tuple[Recipe, ...] = (
    Recipe("v1", "Otsu, largest component", otsu_largest),
    Recipe("v2", "Otsu, flood from the edges", flood_from_edges),
    Recipe("v3-v4", "all pixels above 28", partial(fixed_threshold, level=28)),
    Recipe(
        "v3-v4",
        "largest component above 29",
        partial(fixed_threshold, level=29, ending="largest"),
    ),
    Recipe(
        "v3-v4",
        "largest component above 4",
        partial(fixed_threshold, level=4, ending="largest"),
    ),
    Recipe("v5", "ellipse, 18 px", partial(component_dilated, width=18)),
    Recipe("v5", "ellipse, 34 px", partial(component_dilated, width=34)),
    Recipe("v5", "10 passes of a 3 px cross", partial(component_grown_in_passes, passes=10)),
    Recipe("v6", "ellipse, 20 px", partial(component_dilated, width=20)),
    Recipe("v6", "ellipse, 32 px", partial(component_dilated, width=32)),
    Recipe("v6", "square, 18 px", partial(component_dilated, width=18, shape="rectangle")),
    Recipe("v7", "ellipse, 26 px", create_skull_mask),
)


def recipe(name: str) -> Recipe:
    """Look a recipe up by its version, or by its name.

    Parameters
    ----------
    name : str
        A version ("v1", "v3-v4"; the first candidate) or a recipe's own name.

    Returns
    -------
    Recipe

    Raises
    ------
    InvalidSetting
        If there is none.

    Examples
    --------
    >>> recipe("v5").name, recipe("ellipse, 34 px").version
    ('ellipse, 18 px', 'v5')
    """
    for one in RECIPES:
        if name in (one.version, one.name):
            return one
    raise InvalidSetting(f"No recipe called {name!r}; choose one of {', '.join(JOURNEY)}.")


def one_of_each_version() -> list[Recipe]:
    """List the first recipe of every version.

    Returns
    -------
    list of Recipe
        In the order of the story.

    Examples
    --------
    >>> [one.version for one in one_of_each_version()]
    ['v1', 'v2', 'v3-v4', 'v5', 'v6', 'v7']
    """
    return [recipe(version) for version in JOURNEY]


def _largest(binary: Mask) -> Mask:
    labels, components = label_components(binary)
    return component_mask(labels, choose_brain(components, drop_edge_touching=False))
