"""Every door that bytes or words from outside come in by; only a refusal may come out.

A door takes bytes, makes of them what a stranger could hand in, and reads it to the last pixel.
`answer` tells a refusal, which is right, from anything else, which is a finding.
"""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from skullnb.errors import SkullnbError
from skullnb.stack import Stack, read_stack, write_masks
from skullnb.stack.checks import parse_groups, parse_slices, parse_spacing
from skullnb.stack.read import list_files

_MOST_WRITTEN = 1 << 20


def answer(door: str, content: bytes, folder: Path) -> str:
    """Hand the bytes in; return the refusal, or "" where there was none."""
    try:
        DOORS[door](content, folder)
    except SkullnbError as error:
        sentence = str(error)
        assert sentence.isprintable(), f"more than one line: {sentence!r}"
        assert sentence[-1:] in ".'\"):", sentence
        return sentence
    return ""


def _read(path: Path) -> None:
    for axis in ("axial", "sagittal"):
        stack = read_stack(path, axis=axis)
        assert stack.images.ndim == 3
        if stack.images.size < _MOST_WRITTEN:
            np.array(stack.images)
            stack.fingerprint()
            masks = np.zeros(stack.images.shape, np.uint8)
            write_masks(masks, path.parent / "out.nii.gz", stack, overwrite=True)
        if None in stack.grids:
            break


def _file(name: str) -> Callable[[bytes, Path], None]:
    def door(content: bytes, folder: Path) -> None:
        path = folder / name
        path.write_bytes(content)
        _read(path)

    return door


def _npz_member(content: bytes, folder: Path) -> None:
    """Arrays in an archive whose checksums fit: the first byte says where one ends."""
    cut = content[0] * 2 if content else 0
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", content[1 + cut :])
        archive.writestr("groups.npy", content[1 : 1 + cut])
    _read(folder / "a.npz")


def _gzipped(name: str) -> Callable[[bytes, Path], None]:
    import gzip

    def door(content: bytes, folder: Path) -> None:
        (folder / name).write_bytes(gzip.compress(content, 1, mtime=0))
        _read(folder / name)

    return door


def _zarr(content: bytes, folder: Path) -> None:
    """A zarr array: its description, an empty line, and its one chunk."""
    about, _, chunk = content.partition(b"\n\n")
    (folder / "a.zarr" / "c" / "0" / "0").mkdir(parents=True, exist_ok=True)
    (folder / "a.zarr" / "zarr.json").write_bytes(about)
    (folder / "a.zarr" / "c" / "0" / "0" / "0").write_bytes(chunk)
    from skullnb.batch import mask_batch

    mask_batch(folder / "a.zarr", folder / "m.npy", workers=1, overwrite=True)


def _results(content: bytes, folder: Path) -> None:
    from skullnb.report.build import collate

    (folder / "run" / "results").mkdir(parents=True, exist_ok=True)
    (folder / "run" / "results" / "01-data.json").write_bytes(content)
    collate(folder)


def _words(content: bytes, folder: Path) -> None:
    """Words of the command line: each reader of them gets all."""
    from skullnb.sweep import parse_widths

    text = content.decode(errors="surrogateescape")
    patterns = [] if "/" in text else [list_files]  # the whole disk would be searched
    for read in (parse_spacing, parse_groups, parse_widths, *patterns):
        with suppress(SkullnbError):
            read(text)
    for n in (1, 7, 5000):
        with suppress(SkullnbError):
            parse_slices(text, n)
    with suppress(SkullnbError):
        Stack(np.zeros((2, 3, 4)), spacing_mm=text, groups=text.split(","))
    (folder / "groups.txt").write_bytes(content)
    parse_groups(folder / "groups.txt")


DOORS: dict[str, Callable[[bytes, Path], None]] = {
    "npy": _file("a.npy"),
    "npz": _file("a.npz"),
    "npz_member": _npz_member,
    "nii": _file("a.nii"),
    "nii_gz": _gzipped("a.nii.gz"),
    "mgh": _file("a.mgh"),
    "mgz": _gzipped("a.mgz"),
    "tif": _file("a.tif"),
    "png": _file("a.png"),
    "jpg": _file("a.jpg"),
    "dcm": _file("a.dcm"),
    "zarr": _zarr,
    "results": _results,
    "words": _words,
}


