"""Whether a name may be written, writing under a passing name, and masks on their own grid."""

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import BatchStopped, InvalidSetting, SkullnbError, UnreadableFile
from skullnb.stack.checks import Array, expand, needed, stem, suffix_of
from skullnb.stack.files import SYNTHETIC
from skullnb.stack.model import Grid, Stack

STACK_KINDS = (".npz", ".nii", ".nii.gz")  # of files that stacks are written to
PACKED = ".packed.npy"  # a bit a pixel
MASK_KINDS = (".nii", ".nii.gz", ".npy", ".npz", ".tif", ".tiff", ".png")


def refuse_place(
    path: Path, own: Iterable[Path] = (), overwrite: bool = False, kinds: Sequence[str] = ()
) -> None:
    """Refuse, before long work, to write where something (its `own` input) would be lost."""
    if kinds and suffix_of(path) not in kinds:
        raise UnreadableFile(f"{path.name} is of a kind not written; use {', '.join(kinds)}.")
    folder = path.is_dir() and not shape_of(path)  # that of a zarr array counts as a file
    if folder or not path.parent.is_dir():
        what = "is a folder" if folder else "would lie in no folder that exists"
        raise UnreadableFile(f"{path} {what}; name a file in one.")
    # What can be no path, as long labels typed for groups, is no file either.
    if path.exists() and any(os.path.exists(one) and path.samefile(one) for one in own):  # noqa: PTH110
        raise UnreadableFile(f"{path.name} is one of the files the slices came from; name another.")
    if path.exists() and not overwrite:
        raise UnreadableFile(f"{path} exists already; name another or allow it (--overwrite).")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a passing name beside a file, which becomes the file once all is on the disk."""
    # The ending stays, since it decides what the libraries write.
    temporary = path.with_name(f".skullnb-{uuid.uuid4().hex}{suffix_of(path)}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except SkullnbError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise UnreadableFile(f"{path.name} could not be written ({reason}).") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_masks(masks: Array, path: str | Path, stack: Stack, overwrite: bool = False) -> Path:
    """Write the masks of a stack's slices; the file appears whole or not at all.

    In NIfTI, a volume with an orientation comes back whole, on the source's grid, with 0 in slices
    that are not in the stack; slices without one are stored as if axial.

    Parameters
    ----------
    masks : (N, H, W) array of uint8 {0, 1} or bool
    path : str or Path
        .nii, .nii.gz, .npy, .npz (array `masks`), .tif, .tiff, or .png of one slice, 0 and 255.
    stack : Stack
        What the masks were made from; its own files are never replaced, others by `overwrite`.

    Raises
    ------
    ShapeMismatch, InvalidSetting, UnreadableFile
        If the masks don't fit the stack or the kind of file, or the file can't be written.

    Examples
    --------
    >>> import tempfile
    >>> stack = Stack(np.zeros((3, 8, 6)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.load(write_masks(stack.images > 0, Path(folder) / "masks.npy", stack)).dtype
    dtype('uint8')
    """
    path, whole = expand(path), replace(stack, reference=masks, reference_sources=())
    kind, masks = suffix_of(path), np.asarray(whole.reference)
    refuse_place(path, files_of(stack), overwrite, MASK_KINDS)
    with writing(path) as temporary:
        if kind == ".npy":
            np.save(temporary, masks)
        elif kind == ".npz":
            np.savez_compressed(temporary, masks=masks)
        elif kind == ".png":
            if len(masks) != 1:
                raise InvalidSetting(f"A .png holds one slice, and there are {len(masks)}.")
            _, encoded = import_module("cv2").imencode(".png", masks[0] * 255)
            temporary.write_bytes(encoded.tobytes())
        elif kind in (".tif", ".tiff"):
            kept = {"photometric": "minisblack", "compression": "zlib"}
            import_module("tifffile").imwrite(temporary, masks, **kept)
        else:
            _write_nifti(temporary, masks, stack)
    return path


def write_stack(stack: Stack, path: str | Path, overwrite: bool = False) -> tuple[Path, ...]:
    """Write a stack made in memory; .npz holds everything, .nii has the reference beside it."""
    path = expand(path)
    refuse_place(path, files_of(stack), overwrite, STACK_KINDS)
    if suffix_of(path) == ".npz":
        names = "images", "reference", "spacing_mm", "groups", "synthetic"
        parts: Any = {name: getattr(stack, name) for name in names}
        with writing(path) as temporary:
            known = {name: part for name, part in parts.items() if part is not None}
            np.savez_compressed(temporary, **known)
        return (path,)
    beside = path.with_name(f"{stem(path)}_reference{suffix_of(path)}")
    written = {path: stack.images}
    if stack.reference is not None:
        refuse_place(beside, files_of(stack), overwrite)
        written[beside] = stack.reference
    for one, values in written.items():
        with writing(one) as temporary:
            _write_nifti(temporary, np.asarray(values), replace(stack, grids=()))
    return tuple(written)


def files_of(stack: Stack) -> list[Path]:
    """List all files that a stack was read from."""
    return [*stack.reference_sources, *(file for files in stack.members for file in files)]


def _write_nifti(path: Path, masks: Array, stack: Stack) -> None:
    """Write one volume: on its own grid, or as axial slices where there is none."""
    nib: Any = import_module("nibabel")
    used = set(stack.volume_numbers)
    grid = stack.grids[min(used)] if stack.grids else None
    if len(used) > 1 and any(stack.grids):
        raise InvalidSetting(f"The slices come from {len(used)} files, and NIfTI holds one volume.")
    numbers = stack.slice_numbers if grid else range(len(masks))
    if grid is None:
        row, column = stack.spacing_mm or (1.0, 1.0)
        # No axis may look by far the thickest, or the slices would be read back along it.
        affine = np.diag([-column, -row, max(row, column, 1.0), 1.0])
        grid = Grid.of_affine(affine, masks.shape[::-1], "axial")
        grid.header["qform_code"] = grid.header["sform_code"] = 2  # aligned, with nobody knows what
    volume = np.zeros(grid.header.get_data_shape(), masks.dtype, order="F")
    single = grid.slices_shape[0] == 1  # which may have a number among other files
    grid.cut(volume)[[0] if single else list(numbers)] = masks
    kind = nib.Nifti2Image if isinstance(grid.header, nib.Nifti2Header) else nib.Nifti1Image
    # Without an affine of its own the image keeps the header's, codes and quaternion included.
    image = kind(volume, None, grid.header)
    image.set_data_dtype(masks.dtype)
    if stack.synthetic:
        image.header["descrip"] = SYNTHETIC
    image.header.set_slope_inter(1, 0)
    image.to_filename(path)


def create_masks(path: Path, shape: tuple[int, int, int], chunk: int) -> None:
    """Make a .npy as long as it will be, or a zarr array of such chunks, where 255 is missing."""
    if path.suffix == ".zarr":
        kept = {"chunks": (chunk, *shape[1:]), "dtype": "uint8", "fill_value": 255}
        zarr = needed("zarr", "A zarr array", "batch")
        zarr.create_array(path, shape=shape, overwrite=True, **kept)
        return
    path.unlink(missing_ok=True)
    free = shutil.disk_usage(path.parent).free
    if np.prod(shape) > free:
        told = f"The masks take {np.prod(shape) / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free"
        raise BatchStopped(f"{told}; make room, or write {PACKED} or .zarr.")
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def write_slices(path: Path, shape: tuple[int, int, int], start: int, masks: Array) -> None:
    """Write masks from slice `start` on into what `create_masks` made."""
    if path.suffix == ".zarr":
        import_module("zarr").open_array(path, mode="r+")[start : start + len(masks)] = masks
        return
    rows = np.packbits(masks, axis=-1) if path.name.endswith(PACKED) else masks
    # Not through a memory map: on a full disk that ends in a signal, not in an error.
    with path.open("r+b") as file:
        file.seek(start * rows[0].size - int(np.prod(shape)), os.SEEK_END)
        file.write(rows.data)


def shape_of(masks: Path) -> tuple[int, ...]:
    """Return the shape of masks in a .npy or .zarr; () where there are none that can be read."""
    with suppress(Exception):  # numpy and zarr fail in many ways
        zarr = masks.suffix == ".zarr"
        opened: Any = import_module("zarr").open_array if zarr else np.lib.format.open_memmap
        return tuple(opened(masks, mode="r").shape)
    return ()
