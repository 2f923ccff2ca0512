"""Masks of one or many volumes: where each goes, how it is called, and what is said of it.

Beside every mask are a table with a row a slice, which says what looks wrong, and a JSON file that
says how the mask was made. In a BIDS derivative dataset all three have names that BIDS knows.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatch
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import cv2
import numpy as np

from skullnb import __version__, errors, heads
from skullnb import stack as stacks
from skullnb.errors import InvalidSetting, SkullnbError
from skullnb.pipeline import PipelineSettings, SliceMeasure, load, measure_slice
from skullnb.pipeline.measure import _volumes_of, add_neighbour_signs
from skullnb.pipeline.settings import DARK_GROWTH, DILATION, REACH_MM
from skullnb.pipeline.signs import kernel_sign
from skullnb.reach import asked_remark, reach_mm, span_remark
from skullnb.stack import MASK_KINDS, Stack, Volume, refuse_place, writing
from skullnb.stack.checks import Array, expand, stem, suffix_of
from skullnb.stack.read import READERS
from skullnb.volume import measure_volume

if TYPE_CHECKING:
    import pandas as pd

HEADING = "status  slices  warned  empty     Otsu  kernel           area    time  volume"
"""Above the lines of `Masked`: Otsu is the range of all thresholds, the area what is written."""

ON_WARNING = ("keep", "empty")
METHODS = SLICES, WHOLE_HEAD = "slice-by-slice", "whole-head"
ENDING = ("SIGTERM", "SIGHUP")  # what a system, a scheduler or a closed terminal sends
COLUMNS = (
    *("index", "source", "slice", "group", "status", "kernel_width", "spacing_mm", "threshold"),
    *("n_components", "n_edge_touching", "brain_px", "dilated_px", "mask_px", "written_px"),
    *("reason", "warnings"),
)
_MOST_RANGES = 20  # in a sentence; tables and JSON files name all
_LOOK_EVERY = 0.2  # seconds until a run on several workers notices that it is told to stop
_WITHOUT_GRID = {kind: kind for kind in (".npy", ".npz", ".tif", ".tiff", ".png")}
_WITHOUT_GRID |= {".jpg": ".png", ".jpeg": ".png"}
_DATASET = "dataset_description.json"
_GENERATED_BY = [{"Name": "skullnb", "Version": __version__}]
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")

Spacing = tuple[float, float] | None  # (row, column) in mm, where it is known
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A volume, or files of one stack, and where the masks go; `folder` is the one for all masks.

    An open head is a volume whose path is its name.
    """

    volumes: tuple[Volume, ...]
    path: Path
    folder: Path | None = None
    bids: bool = False

    @property
    def name(self) -> str:
        """What the volume is called, or the folder of several files."""
        first, *others = self.volumes
        return first.path.resolve().parent.name if others else first.name

    @property
    def files(self) -> list[Path]:
        """The files it is read from."""
        return [file for volume in self.volumes for file in volume.files]

    def open(self, **reading: Any) -> Stack:
        """Open the slices."""
        first, *others = self.volumes
        if heads.known(str(first.path)):
            return heads.open_data(str(first.path), **reading)
        return stacks.read_stack([one.path for one in self.volumes] if others else first, **reading)


