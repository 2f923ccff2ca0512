"""A clock for work that takes turns, and what it was measured on.

A time in milliseconds belongs to one machine on one day. A share of the whole, or a ratio to
other work of the same moment, carries over better.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from time import get_clock_info, perf_counter, thread_time
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skullnb.batch import one_opencv_thread
from skullnb.errors import InvalidSetting
from skullnb.results import versions

# Processor time of the one thread does not count what other programs take away; wall-clock time
# does, and taxes long work more than the short floor. Some systems count it too coarsely.
IS_FINE = get_clock_info("thread_time").resolution < 1e-5
CLOCK = thread_time if IS_FINE else perf_counter

_PEERS = ("numba", "scikit-image", "SimpleITK")


def take_turns(
    work: Mapping[str, Callable[[], object]],
    rounds: int,
    prepare: Mapping[str, Callable[[], object]] | None = None,
    warm: bool = False,
) -> dict[str, list[float]]:
    """Time several pieces of work, one after the other in every round, in one thread.

    Taking turns, a machine that slows down half-way slows all of them, and none finds its data in
    the processor's nearest cache because it has just been there itself. One more round comes
    before the others and is not counted, unless all is warm already.

    Parameters
    ----------
    work : mapping of str to callable
    rounds : int
        At least 1.
    prepare : mapping of str to callable, optional
        What comes before a piece of work, off the clock.
    warm : bool
        Whether all work was done before, so that no round is needed to warm up.

    Returns
    -------
    dict of str to list of float
        Seconds, one for each round: processor time of the thread where the system counts it
        finely (`IS_FINE`), else time by the clock.

    Raises
    ------
    InvalidSetting
        If there is not a single round.

    Examples
    --------
    >>> times = take_turns({"short": lambda: None, "long": lambda: sum(range(100_000))}, rounds=3)
    >>> len(times["short"]), min(times["long"]) > max(times["short"])
    (3, True)
    """
    if rounds < 1:
        raise InvalidSetting(f"The number of rounds is {rounds}; it must be at least 1.")
    seconds: dict[str, list[float]] = {name: [] for name in work}
    with one_opencv_thread():
        for _ in range(rounds + (not warm)):
            for name, do in work.items():
                if prepare and name in prepare:
                    prepare[name]()
                start = CLOCK()
                do()
                seconds[name].append(CLOCK() - start)
    return {name: times[-rounds:] for name, times in seconds.items()}


def quartiles(values: ArrayLike) -> list[float]:
    """First quartile, median and third quartile.

    Examples
    --------
    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
    [2.0, 3.0, 4.0]
    """
    return [float(one) for one in np.percentile(np.asarray(values, dtype=float), (25, 50, 75))]


def growth(sizes: Sequence[float], times: ArrayLike) -> list[float]:
    """Exponent by which times grow: the slope of their logarithm over that of the sizes.

    Parameters
    ----------
    sizes : sequence of float
    times : (rounds, sizes) array

    Returns
    -------
    list of float
        Quartiles of the slopes of the rounds. 0: always the same; 1: twice the size, twice the
        time.

    Examples
    --------
    >>> [round(slope, 3) for slope in growth([1, 10, 100], [[2, 20, 200], [3, 30, 300]])]
    [1.0, 1.0, 1.0]
    """
    logs = np.log(np.asarray(times, dtype=float))
    return quartiles(np.polyfit(np.log(sizes), logs.T, 1)[0])


def machine() -> dict[str, str]:
    """Say what the times were measured on.

    Returns
    -------
    dict of str to str
        Processor, number of cores, system, and the versions that decide the speed.

    Examples
    --------
    >>> list(machine())[:5]
    ['processor', 'cores', 'system', 'python', 'numpy']
    """
    libraries = versions()
    named = ("python", "numpy", "scipy", "opencv-python-headless", "skullnb")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count() or "unknown"),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: libraries[name] for name in named},
        **{name: _version(name) for name in _PEERS},
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _processor() -> str:
    """Name the processor; `platform` leaves it empty on many systems."""
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def rounded(value: Any, digits: int = 4) -> Any:
    """Round every number in nested lists and mappings to significant digits.

    Examples
    --------
    >>> rounded({"ms": [0.000123456, 2]})
    {'ms': [0.0001235, 2]}
    """
    if isinstance(value, Mapping):
        return {name: rounded(one, digits) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one, digits) for one in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value
