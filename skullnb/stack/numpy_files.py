"""numpy's own files, .npy and .npz: headers are checked, and what was checked is read."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.stack.arrays import Array
from skullnb.stack.names import suffix_of
from skullnb.stack.options import parse_groups, parse_spacing
from skullnb.stack.volume import (
    Volume,
    in_one_sentence,
    refuse_impossible_size,
    refuse_strange_pixels,
    size_in_bytes,
    stack_shape,
)


def npz_names(path: Path) -> list[str]:
    """Return the names of the arrays in an .npz file; none for other files.

    Examples
    --------
    >>> npz_names(Path("scan.nii"))
    []
    """
    if suffix_of(path) != ".npz" or not path.is_file():
        return []
    with in_one_sentence(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def open_npy(path: Path, axis: str, part: str) -> Volume:
    """Open an .npy file; see `skullnb.stack.formats.open_volume`."""
    with path.open("rb") as file:
        if file.read(1) == b"\x80":
            refuse_strange_pixels(path, np.dtype(object))
        file.seek(0)
        dimensions, _, dtype = _npy_header(file)
        stored = path.stat().st_size - file.tell()
    shape = stack_shape(path, dimensions, dtype)
    refuse_impossible_size(path, size_in_bytes(shape, dtype), stored, packed=False)

    def load() -> Array:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        return array.reshape(shape)

    return Volume(path, shape, load)


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, Any]:
    """Read the header of an .npy stream: shape, order, dtype."""
    version = np.lib.format.read_magic(file)
    length = file.read(2 if version == (1, 0) else 4)
    # numpy would unpack gigabytes before it finds a header too long.
    if int.from_bytes(length, "little") > _LONGEST_HEADER:
        raise ValueError("its header is too long")
    header = io.BytesIO(length + file.read(int.from_bytes(length, "little")))
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(header)
    return np.lib.format.read_array_header_2_0(header)


_LONGEST_HEADER = 10_000  # bytes; numpy's own limit
_LONGEST_LABEL = 4096  # bytes; four a letter


def open_npz(path: Path, axis: str, part: str) -> Volume:
    """Open an .npz file; see `skullnb.stack.formats.open_volume`."""
    names = npz_names(path)
    key = part if part in names else names[0] if len(names) == 1 else None
    if key is None:
        raise UnreadableFile(
            f"{path.name} holds {len(names)} arrays ({', '.join(names[:6])}) and none is called "
            f"{part}; keep one array in it, or name two of them images and reference."
        )
    shape = stack_shape(path, *_npz_member(path, key))

    def extra(name: str) -> Any:
        if name not in names or part != "images":
            return None
        size, dtype = _npz_member(path, name)
        n_values, most = size_in_bytes(size, np.dtype(np.uint8)), max(shape[0], 2)
        # Each becomes a Python object: a few kilobytes of zeros could fill the memory.
        if n_values > most or n_values * dtype.itemsize > most * _LONGEST_LABEL:
            raise UnreadableFile(
                f"{path.name} holds {n_values:,} {name} of {dtype.itemsize:,} bytes for {shape[0]} "
                "slices; keep one short label a slice, and two spacings."
            )
        return _npz_array(path, name).tolist()

    groups = extra("groups")

    def load() -> Array:
        return _npz_array(path, key).reshape(shape)

    return Volume(
        path,
        shape,
        load,
        spacing_mm=parse_spacing(extra("spacing_mm")),
        # A text would be taken for a file's name, and files name no files here.
        groups=parse_groups(groups.split(",") if isinstance(groups, str) else groups),
        synthetic=bool(extra("synthetic")),
    )


def _npz_member(path: Path, name: str) -> tuple[tuple[int, ...], Any]:
    """Return the shape and dtype of an array in an .npz; refuse one that its bytes can't hold."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        entry = archive.getinfo(f"{name}.npy")
        shape, _, dtype = _npy_header(member)
    if dtype.kind == "O":
        refuse_strange_pixels(path, dtype)
    packed = entry.compress_type != zipfile.ZIP_STORED
    refuse_impossible_size(path, size_in_bytes(shape, dtype), entry.compress_size, packed=packed)
    return shape, dtype


def _npz_array(path: Path, name: str) -> Array:
    """Read the array that was checked; numpy.load prefers a member without the ending."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        array: Array = np.lib.format.read_array(member, allow_pickle=False)
        return array
