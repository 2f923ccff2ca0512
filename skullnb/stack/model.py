"""The nouns between a path and pixels: `Volume`, `Grid` and `Stack` (and DICOM's `Frame`).

Every volume is brought to one order before it is cut, so that slice 110 is the same slice in
whichever of the 48 orders its voxels are stored. Axial slices ascend to the head, their rows run to
the back and columns to the patient's left; coronal ones to the front, feet and left; sagittal ones
to the patient's right, feet and back. An oblique volume is cut along the stored axis closest to the
anatomical one; its voxels are never resampled.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import InvalidImage, InvalidSetting, ShapeMismatch
from skullnb.stack import checks
from skullnb.stack.checks import Array, stem

# Where slices, rows and columns lead, in the letters of nibabel: towards Superior, Posterior, ...
TOWARDS = {"axial": "SPL", "coronal": "AIL", "sagittal": "RIP"}
_ACROSS = ("sagittal", "coronal", "axial")  # the cut across x, y and z
_BY_FAR_MM, _BY_FAR_COUNT = 1.99, 4


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a DICOM file, and the numbers that it says of itself, by their keywords."""

    file: Path
    index: int
    shape: tuple[int, int]
    told: dict[str, tuple[float, ...]]  # mm towards the patient's left, back and head
    objection: str  # why it is no image to work on


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxel grid of a volume, and how it is cut into slices; no pixels."""

    shape: tuple[int, ...]  # as stored, of three
    affine: Array  # from voxel to mm
    header: Any  # of a NIfTI file: geometry only, so that no name or note reaches a mask
    axis: str  # along which it is cut
    turn: Array  # how nibabel turns stored voxels into slices
    slices_shape: tuple[int, int, int]  # (N, H, W)
    steps_mm: tuple[float, float, float]  # from slice to slice, row to row, column to column

    @classmethod
    def of_affine(
        cls, affine: Array, shape: Sequence[int], axis: str = "", header: Any = None
    ) -> "Grid":
        """Make a grid, cut as acquired unless an axis is named; of a scanner if no header says."""
        nib: Any = import_module("nibabel")
        if header is None:
            voxels = np.broadcast_to(np.uint8(0), tuple(shape))  # one byte stands for all
            header = nib.Nifti1Image(voxels, affine).header
            header.set_qform(affine, code="scanner")
            header.set_sform(affine, code="scanner")
            header.set_xyzt_units("mm")
        if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
            raise ValueError("its affine is singular or not finite")
        counts, sizes = (*shape, 1, 1)[:3], np.linalg.norm(affine[:3, :3], axis=0)
        stored = nib.io_orientation(affine)
        axis = axis or _acquired(sizes, np.array(counts), stored)
        wanted = nib.orientations.axcodes2ornt(TOWARDS[axis])
        turn = nib.orientations.ornt_transform(stored, wanted)
        unit = {"meter": 1000.0, "micron": 0.001}.get(header.get_xyzt_units()[0], 1.0)
        order = np.argsort(turn[:, 0])
        cut: Any = tuple(counts[place] for place in order)
        steps: Any = tuple(unit * _as_stored(size) for size in sizes[order])
        return cls(counts, affine, header, axis, turn, cut, steps)

    def cut(self, volume: Array) -> Array:
        """View a volume in storage order as slices (N, H, W); writing to them writes to it."""
        turned = import_module("nibabel").apply_orientation(volume.reshape(self.shape), self.turn)
        return np.asarray(turned)

    def corners(self) -> Array:
        """Return where the first pixel of the first slice and the last of the last lie, in mm."""
        nib: Any = import_module("nibabel")
        whole = self.affine @ nib.orientations.inv_ornt_aff(self.turn, self.shape)
        ends = [0, 0, 0], np.subtract(self.slices_shape, 1)
        return np.asarray(nib.affines.apply_affine(whole, ends))


def _as_stored(size: float) -> float:
    """Return the shortest decimal of a 32-bit number, or one that is its last bit away."""
    short, whole = float(f"{size:.5g}"), float(str(np.float32(size)))
    return short if np.isclose(size, short, 1.2e-7, 0) else whole


def _acquired(sizes: Array, counts: Array, stored: Array) -> str:
    """Return the axis of a single slice, by far the largest step or fewest slices, else axial."""
    first, second = np.argsort(counts, kind="stable")[:2]
    thick, thin = np.argsort(-sizes)[:2]
    if not counts[first] == 1 < counts[second]:
        if sizes[thick] >= _BY_FAR_MM * sizes[thin]:
            first = thick
        elif counts[second] < _BY_FAR_COUNT * counts[first]:
            return "axial"
    return _ACROSS[int(stored[first, 0])]


@dataclass(frozen=True, eq=False)
class Volume:
    """What is read as one volume: a file, or the `frames` of one DICOM series."""

    path: Path  # of a series, its folder
    name: str = ""
    frames: tuple[Frame, ...] = ()
    number: str = ""  # by which a user chooses a series
    # What `open_volume` fills in:
    shape: tuple[int, int, int] = (0, 0, 0)  # (N, H, W)
    load: Callable[..., Array] = np.asarray  # of an opened one: mapped where that can be
    spacing_mm: tuple[float, float] | None = None  # (row, column)
    grid: Grid | None = None  # where the format has an orientation
    groups: tuple[str, ...] | None = None  # stored in the file
    remarks: tuple[str, ...] = ()  # sentences
    files: tuple[Path, ...] = ()  # all it is stored in
    synthetic: bool = False  # whether it says that it was drawn
    has_reference: bool = False  # in the same file

    def __post_init__(self) -> None:
        """Name the volume after its file, if no more is known."""
        vars(self).update(name=self.name or stem(self.path), files=self.files or (self.path,))

    def on(self, grid: Grid, load: Callable[[], Array]) -> "Volume":
        """Return it on its grid; `load` gives the voxels in storage order."""
        known: Any = {"shape": grid.slices_shape, "spacing_mm": grid.steps_mm[1:], "grid": grid}
        return replace(self, load=lambda: grid.cut(load()), **known)


@dataclass(frozen=True, eq=False, repr=False)
class Stack:
    """Slices of one or more heads; `read_stack` fills in where they come from.

    Parameters
    ----------
    images : (N, H, W) array of numbers
        Kept as they are: a memory-mapped array stays one.
    reference : (N, H, W) array, optional
        The reference mask, of {0, 1}, {0, 255} or bool. Kept as uint8 {0, 1}.
    spacing_mm : pair of floats, float or str, optional
        Millimetres a pixel, (row, column).
    groups : sequence of str, optional
        One label a slice: the volume or subject it belongs to.

    Examples
    --------
    >>> stack = Stack(np.zeros((3, 8, 6)), spacing_mm="0.5", groups="a,a,b", name="demo")
    >>> stack[1:]
    Stack('demo': 2 slices of 8 x 6 px, float64, 0.5 x 0.5 mm, no reference, 2 groups)
    """

    images: Array
    reference: Array | None = None
    spacing_mm: tuple[float, float] | None = None
    groups: tuple[str, ...] | None = None
    name: str = ""
    sources: tuple[Path, ...] = ()  # of each volume, its file or folder
    reference_sources: tuple[Path, ...] = ()
    volume_numbers: tuple[int, ...] = ()  # of each slice, which of the sources it is from
    slice_numbers: tuple[int, ...] = ()  # of each slice, its number there
    grids: tuple[Grid | None, ...] = ()  # of each volume
    members: tuple[tuple[Path, ...], ...] = ()  # of each volume, all its files
    axis: str = ""
    remarks: tuple[str, ...] = ()
    synthetic: bool = False  # whether any was drawn

    def __post_init__(self) -> None:
        """Check the parts against one another and bring them to one form."""
        images, groups = np.asanyarray(self.images), checks.parse_groups(self.groups)
        if images.dtype.kind not in "buif" or images.ndim != 3 or images.size == 0:
            told = f"The images are {images.dtype} of shape {images.shape}"
            raise InvalidImage(f"{told}; a stack is real numbers, (slices, rows, columns).")
        if groups is not None and len(groups) != len(images):
            raise ShapeMismatch(f"There are {len(groups)} group labels for {len(images)} slices.")
        reference = self.reference
        if reference is not None:
            mask = f"The mask {', '.join(one.name for one in self.reference_sources)}".rstrip()
            if np.shape(reference) != images.shape:
                told = f"{np.shape(reference)}, the images {images.shape}"
                raise ShapeMismatch(f"{mask} has the shape {told}; they must be the same.")
            reference = checks.binary_mask(np.asanyarray(reference), mask, self.slice_numbers)
        vars(self).update(  # a frozen dataclass has no other way to store them
            images=images,
            reference=reference,
            spacing_mm=checks.parse_spacing(self.spacing_mm),
            groups=groups,
            volume_numbers=tuple(self.volume_numbers) or (0,) * len(images),
            slice_numbers=tuple(self.slice_numbers) or tuple(range(len(images))),
            members=self.members or tuple((path,) for path in self.sources),
        )

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.images)

    def __getitem__(self, index: slice) -> "Stack":
        """Return the slices of a range, as a stack; see `select`."""
        return self.select(range(len(self))[index])

    @property
    def contents(self) -> str:
        """What the stack holds, in one line, without reading the pixels."""
        (n, height, width), n_groups = self.images.shape, len(set(self.groups or ()))
        size = f"{n} slice{'s' * (n != 1)} of {height} x {width} px, {self.images.dtype}"
        spacing = ", {:g} x {:g} mm".format(*self.spacing_mm) if self.spacing_mm else ""
        groups = f", {n_groups} group{'s' * (n_groups != 1)}" if n_groups else ""
        return f"{size}{spacing}, {'no' if self.reference is None else 'with'} reference{groups}"

    def __repr__(self) -> str:
        """Say in one line what the stack is called and what it holds."""
        return f"Stack({self.name!r}: {self.contents})"

    @cached_property
    def drawn(self) -> dict[int, Array]:
        """The reference masks that are not empty, by position: only these slices are scored."""
        masks = enumerate(() if self.reference is None else self.reference)
        return {i: np.asarray(mask) for i, mask in masks if np.any(mask)}

    @property
    def coverage(self) -> str:
        """Say that the reference mask is empty on some slices, or on all; else ""."""
        n, of = len(self.drawn), len(self)
        if self.reference is None or n == of:
            return ""
        if n:
            return f"Scored on {n:,} of {of:,} slices; the reference mask is empty on the others."
        told = "The reference mask is empty on every chosen slice"
        return f"{told}; choose others (--slices), counted from 0 at the feet."

    @property
    def aspect(self) -> float:
        """How much taller than wide a pixel is to be drawn."""
        return aspect_of(self.spacing_mm)

    def select(self, indices: Sequence[int]) -> "Stack":
        """Return the slices at some positions, in that order; a view where they rise evenly."""
        n = len(self)
        if not len(indices) or not all(-n <= index < n for index in indices):
            raise InvalidSetting(f"The positions {list(indices)} choose no slices of 0 to {n - 1}.")
        chosen = [int(index) % n for index in indices]
        take = evenly(chosen)
        return replace(
            self,
            images=self.images[take],
            reference=None if self.reference is None else self.reference[take],
            groups=None if self.groups is None else tuple(self.groups[i] for i in chosen),
            volume_numbers=tuple(self.volume_numbers[i] for i in chosen),
            slice_numbers=tuple(self.slice_numbers[i] for i in chosen),
        )

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of each file, series or pair read, or of arrays made in memory."""
        digests = {}
        for path, files in zip(self.sources, self.members, strict=True):
            several = f" ({len(files)} files)" if len(files) > 1 else ""
            digests[f"{path.name}{several}"] = _sha256_of(files)
        for path in self.reference_sources:
            digests[f"{path.name} (reference)"] = _sha256_of([path])
        for name in () if digests else ("images", "reference"):
            if (array := getattr(self, name)) is not None:
                about = f"{array.dtype.str} {array.shape}".encode()
                digests[name] = hashlib.sha256(about + array.tobytes()).hexdigest()
        return digests


def _sha256_of(paths: Sequence[Path]) -> str:
    """Return the sha256 of one file's content, or of the sorted ones of several."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    several = hashlib.sha256("".join(sorted(digests)).encode())
    return several.hexdigest() if len(digests) > 1 else digests[0]


def evenly(indices: Sequence[int]) -> slice | list[int]:
    """Return indices as a slice where they ascend by equal steps, so that selecting is a view."""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    even = range(indices[0], indices[-1] + 1, max(step, 1))
    return slice(even.start, even.stop, even.step) if list(indices) == [*even] else list(indices)


def aspect_of(spacing_mm: tuple[float, float] | None) -> float:
    """Return how much taller than wide a pixel is to be drawn; 1 where the spacing is unknown."""
    return spacing_mm[0] / spacing_mm[1] if spacing_mm else 1.0
