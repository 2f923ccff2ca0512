"""`read_stack`: a file, a folder or a pattern of files, opened as one `Stack`."""

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting, ShapeMismatch, UnreadableFile
from skullnb.stack import checks, files
from skullnb.stack.checks import Array, expand, stem, suffix_of
from skullnb.stack.dicom import find_series, is_dicom, open_series
from skullnb.stack.model import TOWARDS, Stack, Volume, evenly

PICTURES = (".png", ".jpg", ".jpeg")
READERS: dict[str, Callable[[Path, str, str], Volume]] = {
    ".npy": files.open_npy,
    ".npz": files.open_npz,
    ".zarr": files.open_zarr,
    **dict.fromkeys(files.NIBABEL_KINDS, files.open_nibabel),
    **dict.fromkeys((".tif", ".tiff"), files.open_tiff),
    **dict.fromkeys(PICTURES, files.open_picture),
    **dict.fromkeys(files.ITK_KINDS, files.open_itk),
}
READ_KINDS = f"{', '.join(READERS)} and DICOM"

_TYPED = 0.02  # how far a spacing typed with two digits is from its header's
_MOST_LOOKED_AT = 20_000  # files, in search of folders that would do


def read_stack(
    images: str | Path | Sequence[Path] | Volume,
    reference: str | Path = "",
    *,
    groups: str | Path | Sequence[str] = "",
    spacing_mm: str | float | tuple[float, float] = "",
    slices: str | int = "",
    axis: str = "",
    name: str = "",
    suffix: str = "",
    nan_background: bool = False,
) -> Stack:
    """Read slices, and their reference mask, from files; memory-mapped where those allow it.

    Parameters
    ----------
    images : str, Path, sequence of Path, or Volume
        A file, a folder, a pattern such as `scans/*_T1w.nii.gz`, or files: .npy, .npz (one array,
        or `images` and `reference`), NIfTI, Analyze, .mgz, MINC, AFNI, .tif, grey .png and .jpg,
        DICOM (of several series `folder#6`), with the extra `itk` .nrrd and .mha. Arrays are (H, W)
        or (N, H, W).
    reference : str or Path
        The same for the reference mask; files are paired in natural order of their names.
    groups : str, Path or sequence of str
        One label a slice, before `slices` are chosen, or one a file: separated by commas, or in a
        text file with one a line. By default a volume's name, where a file is known to be one.
    spacing_mm : str, float or pair
        (row, column) as `0.5` or `0.667x0.7`, before what the header says.
    slices : str or int
        Which of each volume, from 0 at the feet: `129:152` (152 left out), `3`, `1,5,9`, `::5`.
    axis : {"", "axial", "coronal", "sagittal"}
        How to cut volumes that have an orientation. By default as they were acquired, or axial.
    name : str
        Of the stack, instead of the file's or folder's.
    suffix : str
        Of the images of a BIDS dataset or of one of its `sub-` folders: `T1w` when empty.
    nan_background : bool
        Whether NaN is taken as background; the pipeline refuses it otherwise.

    Raises
    ------
    UnreadableFile, ShapeMismatch, InvalidSetting
        If a file can't be read, if the parts don't fit one another, or a setting makes no sense.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "scan.npy"
    ...     np.save(path, np.arange(60.0).reshape(5, 4, 3))
    ...     read_stack(path, slices="1:3", spacing_mm=0.5)
    Stack('scan': 2 slices of 4 x 3 px, float64, 0.5 x 0.5 mm, no reference)
    """
    volumes = list_volumes(images, suffix)
    words: Any = {"spacing_mm": checks.parse_spacing(spacing_mm), "nan_background": nan_background}
    opened = [open_volume(one, axis, **words) for one in volumes]
    stack = _stack_of(opened, slices, checks.parse_groups(groups))
    stack = replace(stack, name=name or stack.name)
    masks = list_volumes(reference) if str(reference).strip() else volumes
    if masks is volumes and not all(one.has_reference for one in opened):
        return stack
    # Each is cut as its image is, even if its header gives another reason.
    axes = cycle(one.grid.axis if one.grid else "" for one in opened)
    pairs = zip(masks, axes, strict=False)
    drawn = _stack_of([open_volume(mask, axis, "reference") for mask, axis in pairs], slices)
    sources = tuple(file for some in drawn.members for file in some)
    whole = replace(stack, reference=drawn.images, reference_sources=sources)
    if len(drawn.sources) == len(stack.sources):
        _refuse_strangers(stack, drawn)
    return whole


