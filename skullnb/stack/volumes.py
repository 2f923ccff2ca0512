"""Volumes that know where they lie: nibabel's kinds, and ITK's with the extra `itk`."""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.stack.checks import (
    Array,
    needed,
    refuse_impossible_size,
    refuse_more_than_memory,
    refuse_strange_pixels,
    silenced,
    size_in_bytes,
    suffix_of,
    told_dimensions,
)
from skullnb.stack.model import Volume, voxel_sizes

# What a NIfTI header's description says of a phantom, so that it is not taken for a scan later.
SYNTHETIC = b"skullnb synthetic phantom"

_PAIRS = ("Nifti1Pair", "Nifti2Pair", "Spm2AnalyzeImage", "Spm99AnalyzeImage", "AnalyzeImage")
_CLASSES = {
    ".nii": ("Nifti1Image", "Nifti2Image"),
    ".nii.gz": ("Nifti1Image", "Nifti2Image"),
    ".hdr": _PAIRS,
    ".img": _PAIRS,
    ".mgz": ("MGHImage",),
    ".mgh": ("MGHImage",),
    ".mnc": ("Minc1Image", "Minc2Image"),
    ".head": ("brikhead.AFNIImage",),
}
NIBABEL_KINDS, ITK_KINDS = tuple(_CLASSES), (".nrrd", ".nhdr", ".mha", ".mhd")

_ITK_NUMBERS = [
    *(f"{sign}Int{bits}" for sign in ("U", "") for bits in (8, 16, 32, 64)),
    *("Float32", "Float64"),
]
_SPATIAL_FIELDS = [
    *("pixdim", "qform_code", "sform_code", "xyzt_units"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
]


def open_nibabel(path: Path, axis: str, part: str) -> Volume:
    """Open a volume of a kind in `NIBABEL_KINDS`; see `skullnb.stack.read.open_volume`."""
    nib: Any = import_module("nibabel")
    with silenced():
        image = _image_class(path).from_filename(path, mmap="r")
    shape = _one_volume(path, image.shape, image.get_data_dtype())
    store = image.file_map.get("image") or next(iter(image.file_map.values()))
    stored_in, proxy = Path(store.filename), image.dataobj
    packed = stored_in.suffix.lower() in (".gz", ".mgz")
    if hasattr(proxy, "offset"):  # MINC's own libraries look at their files' sizes
        stored = stored_in.stat().st_size - (0 if packed else int(proxy.offset))
        promised = size_in_bytes(shape, image.get_data_dtype())
        refuse_impossible_size(path, promised, stored, packed=packed)
    if (getattr(proxy, "slope", None), getattr(proxy, "inter", None)) != (1, 0):
        refuse_more_than_memory(path, size_in_bytes(shape, np.dtype(np.float64)))
    affine = np.asarray(image.affine, dtype=float)

    def load() -> Array:
        pixels: Array = np.asanyarray(proxy)
        if packed:
            _refuse_bad_checksum(stored_in)
        return pixels

    names = {one.filename for one in image.file_map.values() if one.filename}
    volume = Volume(
        path,
        remarks=_header_remarks(path, image, affine),
        parts=tuple(sorted(Path(name) for name in names if Path(name).exists())),
        synthetic=isinstance(image, nib.Nifti1Pair) and image.header["descrip"] == SYNTHETIC,
    )
    return volume.lies(affine, shape, axis, load, _geometry_of(image))


def open_itk(path: Path, axis: str, part: str) -> Volume:
    """Open a volume of a kind in `ITK_KINDS`; see `skullnb.stack.read.open_volume`."""
    sitk: Any = needed("SimpleITK", f"{path.name} (if it is not saved as .nii.gz)", "itk")
    parts = (path, *_pixel_file(path))
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with _itk_errors():
        reader.ReadImageInformation()
    kinds = {getattr(sitk, f"sitk{name}"): np.dtype(name.lower()) for name in _ITK_NUMBERS}
    if reader.GetNumberOfComponents() != 1 or reader.GetPixelID() not in kinds:
        raise UnreadableFile(f"{path.name} holds colour or compound pixels; give grey values.")
    dtype = kinds[reader.GetPixelID()]
    shape = _one_volume(path, reader.GetSize(), dtype)
    refuse_more_than_memory(path, size_in_bytes(shape, dtype))
    affine, n = np.eye(4), min(reader.GetDimension(), 3)
    turned = np.reshape(reader.GetDirection(), (reader.GetDimension(), -1))[:n, :n]
    affine[:n, :n] = turned * np.array(reader.GetSpacing())[:n]
    affine[:n, 3] = reader.GetOrigin()[:n]
    affine[:2] *= -1  # ITK counts mm towards left and back

    def load() -> Array:
        with _itk_errors():
            return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T)

    return Volume(path, parts=parts).lies(affine, shape, axis, load)


