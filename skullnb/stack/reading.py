"""`read_stack`: a file, a folder or a pattern of files, opened as one `Stack`."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from skullnb.errors import InvalidSetting, ShapeMismatch
from skullnb.stack.arrays import Array, evenly
from skullnb.stack.inputs import Input, list_volumes
from skullnb.stack.model import Origin, Stack
from skullnb.stack.numpy_files import npz_names
from skullnb.stack.options import parse_axis, parse_groups, parse_slices, parse_spacing
from skullnb.stack.volume import Volume


def read_stack(
    images: str | Path | Sequence[Path] | Input,
    reference: str | Path = "",
    *,
    groups: str | Path | Sequence[str] = "",
    spacing_mm: str | float | tuple[float, float] = "",
    slices: str | int = "",
    axis: str = "axial",
    name: str = "",
) -> Stack:
    """Read slices, and their reference mask, from files.

    Parameters
    ----------
    images : str, Path, sequence of Path, or Input
        A file, a folder of files, a pattern such as `scans/*_T1w.nii.gz`, or the files themselves.
        Kinds: .npy, .npz (one array, or arrays named `images` and `reference`), .nii, .nii.gz,
        .mgz, .mgh, .tif and .tiff (one page a slice), and DICOM. One file holds (H, W) or
        (N, H, W); the DICOM files of a series are one volume, sorted by position. Of several
        series in a folder one is chosen by its number: `folder#6`.
    reference : str or Path
        The same for the reference mask; `""` is none. It covers what `images` covers, before
        `slices` are chosen. Files are paired in natural order of their names.
    groups : str, Path or sequence of str
        One label a slice, counted before `slices` are chosen, or one label a file: separated by
        commas, or the path of a text file with one a line. Without them the file's name is the
        label where a file is known to be one volume: in a folder, and for NIfTI, .mgz and DICOM.
    spacing_mm : str, float or pair
        (row, column) as `0.5` or `0.667x0.7`, before what the header says.
    slices : str or int
        Which slices: `104:127` (127 left out), `3`, `1,5,9`, `::5`, negative from the end. Taken
        in each file; files of one slice each count as one volume.
    axis : {"axial", "coronal", "sagittal"}
        How to cut NIfTI, .mgz and DICOM volumes, whatever order they are stored in. Axial slices
        ascend from inferior to superior, with the face up and the patient's right at the image's
        left.
    name : str
        What to call the stack, instead of the file's or folder's name.

    Returns
    -------
    Stack
        Memory-mapped for one .npy, uncompressed TIFF, or uncompressed NIfTI without scaling.

    Raises
    ------
    UnreadableFile
        If a file is missing, damaged, or not slices of grey values.
    ShapeMismatch
        If files, reference or groups don't fit one another.
    InvalidSetting
        If a setting can't be read, or the reference is not binary.

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
    volumes = [volume.open(axis) for volume in list_volumes(images)]
    if axis != "axial" and any(volume.grid is None for volume in volumes):
        raise InvalidSetting(
            f"{volumes[0].path.name} has no orientation, so it can't be cut along the {axis} axis; "
            "leave the axis at axial to take its slices as they are."
        )
    _same_slice_shape(volumes)
    references = _open_references(reference, volumes, axis)
    counts = [volume.shape[0] for volume in volumes]
    origin, positions = _choose(slices, counts)
    labels = labels or _stored_groups(volumes)
    all_groups = _label_slices(labels, counts, volumes)
    return Stack(
        images=_load(volumes, positions),
        reference=_load(references, positions) if references else None,
        spacing_mm=spacing or _same_spacing(volumes),
        groups=None if all_groups is None else tuple(all_groups[i] for i in positions),
        name=name or _name(volumes),
        sources=tuple(volume.path for volume in volumes),
        geometry=Origin(
            *origin,
            grids=tuple(volume.grid for volume in volumes),
            members=tuple(volume.files for volume in volumes),
        ),
        reference_sources=tuple(
            file for volume in references for file in volume.files or (volume.path,)
        ),
        # One drawn file among scans makes the whole no evidence about scans.
        synthetic=any(volume.synthetic for volume in volumes),
    )


def _name(volumes: list[Volume]) -> str:
    """Return the only volume's name, or the folder's of several."""
    return volumes[0].name if len(volumes) == 1 else volumes[0].path.parent.resolve().name


def _same_slice_shape(volumes: list[Volume]) -> None:
    """Refuse files whose slices differ in size."""
    first = volumes[0]
    for volume in volumes[1:]:
        if volume.shape[1:] != first.shape[1:]:
            raise ShapeMismatch(
                f"The slices of {volume.path.name} are {_px(volume)}, those of {first.path.name} "
                f"{_px(first)}; a stack has slices of one size, read them apart."
            )


def _px(volume: Volume) -> str:
    return f"{volume.shape[1]} x {volume.shape[2]} px"


