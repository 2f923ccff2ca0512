"""`read_stack`: a file, a folder or a pattern of files, opened as one `Stack`."""

import glob
import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting, ShapeMismatch, UnreadableFile
from skullnb.stack.checks import (
    Array,
    expand,
    in_one_sentence,
    natural_key,
    parse_axis,
    parse_groups,
    parse_slices,
    parse_spacing,
    refuse_strange_name,
    stem,
    suffix_of,
    without_nan,
)
from skullnb.stack.dicom import find_series, is_dicom, open_series
from skullnb.stack.files import npz_names, open_npy, open_npz, open_picture, open_tiff
from skullnb.stack.model import Stack, Volume, evenly, voxel_sizes
from skullnb.stack.volumes import ITK_KINDS, NIBABEL_KINDS, open_itk, open_nibabel

PICTURES = (".png", ".jpg", ".jpeg")
READERS: dict[str, Callable[[Path, str, str], Volume]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    **dict.fromkeys(NIBABEL_KINDS, open_nibabel),
    **dict.fromkeys((".tif", ".tiff"), open_tiff),
    **dict.fromkeys(PICTURES, open_picture),
    **dict.fromkeys(ITK_KINDS, open_itk),
}
KINDS = f"{', '.join(READERS)} and DICOM"

_TYPED = 0.02  # how far a spacing typed with two digits is from its header's
_MOST_LISTED = 6
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
    """Read slices, and their reference mask, from files.

    Parameters
    ----------
    images : str, Path, sequence of Path, or Volume
        A file, a folder, a pattern such as `scans/*_T1w.nii.gz`, or the files themselves: .npy,
        .npz (one array, or `images` and `reference`), NIfTI, Analyze, .mgz, MINC, AFNI, .tif (a
        page a slice), grey .png and .jpg, DICOM (of several series `folder#6`), and with the extra
        `itk` .nrrd and .mha. Arrays are (H, W) or (N, H, W).
    reference : str or Path
        The same for the reference mask, before `slices` are chosen; `""` is none. Files are paired
        in natural order of their names (a2 before a10), then of their endings.
    groups : str, Path or sequence of str
        One label a slice, before `slices` are chosen, or one a file: separated by commas, or in a
        text file with one a line. By default a volume's name, where a file is known to be one.
    spacing_mm : str, float or pair
        (row, column) as `0.5` or `0.667x0.7`, before what the header says.
    slices : str or int
        Which slices of each volume: `104:127` (127 left out), `3`, `1,5,9`, `::5`, `-1`.
    axis : {"", "axial", "coronal", "sagittal"}
        How to cut volumes that have an orientation. By default as they were acquired, or axial.
    name : str
        What to call the stack, instead of the file's or folder's name.
    suffix : str
        Of the images of a BIDS dataset or of one of its `sub-` folders: `T1w` when empty.
    nan_background : bool
        Whether NaN is taken as background; the pipeline refuses it otherwise.

    Returns
    -------
    Stack
        Memory-mapped for one .npy, uncompressed TIFF, or uncompressed NIfTI without scaling. What
        is worth saying of the files is in its `remarks`.

    Raises
    ------
    UnreadableFile, ShapeMismatch, InvalidSetting
        If a file is missing, damaged, or not slices of grey values, if the parts don't fit one
        another, or if a setting can't be read or the reference is not binary.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "scan.npy"
    ...     np.save(path, np.arange(60.0).reshape(5, 4, 3))
    ...     read_stack(path, slices="1:3", spacing_mm=0.5)
    Stack('scan': 2 slices of 4 x 3 px, float64, 0.5 x 0.5 mm, no reference)
    """
    axis, spacing, labels = parse_axis(axis), parse_spacing(spacing_mm), parse_groups(groups)
    volumes = [
        with_spacing(open_volume(one, axis, nan_background=nan_background), spacing)
        for one in list_volumes(images, suffix)
    ]
    _same_slices(volumes)
    references = _open_references(reference, volumes)
    counts = [volume.shape[0] for volume in volumes]
    if max(counts) == 1:  # files of one slice each are chosen, and numbered, like slices
        chosen = [(number, number) for number in parse_slices(slices, len(counts))]
        positions = [number for number, _ in chosen]
    else:
        parts = [parse_slices(slices, count) for count in counts]
        chosen = [(file, number) for file, part in enumerate(parts) for number in part]
        positions = [sum(counts[:file]) + number for file, number in chosen]
    all_groups = _label_slices(labels, volumes)
    axes = {volume.grid.axis if volume.grid else "" for volume in volumes}
    return Stack(
        images=_load(volumes, positions),
        reference=_load(references, positions) if references else None,
        spacing_mm=_same_spacing(volumes),
        groups=None if all_groups is None else tuple(all_groups[i] for i in positions),
        name=name or _name(volumes, images),
        sources=tuple(volume.path for volume in volumes),
        reference_sources=tuple(file for volume in references for file in volume.files),
        volume_numbers=tuple(file for file, _ in chosen),
        slice_numbers=tuple(number for _, number in chosen),
        grids=tuple(volume.grid for volume in volumes),
        members=tuple(volume.files for volume in volumes),
        axis=axes.pop() if len(axes) == 1 else "",
        remarks=tuple(dict.fromkeys(one for volume in volumes for one in volume.remarks)),
        # One drawn file among scans makes the whole no evidence about scans.
        synthetic=any(volume.synthetic for volume in volumes),
    )


