"""What is measured in a process of its own: `python -m skullnb.bench.child JOB ...` prints JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import cv2
import numpy as np

from skullnb.batch import mask_batch
from skullnb.bench.contestants import here
from skullnb.bench.literal import literal_mask
from skullnb.pipeline import warm_up


def article(images: str, workers: str) -> dict[str, Any]:
    """Mask a .npy file as the article's script does: all in memory, pixels sent to a pool."""

    def work(output: Path) -> None:
        with Pool(int(workers)) as pool:
            np.save(output, np.array(pool.map(literal_mask, np.load(images, allow_pickle=False))))

    return _batch(work, "masks.npy", images)


def ours(images: str, workers: str, evidence: str, ending: str) -> dict[str, Any]:
    """Mask a .npy file with `mask_batch`, on threads."""
    warm_up()

    def work(output: Path) -> None:
        mask_batch(images, output, workers=int(workers), evidence=evidence)

    return _batch(work, f"masks{ending}", images)


def dask(images: str, workers: str, *sizes: str) -> list[dict[str, Any]]:
    """Mask a .npy file on a Dask cluster of this machine, with tasks of several sizes."""
    from distributed import LocalCluster  # type: ignore[attr-defined, unused-ignore]

    from skullnb.batch import workers as crews

    # What is tried here is why smaller tasks are otherwise joined.
    crews.LEAST_SLICES_A_TASK = 1
    warm_up()
    n_slices = len(np.load(images, mmap_mode="r", allow_pickle=False))
    found = []
    with LocalCluster(  # type: ignore[no-untyped-call, unused-ignore]
        n_workers=int(workers), threads_per_worker=1, dashboard_address=None
    ) as cluster:
        # The first run makes the workers import everything.
        for size in (sizes[-1], *sizes):
            with TemporaryDirectory() as folder:
                start = perf_counter()
                mask_batch(
                    images,
                    Path(folder) / "masks.zarr",
                    scheduler=cluster.scheduler_address,
                    chunk=int(size),
                    evidence="brief",
                )
                rate = n_slices / (perf_counter() - start)
            found.append({"slices_a_task": int(size), "slices_a_second": rate})
    return found[1:]


def calls(name: str, image: str, repeats: str) -> dict[str, Any]:
    """Make a contestant's mask so many times, for something outside to count by."""
    cv2.setNumThreads(1)
    one = here(name)[0]
    one.warm()
    pixels = np.load(image, allow_pickle=False)
    for _ in range(int(repeats)):
        one.mask(pixels, 26)
    return {}


def peak_megabytes() -> float | None:
    """Most memory this process ever held, in MB of 10^6 bytes; None where it cannot be told.

    Examples
    --------
    >>> (peak_megabytes() or 1.0) > 0
    True
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = status.read_text(encoding="utf-8").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024 / 1e6


def _batch(work: Callable[[Path], None], name: str, images: str) -> dict[str, Any]:
    n_slices, height, width = np.load(images, mmap_mode="r", allow_pickle=False).shape
    with TemporaryDirectory() as folder:
        output = Path(folder) / name
        start = perf_counter()
        work(output)
        seconds = perf_counter() - start
        files = output.rglob("*") if output.is_dir() else [output]
        size = sum(file.stat().st_size for file in files if file.is_file())
    return {
        "slices_a_second": n_slices / seconds,
        "peak_mb": peak_megabytes(),
        "bytes_a_slice": size / n_slices,
        "pixels": height * width,
    }


_JOBS: dict[str, Callable[..., Any]] = {
    "article": article,
    "ours": ours,
    "dask": dask,
    "calls": calls,
}

if __name__ == "__main__":
    # Workers of a pool or a cluster say nothing here but what they are asked.
    cv2.setNumThreads(1)
    answer = _JOBS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(answer))
