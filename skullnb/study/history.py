"""The development story: recipes v1 to v7, each as a function that can be run.

The article gives each version a few words and a rounded IoU. For v1, v2 and v7 the words are enough
to write the recipe down. For v3-v4, v5 and v6 they are not: several recipes fit, so several are
here, and nothing says which of them was used. A recipe takes an (H, W) image of real numbers and
gives an (H, W) uint8 {0, 1} mask.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skullnb import metrics, pipeline
from skullnb.pipeline import Mask, PipelineSettings
from skullnb.published import VERSIONS
from skullnb.stack import Stack


def otsu_largest(image: ArrayLike) -> Mask:
    """v1: Otsu's threshold, then the largest component; filled, it would pass the published IoU."""
    return fixed_threshold(image, _otsu(image), "largest")


def flood_from_edges(image: ArrayLike) -> Mask:
    """v2: flood the dark background from the frame; what is not reached is the head with scalp."""
    return pipeline.fill_holes(fixed_threshold(image, _otsu(image)))


def _otsu(image: ArrayLike) -> int:
    return pipeline.otsu_threshold(pipeline.normalise(image))


def fixed_threshold(image: ArrayLike, level: int, ending: str = "all") -> Mask:
    """v3 and v4, a candidate: "all" above a level (0..255), the "largest" part, or it "filled"."""
    bright = pipeline.binarise(pipeline.normalise(image), level)
    if ending == "all":
        return bright
    labels, components = pipeline.label_components(bright)
    chosen = pipeline.choose_brain(components, drop_edge_touching=False)
    largest = pipeline.component_mask(labels, chosen)
    return pipeline.fill_holes(largest) if ending == "filled" else largest


def component_dilated(image: ArrayLike, width: int, shape: str = "ellipse") -> Mask:
    """v5 and v6, a candidate: the final pipeline with a kernel of another width (px) or shape."""
    return next(pipeline.masks_by_width(image, [width], PipelineSettings(kernel_shape=shape)))


def component_grown_in_passes(
    image: ArrayLike, passes: int, width: int = 3, shape: str = "ellipse"
) -> Mask:
    """v5 and v6, a candidate: the final pipeline with many small dilations in place of one.

    An ellipse 3 px wide is a cross, and many passes of it draw a diamond.
    """
    kernel = pipeline.structuring_element(width, shape)
    brain = pipeline.trace_skull_mask(image, PipelineSettings(kernel_width=0)).brain
    grown = cv2.dilate(brain, kernel, iterations=passes)
    return pipeline.fill_holes(np.asarray(grown, dtype=np.uint8))


class Recipe(NamedTuple):
    """A version of `skullnb.published.VERSIONS` or a candidate for it, in a few words, to run."""

    version: str
    name: str
    make_mask: Callable[[ArrayLike], Mask]


_largest = partial(fixed_threshold, ending="largest")
RECIPES = (
    Recipe("v1", "Otsu, largest component", otsu_largest),
    Recipe("v2", "Otsu, flood from the edges", flood_from_edges),
    Recipe("v3-v4", "all pixels above 28", partial(fixed_threshold, level=28)),
    Recipe("v3-v4", "largest component above 29", partial(_largest, level=29)),
    Recipe("v3-v4", "largest component above 4", partial(_largest, level=4)),
    Recipe("v5", "ellipse, 18 px", partial(component_dilated, width=18)),
    Recipe("v5", "ellipse, 34 px", partial(component_dilated, width=34)),
    Recipe("v5", "10 passes of a 3 px cross", partial(component_grown_in_passes, passes=10)),
    Recipe("v6", "ellipse, 20 px", partial(component_dilated, width=20)),
    Recipe("v6", "ellipse, 32 px", partial(component_dilated, width=32)),
    Recipe("v6", "square, 18 px", partial(component_dilated, width=18, shape="rectangle")),
    Recipe("v7", "ellipse, 26 px", pipeline.create_skull_mask),
)


def measure(stack: Stack) -> pd.DataFrame:
    """Score recipes on a stack with a reference mask: version, recipe, published and mean iou."""
    rows = [(r.version, r.name, VERSIONS[r.version], _iou(stack, r.make_mask)) for r in RECIPES]
    return pd.DataFrame(rows, columns=["version", "recipe", "published", "iou"])


def scan(
    stack: Stack, make_mask: Callable[..., Mask], values: Iterable[int], **options: Any
) -> pd.DataFrame:
    """Score one family of recipes, with options, over its free number: value and mean iou."""
    rows = [(value, _iou(stack, make_mask, value, **options)) for value in values]
    return pd.DataFrame(rows, columns=["value", "iou"])


def _iou(stack: Stack, make_mask: Callable[..., Mask], *number: int, **options: Any) -> float:
    """Mean IoU over the slices that have one."""
    pairs = [(stack.images[i], mask) for i, mask in stack.drawn.items()]
    found = [metrics.iou(make_mask(image, *number, **options), mask) for image, mask in pairs]
    return float(pd.Series(found).mean())
