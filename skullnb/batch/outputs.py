"""Where masks go: .npy, packed bits in .npy, or a compressed zarr array; and reading them back.

==================  ========================================================================
`masks.npy`         (N, H, W) uint8 {0, 1}: one byte a pixel.
`masks.packed.npy`  (N, H, ceil(W / 8)) uint8: one bit a pixel. Each row of pixels is packed by
                    itself, the leftmost pixel in the highest bit of the first byte; bits past
                    the last column are 0. `numpy.unpackbits(rows, axis=-1, count=W)` undoes it.
`masks.zarr`        (N, H, W) uint8 {0, 1}, compressed, in chunks of whole slices. The fill value
                    is 255, so that a lost chunk can't be taken for empty masks.
==================  ========================================================================
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.batch.sources import zarr
from skullnb.errors import InvalidSetting, SkullnbError, UnreadableFile
from skullnb.pipeline import Mask
from skullnb.results import sync_path
from skullnb.stack.names import expand

PACKED = ".packed.npy"
KINDS = (PACKED, ".npy", ".zarr")

_FILL = 255


@dataclass
class NpyOutput:
    """A .npy file, of bytes or of packed bits, of which any range can be written at any time.

    Attributes
    ----------
    path : Path
    shape : (N, H, W)
    packed : bool
    """

    path: Path
    shape: tuple[int, int, int]
    packed: bool = False

    def create(self) -> None:
        """Write the header, and make the file as long as it will be."""
        with self.path.open("wb") as file:
            file.write(self._header)
            file.truncate(file.tell() + self.n_bytes())

    def is_whole(self, starts: Iterable[int]) -> bool:
        """Whether the file has its header and its length still; any of its bytes may be wrong."""
        if self.path.is_symlink() or not self.path.is_file():
            return False
        header = self._header
        with self.path.open("rb") as file:
            begins_well = file.read(len(header)) == header
        return begins_well and self.path.stat().st_size == len(header) + self.n_bytes()

    def write(self, start: int, masks: Mask) -> None:
        """Write the masks from slice `start` on."""
        rows = np.packbits(masks, axis=-1) if self.packed else masks
        # Not through a memory map: on a full disk that ends in a signal, not in an error.
        with self.path.open("r+b") as file:
            file.seek(len(self._header) + start * self._slice_bytes)
            file.write(np.ascontiguousarray(rows).data)

    def sync(self, starts: Iterable[int]) -> None:
        """Return when the file is safely on the disk."""
        sync_path(self.path)

    def n_bytes(self) -> int:
        """Bytes of all masks."""
        return self.shape[0] * self._slice_bytes

    @property
    def _header(self) -> bytes:
        header = BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": self._stored}
        )
        return header.getvalue()

    @property
    def _stored(self) -> tuple[int, int, int]:
        n, height, width = self.shape
        return n, height, -(-width // 8) if self.packed else width

    @property
    def _slice_bytes(self) -> int:
        return self._stored[1] * self._stored[2]


@dataclass
class ZarrOutput:
    """A compressed zarr array, whose chunks are those of the batch.

    Attributes
    ----------
    path : Path
    shape : (N, H, W)
    chunk : int
        Slices in a chunk; only whole chunks are written.
    """

    path: Path
    shape: tuple[int, int, int]
    chunk: int

    def create(self) -> None:
        """Write what describes the array."""
        shutil.rmtree(self.path, ignore_errors=True)
        shape, chunks, dtype, fill = self._described
        zarr().create_array(self.path, shape=shape, chunks=chunks, dtype=dtype, fill_value=fill)
        _sync_up(self.path / "zarr.json", self.path)

    def is_whole(self, starts: Iterable[int]) -> bool:
        """Whether the array is described as it was, and these chunks are there."""
        try:
            found = zarr().open_array(self.path, mode="r")
            is_same = (found.shape, found.chunks, found.dtype, found.fill_value) == self._described
        except Exception:  # each version of zarr fails in its own way
            return False
        return bool(is_same) and all(self._file(start).is_file() for start in starts)

    def write(self, start: int, masks: Mask) -> None:
        """Write the masks of the chunk that begins at slice `start`."""
        array = zarr().open_array(self.path, mode="r+")
        array[start : start + len(masks)] = masks

    def sync(self, starts: Iterable[int]) -> None:
        """Return when the chunks that begin at these slices are safely on the disk."""
        for start in starts:
            _sync_up(self._file(start), self.path)

    def n_bytes(self) -> int:
        """Nothing is needed for sure."""
        return 0

    @property
    def _described(self) -> tuple[Any, ...]:
        """Shape, chunks, type and fill value; others may add attributes, or choose a codec."""
        n_slices, *size = self.shape
        chunks = (min(self.chunk, n_slices), *size)
        return (n_slices, *size), chunks, np.dtype(np.uint8), _FILL

    def _file(self, start: int) -> Path:
        return self.path / "c" / f"{start // self.chunk}" / "0" / "0"


Output = NpyOutput | ZarrOutput


def open_output(path: Path, kind: str, shape: tuple[int, int, int], chunk: int) -> Output:
    """Give the output of a kind.

    Parameters
    ----------
    path : Path
        Where to write; its name says nothing.
    kind : str
        One of `KINDS`.
    shape : (N, H, W)
    chunk : int
        Slices in a chunk.

    Examples
    --------
    >>> open_output(Path("m"), ".packed.npy", (100, 768, 624), 20).n_bytes()
    5990400
    """
    if kind == ".zarr":
        return ZarrOutput(path, shape, chunk)
    return NpyOutput(path, shape, kind == PACKED)


def kind_of(path: Path) -> str:
    """Say which kind of output a file's name stands for.

    Raises
    ------
    InvalidSetting
        If it is none of `KINDS`.

    Examples
    --------
    >>> kind_of(Path("masks.packed.npy")), kind_of(Path("masks.zarr"))
    ('.packed.npy', '.zarr')
    """
    for kind in KINDS:
        if path.name.lower().endswith(kind):
            return kind
    raise InvalidSetting(
        f"{path.name} is of a kind that a batch doesn't write; use {', '.join(KINDS)}."
    )


def read_masks(path: str | Path, start: int = 0, stop: int | None = None) -> Mask:
    """Read masks that a batch wrote, whatever their kind.

    Parameters
    ----------
    path : str or Path
        The .npy, .packed.npy or .zarr.
    start, stop : int
        Which slices; to the last one when `stop` is left out.

    Returns
    -------
    (n, H, W) uint8 {0, 1}

    Raises
    ------
    UnreadableFile
        If there is no such output, it is damaged, or what describes packed bits is missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     output = NpyOutput(Path(folder) / "m.npy", (2, 1, 3))
    ...     output.create()
    ...     output.write(1, np.array([[[0, 1, 1]]], dtype=np.uint8))
    ...     read_masks(output.path, 1)
    array([[[0, 1, 1]]], dtype=uint8)
    """
    path = expand(path)
    kind = kind_of(path)
    try:
        if kind == ".zarr":
            masks = np.asarray(zarr().open_array(path, mode="r")[start:stop])
        else:
            stored = np.load(path, mmap_mode="r", allow_pickle=False)[start:stop]
            masks = _unpack(stored, path) if kind == PACKED else np.array(stored)
        if masks.dtype != np.uint8 or masks.ndim != 3:
            raise ValueError("masks are (slices, rows, columns) of bytes")
    except SkullnbError:
        raise
    except Exception as error:  # every format fails in its own way
        raise UnreadableFile(
            f"{path.name} can't be read as masks; it is missing, damaged, or not from a batch."
        ) from error
    if masks.size and masks.max() > 1:
        raise UnreadableFile(f"{path.name} has lost a part of its masks; make them again.")
    return masks


def description_of(path: Path) -> Path:
    """Return the JSON file that says what masks were made from, and how they are stored.

    Examples
    --------
    >>> description_of(Path("out/masks.zarr")).name
    'masks.zarr.json'
    """
    return path.with_name(f"{path.name}.json")


def _sync_up(path: Path, top: Path) -> None:
    """Sync a file and the folders that lead to it."""
    sync_path(path)
    while path != top:
        path = path.parent
        sync_path(path)


def _unpack(stored: Any, path: Path) -> Mask:
    width = json.loads(description_of(path).read_text(encoding="utf-8"))["shape"][2]
    if stored.shape[-1] != -(-width // 8):
        raise ValueError("the description is of other masks")
    return np.unpackbits(np.asarray(stored), axis=-1, count=width)