@dataclass(frozen=True)
class Masked:
    """What came of one volume: its table (a row a slice) and its JSON file, or an error."""

    name: str
    path: Path
    seconds: float
    table: pd.DataFrame | None = None
    account: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Slices, and how many of them are ok, warned and empty."""
        return dict(self.account.get("Counts", {}))

    @property
    def status(self) -> str:
        """`ok`, `warned` (some slices look wrong), `empty` (all of them) or `failed`."""
        return "failed" if self.error else _status_of(self.counts)

    def __str__(self) -> str:
        """One line under `HEADING`."""
        slices = warned = empty = otsu = kernel = area = "-"
        if self.table is not None:
            slices, _, warned, empty, *_ = map(str, self.counts.values())
            levels = self.table["threshold"].dropna()
            otsu = "-".join(map(str, sorted({levels.min(), levels.max()})))
            used = self.account["Settings"]
            grows = used["border"] == DARK_GROWTH
            kernel = f"{used['reach_mm']:g} mm" if grows else f"{used['kernel_width']} px"
            area = f"{self.table['written_px'].sum()} px"
        facts = f"{slices:>6}  {warned:>6}  {empty:>5}  {otsu:>7}  {kernel:>6}  {area:>13}"
        where = errors.in_one_line(self.name if self.error else f"{self.name} -> {self.path.name}")
        return f"{self.status:6}  {facts}  {self.seconds:4.1f} s  {where}"


# --- where masks go -------------------------------------------------------------------------------


def beside(mask: Path, kind: str = ".csv") -> tuple[Path, Path]:
    """Return the table and the JSON file beside a mask."""
    name = mask.name if mask.suffix == ".zarr" else stem(mask)
    return mask.with_name(name + kind), mask.with_name(f"{name}.json")


def plan_masks(
    images: str | Path, output: str | Path, *, bids: bool = False, suffix: str = ""
) -> list[Job]:
    """Decide where the masks of all volumes go, and refuse what can't be, before any is made.

    `images` is a file, a folder, a pattern or a BIDS dataset, of which the images are taken that
    end in `suffix` (T1w), or a name that `heads.open_data` knows. For one volume, or files of one
    slice each, `output` may be a file with all masks, else it is a folder: there a mask is called
    after its volume, with `_mask`, and is NIfTI where the volume has an orientation, otherwise of
    the volume's kind. With `bids` the folder is a derivative dataset.
    """
    output, head = expand(output), heads.known(str(images))
    volumes = (
        [Volume(Path(head))] if head else stacks.list_volumes(images, suffix, every_series=True)
    )
    is_file = suffix_of(output) in MASK_KINDS and not output.is_dir()
    if is_file and bids:
        raise InvalidSetting(f"BIDS masks go into a folder, and {output.name} is a file's name.")
    if len(volumes) == 1:
        is_one = is_file or (expand(images).is_file() and not output.is_dir())
    else:
        is_one = is_file and _are_one_stack(volumes, suffix_of(output))
    if is_one and not bids:
        jobs = [Job(tuple(volumes), output)]
    elif not is_file:
        place = _bids_path if bids else _path
        jobs = [Job((one,), place(one, output), output, bids) for one in volumes]
    else:
        raise InvalidSetting(
            f"{images} stands for {len(volumes)} volumes, and their masks don't go into one file "
            f"{output.name}; name a folder."
        )
    path, times = Counter(job.path for job in jobs).most_common(1)[0]
    if times > 1:
        same = [str(job.volumes[0].path) for job in jobs if job.path == path]
        raise InvalidSetting(
            f"The masks of {' and '.join(same[:3])} would both be called {path.name}; take them "
            "apart with a pattern such as 'scans/*_T1w.nii.gz'."
        )
    for job in () if head else jobs:
        refuse_among(job.path, images)
    return jobs


def refuse_among(path: Path, images: str | Path, *, deep: bool = False) -> None:
    """Refuse a mask's name in a folder of images, or one of a pattern: it would be read as one.

    `deep` says that folders in the folder are read too.
    """
    whole, own = stacks.split_series(images)[0].absolute(), path.absolute()
    if whole.is_dir():
        own = own.parent.resolve() / own.name
        meets = whole.resolve() in (own, *(own.parents if deep else own.parents[:1]))
    elif "**" in str(whole):
        meets = fnmatch(str(own), str(whole).replace("/**/", "/*"))
    else:
        meets = not whole.exists() and own.match(str(whole))
    if meets:
        raise errors.UnreadableFile(
            f"{path.name} would lie among the images, which are read as a whole; write it to "
            "another folder."
        )


def what_is_taken(images: str | Path, files: Iterable[Path]) -> list[str]:
    """Say which files of a folder of several kinds are taken for images, and which are not."""
    folder = stacks.split_series(images)[0].absolute()
    taken = {one for one in map(Path.absolute, files) if one.parent == folder and one.is_file()}
    if not taken:
        return []
    left = [one for one in folder.glob("[!.]*") if suffix_of(one) in READERS]
    left = [one for one in left if not {one, one.with_suffix(".hdr")} & taken]  # a header's pixels
    kinds = [
        Counter(suffix_of(one) if suffix_of(one) in READERS else "DICOM" for one in some)
        for some in (taken, left)
    ]
    told, rest = (" and ".join(f"{n} {kind}" for kind, n in sorted(some.items())) for some in kinds)
    rest = f", and {rest} are not" if rest else ""
    several = len(kinds[0] + kinds[1]) > 1
    return [f"of the files in {folder.name}, {told} are taken{rest}"] if several else []


def _are_one_stack(volumes: Sequence[Volume], kind: str) -> bool:
    """Whether files hold a slice each and are one stack; a NIfTI file holds one volume's slices."""
    if kind == ".png" or any(one.frames for one in volumes):
        return False
    lies = kind.startswith(".nii")
    opened = map(stacks.open_volume, volumes)
    return all(one.shape[0] == 1 and not (lies and one.grid) for one in opened)


