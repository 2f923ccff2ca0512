"""DICOM series: the images of one scan, in the order they lie in the head.

Only the fields in `TAGS` are ever read from a file, and nothing of the parser's own words is passed
on: neither may tell of a patient.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from itertools import groupby, product
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.stack import checks
from skullnb.stack.checks import Array
from skullnb.stack.model import Frame, Grid, Volume

# How many numbers each of these tags holds that say where an image lies and what its values are.
_NUMBERS = {"PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}
_NUMBERS |= dict.fromkeys(("SpacingBetweenSlices", "SliceThickness"), 1)
_NUMBERS |= dict.fromkeys(("RescaleSlope", "RescaleIntercept"), 1)
TAGS = (  # all that is read of a file
    *("SeriesInstanceUID", "SeriesNumber", "Modality", "ImageType", "NumberOfFrames"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", *_NUMBERS),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)

_SUFFIXES = (".dcm", ".dicom", ".ima")
_NOT_MRI = ("CT", "US", "PT", "NM", "CR", "DX", "MG", "XA", "RF")
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts towards left and back, NIfTI doesn't
_UNEVEN = 0.1  # of a step: an image further from its even place stands beside a gap
_SAME_PLACE_MM = 0.01


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its ending, or else by its contents."""
    # Without a preamble, other endings than numbers, as in 1.2.840.5, are some other format's.
    bare = re.fullmatch(r"(\.[0-9]+)?", path.suffix) is not None
    with suppress(OSError):
        return path.suffix.lower() in _SUFFIXES or _begins_well(path, bare)
    return False


def _begins_well(path: Path, bare: bool) -> bool:
    """Whether a file begins with DICOM's preamble or, `bare` of one, with one of its first tags."""
    with path.open("rb") as file:
        head = file.read(132)
    first = head[:2] in (b"\2\0", b"\b\0") and int.from_bytes(head[2:4], "little") <= 0x20
    return head[128:] == b"DICM" or (bare and first)


def find_series(files: Iterable[Path]) -> list[list[Volume]]:
    """Sort files into series, folder by folder; those that hold no image are left out."""
    found: dict[tuple[Path, str, str], list[Frame]] = {}
    for file in files:
        with checks.in_one_sentence(file, quoting=False), checks.silenced():
            header = _read(file, stop_before_pixels=True)
            if "Rows" in header:
                # Any text may stand there, a patient's name or a path; it goes into messages.
                told = re.fullmatch(r"[0-9]{1,12}", str(header.get("SeriesNumber", "")))
                number, uid = told[0] if told else "", str(header.get("SeriesInstanceUID", ""))
                series = file.parent.resolve(), number, uid
                found.setdefault(series, []).extend(_frames(file, header))
    in_order, folders = sorted(found, key=lambda one: (one[0], checks.natural_key(one[1]))), []
    for folder, group in groupby(in_order, key=itemgetter(0)):
        here, volumes = list(group), list[Volume]()
        numbers = [number for _, number, _ in here]
        if "" in numbers or len(set(numbers)) < len(numbers):  # they don't tell series apart
            numbers = [str(count) for count in range(1, len(here) + 1)]
        for number, series in zip(numbers, here, strict=True):
            stored = tuple(dict.fromkeys(frame.file for frame in found[series]))
            alone = len(here) == len(stored) == 1
            path, name = (stored[0], "") if alone else (folder, folder.name)
            name += f"-series{number}" if len(here) > 1 else ""
            volumes.append(Volume(path, name, tuple(found[series]), number, files=stored))
        folders.append(volumes)
    return folders


def open_series(volume: Volume, axis: str) -> Volume:
    """Open a series, cut along an anatomical axis or, for "", that in which it was acquired."""
    frames, affine = _in_order(volume.frames, volume.name)
    shape = len(frames), *frames[0].shape
    if affine is not None:
        grid = Grid.of_affine(affine, shape[::-1], axis)
        return volume.on(grid, lambda: _load(frames).transpose(2, 1, 0))
    remark = f"{volume.path.name} doesn't say where its images lie; they are taken as stored."
    known: Any = {"spacing_mm": checks.parse_spacing(frames[0].told.get("PixelSpacing"))}
    known["remarks"] = (remark,) if len(frames) > 1 else ()
    return replace(volume, shape=shape, load=lambda: _load(frames), **known)


def _in_order(images: Sequence[Frame], name: str) -> tuple[list[Frame], Array | None]:
    """Sort images along their normal; return them and the affine to RAS mm, None if not said."""
    frames, first = list(images), images[0]
    for objection in (frame.objection for frame in frames if frame.objection):
        raise UnreadableFile(f"{name} holds {objection}.")
    needed = {"PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"}
    if any(needed - one.told.keys() for one in frames):
        if len({frame.file for frame in frames}) == 1:
            return frames, None
        raise UnreadableFile(f"{name} holds images that say no position; convert them to NIfTI.")
    # Scanners write the same spacing differently in its last digits.
    alike = [one.told["ImageOrientationPatient"] + one.told["PixelSpacing"] for one in frames]
    across, down = turned = np.reshape(alike[0][:6], (2, 3))
    same = len({frame.shape for frame in frames}) == 1 and np.allclose(alike, alike[0], 1e-3, 1e-3)
    if not (same and np.allclose(turned @ turned.T, np.eye(2), atol=1e-3)):
        told = "images of several sizes or directions, or askew"
        raise UnreadableFile(f"{name} holds {told}; give those of one volume.")
    normal = np.cross(across, down)
    frames.sort(key=lambda one: float(np.dot(one.told["ImagePositionPatient"], normal)))
    places = np.array([one.told["ImagePositionPatient"] for one in frames])
    thick = first.told.get("SpacingBetweenSlices") or first.told.get("SliceThickness") or (0.0,)
    step = normal * (abs(thick[0]) or 1.0)
    if len(frames) > 1:
        gaps, step = np.diff(places @ normal), (places[-1] - places[0]) / (len(frames) - 1)
        even = places[0] + np.arange(len(frames))[:, None] * step
        uneven = np.abs(places - even).max() > _UNEVEN * np.linalg.norm(step)
        if uneven or gaps.min() < _SAME_PLACE_MM:
            told = f"{name} holds slices {gaps.min():.3g} to {gaps.max():.3g} mm apart"
            raise UnreadableFile(f"{told} in one series, so some are missing, or of another.")
    row, column = first.told["PixelSpacing"]
    affine = np.eye(4)
    affine[:3] = np.stack([across * column, down * row, step, places[0]], axis=1)
    return frames, _LPS_TO_RAS @ affine


