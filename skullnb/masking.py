"""Masks of one or many volumes, each beside a table of its slices and an account as JSON."""

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
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd

from skullnb import __version__, errors, heads
from skullnb import stack as stacks
from skullnb.errors import InvalidSetting, SkullnbError
from skullnb.pipeline import PipelineSettings, SliceMeasure, measure_slice
from skullnb.pipeline.measure import Row, _volumes_of, add_neighbour_signs
from skullnb.pipeline.settings import DARK_GROWTH, DILATION
from skullnb.pipeline.signs import kernel_sign
from skullnb.reach import asked_remark, reach_mm, span_remark
from skullnb.stack import MASK_KINDS, Stack, Volume, refuse_place, writing
from skullnb.stack.checks import Array, expand, stem, suffix_of
from skullnb.stack.files import is_zarr
from skullnb.volume import measure_volume

COARSE_MM = 1.5  # two heads made coarser had other masks there than at 1 mm
_KEPT = {"keep": ("ok", "warned"), "empty": ("ok",)}  # masks of which status are written
ON_WARNING = tuple(_KEPT)
TABLE_KINDS = (".csv", ".tsv", ".parquet")
METHODS = SLICES, WHOLE_HEAD = "slice-by-slice", "whole-head"
MASK_COLUMNS = (
    *("index", "source", "slice", "group", "status", "kernel_width", "spacing_mm", "threshold"),
    *("n_components", "n_edge_touching", "brain_px", "dilated_px", "mask_px", "written_px"),
    *("reason", "warnings"),
)
# What a mask in a folder is stored as, by the kind of its images; all else is NIfTI.
_KINDS = {".jpg": ".png", ".jpeg": ".png"} | {kind: kind for kind in MASK_KINDS[2:]}
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_DATASET: Row = {"Name": "Skull masks", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
_DATASET |= {"GeneratedBy": [{"Name": "skullnb", "Version": __version__}]}


@dataclass(frozen=True)
class Masked:
    """What is masked together, where its mask goes, and what came of it."""

    source: Any  # a volume, the name of an open head, files of one slice each, or a batch's images
    path: Path
    dataset: Path | None = None  # the BIDS derivative that the mask is a part of
    account: Mapping[str, Any] = field(default_factory=dict)  # its JSON file, or why there is none
    table: pd.DataFrame | None = None  # a row a slice
    n_resumed: int = 0  # slices that an earlier run of a batch had done


def check_on_warning(word: str) -> None:
    """Refuse another word than `ON_WARNING` has, before the long work."""
    if word not in ON_WARNING:
        raise InvalidSetting(f"On a warning, choose {' or '.join(ON_WARNING)}, not {word!r}.")


def beside(mask: Path, kind: str = ".csv") -> tuple[Path, Path]:
    """Return the table and the JSON file beside a mask."""
    name = mask.name if mask.suffix == ".zarr" else stem(mask)
    return mask.with_name(name + kind), mask.with_name(f"{name}.json")


def plan_masks(
    images: str | Path, output: str | Path, *, bids: bool = False, suffix: str = ""
) -> list[Masked]:
    """Decide where all masks go: into a file, a folder or a BIDS dataset; refuse what can't be."""
    to_folder, head = str(output).endswith(("/", os.sep)), heads.known(str(images))
    output = expand(output)
    source = Volume(Path(head)) if head else images
    volumes = stacks.list_volumes(source, suffix, every_series=True)
    files, single = [file for one in volumes for file in one.files], len(volumes) == 1
    is_file = suffix_of(output) in MASK_KINDS or (single and not bids and expand(images).is_file())
    if is_file and not (to_folder or output.is_dir()):
        if bids or not (single or all(stacks.open_volume(one).shape[0] == 1 for one in volumes)):
            told = "Masks of several volumes and BIDS masks go into a folder"
            raise InvalidSetting(f"{told}, and {output.name} is a file's name; name a folder.")
        refuse_place(output, files, True, MASK_KINDS)
        jobs = [Masked(head or (volumes[0] if single else files), output)]
    else:
        to = output if bids else None
        jobs = [Masked(head or one, _path_of(one, output, bids), to) for one in volumes]
    path, times = Counter(job.path for job in jobs).most_common(1)[0]
    if times > 1:  # as BIDS names of two images may
        told = f"{times} masks would be called {path.name}"
        raise InvalidSetting(f"{told}; take a pattern of images such as 'scans/*_T1w.nii.gz'.")
    for job in () if head else jobs:
        refuse_among(job.path, images)
    return jobs


def refuse_among(path: Path, images: str | Path) -> None:
    """Refuse a mask's name where the next run would read it as an image."""
    whole, folder = stacks.split_series(images)[0].absolute(), path.absolute().parent.resolve()
    above = folder.parents if is_zarr(whole) else ()  # which is one file, however deep
    meets = whole.is_dir() and whole.resolve() in (folder / path.name, folder, *above)
    if meets or (not whole.exists() and path.absolute().match(str(whole))):
        told = f"{path.name} would lie among the images, which are read as a whole"
        raise errors.UnreadableFile(f"{told}; write it to another folder.")


def mask_volumes(
    jobs: Sequence[Masked],
    settings: PipelineSettings | None = None,
    *,
    method: str = SLICES,
    on_warning: str = "keep",
    overwrite: bool = False,
    workers: int | None = None,
    sheet: Path | None = None,
    seen: Callable[[Masked, Stack | None, Array | None], object] = lambda *_: None,
    **reading: Any,
) -> Iterator[Masked]:
    """Make masks, each beside a table and a JSON file that names its place on a `sheet`.

    A single job raises what goes wrong; of several the failed one is reported and the rest done.
    `seen` is called after each, with its slices and masks.
    """
    check_on_warning(on_warning)
    settings, whole = settings or PipelineSettings(), method == WHOLE_HEAD
    settings = replace(settings, border=DARK_GROWTH) if whole else settings

    def one(job: Masked) -> Masked:
        to_table, to_account = beside(job.path, ".tsv" if job.dataset else ".csv")
        try:
            for path in filter(Path.exists, (job.path, to_table, to_account)):
                refuse_place(path, (), overwrite)  # before the long work
            stack = heads.open_data(job.source, **reading)
            images = _measure_head(stack, settings) if whole else stack.images
            masks = np.zeros(stack.images.shape, dtype=np.uint8)
            names = [one.name for one in stack.sources] or [stack.name]
            sources = [names[number] for number in stack.volume_numbers]
            slices = zip(sources, stack.slice_numbers, images, repeat(stack.spacing_mm))
            places = zip(stack.groups or [""] * len(stack), *_volumes_of(stack), strict=True)
            table = make_table(mask_slices(slices, settings, masks), places, on_warning)
            masks[(table["written_px"] == 0).to_numpy()] = 0
            account = describe(table, settings, [stack], on_warning)
            account |= {"Sources": names, "SourceSHA256": stack.fingerprint(), "Axis": stack.axis}
            grid = stack.grids[0] if len(stack.grids) == 1 and len(stack) > 1 else None
            cm3 = grid and round(float(masks.sum() * np.prod(grid.steps_mm) / 1000), 1)
            account |= {"Mask": job.path.name, "Method": method, "VolumeCm3": cm3}
            if whole and max(stack.spacing_mm or (0.0,)) > COARSE_MM:
                coarse = f"pixels of more than {COARSE_MM:g} mm are coarse for a whole head"
                account["Remarks"].append(f"{coarse}; look at the masks near its top and base")
            if sheet:
                page = Path(os.path.relpath(sheet, job.path.parent)).as_posix()
                account["Sheet"] = f"{page}#{quote(job.path.name)}"
            job.path.parent.mkdir(parents=True, exist_ok=True)
            with writing(to_table) as table_now, writing(to_account) as account_now:
                write_table(table, table_now)  # all of them or none
                write_json(account, account_now)
                stacks.write_masks(masks, job.path, stack, overwrite=overwrite)
            if job.dataset and not (about := job.dataset / "dataset_description.json").exists():
                write_json(_DATASET, about)
                with (job.dataset / ".bidsignore").open("a", encoding="utf-8") as file:
                    file.write("*_mask.tsv\n")  # BIDS knows no table of a mask
            done = replace(job, account=account, table=table)
            seen(done, stack, masks)
        except (SkullnbError, OSError, MemoryError) as error:
            if len(jobs) == 1:
                raise
            told = {"Status": "failed", "Counts": {}, "Remarks": [errors.sentence(error)]}
            done = replace(job, account=told)
            seen(done, None, None)
        return done

    with ThreadPoolExecutor(workers or cv2.getNumberOfCPUs()) as pool:
        yield from map(one, jobs) if len(jobs) == 1 else pool.map(one, jobs)


def _measure_head(stack: Stack, settings: PipelineSettings) -> list[SliceMeasure]:
    """Find the brain in the whole volume, and measure its slices."""
    apart = set(np.diff(stack.slice_numbers).tolist()) or {1}
    if len(stack.grids) != 1 or not stack.grids[0] or not stack.spacing_mm or len(apart) > 1:
        told = f"how far slices are apart, and {stack.name} does not say so, or not all are equally"
        raise InvalidSetting(f"A whole head needs {told} far; give one NIfTI or DICOM volume.")
    spacing = stack.grids[0].steps_mm[0] * apart.pop(), *stack.spacing_mm
    reach = settings.at(stack.spacing_mm).reach_mm or 0.0
    return measure_volume(stack.images, spacing, reach, stack.axis)


def mask_slices(
    slices: Iterable[tuple[str, int, Any, Any]], settings: PipelineSettings, masks: Array
) -> list[Row]:
    """Put masks of (file, number, pixels, measure or error, spacing) in place; give their rows."""
    rows = []
    for mask, (source, number, image, spacing_mm) in zip(masks, slices, strict=True):
        used = settings.at(spacing_mm)
        row: Row = {"source": source, "slice": number}
        row["kernel_width"] = used.kernel_width if used.border == DILATION else None
        row["spacing_mm"] = "x".join(f"{one:g}" for one in spacing_mm or ())
        rows.append(row)
        try:
            if isinstance(image, SkullnbError):
                raise image
            if not isinstance(image, SliceMeasure):
                image = measure_slice(image, used, spacing_mm, slice_number=number)
            mask[...] = image.mask
            row |= image.row()
        except SkullnbError as error:
            row |= {"status": "failed", "reason": str(error), "warnings": ()}
    return rows


def make_table(rows: list[Row], places: Iterable[Sequence[Any]], on_warning: str) -> pd.DataFrame:
    """Make the table of masks in `places`: of each the group, and volume and step to neighbours."""
    groups, *around = map(list, zip(*places, strict=True))
    kept = [number for number, row in enumerate(rows) if row.get("status") != "failed"]
    if not kept:
        raise errors.InvalidImage(rows[0]["reason"])
    add_neighbour_signs(*([one[number] for number in kept] for one in (rows, *around)))
    # Whole numbers stay whole beside what is missing.
    table = pd.DataFrame(rows, columns=[*MASK_COLUMNS], dtype=object)
    table["index"], table["group"] = range(len(rows)), groups
    table["written_px"] = table["mask_px"].where(table["status"].isin(_KEPT[on_warning]), 0)
    return table


def describe(
    table: pd.DataFrame, settings: PipelineSettings, volumes: Sequence[Any], on_warning: str
) -> Row:
    """Say for a JSON file what masks of `volumes` are, how made, and which of them look wrong."""
    grows, spacings = settings.border == DARK_GROWTH, {one.spacing_mm: 1 for one in volumes}
    spacing_mm = volumes[0].spacing_mm if len(spacings) == 1 else None
    used = settings.at(volumes[0].spacing_mm) if grows or len(spacings) == 1 else settings
    width = used.kernel_width if used.reach_mm is None else None
    reach: Any = [used.reach_mm] * 2
    if width is not None:
        reach = spacing_mm and [round(one, 3) for one in reach_mm(width, spacing_mm)]
    asked_px = settings.kernel_width if settings.reach_mm is None else 0
    remarks = []
    for one in () if grows else spacings:
        told = "" if kernel_sign(settings, one) else span_remark(asked_px, one)
        remarks += [asked_remark(settings, one), told]  # of a sign every slice is warned
    numbered = "index" if volumes[1:] else "slice"

    def say(status: str, told: str) -> str:
        some = table[table["status"] == status][numbered]
        return f"{len(some)} of {len(table)} slices {told}: {ranges_of(some)}" if len(some) else ""

    counts = table["status"].value_counts().to_dict()
    reasons = table["reason"][table["status"] == "failed"].tolist()
    return {
        "Description": "The outer surface of the skull and everything inside it, no scalp",
        "Type": "ROI",  # BIDS knows Brain, Lesion and Face; a mask that holds bone is none of them
        "SpatialReference": "orig",
        "Versions": versions(),
        "SettingsAsked": asdict(settings),
        "Settings": asdict(used) | {"kernel_width": width},
        "SpacingMm": spacing_mm,
        "ReachMm": reach,
        "Counts": {"slices": len(table), "ok": 0, "warned": 0, "empty": 0} | counts,
        "Status": next(iter(counts)) if len(counts) == 1 else "warned",
        "Warnings": warning_lines(table, numbered),
        "LooksWrong": say("warned", "look wrong"),
        "Failed": "; ".join([say("failed", "failed"), *reasons[:1]]),
        "OnWarning": on_warning,
        "Remarks": [*filter(None, remarks), *(remark for one in volumes for remark in one.remarks)],
    }


def masks_in(folder: Path) -> Iterator[Row]:
    """Read the JSON files of masks below a folder: a row a mask, paths seen from the folder."""
    for path in sorted(folder.rglob("[!.]*.json")):
        place = path.relative_to(folder).parent
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # no mask's
            told = json.loads(path.read_text(encoding="utf-8"))
            row = {"run": place.as_posix(), "mask": (place / told["Mask"]).as_posix()}
            row |= {"status": told["Status"], **told["Counts"], "cm3": told["VolumeCm3"]}
            reach = told["ReachMm"] and float(np.mean(told["ReachMm"]))
            sheet = told.get("Sheet") and os.path.normpath(place / told["Sheet"])
            yield row | {"reach_mm": reach, "looks_wrong": told["LooksWrong"], "sheet": sheet}


def warning_lines(table: pd.DataFrame, numbered: str = "slice") -> list[str]:
    """Write a line for every kind of warning, as "slices 4-5: fills 20-60%", from a row a slice."""
    lines, single = [], table[[numbered, "warnings"]].explode("warnings").dropna()
    kinds = single["warnings"].astype(str).str.replace(_NUMBER, "{}", regex=True)
    for words, part in single.groupby(kinds, sort=False):
        values = zip(*map(_NUMBER.findall, part["warnings"]), strict=True)
        ends = [(min(some, key=float), max(some, key=float)) for some in values]
        told = str(words).format(*("-".join(dict.fromkeys(pair)) for pair in ends))
        which = f"slice{'s' * (len(part) > 1)} {ranges_of(part[numbered])}"
        lines.append(f"{which}: {told}")
    return lines


def ranges_of(numbers: Iterable[int], most: int = 20) -> str:
    """Write ascending whole numbers as in "1-4, 7"; count what is left out after `most` ranges."""
    alike = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in run] for _, run in alike]
    told = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    more = sum(map(len, runs[most:]))
    return ", ".join(told[:most]) + (f" and {more} more" if more else "")


