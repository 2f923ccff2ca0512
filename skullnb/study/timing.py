"""What masks cost: pieces of work that take turns, and the times recorded with the package.

`book/measure_times.py` in the sources measures those anew (chapter 13).
"""

import json
import os
import platform
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from time import get_clock_info, perf_counter, thread_time
from typing import Any

import cv2
import pandas as pd

RECORDED = Path(__file__).with_name("timing.json")
# Ways to a mask, as the recorded tables name them; the last makes the masks of all `WIDTHS`.
ARTICLE, FLOOR = "the article's way", "floor"
MASK, SWEEP = "skullnb, mask alone", "skullnb, all widths"
WIDTHS = tuple(range(12, 42, 2))
LIBRARIES = ["skullnb", "numpy", "scipy", "opencv-python-headless", "numba", "nibabel"]
LIBRARIES += ["scikit-image", "SimpleITK"]
# Time of the one thread does not count what other programs take; some systems tell it too coarsely.
CLOCK = thread_time if get_clock_info("thread_time").resolution < 1e-5 else perf_counter


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


def library_versions() -> dict[str, str]:
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


def recorded() -> dict[str, Any]:
    """Read the run that comes with the package; its tables are DataFrames."""
    found = dict(json.loads(RECORDED.read_text(encoding="utf-8")))
    return found | {"tables": {name: pd.DataFrame(rows) for name, rows in found["tables"].items()}}
