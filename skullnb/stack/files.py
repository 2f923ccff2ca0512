"""Readers, one for each kind of file: headers come first, and pixels when they are asked for."""

import gzip
import json
import re
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.stack import checks
from skullnb.stack.checks import Array, refuse_size
from skullnb.stack.model import Grid, Volume

# What a NIfTI header's description says of a phantom, so that it is not taken for a scan later.
SYNTHETIC = b"skullnb synthetic phantom"

NIBABEL_KINDS = (".nii", ".nii.gz", ".hdr", ".img", ".mgz", ".mgh", ".mnc", ".head")
ITK_KINDS = (".nrrd", ".nhdr", ".mha", ".mhd")
_GEOMETRY = ("pixdim", "xyzt_units", "qform", "sform", "quatern", "qoffset", "srow")  # begin so


def open_npy(path: Path, axis: str, part: str) -> Volume:
    """Open an .npy file."""
    array = np.lib.format.open_memmap(path, mode="r")
    shape = checks.stack_shape(path, array.shape, array.dtype)
    load = np.lib.format.open_memmap
    return Volume(path, shape=shape, load=lambda: load(path, mode="r").reshape(shape))


def open_npz(path: Path, axis: str, part: str) -> Volume:
    """Open an .npz file."""
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        key = names[0] if len(names) == 1 else part
        if key not in names:
            told = f"{len(names)} arrays ({', '.join(names[:6])}) and none is called {part}"
            raise UnreadableFile(f"{path.name} holds {told}; keep one in it, or give it that name.")
        with archive.open(f"{key}.npy") as member:
            kind = np.lib.format
            first = kind.read_magic(member) == (1, 0)
            read = kind.read_array_header_1_0 if first else kind.read_array_header_2_0
            dimensions, _, dtype = read(member)
    shape = checks.stack_shape(path, dimensions, dtype)
    refuse_size(path, prod(shape) * dtype.itemsize)

    def load(name: str) -> Array:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[name])

    extras = {"groups", "spacing_mm", "synthetic"} & {*names} if part == "images" else ()
    known: dict[str, Any] = {name: load(name).tolist() for name in extras}
    known["has_reference"] = "reference" in names
    # A text would be taken for a file's name, and files name no files here.
    known["groups"] = checks.parse_groups([*np.ravel(known["groups"])] if "groups" in known else "")
    known["spacing_mm"] = checks.parse_spacing(known.get("spacing_mm"))
    return Volume(path, shape=shape, load=lambda: load(key).reshape(shape), **known)


def is_zarr(path: Path) -> bool:
    """Say whether a path is the folder of a zarr array, or called like one."""
    marks = ("zarr.json", ".zarray")
    return path.suffix.lower() == ".zarr" or any((path / mark).is_file() for mark in marks)


def open_zarr(path: Path, axis: str, part: str) -> Volume:
    """Open a zarr array, whose slices are read when they are asked for."""
    zarr: Any = checks.needed("zarr", "A zarr array", "batch")
    older = path / ".zarray"
    about = json.loads(older.read_bytes()) if older.is_file() else {}
    if "pickle" in str([about.get("compressor"), about.get("filters")]):
        raise UnreadableFile(f"{path.name} holds pickled chunks, which could run code.")
    array = zarr.open_array(path, mode="r")
    if array.ndim != 3:
        raise ValueError("it has not the shape (slices, rows, columns)")
    shape = checks.stack_shape(path, array.shape, array.dtype)
    return Volume(path, shape=shape, load=lambda: array)