def _stack_of(opened: list[Volume], slices: object, labels: tuple[str, ...] | None = None) -> Stack:
    """Read slices of opened volumes as one stack; labels are one a slice or one a volume of all."""
    first, counts = opened[0], [one.shape[0] for one in opened]
    for one in opened:
        if files.is_zarr(one.path):
            raise InvalidSetting("A zarr array is for batches: skullnb mask in.zarr -o masks.zarr.")
        # One that doesn't know its own spacing differs from any.
        near = np.allclose(one.spacing_mm or 0, first.spacing_mm or 0, rtol=1e-3)
        if one.shape[1:] != first.shape[1:] or not near:
            size, other = (f"{each.shape[1:]} px of {each.spacing_mm} mm" for each in (one, first))
            told = f"Slices of {one.path.name} are {size}, of {first.path.name} {other}"
            raise ShapeMismatch(f"{told}; read them apart.")
    single = max(counts) == 1  # files of one slice each are chosen, and numbered, like slices
    if single:
        chosen = [(file, 0) for file in checks.parse_slices(slices, len(opened))]
    else:
        each = enumerate(counts)
        chosen = [(file, n) for file, count in each for n in checks.parse_slices(slices, count)]
    pieces = []
    for file, run in groupby(chosen, key=itemgetter(0)):
        whole = opened[file].load()
        piece = whole[evenly([n for _, n in run])]
        # A view would keep all of a decompressed volume in memory for the sake of a few slices.
        pieces.append(piece if len(piece) == len(whole) or is_mapped(piece) else piece.copy())
    groups, axes = _labels_of(opened, labels), {one.grid.axis if one.grid else "" for one in opened}
    # One volume gives its name, several that of the folder that all are in.
    folder = Path(os.path.commonpath([one.path.parent.resolve() for one in opened]))
    return Stack(
        images=pieces[0] if len(pieces) == 1 else np.concatenate(pieces),
        spacing_mm=first.spacing_mm,
        groups=tuple(groups[sum(counts[:file]) + n] for file, n in chosen) if groups else None,
        name=first.name if len(opened) == 1 else folder.name,
        sources=tuple(one.path for one in opened),
        volume_numbers=tuple(file for file, _ in chosen),
        slice_numbers=tuple(file if single else number for file, number in chosen),
        grids=tuple(one.grid for one in opened),
        members=tuple(one.files for one in opened),
        axis=axes.pop() if len(axes) == 1 else "",
        remarks=tuple(dict.fromkeys(remark for one in opened for remark in one.remarks)),
        # One drawn file among scans makes the whole no evidence about scans.
        synthetic=any(one.synthetic for one in opened),
    )


def _labels_of(opened: list[Volume], labels: tuple[str, ...] | None) -> list[str] | None:
    """Return one label for every slice of every volume: as given, as stored, or their names."""
    counts = [one.shape[0] for one in opened]
    if labels is None and all(one.groups for one in opened):
        labels = tuple(label for one in opened for label in one.groups or ())
    if labels is None:
        if opened[0].grid is None if len(opened) == 1 else max(counts) == 1:
            return None  # slices of nobody knows how many heads
        labels = tuple(one.name for one in opened)
    if len(labels) not in (sum(counts), len(counts)):
        told = f"{len(labels)} group labels for {sum(counts)} slices in {len(counts)} file(s)"
        raise ShapeMismatch(f"There are {told}; give one a slice, or one a file.")
    return list(labels) if len(labels) == sum(counts) else np.repeat(labels, counts).tolist()


