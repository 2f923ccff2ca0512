"""Masks of more slices than memory holds; killed at any moment, the same call goes on.

A chunk is done when its rows are there (`OUT.partial/rows/000000012.json`), after its masks.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from skullnb import masking
from skullnb.errors import BatchStopped, InvalidImage, InvalidSetting, UnreadableFile
from skullnb.pipeline import PipelineSettings
from skullnb.stack import Volume, list_volumes, open_volume, refuse_place, write
from skullnb.stack.checks import expand, in_one_sentence, needed, parse_slices, parse_spacing
from skullnb.stack.files import is_zarr
from skullnb.stack.read import is_mapped
from skullnb.stack.write import PACKED, shape_of

KINDS = (PACKED, ".npy", ".zarr")
_LARGE = 10**9  # bytes of a .npy whose masks are no longer made in memory
_CHUNK_BYTES = 4 * 2**20  # a worker holds the masks of one chunk
_AHEAD = 500  # chunks that workers are given at a time
_CHANGED = "The images were changed while masks were made of them; begin anew with --overwrite."
_OWN = ("rows", "lock", "about.json", "masks", "replaced", ".skullnb-")

Progress = Callable[[int, int], object]  # is told how many slices are done, and how many there are


@dataclass(frozen=True)
class Work:
    """All that a worker needs to know; no pixels."""

    volumes: tuple[Volume, ...]  # unopened; their slices follow one another
    counts: tuple[int, ...]  # of the slices in each
    first: int  # of the chosen slices, its number among all
    shape: tuple[int, int, int]  # (N, H, W) of those chosen
    reading: Mapping[str, Any]  # words of `open_volume`
    masks: Path  # where they are until all are done
    stored: tuple[int, int, int]  # their shape there
    chunk: int
    settings: PipelineSettings
    versions: Mapping[str, str]

    def do(self, number: int) -> int:
        """Mask one chunk: first the masks, then the rows, which say that it is done."""
        if masking.versions() != self.versions:
            raise BatchStopped(f"A worker has {masking.versions()}, this machine {self.versions}.")
        start, stop = number * self.chunk, min((number + 1) * self.chunk, self.shape[0])
        masks = np.zeros((stop - start, *self.shape[1:]), dtype=np.uint8)
        rows = masking.mask_slices(self.read(start, stop), self.settings, masks)
        write.write_slices(self.masks, self.stored, start, masks)
        part = self.masks.parent / "rows" / f"{number:09d}.json"
        part.with_suffix(".new").write_text(json.dumps(rows, default=int))
        part.with_suffix(".new").replace(part)
        return stop - start

    def read(self, start: int, stop: int) -> Iterator[tuple[str, int, Any, Any]]:
        """Give each slice's file, number there, pixels (or why they can't be read) and spacing."""
        single, ends = max(self.counts) == 1 < len(self.counts), accumulate(self.counts)
        for volume, n, end in zip(self.volumes, self.counts, ends, strict=True):
            before = end - n - self.first
            low, high = max(start - before, 0), min(stop - before, n)
            if low >= high:
                continue
            spacing_mm, pixels = self.reading["spacing_mm"], None
            images: Any = []
            try:
                with in_one_sentence(volume.path):
                    spacing_mm, pixels = _pixels_of(volume, **self.reading)
                    images = pixels[low:high]
            except UnreadableFile as error:
                # What the system refuses is no property of a file, and may be gone tomorrow.
                cause = error.__cause__ or error
                refused = isinstance(cause, MemoryError) or getattr(cause, "errno", None)
                if refused or not volume.path.exists():
                    raise
                images = [error] * (high - low)
            if not isinstance(images, list) and images.shape != (high - low, *self.shape[1:]):
                raise BatchStopped(_CHANGED)
            for at, image in enumerate(images, end - n if single else low):
                yield volume.path.name, at, image, spacing_mm
            if is_mapped(pixels):  # what was read of a map counts as this program's memory
                _pixels_of.cache_clear()

    def files(self) -> list[Path]:
        """List all files that are read."""
        every = [path for one in self.volumes for path in one.files]
        deep = [sorted(path.rglob("*")) if path.is_dir() else [path] for path in every]
        return [file for some in deep for file in some if not file.is_dir()]

    def fingerprint(self) -> list[list[Any]]:
        """Know the files again: names, sizes and times."""
        stats = [(path.name, path.stat()) for path in self.files()]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]

    def table(self, opened: Sequence[Volume], on_warning: str) -> pd.DataFrame:
        """Join the rows of all chunks."""
        parts = sorted(self.masks.parent.glob("rows/*.json"))
        rows = [row for part in parts for row in json.loads(part.read_text())]
        files = np.repeat(range(len(opened)), self.counts)[self.first :]
        several = max(self.counts) > 1
        around = [
            (one.name, str(number), one.grid.steps_mm[0]) if one.grid and several else ("", "", 0.0)
            for number, one in enumerate(opened)
        ]
        return masking.make_table(rows, [around[file] for file in files[: len(rows)]], on_warning)


@lru_cache(maxsize=2)
def _pixels_of(volume: Volume, **reading: Any) -> tuple[tuple[float, float] | None, Any]:
    """Open a volume: its spacing and pixels, memory-mapped where that can be; the last two stay."""
    opened = open_volume(volume, **reading)
    return opened.spacing_mm, opened.load()


def mask_batch(
    images: str | Path,
    output: str | Path,
    settings: PipelineSettings | None = None,
    *,
    slices: str = "",
    suffix: str = "",
    spacing_mm: str = "",
    axis: str = "",
    nan_background: bool = False,
    on_warning: str = "keep",
    workers: int | None = None,
    scheduler: str = "",
    chunk: int | None = None,
    parquet: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> masking.Masked:
    """Make the masks of slices of one size, a range of all; go on where a run was stopped.

    A .npy has a byte a pixel, a .packed.npy a bit (`numpy.packbits`), a .zarr 255 where something
    is missing. `workers` are threads, or those of the Dask cluster at `scheduler`.
    """
    masking.check_on_warning(on_warning)
    if parquet:
        needed("pyarrow", "A table as Parquet", "batch")
    path, settings = expand(output).absolute(), settings or PipelineSettings()
    kind = next((one for one in KINDS if path.name.lower().endswith(one)), "")
    if not kind:
        raise InvalidSetting(f"A batch writes {', '.join(KINDS)}, and {path.name} is none of them.")
    volumes = list_volumes(expand(images).absolute(), suffix, every_series=True)
    reading: dict[str, Any] = {"spacing_mm": parse_spacing(spacing_mm), "axis": axis}
    reading["nan_background"] = nan_background
    opened = [open_volume(one, **reading) for one in volumes]
    counts, sizes = tuple(one.shape[0] for one in opened), {one.shape[1:] for one in opened}
    if len(sizes) > 1:
        listed = " and ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
        raise InvalidSetting(f"A batch has slices of one size, and these are {listed} px.")
    chosen, (height, width) = parse_slices(slices, sum(counts)), sizes.pop()
    if chosen != list(range(chosen[0], chosen[-1] + 1)):
        raise InvalidSetting(f"A batch takes one range of slices, as 0:1000, not {slices!r}.")
    for one in {one.spacing_mm for one in opened}:
        settings.at(one)  # refused now, not slice by slice
    n, folder = len(chosen), path.with_name(f"{path.name}.partial")
    size = min(max(1, chunk or _CHUNK_BYTES // (height * width)), n)
    stored = n, height, -(-width // 8) if kind == PACKED else width
    given = tuple(volumes), counts, chosen[0], (n, height, width), reading
    work = Work(*given, folder / f"masks{kind}", stored, size, settings, masking.versions())
    asked = {"counts": counts, "shape": work.shape, "first": work.first, "on_warning": on_warning}
    asked = asdict(settings) | asked | reading
    about: dict[str, Any] = {name: str(one) for name, one in asked.items()}
    about |= {"images": work.fingerprint(), **work.versions}
    places = (path, *masking.beside(path, ".parquet" if parquet else ".csv"))
    (told, differs), n_resumed = _known(places[2], about), n
    finished = not (overwrite or differs or work.masks.exists()) and all(map(Path.exists, places))

    def refuse() -> None:
        """Refuse names that others have, and one where masks would be read as images."""
        masking.refuse_among(path, images)
        for one in places:
            allowed = overwrite or (not differs and one != path)  # stopped shortly before its end
            refuse_place(one, work.files(), allowed)

    if not finished:
        refuse()
    with _alone(folder, path):
        if not finished:
            work = _begin(work, about, overwrite)
            n_resumed = _work_through(work, workers, scheduler, progress)
            if work.fingerprint() != about["images"]:
                raise BatchStopped(_CHANGED)
            refuse()
            table = work.table(opened, on_warning)
            told = masking.describe(table, settings, opened, on_warning)
            told |= {"Sources": [one.path.name for one in opened], "Batch": about}
            # Where the batch is, so that a kill leaves nothing beside it.
            masking.write_table(table, folder / f"table{places[1].suffix}")
            masking.write_json(told, folder / "account.json")
            (folder / "account.json").replace(places[2])
            (folder / f"table{places[1].suffix}").replace(places[1])
            _publish(work, table, path)
        shutil.rmtree(folder)
    return masking.Masked(images, path, account=told, n_resumed=n_resumed)


def is_for_batch(images: str | Path, output: str | Path) -> bool:
    """Say whether masks are too many for memory, begun as a batch, or only written by one."""
    given, wanted = expand(images), expand(output)
    name, begun = wanted.name.lower(), Path(f"{wanted}.partial", "about.json").exists()
    large = given.suffix.lower() == ".npy" and given.is_file() and given.stat().st_size > _LARGE
    only = name.endswith((PACKED, ".zarr")) or (str(images) != "" and is_zarr(given))
    return only or begun or (large and name.endswith(".npy"))


@contextmanager
def _alone(folder: Path, path: Path) -> Iterator[None]:
    """Hold the folder, which goes where no chunk in it is done; say what stopped a run."""
    import filelock

    strange = [one for one in folder.glob("*") if not one.name.startswith(_OWN)]
    if strange or folder.is_symlink() or folder.is_file():
        raise BatchStopped(f"{folder.name} is not what a batch left behind; move it away.")
    folder.mkdir(exist_ok=True)
    lock = filelock.FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise BatchStopped(f"Another run is writing {path.name}; wait for it.") from error
    except OSError:
        pass  # some network disks keep no locks
    try:
        yield
    except InvalidImage:  # not one slice could be masked
        shutil.rmtree(folder / "rows")
        raise
    finally:
        _pixels_of.cache_clear()
        if not any(folder.glob("rows/*.json")):
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _known(path: Path, about: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Read a batch's description, and say how it differs from what is wanted; "" if it doesn't."""
    told, differs = dict[str, Any](), "its description is missing or damaged"
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        told = json.loads(path.read_text(encoding="utf-8"))
        before = told["Batch"]
        changed = [name for name in about if before.get(name) != about[name]]
        differs = f"its {changed[0].replace('_', ' ')} changed" if changed else ""
    return told, differs


