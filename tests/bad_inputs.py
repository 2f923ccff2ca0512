"""Bad inputs for tests: files that are broken, lie about themselves, or would fill the memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import tifffile
from dicoms import save_series
from pydicom.uid import DeflatedExplicitVRLittleEndian

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


def nifti(
    volume: Any = NOISE.T, name: str = "scan.nii", affine: Any = AFFINE, **fields: Any
) -> Make:
    """A NIfTI file, some fields of whose header say what they should not."""

    def make(folder: Path) -> Path:
        data = bytearray(nib.Nifti1Image(volume, affine).to_bytes())
        header = np.ndarray((), nib.Nifti1Header.template_dtype, buffer=data)
        for field, value in fields.items():
            header[field] = value
        (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
        return folder / name

    return make


def mgh(name: str = "scan.mgh", **fields: Any) -> Make:
    def make(folder: Path) -> Path:
        data = bytearray(nib.MGHImage(NOISE.T, AFFINE).to_bytes())
        header = np.ndarray((), nib.freesurfer.mghformat.header_dtype, buffer=data)
        for field, value in fields.items():
            header[field] = value
        (folder / name).write_bytes(gzip.compress(data) if name.endswith("mgz") else data)
        return folder / name

    return make


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


def cut(make: Make, keep: float) -> Make:
    """Keep only the first part of a file."""

    def cut_it(folder: Path) -> Path:
        path = make(folder)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep)])
        return path

    return cut_it


def flip(make: Make, place: float) -> Make:
    """Turn the bits of one byte around."""

    def flip_it(folder: Path) -> Path:
        path = make(folder)
        data = bytearray(path.read_bytes())
        data[int(len(data) * place)] ^= 0xFF
        path.write_bytes(data)
        return path

    return flip_it


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


def archive(members: dict[str, bytes], size: int | None = None, **options: Any) -> Make:
    """An .npz of any members; their size in the archive's list may be a lie."""

    def make(folder: Path) -> Path:
        path = folder / "scan.npz"
        with zipfile.ZipFile(path, "w", **options) as file:
            for name, data in members.items():
                file.writestr(name, data)
            if size is not None:
                for entry in file.infolist():
                    entry.file_size = size
        return path

    return make


def zeros(n_bytes: int, head: bytes = b"") -> bytes:
    """Some bytes and then zeros, as a raw deflate stream of little more than 0.1 % of them."""
    first = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = first.compress(head) + first.flush(zlib.Z_FULL_FLUSH)
    # A block after a full flush stands for itself, so one may be repeated.
    again = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = again.compress(bytes(_BLOCK)) + again.flush(zlib.Z_FULL_FLUSH)
    return packed + block * -(-n_bytes // _BLOCK) + zlib.compressobj(9, 8, -15).flush()


_BLOCK = 1 << 25


def npz_bomb(n_bytes: int, head: bytes, name: str = "images") -> Make:
    """An archive of one member, written by hand: zipfile would have to pack every zero."""

    def make(folder: Path) -> Path:
        packed, entry = zeros(n_bytes, head), f"{name}.npy".encode()
        size = len(head) + -(-n_bytes // _BLOCK) * _BLOCK
        facts = struct.pack("<HHHHIII", 0, 8, 0, 0, 0, len(packed), size) + struct.pack(
            "<HH", len(entry), 0
        )
        local = b"PK\3\4" + b"\x14\0" + facts + entry + packed
        central = b"PK\1\2" + b"\x14\0\x14\0" + facts + bytes(14) + entry
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)
        return content("scan.npz", local + central + end)(folder)

    return make


def gzip_bomb(n_bytes: int, name: str, head: bytes) -> Make:
    def make(folder: Path) -> Path:
        return content(name, b"\x1f\x8b\x08" + bytes(7) + zeros(n_bytes, head) + bytes(8))(folder)

    return make


def nifti_with_extension(n_bytes: int) -> bytes:
    """The beginning of a volume whose extension says that it has as many bytes."""
    image = nib.Nifti1Image(NOISE.T, AFFINE)
    image.header["vox_offset"] = 352 + 16
    image.header["magic"] = b"n+1"
    return image.header.binaryblock + b"\1\0\0\0" + struct.pack("<ii", n_bytes, 6) + bytes(8)


def tiff_bomb(n_bytes: int) -> Make:
    """A small page, the one strip of which unpacks to far more."""

    def make(folder: Path) -> Path:
        path = tiff(NOISE[0].astype(np.uint16), photometric="minisblack", compression="zlib")(
            folder
        )
        packed = b"\x78\xda" + zeros(n_bytes)
        with tifffile.TiffFile(path, mode="r+b") as file:
            tags = file.pages[0].tags
            tags["StripOffsets"].overwrite(path.stat().st_size)
            tags["StripByteCounts"].overwrite(len(packed))
        path.write_bytes(path.read_bytes() + packed)
        return path

    return make


def deflated_dicom(n_bytes: int) -> Make:
    """A DICOM file whose data set unpacks to far more than its pixels."""

    def make(folder: Path) -> Path:
        dataset = pydicom.dcmread(save_series(folder / "plain", NOISE[:1])[0])
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        whole = io.BytesIO()
        dataset.save_as(whole, enforce_file_format=True)
        data = whole.getvalue()
        start = 144 + int.from_bytes(data[140:144], "little")
        shutil.rmtree(folder / "plain")
        tail = b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", n_bytes)  # trailing padding
        inflated = zlib.decompress(data[start:], -zlib.MAX_WBITS) + tail
        return content("scan.dcm", data[:start] + zeros(n_bytes, inflated))(folder)

    return make


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "scan.npy")
    return folder / "scan.npy"


def broken_link(folder: Path) -> Path:
    (folder / "scan.npy").symlink_to(folder / "nowhere.npy")
    return folder / "scan.npy"


def link_to_itself(folder: Path) -> Path:
    (folder / "scan.npy").symlink_to(folder / "scan.npy")
    return folder / "scan.npy"


def folder_called_npy(folder: Path) -> Path:
    (folder / "scan.npy").mkdir()
    return folder / "scan.npy"