def _refuse_strangers(stack: Stack, masks: Stack) -> None:
    """Refuse files of masks that lie elsewhere than their images, or that are those of others."""
    pairs = list(zip(stack.sources, masks.sources, stack.grids, masks.grids, strict=True))
    some_named = any(stem(image) in mask.name for image, mask, _, _ in pairs)
    for image, mask, grid, other in pairs:
        apart = np.abs(grid.corners() - other.corners()).max() if grid and other else 0
        # Headers round; half a voxel is more than rounding and less than a wrong pixel.
        far = grid is not None and apart > np.linalg.norm(grid.affine[:3, :3], axis=0).min() / 2
        others = masks.volume_numbers != stack.volume_numbers
        if far or others or (some_named and stem(image) not in mask.name):
            why = f"it lies {apart:.1f} mm from it" if far else "its name or size is another's"
            raise ShapeMismatch(f"The reference {mask.name} is not that of {image.name}: {why}.")


def open_volume(
    volume: Volume,
    axis: str = "",
    part: str = "images",
    *,
    spacing_mm: tuple[float, float] | None = None,
    nan_background: bool = False,
) -> Volume:
    """Read what the header of a volume says; of an .npz, of its `part` "images" or "reference"."""
    path, remarks = volume.path, list[str]()
    kind = ".zarr" if files.is_zarr(path) else suffix_of(path)
    if axis not in ("", *TOWARDS):
        raise InvalidSetting(f"The axis {axis!r} is not known; use axial, coronal or sagittal.")
    if not volume.frames and kind not in READERS:
        raise UnreadableFile(f"{path.name} is of a kind that is not read; those are {READ_KINDS}.")

    def headers() -> Volume:
        return open_series(volume, axis) if volume.frames else READERS[kind](path, axis, part)

    opened: Volume = _read(path, headers)
    (n, height, width), grid, own = opened.shape, opened.grid, opened.spacing_mm
    if grid is None and axis not in ("", "axial"):
        raise InvalidSetting(f"{path.name} has no orientation, so leave the axis {axis} out.")
    if grid is None and 2 * width <= min(n, height) and max(n, height) <= 2 * min(n, height):
        told = f"{path.name} has the shape {opened.shape}, whose last axis looks like the slices"
        remarks.append(f"{told}; if so, put it first with numpy.moveaxis(images, -1, 0).")
    if grid is not None and grid.axis != "axial" and not axis:
        told = f"{path.name} was acquired in {grid.axis} slices, so it is cut along the"
        remarks.append(f"{told} {grid.axis} axis; name another with --axis.")
    if own and spacing_mm and not np.allclose(own, spacing_mm, rtol=_TYPED):
        header, given = ("{:.4g} x {:.4g} mm".format(*one) for one in (own, spacing_mm))
        told = f"{path.name} has pixels of {header} by its header, but {given} were given"
        remarks.append(f"{told}, which are used")

    def pixels() -> Array:
        found, has_nan = opened.load(), False
        if nan_background and found.dtype.kind == "f":
            has_nan = any(np.isnan(plane).any() for plane in found)
        return checks.as_background(found, np.isnan(found)) if has_nan else found  # still mapped

    known: Any = {"spacing_mm": spacing_mm or own, "remarks": (*opened.remarks, *remarks)}
    return replace(opened, load=lambda: _read(path, pixels), **known)


def _read(path: Path, read: Callable[[], Any]) -> Any:
    """Read a file or refuse it; again where Python 3.11 trips over threads that parse at once."""
    with checks.in_one_sentence(path):
        try:
            return read()
        except SystemError:  # "AST constructor recursion depth mismatch", of numpy's headers
            return read()


def split_series(path: str | Path) -> tuple[Path, str]:
    """Split the number of a series, as in `dicom#6`, off a path; "" where there is none."""
    whole = expand(path)
    found = re.fullmatch(r"(.+)#(\d+)", str(whole), re.DOTALL)
    return (whole, "") if found is None or whole.exists() else (Path(found[1]), found[2])


