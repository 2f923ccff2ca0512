"""Masks of one or many volumes, each beside a table of its slices and an account as JSON."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import cv2
import numpy as np

from skullnb import __version__, errors, heads
from skullnb import stack as stacks
from skullnb.errors import InvalidSetting, SkullnbError
from skullnb.pipeline import PipelineSettings, SliceMeasure, measure_slice
from skullnb.pipeline.measure import _volumes_of, add_neighbour_signs
from skullnb.pipeline.settings import DARK_GROWTH, DILATION
from skullnb.pipeline.signs import kernel_sign
from skullnb.reach import asked_remark, reach_mm, span_remark
from skullnb.stack import MASK_KINDS, Stack, Volume, refuse_place, writing
from skullnb.stack.checks import Array, expand, stem, suffix_of
from skullnb.volume import measure_volume

if TYPE_CHECKING:
    import pandas as pd

ON_WARNING = ("keep", "empty")
METHODS = SLICES, WHOLE_HEAD = "slice-by-slice", "whole-head"
COLUMNS = (
    *("index", "source", "slice", "group", "status", "kernel_width", "spacing_mm", "threshold"),
    *("n_components", "n_edge_touching", "brain_px", "dilated_px", "mask_px", "written_px"),
    *("reason", "warnings"),
)
_MOST_RANGES = 20  # in a sentence; tables name all
_KINDS = {kind: kind for kind in (".npy", ".npz", ".tif", ".tiff", ".png")}  # others are NIfTI
_KINDS |= {".jpg": ".png", ".jpeg": ".png"}
_GENERATED_BY = [{"Name": "skullnb", "Version": __version__}]
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")

Spacing = tuple[float, float] | None  # (row, column) in mm, where it is known
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What is masked together, and where its masks go; `dataset` is a BIDS derivative."""

    source: Any  # a volume, the name of an open head, or files of one slice each
    name: str
    files: Sequence[Path]
    path: Path
    dataset: Path | None = None


@dataclass(frozen=True)
class Masked:
    """What came of one volume: its table (a row a slice) and its JSON file, or an error."""

    name: str
    path: Path
    status: str = "failed"  # ok, warned (some slices look wrong), empty (all of them), failed
    table: pd.DataFrame | None = None
    account: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    def __str__(self) -> str:
        """Say in one line what came of it, and where the mask is."""
        if self.table is None:
            return f"{self.status:6}  {self.name}"
        counts = ", ".join(f"{n} {kind}" for kind, n in self.account["Counts"].items() if n)
        width, reach = self.account["Settings"]["kernel_width"], self.account["ReachMm"]
        kernel = f"{reach[0]:g} mm" if width is None else f"{width} px"
        return f"{self.status:6}  {self.name} -> {self.path.name}: {counts}; {kernel}"


def beside(mask: Path, kind: str = ".csv") -> tuple[Path, Path]:
    """Return the table and the JSON file beside a mask."""
    name = mask.name if mask.suffix == ".zarr" else stem(mask)
    return mask.with_name(name + kind), mask.with_name(f"{name}.json")


def plan_masks(
    images: str | Path, output: str | Path, *, bids: bool = False, suffix: str = ""
) -> list[Job]:
    """Decide where the masks of all volumes go, and refuse what can't be, before any is made.

    For one volume, or files of one slice each, `output` may be a file with all masks, else it is a
    folder: there a mask is called after its volume, and is NIfTI where that has an orientation,
    otherwise of its kind. With `bids` the folder is a derivative dataset.
    """
    output, head = expand(output), heads.known(str(images))
    source = Volume(Path(head)) if head else images
    volumes = stacks.list_volumes(source, suffix, every_series=True)
    files, first = [file for one in volumes for file in one.files], volumes[0]
    single = len(volumes) == 1 and not bids
    is_file = suffix_of(output) in MASK_KINDS or (single and expand(images).is_file())
    jobs = []
    if output.is_dir() or not is_file:
        for one in volumes:
            path = output / f"{one.name}_mask{_KINDS.get(suffix_of(one.path), '.nii.gz')}"
            path = _bids_path(one, output) if bids else path
            jobs.append(Job(head or one, one.name, one.files, path, output if bids else None))
    elif bids:
        raise InvalidSetting(f"BIDS masks go into a folder, and {output.name} is a file's name.")
    elif single:
        jobs = [Job(head or first, first.name, files, output)]
    elif all(stacks.open_volume(one).shape[0] == 1 for one in volumes):
        jobs = [Job(files, files[0].resolve().parent.name, files, output)]
    else:
        told = f"{len(volumes)} volumes, and their masks don't go into one file {output.name}"
        raise InvalidSetting(f"{images} stands for {told}; name a folder.")
    path, times = Counter(job.path for job in jobs).most_common(1)[0]
    if times > 1:
        told = f"{times} masks would be called {path.name}; take their images apart with a pattern"
        raise InvalidSetting(f"{told} such as 'scans/*_T1w.nii.gz'.")
    for job in jobs:
        if job.path == output:
            refuse_place(output, files, True, MASK_KINDS)
        if not head:
            refuse_among(job.path, images)
    return jobs


