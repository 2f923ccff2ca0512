"""DICOM files, read as series: the images of one scan, in the order they lie in the head.

Only geometry and pixels are asked for, and nothing else leaves this module: no name, date, number
or description of a patient or a study, and no text of the parser's, which might quote them.
"""

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import SkullnbError, UnreadableFile
from skullnb.stack.anatomy import grid_of_affine
from skullnb.stack.arrays import Array
from skullnb.stack.names import natural_key
from skullnb.stack.volume import Volume, refuse_impossible_size, size_in_bytes

SUFFIXES = (".dcm", ".dicom", ".ima")

# DICOM counts mm towards the patient's left and back (LPS), NIfTI towards right and front (RAS).
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

# An image further from its even place than this part of a step stands beside a gap.
_UNEVEN = 0.1
_SAME_PLACE_MM = 0.01

_GEOMETRY_TAGS = [
    *("SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "NumberOfFrames"),
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


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one scan.

    Attributes
    ----------
    folder : Path
        Where its first file is.
    number : str
        To choose it by among the series of its folder.
    frames : tuple of Frame
        In the order of the files' names until `open_series` sorts them.
    """

    folder: Path
    number: str
    frames: tuple[Frame, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The series' files, each once."""
        return tuple(dict.fromkeys(frame.file for frame in self.frames))

    def __str__(self) -> str:
        """Say its number, how many images it has, and their size; nothing about a patient."""
        rows, columns = self.frames[0].shape
        return f"number {self.number}: {len(self.frames)} of {rows} x {columns} px"


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


def find_series(files: Iterable[Path]) -> list[Series]:
    """Sort DICOM files into series; those that hold no image are left out.

    Parameters
    ----------
    files : iterable of Path

    Returns
    -------
    list of Series
        By folder and number. The number is DICOM's own where it tells the series of a folder
        apart, otherwise they are counted from 1.

    Raises
    ------
    UnreadableFile
        If a file is damaged, or its images are not of grey values.

    Examples
    --------
    >>> find_series([])
    []
    """
    frames: dict[tuple[Path, str], list[Frame]] = {}
    numbers: dict[tuple[Path, str], str] = {}
    for file in files:
        with _without_quoting(file):
            header = _read(file, _GEOMETRY_TAGS, stop_before_pixels=True)
            if "Rows" not in header:  # a directory of files, a report, a presentation state
                continue
            key = (file.parent, str(header.get("SeriesInstanceUID", "")))
            frames.setdefault(key, []).extend(_frames(file, header))
            numbers[key] = str(header.get("SeriesNumber") or "")
    found = []
    for folder in dict.fromkeys(folder for folder, _ in frames):
        here = [key for key in frames if key[0] == folder]
        here.sort(key=lambda key: (natural_key(Path(numbers[key])), frames[key][0].file.name))
        own = [numbers[key] for key in here]
        if "" in own or len(set(own)) < len(own):
            own = [str(count) for count in range(1, len(here) + 1)]
        found += [
            Series(folder, number, tuple(frames[key]))
            for key, number in zip(here, own, strict=True)
        ]
    return found


def open_series(series: Series, axis: str, name: str, path: Path) -> Volume:
    """Open a series as one volume.

    Parameters
    ----------
    series : Series
    axis : {"axial", "coronal", "sagittal"}
        Along which to cut it.
    name : str
        What to call it.
    path : Path
        The file or folder it stands for.

    Returns
    -------
    Volume
        In grey values, slope and intercept applied: of the stored integer type where they change
        nothing, otherwise float64. A single image without a position has no grid.

    Raises
    ------
    UnreadableFile
        If its images are not one volume: of several sizes or directions, without a position,
        several at one position, or with a gap.
    """
    frames, affine = _in_order(series, name)
    rows, columns = frames[0].shape
    spacing = frames[0].spacing_mm
    if affine is None or spacing is None:
        return Volume(
            path,
            (len(frames), rows, columns),
            lambda: _load(frames),
            None if spacing is None else (spacing[0], spacing[1]),
            name=name,
            files=series.files,
        )
    grid = grid_of_affine(affine, (columns, rows, len(frames)), axis, name)
    zooms = (spacing[1], spacing[0], float(np.linalg.norm(affine[:3, 2])))
    return Volume(
        path,
        (grid.n_slices, *grid.slice_shape),
        lambda: grid.cut(_load(frames).transpose(2, 1, 0)),
        (zooms[grid.axes[1]], zooms[grid.axes[2]]),
        grid,
        name=name,
        files=tuple(dict.fromkeys(frame.file for frame in frames)),
    )


def _in_order(series: Series, name: str) -> tuple[list[Frame], Array | None]:
    """Sort a series' images along their normal; return them and the affine from index to RAS mm."""
    frames = list(series.frames)
    first = frames[0]
    if len({(frame.shape, frame.spacing_mm) for frame in frames}) > 1:
        raise UnreadableFile(
            f"{name} holds images of several sizes in one series; give the files of one volume."
        )
    if any(frame.position_mm is None or frame.orientation is None for frame in frames):
        if len(frames) > 1:
            raise UnreadableFile(
                f"{name} holds {len(frames)} images of which some say no position, so they can't "
                "be put in order; convert them to NIfTI."
            )
        return frames, None
    directions = np.array([frame.orientation for frame in frames], dtype=float)
    across, down = directions[0].reshape(2, 3)
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if not np.allclose([*lengths, across @ down + 1], 1, atol=1e-3):
        raise UnreadableFile(
            f"{name} has rows and columns that are not at right angles; repair its orientation."
        )
    if not np.allclose(directions, directions[0], atol=1e-3):
        raise UnreadableFile(
            f"{name} holds images of several directions in one series, as a localiser does; "
            "give the files of one volume."
        )
    normal = np.cross(across, down)
    frames.sort(key=lambda frame: float(np.dot(frame.position_mm, normal)))  # type: ignore[arg-type]
    places = np.array([frame.position_mm for frame in frames], dtype=float)
    step = normal * (first.step_mm or 1.0)
    if len(frames) > 1:
        gaps = np.diff(places @ normal)
        if gaps.min() < _SAME_PLACE_MM:
            raise UnreadableFile(
                f"{name} holds several images at one position in one series, such as echoes or "
                "time points; give the files of one volume."
            )
        step = (places[-1] - places[0]) / (len(frames) - 1)
        even = places[0] + np.arange(len(frames))[:, None] * step
        if np.abs(places - even).max() > _UNEVEN * np.linalg.norm(step):
            raise UnreadableFile(
                f"{name} has slices {gaps.min():.3g} to {gaps.max():.3g} mm apart in one series, "
                "so some are missing; give all of them, or files that are evenly spaced."
            )
    row, column = first.spacing_mm or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3] = np.stack([across * column, down * row, step, places[0]], axis=1)
    return frames, LPS_TO_RAS @ affine


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
    each = header.get("PerFrameFunctionalGroupsSequence") or [{}] * n_frames
    if len(each) != n_frames:
        raise UnreadableFile(
            f"{file.name} describes {len(each)} images and holds {n_frames}; make a new copy of it."
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


def _load(frames: Sequence[Frame]) -> Array:
    """Read the images in order, as (N, rows, columns) in grey values."""
    stored_values = all((frame.slope, frame.intercept) == (1.0, 0.0) for frame in frames)
    planes: list[Array] = []
    last, pixels = None, np.empty(0)
    for frame in frames:
        if frame.file != last:  # a file of many images is decoded once
            last, pixels = frame.file, _pixels(frame.file, frame.shape)
        plane = pixels[frame.index]
        planes.append(plane if stored_values else plane * frame.slope + frame.intercept)
    return np.stack(planes)


def _pixels(file: Path, shape: tuple[int, int]) -> Array:
    """Decode a file's images as they are stored."""
    with _without_quoting(file):
        pixels: Any = import_module("pydicom.pixels")

        dataset = _read(file, _PIXEL_TAGS)
        syntax = dataset.file_meta.TransferSyntaxUID
        if syntax.is_compressed and not syntax.is_deflated:
            try:
                ready = pixels.get_decoder(syntax).is_available
            except NotImplementedError:
                ready = False
            if not ready:
                raise UnreadableFile(
                    f"{file.name} is compressed ({syntax.name}) and nothing that is installed "
                    "decodes it; run: pip install 'skullnb[dicom]', or save it uncompressed."
                )
        decoded = np.asarray(pixels.pixel_array(dataset))
        return decoded.reshape(-1, *shape)


def _read(file: Path, tags: list[str], **options: Any) -> Any:
    """Read only some tags, so that no other is ever in memory as a value."""
    return import_module("pydicom").dcmread(file, specific_tags=tags, **options)


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
    except ImportError:
        raise UnreadableFile(
            f"{file.name} is DICOM, and pydicom is not installed; run: pip install pydicom"
        ) from None
    except Exception:
        raise UnreadableFile(
            f"{file.name} can't be read as DICOM, it is damaged, cut short or not what its name "
            "says; make a new copy of it."
        ) from None
    finally:
        logger.disabled = silenced