def corpus(door: str) -> list[bytes]:
    """What was found to be answered in its own way, or once was not: a line each, in base64."""
    kept = CORPUS / f"{door}.txt"
    return [b64decode(line) for line in kept.read_text().split()] if kept.exists() else []


CORPUS = Path(__file__).with_name("corpus")


def seeds(door: str, folder: Path) -> list[bytes]:
    """What the fuzzer begins with: small, whole examples of what the door is for."""
    return SEEDS[door](folder)


IMAGES = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def _npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


def _npz() -> list[bytes]:
    packed, plain = io.BytesIO(), io.BytesIO()
    spacing, labels = np.array([0.5, 0.7]), np.array(["a", "b"])
    np.savez_compressed(
        packed, images=IMAGES, reference=IMAGES > 9, spacing_mm=spacing, groups=labels
    )
    np.savez(plain, IMAGES)
    return [packed.getvalue(), plain.getvalue()]


def _nifti() -> list[bytes]:
    import nibabel as nib

    affine = np.diag([-0.7, 0.8, 2.0, 1.0])
    image = nib.Nifti1Image(IMAGES, affine)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"some words"))
    scaled = nib.Nifti2Image(IMAGES, affine)
    scaled.header.set_slope_inter(2, 1)
    return [image.to_bytes(), scaled.to_bytes()]


def _mgh() -> list[bytes]:
    import nibabel as nib

    return [nib.MGHImage(IMAGES, np.diag([-0.7, 0.8, 2.0, 1.0])).to_bytes()]


def _tiff() -> list[bytes]:
    import tifffile

    files = []
    for options in (
        {},
        {"compression": "zlib"},
        {"imagej": True, "metadata": {"unit": "mm"}},
        {"bigtiff": True, "resolution": (10, 10), "resolutionunit": "CENTIMETER"},
    ):
        file = io.BytesIO()
        tifffile.imwrite(file, IMAGES.astype(np.uint16), photometric="minisblack", **options)
        files.append(file.getvalue())
    return files


def _dicom(folder: Path) -> list[bytes]:
    from dicoms import save_enhanced, save_series

    plain = save_series(folder / "seed", IMAGES, names="{}.dcm")[0]
    enhanced = save_enhanced(folder / "e.dcm", IMAGES, [1, 0], [1, 2])
    return [plain.read_bytes(), enhanced.read_bytes()]


def _zarr_seed(folder: Path) -> list[bytes]:
    import zarr

    made = folder / "seed.zarr"
    zarr.create_array(made, data=IMAGES.astype("u1"), chunks=IMAGES.shape, compressors=None)
    chunk = made / "c" / "0" / "0" / "0"
    return [(made / "zarr.json").read_bytes() + b"\n\n" + chunk.read_bytes()]


def _pictures(ending: str) -> list[bytes]:
    import cv2

    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    pages = (grey, cv2.merge([grey] * 3), cv2.merge([grey, grey, grey + 9]))
    return [cv2.imencode(ending, page)[1].tobytes() for page in pages]


RESULTS = {"format": "skullnb-results-2", "chapter": "01-data", "values": {"a": 1}}
RESULTS |= {part: {} for part in ("parameters", "inputs", "versions")}

SEEDS: dict[str, Callable[[Path], list[bytes]]] = {
    "npy": lambda _: [
        _npy(IMAGES),
        _npy(np.asfortranarray(IMAGES), (2, 0)),
        _npy(np.array([{}], dtype=object)),
    ],
    "npz": lambda _: _npz(),
    "npz_member": lambda _: [bytes([68]) + _npy(np.array(["a", "b"])) + _npy(IMAGES)],
    "nii": lambda _: _nifti(),
    "nii_gz": lambda _: _nifti(),
    "mgh": lambda _: _mgh(),
    "mgz": lambda _: _mgh(),
    "tif": lambda _: _tiff(),
    "dcm": _dicom,
    "zarr": _zarr_seed,
    "png": lambda _: _pictures(".png"),
    "jpg": lambda _: _pictures(".jpg"),
    "results": lambda _: [json.dumps(RESULTS).encode(), b"[]"],
    "words": lambda _: [
        *(b"104:127", b"::5, -1", b"0.667x0.7", b"a,a,b", b"16:37:2", b"scans/*.nii"),
        *(b"dicom#6", b"~me", b"group\nanna\nben\n"),
    ],
}
