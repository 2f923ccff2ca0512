"""Scores of synthetic subjects at every kernel width, kept on disk between runs.

Only scores are kept, as CSV of a few kB a subject, under a name that depends on the plan, on
skullnb's own source and on the libraries' versions: a score that the present code would not give is
never read. How much the subjects differ is an assumption; every size of optimism that the cohort
shows depends on it.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from skullnb.errors import InvalidSetting
from skullnb.phantom import Recipe, subject
from skullnb.sweep import sweep_kernel_width

if TYPE_CHECKING:
    import pandas as pd

# What decides a score: the heads, the masks, and how they are compared.
_SOURCES = ("phantom", "pipeline", "metrics.py", "stack", "sweep.py", "study/cohort.py")


@dataclass(frozen=True)
class CohortPlan:
    """Which synthetic subjects to draw, and the kernels to try on them.

    Parameters
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

    @property
    def spacings(self) -> dict[str, float]:
        """Size of each subject's pixels, mm, to a thousandth; by its name in the scores."""
        low, high = self.spacing_mm
        shares = {
            seed: np.random.PCG64([seed, 5381]).random_raw() * 2.0**-64 for seed in self.seeds
        }
        return {f"s{seed}": round(low + (high - low) * one, 3) for seed, one in shares.items()}


def cohort_scores(
    plan: CohortPlan | None = None, workers: int = 2, cache_dir: Path | None = None
) -> pd.DataFrame:
    """Score the slices of all subjects at all kernel widths.

    Parameters
    ----------
    plan : CohortPlan, optional
        Twenty subjects with five slices each when left out.
    workers : int
        Threads.
    cache_dir : Path, optional
        Where scores are kept between runs; the user's cache folder when left out. A folder that
        cannot be written to is no error: the scores are then made anew each time.

    Returns
    -------
    DataFrame
        IoU: index (volume, slice), a column for each kernel width; as from
        `skullnb.study.validation.score_table`. A volume is named "s" and its seed.

    Raises
    ------
    InvalidSetting
        If there is no subject or no worker, or the plan cannot be drawn.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> plan = CohortPlan(n_subjects=2, n_slices=1, spacing_mm=(2.0, 2.4), widths=(3, 5, 7))
    >>> cohort_scores(plan, workers=1, cache_dir=Path(mkdtemp())).index.tolist()
    [('s100', 0), ('s101', 0)]
    """
    import pandas as pd

    plan = plan or CohortPlan()
    if plan.n_subjects < 1 or workers < 1:
        raise InvalidSetting("A cohort needs at least one subject, and one worker to draw it.")
    folder = cache_folder() if cache_dir is None else cache_dir
    # Threads end with the program that started them, and NumPy and OpenCV let others run.
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(partial(_kept_scores, plan, folder), plan.seeds))
    names = [list(plan.spacings), range(plan.n_slices)]
    index = pd.MultiIndex.from_product(names, names=["volume", "slice"])
    return pd.DataFrame(np.concatenate(found), index, pd.Index(plan.widths, name="kernel_width"))


def subject_scores(plan: CohortPlan, seed: int) -> NDArray[np.float64]:
    """Draw one subject of the plan and score its slices: IoU, a row a slice, a column a width."""
    spacing = plan.spacings[f"s{seed}"]
    height, width = (round(side / spacing) for side in plan.frame_mm)
    stack = subject(
        seed,
        plan.n_slices,
        shape=(height, width),
        spacing_mm=(spacing, spacing),
        spread=plan.spread,
        recipe=plan.recipe,
    )
    rows = sweep_kernel_width(stack, plan.widths, ("iou",))
    return rows["iou"].to_numpy().reshape(plan.n_slices, len(plan.widths))


def cache_folder() -> Path:
    """Folder for what can be made again: `SKULLNB_CACHE`, or where the system has such things."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("SKULLNB_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("skullnb")


def _kept_scores(plan: CohortPlan, folder: Path, seed: int) -> NDArray[np.float64]:
    """Read a subject's scores, or make and keep them where they are missing or damaged."""
    path = folder / f"cohort-{_digest(plan, seed)}.csv"
    with suppress(OSError, ValueError):
        scores = np.array([line.split(",") for line in path.read_text().split()], dtype=np.float64)
        if scores.shape == (plan.n_slices, len(plan.widths)) and np.isfinite(scores).all():
            return scores
    scores = subject_scores(plan, seed)
    with suppress(OSError):  # a cache is a convenience
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as passing:
            np.savetxt(Path(passing, path.name), scores, fmt="%.17g", delimiter=",")
            Path(passing, path.name).replace(path)
    return scores


def _digest(plan: CohortPlan, seed: int) -> str:
    """Name everything that decides a subject's scores."""
    decides = asdict(plan)
    del decides["n_subjects"], decides["first_seed"]  # which others there are does not
    versions = [library.__version__ for library in (np, scipy, cv2)]
    content = {"plan": decides, "seed": seed, "source": _source(), "versions": versions}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


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
