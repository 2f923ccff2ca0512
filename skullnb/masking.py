"""Masks of one or many volumes: where each goes, how it is called, and what is said of it.

Beside every mask are a table with a row a slice, which says what looks wrong, and a JSON file that
says how the mask was made. In a BIDS derivative dataset all three have names that BIDS knows.
"""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from skullnb import heads
from skullnb.errors import InvalidSetting, SkullnbError, in_one_line, sentence
from skullnb.pipeline import PipelineSettings, SliceMeasure, load, measure_stack
from skullnb.pipeline.signs import kernel_sign
from skullnb.reach import asked_remark, reach_mm, span_remark
from skullnb.stack import (
    MASK_KINDS,
    Stack,
    Volume,
    list_volumes,
    read_stack,
    refuse_place,
    write_masks,
    writing,
)
from skullnb.stack.checks import expand, stem, suffix_of
from skullnb.stack.read import open_volume

if TYPE_CHECKING:
    import pandas as pd


HEADING = "status  slices  warned  empty     Otsu  kernel           area    time  volume"
"""Above the lines of `Masked`: Otsu is the range of the thresholds of all slices."""

DESCRIPTION = "The outer surface of the skull and everything inside it (bone, CSF, brain), no scalp"
ON_WARNING = ("keep", "empty")
MOST_RANGES = 20  # in a sentence; tables and JSON files name all
BIDS_DESCRIPTION, BIDS_VERSION = "SkullAndInside", "1.10.0"

_WITHOUT_GRID = {kind: kind for kind in (".npy", ".npz", ".tif", ".tiff", ".png")}
_WITHOUT_GRID |= {".jpg": ".png", ".jpeg": ".png"}
_COLUMNS = (
    *("index", "source", "slice", "group", "status", "kernel_width", "spacing_mm", "threshold"),
    *("n_components", "n_edge_touching", "brain_px", "dilated_px", "mask_px", "written_px"),
    *("reason", "warnings"),
)
_NO_SHA256 = "not computed: all images would be read once more; see Batch.input"
_DATASET = "dataset_description.json"
_DATATYPES = ("anat", "func", "dwi", "fmap", "perf", "pet")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")

Visit = Callable[[int, SliceMeasure], object]
Spacing = tuple[float, float] | None  # (row, column) in mm, where it is known


@dataclass(frozen=True)
class Job:
    """One volume (or an open head's name), its mask's file, and the folder made for all masks.

    Files of one slice each, of which one file of masks is made, are `together`, and `source` is the
    first.
    """

    source: Volume | str
    path: Path
    folder: Path | None = None
    bids: bool = False
    together: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """What the volume is called."""
        if self.together:
            return self.together[0].resolve().parent.name
        return self.source if isinstance(self.source, str) else self.source.name

    @property
    def beside(self) -> tuple[Path, Path]:
        """The table and the JSON file beside the mask."""
        return beside(self.path, tabs=self.bids)


