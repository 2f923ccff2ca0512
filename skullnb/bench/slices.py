"""What one slice costs: all contestants in turns, stage by stage, and how it grows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from itertools import product
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb import metrics
from skullnb.batch import one_opencv_thread
from skullnb.bench import literal
from skullnb.bench.clock import CLOCK, growth, quartiles, take_turns
from skullnb.bench.contestants import Contestant, floor, here
from skullnb.errors import SkullnbError
from skullnb.phantom import published_stack
from skullnb.pipeline import (
    binarise,
    label_components,
    masks_by_width,
    normalise,
    otsu_threshold,
    use_tier,
)
from skullnb.pipeline.checks import as_pixels
from skullnb.pipeline.masks import TIERS
from skullnb.pipeline.steps import with_range
from skullnb.pipeline.with_numpy import WORD, kernel_of, scratch
from skullnb.stack import Stack
from skullnb.summary import spread

Image = NDArray[Any]

STAGES = ("normalise", "threshold", "components", "dilate", "fill")

# The literal version looks at every pixel once for each component. Beyond this many looks, some
# ten seconds, it is left out of what nobody named it for.
MOST_LOOKS = 4e9

# More slices than these make a measurement longer, not better.
MOST_SLICES = 5


def chosen(stack: Stack) -> list[Image]:
    """Slices of a stack to time: a few, spread over it, in numbers that all contestants take.

    Examples
    --------
    >>> [one.dtype.name for one in chosen(Stack(np.zeros((1, 8, 8), dtype=np.int16)))]
    ['float64']
    """
    kept = (np.float32, np.float64)
    images = [np.array(stack.images[index]) for index in spread(len(stack), MOST_SLICES)]
    return [as_pixels(one if one.dtype in kept else one.astype(np.float64)) for one in images]


def compare(
    images: Sequence[Image], width: int, rounds: int, contestants: Sequence[Contestant] = ()
) -> dict[str, Any]:
    """Time all contestants on some slices, and hold their masks against the literal ones.

    Parameters
    ----------
    images : sequence of (H, W) arrays
        As from `chosen`. Every round goes over all of them.
    width : int
        Kernel width in px.
    rounds : int
    contestants : sequence of Contestant, optional
        When left out all that can take part, but the literal version only where it does not
        take long (`MOST_LOOKS`).

    Returns
    -------
    dict
        By contestant: `ms` a slice, quartiles over the rounds; `times_floor`, and where the
        literal version ran `times_faster` than that, quartiles of the ratios of the same round;
        `iou` (least of the slices) and `differing_px` (most) with the literal masks.

    Raises
    ------
    SkullnbError
        If a mask that has to be the literal one is not.

    Examples
    --------
    >>> found = compare([np.random.default_rng(0).random((64, 64))], 5, 1, here("literal", "numpy"))
    >>> found["numpy"]["differing_px"]
    0
    """
    if not contestants:
        slow = _takes_long(images, rounds)
        contestants = [one for one in here() if not (slow and one.name == "literal")]
    width = max(width, 1)
    found: dict[str, Any] = {}
    truths = [_truth(image, width, contestants) for image in images]
    for one in contestants:
        one.warm()
        agreements = [
            _agreement(one, truth if one.name == "literal" else one.mask(image, width), truth)
            for image, truth in zip(images, truths, strict=True)
        ]
        found[one.name] = {"iou": min(agreements)[0], "differing_px": max(n for _, n in agreements)}
    times = _pass_after_pass(images, width, rounds, contestants, warm=True)
    for name, seconds in times.items():
        found[name]["ms"] = quartiles(1000 * seconds)
        for other, ratio in (("floor", "times_floor"), ("literal", "times_faster")):
            if other in times:
                up, down = (seconds, times[other]) if other == "floor" else (times[other], seconds)
                found[name][ratio] = quartiles(up / down)
    found.get("floor", {}).update(iou=None, differing_px=None)
    return found


def rounds_for(images: Sequence[Image]) -> int:
    """Rounds that keep a measurement short: 1 to 5.

    Examples
    --------
    >>> rounds_for([np.zeros((768, 624))] * 5), rounds_for([np.zeros((4096, 4096))])
    (5, 1)
    """
    return int(np.clip(1.2e7 // sum(image.size for image in images), 1, 5))


def looks(image: Image) -> float:
    """How many pixels the literal version looks at: all, for each component."""
    levels = normalise(image)
    _, components = label_components(binarise(levels, otsu_threshold(levels)))
    return float(len(components) * image.size)


def time_stages(images: Sequence[Image], width: int, rounds: int) -> dict[str, Any]:
    """Time every stage: as the article does it, and as skullnb does with and without numba.

    Parameters
    ----------
    images : sequence of (H, W) arrays
    width : int
        Kernel width in px.
    rounds : int

    Returns
    -------
    dict of str to dict of str to float
        By way (`literal`, `numba`, `numpy`), the median milliseconds of each of `STAGES`; and
        `floor`, of the floor alone. Slices on which a way finds nothing to dilate are left out.

    Examples
    --------
    >>> image = np.pad(np.ones((20, 20)), 10)
    >>> list(time_stages([image], 5, 1)["numpy"]) == list(STAGES)
    True
    """
    ways = [one.name for one in here("numba", "numpy")]
    if not _takes_long(images, rounds):
        ways.insert(0, "literal")
    rows: dict[str, list[dict[str, float]]] = {way: [] for way in ("floor", *ways)}
    with one_opencv_thread():
        for _ in range(rounds + 1):
            for way, image in product(rows, images):
                rows[way].append(_seconds(_STEPS[way](image, max(width, 1))))
    counted = {way: times[len(images) :] for way, times in rows.items()}
    return {
        way: {
            stage: 1000 * median(one[stage] for one in times if stage in one)
            for stage in ("floor", *STAGES)
            if any(stage in one for one in times)
        }
        for way, times in counted.items()
    }


def against_size(sides: Sequence[int], rounds: int) -> dict[str, Any]:
    """Time the contestants on slices of the phantom, stretched to squares.

    Returns
    -------
    dict
        `sides` (px); `ms`, quartiles by contestant, one triple a side; `exponent`, quartiles by
        contestant: 1 means in step with the number of pixels.
    """
    images = published_stack().images[1:4]
    return _grown({n: [stretched(one, n) for one in images] for n in sides}, rounds, "sides", 2)


def against_components(numbers: Sequence[int], rounds: int) -> dict[str, Any]:
    """Time the contestants on slices of the phantom, with specks around the head.

    Returns
    -------
    dict
        As `against_size`, with `components`: about how many a slice has.
    """
    images = {}
    for number in numbers:
        some = [with_specks(one, number) for one in published_stack().images[1:3]]
        images[round(sum(looks(one) / one.size for one in some) / len(some))] = some
    return _grown(images, rounds, "components", 1)


def time_sweep(images: Sequence[Image], widths: Sequence[int], rounds: int) -> dict[str, Any]:
    """Time the masks of some slices at many kernel widths: what is shared, against nothing.

    Returns
    -------
    dict
        `slices`, `widths`; by way `ms`, quartiles; `times_faster`, quartiles.
    """

    def one_by_one() -> None:
        for image in images:
            for width in widths:
                literal.literal_mask(image, width)

    def shared() -> None:
        for image in images:
            for _ in masks_by_width(image, widths):
                pass

    ways = here("numba", "numpy")
    for image in images:
        for width, mask in zip(widths, masks_by_width(image, widths), strict=True):
            _refuse_another(mask, literal.literal_mask(image, width), "the sweep")
    times = take_turns(
        {"literal": one_by_one, **{one.name: shared for one in ways}},
        rounds,
        {one.name: one.warm for one in ways},
    )
    use_tier("auto")
    return {
        "slices": len(images),
        "widths": len(widths),
        "ms": {name: quartiles(1000 * np.array(seconds)) for name, seconds in times.items()},
        "times_faster": {
            one.name: quartiles(np.divide(times["literal"], times[one.name])) for one in ways
        },
    }


def noisy(number: int, amplitude: float = 0.165) -> list[Image]:
    """Give slices of the phantom so much noise that they have thousands of components.

    Parameters
    ----------
    number : int
        How many slices.
    amplitude : float
        Of uniform noise, relative to the brightest pixel.

    Examples
    --------
    >>> 1000 < looks(noisy(1)[0]) / noisy(1)[0].size < 9000
    True
    """
    random = np.random.default_rng(0)
    return [
        image + np.float32(amplitude * image.max()) * random.random(image.shape, np.float32)
        for image in published_stack().images[:number]
    ]


def stretched(image: Image, side: int) -> Image:
    """Repeat or leave out rows and columns until a slice is a square of `side` px."""
    rows, columns = (np.arange(side) * length // side for length in image.shape)
    return np.ascontiguousarray(image[np.ix_(rows, columns)])


def with_specks(image: Image, number: int) -> Image:
    """Set bright pixels, each a component of its own, into the dark around a head."""
    free = np.zeros(image.shape, dtype=np.bool_)
    free[2:-2:3, 2:-2:3] = True
    levels = normalise(image)
    bright = binarise(levels, otsu_threshold(levels))
    free &= ~np.asarray(cv2.dilate(bright, np.ones((5, 5), dtype=np.uint8)), dtype=bool)
    places = np.random.default_rng(0).permutation(np.flatnonzero(free))[:number]
    speckled = image.copy()
    speckled.flat[places] = image.max()
    return speckled


def _grown(images: Mapping[int, list[Image]], rounds: int, name: str, power: int) -> dict[str, Any]:
    """Times against sizes (the keys), of which the power is what should count."""
    times = [_pass_after_pass(some, 26, rounds, here()) for some in images.values()]
    sizes = [float(size) ** power for size in images]
    return {
        name: list(images),
        "ms": {one: [quartiles(1000 * at[one]) for at in times] for one in times[0]},
        "exponent": {
            one: growth(sizes, np.transpose([at[one] for at in times])) for one in times[0]
        },
    }


def _pass_after_pass(
    images: Sequence[Image],
    width: int,
    rounds: int,
    contestants: Sequence[Contestant],
    warm: bool = False,
) -> dict[str, NDArray[np.float64]]:
    """Seconds a slice, by contestant and round; each in its turn goes over all slices."""

    def go_over(one: Contestant) -> None:
        for image in images:
            one.mask(image, width)

    times = take_turns(
        {one.name: partial(go_over, one) for one in contestants},
        rounds,
        {one.name: one.warm for one in contestants},
        warm,
    )
    use_tier("auto")
    return {name: np.array(seconds) / len(images) for name, seconds in times.items()}


def _literal_steps(image: Image, width: int) -> list[tuple[str, Callable[..., Any]]]:
    return [
        ("normalise", lambda _: literal.literal_normalise(image)),
        ("threshold", literal.literal_binary),
        ("components", literal.literal_brain),
        ("dilate", partial(literal.literal_dilate, dilation_size=width)),
        ("fill", literal.literal_fill),
    ]


def _our_steps(way: str, image: Image, width: int) -> list[tuple[str, Callable[..., Any]]]:
    """Steps of `skullnb.pipeline.masks`, one by one."""
    tier = import_module(TIERS[way])
    height, columns = image.shape

    def to_levels(_: object) -> Any:
        floats, low, high = with_range(image, tier.extremes)
        if low == high:
            return None
        wide = scratch("wide", (height, (columns // WORD + 1) * WORD), np.uint8)
        wide[:, columns:] = 0
        tier.normalise(floats, low, high, wide)
        return wide

    def to_bright(wide: Any) -> Any:
        frame = wide[:, :columns]
        cv2.threshold(frame, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU, dst=frame)
        return wide

    return [
        ("normalise", to_levels),
        ("threshold", to_bright),
        ("components", lambda wide: tier.find_brain(wide, columns, 8, True)),
        ("dilate", lambda brain: tier.dilate(brain, kernel_of(width, "ellipse"))),
        ("fill", lambda grown: tier.draw(grown, np.empty(image.shape, np.uint8), True)),
    ]


def _floor_step(image: Image, _: int) -> list[tuple[str, Callable[..., Any]]]:
    return [("floor", lambda _: floor(image))]


_STEPS: dict[str, Callable[[Image, int], list[tuple[str, Callable[..., Any]]]]] = {
    "floor": _floor_step,
    "literal": _literal_steps,
    "numba": partial(_our_steps, "numba"),
    "numpy": partial(_our_steps, "numpy"),
}


def _seconds(steps: list[tuple[str, Callable[..., Any]]]) -> dict[str, float]:
    """Seconds of each step; it ends where a step leaves nothing to the next."""
    seconds: dict[str, float] = {}
    result: Any = None
    for stage, step in steps:
        start = CLOCK()
        result = step(result)
        seconds[stage] = CLOCK() - start
        if result is None:
            break
    return seconds


def _takes_long(images: Sequence[Image], rounds: int) -> bool:
    return (rounds + 1) * sum(map(looks, images)) > MOST_LOOKS


def _truth(image: Image, width: int, contestants: Sequence[Contestant]) -> Image:
    """Mask that others are held against: the literal one, or where that takes too long ours."""
    if "literal" in [one.name for one in contestants]:
        return literal.literal_mask(image, width)
    return next(masks_by_width(image, (width,)))


def _agreement(one: Contestant, mask: Image, truth: Image) -> tuple[float, int]:
    if one.same and one.name != "literal":
        _refuse_another(mask, truth, one.name)
    return metrics.iou(mask > 0, truth > 0), int(np.count_nonzero(mask != truth))


def _refuse_another(mask: Image, truth: Image, name: str) -> None:
    if not np.array_equal(mask, truth):
        raise SkullnbError(
            f"A mask of {name} is not the literal one, and must be: this is a fault of skullnb; "
            "please report it with the versions of numpy, OpenCV and numba."
        )