def refuse_among(path: Path, images: str | Path, *, deep: bool = False) -> None:
    """Refuse a mask's name where images are read as a whole; `deep`: of folders in it as well."""
    whole, above = stacks.split_series(images)[0].absolute(), path.absolute().parent.resolve()
    meets = whole.resolve() in (above / path.name, above, *(above.parents if deep else ()))
    if (whole.is_dir() and meets) or (not whole.exists() and path.absolute().match(str(whole))):
        told = f"{path.name} would lie among the images, which are read as a whole"
        raise errors.UnreadableFile(f"{told}; write it to another folder.")


def mask_volumes(
    jobs: Sequence[Job],
    settings: PipelineSettings | None = None,
    *,
    method: str = SLICES,
    on_warning: str = "keep",
    overwrite: bool = False,
    workers: int | None = None,
    sheet: Path | None = None,
    seen: Callable[[Masked, Stack, Array], object] = lambda masked, stack, masks: None,
    **reading: Any,
) -> Iterator[Masked]:
    """Make the masks of volumes, each beside a table and a JSON file, in the order of the jobs.

    A single job raises what goes wrong; among several the failed one is reported and the rest done.
    `seen` is called after each, with its slices and masks; JSON files name its place on the `sheet`
    that is to be made. `reading` are words of `read_stack`.
    """
    import pandas as pd

    settings, whole = settings or PipelineSettings(), method == WHOLE_HEAD
    settings = replace(settings, border=DARK_GROWTH) if whole else settings
    if on_warning not in ON_WARNING:
        raise InvalidSetting(f"on_warning is {' or '.join(ON_WARNING)}, not {on_warning!r}.")

    def one(job: Job) -> Masked:
        table, told = beside(job.path, ".tsv" if job.dataset else ".csv")
        try:
            for path in (job.path, table, told):  # asked before the long work
                if path.exists():
                    refuse_place(path, job.files, overwrite)
            stack = heads.open_data(job.source, **reading)
            images = _measure_head(stack, settings) if whole else stack.images
            masks = np.zeros(stack.images.shape, dtype=np.uint8)
            names = [one.name for one in stack.sources] or [stack.name]
            sources = [names[number] for number in stack.volume_numbers]
            slices = zip(sources, stack.slice_numbers, images, repeat(stack.spacing_mm))
            rows = mask_slices(slices, settings, masks)
            groups = stack.groups or [""] * len(stack)
            for row, group, volume, step_mm in zip(rows, groups, *_volumes_of(stack), strict=True):
                row |= {"group": group, "volume": volume, "step_mm": step_mm}
            rows = finish_rows(rows, on_warning)
            masks[[not row["written_px"] for row in rows]] = 0
            account = describe(rows, settings, [stack], on_warning)
            account |= _account_of(job.path, stack, masks) | {"Method": method}
            if sheet:
                to_sheet = Path(os.path.relpath(sheet, job.path.parent)).as_posix()
                account["Sheet"] = f"{to_sheet}#{anchor_of(job.path, sheet)}"
            job.path.parent.mkdir(parents=True, exist_ok=True)
            with writing(table) as table_now, writing(told) as told_now:  # all of them or none
                write_table(rows, table_now)
                write_json(account, told_now)
                stacks.write_masks(masks, job.path, stack, overwrite=overwrite)
            if job.dataset:
                _describe_dataset(job.dataset)
            frame = pd.DataFrame(rows, dtype=object)
            done = Masked(job.name, job.path, account["Status"], frame, account)
            seen(done, stack, masks)
        except (SkullnbError, OSError, MemoryError) as error:
            if len(jobs) == 1:
                raise
            return Masked(job.name, job.path, error=errors.sentence(error))
        return done

    with ThreadPoolExecutor(workers or cv2.getNumberOfCPUs()) as pool:
        yield from map(one, jobs) if len(jobs) == 1 else pool.map(one, jobs)


def _measure_head(stack: Stack, settings: PipelineSettings) -> list[SliceMeasure]:
    """Find the brain in the whole volume, and measure its slices."""
    grid = stack.grids[0] if len(stack.grids) == 1 else None
    apart = set(np.diff(stack.slice_numbers).tolist()) or {1}
    if len(stack) > 1 and (grid is None or len(apart) > 1):
        raise InvalidSetting(
            f"The whole-head method needs to know how far slices are apart, and {stack.name} does "
            "not say so, or not all are equally far; give one NIfTI or DICOM volume."
        )
    step_mm, *own_mm = grid.steps_mm if grid else (1.0, 1.0, 1.0)  # of one slice, which is refused
    row_mm, column_mm = stack.spacing_mm or own_mm
    most_mm = settings.at((row_mm, column_mm)).reach_mm or 0.0
    steps_mm = (step_mm * apart.pop(), row_mm, column_mm)
    return measure_volume(stack.images, steps_mm, most_mm, stack.axis)