@dataclass(frozen=True)
class Masked:
    """What came of one volume: its table (a row a slice), the kernel that was used, or an error."""

    name: str
    path: Path
    seconds: float
    table: pd.DataFrame | None = None
    kernel_width: int = 0
    remarks: tuple[str, ...] = ()
    error: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Slices, and how many of them are ok, warned and empty."""
        return count([] if self.table is None else self.table["status"])

    @property
    def status(self) -> str:
        """`ok`, `warned` (some slices look wrong), `empty` (all of them) or `failed`."""
        found = self.counts
        whole = [kind for kind in ("empty", "ok") if found[kind] == found["slices"]]
        return "failed" if self.error else [*whole, "warned"][0]

    @property
    def wrong(self) -> str:
        """Say which slices look wrong, such as "80 of 190 slices look wrong: 27-66"."""
        return "" if self.table is None else say_wrong(self.table["status"], self.table["slice"])

    def __str__(self) -> str:
        """One line under `HEADING`."""
        slices = warned = empty = otsu = kernel = area = "-"
        if self.table is not None:
            slices, _, warned, empty, *_ = map(str, self.counts.values())
            otsu = "-".join(map(str, sorted({*self.table["threshold"].agg(["min", "max"])})))
            kernel, area = f"{self.kernel_width} px", f"{self.table['mask_px'].sum()} px"
        facts = f"{slices:>6}  {warned:>6}  {empty:>5}  {otsu:>7}  {kernel:>6}  {area:>13}"
        where = in_one_line(self.name if self.error else f"{self.name} -> {self.path.name}")
        return f"{self.status:6}  {facts}  {self.seconds:4.1f} s  {where}"


def beside(mask: Path, *, tabs: bool = False, parquet: bool = False) -> tuple[Path, Path]:
    """Return the table and the JSON file beside a mask.

    Examples
    --------
    >>> [path.name for path in beside(Path("T1_mask.nii.gz"))]
    ['T1_mask.csv', 'T1_mask.json']
    """
    name = mask.name if mask.suffix == ".zarr" else stem(mask)
    kind = ".tsv" if tabs else ".parquet" if parquet else ".csv"
    return mask.with_name(name + kind), mask.with_name(f"{name}.json")


def count(statuses: Iterable[str]) -> dict[str, int]:
    """Count slices: all, and those of each status."""
    found = Counter(statuses)
    kinds = ("ok", "warned", "empty", *(["failed"] if found["failed"] else []))
    return {"slices": found.total(), **{kind: found[kind] for kind in kinds}}


def say_wrong(statuses: Iterable[str], numbers: Iterable[int]) -> str:
    """Say how many slices look wrong, and which; "" when none does."""
    pairs = list(zip(statuses, numbers, strict=True))
    wrong = [number for status, number in pairs if status == "warned"]
    look, told = "looks" if len(wrong) == 1 else "look", ranges_of(wrong, MOST_RANGES)
    several = "s" * (len(pairs) != 1)
    return f"{len(wrong)} of {len(pairs)} slice{several} {look} wrong: {told}" if wrong else ""


def say_failed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say which rows of a batch's table failed, and why the first did; "" when none did."""
    failed = [row for row in rows if row["status"] == "failed"]
    if not failed:
        return ""
    told = ranges_of((row["index"] for row in failed), MOST_RANGES)
    why = failed[0]["reason"] if len(failed) == 1 else f"the first because: {failed[0]['reason']}"
    slices = "slice" if len(rows) == 1 else "slices"
    return f"{len(failed)} of {len(rows)} {slices} failed: {told}; {why}"


def warning_lines(table: pd.DataFrame) -> list[str]:
    """Write one line for every kind of warning, with the slices that it is about.

    Numbers that differ from slice to slice are given as ranges, such as "fills only 20-60% of".
    """
    # A kind is the words; what stands between them are its numbers.
    about: dict[tuple[str, ...], list[tuple[int, list[str]]]] = {}
    for number, texts in zip(table["slice"].tolist(), table["warnings"], strict=True):
        for text in texts:
            kind = tuple(_NUMBER.split(text))
            about.setdefault(kind, []).append((number, _NUMBER.findall(text)))
    lines = []
    for words, found in about.items():
        slices, values = (
            [number for number, _ in found],
            zip(*(some for _, some in found), strict=True),
        )
        sentence = words[0]
        for word, numbers in zip(words[1:], values, strict=True):
            low, high = min(numbers, key=float), max(numbers, key=float)
            sentence += (low if low == high else f"{low}-{high}") + word
        lines.append(f"slice{'s' * (len(slices) > 1)} {ranges_of(slices, MOST_RANGES)}: {sentence}")
    return lines