def open_tiff(path: Path, axis: str, part: str) -> Volume:
    """Open a TIFF, one page a slice."""
    import tifffile

    # What an OME file says of other files is not asked: it could name any.
    with checks.logs_kept(), tifffile.TiffFile(path, is_ome=False) as tiff:
        series, page = tiff.series, tiff.series[0].keyframe
        ome = re.findall(r'\bSize([ZCT])="(\d{1,9})"', tiff.pages.first.description or "")
        axes = {(one, int(n)) for one, n in ome}
        axes |= {pair for one in series for pair in zip(one.axes, one.shape, strict=True)}
        many = {one for one, n in axes if one in "ZCT" and n > 1}
        # Some programs call any stack channels, so only a colour's number of them is colour.
        colour = {("C", 2), ("C", 3), ("C", 4)} & axes or "S" in dict(axes)
        # tifffile writes a mask of bool as if white were 0, and means 1 all the same.
        own_mask = page.dtype == np.bool_ and str(page.software).startswith("tifffile")
        grey = page.photometric == 1 or (page.photometric == 0 and own_mask)
        if colour or len(many) > 1 or not grey:
            told = "colour, several channels or time points, or inverted grey"
            raise UnreadableFile(f"{path.name} holds {told}; save one channel with black as 0.")
        # Written a page at a time, each is a series.
        shapes = [checks.stack_shape(path, one.shape, one.dtype) for one in series]
        if len({(shape[1:], one.dtype) for shape, one in zip(shapes, series, strict=True)}) > 1:
            raise UnreadableFile(f"{path.name} holds several sizes or types of image; save one.")
        shape = (sum(n for n, *_ in shapes), *shapes[0][1:])
        mappable = len(series) == 1 and page.is_memmappable and series[0].dataoffset is not None
        stored = path.stat().st_size if mappable else None
        refuse_size(path, prod(shape) * series[0].dtype.itemsize, stored)

    def load() -> Array:
        with checks.logs_kept(), tifffile.TiffFile(path, is_ome=False) as again:
            out = "memmap" if mappable else None
            parts = [one.asarray(out=out).reshape(-1, *shape[1:]) for one in again.series]
        return parts[0] if mappable else np.concatenate(parts)

    return Volume(path, shape=shape, load=load)


def open_picture(path: Path, axis: str, part: str) -> Volume:
    """Open a PNG or JPG of one slice."""
    # It is quickly read, and twice is less than keeping thousands.
    return Volume(path, shape=(1, *_grey(path).shape), load=lambda: _grey(path)[np.newaxis])


def _grey(path: Path) -> Array:
    """Decode a picture; three equal channels are one of grey, and a full alpha says nothing."""
    import cv2

    content = path.read_bytes()
    pixels: Any = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    # Of a JPG cut short a decoder would paint the rest grey, and say nothing.
    if pixels is None or (content[:2] == b"\xff\xd8" and b"\xff\xd9" not in content[-1024:]):
        raise ValueError("it can't be decoded")
    grey, *others = np.atleast_3d(pixels).transpose(2, 0, 1)
    see_through = len(others) == 3 and (others.pop() < np.iinfo(pixels.dtype).max).any()
    if see_through or any((grey != one).any() for one in others):
        raise UnreadableFile(f"{path.name} holds colour or transparency; save grey values.")
    return np.ascontiguousarray(grey)


