"""One file of each kind, opened as slices: what it holds is checked before pixels are read."""

import gzip
import logging
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.stack.anatomy import grid_of, spacing_of
from skullnb.stack.arrays import Array
from skullnb.stack.names import SYNTHETIC, suffix_of
from skullnb.stack.numpy_files import open_npy, open_npz
from skullnb.stack.volume import (
    Volume,
    in_one_sentence,
    refuse_impossible_size,
    refuse_more_than_memory,
    refuse_strange_pixels,
    size_in_bytes,
    stack_shape,
    told_dimensions,
)


def open_volume(path: Path, axis: str = "axial", part: str = "images") -> Volume:
    """Open one file of slices.

    Parameters
    ----------
    path : Path
        A file of a kind in `READERS`.
    axis : {"axial", "coronal", "sagittal"}
        Along which to cut a volume that has an orientation.
    part : {"images", "reference"}
        Which of the two to take from an .npz that holds both.

    Returns
    -------
    Volume
        Its shape and spacing known, its pixels not yet read.

    Raises
    ------
    UnreadableFile
        If the file is missing, broken, of another kind, or not slices of grey values.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "one.npy", np.zeros((64, 48)))
    ...     open_volume(Path(folder) / "one.npy").shape
    (1, 64, 48)
    """
    reader = READERS.get(suffix_of(path))
    if reader is None:
        raise UnreadableFile(
            f"{path.name} is of a kind that is not read; the kinds read are {', '.join(READERS)} "
            "and DICOM."
        )
    if not path.is_file():
        raise UnreadableFile(f"There is no file {path}; check the path.")
    with in_one_sentence(path):
        return reader(path, axis, part)


def _open_nibabel(path: Path, axis: str, part: str) -> Volume:
    with _quiet_nibabel():
        image: Any = _image_class(path).from_filename(path, mmap="r")
    shape = tuple(int(size) for size in image.shape)
    dtype = image.get_data_dtype()
    refuse_strange_pixels(path, dtype)
    if len(shape) < 2 or any(size != 1 for size in shape[3:]):
        raise UnreadableFile(
            f"{path.name} has {told_dimensions(shape)}; give one volume of three, for "
            "example one time point or one echo."
        )
    if min(shape) < 1:
        raise UnreadableFile(f"{path.name} holds no pixels, its shape is {shape}.")
    packed = suffix_of(path) in (".nii.gz", ".mgz")
    stored = path.stat().st_size - (0 if packed else int(image.dataobj.offset))
    refuse_impossible_size(path, size_in_bytes(shape, dtype), stored, packed=packed)
    if (image.dataobj.slope, image.dataobj.inter) != (1, 0):  # nibabel makes float64 of them all
        refuse_more_than_memory(path, size_in_bytes(shape, np.dtype(np.float64)))
    grid = grid_of(image, axis, path.name)

    def load() -> Array:
        pixels = np.asanyarray(image.dataobj)
        if packed:
            _refuse_bad_checksum(path)
        return grid.cut(pixels)

    description = image.header["descrip"].item() if "descrip" in image.header else b""
    return Volume(
        path,
        (grid.n_slices, *grid.slice_shape),
        load,
        spacing_of(image, grid),
        grid,
        synthetic=description == SYNTHETIC,
    )


def _image_class(path: Path) -> Any:
    """Return nibabel's class for a file, made to leave a NIfTI header's extensions alone.

    They may hold a whole DICOM header with the patient's name in it, or promise gigabytes.
    """
    nib: Any = import_module("nibabel")
    if suffix_of(path) in (".mgz", ".mgh"):
        return nib.MGHImage

    class Nothing(nib.nifti1.Nifti1Extensions):  # type: ignore[misc]
        @classmethod
        def from_fileobj(cls, *_: Any) -> Any:
            return cls()

    is_second = nib.Nifti2Image.path_maybe_image(path)[0]
    kind = nib.Nifti2Image if is_second else nib.Nifti1Image
    header = type("Header", (kind.header_class,), {"exts_klass": Nothing})
    return type("Image", (kind,), {"header_class": header})


def _refuse_bad_checksum(path: Path) -> None:
    """Read a gzip file to its end, where its checksum is; nibabel stops at the last pixel."""
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile(
            f"{path.name} is damaged: its checksum does not fit its content; get it again."
        ) from error