def _path(source: Volume, folder: Path) -> Path:
    """Name a mask after its volume; its kind is the volume's where that has no orientation."""
    own = ".npy" if str(source.path) == "phantom" else suffix_of(source.path)
    kind = ".nii.gz" if source.frames else _WITHOUT_GRID.get(own, ".nii.gz")
    return folder / f"{source.name}_mask{kind}"


# --- masks and rows -------------------------------------------------------------------------------


def mask_volumes(
    jobs: Sequence[Job],
    settings: PipelineSettings | None = None,
    *,
    method: str = SLICES,
    on_warning: str = "keep",
    overwrite: bool = False,
    workers: int | None = None,
    progress: Callable[[], object] = lambda: None,
    sheet: Path | None = None,
    seen: Callable[[Masked, Stack, Array], object] = lambda masked, stack, masks: None,
    **reading: Any,
) -> Iterator[Masked]:
    """Make the masks of volumes, each beside a table and a JSON file, in the order of the jobs.

    A single job raises what goes wrong; among several the failed one is reported and the rest done.
    A reach in mm becomes a kernel width at each volume's own spacing. `reading` are words of
    `read_stack`, for each volume. `on_warning="empty"` writes nothing on slices whose mask looks
    wrong. `workers` volumes are done side by side (as many as there are processors). `progress()`
    is called after each slice, `seen` after each volume, with its slices and masks; JSON files
    name the volume's place on the `sheet` that is to be made. The whole-head method
    (`skullnb.volume`) grows its border in the dark.
    """
    import pandas as pd

    settings = settings or PipelineSettings()
    if method == WHOLE_HEAD:
        settings = replace(settings, border=DARK_GROWTH)
    if on_warning not in ON_WARNING:
        raise InvalidSetting(f"on_warning is {' or '.join(ON_WARNING)}, not {on_warning!r}.")
    load()  # before any clock starts

    def one(job: Job) -> Masked:
        started, found = time.monotonic(), Row()
        try:
            tables = beside(job.path, ".tsv" if job.bids else ".csv")
            if job.path.parent.is_dir() or job.folder is None:  # asked before the long work
                for path, kinds in zip((job.path, *tables), (MASK_KINDS, (), ()), strict=True):
                    refuse_place(path, job.files, overwrite, kinds)
            stack = job.open(**reading)
            masks, rows = mask_stack(stack, settings, on_warning, progress, method)
            account = _account_of(job, stack, masks, rows, settings, on_warning)
            account["Method"] = method
            if sheet:
                to_sheet = Path(os.path.relpath(sheet, job.path.parent)).as_posix()
                account["Sheet"] = f"{to_sheet}#{anchor_of(job.path, sheet)}"
            if job.folder:
                job.path.parent.mkdir(parents=True, exist_ok=True)
            with writing(tables[0]) as table, writing(tables[1]) as told:  # all of them or none
                write_table(rows, table)
                write_json(account, told)
                stacks.write_masks(masks, job.path, stack, overwrite=overwrite)
            if job.folder and job.bids:
                _describe_dataset(job.folder, stack.sources)
            found |= {"table": pd.DataFrame(rows, dtype=object), "account": account}
            seen(Masked(job.name, job.path, time.monotonic() - started, **found), stack, masks)
        except (SkullnbError, OSError, MemoryError) as error:
            if len(jobs) == 1:
                raise
            found["error"] = errors.sentence(error) or "It stopped."
        return Masked(job.name, job.path, time.monotonic() - started, **found)

    size = min(workers or n_processors(), len(jobs))
    if size < 2:
        yield from map(one, jobs)
        return
    with threads(size) as pool, closing(side_by_side(pool, one, jobs, len(jobs))) as done:
        yield from done