def open_nibabel(path: Path, axis: str, part: str) -> Volume:
    """Open a volume of a kind in `NIBABEL_KINDS`."""
    import nibabel as nib

    with checks.silenced():
        image: Any = _image_class(path).from_filename(path, mmap="r")
    proxy, dtype, header = image.dataobj, image.get_data_dtype(), image.header
    shape = tuple(map(int, image.shape))
    checks.check_pixels(path, shape, dtype)
    named = {Path(one.filename) for one in image.file_map.values() if one.filename}
    store = Path(image.file_map["image"].filename)
    packed = store.suffix.lower() in (".gz", ".mgz")
    scaled = (getattr(proxy, "slope", None), getattr(proxy, "inter", None)) != (1, 0)
    if packed or scaled:
        refuse_size(path, prod(shape) * (8 if scaled else dtype.itemsize))
    if not packed and hasattr(proxy, "offset"):
        refuse_size(path, prod(shape) * dtype.itemsize, store.stat().st_size - int(proxy.offset))

    def load() -> Array:
        pixels: Array = np.asanyarray(proxy)
        if packed:  # nibabel stops at the last pixel, and the checksum stands behind it
            with gzip.open(store) as file:
                while file.read(1 << 20):
                    pass
        return pixels

    affine, kept = np.asarray(image.affine, dtype=float), None
    if isinstance(header, nib.Nifti1Header):  # kept is geometry only, and none of the texts
        kind: Any = nib.Nifti2Header if isinstance(header, nib.Nifti2Header) else nib.Nifti1Header
        kept = kind()
        kept.set_data_shape(shape)
        kept.set_data_dtype(np.uint8)
        for field in filter(lambda name: name.startswith(_GEOMETRY), header.keys()):
            kept[field] = header[field]
    known: Any = {"files": tuple(sorted(one for one in named if one.exists()))}
    if isinstance(image, nib.AnalyzeImage):  # and NIfTI
        known["remarks"] = _conflict(path, image, affine)
        known["synthetic"] = bool(header["descrip"] == SYNTHETIC)
    return Volume(path, **known).on(Grid.of_affine(affine, shape, axis, header=kept), load)


def _image_class(path: Path) -> Any:
    """Return nibabel's class for a file, made to leave a NIfTI header's extensions alone."""
    import nibabel as nib

    kinds = nib.imageclasses.all_image_classes
    kind: Any = next((one for one in kinds if one.path_maybe_image(path)[0]), None)
    if kind is None:
        told = f"{path.name} can't be read: no header of a volume is found in it"
        raise UnreadableFile(f"{told}; check that it is whole, and what its name says.")
    if not issubclass(kind, nib.Nifti1Pair):
        return kind
    # They may hold a whole DICOM header with the patient's name in it, or promise gigabytes.
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
    sizes, zooms = np.linalg.norm(affine[:3, :3], axis=0), (*image.header.get_zooms(), 1, 1)[:3]
    both = image.get_qform() - affine if all(codes) else np.zeros((4, 4))
    ends = np.array([[0, 0, 0, 1], (*np.subtract((*image.shape, 1, 1)[:3], 1), 1)])
    apart = np.abs(ends @ both.T).max()
    if np.allclose(sizes, zooms, rtol=1e-3) and apart <= sizes.min() / 2:
        return ()
    told = f"{path.name}: its sform, qform and pixdim put its voxels in several places"
    return (f"{told} or sizes; the {'sform' if codes[1] else 'qform'} is used.",)


def open_itk(path: Path, axis: str, part: str) -> Volume:
    """Open a volume of a kind in `ITK_KINDS`."""
    sitk: Any = checks.needed("SimpleITK", f"{path.name} (if it is not saved as .nii.gz)", "itk")
    with path.open("rb") as file:
        head = file.read(1 << 16).decode("latin-1")
    found = re.search(r"^(?:ElementDataFile\s*=|data ?file:)\s*(.+?)\s*$", head, re.M | re.I)
    files = [path, *([path.parent / found[1]] if found and found[1] != "LOCAL" else [])]
    if files[-1].parent != path.parent or not files[-1].is_file():
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
    checks.check_pixels(path, shape, np.dtype(f"u{bits // 8}"))
    refuse_size(path, prod(shape) * bits // 8)
    affine, own = np.eye(4), min(n, 3)
    turned = np.reshape(reader.GetDirection(), (n, n))[:own, :own]
    affine[:own, :own] = turned * np.array(reader.GetSpacing())[:own]
    affine[:own, 3] = reader.GetOrigin()[:own]
    affine[:2] *= -1  # ITK counts mm towards left and back
    volume, grid = Volume(path, files=tuple(files)), Grid.of_affine(affine, shape, axis)
    return volume.on(grid, lambda: sitk.GetArrayFromImage(reader.Execute()).T)
