"""Score matrices of synthetic subjects, made in parallel processes and kept on disk.

Only scores are kept (a few kB a subject), under a name that depends on the plan, on skullnb's own
source and on the libraries' versions, so a score that the present code would not give is never
read. How much the subjects differ is an assumption; every size of optimism that the cohort shows
depends on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from importlib import resources
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from skullnb.errors import InvalidSetting
from skullnb.phantom import Recipe, subject
from skullnb.processes import end_with_pool
from skullnb.results import versions, write_json
from skullnb.sweep import sweep_kernel_width
from skullnb.validation.scores import ScoreMatrix, join

# What decides a score: the heads, the masks, and how they are compared.
_SOURCES = ("phantom", "pipeline", "metrics", "stack", "sweep.py", "validation/cohort.py")


@dataclass(frozen=True)
class CohortPlan:
    """Which synthetic subjects to draw, and the kernels to try on them.

    Attributes
    ----------
    n_subjects, n_slices : int
        Subjects, and slices of each.
    first_seed : int
        The subjects' seeds are this one and those that follow it.
    spread : float
        How much the subjects differ, as in `skullnb.phantom.subject`.
    spacing_mm : (float, float)
        Each subject's pixels have a size between these, drawn by its seed.
    frame_mm : (float, float)
        Height and width of the frame.
    widths : tuple of int
        Kernel widths to sweep, px.
    recipe : Recipe
        The head that subjects are spread around.
    """

    n_subjects: int = 20
    n_slices: int = 5
    first_seed: int = 100
    spread: float = 1.0
    spacing_mm: tuple[float, float] = (0.30, 0.50)
    frame_mm: tuple[float, float] = (288.0, 234.0)
    widths: tuple[int, ...] = tuple(range(8, 51, 2))
    recipe: Recipe = field(default_factory=Recipe)

    @property
    def seeds(self) -> range:
        """The subjects' seeds."""
        return range(self.first_seed, self.first_seed + self.n_subjects)

    def spacing_of(self, seed: int) -> float:
        """Size of one subject's pixels, mm, to a thousandth.

        Examples
        --------
        >>> 0.30 <= CohortPlan().spacing_of(100) <= 0.50
        True
        """
        share = np.random.PCG64([seed, 5381]).random_raw() * 2.0**-64
        low, high = self.spacing_mm
        return round(low + (high - low) * share, 3)


def cohort_scores(
    plan: CohortPlan | None = None, workers: int = 2, cache_dir: Path | None = None
) -> ScoreMatrix:
    """Score the slices of all subjects at all kernel widths.

    Parameters
    ----------
    plan : CohortPlan, optional
        Twenty subjects with five slices each when left out.
    workers : int
        Processes; 1 = this one. A script that asks for more needs the usual
        ``if __name__ == "__main__":``, as for all of Python's process pools; without it, and
        where no processes can be started, the work is done in this one.
    cache_dir : Path, optional
        Where scores are kept between runs; the user's cache folder when left out. A folder that
        cannot be written to is no error: the scores are then made anew each time.

    Returns
    -------
    ScoreMatrix
        IoU, one row a slice; one group a subject, named "s" and its seed. The same numbers however
        they were made.

    Raises
    ------
    InvalidSetting
        If there is no subject or no process, or the plan cannot be drawn.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> plan = CohortPlan(n_subjects=2, n_slices=1, spacing_mm=(2.0, 2.4), widths=(3, 5, 7))
    >>> matrix = cohort_scores(plan, workers=1, cache_dir=Path(mkdtemp()))
    >>> matrix.groups, matrix.scores.shape
    (('s100', 's101'), (2, 3))
    """
    plan = plan or CohortPlan()
    if plan.n_subjects < 1 or workers < 1:
        raise InvalidSetting("A cohort needs at least one subject, and one process to draw it.")
    folder = cache_folder() if cache_dir is None else cache_dir
    paths = {seed: folder / f"cohort-{_digest(plan, seed)}.json" for seed in plan.seeds}
    found = {seed: _read(path, plan) for seed, path in paths.items()}
    kept = {seed: scores for seed, scores in found.items() if scores is not None}
    missing = [seed for seed in plan.seeds if seed not in kept]
    for seed, scores in zip(missing, _draw(plan, missing, workers), strict=True):
        kept[seed] = scores
        _keep(scores, paths[seed])
    parts = [
        ScoreMatrix(
            np.array(kept[seed]),
            np.array(plan.widths),
            (f"s{seed}",) * plan.n_slices,
            np.full(plan.n_slices, plan.spacing_of(seed)),
        )
        for seed in plan.seeds
    ]
    return join(parts)


