"""What masks cost, beside the article's way, other libraries, and what must be done (chapter 13).

`python -m skullnb.study.timing` measures everything in some minutes and prints the tables;
`--record` keeps them as those that the chapter shows. A time belongs to one machine on one day;
ratios to other work of the same moment carry over better, so everything takes turns.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import get_clock_info, perf_counter, thread_time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from skullnb import metrics, pipeline
from skullnb.errors import SkullnbError, UnreadableFile
from skullnb.pipeline import Mask, PipelineSettings
from skullnb.study import article

if TYPE_CHECKING:
    from pandas import DataFrame

Image = NDArray[Any]
Way = Callable[[Image, int], Mask]

RECORDED = Path(__file__).with_name("timing.json")
WIDTHS = tuple(range(12, 42, 2))
LIBRARIES = (
    *("skullnb", "numpy", "scipy", "opencv-python-headless", "numba", "nibabel"),
    *("scikit-image", "SimpleITK"),
)

NOT_THE_ARTICLES = (
    "A mask of {} is not the article's, and must be: this is a fault of skullnb; please report it "
    "with the versions of numpy, OpenCV and numba."
)

# Processor time of the one thread does not count what other programs take away. Some systems
# count it too coarsely.
IS_FINE = get_clock_info("thread_time").resolution < 1e-5
CLOCK = thread_time if IS_FINE else perf_counter


def with_opencv(image: Image, width: int) -> Mask:
    """Component statistics instead of a loop, and outer contours drawn full instead of a fill."""
    binary = article.binarise(article.normalise(image))
    _, labels, found, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        binary, 8, cv2.CV_32S, cv2.CCL_BBDT
    )
    left, top, across, down, areas = found.T
    height, columns = image.shape
    inside = (left > 0) & (top > 0) & (left + across < columns) & (top + down < height)
    inside[0] = False
    mask = np.zeros(image.shape, dtype=np.uint8)
    if not inside.any():
        return mask
    brain = np.equal(labels, np.argmax(areas * inside)).view(np.uint8)
    grown = article.dilate(brain, width)
    contours, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(mask, contours, -1, 1, cv2.FILLED), dtype=np.uint8)


def with_scikit_image(image: Image, width: int) -> Mask:
    """Clear the border, take the largest label, dilate by a disc."""
    from skimage import filters, measure, morphology, segmentation

    bright = image > filters.threshold_otsu(image)
    brain = _largest(measure.label(segmentation.clear_border(bright), connectivity=2))
    return article.fill_holes(brain.any() & morphology.isotropic_dilation(brain, width / 2))


def with_scipy(image: Image, width: int) -> Mask:
    """Otsu's threshold from a histogram; labels; all that is near enough by a distance map."""
    counts, edges = np.histogram(image, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = total / below - (total[-1] - total) / above
    level = centres[np.argmax(np.nan_to_num(below * above * apart**2, posinf=0))]
    labels, _ = ndimage.label(image > level, np.ones((3, 3)))
    labels[np.isin(labels, _at_frame(labels))] = 0
    brain = _largest(labels)
    near = ndimage.distance_transform_edt(~brain) <= width / 2
    return article.fill_holes(brain.any() & near)


def with_simpleitk(image: Image, width: int) -> Mask:
    """Otsu, labels sorted by size, a ball, and its own filling of holes."""
    import SimpleITK as sitk  # noqa: N813, as its users do

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    bright = sitk.OtsuThreshold(sitk.GetImageFromArray(image), 0, 1, 256)
    connected = sitk.ConnectedComponent(bright, True)
    sorted_labels = sitk.RelabelComponent(connected, sortByObjectSize=True)
    frame = set(_at_frame(sitk.GetArrayViewFromImage(sorted_labels)).tolist())
    first = next(label for label in range(1, len(frame) + 2) if label not in frame)
    radius = (width // 2, width // 2)
    grown = sitk.BinaryDilate(sitk.Equal(sorted_labels, first), radius, sitk.sitkBall)
    return np.asarray(sitk.GetArrayFromImage(sitk.BinaryFillhole(grown)), dtype=np.uint8)


def _at_frame(labels: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])


def _largest(labels: NDArray[Any]) -> NDArray[np.bool_]:
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return np.asarray((labels == areas.argmax()) & (areas.max() > 0))


def by_steps(image: Image, width: int) -> Mask:
    """The readable steps of `skullnb.pipeline`, one after the other."""
    levels = pipeline.normalise(image)
    binary = pipeline.binarise(levels, pipeline.otsu_threshold(levels))
    labels, components = pipeline.label_components(binary)
    brain = pipeline.component_mask(labels, pipeline.choose_brain(components))
    return pipeline.fill_holes(pipeline.dilate(brain, width))


def floor(image: Image, _width: int = 0) -> Mask:
    """Do what no method can avoid: find minimum and maximum, and write a mask. Not a skull mask."""
    return np.full(image.shape, image.max() > image.min(), dtype=np.uint8)


ARTICLE, CARE, MASK = "the article's way", "OpenCV, with care", "skullnb, mask alone"
ROW, FLOOR = "skullnb, mask and row", "floor"
OURS = (MASK, ROW, "skullnb, steps", "skullnb, trace")
CONTESTANTS: dict[str, Way] = {
    ARTICLE: article.skull_mask,
    CARE: with_opencv,
    "scikit-image": with_scikit_image,
    "SimpleITK": with_simpleitk,
    "scipy": with_scipy,
    MASK: pipeline.create_skull_mask,
    ROW: lambda image, width: pipeline.measure_slice(image, PipelineSettings(width)).mask,
    "skullnb, steps": by_steps,
    "skullnb, trace": lambda image, width: (
        pipeline.trace_skull_mask(image, PipelineSettings(width)).mask
    ),
    FLOOR: floor,
}
"""From (H, W) image and kernel width in px to (H, W) uint8 {0, 1}; `OURS` as the article's."""


def contestants() -> dict[str, Way]:
    """Those of `CONTESTANTS` whose library is installed."""
    needed = {"scikit-image": "skimage", "SimpleITK": "SimpleITK"}
    return {name: way for name, way in CONTESTANTS.items() if find_spec(needed.get(name, "numpy"))}


def take_turns(
    work: Mapping[Any, Callable[[], object]], rounds: int, clock: Callable[[], float] = CLOCK
) -> DataFrame:
    """Time several pieces of work, one after the other in every round, in one thread.

    A machine that slows down half-way then slows all of them, and none finds its data in the
    processor's nearest cache because it has just been there itself. Gives seconds, a row a round
    (one more comes first and is not counted), a column a piece of work: processor time of the
    thread where the system counts it finely (`IS_FINE`), else time by the clock.
    """
    import pandas as pd

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


def quartiles(times: DataFrame, factor: float = 1.0, name: str = "ms") -> DataFrame:
    """Median and quartiles over the rounds, columns `name`, `name`_low, `name`_high."""
    found = (times * factor).quantile([0.5, 0.25, 0.75]).T
    found.columns = [name, f"{name}_low", f"{name}_high"]
    return found


def compare(
    images: Sequence[Image], rounds: int, width: int = 26, names: Sequence[str] = ()
) -> DataFrame:
    """Time ways to a mask on some (H, W) slices, and hold their masks against the article's.

    Every round goes over all slices. `names` are some of `CONTESTANTS`, with the article's way and
    the floor; all that are here when left out. Gives a row a way: `ms` a slice, how many times
    `faster` than the article's way and how many `floors` it takes, ratios of the same round, all
    medians with quartiles; `iou` (least of the slices) and `differing_px` (most) against the
    article's masks. A mask that has to be the article's and is not is refused (SkullnbError).
    """
    ways = {name: way for name, way in contestants().items() if not names or name in names}
    truths = [article.skull_mask(image, width) for image in images]
    work = {
        name: lambda way=way: [way(image, width) for image in images] for name, way in ways.items()
    }
    agreement = {}
    for name in work.keys() - {FLOOR}:
        pairs = list(zip(work[name](), truths, strict=True))
        most = max(int(np.count_nonzero(mask != truth)) for mask, truth in pairs)
        if most and name in OURS:
            raise SkullnbError(NOT_THE_ARTICLES.format(name))
        agreement[name] = (min(metrics.iou(*pair) for pair in pairs), most)
    times = take_turns(work, rounds)
    found = _beside_the_article(times, 1000 / len(images))
    found = found.join(quartiles(times.div(times[FLOOR], axis=0), name="floors"))
    for name, pair in agreement.items():
        found.loc[name, ["iou", "differing_px"]] = pair
    return found.rename_axis("way").reset_index()


def sweep(images: Sequence[Image], rounds: int, widths: Sequence[int] = WIDTHS) -> DataFrame:
    """Time the masks of slices at many widths: the article's way again and again, and shared."""

    def one_by_one() -> list[Mask]:
        return [article.skull_mask(image, width) for image in images for width in widths]

    def shared() -> list[Mask]:
        return [mask for image in images for mask in pipeline.masks_by_width(image, widths)]

    if not all(map(np.array_equal, one_by_one(), shared())):
        raise SkullnbError(NOT_THE_ARTICLES.format("the sweep"))
    times = take_turns({ARTICLE: one_by_one, "skullnb, sweep": shared}, rounds)
    return _beside_the_article(times, 1000).rename_axis("way").reset_index()


def _beside_the_article(times: DataFrame, factor: float) -> DataFrame:
    """Times in ms, and how many times faster than the article's way, medians with quartiles."""
    faster = times.rdiv(times[ARTICLE], axis=0)
    return quartiles(times, factor).join(quartiles(faster, name="faster"))


def growth(images: Sequence[Image], rounds: int, sides: Sequence[int]) -> DataFrame:
    """Time some ways on slices stretched to squares: a row a side (px) and way."""
    import pandas as pd

    tables = []
    for side in sides:
        places = [[np.arange(side) * n // side for n in image.shape] for image in images]
        stretched = [image[np.ix_(*place)] for image, place in zip(images, places, strict=True)]
        table = compare(stretched, rounds, names=(ARTICLE, CARE, MASK, FLOOR)).assign(side=side)
        tables.append(table[["side", "way", "ms", "ms_low", "ms_high", "faster"]])
    return pd.concat(tables, ignore_index=True)


def batches(
    images: NDArray[Any], n_slices: int, rounds: int, workers: Sequence[int] = (1, 2)
) -> DataFrame:
    """Time whole batches of some slices over and over, from one .npy file to another, by the clock.

    A row a way and number of workers: `rate` (slices a second, with quartiles), `faster` than the
    author's script with as many processes, and `bytes_a_slice` of the output.
    """
    import pandas as pd

    from skullnb.batch import mask_batch

    script, endings = "the author's script", [".npy", ".packed.npy"]
    endings += [".zarr"] if find_spec("zarr") else []
    outputs: dict[tuple[str, int], Path] = {}
    work: dict[tuple[str, int], Callable[[], object]] = {}
    rows = []
    with TemporaryDirectory() as folder:
        source = Path(folder) / "images.npy"
        np.save(source, images[np.arange(n_slices) % len(images)])
        for n in workers:
            outputs[script, n] = output = Path(folder) / f"script-{n}.npy"
            work[script, n] = partial(article.batch_script, source, output, processes=n)
            for end in endings:
                ours = f"skullnb, {end}", n
                outputs[ours] = output = Path(folder) / f"ours-{n}{end}"
                work[ours] = partial(mask_batch, source, output, workers=n, overwrite=True)
        seconds = take_turns(work, rounds, perf_counter)
        for (way, n), output in outputs.items():
            files = [one for one in (output, *output.rglob("*")) if one.is_file()]
            row = {
                "way": way,
                "workers": n,
                **quartiles(n_slices / seconds[[(way, n)]], name="rate").iloc[0].to_dict(),
                "faster": (seconds[script, n] / seconds[way, n]).median(),
                "bytes_a_slice": sum(one.stat().st_size for one in files) / n_slices,
            }
            rows.append(row)
    return pd.DataFrame(rows)


def noisy(images: Sequence[Image]) -> list[Image]:
    """Add uniform noise, up to 0.165 of the brightest pixel: thousands of components each."""
    random = np.random.default_rng(0)
    return [
        image + np.float32(0.165 * image.max()) * random.random(image.shape, np.float32)
        for image in images
    ]


def versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries that decide masks, scores and times."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def machine() -> dict[str, str]:
    """Name the processor and the system, and nobody who owns them."""
    described, processor = Path("/proc/cpuinfo"), platform.processor() or platform.machine()
    if described.exists():
        named = re.search(r"^model name\s*: (.+)", described.read_text(), re.MULTILINE)
        processor = named[1] if named else processor
    system = f"{platform.system()} {platform.machine()}"
    return {"processor": processor, "cores": str(os.cpu_count()), "system": system}


def measure() -> dict[str, Any]:
    """Measure everything in one run, some minutes, and print it; what `record` keeps."""
    from skullnb import heads, phantom

    published = list(phantom.published_stack().images)
    head = [np.asarray(one, dtype=np.float32) for one in heads.load("studyforrest").images]
    parts: dict[str, Callable[[], DataFrame]] = {
        "published": lambda: compare(published, 25),
        "head": lambda: compare(head, 25),
        "noise": lambda: compare(noisy(published[:2]), 5),
        "sweep": lambda: sweep(published, 5),
        "growth": lambda: growth(published[1:4], 5, (256, 512, 1024, 2048)),
        "batches": lambda: batches(np.stack(published), 600, 3),
    }
    tables = {}
    for name, part in parts.items():
        tables[name] = part()
        print(f"\n{name}\n{tables[name].to_string(index=False, float_format='%.4g')}", flush=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "clock": "processor time of one thread" if IS_FINE else "time by the clock",
        "tables": tables,
    }


def recorded() -> dict[str, Any]:
    """Read the run that comes with the package, as `measure` gives it; a damaged one is refused."""
    import pandas as pd

    try:
        found = dict(json.loads(RECORDED.read_text(encoding="utf-8")))
        found["tables"] = {name: pd.DataFrame(rows) for name, rows in found["tables"].items()}
    except (OSError, ValueError, KeyError) as error:
        raise UnreadableFile("The recorded times are damaged; install skullnb again.") from error
    return found


def record(found: Mapping[str, Any]) -> None:
    """Keep a run as the one that the chapter shows, four digits of each number."""
    tables = {
        name: json.loads(table.to_json(orient="records", double_precision=15))
        for name, table in found["tables"].items()
    }
    for row in (row for rows in tables.values() for row in rows):
        row |= {k: float(f"{v:.4g}") for k, v in row.items() if isinstance(v, float)}
    text = json.dumps({**found, "tables": tables}, indent=1)
    RECORDED.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    run = measure()
    if "--record" in sys.argv:
        record(run)