def mask_slices(
    slices: Iterable[tuple[str, int, Any, Spacing]], settings: PipelineSettings, masks: Array
) -> list[Row]:
    """Put masks in their places, and return a row a slice: why there is none, if one fails.

    Of `slices` there are file, number, pixels (or a measure, or why they can't be read), spacing.
    """
    rows = []
    for mask, (source, number, image, spacing_mm) in zip(masks, slices, strict=True):
        used = settings.at(spacing_mm)
        row: Row = {
            "source": source,
            "slice": number,
            "kernel_width": used.kernel_width if used.border == DILATION else None,
            "spacing_mm": "x".join(f"{one:g}" for one in spacing_mm or ()),
        }
        rows.append(row)
        try:
            if isinstance(image, SkullnbError):
                raise image
            if not isinstance(image, SliceMeasure):
                image = measure_slice(image, used, spacing_mm, slice_number=number)
            mask[...] = image.mask
            row.update(image.row())
        except SkullnbError as error:
            row.update(status="failed", reason=str(error), warnings=())
    return rows


def finish_rows(rows: list[Row], on_warning: str) -> list[Row]:
    """Add to rows the signs beside neighbours, their place among all, and how much is written.

    Their volume and step_mm are as in `neighbour_signs`. Raises InvalidImage if all failed.
    """
    kept = [row for row in rows if row.get("status") != "failed"]
    if not kept:
        raise errors.InvalidImage(rows[0]["reason"])
    add_neighbour_signs(kept, [row["volume"] for row in kept], [row["step_mm"] for row in kept])
    for index, row in enumerate(rows):
        written = row["status"] == "ok" or (row["status"] == "warned" and on_warning == "keep")
        row |= {"index": index, "written_px": row["mask_px"] if written else 0}
    return [{name: row.get(name) for name in COLUMNS} for row in rows]


def describe(
    rows: Sequence[Row], settings: PipelineSettings, volumes: Sequence[Any], on_warning: str
) -> Row:
    """Say for a JSON file what masks are, how they were made, and which of them look wrong.

    `volumes` have a name, spacing and remarks; where they differ in spacing, the table alone has
    that, and what it makes of the kernel or its reach.
    """
    first = {one.spacing_mm: one.name for one in reversed(volumes)}
    alike, spacing_mm = len(first) == 1, volumes[0].spacing_mm
    used = settings.at(spacing_mm) if alike or settings.border == DARK_GROWTH else settings
    spacing_mm = spacing_mm if alike else None
    width = used.kernel_width if used.reach_mm is None else None
    reach = [used.reach_mm] * 2 if width is None else None
    if width is not None and spacing_mm:
        reach = [round(one, 3) for one in reach_mm(width, spacing_mm)]
    spans = [(name, _kernel_remark(settings, one)) for one, name in first.items()]
    remarks = [span if alike else f"{name}: {span}" for name, span in spans if span]
    counts, numbered = Counter(row["status"] for row in rows), "index" if volumes[1:] else "slice"
    reasons = [row["reason"] for row in rows if row["status"] == "failed"]
    return {
        "Description": "The outer surface of the skull and everything inside it (bone, CSF, brain),"
        " no scalp",
        "Type": "ROI",  # BIDS knows Brain, Lesion and Face; a mask that holds bone is none of them
        "SpatialReference": "orig",
        "GeneratedBy": _GENERATED_BY,
        "Versions": versions(),
        "SettingsAsked": asdict(settings),
        "Settings": asdict(used) | {"kernel_width": width},
        "SpacingMm": spacing_mm,
        "ReachMm": reach,
        "Counts": {"slices": len(rows), "ok": 0, "warned": 0, "empty": 0} | counts,
        "Status": next(iter(counts)) if len(counts) == 1 else "warned",
        "LooksWrong": _told_of(rows, numbered, "warned"),
        "Failed": "; ".join([_told_of(rows, numbered, "failed"), *reasons[:1]]),
        "OnWarning": on_warning,
        "Remarks": [*remarks, *(remark for one in volumes for remark in one.remarks)],
    }


