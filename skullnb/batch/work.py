"""The work on one chunk: its masks into the output, its rows into the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

import cv2
import numpy as np

from skullnb.batch.journal import Rows
from skullnb.batch.outputs import Output
from skullnb.batch.sources import Source
from skullnb.errors import BatchStopped, InvalidImage, SkullnbError
from skullnb.pipeline import Mask, PipelineSettings, create_skull_masks, trace_skull_mask

COLUMNS = (
    "index",
    "source",
    "slice",
    "status",
    "threshold",
    "n_components",
    "n_edge_touching",
    "brain_px",
    "dilated_px",
    "mask_px",
    "reason",
    "warnings",
)
"""The table's columns: `index` counts masks in the output, `slice` counts in its `source`."""

EVIDENCE = ("full", "brief")

# In brief, only slices whose mask covers less or more than this are looked at twice. The bounds
# lie inside those of the pipeline's own warnings, so that none of those about size is missed.
_INCONSPICUOUS = 0.02, 0.85


@dataclass(frozen=True)
class Work:
    """All that a worker needs to know; no pixels.

    Attributes
    ----------
    source : Source
    output : Output
    settings : PipelineSettings
    evidence : {"full", "brief"}
    chunk : int
        Slices in a chunk.
    versions : dict of str
        What a worker on another machine has to have.
    """

    source: Source
    output: Output
    settings: PipelineSettings
    evidence: str
    chunk: int
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """Versions of what decides the masks.

    Examples
    --------
    >>> list(versions())
    ['skullnb', 'OpenCV']
    """
    from skullnb import __version__

    return {"skullnb": __version__, "OpenCV": cv2.__version__}


def mask_chunks(work: Work, chunks: Iterable[int], sync: bool = False) -> dict[int, Rows]:
    """Make and write the masks of some chunks.

    Parameters
    ----------
    work : Work
    chunks : iterable of int
        Numbers of the chunks.
    sync : bool
        Whether to return only when the masks are on the disk, for a worker elsewhere.

    Returns
    -------
    dict of int to list
        For each chunk, the table's rows of its slices, in the order of `COLUMNS`.

    Raises
    ------
    BatchStopped
        If this worker has other versions than the one that sent the work, or the images have
        become fewer or of another size.
    OSError
        If something can't be read or written.
    """
    if versions() != work.versions:
        raise BatchStopped(
            f"A worker has {_said(versions())}, and this machine {_said(work.versions)}; install "
            "the same on both, or the masks may differ."
        )
    with one_opencv_thread():
        done = {chunk: _mask_chunk(work, chunk) for chunk in chunks}
        if sync:
            work.output.sync(chunk * work.chunk for chunk in done)
    return done


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV to one thread while any worker of this process is at work.

    Workers run side by side already; threads inside their calls would only get in their way.

    Examples
    --------
    >>> with one_opencv_thread():
    ...     cv2.getNumThreads()
    1
    """
    global _busy, _threads_before
    with _counting:
        if _busy == 0:
            _threads_before = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _busy += 1
    try:
        yield
    finally:
        with _counting:
            _busy -= 1
            if _busy == 0:
                cv2.setNumThreads(_threads_before)


_counting, _busy, _threads_before = Lock(), 0, 0


def _mask_chunk(work: Work, chunk: int) -> Rows:
    n_slices, height, width = work.source.shape
    start = chunk * work.chunk
    stop = min(start + work.chunk, n_slices)
    masks = np.zeros((stop - start, height, width), dtype=np.uint8)
    rows = []
    images = work.source.slices(start, stop)
    for index in range(start, stop):
        image, (name, number) = next(images, None), work.source.origin(index)
        if image is None or not (isinstance(image, SkullnbError) or image.shape == (height, width)):
            raise BatchStopped(
                f"The images were changed while masks were being made of them ({name} has other "
                "slices than before); allow overwriting (--overwrite) to begin anew."
            )
        found, mask = _mask_slice(image, work.settings, work.evidence, number)
        if mask is not None:
            masks[index - start] = mask
        rows.append([index, name, number, *found])
    work.output.write(start, masks)
    return rows


def _mask_slice(
    image: Any, settings: PipelineSettings, evidence: str, number: int
) -> tuple[list[Any], Mask | None]:
    """Give the row from `status` on, and the mask; None when the slice can't be worked on."""
    try:
        if isinstance(image, SkullnbError):
            raise image
        if evidence == "brief":
            # What this refuses is refused again below, with the slice's own number.
            with suppress(InvalidImage):
                mask = create_skull_masks(image[np.newaxis], settings)[0]
                n_pixels = int(np.count_nonzero(mask))
                if _INCONSPICUOUS[0] < n_pixels / mask.size < _INCONSPICUOUS[1]:
                    return ["ok", None, None, None, None, None, n_pixels, "", ""], mask
        trace = trace_skull_mask(image, settings, slice_number=number)
    except SkullnbError as error:
        return ["failed", None, None, None, None, None, 0, str(error), ""], None
    return [
        "empty" if trace.reason else "ok",
        trace.threshold,
        len(trace.components),
        trace.n_edge_touching,
        int(np.count_nonzero(trace.brain)),
        int(np.count_nonzero(trace.dilated)),
        int(np.count_nonzero(trace.mask)),
        trace.reason,
        "; ".join(trace.warnings),
    ], trace.mask


def _said(found: dict[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in found.items())