def _status_of(counts: Mapping[str, int]) -> str:
    """Sum up slices of one status as that, and others as `warned`."""
    alike = [kind for kind, n in counts.items() if n == counts["slices"] > 0]
    return [*alike[1:], "warned"][0]


def anchor_of(mask: Path, sheet: Path) -> str:
    """Name the place of a mask on a sheet: where its file lies, seen from there."""
    return quote(Path(os.path.relpath(mask, sheet.parent)).as_posix())


def mask_stack(
    stack: Stack,
    settings: PipelineSettings,
    on_warning: str = "keep",
    progress: Callable[[], object] = lambda: None,
    method: str = SLICES,
) -> tuple[Array, list[Row]]:
    """Make the masks to be written of a stack, (N, H, W) of uint8 {0, 1}, and a row a slice."""
    images: Any = stack.images
    if method == WHOLE_HEAD:
        apart = set(np.diff(stack.slice_numbers).tolist()) or {1}
        grid = stack.grids[0] if len(stack.grids) == 1 else None
        if len(stack) > 1 and (grid is None or len(apart) > 1):
            raise InvalidSetting(
                f"The whole-head method needs to know how far slices are apart, and {stack.name} "
                "does not say so, or not all are equally far; give one NIfTI or DICOM volume."
            )
        steps_mm = (1.0, 1.0, 1.0)  # of one slice, which is refused
        if grid is not None:
            steps_mm = grid.steps_mm[0] * apart.pop(), *(stack.spacing_mm or grid.spacing_mm)
        asked_mm = REACH_MM if settings.reach_mm is None else settings.reach_mm
        images = measure_volume(images, steps_mm, asked_mm, stack.axis)
    masks = np.zeros(stack.images.shape, dtype=np.uint8)
    names = [one.name for one in stack.sources] or [stack.name]
    groups, rows = stack.groups or [""] * len(stack), []
    for index, number in enumerate(stack.slice_numbers):
        source = names[stack.volume_numbers[index]]
        row = mask_slice(images[index], settings, stack.spacing_mm, number, masks[index])
        rows.append({"source": source, "slice": number, "group": groups[index], **row})
        progress()
    rows = finish_rows(rows, *_volumes_of(stack), on_warning)
    masks[[not row["written_px"] for row in rows]] = 0
    return masks, rows


