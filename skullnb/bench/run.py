"""One run of everything, as a dictionary and as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from skullnb.bench.clock import IS_FINE, machine, rounded
from skullnb.bench.contestants import CONTESTANTS, NAMES, here
from skullnb.bench.processes import count_instructions, time_batch, time_start
from skullnb.bench.slices import (
    against_components,
    against_size,
    chosen,
    compare,
    looks,
    noisy,
    time_stages,
    time_sweep,
)
from skullnb.errors import UnreadableFile
from skullnb.phantom import published_stack
from skullnb.results import write_json
from skullnb.stack import Stack

RECORDED = Path(__file__).with_name("recorded.json")
SWEPT = tuple(range(12, 42, 2))

# The literal version takes too long to count where components are thousands.
_COUNTED = ("numba", "numpy", "opencv", "floor")


def bench(
    stack: Stack,
    kernel_width: int = 26,
    *,
    quick: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> dict[str, Any]:
    """Measure everything in one run.

    Parameters
    ----------
    stack : Stack
        At most `slices.MOST_SLICES` slices, spread over it, are compared; all else is measured
        on the built-in phantom.
    kernel_width : int
        In px.
    quick : bool
        Fewer rounds, no batches, no instructions.
    say : callable, optional
        Is told what comes next.

    Returns
    -------
    dict
        What JSON can hold: `date`, `machine`, `clock`, `data`, `quick`, `absent` (contestants
        that are not installed), `slices` and `noisy` (see `slices.compare`), `stages`, `size`,
        `components`, `sweep`, `start`, and where not quick `batch` and `instructions`, which is
        None where nothing can count them.

    Raises
    ------
    SkullnbError
        If a mask is not the literal one that has to be.
    """
    images, phantom = chosen(stack), list(published_stack().images)
    disturbed = noisy(1 if quick else 2)
    parts: dict[str, tuple[str, Callable[[], Any]]] = {
        "slices": ("all ways on the slices", lambda: compare(images, kernel_width, _n(quick, 25))),
        "noisy": ("all ways on noise", lambda: compare(disturbed, 26, 1 if quick else 3, here())),
        "stages": ("stage by stage", lambda: time_stages(images, kernel_width, _n(quick, 25))),
        "size": (
            "against the size of a slice",
            lambda: against_size(
                (256, 512, 1024) if quick else (256, 512, 1024, 2048), _n(quick, 5)
            ),
        ),
        "components": (
            "against the number of components",
            lambda: against_components((10, 100) if quick else (10, 100, 1000, 3000), _n(quick, 3)),
        ),
        "sweep": (
            "the sweep of kernel widths",
            lambda: time_sweep(phantom[: 1 if quick else 5], SWEPT, _n(quick)),
        ),
        "start": ("starting", lambda: time_start(1 if quick else 7, not quick)),
    }
    if not quick:
        parts["batch"] = ("batches", lambda: time_batch(300, 3))
        parts["instructions"] = (
            "counting instructions",
            lambda: [
                count_instructions(images[len(images) // 2], ("literal", *_COUNTED)),
                count_instructions(disturbed[0], _COUNTED),
            ],
        )
    found: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "clock": "processor time of one thread" if IS_FINE else "time by the clock",
        "data": stack.name,
        "quick": quick,
        "absent": [one.name for one in CONTESTANTS if not one.is_here],
        "noisy_components": [int(looks(image) / image.size) for image in disturbed],
    }
    for name, (what, measure) in parts.items():
        say(what)
        found[name] = rounded(measure())
    return found


@lru_cache(maxsize=1)
def recorded() -> dict[str, Any]:
    """Read the full run that comes with the package.

    Returns
    -------
    dict
        What `bench` gave.

    Raises
    ------
    UnreadableFile
        If it is damaged.

    Examples
    --------
    >>> recorded()["quick"]
    False
    """
    try:
        return dict(json.loads(RECORDED.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UnreadableFile(
            f"The recorded times {RECORDED.name!r} are damaged; install skullnb again."
        ) from error


def record(found: Mapping[str, Any]) -> Path:
    """Keep a full run in the package, as the one that the chapter on timing shows."""
    return write_json(found, RECORDED)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Say what was measured, for a terminal.

    Parameters
    ----------
    found : mapping
        What `bench` gave.

    Yields
    ------
    str
        One line.

    Examples
    --------
    >>> next(lines(recorded())).split(": ")[0]
    'measured'
    """
    yield f"measured: {found['date']}, {found['clock']}, medians [quartiles]"
    yield "on: " + ", ".join(
        f"{name} {value}" if value[:1].isdigit() else value
        for name, value in found["machine"].items()
        if value != "absent"
    )
    if found["absent"]:
        names = ", ".join(NAMES[name] for name in found["absent"])
        yield f"absent: {names}; pip install 'skullnb[bench,fast]' brings all"
    many = ", ".join(map(str, found["noisy_components"]))
    for part, title in (("slices", found["data"]), ("noisy", f"noise, {many} components")):
        yield ""
        yield f"{title:<24}{'ms a slice':>22}{'faster':>9}{'floors':>9}{'IoU':>9}{'other px':>10}"
        for name, row in found[part].items():
            yield (
                f"  {NAMES[name]:<22}{_spread(row['ms']):>22}{_number(row.get('times_faster')):>9}"
                f"{_number(row['times_floor']):>9}{_number(row['iou'], '.4f'):>9}"
                f"{_number(row['differing_px'], 'd'):>10}"
            )
    yield ""
    stages = [one for one in found["stages"] if one != "floor"]
    yield f"{'ms of each stage':<24}" + "".join(f"{way:>10}" for way in stages)
    for stage in next(iter(found["stages"][way] for way in stages)):
        yield f"  {stage:<22}" + "".join(
            f"{_number(found['stages'][way].get(stage), '.3f'):>10}" for way in stages
        )
    for part, what in (("size", "pixels"), ("components", "components")):
        yield ""
        yield f"time grows with {what} to the power of [quartiles]"
        for name, exponent in found[part]["exponent"].items():
            yield f"  {NAMES[name]:<22}{_spread(exponent, '.2f'):>22}"
    yield ""
    sweep = found["sweep"]
    yield f"sweep of {sweep['widths']} widths, slices: {sweep['slices']}: " + ", ".join(
        f"{NAMES[name]} {_spread(ratio, '.1f')} times faster"
        for name, ratio in sweep["times_faster"].items()
    )
    yield "starting, s: " + ", ".join(
        f"{name.replace('_', ' ')} {seconds:.2f}"
        for name, seconds in found["start"].items()
        if seconds is not None
    )
    if "batch" in found:
        yield from _batch_lines(found["batch"])
    if "instructions" in found:
        yield ""
        for title, counts in zip((found["data"], "noise"), found["instructions"], strict=True):
            yield f"instructions of a mask, millions, {title}: " + (
                ", ".join(f"{NAMES[name]} {millions:.1f}" for name, millions in counts.items())
                if counts
                else "not counted, for want of valgrind"
            )


def _batch_lines(batch: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield f"{'a batch of ' + str(batch['slices']):<24}{'workers':>9}{'slices/s':>22}{'peak MB':>10}"
    for row in batch["ways"]:
        yield (
            f"  {row['way']:<22}{row['workers']:>9}{_spread(row['slices_a_second'], '.0f'):>22}"
            f"{_number(row['peak_mb'], '.0f'):>10}"
        )
    if batch["tasks"]:
        yield "Dask, 2 processes, slices a task: slices/s: " + ", ".join(
            f"{task['slices_a_task']}: {task['slices_a_second'][1]:.0f}" for task in batch["tasks"]
        )


def _n(quick: bool, full: int = 7) -> int:
    return 2 if quick else full


def _spread(values: list[float], spec: str = ".3f") -> str:
    low, middle, high = (format(value, spec) for value in values)
    return middle if low == high else f"{middle} [{low} {high}]"


def _number(value: Any, spec: str = ".1f") -> str:
    if value is None:
        return "-"
    return format(value[1] if isinstance(value, list) else value, spec)