@contextmanager
def _quiet_nibabel() -> Iterator[None]:
    """Keep to ourselves what nibabel logs about headers it repairs on the way."""
    logger = logging.getLogger("nibabel.global")
    silenced, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = silenced


def _open_tiff(path: Path, axis: str, part: str) -> Volume:
    import tifffile

    # What an OME file says of other files is not asked: it could name any.
    with _tiff_errors(), tifffile.TiffFile(path, is_ome=False) as tiff:
        _refuse_circle(tiff)
        if len(tiff.series) != 1:
            raise UnreadableFile(
                f"{path.name} holds {len(tiff.series)} sizes or types of image; "
                "save slices of one size and type as one multi-page file."
            )
        series = tiff.series[0]
        page: Any = series.keyframe
        # Some programs call any stack channels, so only a colour's number of them is colour.
        colour = "S" in series.axes or any(
            letter == "C" and 2 <= size <= 4
            for letter, size in zip(series.axes, series.shape, strict=True)
        )
        if colour or page.photometric != tifffile.PHOTOMETRIC.MINISBLACK:
            raise UnreadableFile(
                f"{path.name} holds colour channels or inverted grey ({page.photometric.name}, "
                f"axes {series.axes}); save grey values with black as 0, a page a slice."
            )
        shape = stack_shape(path, tuple(series.shape), series.dtype)
        packed = page.compression != tifffile.COMPRESSION.NONE
        promised = size_in_bytes(shape, series.dtype)
        if not packed or page.compression in _DEFLATES:
            refuse_impossible_size(path, promised, path.stat().st_size, packed=packed)
        refuse_more_than_memory(path, promised)
        mappable = page.is_memmappable and series.dataoffset is not None
        spacing = _tiff_spacing(tiff.imagej_metadata or {}, page)

    def load() -> Array:
        with _tiff_errors():
            array = (
                tifffile.memmap(path, mode="r", is_ome=False)
                if mappable
                else tifffile.imread(path, is_ome=False)
            )
        return np.asanyarray(array).reshape(shape)

    return Volume(path, shape, load, spacing)


def _refuse_circle(tiff: Any) -> None:
    """Follow the chain of pages to its end; tifffile would follow one without end for ever."""
    form, file = tiff.tiff, tiff.filehandle
    place, seen = tiff.pages.first.offset, set()
    while place:
        if place in seen:
            raise ValueError("its pages lead in a circle")
        seen.add(place)
        file.seek(place)
        (n_tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
        file.seek(n_tags * form.tagsize, 1)
        (place,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))


_DEFLATES = (8, 32946)  # TIFF's two numbers for zlib


@contextmanager
def _tiff_errors() -> Iterator[None]:
    """Raise what tifffile only logs: it skips pages it can't find and goes on without them."""
    messages: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger = logging.getLogger("tifffile")
    collect, passes_on = Collect(logging.ERROR), logger.propagate
    logger.addHandler(collect)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(collect)
        logger.propagate = passes_on
    if messages:
        raise ValueError(messages[0])


def _tiff_spacing(imagej: dict[str, Any], page: Any) -> tuple[float, float] | None:
    """Return (row, column) in mm where a TIFF says it beyond doubt.

    ImageJ's own length unit counts, and pixels a centimetre. Pixels an inch are a printer's
    setting in nearly every file, as are the usual numbers of dots an inch put into centimetres.
    """
    across, down = page.resolution
    unit = str(imagej.get("unit", "")).strip().lower().replace("\\u00b5", "u")
    length = {"mm": 1.0, "cm": 10.0, "um": 0.001, "µm": 0.001, "micron": 0.001}.get(unit)
    if length is None and page.resolutionunit == 3:  # centimetre
        dots = {72, 96, 150, 200, 300, 600}
        printers = all(abs(2.54 * each - round(2.54 * each)) < 0.02 for each in (across, down))
        if not (printers and {round(2.54 * across), round(2.54 * down)} <= dots):
            length = 10.0
    if length is None or not (0 < across < np.inf and 0 < down < np.inf):
        return None
    # Stored as a fraction of 32-bit integers: six digits are what it can carry.
    return float(f"{length / down:.6g}"), float(f"{length / across:.6g}")


READERS: dict[str, Callable[[Path, str, str], Volume]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".nii": _open_nibabel,
    ".nii.gz": _open_nibabel,
    ".mgz": _open_nibabel,
    ".mgh": _open_nibabel,
    ".tif": _open_tiff,
    ".tiff": _open_tiff,
}
