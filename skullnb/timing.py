"""What each stage of the pipeline costs, as shares and ratios rather than as promises in ms.

A time in milliseconds belongs to one machine on one day. A share of the whole, or a ratio to
work that no method can avoid, carries over better.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import get_clock_info, perf_counter, thread_time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.pipeline import (
    PipelineSettings,
    binarise,
    choose_brain,
    component_mask,
    create_skull_masks,
    dilate,
    fill_holes,
    label_components,
    normalise,
    otsu_threshold,
)
from skullnb.results import versions
from skullnb.stack import Stack
from skullnb.summary import spread

STAGES = ("normalise", "threshold", "components", "dilate", "fill")

# Processor time of the one thread does not count what other programs take away; wall-clock time
# does, and taxes long stages more than the short floor. Some systems count it too coarsely.
_clock = thread_time if get_clock_info("thread_time").resolution < 1e-5 else perf_counter

# Of a plain disk; only to get a feeling for what reading takes.
DISK_MB_PER_SECOND = 200

# More slices than these make a measurement longer, not better.
MOST_SLICES = 5


def time_stages(
    stack: Stack, settings: PipelineSettings | None = None, repeats: int = 9
) -> dict[str, float]:
    """Time every stage of the pipeline, each beside a floor and in turns.

    The floor is work that any method has to do: find a slice's minimum and maximum, and write a
    mask of its size. Floor, stages and the whole pipeline take turns on every slice, so that a
    machine that slows down half-way slows all of them. OpenCV works with one thread meanwhile, and
    the processor time of that thread is taken, where the system counts it finely.

    Parameters
    ----------
    stack : Stack
        At most `MOST_SLICES` slices, spread over it, are timed; reading them from disk is not.
    settings : PipelineSettings, optional
        The article's when left out.
    repeats : int
        Rounds over the slices, at least 1; the first round warms up and is not counted.

    Returns
    -------
    dict of str to float
        For each stage in `STAGES`: `share_<stage>` of the time of all stages (they sum to 1) and
        `ratio_<stage>` to the floor. For the whole pipeline in one call: `ratio_whole` to the
        floor and `ms_whole`; and `ms_floor`. Times are medians over slices and rounds, in ms of
        processor time.

    Raises
    ------
    InvalidSetting
        If `repeats` is below 1.
    InvalidImage
        If a slice cannot be worked on.

    Examples
    --------
    >>> times = time_stages(Stack(np.random.default_rng(0).random((1, 64, 64))), repeats=1)
    >>> [name for name in times if name.startswith("share")]
    ['share_normalise', 'share_threshold', 'share_components', 'share_dilate', 'share_fill']
    """
    if repeats < 1:
        raise InvalidSetting(f"The number of repeats is {repeats}; it must be at least 1.")
    settings = settings or PipelineSettings()
    images = [np.array(stack.images[index]) for index in spread(len(stack), MOST_SLICES)]

    n_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        rounds = [_one_slice(image, settings) for _ in range(repeats + 1) for image in images]
    finally:
        cv2.setNumThreads(n_threads)
    counted = rounds[len(images) :]
    seconds = {name: median(one[name] for one in counted) for name in counted[0]}

    total = sum(seconds[stage] for stage in STAGES)
    return {
        **{f"share_{stage}": seconds[stage] / total for stage in STAGES},
        **{f"ratio_{stage}": seconds[stage] / seconds["floor"] for stage in (*STAGES, "whole")},
        "ms_whole": 1000 * seconds["whole"],
        "ms_floor": 1000 * seconds["floor"],
    }


def machine() -> dict[str, str]:
    """Say what the times were measured on.

    Returns
    -------
    dict of str to str
        Processor, number of cores, system, and the versions that decide the speed.

    Examples
    --------
    >>> list(machine())
    ['processor', 'cores', 'system', 'python', 'numpy', 'scipy', 'opencv-python-headless']
    """
    libraries = versions()
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count() or "unknown"),
        "system": f"{platform.system()} {platform.machine()}",
        **{
            name: libraries[name] for name in ("python", "numpy", "scipy", "opencv-python-headless")
        },
    }


def storage(stack: Stack, n_slices: int) -> dict[str, Any]:
    """Work out what many slices like those of a stack take up; nothing is measured.

    Parameters
    ----------
    stack : Stack
        Gives shape and number type of a slice.
    n_slices : int
        How many there would be.

    Returns
    -------
    dict
        slice_shape, slice_dtype, slice_bytes and mask_bytes (one byte a pixel), n_slices, and
        images_gb and masks_gb, in GB of 10^9 bytes; and read_minutes, what a disk that reads
        disk_mb_per_second (`DISK_MB_PER_SECOND`, MB of 10^6 bytes) needs for the images.

    Examples
    --------
    >>> need = storage(Stack(np.zeros((1, 768, 624), dtype=np.float32)), 100_000)
    >>> need["images_gb"], need["masks_gb"]
    (191.6928, 47.9232)
    """
    height, width = stack.images.shape[1:]
    slice_bytes = height * width * stack.images.dtype.itemsize
    mask_bytes = height * width
    return {
        "slice_shape": f"{height} × {width}",
        "slice_dtype": stack.images.dtype.name,
        "slice_bytes": slice_bytes,
        "mask_bytes": mask_bytes,
        "n_slices": n_slices,
        "images_gb": n_slices * slice_bytes / 1e9,
        "masks_gb": n_slices * mask_bytes / 1e9,
        "disk_mb_per_second": DISK_MB_PER_SECOND,
        "read_minutes": n_slices * slice_bytes / 1e6 / DISK_MB_PER_SECOND / 60,
    }


def _one_slice(image: NDArray[Any], settings: PipelineSettings) -> dict[str, float]:
    """Seconds that floor, stages and the whole pipeline take on one slice."""
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = _clock()
        result = work()
        seconds[name] = _clock() - start
        return result

    timed("floor", lambda: _floor(image))
    normalised = timed("normalise", lambda: normalise(image))
    binary = timed("threshold", lambda: _bright(normalised, settings))
    brain = timed("components", lambda: _brain(binary, settings))
    dilated = timed("dilate", lambda: dilate(brain, settings.kernel_width, settings.kernel_shape))
    timed("fill", lambda: fill_holes(dilated) if settings.fill_holes else dilated)
    timed("whole", lambda: create_skull_masks(image[np.newaxis], settings))
    return seconds


def _floor(image: NDArray[Any]) -> NDArray[np.uint8]:
    return np.full(image.shape, image.max() > image.min(), dtype=np.uint8)


def _bright(normalised: NDArray[np.uint8], settings: PipelineSettings) -> NDArray[np.uint8]:
    if settings.threshold == "otsu":
        return binarise(normalised, otsu_threshold(normalised))
    return binarise(normalised, int(settings.threshold))


def _brain(binary: NDArray[np.uint8], settings: PipelineSettings) -> NDArray[np.uint8]:
    labels, components = label_components(binary, settings.connectivity)
    return component_mask(labels, choose_brain(components, settings.drop_edge_touching))


def _processor() -> str:
    """Name the processor; `platform` leaves it empty on many systems."""
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"