def mask_slice(
    image: Any, settings: PipelineSettings, spacing_mm: Spacing, number: int, mask: Array
) -> Row:
    """Put the mask of a slice in its place, and return its row: why there is none, if it fails.

    `image` may be a refusal, as it could not be read, or a measure that is there already.
    """
    known = "" if spacing_mm is None else "x".join(f"{one:g}" for one in spacing_mm)
    used = settings.at(spacing_mm)
    width = used.kernel_width if used.border == DILATION else None
    row: Row = {"kernel_width": width, "spacing_mm": known}
    try:
        if isinstance(image, SkullnbError):
            raise image
        found: SliceMeasure = image
        if not isinstance(image, SliceMeasure):
            found = measure_slice(image, used, spacing_mm, slice_number=number)
    except SkullnbError as error:
        return row | {"status": "failed", "reason": str(error), "warnings": ()}
    mask[...] = found.mask
    return row | found.row()


def finish_rows(
    rows: list[Row], volumes: Sequence[str], steps_mm: Sequence[float], on_warning: str
) -> list[Row]:
    """Add to rows the signs beside neighbours, their place among all, and how much is written.

    `volumes` and `steps_mm` are as in `add_neighbour_signs`. Raises InvalidImage if all failed.
    """
    kept = [index for index, row in enumerate(rows) if row.get("status") != "failed"]
    if not kept:
        raise errors.InvalidImage(rows[0]["reason"])
    own, steps_mm = [volumes[index] for index in kept], [steps_mm[index] for index in kept]
    add_neighbour_signs([rows[index] for index in kept], own, steps_mm)
    for index, row in enumerate(rows):
        written = row["status"] == "ok" or (row["status"] == "warned" and on_warning == "keep")
        row |= {"index": index, "written_px": row["mask_px"] if written else 0}
        rows[index] = {name: row.get(name) for name in COLUMNS}
    return rows


# --- several at a time ----------------------------------------------------------------------------


def side_by_side(
    pool: Executor, do: Callable[[Any], Any], items: Iterable[Any], ahead: int
) -> Generator[Any]:
    """Yield what workers make of items, in order, `ahead` of them begun; close it to stop.

    A signal to stop is raised here, when no worker is being asked: raised just anywhere, it can
    leave a lock of the pool held, and nothing ends any more.
    """
    told: list[int] = []
    items, begun = iter(items), deque[Any]()
    with handling(lambda number, _: told.append(number), callable, "SIGINT", *ENDING):
        try:
            while True:
                begun.extend(pool.submit(do, one) for one in islice(items, ahead - len(begun)))
                if not begun:
                    return
                while not told and wait([begun[0]], timeout=_LOOK_EVERY).not_done:
                    pass
                if told:
                    raise KeyboardInterrupt
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


@contextmanager
def handling(handler: Any, which: Callable[[Any], bool], *names: str) -> Iterator[None]:
    """Answer signals with a handler, those that are answered by such a one now."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
            if which(signal.getsignal(number)):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, own in before.items():
            signal.signal(number, own)


@contextmanager
def threads(size: int | None) -> Iterator[Executor]:
    """Have workers ready, as many as processors where nothing is said, with one of OpenCV each."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with ThreadPoolExecutor(size or n_processors()) as pool:
            yield pool
    finally:
        cv2.setNumThreads(before)


def n_processors() -> int:
    """Count the processors that this program may use."""
    every = range(os.cpu_count() or 1)
    return len(getattr(os, "sched_getaffinity", lambda _: every)(0))


# --- what is said ---------------------------------------------------------------------------------