def _account_of(mask: Path, stack: Stack, masks: Array) -> Row:
    """Say what holds for one volume alone."""
    grid, volume_cm3 = stack.grids[0] if len(stack.grids) == 1 else None, None
    if grid and len(stack) > 1:
        volume_cm3 = round(float(np.count_nonzero(masks) * np.prod(grid.steps_mm) / 1000), 1)
    return {
        "Sources": [one.name for one in stack.sources] or [stack.name],
        "SourceSHA256": stack.fingerprint(),
        "Mask": mask.name,
        "Axis": stack.axis,
        "VolumeCm3": volume_cm3,
    }


def _kernel_remark(settings: PipelineSettings, spacing_mm: Spacing) -> str:
    """Say when the kernel reaches another distance than was asked for, or than heads chose."""
    if settings.border == DARK_GROWTH:
        return ""
    if settings.reach_mm is not None:
        return asked_remark(settings, spacing_mm)
    told_of_slices = kernel_sign(settings, spacing_mm)
    return "" if told_of_slices else span_remark(settings.kernel_width, spacing_mm)


def _told_of(rows: Sequence[Row], numbered: str, status: str) -> str:
    """Say which of all slices look wrong or failed, as "80 of 190 slices look wrong: 27-66"."""
    found = [row for row in rows if row["status"] == status]
    do = "failed" if status == "failed" else f"look{'s' * (len(found) == 1)} wrong"
    which = ranges_of((row[numbered] for row in found), _MOST_RANGES)
    return f"{len(found)} of {len(rows)} slices {do}: {which}" if found else ""


def masks_in(folder: Path) -> Iterator[Row]:
    """Read the JSON files of masks below a folder: a row a mask, paths seen from the folder."""
    for path in sorted(folder.rglob("[!.]*.json")):
        place = path.relative_to(folder).parent
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # no mask's
            told = json.loads(path.read_text(encoding="utf-8"))
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


def anchor_of(mask: Path, sheet: Path) -> str:
    """Name the place of a mask on a sheet: where its file lies, seen from there."""
    return quote(Path(os.path.relpath(mask, sheet.parent)).as_posix())


def warning_lines(table: pd.DataFrame) -> list[str]:
    """Write a line for every kind of warning, as "slices 4-5: fills 20-60%", from a row a slice."""
    lines, single = [], table[["slice", "warnings"]].explode("warnings").dropna()
    kinds = single["warnings"].astype(str).str.replace(_NUMBER, "{}", regex=True)
    for words, part in single.groupby(kinds, sort=False):
        values = zip(*map(_NUMBER.findall, part["warnings"]), strict=True)
        ends = [(min(some, key=float), max(some, key=float)) for some in values]
        told = str(words).format(*("-".join(dict.fromkeys(pair)) for pair in ends))
        which = f"slice{'s' * (len(part) > 1)} {ranges_of(part['slice'], _MOST_RANGES)}"
        lines.append(f"{which}: {told}")
    return lines


def ranges_of(numbers: Iterable[int], most: int | None = None) -> str:
    """Write ascending whole numbers as in "1-4, 7"; count what is left out after `most` ranges."""
    alike = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in run] for _, run in alike]
    told = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    more = sum(map(len, runs[most:])) if most else 0
    return ", ".join(told[:most]) + (f" and {more} more" if more else "")


def versions() -> dict[str, str]:
    """Return the versions of what decides the masks."""
    return {"skullnb": __version__, "OpenCV": cv2.__version__, "numpy": np.__version__}


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


def _bids_path(source: Volume, dataset: Path) -> Path:
    """Keep the source's entities; `desc` says of which image the mask is, and what it marks."""
    label = "[A-Za-z0-9]+"
    name = rf"(sub-{label})(_ses-{label})?((?:_[a-z]+-{label})*)_({label})"
    found = re.fullmatch(name, source.name)
    if not found:
        raise InvalidSetting(
            f"{source.path.name} has no BIDS name; call it sub-LABEL_T1w.nii.gz or "
            "sub-LABEL_ses-LABEL_T1w.nii.gz (labels of letters and digits), or leave --bids out."
        )
    subject, session, others, suffix = found.groups("")
    kept, desc = re.sub(f"_desc-{label}", "", others), re.findall(f"_desc-({label})", others)
    own = source.path.parent.name
    datatype = own if own in ("anat", "func", "dwi", "fmap", "perf", "pet") else "anat"
    file = f"{subject}{session}{kept}_desc-{''.join(desc)}{suffix}SkullAndInside_mask.nii.gz"
    return dataset / subject / session.removeprefix("_") / datatype / file


def _describe_dataset(dataset: Path) -> None:
    """Write a derivative dataset's description, if it has none."""
    path = dataset / "dataset_description.json"
    if not path.exists():
        content = {"Name": "Skull masks", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
        write_json(content | {"GeneratedBy": _GENERATED_BY}, path)
        with (dataset / ".bidsignore").open("a", encoding="utf-8") as file:
            file.write("*_mask.tsv\n")  # BIDS knows no table of a mask
