"""What masks cost, beside the article's way, other libraries, and what must be done (chapter 13).

`python -m skullnb.study.timing` measures everything in some minutes and prints the tables;
`--record` keeps them for the chapter. Ratios of things that take turns carry over best.
"""

import json
import os
import platform
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from time import get_clock_info, perf_counter, thread_time
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skullnb import pipeline
from skullnb.errors import SkullnbError
from skullnb.pipeline import Mask, PipelineSettings
from skullnb.study import article

Image = NDArray[Any]

RECORDED = Path(__file__).with_name("timing.json")
WIDTHS = tuple(range(12, 42, 2))
LIBRARIES = ["skullnb", "numpy", "scipy", "opencv-python-headless", "numba", "nibabel"]
LIBRARIES += ["scikit-image", "SimpleITK"]
SCRIPT, BATCHES = "the author's script", ("skullnb, .npy", "skullnb, .packed.npy", "skullnb, .zarr")
# Time of the one thread does not count what other programs take; some systems tell it too coarsely.
CLOCK = thread_time if get_clock_info("thread_time").resolution < 1e-5 else perf_counter


def with_opencv(image: Image, width: int) -> Mask:
    """Component statistics instead of a loop, and outer contours drawn full instead of a fill."""
    binary = article.binarise(article.normalise(image))
    _, labels, found, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    left, top, across, down, areas = found.T
    height, columns = image.shape
    inside = (left > 0) & (top > 0) & (left + across < columns) & (top + down < height)
    inside[0] = False
    brain = (labels == np.argmax(areas * inside)) & inside.any()
    grown = article.dilate(brain.view(np.uint8), width)
    contours, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    mask = np.zeros(image.shape, dtype=np.uint8)
    return np.asarray(cv2.drawContours(mask, contours, -1, 1, cv2.FILLED), dtype=np.uint8)


def with_scikit_image(image: Image, width: int) -> Mask:
    """Clear the border, take the largest label, dilate by a disc."""
    from skimage import filters, measure, morphology, segmentation

    bright = segmentation.clear_border(image > filters.threshold_otsu(image))
    labels = measure.label(bright, connectivity=2)
    areas = np.bincount(labels[bright], minlength=1)
    brain = bright & (labels == areas.argmax())
    return article.fill_holes(brain.any() & morphology.isotropic_dilation(brain, width / 2))