def _begin(work: Work, about: Mapping[str, Any], overwrite: bool) -> Work:
    """Return the work as it was begun, or begin it; refuse what was begun otherwise."""
    folder, path = work.masks.parent, work.masks.with_name("about.json")
    begun, differs = _known(path, about)
    if not differs and shape_of(work.masks) == work.stored:
        return replace(work, chunk=begun["chunk"])
    if path.exists() and not overwrite:
        why = differs or "its masks are gone or cut"
        now = "do the same as before to go on, or allow overwriting (--overwrite) to begin anew"
        raise BatchStopped(f"{folder.name} can't be gone on with: {why}; {now}.")
    path.unlink(missing_ok=True)
    shutil.rmtree(folder / "rows", ignore_errors=True)
    (folder / "rows").mkdir()
    write.create_masks(work.masks, work.stored, work.chunk)
    masking.write_json({"Batch": about, "chunk": work.chunk}, path)
    return work


def _work_through(work: Work, workers: int | None, scheduler: str, progress: Progress) -> int:
    """Do all chunks that are not done, some at a time; return how many slices were done before."""
    n, done = work.shape[0], {int(one.stem) for one in work.masks.parent.glob("rows/*.json")}
    n_before = n_done = sum(min(work.chunk, n - number * work.chunk) for number in done)
    progress(n_done, n)
    left = (number for number in range(-(-n // work.chunk)) if number not in done)
    with _crew(workers, scheduler) as pool:
        while block := list(islice(left, _AHEAD)):
            for n_more in pool.map(work.do, block):
                n_done += n_more
                progress(n_done, n)
    return n_before


@contextmanager
def _crew(workers: int | None, scheduler: str) -> Iterator[Executor]:
    """Have workers ready: threads of this process, or those of a Dask cluster."""
    if not scheduler:
        with ThreadPoolExecutor(workers or cv2.getNumberOfCPUs()) as pool:
            yield pool
        return
    distributed = needed("distributed", "A Dask cluster", "cluster")
    try:
        client = distributed.Client(scheduler, timeout="10s", set_as_default=False)
        client.wait_for_workers(1, timeout=10)
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"No Dask scheduler with workers is at {scheduler!r}.") from error
    with client:
        try:
            yield client.get_executor(pure=False)
        except (distributed.KilledWorker, distributed.CancelledError) as error:
            told = "Workers were killed again and again; run the batch once more."
            raise BatchStopped(told) from error


def _publish(work: Work, table: pd.DataFrame, path: Path) -> None:
    """Give the masks their name, without those that are not to be written."""
    nothing = np.zeros((1, *work.shape[1:]), dtype=np.uint8)
    for index in table["index"][(table["status"] == "warned") & (table["written_px"] == 0)]:
        write.write_slices(work.masks, work.stored, index, nothing)
    if path.suffix == ".zarr" and path.exists():  # no folder can replace another in one step
        before = work.masks.with_name("replaced")
        shutil.rmtree(before, ignore_errors=True)
        path.replace(before)
    work.masks.replace(path)
