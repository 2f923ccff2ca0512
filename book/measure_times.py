"""Measure what masks cost, beside the article's way and other libraries, for chapter 13.

`python book/measure_times.py` measures everything in some minutes and prints the tables; `--record`
stores them with the package. Ratios of things that take turns carry over best.
"""

import json
import sys
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import product
from multiprocessing import Pool
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skullnb import phantom, pipeline
from skullnb.batch import mask_batch
from skullnb.errors import SkullnbError
from skullnb.pipeline import Mask, PipelineSettings
from skullnb.study import article
from skullnb.study.timing import (
    ARTICLE,
    CLOCK,
    FLOOR,
    MASK,
    RECORDED,
    SWEEP,
    WIDTHS,
    library_versions,
    machine,
    take_turns,
)

Image = NDArray[Any]
CARE, SCRIPT = "OpenCV, with care", "the author's script"
BATCHES = ("skullnb, .npy", "skullnb, .packed.npy", "skullnb, .zarr")


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


def batch_script(images: Path, masks: Path, kernel_width: int = 26, processes: int = 8) -> None:
    """Do a batch in the way of the author's present script, from one .npy memory map to another.

    Each worker opens it once and is sent the numbers of slices; masks come back by pickle.
    """
    shape = np.load(images, mmap_mode="r", allow_pickle=False).shape
    output = np.lib.format.open_memmap(masks, mode="w+", dtype=np.uint8, shape=shape)
    with Pool(processes, _open, (images, kernel_width)) as pool:
        for number, mask in pool.imap_unordered(_numbered_mask, range(len(output))):
            output[number] = mask
    output.flush()


_opened: dict[str, Any] = {}  # by a worker


def _open(images: Path, kernel_width: int) -> None:
    stack = np.load(images, mmap_mode="r", allow_pickle=False)
    _opened.update(stack=stack, kernel_width=kernel_width)


def _numbered_mask(number: int) -> tuple[int, Mask]:
    return number, article.skull_mask(_opened["stack"][number], _opened["kernel_width"])


def batches(images: Sequence[Image], rounds: int, n_slices: int = 3000) -> pd.DataFrame:
    """Time whole batches of some slices over and over, from one .npy file to another, by the clock.

    They lie in memory where a folder can, so that no disk decides; the script gets a fifth of the
    slices. A row a way and number of workers: `start_s`, what two slices take; `rate`, slices a
    second beyond that; how many times `faster` than the script with as many.
    """

    def batch(way: str, workers: int, n: int) -> None:
        source, output = Path(place, f"{n}.npy"), Path(place, way.replace("skullnb, ", "masks"))
        if way == SCRIPT:
            batch_script(source, output, processes=workers)
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


def measure() -> dict[str, Any]:
    """Measure everything in one run, some minutes, and print it; what the chapter shows."""
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
        "versions": library_versions(),
        "clock": "time by the clock" if CLOCK is perf_counter else "processor time of one thread",
        "tables": {name: table.round(4).to_dict("records") for name, table in tables.items()},
    }


if __name__ == "__main__":
    run = measure()
    if "--record" in sys.argv:
        RECORDED.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
