"""Slices of any number of files, or of a zarr array, one at a time, and masks of as many."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import BatchStopped, InvalidSetting, UnreadableFile
from skullnb.stack import checks
from skullnb.stack.files import is_zarr as is_zarr
from skullnb.stack.model import Volume
from skullnb.stack.read import is_mapped, list_volumes, open_volume

PACKED = ".packed.npy"  # a bit a pixel
CHANGED = (
    "The images were changed while masks were being made of them, so the masks may be of both; "
    "allow overwriting (--overwrite) to begin anew."
)


@dataclass(frozen=True)
class Slices:
    """Slices of one size: of files, one file after another, or of a zarr array."""

    volumes: tuple[Volume, ...]  # unopened
    counts: tuple[int, ...]  # of the slices in each
    shape: tuple[int, int, int]  # (N, H, W) of those chosen
    first: int = 0  # its number among all
    spacing_mm: tuple[float, float] | None = None  # (row, column), before what headers say
    axis: str = ""
    nan_background: bool = False

    def read(self, start: int, stop: int) -> Iterator[tuple[str, int, Any, Any]]:
        """Give each slice's file, number there, pixels (or why they can't be read) and spacing."""
        offset, single = -self.first, max(self.counts) == 1 < len(self.counts)
        for volume, n in zip(self.volumes, self.counts, strict=True):
            low, high = max(start - offset, 0), min(stop - offset, n)
            offset += n
            if low >= high:
                continue
            spacing_mm, pixels = self.spacing_mm, None
            images: Any = []
            try:
                with checks.in_one_sentence(volume.path):
                    opened, pixels = pixels_of(volume, self.axis, self.nan_background)
                    spacing_mm, images = spacing_mm or opened.spacing_mm, pixels[low:high]
            except UnreadableFile as error:
                # What the system refuses is no property of a file, and may be gone tomorrow.
                cause = error.__cause__ or error
                refused = isinstance(cause, MemoryError) or getattr(cause, "errno", None)
                if refused or not volume.path.exists():
                    raise
                images = [error] * (high - low)
            if not isinstance(images, list) and images.shape != (high - low, *self.shape[1:]):
                raise BatchStopped(CHANGED)
            for at, image in enumerate(images, offset - n + self.first if single else low):
                yield volume.path.name, at, image, spacing_mm
            if is_mapped(pixels):  # what was read of a map counts as this program's memory
                pixels_of.cache_clear()

    def files(self) -> list[Path]:
        """List all files that are read."""
        every = [path for one in self.volumes for path in one.files]
        deep = [sorted(path.rglob("*")) if path.is_dir() else [path] for path in every]
        return [file for some in deep for file in some if not file.is_dir()]

    def fingerprint(self) -> list[list[Any]]:
        """Know the files again: names, sizes and times."""
        stats = [(path.name, path.stat()) for path in self.files()]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def open_slices(
    images: str | Path, *, slices: str = "", suffix: str = "", spacing_mm: str = "", **words: Any
) -> tuple[Slices, list[Volume]]:
    """Find slices, a range over all files together; other words are those of `open_volume`."""
    volumes = list_volumes(checks.expand(images).absolute(), suffix, every_series=True)
    words["spacing_mm"] = checks.parse_spacing(spacing_mm)
    opened = [open_volume(one, **words) for one in volumes]
    counts, sizes = tuple(one.shape[0] for one in opened), {one.shape[1:] for one in opened}
    if len(sizes) > 1:
        told = " and ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
        raise InvalidSetting(f"A batch has slices of one size, and these are {told} px.")
    chosen = checks.parse_slices(slices, sum(counts))
    if chosen != list(range(chosen[0], chosen[-1] + 1)):
        raise InvalidSetting(f"A batch takes one range of slices, as 0:1000, not {slices!r}.")
    shape = (len(chosen), *sizes.pop())
    return Slices(tuple(volumes), counts, shape, chosen[0], **words), opened


@lru_cache(maxsize=2)
def pixels_of(volume: Volume, axis: str, nan_background: bool) -> tuple[Volume, Any]:
    """Open a volume and its pixels, memory-mapped where the format allows; the last two stay."""
    opened = open_volume(volume, axis, nan_background=nan_background)
    return opened, opened.pixels()


def _zarr() -> Any:
    return checks.needed("zarr", "A zarr array", "batch")


def create_masks(path: Path, shape: tuple[int, int, int], chunk: int) -> None:
    """Make a .npy as long as it will be, or a zarr array of such chunks, where 255 is missing."""
    if path.suffix == ".zarr":
        kept = {"chunks": (chunk, *shape[1:]), "dtype": "uint8", "fill_value": 255}
        _zarr().create_array(path, shape=shape, overwrite=True, **kept)
        return
    path.unlink(missing_ok=True)
    free = shutil.disk_usage(path.parent).free
    if np.prod(shape) > free:
        told = f"The masks take {np.prod(shape) / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free"
        raise BatchStopped(f"{told}; make room, or write {PACKED} or .zarr.")
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def write_slices(path: Path, shape: tuple[int, int, int], start: int, masks: checks.Array) -> None:
    """Write masks from slice `start` on into what `create_masks` made."""
    if path.suffix == ".zarr":
        _zarr().open_array(path, mode="r+")[start : start + len(masks)] = masks
        return
    rows = np.packbits(masks, axis=-1) if path.name.endswith(PACKED) else masks
    # Not through a memory map: on a full disk that ends in a signal, not in an error.
    with path.open("r+b") as file:
        file.seek(start * rows[0].size - int(np.prod(shape)), os.SEEK_END)
        file.write(rows.data)


def shape_of(masks: Path) -> tuple[int, ...]:
    """Return the shape of masks in a .npy or .zarr; () where there are none that can be read."""
    with suppress(Exception):  # numpy and zarr fail in many ways
        opened = _zarr().open_array if masks.suffix == ".zarr" else np.lib.format.open_memmap
        return tuple(opened(masks, mode="r").shape)
    return ()
