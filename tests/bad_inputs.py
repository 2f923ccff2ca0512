"""Bad inputs for tests: files that are broken, lie about themselves, or would fill the memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tifffile
from dicoms import save_series

Make = Callable[[Path], Path]

HEAD = np.zeros((3, 40, 48), np.float32)
HEAD[:, 12:28, 14:34] = 1.0
NOISE = np.random.default_rng(5).integers(0, 4000, (3, 40, 48)).astype(np.int16)
AFFINE = np.diag([-1.0, -1.0, 3.0, 1.0])


def npy(array: Any, name: str = "scan.npy") -> Make:
    def make(folder: Path) -> Path:
        np.save(folder / name, array)
        return folder / name

    return make


def npz(**arrays: Any) -> Make:
    def make(folder: Path) -> Path:
        np.savez_compressed(folder / "scan.npz", **arrays)
        return folder / "scan.npz"

    return make


def content(name: str, data: bytes) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def told_otherwise(image: Any, name: str, dtype: Any, fields: dict[str, Any]) -> Make:
    """A volume, some fields of whose header say what they should not."""

    def make(folder: Path) -> Path:
        data = bytearray(image.to_bytes())
        header = np.ndarray((), dtype, buffer=data)
        for field, value in fields.items():
            header[field] = value
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(("gz", "z")) else data)
        return folder / name

    return make


def nifti(volume: Any = NOISE.T, name: str = "scan.nii", **fields: Any) -> Make:
    kind = nib.Nifti1Header.template_dtype
    return told_otherwise(nib.Nifti1Image(volume, AFFINE), name, kind, fields)


def mgh(name: str = "scan.mgh", **fields: Any) -> Make:
    kind = nib.freesurfer.mghformat.header_dtype
    return told_otherwise(nib.MGHImage(NOISE.T, AFFINE), name, kind, fields)


def tiff(pages: Any, **options: Any) -> Make:
    def make(folder: Path) -> Path:
        tifffile.imwrite(folder / "scan.tif", pages, **options)
        return folder / "scan.tif"

    return make


def tiff_tag(tag: str, value: int, **options: Any) -> Make:
    """A TIFF file, one tag of which says something else."""

    def make(folder: Path) -> Path:
        path = tiff(NOISE[0].astype(np.uint16), photometric="minisblack", **options)(folder)
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages[0].tags[tag].overwrite(value)
        return path

    return make


def tiff_in_a_circle(folder: Path) -> Path:
    """Pages of which the last one says that the first comes next."""
    with tifffile.TiffWriter(folder / "scan.tif") as file:
        for page in NOISE.astype(np.uint16):
            file.write(page, contiguous=False, metadata=None)
    with tifffile.TiffFile(folder / "scan.tif", mode="r+b") as file:
        first, last = file.pages[0].offset, file.pages[-1]
        file.filehandle.seek(last.offset + 2 + 12 * len(last.tags))
        file.filehandle.write(struct.pack(file.byteorder + "I", first))
    return folder / "scan.tif"


def dicom(pixels: Any = NOISE, **tags: Any) -> Make:
    def make(folder: Path) -> Path:
        save_series(folder / "scan", pixels, **tags)
        return folder / "scan"

    return make


def changed(make: Make, change: Callable[[bytes], bytes]) -> Make:
    def change_it(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return change_it


def cut(make: Make, keep: float) -> Make:
    """Keep only the first part of a file."""
    return changed(make, lambda whole: whole[: int(len(whole) * keep)])


def flip(make: Make, place: float) -> Make:
    """Turn the bits of one byte around."""

    def flipped(whole: bytes) -> bytes:
        at = int(len(whole) * place)
        return whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]

    return changed(make, flipped)


def zarr(
    about: dict[str, Any] | None = None, chunk: bytes | None = None, old: bool = False
) -> Make:
    """A zarr array, with something else in its description or in its first chunk."""

    def make(folder: Path) -> Path:
        import zarr as library

        path = folder / "scan.zarr"
        library.create_array(
            path, data=NOISE, chunks=NOISE.shape, zarr_format=2 if old else 3, compressors=None
        )
        described = path / (".zarray" if old else "zarr.json")
        described.write_text(json.dumps({**json.loads(described.read_text()), **(about or {})}))
        if chunk is not None:
            (path / ("0.0.0" if old else "c/0/0/0")).write_bytes(chunk)
        return path

    return make


def zarr_grid(shape: list[int], chunks: list[int]) -> Make:
    grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
    return zarr({"shape": shape, "chunk_grid": grid})


def npy_header(shape: tuple[int, ...], descr: Any = "<f8") -> bytes:
    """The beginning of an .npy file that promises an array of any shape."""
    file = io.BytesIO()
    about = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
    return file.getvalue()


def archive(members: dict[str, bytes], size: int | None = None) -> Make:
    """An .npz of any members; their size in the archive's list may be a lie."""

    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "scan.npz", "w") as file:
            for name, data in members.items():
                file.writestr(name, data)
            for entry in file.infolist() if size is not None else ():
                entry.file_size = size
        return folder / "scan.npz"

    return make


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "scan.npy")
    return folder / "scan.npy"


def link(target: str) -> Make:
    def make(folder: Path) -> Path:
        (folder / "scan.npy").symlink_to(folder / target)
        return folder / "scan.npy"

    return make


def folder_called_npy(folder: Path) -> Path:
    (folder / "scan.npy").mkdir()
    return folder / "scan.npy"
