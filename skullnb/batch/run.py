"""`mask_batch`: the masks of any number of slices, in constant memory, safe to kill at any time."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.batch.fingerprint import fingerprint
from skullnb.batch.journal import FORMAT, Journal
from skullnb.batch.outputs import PACKED, kind_of, open_output
from skullnb.batch.refusals import (
    refuse_changed,
    refuse_place,
    refuse_taken,
    refuse_without_room,
    say_how_to_go_on,
)
from skullnb.batch.resume import BatchResult, are_named, finished_before, publish, resume
from skullnb.batch.sources import Source, is_zarr, open_source
from skullnb.batch.work import EVIDENCE, Work, versions
from skullnb.batch.workers import Crew, hire, work_through
from skullnb.batch.workplace import Workplace
from skullnb.errors import InvalidSetting
from skullnb.pipeline import PipelineSettings, create_skull_masks
from skullnb.stack.names import expand

# What a .npy may hold before its masks are no longer made in memory.
_LARGE = 10**9
# A worker holds the masks of one chunk at a time.
_CHUNK_BYTES = 16 * 2**20

Progress = Callable[[int, int], object]


def mask_batch(
    images: str | Path,
    output: str | Path,
    settings: PipelineSettings | None = None,
    *,
    slices: str = "",
    workers: int | None = None,
    processes: bool = False,
    scheduler: str = "",
    chunk: int | None = None,
    evidence: str = "full",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BatchResult:
    """Make the masks of any number of slices; go on where an earlier run was stopped.

    Under its final name the output is always complete. Until then the masks are in a folder
    called after it, `OUT.partial`, with a journal of the chunks that are done. The same call goes
    on from there after whatever stopped it. Beside the finished masks are a table with a row for
    every slice (`OUT.csv`, or `OUT.parquet` where pyarrow is installed) and a description
    (`OUT.json`).

    Parameters
    ----------
    images : str or Path
        A file, a folder or a pattern, with slices of one size, or a zarr array (N, H, W). See
        `skullnb.batch.open_source`.
    output : str or Path
        What to write, by its ending: .npy, .packed.npy (one bit a pixel) or .zarr (compressed).
        See `skullnb.batch.outputs`.
    settings : PipelineSettings, optional
        The article's when left out.
    slices : str
        One range, such as `1000:2000`; all slices when empty.
    workers : int, optional
        Threads or processes; as many as this program may use processors when left out.
    processes : bool
        Processes instead of threads.
    scheduler : str
        Address of a Dask scheduler, whose workers do the work; for zarr output.
    chunk : int, optional
        Slices that are done, written and marked together; about 16 MB of masks when left out. A
        run that goes on keeps the chunks it was begun with.
    evidence : {"full", "brief"}
        Whether the table tells of every slice its threshold, components and areas, or only the
        mask's area, and the rest where the mask is empty or of a strange size. Brief is faster
        and the masks are the same, but it does not look for the signs of a wrong choice.
    overwrite : bool
        Whether an existing output, or one begun otherwise, may be replaced.
    progress : callable, optional
        Called as ``progress(done, n_slices)``, first with what was done before.

    Returns
    -------
    BatchResult

    Raises
    ------
    InvalidSetting
        If the settings don't go together.
    UnreadableFile
        If the input can't be read, or the output is there already.
    BatchStopped
        If the batch was begun with another input, other settings or another version; if another
        run is at it; if the disk is full or a worker was killed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "scans.npy", np.zeros((50, 8, 8)))
    ...     done = mask_batch(Path(folder) / "scans.npy", Path(folder) / "masks.npy", workers=1)
    ...     masks = np.load(done.path, mmap_mode="r")
    ...     masks.shape, done.counts.n_empty
    ((50, 8, 8), 50)
    """
    started = time.monotonic()
    if evidence not in EVIDENCE:
        raise InvalidSetting(f"The evidence is {' or '.join(EVIDENCE)}, not {evidence!r}.")
    for name, number in (("number of workers", workers), ("chunk", chunk)):
        if number is not None and number < 1:
            raise InvalidSetting(f"The {name} must be at least 1, not {number}.")
    settings = settings or PipelineSettings()
    path = expand(output).absolute()
    kind = kind_of(path)
    source = open_source(images, slices)
    refuse_place(path, source)
    about: dict[str, Any] = {
        "format": FORMAT,
        "input": fingerprint(source.files()),
        "slices": [source.first, source.first + source.shape[0]],
        "shape": list(source.shape),
        "settings": _plainly(settings),
        "evidence": {"table": evidence},
        "versions": versions(),
    }
    place = Workplace(path)
    with place:
        journal = resume(place, about, overwrite)
        if journal is None and path.exists() and not overwrite:
            return finished_before(path, about)
        masks_are_named = journal is not None and are_named(place, journal)
        if not masks_are_named:
            refuse_taken(path, kind, overwrite)
        if journal is None:
            size = min(chunk or _usual_chunk(source), source.shape[0])
            journal = _begin(place, source, kind, {**about, "chunk": size})
        work = Work(
            source,
            open_output(place.masks(journal), kind, source.shape, journal.about["chunk"]),
            settings,
            evidence,
            journal.about["chunk"],
            versions(),
        )
        n_resumed = journal.n_slices
        if progress:
            progress(n_resumed, source.shape[0])
        with say_how_to_go_on(path, journal):
            if not masks_are_named:
                crew = partial(
                    hire,
                    work,
                    workers or _n_processors(),
                    processes=processes,
                    scheduler=scheduler,
                )
                _make_masks(work, journal, crew, progress)
                refuse_changed(source, about["input"], path)
            counts, table = publish(place, journal, kind, overwrite)
    return BatchResult(path, table, counts, n_resumed, time.monotonic() - started)


def is_for_batch(images: str | Path, output: str | Path) -> bool:
    """Whether masks are too many for memory, or a batch of them was begun, or only one writes them.

    Examples
    --------
    >>> is_for_batch("scan.nii.gz", "mask.nii.gz"), is_for_batch("scans.npy", "masks.zarr")
    (False, True)
    """
    given, wanted = expand(images), Path(output).name.lower()
    begun = Workplace(expand(output)).journal.exists()
    if begun or wanted.endswith((PACKED, ".zarr")) or is_zarr(given):
        return True
    both_npy = wanted.endswith(".npy") and given.suffix.lower() == ".npy"
    return both_npy and given.is_file() and given.stat().st_size > _LARGE


def _plainly(settings: PipelineSettings) -> dict[str, Any]:
    """Settings as JSON gives them back: numpy's integers are integers."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in asdict(settings).items()
    }