def subject_scores(plan: CohortPlan, seed: int) -> list[list[float]]:
    """Draw one subject and score its slices.

    Parameters
    ----------
    seed : int
        One of the plan's.

    Returns
    -------
    list of list of float
        IoU; one row a slice, one value a kernel width.

    Examples
    --------
    >>> plan = CohortPlan(n_slices=1, spacing_mm=(2.0, 2.4), widths=(3, 5, 7))
    >>> len(subject_scores(plan, 100)[0])
    3
    """
    spacing = plan.spacing_of(seed)
    height, width = (round(side / spacing) for side in plan.frame_mm)
    stack = subject(
        seed,
        plan.n_slices,
        shape=(height, width),
        spacing_mm=(spacing, spacing),
        spread=plan.spread,
        recipe=plan.recipe,
    )
    table = sweep_kernel_width(stack, plan.widths, ("iou",))
    scores: list[list[float]] = table["iou"].reshape(plan.n_slices, len(plan.widths)).tolist()
    return scores


def cache_folder() -> Path:
    """Folder where this user's programs keep what they can make again.

    Returns
    -------
    Path
        `SKULLNB_CACHE` if that is set, else a folder `skullnb` where the system has such things.

    Examples
    --------
    >>> cache_folder().is_absolute()
    True
    """
    if os.environ.get("SKULLNB_CACHE"):
        return Path(os.environ["SKULLNB_CACHE"]).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "skullnb"
    home = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".cache") / "skullnb"


def _draw(plan: CohortPlan, seeds: Sequence[int], workers: int) -> Iterator[list[list[float]]]:
    """Score subjects, in order, in processes of their own where that is worth while."""
    n_done = 0
    workers = min(workers, len(seeds))
    if workers > 1:
        try:
            # Spawned, because forking a notebook's kernel copies locks its threads may hold.
            with ProcessPoolExecutor(workers, get_context("spawn"), _begin_process) as pool:
                for scores in pool.map(partial(subject_scores, plan), seeds):
                    yield scores
                    n_done += 1
        except (BrokenProcessPool, OSError):
            pass  # no processes to be had here: the rest is done below, more slowly
    for seed in seeds[n_done:]:
        yield subject_scores(plan, seed)


def _begin_process() -> None:
    cv2.setNumThreads(1)
    end_with_pool()


def _digest(plan: CohortPlan, seed: int) -> str:
    """Name everything that decides a subject's scores."""
    decides = asdict(plan)
    del decides["n_subjects"], decides["first_seed"]  # which others there are does not
    content = {"plan": decides, "seed": seed, "source": _source(), "versions": versions()}
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@lru_cache(maxsize=1)
def _source() -> str:
    """sha256 of the code that makes the scores."""
    digest = hashlib.sha256()
    package = Path(str(resources.files("skullnb")))
    for name in _SOURCES:
        path = package / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(package).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(path: Path, plan: CohortPlan) -> list[list[float]] | None:
    """Give kept scores back; None when there are none, or the file is damaged."""
    try:
        scores = np.array(json.loads(path.read_text(encoding="utf-8"))["iou"], dtype=np.float64)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if scores.shape != (plan.n_slices, len(plan.widths)) or not np.isfinite(scores).all():
        return None
    kept: list[list[float]] = scores.tolist()
    return kept


def _keep(scores: Any, path: Path) -> None:
    with suppress(OSError):  # a cache is a convenience
        write_json({"iou": scores}, path)