def ranges_of(numbers: Iterable[int], most: int | None = None) -> str:
    """Write ascending whole numbers as ranges, and say how many more there are than `most`.

    Examples
    --------
    >>> ranges_of([0, 1, 2, 7, 9, 10]), ranges_of([1, 3, 4, 7], most=2)
    ('0-2, 7, 9-10', '1, 3-4 and 1 more')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    told = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    more = sum(map(len, runs[most:])) if most else 0
    return ", ".join(told[:most]) + (f" and {more} more" if more else "")


def plan_masks(
    images: str | Path, output: str | Path, *, bids: bool = False, suffix: str = ""
) -> list[Job]:
    """Decide where the masks of all volumes go, before any is made.

    `images` is a file, a folder, a pattern or a BIDS dataset, of which the images are taken that
    end in `suffix` (T1w), or a name that `heads.open_data` knows. For one volume, or files of one
    slice each, `output` may be a file with all masks, else it is a folder: there a mask is called
    after its volume, with `_mask`, and is NIfTI where the volume has an orientation, otherwise of
    the volume's kind. With `bids` the folder is a derivative dataset. Raises SkullnbError if masks
    would meet in one file or replace an image, if a name is no BIDS name and should be, and if
    there are no images.
    """
    output, known = expand(output), heads.known(str(images))
    sources: Sequence[Volume | str] = [known] if known else []
    sources = sources or list_volumes(images, suffix, every_series=True)
    is_file = suffix_of(output) in MASK_KINDS and not output.is_dir()
    is_one = is_file or (not known and expand(images).is_file() and not output.is_dir())
    if is_file and bids:
        raise InvalidSetting(f"BIDS masks go into a folder, and {output.name} is a file's name.")
    if len(sources) == 1 and is_one and not bids:
        return [Job(sources[0], output)]
    if is_file and suffix_of(output) != ".png" and _single(sources, suffix_of(output)):
        paths = tuple(map(_place, sources))
        return [Job(sources[0], output, together=paths)]
    if is_file:
        raise InvalidSetting(
            f"{images} stands for {len(sources)} volumes, and their masks don't go into one file "
            f"{output.name}; name a folder."
        )
    place = _bids_path if bids else _path
    jobs = [Job(one, place(one, output), output, bids) for one in sources]
    path, times = Counter(job.path for job in jobs).most_common(1)[0]
    if times > 1:
        same = [str(_place(job.source)) for job in jobs if job.path == path]
        raise InvalidSetting(
            f"The masks of {' and '.join(same[:3])} would both be called {path.name}; take them "
            "apart with a pattern such as 'scans/*_T1w.nii.gz'."
        )
    own = {_place(one).resolve() for one in sources}
    for job in jobs:
        if job.path.resolve() in own:
            raise InvalidSetting(
                f"{job.path.name}, the mask of {_place(job.source).name}, is itself among the "
                "images; write to another folder, or name the images with a pattern."
            )
    return jobs


def mask_volumes(
    jobs: Sequence[Job],
    settings: PipelineSettings | None = None,
    *,
    slices: str = "",
    axis: str = "",
    spacing_mm: str = "",
    nan_background: bool = False,
    on_warning: str = "keep",
    overwrite: bool = False,
    workers: int | None = None,
    visit: Visit | None = None,
) -> Iterator[Masked]:
    """Make the masks of volumes, each beside a table and a JSON file, in the order of the jobs.

    A single job raises what goes wrong; among several the failed one is reported and the rest done.
    A reach in mm becomes a kernel width at each volume's own spacing. `slices`, `axis`,
    `spacing_mm` and `nan_background` are as in `read_stack`, for each volume. `on_warning="empty"`
    writes nothing on slices whose mask looks wrong. `workers` volumes are done side by side (as
    many as there are processors). `visit(index, measure)` is called after each slice.
    """
    settings = settings or PipelineSettings()
    if on_warning not in ON_WARNING:
        raise InvalidSetting(f"on_warning is {' or '.join(ON_WARNING)}, not {on_warning!r}.")
    words: Any = {"slices": slices, "axis": axis, "spacing_mm": spacing_mm}
    words["nan_background"] = nan_background
    load()  # before any clock starts

    def one(job: Job) -> Masked:
        started = time.monotonic()
        try:
            # Asked before the long work, and again when the volume's own files are known.
            if job.path.parent.is_dir() or job.folder is None:
                _refuse_places(job, (), overwrite)
            opened: Any = heads.open_data if isinstance(job.source, str) else read_stack
            stack = opened(job.together or job.source, **words)
            found = _mask_stack(stack, job, settings, on_warning, overwrite, visit)
        except (SkullnbError, OSError, MemoryError) as error:
            if len(jobs) == 1:
                raise
            return Masked(
                job.name,
                job.path,
                time.monotonic() - started,
                error=sentence(error) or "It stopped.",
            )
        return Masked(job.name, job.path, time.monotonic() - started, **found)

    size = min(workers or n_processors(), len(jobs))
    if size < 2:
        yield from map(one, jobs)
        return
    with stopped_between() as look, one_opencv_thread(), ThreadPoolExecutor(size) as pool:
        begun = [pool.submit(one, job) for job in jobs]
        try:
            for future in begun:
                while wait([future], timeout=LOOK_EVERY).not_done:
                    look()
                yield future.result()
        finally:
            for future in begun:
                future.cancel()


def _mask_stack(
    stack: Stack,
    job: Job,
    settings: PipelineSettings,
    on_warning: str,
    overwrite: bool,
    visit: Visit | None,
) -> dict[str, Any]:
    """Mask one volume and write all that belongs to it."""
    import pandas as pd

    own = (*stack.sources, *stack.reference_sources)
    if job.folder is None:
        _refuse_places(job, own, overwrite)
    used = settings.at(stack.spacing_mm)
    masks = np.zeros(stack.images.shape, dtype=np.uint8)

    def keep(index: int, measure: SliceMeasure) -> None:
        masks[index] = measure.mask
        if visit:
            visit(index, measure)

    table = measure_stack(stack, used, keep)
    names = [one.name for one in stack.sources] or [stack.name]
    table["source"] = [names[number] for number in stack.volume_numbers]
    found: list[Any] = table.to_dict("records")
    kernel = kernel_of(settings, stack.spacing_mm)
    rows = complete([row | kernel for row in found], on_warning)
    table = pd.DataFrame(rows)
    masks[(table["written_px"] == 0).to_numpy()] = 0
    named = [_bids_source(one) for one in stack.sources] or [stack.name]
    # A stack has one spacing, and its remarks name their files.
    sources = [(one, stack.spacing_mm, ()) for one in named]
    remarks = remarks_on(settings, [(job.name, stack.spacing_mm, stack.remarks)])
    account = {
        **describe(rows, "slice", settings, sources, on_warning),
        "Remarks": list(remarks),
        "SourceSHA256": stack.fingerprint(),
        "Axis": stack.axis,
        "Slices": ranges_of(sorted(stack.slice_numbers)),
    }
    if job.folder is not None:
        job.path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_places(job, own, overwrite)
    rows_path, about_path = job.beside
    with writing(rows_path) as table_path, writing(about_path) as about:
        write_table(rows, table_path)
        about.write_text(_json(account), encoding="utf-8")
        write_masks(masks, job.path, stack, overwrite=overwrite)
    if job.bids and job.folder and not (job.folder / _DATASET).exists():
        _describe_dataset(job.folder, stack.sources)
    return {"table": table, "kernel_width": used.kernel_width, "remarks": remarks}


def kernel_of(settings: PipelineSettings, spacing_mm: Spacing) -> dict[str, Any]:
    """Give what a row says of its kernel: the width in px, and the spacing as it is typed."""
    known = "" if spacing_mm is None else "x".join(f"{one:g}" for one in spacing_mm)
    return {"kernel_width": settings.at(spacing_mm).kernel_width, "spacing_mm": known}


def complete(rows: list[dict[str, Any]], on_warning: str) -> list[dict[str, Any]]:
    """Add to rows, by every door, their place among all, and how large a mask was written."""
    for index, row in enumerate(rows):
        kept = row["status"] == "ok" or (row["status"] == "warned" and on_warning == "keep")
        row |= {"index": index, "written_px": row["mask_px"] if kept else 0}
    return rows


def remarks_on(
    settings: PipelineSettings, volumes: Sequence[tuple[str, Spacing, Sequence[str]]]
) -> tuple[str, ...]:
    """Say what is remarkable about volumes (name, spacing, remarks), as a kernel's span in mm.

    What holds for several is said once, of the first, with how many more there are.
    """
    about: dict[str, list[str]] = {}
    for name, spacing_mm, remarks in volumes:
        span = _span_of(settings, spacing_mm)
        spans = [f"{name}: {span}" if len(volumes) > 1 else span] if span else []
        for remark in (*spans, *remarks):
            named = remark.startswith((f"{name} ", f"{name}: "))
            about.setdefault(remark.removeprefix(name) if named else remark, []).append(name)
    told = []
    for words, names in about.items():
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        told.append(f"{names[0]}{more}{words}" if words[:1] in (" ", ":") else words)
    return tuple(told)


def _span_of(settings: PipelineSettings, spacing_mm: Spacing) -> str:
    """Say how far a kernel reaches, where that is remarkable and no warning says it already."""
    if settings.reach_mm is not None:
        return asked_remark(settings, spacing_mm)
    told = kernel_sign(settings, spacing_mm)
    return "" if told else span_remark(settings.kernel_width, spacing_mm)


def describe(
    rows: Sequence[Mapping[str, Any]],
    numbered: str,
    settings: PipelineSettings,
    sources: Sequence[tuple[str, Spacing, Sequence[str]]],
    on_warning: str,
) -> dict[str, Any]:
    """Say for a JSON file what masks are, how they were made, and which of them look wrong.

    Slices are called by their column `numbered`, `sources` are as for `remarks_on`. `settings` are
    those asked for; what a source's spacing made of them is among `Kernels`, and at the top where
    it is the same for all.
    """
    from skullnb import __version__

    statuses, numbers = [row["status"] for row in rows], [row[numbered] for row in rows]
    of_status = {
        kind: ranges_of(n for n, one in zip(numbers, statuses, strict=True) if one == kind)
        for kind in ("warned", "empty", "failed")
    }
    alike: dict[Spacing, list[str]] = {}
    for name, spacing_mm, _ in sources:
        alike.setdefault(spacing_mm, []).append(name)
    kernels: list[dict[str, Any]] = []
    for spacing_mm, names in alike.items():
        used, reach = settings.at(spacing_mm), None
        if spacing_mm is not None and used.border == "dilation" and used.kernel_width:
            reach = [round(one, 3) for one in reach_mm(used.kernel_width, spacing_mm)]
        kernel = {"KernelWidth": used.kernel_width, "SpacingMm": spacing_mm, "ReachMm": reach}
        kernels.append({**kernel, "Sources": names})
    same = {
        name: kernels[0][name] if all(one[name] == kernels[0][name] for one in kernels) else None
        for name in ("KernelWidth", "SpacingMm", "ReachMm")
    }
    width = same.pop("KernelWidth")
    return {
        "Description": DESCRIPTION,
        # BIDS knows Brain, Lesion, Face and ROI; a mask that holds bone is no brain mask.
        "Type": "ROI",
        "SpatialReference": "orig",
        "GeneratedBy": [{"Name": "skullnb", "Version": __version__}],
        "Versions": versions(),
        "Sources": [name for name, *_ in sources],
        "SourceSHA256": _NO_SHA256,
        "SettingsAsked": asdict(settings),
        "Settings": asdict(settings) | {"kernel_width": width, "reach_mm": None},
        **same,
        "Kernels": kernels,
        "Counts": count(statuses),
        "LooksWrong": say_wrong(statuses, numbers),
        "SlicesWithWarning": of_status["warned"],
        "SlicesWithEmptyMask": of_status["empty"],
        "SlicesFailed": of_status["failed"],
        "Failed": say_failed(rows),
        "OnWarning": on_warning,
        "Remarks": list(remarks_on(settings, sources)),
    }


def versions() -> dict[str, str]:
    """Return the versions of what decides the masks."""
    from skullnb import __version__

    return {"skullnb": __version__, "OpenCV": cv2.__version__, "numpy": np.__version__}


def write_table(table: pd.DataFrame | list[dict[str, Any]], path: Path) -> None:
    """Write a table as CSV, TSV as BIDS has it, or Parquet, by its ending; no formula is in it."""
    rows: list[Any] = table if isinstance(table, list) else table.to_dict("records")
    rows = [
        {**row, "warnings": "; ".join(row.get("warnings", ()))} if "reason" in row else row
        for row in rows
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if "status" in names:  # a table of slices, in one order whatever its first row holds
        names = [one for one in _COLUMNS if one in names] + [x for x in names if x not in _COLUMNS]
    tabs = path.suffix == ".tsv"
    with writing(path) as temporary:
        if path.suffix == ".parquet":
            import pandas as pd

            frame = pd.DataFrame(rows, columns=names).convert_dtypes()
            frame.to_parquet(temporary, index=False)
            return
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t" if tabs else ",", lineterminator="\n")
            writer.writerow(map(guarded, names))
            blank = "n/a" if tabs else ""
            for row in rows:
                cells = [row.get(name) for name in names]
                writer.writerow(
                    blank if one is None or one != one else guarded(one) for one in cells
                )


def guarded(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula.

    Examples
    --------
    >>> guarded("=1+1"), guarded("a=b"), guarded(-0.5)
    ("'=1+1", 'a=b', -0.5)
    """
    starts = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "'"))
    return f"'{value}" if starts else value


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_text(_json(content), encoding="utf-8")