def _begin(place: Workplace, source: Source, kind: str, about: dict[str, Any]) -> Journal:
    """Make room for the masks, and begin the journal."""
    # A name of its own: what an orphan of an earlier run still writes lands nowhere.
    about["masks"] = f"masks-{uuid.uuid4().hex[:8]}"
    place.empty()
    output = open_output(place.folder / about["masks"], kind, source.shape, about["chunk"])
    refuse_without_room(output, place.output)
    with say_how_to_go_on(place.output, None):
        output.create()
        return Journal.begin(place.journal, about)


def _make_masks(
    work: Work,
    journal: Journal,
    crew: Callable[[], AbstractContextManager[Crew]],
    progress: Progress | None,
) -> None:
    """Do all chunks that are not done."""
    n_chunks = -(-work.source.shape[0] // work.chunk)
    left = [chunk for chunk in range(n_chunks) if chunk not in journal.done]
    if not left:
        return
    if work.evidence == "brief":
        # The first mask may have to wait for compiled code; better once here than in each worker.
        create_skull_masks(np.eye(8)[np.newaxis], work.settings)
    with crew() as ready:
        for rows in work_through(ready, left):
            # Chunks that finished together share one wait for the disk.
            if ready.sync:
                work.output.sync(chunk * work.chunk for chunk in rows)
            journal.append(rows)
            if progress:
                progress(journal.n_slices, work.source.shape[0])


def _usual_chunk(source: Source) -> int:
    """Slices in a chunk: what memory allows, in whole chunks of the input."""
    _, height, width = source.shape
    many = max(1, min(256, _CHUNK_BYTES // (height * width)))
    return max(1, many // source.step) * source.step


def _n_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