def describe(
    rows: Sequence[Row],
    numbered: str,
    settings: PipelineSettings,
    sources: Sequence[tuple[str, Spacing, Sequence[str]]],
    on_warning: str,
) -> Row:
    """Say for a JSON file what masks are, how they were made, and which of them look wrong.

    Slices are called by their column `numbered`; of each source there are name, spacing and
    remarks. `settings` are those asked for; what a source's spacing made of them is among
    `Kernels`, and at the top where it is the same for all.
    """
    numbers: dict[str, list[int]] = {"ok": [], "warned": [], "empty": []}
    for row in rows:
        numbers.setdefault(row["status"], []).append(row[numbered])
    warned, failed = numbers["warned"], numbers.get("failed", [])
    why = next((row["reason"] for row in rows if row["status"] == "failed"), "")
    why = f"the first because: {why}" if len(failed) > 1 else why
    names: dict[Spacing, list[str]] = {}
    for name, spacing_mm, _ in sources:
        names.setdefault(spacing_mm, []).append(name)
    kernels = [_kernel_at(settings, one) | {"Sources": names[one]} for one in names]
    same = {
        name: value if all(one[name] == value for one in kernels) else None
        for name, value in kernels[0].items()
    }
    used = asdict(settings.at(next(iter(names))))
    return {
        "Description": "The outer surface of the skull and everything inside it (bone, CSF, brain),"
        " no scalp",
        # BIDS knows Brain, Lesion, Face and ROI; a mask that holds bone is no brain mask.
        "Type": "ROI",
        "SpatialReference": "orig",
        "GeneratedBy": _GENERATED_BY,
        "Versions": versions(),
        "Sources": [name for name, *_ in sources],
        "SourceSHA256": "not computed: all images would be read once more; see Batch.input",
        "SettingsAsked": asdict(settings),
        "Settings": used | {"kernel_width": same["KernelWidth"]},
        "SpacingMm": same["SpacingMm"],
        "ReachMm": same["ReachMm"],
        "Kernels": kernels,
        "Counts": {"slices": len(rows), **{kind: len(some) for kind, some in numbers.items()}},
        "LooksWrong": _of_all(warned, rows, "looks wrong" if len(warned) == 1 else "look wrong"),
        "SlicesWithWarning": ranges_of(warned),
        "SlicesWithEmptyMask": ranges_of(numbers["empty"]),
        "SlicesFailed": ranges_of(failed),
        "Failed": f"{_of_all(failed, rows, 'failed')}; {why}" if failed else "",
        "OnWarning": on_warning,
        "Remarks": _remarks_on(settings, sources),
    }


def _kernel_at(settings: PipelineSettings, spacing_mm: Spacing) -> Row:
    """Say what settings come to at a spacing: kernel width (px) and reach (mm), or the most."""
    used, reach = settings.at(spacing_mm), None
    width = used.kernel_width if used.border == DILATION else None
    if used.reach_mm is not None:
        reach = [used.reach_mm] * 2
    elif spacing_mm is not None and width:
        reach = [round(one, 3) for one in reach_mm(width, spacing_mm)]
    return {"KernelWidth": width, "SpacingMm": spacing_mm, "ReachMm": reach}


def _account_of(
    job: Job,
    stack: Stack,
    masks: Array,
    rows: list[Row],
    settings: PipelineSettings,
    on_warning: str,
) -> Row:
    """Describe the masks of a volume; its stack has one spacing, and remarks that name files."""
    first, *others = [_bids_source(one) for one in stack.sources] or [stack.name]
    sources: list[Any] = [(first, stack.spacing_mm, stack.remarks)]
    sources += [(one, stack.spacing_mm, ()) for one in others]
    told, volume_cm3 = describe(rows, "slice", settings, sources, on_warning), None
    grid = stack.grids[0] if len(stack.grids) == 1 else None
    if grid and len(stack) > 1:
        volume_cm3 = round(float(np.count_nonzero(masks) * np.prod(grid.steps_mm) / 1000), 1)
    return told | {
        "SourceSHA256": stack.fingerprint(),
        "Axis": stack.axis,
        "Slices": ranges_of(sorted(stack.slice_numbers)),
        "Mask": job.path.name,
        "Status": _status_of(told["Counts"]),
        "VolumeCm3": volume_cm3,
    }