def versions() -> dict[str, str]:
    """Return the versions of what decides the masks."""
    return {"skullnb": __version__, "OpenCV": cv2.__version__, "numpy": np.__version__}


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, TSV as BIDS has it, or Parquet, by its ending."""
    if "warnings" in table:
        table = table.assign(warnings=table["warnings"].map("; ".join))
    sep, missing = ("\t", "n/a") if path.suffix == ".tsv" else (",", "")
    with writing(path) as temporary:
        if path.suffix == ".parquet":
            table.convert_dtypes().to_parquet(temporary, index=False)
        else:
            cells = table.map(_guarded).rename(columns=_guarded)
            cells.to_csv(temporary, sep=sep, na_rep=missing, index=False)


def _guarded(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula."""
    starts = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "'"))
    return f"'{value}" if starts else value


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON, whole or not at all."""
    with writing(path) as temporary:
        text = json.dumps(content, indent=1, ensure_ascii=False, default=lambda one: one.item())
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _path_of(source: Volume, folder: Path, bids: bool) -> Path:
    """Call a mask after its volume; in BIDS `desc` says of which image it is, and what it marks."""
    if not bids:
        return folder / f"{source.name}_mask{_KINDS.get(suffix_of(source.path), '.nii.gz')}"
    label = "[A-Za-z0-9]+"
    entities = rf"(sub-{label})(_ses-{label})?((?:_(?!desc)[a-z]+-{label})*)"
    found = re.fullmatch(rf"{entities}(?:_desc-({label}))?_({label})", source.name)
    if not found:
        told = f"{source.path.name} has no BIDS name; call it sub-LABEL_T1w.nii.gz or so"
        raise InvalidSetting(f"{told} (labels of letters and digits), or leave --bids out.")
    subject, session, others, desc, suffix = found.groups("")
    own = source.path.parent.name
    datatype = own if own in ("anat", "func", "dwi", "fmap", "perf", "pet") else "anat"
    file = f"{subject}{session}{others}_desc-{desc}{suffix}SkullAndInside_mask.nii.gz"
    return folder / subject / session.removeprefix("_") / datatype / file