def _open_references(reference: str | Path, volumes: list[Volume], axis: str) -> list[Volume]:
    """Open the reference files and hold them against the images; empty without a reference."""
    if str(reference).strip():
        inputs = list_volumes(reference)
    elif all("reference" in npz_names(volume.path) for volume in volumes):
        inputs = list_volumes([volume.path for volume in volumes])
    else:
        return []
    references = [one.open(axis, "reference") for one in inputs]
    _same_slice_shape(references)
    if len(references) == len(volumes):
        _refuse_crossed_names(volumes, references)
        pairs = list(zip(volumes, references, strict=True))
    else:
        pairs = [(volumes[0], references[0])]
        n_images, n_masks = (sum(v.shape[0] for v in side) for side in (volumes, references))
        if n_images != n_masks:
            raise ShapeMismatch(
                f"There are {n_images} slices in {len(volumes)} image file(s) but {n_masks} in "
                f"{len(references)} reference file(s); give a reference for every slice."
            )
        references_shape, images_shape = references[0].shape[1:], volumes[0].shape[1:]
        pairs = [] if references_shape == images_shape else pairs
    for volume, mask in pairs:
        if volume.shape != mask.shape:
            raise ShapeMismatch(
                f"The reference {mask.path.name} has the shape {mask.shape}, the images "
                f"{volume.path.name} {volume.shape} (slices, rows, columns); they must be the "
                "same before slices are chosen."
            )
        _refuse_elsewhere(volume, mask)
    return references


def _refuse_elsewhere(volume: Volume, mask: Volume) -> None:
    """Refuse a reference that has the images' shape and lies somewhere else in space."""
    if volume.grid is None or mask.grid is None:
        return
    apart = np.linalg.norm(volume.grid.corners() - mask.grid.corners(), axis=1).max()
    voxel = np.linalg.norm(np.asarray(volume.grid.affine)[:3, :3], axis=0).min()
    # Headers round; half a voxel is more than rounding and less than a wrong pixel.
    if apart > voxel / 2:
        raise ShapeMismatch(
            f"The reference {mask.path.name} has the shape of {volume.path.name} but lies "
            f"{apart:.1f} mm from it, by their headers; resample it onto the images' grid, or "
            "store both as .npy if the headers are wrong."
        )


def _refuse_crossed_names(volumes: list[Volume], references: list[Volume]) -> None:
    """Refuse pairs whose names contradict their order, such as sub-2 with sub-3_mask.

    Only where some mask is named after its image; otherwise the order is all there is.
    """
    if len(volumes) == 1:
        return
    pairs = list(zip(volumes, references, strict=True))
    strangers = [(image, mask) for image, mask in pairs if image.name not in mask.name]
    if 0 < len(strangers) < len(pairs):
        image, mask = strangers[0]
        raise ShapeMismatch(
            f"{image.path.name} would be scored against {mask.path.name}, though other masks carry "
            "their image's name; rename the masks or give one for each image."
        )


def _choose(
    slices: str | int, counts: list[int]
) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], list[int]]:
    """Choose slices: for each, its file and number there, and its position before choosing."""
    if max(counts) == 1:
        files = parse_slices(slices, len(counts))
        return (tuple(files), (0,) * len(files)), files
    chosen = [
        (file, number)
        for file, count in enumerate(counts)
        for number in parse_slices(slices, count)
    ]
    starts = np.cumsum([0, *counts]).tolist()
    files_and_numbers = tuple(file for file, _ in chosen), tuple(number for _, number in chosen)
    return files_and_numbers, [starts[file] + number for file, number in chosen]


def _load(volumes: list[Volume], positions: list[int]) -> Array:
    """Read the slices at some positions of all files put together, file by file."""
    starts = np.cumsum([0, *(volume.shape[0] for volume in volumes)]).tolist()
    pieces = []
    for file, run in groupby(positions, key=lambda position: bisect_right(starts, position) - 1):
        take = evenly([position - starts[file] for position in run])
        whole = volumes[file].read()
        piece = whole[take]
        # A view would keep all of a decompressed volume in memory for the sake of a few slices.
        if len(piece) < len(whole) and not isinstance(piece, np.memmap):
            piece = piece.copy()
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _same_spacing(volumes: list[Volume]) -> tuple[float, float] | None:
    """Return the spacing that all files share, or refuse several."""
    first = volumes[0]
    for volume in volumes[1:]:
        known = volume.spacing_mm, first.spacing_mm
        if known != (None, None) and (None in known or not np.allclose(*known, rtol=1e-3)):  # type: ignore[arg-type]
            raise ShapeMismatch(
                f"{first.path.name} and {volume.path.name} have different spacings, "
                f"{first.spacing_mm} and {volume.spacing_mm} mm; give a spacing or read them apart."
            )
    return first.spacing_mm


def _stored_groups(volumes: list[Volume]) -> tuple[str, ...] | None:
    """Return the labels kept in the files themselves, where all files keep some."""
    if any(volume.groups is None for volume in volumes):
        return None
    return tuple(label for volume in volumes for label in volume.groups or ())


def _label_slices(
    labels: tuple[str, ...] | None, counts: list[int], volumes: list[Volume]
) -> list[str] | None:
    """Return one label for every slice of every file, before any is chosen."""
    if labels is None:
        if len(volumes) == 1 and volumes[0].grid is None:
            return None
        stems = [volume.name for volume in volumes]
        # scan.npy and scan.nii are two files: their stems must not make one group of them.
        unique = len(set(stems)) == len(stems)
        labels = tuple(stems if unique else [volume.path.name for volume in volumes])
    if len(labels) == sum(counts):
        return list(labels)
    if len(labels) == len(counts):
        return [label for label, count in zip(labels, counts, strict=True) for _ in range(count)]
    raise ShapeMismatch(
        f"There are {len(labels)} group labels for {sum(counts)} slices in {len(counts)} file(s); "
        "give one a slice, counted before slices are chosen, or one a file."
    )