def _frames(file: Path, header: Any) -> list[Frame]:
    """Read what a file's header says of its images; an enhanced one says it frame by frame."""
    n_frames = int(header.get("NumberOfFrames") or 1)
    shape = int(header.Rows), int(header.Columns)
    checks.check_pixels(file, (n_frames, *shape), np.dtype(np.uint16))
    syntax = header.file_meta.TransferSyntaxUID
    bits = int(header.get("SamplesPerPixel") or 1) * int(header.BitsAllocated)
    stored = None if syntax.is_compressed or syntax.is_deflated else file.stat().st_size
    checks.refuse_size(file, n_frames * shape[0] * shape[1] * bits // 8, stored)
    shared = header.get("SharedFunctionalGroupsSequence") or [()]
    each = header.get("PerFrameFunctionalGroupsSequence") or [()] * n_frames
    if len(each) != n_frames:
        raise ValueError("it says of some images only where they lie")
    found, objection = list[Frame](), _objection(header, n_frames)
    for own in each:
        # What is said of an image alone goes before what is said of all.
        groups = [one.value[0] for one in (*shared[0], *own) if one.VR == "SQ" and one.value]
        told: dict[str, tuple[float, ...]] = {"RescaleSlope": (1.0,), "RescaleIntercept": (0.0,)}
        for place, (keyword, count) in product((header, *groups), _NUMBERS.items()):
            if (value := place.get(keyword)) not in (None, ""):
                values = np.ravel(value).astype(float)
                if values.size == count and np.isfinite(values).all():
                    told[keyword] = tuple(values.tolist())
        if min(told.get("PixelSpacing", (1,))) <= 0:
            del told["PixelSpacing"]
        if not own and n_frames > 1:  # one place is not that of many
            told.pop("ImagePositionPatient", None)
        found.append(Frame(file, len(found), shape, told, objection))
    return found


def _objection(header: Any, n_frames: int) -> str:
    """Say what a file holds that is no image to work on; "" if it is one."""
    modality = str(header.get("Modality", "")).upper()
    if modality in _NOT_MRI:
        return f"images of the modality {modality}; these masks are for MRI"
    grey = header.get("PhotometricInterpretation", "MONOCHROME2") == "MONOCHROME2"
    if int(header.get("SamplesPerPixel") or 1) != 1 or not grey:
        return "colour or inverted grey; give grey values with black as 0"
    if {"BitsStored", "HighBit"} <= {*header.dir()} and header.BitsStored != header.HighBit + 1:
        return "values that begin above the lowest bit of a pixel; save it otherwise"
    if n_frames == 1 and "MOSAIC" in str(header.get("ImageType", "")).upper():
        return "a mosaic, all slices side by side in one image; convert it to NIfTI with dcm2niix"
    return ""


def _load(frames: Sequence[Frame]) -> Array:
    """Decode images in the given order, with padding as background and as scaled by their files."""
    decoding: Any = import_module("pydicom.pixels")
    scales = [one.told["RescaleSlope"] + one.told["RescaleIntercept"] for one in frames]
    scaled, planes = {*scales} != {(1, 0)}, list[Array]()
    for file, of_file in groupby(frames, key=lambda frame: frame.file):
        with checks.in_one_sentence(file, quoting=False), checks.silenced():
            dataset = _read(file)
            pixels = np.asarray(decoding.pixel_array(dataset)).reshape(-1, *frames[0].shape)
            told = [dataset.get(f"PixelPadding{one}") for one in ("Value", "RangeLimit")]
            if told[0] is not None and pixels.dtype.kind in "iu":
                ends = np.array([one for one in told if one is not None]).astype(pixels.dtype)
                outside = (pixels >= ends.min()) & (pixels <= ends.max())
                pixels = checks.as_background(pixels, outside)
        for one in of_file:
            plane, (slope, intercept) = pixels[one.index], scales[len(planes)]
            planes.append(plane * slope + intercept if scaled else plane)
    return np.stack(planes)


def _read(file: Path, **options: Any) -> Any:
    """Read only some tags, so that no other is ever in memory as a value."""
    import pydicom

    if not _begins_well(file, bare=True):
        raise ValueError("no DICOM")
    dataset = pydicom.dcmread(file, specific_tags=list(TAGS), force=True, **options)
    # Files without a preamble don't say how their values are stored.
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, _ = dataset.original_encoding
        name = "ImplicitVRLittleEndian" if implicit else "ExplicitVRLittleEndian"
        dataset.file_meta.TransferSyntaxUID = getattr(pydicom.uid, name)
    return dataset