def masks_in(folder: Path) -> Iterator[Row]:
    """Read the JSON files of masks below a folder: a row a mask, paths seen from the folder."""
    for path in sorted(folder.rglob("*.json")):
        place = path.relative_to(folder).parent
        told: Any = None
        with suppress(OSError, ValueError, RecursionError):
            told = json.loads(path.read_text(encoding="utf-8"))
        is_mask = isinstance(told, dict) and {"Mask", "Counts", "Status"} <= told.keys()
        if not is_mask or any(part.startswith(".") for part in place.parts):
            continue
        sheet = told.get("Sheet") and os.path.normpath(place / told["Sheet"])
        yield {
            "run": place.as_posix(),
            "mask": (place / told["Mask"]).as_posix(),
            "status": told["Status"],
            **told["Counts"],
            "cm3": told["VolumeCm3"],
            "reach_mm": told["ReachMm"] and float(np.mean(told["ReachMm"])),
            "looks_wrong": told["LooksWrong"],
            "sheet": sheet and Path(sheet).as_posix(),
        }


def _of_all(numbers: Sequence[int], rows: Sequence[Row], do: str) -> str:
    """Say which of all slices do something, such as "1 of 16 slices failed: 4"."""
    slices = "slice" if len(rows) == 1 else "slices"
    told = f"{len(numbers)} of {len(rows)} {slices} {do}: {ranges_of(numbers, _MOST_RANGES)}"
    return told if numbers else ""


def _remarks_on(
    settings: PipelineSettings, sources: Sequence[tuple[str, Spacing, Sequence[str]]]
) -> list[str]:
    """Say what is remarkable about sources; what holds for several once, with their number."""
    about: dict[str, list[str]] = {}
    for name, spacing_mm, remarks in sources:
        span = ""
        if settings.border == DILATION and settings.reach_mm is not None:
            span = asked_remark(settings, spacing_mm)
        elif settings.border == DILATION and not kernel_sign(settings, spacing_mm):
            span = span_remark(settings.kernel_width, spacing_mm)
        spans = [f"{name}: {span}" if len(sources) > 1 else span] if span else []
        for remark in (*spans, *remarks):
            named = remark.startswith((f"{name} ", f"{name}: "))
            about.setdefault(remark.removeprefix(name) if named else remark, []).append(name)
    told = []
    for words, names in about.items():
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        told.append(f"{names[0]}{more}{words}" if words[:1] in (" ", ":") else words)
    return told


def warning_lines(table: pd.DataFrame) -> list[str]:
    """Write one line for every kind of warning, with the slices that it is about.

    Parameters
    ----------
    table : DataFrame
        A row a slice, as `measure_stack` gives it: slice, and warnings (a tuple of str).

    Examples
    --------
    >>> import pandas as pd
    >>> warning_lines(pd.DataFrame({"slice": [4, 5], "warnings": [("fills 20%",), ("fills 60%",)]}))
    ['slices 4-5: fills 20-60%']
    """
    # A kind is the words; what stands between them are its numbers.
    about: dict[tuple[str, ...], list[tuple[int, list[str]]]] = {}
    for number, texts in zip(table["slice"].tolist(), table["warnings"], strict=True):
        for text in texts:
            kind = tuple(_NUMBER.split(text))
            about.setdefault(kind, []).append((number, _NUMBER.findall(text)))
    lines = []
    for (told, *words), found in about.items():
        slices, values = zip(*found, strict=True)
        for word, *some in zip(words, *values, strict=True):
            low, high = min(some, key=float), max(some, key=float)
            told += (low if low == high else f"{low}-{high}") + word
        lines.append(f"slice{'s' * (len(slices) > 1)} {ranges_of(slices, _MOST_RANGES)}: {told}")
    return lines


def ranges_of(numbers: Iterable[int], most: int | None = None) -> str:
    """Write ascending whole numbers as ranges; count what is left out after `most` ranges.

    Examples
    --------
    >>> ranges_of([0, 1, 2, 7, 9, 10]), ranges_of([1, 3, 4, 7], most=2)
    ('0-2, 7, 9-10', '1, 3-4 and 1 more')
    """
    alike = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in run] for _, run in alike]
    told = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    more = sum(map(len, runs[most:])) if most else 0
    return ", ".join(told[:most]) + (f" and {more} more" if more else "")