def summary_line(masked: Sequence[Masked]) -> str:
    """Say how a run over volumes went, such as "2 volumes: 1 ok, 1 failed"."""
    found = Counter(one.status for one in masked)
    told = ", ".join(f"{many} {kind}" for kind, many in found.items())
    return f"{len(masked)} volume{'s' * (len(masked) != 1)}: {told}"


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV to one thread: workers run side by side already."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


LOOK_EVERY = 0.2  # seconds until a run on several workers notices that it is told to stop


@contextmanager
def stopped_between() -> Iterator[Callable[[], None]]:
    """Keep signals to stop until the function that this yields is called; it raises them then.

    Raised just anywhere, an interrupt can leave a lock of the pool held, and nothing ends any more.
    """
    told: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number and callable(signal.getsignal(number)):
                before[number] = signal.signal(number, lambda number, _: told.append(number))

    def look() -> None:
        if told:
            raise KeyboardInterrupt

    try:
        yield look
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def n_processors() -> int:
    """Count the processors that this program may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into what it does."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _refuse_places(job: Job, own: Sequence[Path], overwrite: bool) -> None:
    for path in (job.path, *job.beside):
        refuse_place(path, own, overwrite, MASK_KINDS if path == job.path else ())


def _single(sources: Sequence[Volume | str], kind: str) -> bool:
    """Whether files hold a slice each and are one stack; a NIfTI file holds one volume's slices."""
    if any(isinstance(one, str) or one.frames for one in sources):
        return False
    opened = (open_volume(one) for one in sources if not isinstance(one, str))
    lies = kind.startswith(".nii")
    return all(one.shape[0] == 1 and not (lies and one.grid) for one in opened)


