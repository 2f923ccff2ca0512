"""The development story: recipes v1 to v7, each as a function that can be run.

The article gives each version a few words and a rounded IoU. For v1, v2 and v7 the words are enough
to write the recipe down. For v3-v4, v5 and v6 they are not: several recipes fit, so several are
here, and nothing says which of them was used. A recipe takes an (H, W) image of real numbers and
gives an (H, W) uint8 {0, 1} mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from skullnb import metrics, pipeline
from skullnb.pipeline import Mask, PipelineSettings
from skullnb.published import VERSIONS
from skullnb.stack import Stack

if TYPE_CHECKING:
    import pandas as pd


def otsu_largest(image: ArrayLike) -> Mask:
    """v1: Otsu's threshold, then the largest bright component.

    Its holes stay open; filled, they would lift the IoU past the published one.
    """
    levels = pipeline.normalise(image)
    return _largest(pipeline.binarise(levels, pipeline.otsu_threshold(levels)))


def flood_from_edges(image: ArrayLike) -> Mask:
    """v2: flood the dark background from the frame, and keep what the flood does not reach.

    That is the head with its scalp. Bright pixels on the frame decide how far the flood comes.
    """
    levels = pipeline.normalise(image)
    return pipeline.fill_holes(pipeline.binarise(levels, pipeline.otsu_threshold(levels)))


def fixed_threshold(image: ArrayLike, level: int, ending: str = "all") -> Mask:
    """v3 and v4, a candidate: "all" above a level (0..255), the "largest" part, or it "filled"."""
    bright = pipeline.binarise(pipeline.normalise(image), level)
    if ending == "all":
        return bright
    return _largest(bright) if ending == "largest" else pipeline.fill_holes(_largest(bright))


def component_dilated(image: ArrayLike, width: int, shape: str = "ellipse") -> Mask:
    """v5 and v6, a candidate: the final pipeline with a kernel of another width (px) or shape."""
    return next(pipeline.masks_by_width(image, [width], PipelineSettings(kernel_shape=shape)))


def component_grown_in_passes(
    image: ArrayLike, passes: int, width: int = 3, shape: str = "ellipse"
) -> Mask:
    """v5 and v6, a candidate: the final pipeline with many small dilations in place of one.

    An ellipse 3 px wide is a cross, and many passes of it draw a diamond. Passes of a square are no
    recipe of their own: they do what one larger square does.
    """
    kernel = pipeline.structuring_element(width, shape)
    brain = pipeline.trace_skull_mask(image, PipelineSettings(kernel_width=0)).brain
    grown = cv2.dilate(brain, kernel, iterations=passes)
    return pipeline.fill_holes(np.asarray(grown, dtype=np.uint8))


def _largest(binary: Mask) -> Mask:
    labels, components = pipeline.label_components(binary)
    chosen = pipeline.choose_brain(components, drop_edge_touching=False)
    return pipeline.component_mask(labels, chosen)


class Recipe(NamedTuple):
    """A version of `skullnb.published.VERSIONS` or a candidate for it, in a few words, to run."""

    version: str
    name: str
    make_mask: Callable[[ArrayLike], Mask]


RECIPES = (
    Recipe("v1", "Otsu, largest component", otsu_largest),
    Recipe("v2", "Otsu, flood from the edges", flood_from_edges),
    Recipe("v3-v4", "all pixels above 28", partial(fixed_threshold, level=28)),
    Recipe(
        "v3-v4", "largest component above 29", partial(fixed_threshold, level=29, ending="largest")
    ),
    Recipe(
        "v3-v4", "largest component above 4", partial(fixed_threshold, level=4, ending="largest")
    ),
    Recipe("v5", "ellipse, 18 px", partial(component_dilated, width=18)),
    Recipe("v5", "ellipse, 34 px", partial(component_dilated, width=34)),
    Recipe("v5", "10 passes of a 3 px cross", partial(component_grown_in_passes, passes=10)),
    Recipe("v6", "ellipse, 20 px", partial(component_dilated, width=20)),
    Recipe("v6", "ellipse, 32 px", partial(component_dilated, width=32)),
    Recipe("v6", "square, 18 px", partial(component_dilated, width=18, shape="rectangle")),
    Recipe("v7", "ellipse, 26 px", pipeline.create_skull_mask),
)


def one_of_each_version() -> list[Recipe]:
    """List the first recipe of every version, in the order of the story."""
    return [next(one for one in RECIPES if one.version == version) for version in VERSIONS]


def measure(stack: Stack, recipes: Sequence[Recipe] = RECIPES) -> pd.DataFrame:
    """Score recipes on a stack with a reference mask, a row a recipe.

    Its version, recipe (its name), published (the article's IoU of the version), and iou (mean over
    the slices that have one).
    """
    import pandas as pd

    rows = [
        (one.version, one.name, VERSIONS[one.version], _iou(stack, one.make_mask))
        for one in recipes
    ]
    return pd.DataFrame(rows, columns=["version", "recipe", "published", "iou"])


def scan(
    stack: Stack, make_mask: Callable[..., Mask], values: Iterable[int], **options: Any
) -> pd.DataFrame:
    """Score one family of recipes over its free number, to see where it meets a published IoU.

    `make_mask` takes an image, the number, and options such as `ending` or `shape`. Gives a row a
    value: value, iou (mean over slices).
    """
    import pandas as pd

    rows = [(value, _iou(stack, make_mask, value, **options)) for value in values]
    return pd.DataFrame(rows, columns=["value", "iou"])


def meetings(scanned: pd.DataFrame, target: float) -> list[float]:
    """Values of the free number where a scan meets an IoU, by straight lines between its rows."""
    value, off = scanned.value.to_numpy(np.float64), scanned.iou.to_numpy() - target
    here = np.flatnonzero((off[:-1] < 0) != (off[1:] < 0))
    part = off[here] / (off[here] - off[here + 1])
    places = value[here] + part * (value[here + 1] - value[here])
    return [float(place) for place in places.round(6)]


def _iou(stack: Stack, make_mask: Callable[..., Mask], *number: int, **options: Any) -> float:
    """Mean IoU over the slices that have one."""
    import pandas as pd

    assert stack.reference is not None
    pairs = zip(stack.images, stack.reference, strict=True)
    found = [metrics.iou(make_mask(image, *number, **options), mask) for image, mask in pairs]
    return float(pd.Series(found).mean())