def list_volumes(
    images: str | Path | Sequence[Path] | Volume, suffix: str = "", *, every_series: bool = False
) -> list[Volume]:
    """Return the volumes that `read_stack` would read, or those of every DICOM series there."""
    if isinstance(images, Volume):
        return [images]
    if not str(images).strip() or (isinstance(images, Sequence) and not images):
        raise InvalidSetting("No images are given; name a file or a folder.")
    if isinstance(images, Sequence) and not isinstance(images, str):
        paths, path, number = [expand(one) for one in images], Path(images[0]), ""
    else:
        path, number = split_series(images)
        paths = _list_files(path, suffix.lstrip("_"))
    dicom = {one for one in paths if suffix_of(one) not in READERS and is_dicom(one)}
    found, series = [Volume(one) for one in paths if one not in dicom], find_series(sorted(dicom))
    for here in series:
        chosen = [one for one in here if number in ("", one.number)]
        if not chosen or (len(chosen) > 1 and not every_series):
            listed = ", ".join(f"#{one.number} of {len(one.frames)} images" for one in here[:9])
            none = f"no series {number}, but " if number else ""
            told = f"{here[0].path.name} holds {none}{len(here)} series of DICOM images ({listed})"
            raise InvalidSetting(f"{told}; choose one, as in {path.name}#{here[0].number}.")
        found += chosen
    if not found or (number and not series):
        raise _nothing_in(path, "DICOM series" if number else "images")
    name, times = Counter(one.name for one in found).most_common(1)[0]
    if times > 1:  # which would make one group of them
        raise InvalidSetting(f"{times} of the files there are called {name}; give each its own.")
    return sorted(found, key=lambda one: checks.natural_key(one.name))


def _list_files(path: Path, suffix: str) -> list[Path]:
    """Return the files a path stands for: of a BIDS folder the images with the suffix."""
    if path.is_file() or files.is_zarr(path):
        return [path]
    if not path.is_dir() and not glob.has_magic(str(path)):
        raise UnreadableFile(f"There is no file or folder {path}; check the path.")
    pattern = str(path.relative_to(path.anchor))
    with checks.in_one_sentence(path):
        inside = path.iterdir() if path.is_dir() else Path(path.anchor).glob(pattern)
        found = [one for one in inside if _is_read(one)]
    # Pictures beside scans are pictures of them.
    found = [one for one in found if suffix_of(one) not in PICTURES] or found
    if not found and path.is_dir():
        within = path.resolve().name.startswith(("sub-", "ses-"))
        inside = path.glob("**/*.nii*" if within else "sub-*/**/*.nii*")
        found, suffix = list(filter(_is_read, inside)), suffix or "T1w"
    chosen = [one for one in found if not suffix or stem(one).endswith(f"_{suffix}")]
    if found and not chosen:
        raise UnreadableFile(f"{path} has no images that end in _{suffix}; name others (--suffix).")
    if not chosen:
        raise _nothing_in(path, "file with images")
    return [expand(one) for one in chosen]


def _is_read(file: Path) -> bool:
    """Whether a file in a folder is one to read; of two that make one volume, the header."""
    hidden = file.name.startswith(".") or file.name.upper() == "DICOMDIR"
    pixels = suffix_of(file) == ".img" and file.with_suffix(".hdr").exists()
    if hidden or pixels or not file.is_file():
        return False
    return suffix_of(file) in READERS or is_dicom(file)


def _nothing_in(path: Path, what: str) -> UnreadableFile:
    """Say that a path holds nothing to read, and which folders in or beside it do."""
    folder = path if path.is_dir() else path.parent
    found = filter(_is_read, islice(folder.rglob("*"), _MOST_LOOKED_AT))
    folders = sorted({str(one.parent) for one in found if one.parent != folder})
    if not folders or glob.has_magic(str(path)):
        return UnreadableFile(f"{path} holds no {what}; the kinds are {READ_KINDS}.")
    told = f"{path} holds no {what}, but these folders do: {', '.join(folders[:9])}"
    return UnreadableFile(f"{told}; name one of them, or all with the pattern '{folder}/**/*'.")


def is_mapped(array: Any) -> bool:
    """Whether an array's values stay in their file until they are asked for."""
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return isinstance(array, np.memmap)
