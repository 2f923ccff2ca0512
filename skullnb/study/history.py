"""The development story: recipes v1 to v7, each as a function that can be run.

The article gives each version a few words and a rounded IoU. For v1, v2 and v7 the words are enough
to write the recipe down. For v3-v4, v5 and v6 they are not: several recipes fit, so several are
here, and nothing says which of them was used. A recipe takes an (H, W) image of real numbers and
gives an (H, W) uint8 {0, 1} mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from skullnb import metrics, pipeline
from skullnb.errors import InvalidSetting
from skullnb.pipeline import Mask, PipelineSettings
from skullnb.published import VERSIONS
from skullnb.stack import Stack

if TYPE_CHECKING:
    import pandas as pd

# The published IoUs have two decimals, and the stand-in only resembles the article's slices:
# candidates this near are all as good as one another.
AGREES = 0.02

THRESHOLD_ENDINGS = {
    "all": "all bright pixels",
    "largest": "the largest component",
    "filled": "the largest component, holes filled",
}


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
    """v3 and v4, a candidate: a threshold chosen by hand, then one of `THRESHOLD_ENDINGS`.

    Bright is strictly above `level`, 0..255 of the normalised slice.

    Examples
    --------
    >>> [int(fixed_threshold([[0, 5, 0, 9, 9]], 100, ending).sum()) for ending in THRESHOLD_ENDINGS]
    [3, 2, 2]
    """
    PipelineSettings(threshold=level)  # refuses an impossible level
    if ending not in THRESHOLD_ENDINGS:
        raise InvalidSetting(
            f"The ending must be one of {', '.join(THRESHOLD_ENDINGS)}, not {ending!r}."
        )
    bright = pipeline.binarise(pipeline.normalise(image), level)
    if ending == "all":
        return bright
    largest = _largest(bright)
    return pipeline.fill_holes(largest) if ending == "filled" else largest


def component_dilated(image: ArrayLike, width: int, shape: str = "ellipse") -> Mask:
    """v5 and v6, a candidate: the final pipeline with a kernel of another width (px) or shape."""
    settings = PipelineSettings(kernel_width=width, kernel_shape=shape)
    return pipeline.trace_skull_mask(image, settings).mask


def component_grown_in_passes(
    image: ArrayLike, passes: int, width: int = 3, shape: str = "ellipse"
) -> Mask:
    """v5 and v6, a candidate: the final pipeline with many small dilations in place of one.

    An ellipse 3 px wide is a cross, and many passes of it draw a diamond. Passes of a square are no
    recipe of their own: they do what one larger square does.
    """
    if passes < 1:
        raise InvalidSetting(f"At least one pass is needed, not {passes}.")
    kernel = pipeline.structuring_element(width, shape)
    brain = pipeline.trace_skull_mask(image, PipelineSettings(kernel_width=0)).brain
    grown = cv2.dilate(brain, kernel, iterations=passes)
    return pipeline.fill_holes(np.asarray(grown, dtype=np.uint8))


@dataclass(frozen=True)
class Recipe:
    """One version of the development story, or one candidate for it.

    `version` is one of `skullnb.published.VERSIONS`, `name` says what it does in a few words (no
    two share one), and `make_mask` takes an (H, W) image to an (H, W) uint8 mask.
    """

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


def recipe(name: str) -> Recipe:
    """Look a recipe up by its version (its first candidate then), or by its own name.

    Examples
    --------
    >>> recipe("v5").name, recipe("ellipse, 34 px").version
    ('ellipse, 18 px', 'v5')
    """
    for one in RECIPES:
        if name in (one.version, one.name):
            return one
    raise InvalidSetting(f"No recipe called {name!r}; choose one of {', '.join(VERSIONS)}.")


def one_of_each_version() -> list[Recipe]:
    """List the first recipe of every version, in the order of the story."""
    return [recipe(version) for version in VERSIONS]


def masks(image: ArrayLike, recipes: Sequence[Recipe] | None = None) -> dict[str, Mask]:
    """Make each recipe's mask of one slice, by the recipe's name; one of each version if left out.

    Examples
    --------
    >>> list(masks(np.zeros((9, 9))))[:2]
    ['Otsu, largest component', 'Otsu, flood from the edges']
    """
    return {one.name: one.make_mask(image) for one in recipes or one_of_each_version()}


def measure(stack: Stack, recipes: Sequence[Recipe] = RECIPES) -> pd.DataFrame:
    """Score recipes on a stack.

    Returns
    -------
    DataFrame
        A row a recipe: version, recipe (its name), published (the article's IoU of the version),
        iou (mean over the slices that have one), lowest and highest (slice), and agrees (whether
        the mean is within `AGREES` of the published one). Without a reference mask scores are NaN
        and nothing agrees.

    Examples
    --------
    >>> image = np.zeros((1, 30, 30))
    >>> image[0, 10:20, 10:20] = 1
    >>> measure(Stack(image, (image > 0).astype(np.uint8)), [recipe("v1")])
      version                   recipe  published  iou  lowest  highest  agrees
    0      v1  Otsu, largest component       0.73  1.0     1.0      1.0   False
    """
    import pandas as pd

    rows = []
    for one in recipes:
        scores = _scores(stack, one.make_mask)
        published, mean = VERSIONS[one.version], scores.mean()
        agrees = bool(abs(mean - published) <= AGREES)
        about = (one.version, one.name, published)
        rows.append((*about, mean, scores.min(), scores.max(), agrees))
    names = ["version", "recipe", "published", "iou", "lowest", "highest", "agrees"]
    return pd.DataFrame(rows, columns=names)


def scan(
    stack: Stack, make_mask: Callable[..., Mask], values: Iterable[int], **options: Any
) -> pd.DataFrame:
    """Score one family of recipes over its free number, to see where it meets a published IoU.

    `make_mask` takes an image, the number, and options such as `ending` or `shape`. Gives a row a
    value: value, iou (mean over slices; NaN without a reference mask).

    Examples
    --------
    >>> image = np.zeros((1, 30, 30))
    >>> image[0, 10:20, 10:20] = 1
    >>> scan(Stack(image, (image > 0).astype(np.uint8)), component_dilated, [1, 3]).iou.tolist()
    [1.0, 0.714...]
    """
    import pandas as pd

    rows = []
    for value in values:

        def make(image: ArrayLike, value: int = value) -> Mask:
            return make_mask(image, value, **options)

        rows.append((value, _scores(stack, make).mean()))
    return pd.DataFrame(rows, columns=["value", "iou"])


def meetings(scanned: pd.DataFrame, target: float) -> list[float]:
    """Values of the free number where a scan meets an IoU, by straight lines between its rows.

    Examples
    --------
    >>> import pandas as pd
    >>> meetings(pd.DataFrame({"value": [10, 20], "iou": [0.9, 0.8]}), 0.85)
    [15.0]
    """
    value, off = scanned.value.to_numpy(np.float64), scanned.iou.to_numpy() - target
    here = np.flatnonzero((off[:-1] < 0) != (off[1:] < 0))
    part = off[here] / (off[here] - off[here + 1])
    places = value[here] + part * (value[here + 1] - value[here])
    return [float(place) for place in places.round(6)]


def _largest(binary: Mask) -> Mask:
    labels, components = pipeline.label_components(binary)
    chosen = pipeline.choose_brain(components, drop_edge_touching=False)
    return pipeline.component_mask(labels, chosen)


def _scores(stack: Stack, make_mask: Callable[[ArrayLike], Mask]) -> pd.Series[float]:
    """IoU of each slice; all NaN without a reference mask."""
    import pandas as pd

    if stack.reference is None:
        return pd.Series(np.full(len(stack), np.nan))
    pairs = zip(stack.images, stack.reference, strict=True)
    return pd.Series([metrics.iou(make_mask(image), reference) for image, reference in pairs])
