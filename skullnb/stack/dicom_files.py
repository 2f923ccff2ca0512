"""DICOM files, one by one: the geometry of their images, and their pixels.

Only geometry and pixels are asked for, and nothing else leaves this module: no name, date, number
or description of a patient or a study, and no text of the parser's, which might quote them.
"""

import io
import logging
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import SkullnbError, UnreadableFile
from skullnb.stack.arrays import Array
from skullnb.stack.volume import in_one_sentence, refuse_impossible_size, size_in_bytes

SUFFIXES = (".dcm", ".dicom", ".ima")

_GEOMETRY_TAGS = [
    *("SeriesInstanceUID", "SeriesNumber", "NumberOfFrames"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"),
    *("SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]
_PIXEL_TAGS = [
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
]


@dataclass(frozen=True)
class Frame:
    """One image of a DICOM file: where it is stored, and where it lies.

    Attributes
    ----------
    file : Path
    index : int
        Its place in a file of several.
    shape : (rows, columns)
    spacing_mm : (row, column) or None
    position_mm : three floats or None
        The centre of its first pixel, towards the patient's left, back and head.
    orientation : six floats or None
        The directions in which columns and rows are counted, as unit vectors.
    step_mm : float or None
        What the file says of the distance to the next image, or of its own thickness.
    slope, intercept : float
        From stored values to grey values.
    """

    file: Path
    index: int
    shape: tuple[int, int]
    spacing_mm: tuple[float, ...] | None
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    step_mm: float | None
    slope: float
    intercept: float


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its ending, or else by its contents.

    Examples
    --------
    >>> is_dicom(Path("IM000320.dcm")), is_dicom(Path(__file__))
    (True, False)
    """
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


@dataclass(frozen=True)
class Header:
    """What a DICOM file says of itself that is of use here.

    Attributes
    ----------
    series : str
        What tells its series from others; of no use to anyone else.
    number : str
        The series' number on the scanner, digits only; "" where there is none.
    frames : tuple of Frame
    """

    series: str
    number: str
    frames: tuple[Frame, ...]


def read_header(file: Path) -> Header | None:
    """Read where the images of a DICOM file lie.

    Parameters
    ----------
    file : Path

    Returns
    -------
    Header or None
        None for a file without images: a directory of files, a report, a presentation state.

    Raises
    ------
    UnreadableFile
        If it is damaged, or its images are not of grey values.

    Examples
    --------
    >>> read_header(Path(__file__))
    Traceback (most recent call last):
    skullnb.errors.UnreadableFile: dicom_files.py can't be read as DICOM, it is damaged, cut short
    or not what its name says; make a new copy of it.
    """
    with _without_quoting(file):
        header = _read(file, _GEOMETRY_TAGS, stop_before_pixels=True)
        if "Rows" not in header:
            return None
        series, number = header.get("SeriesInstanceUID", ""), str(header.get("SeriesNumber", ""))
        # Any text may stand there, a patient's name or a path; it goes into names and messages.
        number = number if re.fullmatch(r"[0-9]{1,12}", number) else ""
        return Header(str(series), number, tuple(_frames(file, header)))


def load_frames(frames: Sequence[Frame]) -> Array:
    """Read images in the given order.

    Parameters
    ----------
    frames : sequence of Frame
        All of one shape.

    Returns
    -------
    (N, rows, columns) array
        Grey values, slope and intercept applied: of the stored integer type where they change
        nothing, otherwise float64.

    Raises
    ------
    UnreadableFile
        If pixels are missing or damaged, or compressed in a way that nothing installed decodes.
    """
    stored_values = all((frame.slope, frame.intercept) == (1.0, 0.0) for frame in frames)
    planes: list[Array] = []
    last, pixels = None, np.empty(0)
    for frame in frames:
        if frame.file != last:  # a file of many images is decoded once
            last, pixels = frame.file, _pixels(frame.file, frame.shape)
        plane = pixels[frame.index]
        planes.append(plane if stored_values else plane * frame.slope + frame.intercept)
    return np.stack(planes)


def _frames(file: Path, header: Any) -> list[Frame]:
    """Read what a file's header says of its images; an enhanced one says it frame by frame."""
    n_frames = int(header.get("NumberOfFrames") or 1)
    shape = int(header.Rows), int(header.Columns)
    grey = header.get("PhotometricInterpretation", "MONOCHROME2") == "MONOCHROME2"
    if int(header.get("SamplesPerPixel") or 1) != 1 or not grey:
        raise UnreadableFile(
            f"{file.name} holds colour or inverted grey; give grey values with black as 0."
        )
    if min(*shape, n_frames) < 1:
        raise UnreadableFile(f"{file.name} holds no pixels, its shape is {(n_frames, *shape)}.")
    syntax = getattr(header.file_meta, "TransferSyntaxUID", None)
    packed = syntax is not None and (syntax.is_compressed or syntax.is_deflated)
    bits = size_in_bytes((n_frames, *shape), np.dtype(np.uint8)) * int(header.BitsAllocated)
    refuse_impossible_size(file, bits // 8, file.stat().st_size, packed=packed)
    shared = header.get("SharedFunctionalGroupsSequence") or [{}]
    each = header.get("PerFrameFunctionalGroupsSequence") or [{}]
    if len(each) != n_frames:
        raise UnreadableFile(
            f"{file.name} holds {n_frames} images and says of {len(each)} where they lie; convert "
            "it to NIfTI, or make a new copy of it."
        )
    return [_frame(file, index, shape, (own, shared[0], header)) for index, own in enumerate(each)]


def _frame(file: Path, index: int, shape: tuple[int, int], places: Sequence[Any]) -> Frame:
    """Read the geometry of one image from its own group of tags, the shared one, or the header."""

    def numbers(count: int, keyword: str, group: str) -> tuple[float, ...] | None:
        *groups, header = places
        for place in groups:
            items = place.get(group)
            if items and keyword in items[0]:
                return _floats(items[0].get(keyword), count)
        return _floats(header.get(keyword), count)

    measures, rescale = "PixelMeasuresSequence", "PixelValueTransformationSequence"
    spacing = numbers(2, "PixelSpacing", measures)
    gap, thickness = (
        numbers(1, keyword, measures) for keyword in ("SpacingBetweenSlices", "SliceThickness")
    )
    step = abs((gap or thickness or (0.0,))[0])
    return Frame(
        file,
        index,
        shape,
        spacing if spacing and min(spacing) > 0 else None,
        numbers(3, "ImagePositionPatient", "PlanePositionSequence"),
        numbers(6, "ImageOrientationPatient", "PlaneOrientationSequence"),
        step or None,
        (numbers(1, "RescaleSlope", rescale) or (1.0,))[0],
        (numbers(1, "RescaleIntercept", rescale) or (0.0,))[0],
    )


def _floats(value: Any, count: int) -> tuple[float, ...] | None:
    """Turn a DICOM value into finite numbers; None where it is missing or of another count."""
    if value is None or value == "":
        return None
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = tuple(float(one) for one in values)
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _pixels(file: Path, shape: tuple[int, int]) -> Array:
    """Decode a file's images as they are stored."""
    with _without_quoting(file):
        pixels: Any = import_module("pydicom.pixels")

        dataset = _read(file, _PIXEL_TAGS)
        syntax = dataset.file_meta.TransferSyntaxUID
        packed = syntax.is_compressed and not syntax.is_deflated
        if packed and not _has_decoder(syntax, pixels):
            raise UnreadableFile(
                f"{file.name} is compressed ({syntax.name}) and nothing that is installed decodes "
                "it; run: pip install 'skullnb[dicom]', or save it uncompressed."
            )
        try:
            return np.asarray(pixels.pixel_array(dataset)).reshape(-1, *shape)
        except Exception as error:
            if not packed or _is_of_the_system(error):
                raise
            raise UnreadableFile(
                f"{file.name} is compressed ({syntax.name}) and can't be decoded: it is damaged, "
                "or of a variant that no installed decoder knows; save it uncompressed."
            ) from None


def _has_decoder(syntax: Any, pixels: Any) -> bool:
    try:
        return bool(pixels.get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _read(file: Path, tags: list[str], **options: Any) -> Any:
    """Read only some tags, so that no other is ever in memory as a value."""
    with _Stream(io.FileIO(file)) as stream:
        dataset: Any = import_module("pydicom").dcmread(stream, specific_tags=tags, **options)
        return dataset


class _Stream(io.BufferedReader):
    """A file that refuses to be inflated to what would fill the memory.

    pydicom inflates a deflated file whole. It reads what it inflates, and nothing else, to the
    file's end; where that begins is the parser's business, and no second one could know better.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size == -1:
            _refuse_inflating(Path(self.name), data)
        return data


def _refuse_inflating(file: Path, packed: bytes) -> None:
    """Refuse deflated bytes that hold too much; unpacked piece by piece."""
    inflate, n_bytes = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for start in range(0, len(packed), _PIECE):
        piece = packed[start : start + _PIECE]
        while piece and not inflate.eof:
            n_bytes += len(inflate.decompress(piece, _PIECE))
            piece = inflate.unconsumed_tail
            if n_bytes > _MOST_INFLATED:
                raise UnreadableFile(
                    f"{file.name} inflates to more than {_MOST_INFLATED:,} bytes; save it "
                    "uncompressed."
                )


_PIECE = 1 << 20
_MOST_INFLATED = 1 << 30


@contextmanager
def _without_quoting(file: Path) -> Iterator[None]:
    """Turn whatever pydicom says or raises into one sentence that quotes nothing of the file."""
    logger = logging.getLogger("pydicom")
    silenced, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SkullnbError:
        raise
    except Exception as error:
        if _is_of_the_system(error):
            with in_one_sentence(file):
                raise
        raise UnreadableFile(
            f"{file.name} can't be read as DICOM, it is damaged, cut short or not what its name "
            "says; make a new copy of it."
        ) from None
    finally:
        logger.disabled = silenced


def _is_of_the_system(error: Exception) -> bool:
    """Whether the computer refused, which may be gone tomorrow and quotes nothing of the file."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