def _place(source: Volume | str) -> Path:
    return Path(source) if isinstance(source, str) else source.path


def _path(source: Volume | str, folder: Path) -> Path:
    """Name a mask after its volume; its kind is the volume's where that has no orientation."""
    if isinstance(source, str):
        return folder / f"{source}_mask{'.npy' if source == 'phantom' else '.nii.gz'}"
    own = "" if source.frames else suffix_of(source.path)
    return folder / f"{source.name}_mask{_WITHOUT_GRID.get(own, '.nii.gz')}"


# --- BIDS -----------------------------------------------------------------------------------------


def _bids_path(source: Volume | str, dataset: Path) -> Path:
    """Return where the mask of a volume belongs in a derivative dataset.

    The source's entities are kept; `desc` says of which image the mask is, and what it marks.
    """
    place = _place(source)
    name = source if isinstance(source, str) else source.name
    found = re.fullmatch(r"(sub-[A-Za-z0-9]+(?:_[a-z]+-[A-Za-z0-9]+)*)_([A-Za-z0-9]+)", name)
    if not found:
        raise InvalidSetting(
            f"{place.name} has no BIDS name; call it sub-LABEL_T1w.nii.gz or "
            "sub-LABEL_ses-LABEL_T1w.nii.gz (labels of letters and digits), or leave --bids out."
        )
    entities = [part.split("-") for part in found[1].split("_")]
    kept = [f"{key}-{label}" for key, label in entities if key != "desc"]
    desc = "".join(label for key, label in entities if key == "desc") + found[2]
    folders = [part for part in kept[:2] if part.startswith(("sub-", "ses-"))]
    datatype = place.parent.name if place.parent.name in _DATATYPES else _DATATYPES[0]
    file = "_".join([*kept, f"desc-{desc}{BIDS_DESCRIPTION}", "mask.nii.gz"])
    return dataset.joinpath(*folders, datatype, file)


def _bids_source(source: Path) -> str:
    """Name a source by its place in its dataset, or by its name alone."""
    root = _root(source)
    if root is None:
        return source.name
    return f"bids:raw:{source.resolve().relative_to(root).as_posix()}"


def _root(source: Path) -> Path | None:
    """Return the BIDS dataset that a file belongs to."""
    return next((one for one in source.resolve().parents if (one / _DATASET).is_file()), None)


def _describe_dataset(dataset: Path, sources: Sequence[Path]) -> None:
    """Write a derivative dataset's description, with a link to what it is made from."""
    from skullnb import __version__

    content: dict[str, Any] = {
        "Name": "Skull masks",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "skullnb", "Version": __version__}],
    }
    root = next(filter(None, map(_root, sources)), None)
    if root is not None:
        link = os.path.relpath(root, dataset.resolve())
        content["DatasetLinks"] = {"raw": Path(link).as_posix()}
    write_json(content, dataset / _DATASET)
    if not (dataset / ".bidsignore").exists():  # BIDS knows no table of a mask
        (dataset / ".bidsignore").write_text("*_mask.tsv\n", encoding="utf-8")
