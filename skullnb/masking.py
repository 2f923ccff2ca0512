"""Masks of many volumes: where each goes, one volume at a time, and what to say of each."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skullnb import bids as bids_names
from skullnb.errors import InvalidSetting, SkullnbError, UnreadableFile, in_one_line
from skullnb.pipeline import PipelineSettings, SkullMaskTrace
from skullnb.reach import span_remark
from skullnb.results import make_folder
from skullnb.stack import (
    Input,
    Stack,
    list_volumes,
    read_stack,
    refuse_place,
    split_series,
    write_masks,
)
from skullnb.stack.names import expand, suffix_of
from skullnb.stack.writing import WRITTEN
from skullnb.summary import Summary, ranges_of, summarise_stack

HEADING = "status                 slices       Otsu  edge          area     time  volume"
"""Above the lines of `Masked`: Otsu is a range, edge counts components that touch the frame."""

_WITHOUT_GRID = (".npy", ".npz", ".tif", ".tiff")


@dataclass(frozen=True)
class Job:
    """One volume, and the file its mask goes to.

    Attributes
    ----------
    volume : Input
    path : Path
    folder : Path or None
        The folder that is made for all masks; None when one goes to a file that was named.
    """

    volume: Input
    path: Path
    folder: Path | None = None


@dataclass(frozen=True)
class Masked:
    """What came of one volume.

    Attributes
    ----------
    name : str
    path : Path
        Where its mask is, or would be.
    seconds : float
        Reading, masking and writing.
    n_slices, n_empty, n_warned : int
        Slices worked on, how many of their masks are empty, and how many others look wrong.
    thresholds : (lowest, highest)
        Of the normalised slices, 0 to 255.
    n_edge_touching : int
        Bright components that touch the frame, over all slices.
    mask_px : int
        Area of all masks.
    remarks : tuple of str
        What looks wrong, with the slices it is about; first whether the kernel spans another
        distance than usual.
    error : str
        Why it failed; "" when it did not.
    """

    name: str
    path: Path
    seconds: float
    n_slices: int = 0
    n_empty: int = 0
    n_warned: int = 0
    thresholds: tuple[int, int] = (0, 0)
    n_edge_touching: int = 0
    mask_px: int = 0
    remarks: tuple[str, ...] = ()
    error: str = ""

    @property
    def status(self) -> str:
        """`ok`, `2 empty, 3 warned` (slices that look wrong), `empty` (all) or `failed`.

        Examples
        --------
        >>> Masked("a", Path("a.nii"), 0.1, n_slices=9, n_empty=2, n_warned=3).status
        '2 empty, 3 warned'
        """
        if self.error:
            return "failed"
        if self.n_empty and self.n_empty == self.n_slices:
            return "empty"
        counts = {"empty": self.n_empty, "warned": self.n_warned}
        return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "ok"

    def __str__(self) -> str:
        """One line under `HEADING`."""
        facts = ("-", "-", "-", "-")
        if not self.error:
            low, high = self.thresholds
            otsu = f"{low}" if low == high else f"{low}-{high}"
            facts = (f"{self.n_slices}", otsu, f"{self.n_edge_touching}", f"{self.mask_px} px")
        slices, otsu, edge, area = facts
        where = in_one_line(self.name if self.error else f"{self.name} -> {self.path.name}")
        return (
            f"{self.status:21} {slices:>7} {otsu:>10} {edge:>5} {area:>13} "
            f"{self.seconds:6.1f} s  {where}"
        )


def plan_masks(images: str | Path, output: str | Path, *, bids: bool = False) -> list[Job]:
    """Find the volumes that `images` stands for, and a place for the mask of each.

    Parameters
    ----------
    images : str or Path
        A file, a folder or a pattern; every DICOM series of a folder is a volume of its own.
    output : str or Path
        For one volume a file, or else a folder. There a mask is called after its volume, with
        `_mask`, and is NIfTI where the volume has an orientation, otherwise of the volume's kind.
    bids : bool
        Name masks as in a BIDS derivative dataset, with `output` as its folder.

    Returns
    -------
    list of Job

    Raises
    ------
    InvalidSetting
        If several volumes would go to one file, or a mask would replace one of the images.
    UnreadableFile
        If there are no images.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "scan.npy", np.zeros((2, 8, 8)))
    ...     jobs = plan_masks(folder, Path(folder) / "masks")
    >>> jobs[0].path.parts[-2:]
    ('masks', 'scan_mask.npy')
    """
    output = expand(output)
    volumes = list_volumes(images, every_series=True)
    one_file = split_series(images)[0].is_file()
    is_file = suffix_of(output) in WRITTEN and not output.is_dir()
    if bids and is_file:
        raise InvalidSetting(f"BIDS masks go into a folder, and {output.name} is a file's name.")
    if bids:
        jobs = [
            Job(volume, bids_names.mask_path(volume.name, volume.path, output), output)
            for volume in volumes
        ]
    elif len(volumes) == 1 and (is_file or (one_file and not output.is_dir())):
        return [Job(volumes[0], output)]
    elif is_file:
        raise InvalidSetting(
            f"{images} stands for {len(volumes)} volumes, and their masks don't go into one file "
            f"{output.name}; name a folder."
        )
    else:
        jobs = [
            Job(volume, output / f"{volume.name}_mask{_suffix(volume)}", output)
            for volume in volumes
        ]
    path, times = Counter(job.path for job in jobs).most_common(1)[0]
    if times > 1:
        same = [job.volume.path.name for job in jobs if job.path == path]
        raise InvalidSetting(
            f"The masks of {' and '.join(same[:3])} would both be called {path.name}; take them "
            "apart with a pattern such as 'scans/*_T1w.nii.gz'."
        )
    own = {volume.path.resolve() for volume in volumes}
    for job in jobs:
        if job.path.resolve() in own:
            raise InvalidSetting(
                f"{job.path.name}, the mask of {job.volume.path.name}, is itself among the images; "
                "write to another folder, or name the images with a pattern."
            )
    return jobs


def mask_volumes(
    jobs: Sequence[Job],
    settings: PipelineSettings | None = None,
    *,
    slices: str = "",
    axis: str = "axial",
    spacing_mm: str = "",
    bids: bool = False,
    overwrite: bool = False,
    visit: Callable[[int, SkullMaskTrace], object] | None = None,
) -> Iterator[Masked]:
    """Make the masks of volumes, one in memory at a time.

    Parameters
    ----------
    jobs : sequence of Job
        From `plan_masks`. A single one raises what goes wrong; among several the failed one is
        reported and the rest done.
    settings : PipelineSettings, optional
        The article's when left out.
    slices, axis, spacing_mm : str
        As in `skullnb.stack.read_stack`, for each volume.
    bids : bool
        Write a JSON file beside each mask, and the dataset's description.
    overwrite : bool
        Whether existing masks may be replaced.
    visit : callable, optional
        Called as ``visit(index, trace)`` after each slice.

    Yields
    ------
    Masked

    Raises
    ------
    SkullnbError
        If the only volume can't be read or its mask not written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "flat.npy", np.zeros((2, 8, 8)))
    ...     jobs = plan_masks(Path(folder) / "flat.npy", Path(folder) / "mask.npy")
    ...     [masked.status for masked in mask_volumes(jobs)]
    ['empty']
    """
    settings = settings or PipelineSettings()
    for job in jobs:
        started = time.monotonic()
        try:
            # Asked before the long work, and again when the volume's own files are known.
            if job.folder is None or job.path.parent.is_dir():
                refuse_place(job.path, overwrite=overwrite)
            sidecar = bids_names.sidecar_path(job.path)
            if bids and sidecar.exists() and not overwrite:
                raise UnreadableFile(f"{sidecar} exists already; allow overwriting (--overwrite).")
            stack = read_stack(job.volume, slices=slices, axis=axis, spacing_mm=spacing_mm)
            with make_folder(job.path.parent) if job.folder else nullcontext():
                refuse_place(job.path, stack, overwrite)
                found = summarise_stack(stack, settings, visit)
                write_masks(found.masks, job.path, stack, overwrite=overwrite)
            if bids and job.folder:
                bids_names.write_sidecar(
                    job.path, job.volume.path, _for_sidecar(stack, found, settings, axis)
                )
                bids_names.describe_dataset(job.folder, job.volume.path)
        except (SkullnbError, OSError, MemoryError) as error:
            if len(jobs) == 1:
                raise
            seconds = time.monotonic() - started
            yield Masked(job.volume.name, job.path, seconds, error=_sentence(error))
            continue
        table = found.table
        span = span_remark(settings.kernel_width, stack.spacing_mm)
        yield Masked(
            job.volume.name,
            job.path,
            time.monotonic() - started,
            n_slices=len(stack),
            n_empty=found.n_empty,
            n_warned=found.n_warned,
            thresholds=(int(table["threshold"].min()), int(table["threshold"].max())),
            n_edge_touching=int(table["n_edge_touching"].sum()),
            mask_px=int(table["mask_px"].sum()),
            remarks=(*filter(None, [span]), *found.warning_lines()),
        )


def summary_line(masked: Sequence[Masked]) -> str:
    """Say how a run over volumes went.

    Examples
    --------
    >>> failed = Masked("b", Path("b.nii"), 0.1, error="b.nii is damaged.")
    >>> summary_line([Masked("a", Path("a.nii"), 0.1, n_slices=1), failed])
    '2 volumes: 1 ok, 1 failed'
    """
    kinds = Counter(
        "failed"
        if one.error
        else "with empty masks and warnings"
        if one.n_empty and one.n_warned
        else "with empty masks"
        if one.n_empty
        else "with warnings"
        if one.n_warned
        else "ok"
        for one in masked
    )
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"{len(masked)} volume{'s' * (len(masked) != 1)}: {told}"


def _sentence(error: SkullnbError | OSError | MemoryError) -> str:
    """Say in a sentence why one volume of several failed."""
    if isinstance(error, SkullnbError):
        return str(error)
    if isinstance(error, OSError):
        return f"A file can't be read or written: {error.strerror or type(error).__name__}."
    return "There is not enough memory for it; choose fewer slices."


def _suffix(volume: Input) -> str:
    """Return the ending of a mask that is named after its volume."""
    own = suffix_of(volume.path)
    return own if volume.series is None and own in _WITHOUT_GRID else ".nii.gz"


def _for_sidecar(
    stack: Stack, found: Summary, settings: PipelineSettings, axis: str
) -> dict[str, Any]:
    """What the JSON file beside a mask says of how it was made."""
    numbers = stack.slice_numbers
    empty = [number for number, why in zip(numbers, found.reasons, strict=True) if why]
    return {
        "SourceSHA256": stack.fingerprint(),
        "Settings": asdict(settings),
        "Axis": axis,
        "Slices": ranges_of(sorted(numbers)),
        "SlicesWithEmptyMask": empty,
    }
