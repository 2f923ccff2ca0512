"""Bad inputs for tests: files that are broken, lie about themselves, or would fill the memory.

Each is a function that makes one in a folder and returns its path.
"""

import gzip
import io
import json
import os
import zipfile

import nibabel as nib
import numpy as np
import tifffile
import zarr as zarr_library
from dicoms import save_series

HEAD = np.zeros((3, 40, 48), np.float32)
HEAD[:, 12:28, 14:34] = 1.0
NOISE = np.random.default_rng(5).integers(0, 4000, (3, 40, 48)).astype(np.int16)
AFFINE = np.diag([-1.0, -1.0, 3.0, 1.0])


def made(name, write):
    def make(folder):
        write(folder / name)
        return folder / name

    return make


def content(name, data):
    return made(name, lambda path: path.write_bytes(data))


def npy(array):
    return made("scan.npy", lambda path: np.save(path, array))


def npz(**arrays):
    return made("scan.npz", lambda path: np.savez_compressed(path, **arrays))


def dicom(pixels=NOISE, **tags):
    return made("scan", lambda path: save_series(path, pixels, **tags))


def tiff(pages, **options):
    return made("scan.tif", lambda path: tifffile.imwrite(path, pages, **options))


def told_otherwise(image, name, dtype, fields):
    """A volume, some fields of whose header say what they should not."""
    data = bytearray(image.to_bytes())
    header = np.ndarray((), dtype, buffer=data)
    for field, value in fields.items():
        header[field] = value
    # Stored, not packed, so that a flipped bit contradicts nothing but the checksum.
    return content(name, gzip.compress(data, 0) if name.endswith("z") else data)


def nifti(volume=NOISE.T, name="scan.nii", **fields):
    kind = nib.Nifti1Header.template_dtype
    return told_otherwise(nib.Nifti1Image(volume, AFFINE), name, kind, fields)


def mgh(name="scan.mgh", **fields):
    kind = nib.freesurfer.mghformat.header_dtype
    return told_otherwise(nib.MGHImage(NOISE.T, AFFINE), name, kind, fields)


def flip(make, place):
    """Turn the bits of one byte of a file around."""

    def flipped(folder):
        path = make(folder)
        whole = bytearray(path.read_bytes())
        whole[int(len(whole) * place)] ^= 0xFF
        path.write_bytes(whole)
        return path

    return flipped


def zarr(about, chunk=None, old=False):
    """A zarr array, with something else in its description or in its first chunk."""

    def write(path):
        kept = {"chunks": NOISE.shape, "zarr_format": 2 if old else 3, "compressors": None}
        zarr_library.create_array(path, data=NOISE, **kept)
        described = path / (".zarray" if old else "zarr.json")
        described.write_text(json.dumps({**json.loads(described.read_text()), **about}))
        if chunk is not None:
            (path / ("0.0.0" if old else "c/0/0/0")).write_bytes(chunk)

    return made("scan.zarr", write)


def npy_header(shape):
    """The beginning of an .npy file that promises an array of any shape."""
    file = io.BytesIO()
    about = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
    return file.getvalue()


def archive(members):
    def write(path):
        with zipfile.ZipFile(path, "w") as file:
            for name, data in members.items():
                file.writestr(name, data)

    return made("scan.npz", write)


fifo = made("scan.npy", os.mkfifo)