def open_volume(
    volume: Volume | Path, axis: str = "", part: str = "images", *, nan_background: bool = False
) -> Volume:
    """Read what the header of a volume says; of an .npz, of its `part` "images" or "reference"."""
    volume = Volume(volume) if isinstance(volume, Path) else volume
    axis, path = parse_axis(axis), volume.path
    with in_one_sentence(path):
        if volume.frames:
            opened = open_series(volume, axis)
        elif suffix_of(path) not in READERS:
            raise UnreadableFile(f"{path.name} is of a kind that is not read; those are {KINDS}.")
        elif not path.is_file():
            raise UnreadableFile(f"There is no file {path}; check the path.")
        else:
            opened = replace(READERS[suffix_of(path)](path, axis, part), name=volume.name)
            if opened.grid is None:
                opened = replace(opened, remarks=_slices_last(path, opened.shape))
    if axis not in ("", "axial") and opened.grid is None:
        raise InvalidSetting(f"{path.name} has no orientation, so leave the axis {axis} out.")
    load = opened.load
    if nan_background and load is not None:
        return replace(opened, load=lambda: without_nan(load()))
    return opened


def _slices_last(path: Path, shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Remark on an array whose last axis is so short that it must be the slices."""
    n, height, width = shape
    if 2 * width > min(n, height) or max(n, height) > 2 * min(n, height):
        return ()
    told = (
        f"{path.name} has the shape {shape}, whose last axis looks like the slices, and the first"
    )
    return (f"{told} is taken for them; if so, move it with numpy.moveaxis(images, -1, 0).",)


def with_spacing(volume: Volume, spacing_mm: tuple[float, float] | None) -> Volume:
    """Return an opened volume with a spacing that was given; remark on another in its header."""
    if spacing_mm is None:
        return volume
    own, remarks = volume.spacing_mm, volume.remarks
    if own is not None and not np.allclose(own, spacing_mm, rtol=_TYPED):
        header, given = ("{:.4g} x {:.4g} mm".format(*one) for one in (own, spacing_mm))
        told = f"{volume.path.name} has pixels of {header} by its header, but {given} were given"
        remarks = (*remarks, f"{told}, which are used")
    return replace(volume, spacing_mm=spacing_mm, remarks=remarks)


def split_series(path: str | Path) -> tuple[Path, str]:
    """Split the number of a series, as in `dicom#6`, off a path; "" where there is none."""
    whole = expand(path)
    found = re.fullmatch(r"(.+)#(\d+)", str(whole), re.DOTALL)
    return (whole, "") if found is None or whole.exists() else (Path(found[1]), found[2])


def list_files(path: str | Path, suffix: str = "") -> list[Path]:
    """Return the files a path stands for: of a BIDS folder the images with the suffix."""
    if not str(path).strip():
        raise InvalidSetting("No images are given; name a file or a folder.")
    (path, number), suffix = split_series(path), suffix.lstrip("_")
    if path.is_file():
        return [path]
    if path.is_dir():
        files = [file for file in path.iterdir() if _is_read(file)]
        # Pictures beside scans are pictures of them.
        files = [file for file in files if suffix_of(file) not in PICTURES] or files
    elif glob.has_magic(str(path)):
        *folders, name = path.parts
        if "**" in name or any("**" in folder and folder != "**" for folder in folders):
            # Versions of Python differ in what they make of it.
            raise InvalidSetting(
                f"The pattern {path} can't be read: write ** as 'scans/**/*.nii.gz'."
            )
        found = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
        files = [file for file in found if _is_read(file)]
    else:
        raise UnreadableFile(f"There is no file or folder {path}; check the path.")
    if not files and path.is_dir():
        files = _bids_files(path, suffix or "T1w")
    elif suffix:
        files = [file for file in files if stem(file).endswith(f"_{suffix}")]
    if not files:
        raise _nothing_in(path, "no file of a kind that is read", number)
    for file in files:
        refuse_strange_name(file)
    return sorted(files, key=natural_key)


def list_volumes(
    images: str | Path | Sequence[Path] | Volume, suffix: str = "", *, every_series: bool = False
) -> list[Volume]:
    """Return the volumes that `read_stack` would read, or those of every DICOM series there."""
    if isinstance(images, Volume):
        return [images]
    if isinstance(images, Sequence) and not isinstance(images, str):
        files, where, number = [expand(one) for one in images], Path("The list of images"), ""
    else:
        files, (where, number) = list_files(images, suffix), split_series(images)
    others = {file for file in files if suffix_of(file) in READERS or not is_dicom(file)}
    volumes = [Volume(file) for file in files if file in others]
    series = find_series(file for file in files if file not in others)
    for folder in dict.fromkeys(one.path for one in series):
        here = [one for one in series if one.path == folder]
        volumes += _choose_series(here, number, every_series)
    if number and not any(volume.frames for volume in volumes):
        raise InvalidSetting(f"{where} holds no DICOM series, so there is no number {number}.")
    if not volumes and files:
        raise _nothing_in(where, "DICOM files, but none with an image")
    if not volumes:
        raise UnreadableFile(f"{where} names no file.")
    name, times = Counter(_label(volume).name for volume in volumes).most_common(1)[0]
    if times > 1:
        raise InvalidSetting(
            f"{times} of the files {where} stands for are called {name}; give each its own name."
        )
    return sorted(volumes, key=lambda volume: natural_key(_label(volume)))


def _is_read(file: Path) -> bool:
    """Whether a file in a folder is one to read; of two that make one volume, the header."""
    hidden = file.name.startswith(".") or file.name.upper() == "DICOMDIR"
    pixels = suffix_of(file) == ".img" and file.with_suffix(".hdr").exists()
    known = not hidden and not pixels and file.is_file()
    return known and (suffix_of(file) in READERS or is_dicom(file))


def _bids_files(folder: Path, suffix: str) -> list[Path]:
    """Return the images with a suffix of a BIDS dataset, a subject or a session, none elsewhere."""
    within = folder.resolve().name.startswith(("sub-", "ses-"))
    subjects = [folder] if within else folder.glob("sub-*/")
    every = [file for one in subjects for file in one.glob("**/*.nii*") if _is_read(file)]
    files = [file for file in every if stem(file).endswith(f"_{suffix}")]
    if every and not files:
        others = Counter(stem(file).rpartition("_")[2] for file in every).most_common(_MOST_LISTED)
        told = ", ".join(f"{name} ({count})" for name, count in others)
        raise UnreadableFile(
            f"{folder} is a BIDS dataset without images that end in _{suffix}; there are {told}, "
            "choose them with --suffix."
        )
    return files


def _nothing_in(path: Path, what: str, number: str = "") -> UnreadableFile:
    """Say that a path holds nothing to read, and which folders in or beside it do."""
    folder = path if path.is_dir() else path.parent
    within = (Path(here, name) for here, _, names in os.walk(folder) for name in sorted(names))
    found = [file for file in islice(within, _MOST_LOOKED_AT) if _is_read(file)]
    folders = Counter(str(file.parent) for file in found if file.parent not in (folder, path))
    if not folders or glob.has_magic(str(path)):
        return UnreadableFile(f"{path} holds {what}; the kinds are {KINDS}.")
    listed = _listed([f"{one} ({count})" for one, count in sorted(folders.items())], ", ")
    told = f"{path} holds {what}, but these folders do: {listed}; name one of them"
    endings = {suffix_of(file) for file in found}
    if number:  # of a series, which is one folder's
        told += f" and its series, as in '{min(folders)}#{number}'"
    elif len(endings) == 1:
        told += f", or all with the pattern '{folder}/**/*{endings.pop()}'"
    return UnreadableFile(f"{told}.")


def _listed(names: list[str], between: str) -> str:
    """Join the first few names, and say how many more there are."""
    more = len(names) - _MOST_LISTED
    return between.join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def _choose_series(series: list[Volume], number: str, every_series: bool) -> list[Volume]:
    """Name the series of one folder and take the one that is asked for, or all."""
    folder = series[0].path.resolve()
    chosen = [one for one in series if number in ("", one.number)]
    if not chosen or (len(chosen) > 1 and not every_series):
        wanted = f"and none has the number {number}" if number else "and one is needed"
        raise InvalidSetting(
            f"{folder.name} holds {len(series)} series of DICOM images "
            f"({_listed([str(one) for one in series], '; ')}), {wanted}; choose one by its "
            f"number, as in {folder.name}#{series[0].number}."
        )
    if len(series) == 1:
        path = folder if len(chosen[0].files) > 1 else chosen[0].files[0]
        return [replace(chosen[0], path=path, name=stem(path) if path != folder else folder.name)]
    return [replace(one, path=folder, name=f"{folder.name}-series{one.number}") for one in chosen]


def _label(volume: Volume) -> Path:
    """Return what tells a volume from others: a file's whole name, a series' name."""
    return Path(volume.name) if volume.frames else volume.path


def _name(volumes: list[Volume], images: Any) -> str:
    """Return the only volume's name, or the folder's of several."""
    if len(volumes) == 1:
        return volumes[0].name
    given = isinstance(images, str | Path) and expand(images).is_dir()
    return (expand(images) if given else volumes[0].path.parent).resolve().name


def _same_slices(volumes: list[Volume]) -> None:
    """Refuse files whose slices differ in size."""
    first, *others = volumes
    for volume in others:
        if volume.shape[1:] != first.shape[1:]:
            size, other = ("{} x {} px".format(*one.shape[1:]) for one in (volume, first))
            told = (
                f"The slices of {volume.path.name} are {size}, those of {first.path.name} {other}"
            )
            raise ShapeMismatch(f"{told}; read them apart.")


def _open_references(reference: str | Path, volumes: list[Volume]) -> list[Volume]:
    """Open the reference files and hold them against the images; empty without a reference."""
    if str(reference).strip():
        unopened = list_volumes(reference)
    elif all("reference" in npz_names(volume.path) for volume in volumes):
        unopened = volumes
    else:
        return []
    # Each is cut as its image is, even if its header gives another reason.
    alike = volumes if len(volumes) == len(unopened) else volumes[:1] * len(unopened)
    axes = [volume.grid.axis if volume.grid else "" for volume in alike]
    references = [
        open_volume(one, axis, "reference") for one, axis in zip(unopened, axes, strict=True)
    ]
    _same_slices(references)
    n_images, n_masks = (sum(one.shape[0] for one in side) for side in (volumes, references))
    pairs = list(zip(volumes, references, strict=False))
    if len(references) == len(volumes):
        # Names count only where some mask is named after its image.
        strangers = [(image, mask) for image, mask in pairs if image.name not in mask.name]
        if 0 < len(strangers) < len(pairs):
            told = "{} would be scored against {}".format(*(one.path.name for one in strangers[0]))
            raise ShapeMismatch(
                f"{told}, though other masks carry their image's name; rename them."
            )
    elif n_images != n_masks:
        told = f"{n_images} slices in {len(volumes)} image file(s) but {n_masks} in"
        raise ShapeMismatch(f"There are {told} {len(references)} reference file(s).")
    elif references[0].shape[1:] == volumes[0].shape[1:]:
        return references
    for volume, mask in pairs:
        if volume.shape != mask.shape:
            raise ShapeMismatch(
                f"The reference {mask.path.name} has the shape {mask.shape}, the images "
                f"{volume.path.name} {volume.shape}; they must be the same."
            )
        if volume.grid and mask.grid:
            apart = np.linalg.norm(volume.grid.corners() - mask.grid.corners(), axis=1).max()
            # Headers round; half a voxel is more than rounding and less than a wrong pixel.
            if apart > voxel_sizes(volume.grid.affine).min() / 2:
                raise ShapeMismatch(
                    f"The reference {mask.path.name} has the shape of {volume.path.name} but lies "
                    f"{apart:.1f} mm from it, by their headers; resample it onto the images' grid."
                )
    return references


def _load(volumes: list[Volume], positions: list[int]) -> Array:
    """Read the slices at some positions of all files put together, file by file."""
    starts = [0, *accumulate(volume.shape[0] for volume in volumes)]
    pieces = []
    for file, run in groupby(positions, key=lambda position: bisect_right(starts, position) - 1):
        whole = volumes[file].pixels()
        piece = whole[evenly([position - starts[file] for position in run])]
        # A view would keep all of a decompressed volume in memory for the sake of a few slices.
        kept_whole = len(piece) == len(whole) or is_mapped(piece)
        pieces.append(piece if kept_whole else piece.copy())
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def is_mapped(array: Any) -> bool:
    """Whether an array's values stay in their file until they are asked for."""
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return isinstance(array, np.memmap)


def _same_spacing(volumes: list[Volume]) -> tuple[float, float] | None:
    """Return the spacing that all files share, or refuse several."""
    first = volumes[0]
    for volume in volumes:
        # One that doesn't know its own differs from any.
        known = volume.spacing_mm or (0, 0), first.spacing_mm or (0, 0)
        if not np.allclose(*known, rtol=1e-3):
            told = f"{first.spacing_mm} and {volume.spacing_mm} mm; give one or read them apart"
            files = f"{first.path.name} and {volume.path.name}"
            raise ShapeMismatch(f"{files} have different spacings, {told}.")
    return first.spacing_mm


def _label_slices(labels: tuple[str, ...] | None, volumes: list[Volume]) -> list[str] | None:
    """Return one label for every slice of every file, before any is chosen."""
    counts, stored = [volume.shape[0] for volume in volumes], [volume.groups for volume in volumes]
    if labels is None and all(stored):
        labels = tuple(label for some in stored for label in some or ())
    if labels is None:
        one_array = len(volumes) == 1 and volumes[0].grid is None
        if one_array or max(counts) == 1 < len(volumes):
            return None
        stems = [volume.name for volume in volumes]
        # scan.npy and scan.nii are two files: their stems must not make one group of them.
        unique = len(set(stems)) == len(stems)
        labels = tuple(stems if unique else [volume.path.name for volume in volumes])
    if len(labels) == sum(counts):
        return list(labels)
    if len(labels) == len(counts):
        return np.repeat(labels, counts).tolist()
    told = f"{len(labels)} group labels for {sum(counts)} slices in {len(counts)} file(s)"
    raise ShapeMismatch(f"There are {told}; give one a slice, before slices are chosen, or a file.")