def with_simpleitk(image: Image, width: int) -> Mask:
    """Otsu, labels sorted by size, a ball, and its own filling of holes."""
    import SimpleITK as sitk  # noqa: N813, as its users do

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    bright = sitk.OtsuThreshold(sitk.GetImageFromArray(image), 0, 1, 256)
    labels = sitk.RelabelComponent(sitk.ConnectedComponent(bright, True), sortByObjectSize=True)
    seen = sitk.GetArrayViewFromImage(labels)
    frame = {*seen[0], *seen[-1], *seen[:, 0], *seen[:, -1]}
    first = next(label for label in range(1, len(frame) + 2) if label not in frame)
    grown = sitk.BinaryDilate(sitk.Equal(labels, first), [width // 2] * 2, sitk.sitkBall)
    return np.asarray(sitk.GetArrayFromImage(sitk.BinaryFillhole(grown)), dtype=np.uint8)


ARTICLE, MASK, FLOOR = "the article's way", "skullnb, mask alone", "floor"
CARE, SWEEP = "OpenCV, with care", "skullnb, all widths"
QUICK = (ARTICLE, CARE, MASK, FLOOR)
CONTESTANTS: dict[str, Callable[[Image, int], Mask]] = {
    ARTICLE: article.skull_mask,
    CARE: with_opencv,
    "scikit-image": with_scikit_image,
    "SimpleITK": with_simpleitk,
    MASK: pipeline.create_skull_mask,
    # What `skullnb mask` does, and the masks of as many widths as `WIDTHS` has.
    "skullnb, mask and row": lambda image, width: (
        pipeline.measure_slice(image, PipelineSettings(width)).mask
    ),
    SWEEP: lambda image, width: [*pipeline.masks_by_width(image, (*WIDTHS[1:], width))][-1],
    # What no method can avoid: find minimum and maximum, and write a mask. Not a skull mask.
    FLOOR: lambda image, _: np.full(image.shape, image.max() > image.min(), dtype=np.uint8),
}
"""From (H, W) image and kernel width in px to (H, W) uint8 {0, 1}."""


def take_turns(
    work: Mapping[Any, Callable[[], object]], rounds: int, clock: Callable[[], float] = CLOCK
) -> pd.DataFrame:
    """Time pieces of work, one after the other in every round, so that all are slowed alike.

    Gives seconds, a row a round (one more comes first and is not counted), a column a piece.
    """
    rows: list[dict[str, float]] = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for _ in range(rounds + 1):
            rows.append({})
            for name, do in work.items():
                start = clock()
                do()
                rows[-1][name] = clock() - start
    finally:
        cv2.setNumThreads(threads)
    return pd.DataFrame(rows[1:])


def compare(
    images: Sequence[Image], rounds: int, width: int = 26, names: Collection[str] = QUICK
) -> pd.DataFrame:
    """Time `CONTESTANTS` on some (H, W) slices, and hold their masks against the article's.

    A row a way: `ms` a slice, with quartiles; how many times `faster` than the article's way it is
    and how many `floors` it takes; `differing_px`, the most of a slice. Ours may not differ.
    """

    def masks(name: str) -> list[Mask]:
        return [CONTESTANTS[name](image, width) for image in images]

    times = take_turns({name: partial(masks, name) for name in names}, rounds)
    found = (1000 * times / len(images)).quantile([0.5, 0.25, 0.75]).T
    found = found.set_axis(["ms", "ms_low", "ms_high"], axis=1)
    found["faster"] = times.rdiv(times[ARTICLE], axis=0).median()
    found["floors"] = times.div(times[FLOOR], axis=0).median()
    for name in names:
        pairs = zip(masks(name), masks(ARTICLE), strict=True)
        most = max(int(np.count_nonzero(mask != truth)) for mask, truth in pairs)
        found.loc[name, "differing_px"] = most
        if most and name.startswith("skullnb"):
            raise SkullnbError(
                f"{name}: not the article's mask, as it must be; please report this."
            )
    return found.rename_axis("way").reset_index()


def growth(images: Sequence[Image], rounds: int, sides: Sequence[int]) -> pd.DataFrame:
    """Time some ways on slices stretched to squares: a row a side (px) and way."""
    tables = []
    for n in sides:
        squares = [cv2.resize(one, (n, n), interpolation=cv2.INTER_NEAREST) for one in images]
        tables.append(compare(squares, rounds).assign(side=n))
    return pd.concat(tables, ignore_index=True)


def batches(images: Sequence[Image], rounds: int, n_slices: int = 3000) -> pd.DataFrame:
    """Time whole batches of some slices over and over, from one .npy file to another, by the clock.

    They lie in memory where a folder can, so that no disk decides; the script gets a fifth of the
    slices. A row a way and number of workers: `start_s`, what two slices take; `rate`, slices a
    second beyond that; how many times `faster` than the script with as many.
    """
    from skullnb.batch import mask_batch

    def batch(way: str, workers: int, n: int) -> None:
        source, output = Path(place, f"{n}.npy"), Path(place, way.replace("skullnb, ", "masks"))
        if way == SCRIPT:
            article.batch_script(source, output, processes=workers)
        else:
            mask_batch(source, output, workers=workers, overwrite=True)

    many = {SCRIPT: n_slices // 5} | dict.fromkeys(BATCHES, n_slices)
    ways = list(product(many, (1, 2)))
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        for n in {2, *many.values()}:
            shape, kind = (n, *images[0].shape), images[0].dtype
            stack = np.lib.format.open_memmap(f"{place}/{n}.npy", "w+", kind, shape)
            for number in range(n):
                stack[number] = images[number % len(images)]
        work = {(*one, n): partial(batch, *one, n) for one in ways for n in (2, many[one[0]])}
        seconds = take_turns(work, rounds, perf_counter)
    rates, rows = {}, []
    for way, one in ways:
        start = seconds[way, one, 2].median()
        rates[way, one] = (many[way] - 2) / (seconds[way, one, many[way]] - start)
        faster = (rates[way, one] / rates[SCRIPT, one]).median()
        rows.append((way, one, start, rates[way, one].median(), faster))
    return pd.DataFrame(rows, columns=["way", "workers", "start_s", "rate", "faster"])


def noisy(images: Sequence[Image]) -> list[Image]:
    """Add uniform noise, up to a fifth of the brightest pixel: some 21,000 components each."""
    random, share = np.random.default_rng(0), np.float32(0.2)
    return [one + share * one.max() * random.random(one.shape, np.float32) for one in images]


def versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries that decide masks, scores and times."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def machine() -> dict[str, str]:
    """Name the processor and the system, and nobody who owns them."""
    described = Path("/proc/cpuinfo")
    text = described.read_text() if described.exists() else ""
    named = re.search(r"^model name\s*: (.+)", text, re.MULTILINE)
    processor = named[1] if named else platform.processor() or platform.machine()
    system = f"{platform.system()} {platform.machine()}"
    return {"processor": processor, "cores": str(os.cpu_count()), "system": system}


def measure() -> dict[str, Any]:
    """Measure everything in one run, some minutes, and print it; what the chapter shows."""
    from skullnb import phantom

    published = [*phantom.published_stack().images]
    tables = {
        "published": compare(published, 25, names=CONTESTANTS),
        "noise": compare(noisy(published[:2]), 5, names=CONTESTANTS),
        "growth": growth(published[1:4], 5, (256, 512, 1024, 2048)),
        "batches": batches(published, 3),
    }
    for name, table in tables.items():
        print(f"\n{name}\n{table.to_string(index=False, float_format='%.4g')}")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "clock": "time by the clock" if CLOCK is perf_counter else "processor time of one thread",
        "tables": {name: table.round(4).to_dict("records") for name, table in tables.items()},
    }


def recorded() -> dict[str, Any]:
    """Read the run that comes with the package; its tables are DataFrames."""
    found = dict(json.loads(RECORDED.read_text(encoding="utf-8")))
    return found | {"tables": {name: pd.DataFrame(rows) for name, rows in found["tables"].items()}}


if __name__ == "__main__":
    run = measure()
    if "--record" in sys.argv:
        RECORDED.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
