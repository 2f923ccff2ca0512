"""Whether a name may be written, writing under a passing name, and masks on their own grid."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting, ShapeMismatch, SkullnbError, UnreadableFile
from skullnb.stack.checks import Array, binary_mask, expand, stem, suffix_of
from skullnb.stack.model import Stack
from skullnb.stack.volumes import SYNTHETIC

STACK_KINDS = (".npz", ".nii", ".nii.gz")
"""The endings of the files that stacks are written to."""


def refuse_place(
    path: Path, own: Iterable[Path] = (), overwrite: bool = False, kinds: Iterable[str] = ()
) -> None:
    """Refuse, before long work, to write where something (its `own` input) would be lost."""
    kinds = tuple(kinds)
    if kinds and suffix_of(path) not in kinds:
        raise UnreadableFile(f"{path.name} is of a kind not written; use {', '.join(kinds)}.")
    if not path.parent.is_dir():
        raise UnreadableFile(f"There is no folder {path.parent} to write {path.name} in; make it.")
    if path.is_dir():
        raise UnreadableFile(f"{path} is a folder; name a file to write.")
    if not path.exists():
        return
    if any(source.exists() and path.samefile(source) for source in own):
        raise UnreadableFile(f"{path.name} is one of the files the slices came from; name another.")
    if not overwrite:
        raise UnreadableFile(f"{path} exists already; name another or allow it (--overwrite).")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a passing name beside a file, which becomes the file once all is on the disk."""
    # The ending stays, since it decides what the libraries write.
    temporary = path.with_name(f".skullnb-{uuid.uuid4().hex}{suffix_of(path)}")
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    except SkullnbError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UnreadableFile(f"{path.name} could not be written ({reason}).") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_masks(masks: Array, path: str | Path, stack: Stack, overwrite: bool = False) -> Path:
    """Write the masks of a stack's slices.

    In NIfTI, a volume with an orientation comes back whole, on the source's grid, with 0 in slices
    that are not in the stack. Slices without orientation are stored as if axial, with the stack's
    spacing or else 1 mm, and a code that claims no scanner position.

    Parameters
    ----------
    masks : (N, H, W) array of uint8 {0, 1} or bool
        One mask for each slice of `stack`.
    path : str or Path
        The file to write: .nii, .nii.gz, .npy, .npz (array `masks`), .tif, .tiff, or for one slice
        .png with 0 and 255. It appears whole or not at all.
    stack : Stack
        What the masks were made from.
    overwrite : bool
        Whether an existing file may be replaced. The stack's own files never are.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ShapeMismatch, InvalidSetting
        If the masks don't fit the images, are not binary, or are of several volumes in one NIfTI.
    UnreadableFile
        If the file exists, its folder doesn't, its kind is not written, or writing fails.

    Examples
    --------
    >>> import tempfile
    >>> stack = Stack(np.zeros((3, 8, 6)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = write_masks(stack.images > 0, Path(folder) / "masks.npy", stack)
    ...     written.name, np.load(written).dtype
    ('masks.npy', dtype('uint8'))
    """
    path, masks = expand(path), np.asanyarray(masks)
    if masks.shape != stack.images.shape:
        raise ShapeMismatch(
            f"The masks have the shape {masks.shape}, the slices {stack.images.shape}."
        )
    masks = binary_mask(masks, "mask to write")
    refuse_place(path, files_of(stack), overwrite, MASK_KINDS)
    with writing(path) as temporary:
        _WRITERS[suffix_of(path)](temporary, masks, stack)
    return path


def write_stack(stack: Stack, path: str | Path, overwrite: bool = False) -> tuple[Path, ...]:
    """Write a stack made in memory; .npz holds everything, .nii has the reference beside it."""
    path = expand(path)
    refuse_place(path, files_of(stack), overwrite, STACK_KINDS)
    if suffix_of(path) == ".npz":
        parts = {
            name: getattr(stack, name) or None for name in ("spacing_mm", "groups", "synthetic")
        }
        parts |= {"images": stack.images, "reference": stack.reference}
        known: Any = {name: np.asarray(one) for name, one in parts.items() if one is not None}
        with writing(path) as temporary:
            np.savez_compressed(temporary, **known)
        return (path,)
    written = {path: stack.images}
    if stack.reference is not None:
        beside = path.with_name(f"{stem(path)}_reference{suffix_of(path)}")
        refuse_place(beside, files_of(stack), overwrite)
        written[beside] = stack.reference
    for one, values in written.items():
        with writing(one) as temporary:
            _write_nifti(temporary, np.asarray(values), replace(stack, grids=()))
    return tuple(written)


def files_of(stack: Stack) -> list[Path]:
    """List all files that a stack was read from."""
    members = [file for files in stack.members for file in files]
    return [*stack.sources, *stack.reference_sources, *members]


def _write_nifti(path: Path, masks: Array, stack: Stack) -> None:
    nib: Any = import_module("nibabel")
    used = set(stack.volume_numbers)
    grids = [stack.grids[number] for number in used] if stack.grids else [None]
    grid = grids[0]
    if not any(stack.grids):
        row, column = stack.spacing_mm or (1.0, 1.0)
        # No axis may look by far the thickest, or the slices would be read back along it.
        affine = np.diag([-column, -row, max(row, column, 1.0), 1.0])
        image = nib.Nifti1Image(np.ascontiguousarray(masks).transpose(2, 1, 0), affine)
        image.header.set_xyzt_units("mm")
    elif len(used) > 1 or grid is None:
        told = f"The slices come from {len(used)} files, and a NIfTI file holds one volume"
        raise InvalidSetting(f"{told}; write each part of stack.split() to its own.")
    else:
        volume = np.zeros(grid.shape, np.uint8, order="F")
        n = grid.slices_shape[0]  # a file of one slice may have a number among others
        grid.cut(volume)[list(stack.slice_numbers) if n > 1 else [0]] = masks
        kind = nib.Nifti2Image if isinstance(grid.header, nib.Nifti2Header) else nib.Nifti1Image
        # Without an affine of its own the image keeps the header's, codes and quaternion included.
        image = kind(volume, None, grid.header)
    if stack.synthetic:
        image.header["descrip"] = SYNTHETIC
    image.header.set_slope_inter(1, 0)
    image.to_filename(path)


def _write_tiff(path: Path, masks: Array, stack: Stack) -> None:
    import tifffile

    options: dict[str, Any] = {"photometric": "minisblack", "compression": "zlib"}
    if stack.spacing_mm:
        row, column = stack.spacing_mm
        options |= {"resolution": (10 / column, 10 / row), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, masks, **options)


def _write_png(path: Path, masks: Array, stack: Stack) -> None:
    import cv2

    if len(masks) != 1:
        raise InvalidSetting(f"A .png holds one slice, and there are {len(masks)}; write .nii.gz.")
    path.write_bytes(cv2.imencode(".png", masks[0] * 255)[1].tobytes())


_WRITERS: dict[str, Callable[[Path, Array, Stack], None]] = {
    **dict.fromkeys((".nii", ".nii.gz"), _write_nifti),
    ".npy": lambda path, masks, stack: np.save(path, masks),
    ".npz": lambda path, masks, stack: np.savez_compressed(path, masks=masks),
    **dict.fromkeys((".tif", ".tiff"), _write_tiff),
    ".png": _write_png,
}

MASK_KINDS = tuple(_WRITERS)
"""The endings of the files that masks are written to."""