@contextmanager
def _itk_errors() -> Iterator[None]:
    """Leave out of an error where SimpleITK was built."""
    try:
        yield
    except RuntimeError:
        raise ValueError("SimpleITK can't read it") from None


def _one_volume(path: Path, shape: Any, dtype: np.dtype[Any]) -> tuple[int, ...]:
    refuse_strange_pixels(path, dtype)
    sizes = tuple(int(size) for size in shape)
    if len(sizes) < 2 or any(size != 1 for size in sizes[3:]):
        raise UnreadableFile(
            f"{path.name} has {told_dimensions(sizes)}; give one volume of three, for "
            "example one time point or one echo."
        )
    if min(sizes) < 1:
        raise UnreadableFile(f"{path.name} holds no pixels, its shape is {sizes}.")
    return sizes


def _image_class(path: Path) -> Any:
    """Return nibabel's class for a file, made to leave a NIfTI header's extensions alone.

    They may hold a whole DICOM header with the patient's name in it, or promise gigabytes.
    """
    nib: Any = import_module("nibabel")
    kinds = [attrgetter(name)(nib) for name in _CLASSES[suffix_of(path)]]
    kind = next((one for one in kinds if one.path_maybe_image(path)[0]), kinds[0])
    if not issubclass(kind, nib.Nifti1Pair):
        return kind

    class Nothing(nib.nifti1.Nifti1Extensions):  # type: ignore[misc]
        @classmethod
        def from_fileobj(cls, *_: Any) -> Any:
            return cls()

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


_GUESSED = (
    "{} says nothing of its orientation, so left, right, front and back are a guess; look at a "
    "slice before you rely on them."
)


def _geometry_of(image: Any) -> Any:
    """Return a NIfTI header with an image's geometry and nothing else; None for other kinds."""
    nib: Any = import_module("nibabel")
    source = image.header
    if not isinstance(source, nib.Nifti1Header):
        return None
    header = nib.Nifti2Header() if isinstance(source, nib.Nifti2Header) else nib.Nifti1Header()
    header.set_data_shape(image.shape)
    header.set_data_dtype(np.uint8)
    for field in _SPATIAL_FIELDS:
        header[field] = source[field]
    return header


def _header_remarks(path: Path, image: Any, affine: Array) -> tuple[str, ...]:
    """Say, once, where a header contradicts itself about the place or size of its voxels."""
    nib: Any = import_module("nibabel")
    codes = [int(image.header[f"{form}form_code"]) for form in "qs"] if _geometry_of(image) else []
    used = "sform" if codes[1:] > [0] else "qform" if codes[:1] > [0] else "pixdim"
    if used == "pixdim":
        guessed = codes or isinstance(image, nib.AnalyzeImage)
        return (_GUESSED.format(path.name),) if guessed else ()
    sizes, zooms = voxel_sizes(affine), np.array((*image.header.get_zooms(), 1, 1)[:3])
    if not np.allclose(sizes, zooms, rtol=1e-3):
        mm, other = (" x ".join(f"{size:.4g}" for size in one) for one in (sizes, zooms))
        return (
            f"{path.name} says twice how large its voxels are, {mm} mm by its {used} and {other} "
            f"mm by its pixdim; the {used} is used.",
        )
    last = [size - 1 for size in (*image.shape, 1, 1)[:3]]
    both = image.get_qform() - image.get_sform()
    apart = np.abs(np.array([[0, 0, 0, 1], [*last, 1]]) @ both.T).max()
    if min(codes) == 0 or apart <= sizes.min() / 2:
        return ()
    return (
        f"{path.name} says twice where its voxels lie, and its qform and sform differ by up to "
        f"{apart:.3g} mm; the sform is used.",
    )


def _pixel_file(path: Path) -> tuple[Path, ...]:
    """Return the file that a detached header names; it must lie beside the header."""
    if suffix_of(path) not in (".mhd", ".nhdr"):
        return ()
    with path.open("rb") as file:
        head = file.read(1 << 16).decode("latin-1")
    found = re.search(r"^(?:ElementDataFile\s*=|data ?file:)\s*(.+?)\s*$", head, re.M | re.I)
    named = found[1] if found else ""
    if not named or Path(named).name != named or not (path.parent / named).is_file():
        raise UnreadableFile(
            f"{path.name} doesn't name one file of pixels in its own folder; save it as .mha, "
            ".nrrd or .nii.gz, which hold everything."
        )
    return (path.parent / named,)
