"""Volumes that know where they lie: nibabel's kinds, and ITK's with the extra `itk`."""

import gzip
import re
import zlib
from importlib import import_module
from math import prod
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.stack.checks import (
    Array,
    needed,
    refuse_dimensions,
    refuse_size,
    refuse_strange_pixels,
    silenced,
    suffix_of,
)
from skullnb.stack.model import Volume, voxel_sizes

# What a NIfTI header's description says of a phantom, so that it is not taken for a scan later.
SYNTHETIC = b"skullnb synthetic phantom"

_PAIRS = ("Nifti1Pair", "Nifti2Pair", "Spm2AnalyzeImage", "Spm99AnalyzeImage", "AnalyzeImage")
_CLASSES = {
    **dict.fromkeys((".nii", ".nii.gz"), ("Nifti1Image", "Nifti2Image")),
    **dict.fromkeys((".hdr", ".img"), _PAIRS),
    **dict.fromkeys((".mgz", ".mgh"), ("MGHImage",)),
    ".mnc": ("Minc1Image", "Minc2Image"),
    ".head": ("brikhead.AFNIImage",),
}
NIBABEL_KINDS, ITK_KINDS = tuple(_CLASSES), (".nrrd", ".nhdr", ".mha", ".mhd")
_SPATIAL_FIELDS = (
    *("pixdim", "qform_code", "sform_code", "xyzt_units"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)


def open_nibabel(path: Path, axis: str, part: str) -> Volume:
    """Open a volume of a kind in `NIBABEL_KINDS`; see `skullnb.stack.read.open_volume`."""
    import nibabel as nib

    with silenced():
        image: Any = _image_class(path).from_filename(path, mmap="r")
    proxy, dtype, files = image.dataobj, image.get_data_dtype(), image.file_map
    shape = _one_volume(path, image.shape, dtype)
    store = Path((files.get("image") or next(iter(files.values()))).filename)
    packed = store.suffix.lower() in (".gz", ".mgz")
    scaled = (getattr(proxy, "slope", None), getattr(proxy, "inter", None)) != (1, 0)
    if packed or scaled:
        refuse_size(path, prod(shape) * (8 if scaled else dtype.itemsize))
    if not packed and hasattr(proxy, "offset"):
        stored = store.stat().st_size - int(proxy.offset)
        refuse_size(path, prod(shape) * dtype.itemsize, stored)
    affine, is_nifti = np.asarray(image.affine, dtype=float), isinstance(image, nib.Nifti1Pair)

    def load() -> Array:
        pixels: Array = np.asanyarray(proxy)
        if packed:
            _refuse_bad_checksum(store)
        return pixels

    names = {Path(one.filename) for one in files.values() if one.filename}
    volume = Volume(
        path,
        remarks=_header_remarks(path, image, affine),
        parts=tuple(sorted(one for one in names if one.exists())),
        synthetic=is_nifti and image.header["descrip"] == SYNTHETIC,
    )
    return volume.lies(affine, shape, axis, load, _geometry_of(image) if is_nifti else None)


def open_itk(path: Path, axis: str, part: str) -> Volume:
    """Open a volume of a kind in `ITK_KINDS`; see `skullnb.stack.read.open_volume`."""
    sitk: Any = needed("SimpleITK", f"{path.name} (if it is not saved as .nii.gz)", "itk")
    parts = (path, *_pixel_file(path))
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))

    def read(what: Any) -> Any:
        try:
            return what()
        except RuntimeError:  # which says where SimpleITK was built
            raise ValueError("SimpleITK can't read it") from None

    read(reader.ReadImageInformation)
    # As in "vector of 8-bit unsigned integer", "32-bit float", "complex of 64-bit float".
    told = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if reader.GetNumberOfComponents() != 1 or not re.match(r"\d+-bit", told):
        raise UnreadableFile(f"{path.name} holds colour or compound pixels; give grey values.")
    n, bits = reader.GetDimension(), int(told.partition("-")[0])
    shape = _one_volume(path, reader.GetSize(), np.dtype(f"u{bits // 8}"))
    refuse_size(path, prod(shape) * bits // 8)
    affine, own = np.eye(4), min(n, 3)
    turned = np.reshape(reader.GetDirection(), (n, n))[:own, :own]
    affine[:own, :own] = turned * np.array(reader.GetSpacing())[:own]
    affine[:own, 3] = reader.GetOrigin()[:own]
    affine[:2] *= -1  # ITK counts mm towards left and back

    def load() -> Array:
        return np.asarray(sitk.GetArrayFromImage(read(reader.Execute)).T)

    return Volume(path, parts=parts).lies(affine, shape, axis, load)


def _one_volume(path: Path, shape: Any, dtype: np.dtype[Any]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in shape)
    refuse_strange_pixels(path, sizes, dtype)
    if len(sizes) < 2 or any(size != 1 for size in sizes[3:]):
        refuse_dimensions(path, sizes, "one volume of three, such as one time point or one echo")
    return sizes


def _image_class(path: Path) -> Any:
    """Return nibabel's class for a file, made to leave a NIfTI header's extensions alone.

    They may hold a whole DICOM header with the patient's name in it, or promise gigabytes.
    """
    import nibabel as nib

    kinds = [attrgetter(name)(nib) for name in _CLASSES[suffix_of(path)]]
    kind = next((one for one in kinds if one.path_maybe_image(path)[0]), kinds[0])
    if not issubclass(kind, nib.Nifti1Pair):
        return kind
    nothing = classmethod(lambda cls, *_: cls())
    without = type("Nothing", (nib.nifti1.Nifti1Extensions,), {"from_fileobj": nothing})
    header = type("Header", (kind.header_class,), {"exts_klass": without})
    return type("Image", (kind,), {"header_class": header})


def _refuse_bad_checksum(path: Path) -> None:
    """Read a gzip file to its end, where its checksum is; nibabel stops at the last pixel."""
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile(f"{path.name} is damaged, by its checksum; get it again.") from error


def _geometry_of(image: Any) -> Any:
    """Return a NIfTI header with an image's geometry and nothing else."""
    import nibabel as nib

    source = image.header
    header: Any = nib.Nifti2Header() if isinstance(source, nib.Nifti2Header) else nib.Nifti1Header()
    header.set_data_shape(image.shape)
    header.set_data_dtype(np.uint8)
    for field in _SPATIAL_FIELDS:
        header[field] = source[field]
    return header


def _header_remarks(path: Path, image: Any, affine: Array) -> tuple[str, ...]:
    """Say, once, where a header contradicts itself about the place or size of its voxels."""
    if not isinstance(image, import_module("nibabel").AnalyzeImage):  # NIfTI is one, too
        return ()
    codes = [int(image.header.get(f"{form}form_code", 0)) for form in "qs"]
    used, told = "sform" if codes[1] else "qform", f"{path.name} says twice"
    if not any(codes):
        return (
            f"{path.name} says nothing of its orientation, so left, right, front and back are a "
            "guess; look at a slice before you rely on them.",
        )
    sizes, zooms = voxel_sizes(affine), np.array((*image.header.get_zooms(), 1, 1)[:3])
    if not np.allclose(sizes, zooms, rtol=1e-3):
        mm, other = (" x ".join(f"{size:.4g}" for size in one) for one in (sizes, zooms))
        told += f" how large its voxels are, {mm} mm by its {used} and {other} mm by its pixdim"
        return (f"{told}; the {used} is used.",)
    last = [size - 1 for size in (*image.shape, 1, 1)[:3]]
    both = image.get_qform() - image.get_sform()
    apart = np.abs(np.array([[0, 0, 0, 1], [*last, 1]]) @ both.T).max()
    if min(codes) == 0 or apart <= sizes.min() / 2:
        return ()
    told += f" where its voxels lie, and its qform and sform differ by up to {apart:.3g} mm"
    return (f"{told}; the sform is used.",)


def _pixel_file(path: Path) -> tuple[Path, ...]:
    """Return the file that a detached header names; it must lie beside the header."""
    if suffix_of(path) not in (".mhd", ".nhdr"):
        return ()
    with path.open("rb") as file:
        head = file.read(1 << 16).decode("latin-1")
    found = re.search(r"^(?:ElementDataFile\s*=|data ?file:)\s*(.+?)\s*$", head, re.M | re.I)
    named = found[1] if found else ""
    if not named or Path(named).name != named or not (path.parent / named).is_file():
        raise UnreadableFile(f"{path.name} doesn't name one file of pixels in its own folder.")
    return (path.parent / named,)
