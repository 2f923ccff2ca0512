"""Volumes that know where they lie: nibabel's kinds, and ITK's with the extra `itk`."""

import gzip
import re
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.stack.checks import Array, check_pixels, needed, refuse_size, silenced, suffix_of
from skullnb.stack.model import Grid, Volume, voxel_sizes

# What a NIfTI header's description says of a phantom, so that it is not taken for a scan later.
SYNTHETIC = b"skullnb synthetic phantom"

NIBABEL_KINDS = (".nii", ".nii.gz", ".hdr", ".img", ".mgz", ".mgh", ".mnc", ".head")
ITK_KINDS = (".nrrd", ".nhdr", ".mha", ".mhd")
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
    proxy, dtype, header = image.dataobj, image.get_data_dtype(), image.header
    shape = tuple(map(int, image.shape))
    check_pixels(path, shape, dtype)
    named = {Path(one.filename) for one in image.file_map.values() if one.filename}
    store = Path(image.file_map.get("image", next(iter(image.file_map.values()))).filename)
    packed, n_bytes = store.suffix.lower() in (".gz", ".mgz"), prod(shape) * dtype.itemsize
    scaled = (getattr(proxy, "slope", None), getattr(proxy, "inter", None)) != (1, 0)
    if packed or scaled:
        refuse_size(path, prod(shape) * 8 if scaled else n_bytes)
    if not packed and hasattr(proxy, "offset"):
        refuse_size(path, n_bytes, store.stat().st_size - int(proxy.offset))

    def load() -> Array:
        pixels: Array = np.asanyarray(proxy)
        if packed:  # nibabel stops at the last pixel, and the checksum stands behind it
            with gzip.open(store) as file:
                while file.read(1 << 20):
                    pass
        return pixels

    affine, is_nifti = np.asarray(image.affine, dtype=float), isinstance(image, nib.Nifti1Pair)
    volume = Volume(
        path,
        remarks=_conflict(path, image, affine) if isinstance(image, nib.AnalyzeImage) else (),
        files=tuple(sorted(one for one in named if one.exists())),
        synthetic=is_nifti and bool(header["descrip"] == SYNTHETIC),
    )
    if not is_nifti:
        return volume.on(Grid.of_affine(affine, shape, axis), load)
    kind: Any = nib.Nifti2Header if isinstance(header, nib.Nifti2Header) else nib.Nifti1Header
    kept = kind()  # geometry only, and none of the texts
    kept.set_data_shape(shape)
    kept.set_data_dtype(np.uint8)
    for field in _SPATIAL_FIELDS:
        kept[field] = header[field]
    return volume.on(Grid.of_affine(affine, shape, axis, header=kept), load)


def _image_class(path: Path) -> Any:
    """Return nibabel's class for a file, made to leave a NIfTI header's extensions alone.

    They may hold a whole DICOM header with the patient's name in it, or promise gigabytes.
    """
    import nibabel as nib

    kinds = nib.imageclasses.all_image_classes
    kind: Any = next((one for one in kinds if one.path_maybe_image(path)[0]), None)
    if kind is None:
        raise ValueError("its header is none")
    if not issubclass(kind, nib.Nifti1Pair):
        return kind
    nothing = classmethod(lambda cls, *_: cls())
    without = type("Nothing", (nib.nifti1.Nifti1Extensions,), {"from_fileobj": nothing})
    header = type("Header", (kind.header_class,), {"exts_klass": without})
    return type("Image", (kind,), {"header_class": header})


def _conflict(path: Path, image: Any, affine: Array) -> tuple[str, ...]:
    """Say, once, where a header contradicts itself about the place or size of its voxels."""
    codes = [int(image.header.get(f"{form}form_code", 0)) for form in "qs"]
    if not any(codes):
        told = "says nothing of its orientation, so left, right, front and back are a guess"
        return (f"{path.name} {told}; look at a slice before you rely on them.",)
    sizes, zooms = voxel_sizes(affine), np.array((*image.header.get_zooms(), 1, 1)[:3])
    both = image.get_qform() - affine if all(codes) else np.zeros((4, 4))
    last = [size - 1 for size in (*image.shape, 1, 1)[:3]]
    apart = np.abs(np.array([[0, 0, 0, 1], [*last, 1]]) @ both.T).max()
    if np.allclose(sizes, zooms, rtol=1e-3) and apart <= sizes.min() / 2:
        return ()
    told = f"{path.name}: its sform, qform and pixdim put its voxels in several places"
    return (f"{told} or sizes; the {'sform' if codes[1] else 'qform'} is used.",)


def open_itk(path: Path, axis: str, part: str) -> Volume:
    """Open a volume of a kind in `ITK_KINDS`; see `skullnb.stack.read.open_volume`."""
    sitk: Any = needed("SimpleITK", f"{path.name} (if it is not saved as .nii.gz)", "itk")
    files = [path]
    if suffix_of(path) in (".mhd", ".nhdr"):  # pixels lie in a file of their own, beside it
        with path.open("rb") as file:
            head = file.read(1 << 16).decode("latin-1")
        found = re.search(r"^(?:ElementDataFile\s*=|data ?file:)\s*(.+?)\s*$", head, re.M | re.I)
        files.append(path.parent / (found[1] if found else "."))
        if files[1].parent != path.parent or not files[1].is_file():
            raise UnreadableFile(f"{path.name} doesn't name one file of pixels in its own folder.")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    # As in "vector of 8-bit unsigned integer", "32-bit float", "complex of 64-bit float".
    told = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if reader.GetNumberOfComponents() != 1 or not re.match(r"\d+-bit", told):
        raise UnreadableFile(f"{path.name} holds colour or compound pixels; give grey values.")
    n, bits, shape = reader.GetDimension(), int(told.partition("-")[0]), reader.GetSize()
    check_pixels(path, shape, np.dtype(f"u{bits // 8}"))
    refuse_size(path, prod(shape) * bits // 8)
    affine, own = np.eye(4), min(n, 3)
    turned = np.reshape(reader.GetDirection(), (n, n))[:own, :own]
    affine[:own, :own] = turned * np.array(reader.GetSpacing())[:own]
    affine[:own, 3] = reader.GetOrigin()[:own]
    affine[:2] *= -1  # ITK counts mm towards left and back
    grid = Grid.of_affine(affine, shape, axis)
    return Volume(path, files=tuple(files)).on(
        grid, lambda: sitk.GetArrayFromImage(reader.Execute()).T
    )