def versions() -> dict[str, str]:
    """Return the versions of what decides the masks."""
    return {"skullnb": __version__, "OpenCV": cv2.__version__, "numpy": np.__version__}


# --- tables and JSON files ------------------------------------------------------------------------


def write_table(table: pd.DataFrame | list[Row], path: Path) -> None:
    """Write a table as CSV, TSV as BIDS has it, or Parquet, by its ending; no formula is in it."""
    import pandas as pd

    frame = pd.DataFrame(table, dtype=object)  # whole numbers stay whole beside what is missing
    if {"reason", "warnings"} <= set(frame):
        frame = frame.assign(warnings=frame["warnings"].map("; ".join))
    sep, blank = ("\t", "n/a") if path.suffix == ".tsv" else (",", "")
    with writing(path) as temporary:
        if path.suffix == ".parquet":
            frame.convert_dtypes().to_parquet(temporary, index=False)
            return
        cells = frame.where(frame.notna(), blank).map(_guarded)
        cells.rename(columns=_guarded).to_csv(temporary, sep=sep, index=False)


def _guarded(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula."""
    starts = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "'"))
    return f"'{value}" if starts else value


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON, whole or not at all."""
    with writing(path) as temporary:
        text = json.dumps(content, indent=1, ensure_ascii=False, default=lambda one: one.item())
        temporary.write_text(text + "\n", encoding="utf-8")


# --- BIDS -----------------------------------------------------------------------------------------


def _bids_path(source: Volume, dataset: Path) -> Path:
    """Return where the mask of a volume belongs in a derivative dataset.

    The source's entities are kept; `desc` says of which image the mask is, and what it marks.
    """
    name = r"(sub-[A-Za-z0-9]+(?:_[a-z]+-[A-Za-z0-9]+)*)_([A-Za-z0-9]+)"
    found = re.fullmatch(name, source.name)
    if not found:
        raise InvalidSetting(
            f"{source.path.name} has no BIDS name; call it sub-LABEL_T1w.nii.gz or "
            "sub-LABEL_ses-LABEL_T1w.nii.gz (labels of letters and digits), or leave --bids out."
        )
    kept = [one for one in found[1].split("_") if not one.startswith("desc-")]
    desc = "".join(re.findall(r"_desc-([A-Za-z0-9]+)", found[1])) + found[2]
    folders = [one for one in kept[:2] if one.startswith(("sub-", "ses-"))]
    own = source.path.parent.name
    datatype = own if own in ("anat", "func", "dwi", "fmap", "perf", "pet") else "anat"
    file = "_".join([*kept, f"desc-{desc}SkullAndInside", "mask.nii.gz"])
    return dataset.joinpath(*folders, datatype, file)


def _bids_source(source: Path) -> str:
    """Name a source by its place in its dataset, or by its name alone."""
    root = _root(source)
    return f"bids:raw:{source.resolve().relative_to(root).as_posix()}" if root else source.name


def _root(source: Path) -> Path | None:
    """Return the BIDS dataset that a file belongs to."""
    return next((one for one in source.resolve().parents if (one / _DATASET).is_file()), None)


def _describe_dataset(dataset: Path, sources: Sequence[Path]) -> None:
    """Write a derivative dataset's description, if it has none, with a link to its source."""
    if (dataset / _DATASET).exists():
        return
    content: Row = {"Name": "Skull masks", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    content["GeneratedBy"] = _GENERATED_BY
    root = next(filter(None, map(_root, sources)), None)
    if root:
        content["DatasetLinks"] = {"raw": Path(os.path.relpath(root, dataset.resolve())).as_posix()}
    write_json(content, dataset / _DATASET)
    if not (dataset / ".bidsignore").exists():  # BIDS knows no table of a mask
        (dataset / ".bidsignore").write_text("*_mask.tsv\n", encoding="utf-8")
