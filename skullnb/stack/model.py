"""The nouns between a path and pixels: `Volume`, `Grid` and `Stack` (and DICOM's `Frame`).

Every volume is brought to one order before it is cut, so that slice 110 is the same slice in
whichever of the 48 orders its voxels are stored:

| axis | slices ascend from ... to | rows run from the top | columns run from the left |
|---|---|---|---|
| axial | inferior to superior | anterior to posterior | the patient's right to left |
| coronal | posterior to anterior | superior to inferior | the patient's right to left |
| sagittal | the patient's left to right | superior to inferior | anterior to posterior |

An oblique volume is cut along the stored axis closest to the anatomical one; its voxels are never
resampled.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import InvalidImage, InvalidSetting, ShapeMismatch, UnreadableFile
from skullnb.stack.checks import (
    Array,
    binary_mask,
    in_one_sentence,
    parse_groups,
    parse_spacing,
    stem,
)

# Where slices, rows and columns lead, in the letters of nibabel: towards Superior, Posterior, ...
_TOWARDS = {"axial": "SPL", "coronal": "AIL", "sagittal": "RIP"}
_ACROSS = ("sagittal", "coronal", "axial")  # the cut across x, y and z
_BY_FAR_MM, _BY_FAR_COUNT = 1.99, 4


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a DICOM file; mm towards the patient's left, back and head, None if not said."""

    file: Path
    index: int
    shape: tuple[int, int]
    spacing_mm: tuple[float, float] | None
    position_mm: tuple[float, ...] | None  # of the first pixel's centre
    orientation: tuple[float, ...] | None  # of columns and rows
    step_mm: float
    slope: float
    intercept: float
    objection: str  # why it is no image to work on


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxel grid of a volume, and the axis it is cut along; no pixels."""

    shape: tuple[int, ...]  # as stored
    affine: Array  # from voxel to mm
    axis: str
    header: Any  # of a NIfTI file: geometry only, so that no name or note reaches a mask

    @classmethod
    def of_affine(
        cls, affine: Array, shape: tuple[int, ...], axis: str = "", code: str = "scanner"
    ) -> "Grid":
        """Make the grid of voxels of no NIfTI file; `code` says what the affine points to."""
        # Only the header is wanted: one byte stands for all voxels.
        voxels = np.broadcast_to(np.uint8(0), shape)
        header = import_module("nibabel").Nifti1Image(voxels, affine).header
        header.set_qform(affine, code=code)
        header.set_sform(affine, code=code)
        header.set_xyzt_units("mm")
        return cls(tuple(shape), affine, axis or acquired(affine, shape)[0], header)

    @property
    def turn(self) -> Array:
        """How nibabel turns stored voxels into slices."""
        turning = _turning()
        wanted = turning.axcodes2ornt(_TOWARDS[self.axis])
        return np.asarray(turning.ornt_transform(turning.io_orientation(self.affine), wanted))

    def cut(self, volume: Array) -> Array:
        """View a volume in storage order as slices (N, H, W); writing to them writes to it."""
        return np.asarray(_turning().apply_orientation(volume.reshape(self._three), self.turn))

    def corners(self) -> Array:
        """Return where the first pixel of the first slice and the last of the last lie, in mm."""
        back = self.affine @ _turning().inv_ornt_aff(self.turn, self._three)
        last = [size - 1 for size in self.slices_shape]
        return np.asarray((np.array([[0, 0, 0, 1], [*last, 1]]) @ back.T)[:, :3])

    @property
    def _three(self) -> tuple[int, ...]:
        return (*self.shape, 1, 1)[:3]

    @property
    def slices_shape(self) -> tuple[int, int, int]:
        """The number of slices, their rows and their columns."""
        n, rows, columns = np.array(self._three)[np.argsort(self.turn[:, 0])].tolist()
        return n, rows, columns

    @property
    def steps_mm(self) -> tuple[float, float, float]:
        """Millimetres from slice to slice, row to row and column to column, by the affine."""
        scale = {"meter": 1000.0, "micron": 0.001}.get(self.header.get_xyzt_units()[0], 1.0)
        sizes, zooms = voxel_sizes(self.affine), (*self.header.get_zooms(), 1, 1)[:3]
        told = [float(f"{size:.6g}") for size in sizes]
        if np.allclose(zooms, sizes, rtol=1e-3):
            told = [_as_meant(np.float32(zoom)) for zoom in zooms]
        slices, rows, columns = (told[axis] * scale for axis in np.argsort(self.turn[:, 0]))
        return slices, rows, columns

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Millimetres a pixel of a slice, (row, column)."""
        return self.steps_mm[1:]


def _turning() -> Any:
    return import_module("nibabel.orientations")


def _as_meant(value: np.float32) -> float:
    """Return the shortest decimal, but for a last bit lost in computing, which hides a shorter."""
    short = float(f"{value:.5g}")
    is_meant = abs(float(value) - short) <= np.finfo(np.float32).eps * short
    return short if is_meant else float(str(value))


def voxel_sizes(affine: Array) -> Array:
    """Return how long a step along each stored axis is, in the affine's unit."""
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0))


def acquired(affine: Array, shape: Sequence[int], name: str = "The grid") -> tuple[str, str]:
    """Return the axis in which a volume was acquired, and why that is thought; axial in doubt.

    It is the one with a single slice, by far the largest step, or by far the fewest slices.
    """
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise UnreadableFile(f"{name}: the affine is singular or not finite; repair the header.")
    names = [_ACROSS[int(axis)] for axis in _turning().io_orientation(affine)[:, 0]]
    sizes, counts = voxel_sizes(affine), np.array((*shape, 1, 1)[:3])
    thick, few = np.argsort(sizes), np.argsort(counts, kind="stable")
    if counts[few[0]] == 1 < counts[few[1]]:
        return names[few[0]], "a single slice"
    if sizes[thick[2]] >= _BY_FAR_MM * sizes[thick[1]]:
        chosen = thick[2]
    elif counts[few[1]] >= _BY_FAR_COUNT * counts[few[0]]:
        chosen = few[0]
    else:
        return "axial", ""
    return names[chosen], f"{counts[chosen]} slices, {sizes[chosen]:.3g} mm apart"


@dataclass(frozen=True, eq=False)
class Volume:
    """What is read as one volume: a file, or the `frames` of one DICOM series."""

    path: Path  # of a series, its folder
    name: str = ""
    frames: tuple[Frame, ...] = ()
    number: str = ""  # by which a user chooses a series
    # What `open_volume` fills in:
    shape: tuple[int, int, int] = (0, 0, 0)  # (N, H, W)
    load: Callable[[], Array] | None = None
    spacing_mm: tuple[float, float] | None = None  # (row, column)
    grid: Grid | None = None  # where the format has an orientation
    groups: tuple[str, ...] | None = None  # stored in the file
    remarks: tuple[str, ...] = ()  # sentences
    parts: tuple[Path, ...] = ()  # where it is stored in several files
    synthetic: bool = False  # whether it says that it was drawn

    def __post_init__(self) -> None:
        """Name the volume after its file."""
        object.__setattr__(self, "name", self.name or stem(self.path))

    def lies(
        self,
        affine: Array,
        shape: tuple[int, ...],
        axis: str,
        load: Callable[[], Array],
        header: Any = None,
    ) -> "Volume":
        """Return it with its place in space; `load` gives the voxels in storage order."""
        own, why = acquired(affine, shape, self.path.name)
        grid = Grid.of_affine(affine, shape, axis or own)
        grid = grid if header is None else replace(grid, header=header)
        remarks, told = self.remarks, f"{self.path.name} was acquired in {own} slices ({why})"
        if not axis and own != "axial":
            remarks = (
                *remarks,
                f"{told}, so it is cut along the {own} axis; name another with --axis.",
            )
        return replace(
            self,
            shape=grid.slices_shape,
            load=lambda: grid.cut(load()),
            spacing_mm=grid.spacing_mm,
            grid=grid,
            remarks=remarks,
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """All files it is stored in, each once."""
        return self.parts or (self.path,)

    def pixels(self) -> Array:
        """Return the slices of an opened volume: memory-mapped where the format allows."""
        assert self.load is not None, "open_volume comes first"
        with in_one_sentence(self.path):
            return self.load()

    def __str__(self) -> str:
        """Say a series' number, how many images it has, and their size; nothing of a patient."""
        rows, columns = self.frames[0].shape
        return f"number {self.number}: {len(self.frames)} of {rows} x {columns} px"


@dataclass(frozen=True, eq=False, repr=False)
class Stack:
    """Slices of one or more heads.

    Parameters
    ----------
    images : (N, H, W) array of numbers
        The slices. Kept as they are: a memory-mapped array stays one.
    reference : (N, H, W) array, optional
        The reference mask, with the values {0, 1}, {0, 255} or bool. Kept as uint8 {0, 1}.
    spacing_mm : pair of floats, float or str, optional
        Millimetres a pixel, (row, column).
    groups : sequence of str, optional
        One label a slice: the volume or subject it belongs to.
    name : str
    sources, reference_sources, grids, members : tuples, one of each a volume
        The file or folder, the grid where there is an orientation, and all files it is stored in.
    volume_numbers, slice_numbers : tuple of int
        For each slice, which of the volumes it is from, and its number there.
    axis, remarks, synthetic
        Along which volumes were cut, sentences on what was read, and whether it was drawn.

    Raises
    ------
    InvalidImage, ShapeMismatch, InvalidSetting
        If the images are no stack of real numbers, or the other parts don't fit them.

    Examples
    --------
    >>> stack = Stack(np.zeros((3, 8, 6)), spacing_mm="0.5", groups="a,a,b", name="demo")
    >>> stack
    Stack('demo': 3 slices of 8 x 6 px, float64, 0.5 x 0.5 mm, no reference, 2 groups)
    >>> stack[1:].groups, stack[1:].slice_numbers
    (('a', 'b'), (1, 2))
    """

    images: Array
    reference: Array | None = None
    spacing_mm: tuple[float, float] | None = None
    groups: tuple[str, ...] | None = None
    name: str = ""
    sources: tuple[Path, ...] = ()
    reference_sources: tuple[Path, ...] = ()
    volume_numbers: tuple[int, ...] = ()
    slice_numbers: tuple[int, ...] = ()
    grids: tuple[Grid | None, ...] = ()
    members: tuple[tuple[Path, ...], ...] = ()
    axis: str = ""
    remarks: tuple[str, ...] = ()
    synthetic: bool = False

    def __post_init__(self) -> None:
        """Check the parts against one another and bring them to one form."""
        where = f"The images of {self.name}" if self.name else "The images"
        images, reference = np.asanyarray(self.images), self.reference
        if images.dtype.kind not in "buif":
            raise InvalidImage(f"{where} are {images.dtype}; grey values are real numbers.")
        if images.ndim != 3 or images.size == 0:
            raise InvalidImage(f"{where} are {images.shape}; a stack is (slices, rows, columns).")
        if reference is not None:
            reference = np.asanyarray(reference)
            if reference.shape != images.shape:
                shapes = f"{reference.shape}, the images {images.shape}"
                raise ShapeMismatch(f"The reference has the shape {shapes}; they must be the same.")
            reference = binary_mask(reference)
        groups = parse_groups(self.groups)
        if groups is not None and len(groups) != len(images):
            raise ShapeMismatch(f"There are {len(groups)} group labels for {len(images)} slices.")
        # A frozen dataclass has no other way to store the checked forms.
        for field, value in {
            "images": images,
            "reference": reference,
            "spacing_mm": parse_spacing(self.spacing_mm),
            "groups": groups,
            "volume_numbers": tuple(self.volume_numbers) or (0,) * len(images),
            "slice_numbers": tuple(self.slice_numbers) or tuple(range(len(images))),
        }.items():
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.images)

    def __getitem__(self, index: slice) -> "Stack":
        """Return the slices of a range, as a stack; see `select`."""
        if not isinstance(index, slice):
            raise TypeError("index a Stack with a range such as stack[3:7], or use stack.select")
        return self.select(range(len(self))[index])

    @property
    def contents(self) -> str:
        """What the stack holds, in one line, without reading the pixels."""
        n, height, width = self.images.shape
        parts = [f"{n} slice{'s' * (n != 1)} of {height} x {width} px", str(self.images.dtype)]
        if self.spacing_mm:
            parts.append(f"{self.spacing_mm[0]:g} x {self.spacing_mm[1]:g} mm")
        parts.append("no reference" if self.reference is None else "with reference")
        if self.groups:
            n_groups = len(set(self.groups))
            parts.append(f"{n_groups} group{'s' * (n_groups != 1)}")
        return ", ".join(parts)

    def __repr__(self) -> str:
        """Say in one line what the stack is called and what it holds."""
        return f"Stack({self.name!r}: {self.contents})"

    @property
    def aspect(self) -> float:
        """How much taller than wide a pixel is to be drawn; see `aspect_of`."""
        return aspect_of(self.spacing_mm)

    def select(self, indices: Sequence[int]) -> "Stack":
        """Return the slices at some positions, in that order, with all that belongs to them.

        The images are a view where the positions are evenly spaced, otherwise a copy.

        >>> Stack(np.arange(4).reshape(4, 1, 1)).select([3, 1]).images.ravel()
        array([3, 1])
        """
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

    def split(self) -> "list[Stack]":
        """Return one stack for each source file that has slices here, in the files' order."""
        if len(self.sources) < 2:
            return [self]
        paired, parts = len(self.reference_sources) == len(self.sources), []
        for number in sorted(set(self.volume_numbers)):
            here = [i for i, one in enumerate(self.volume_numbers) if one == number]
            path, grid = self.sources[number], self.grids[number] if self.grids else None
            own = slice(number, number + 1)
            part = replace(
                self.select(here),
                name=path.name if path.is_dir() else stem(path),
                sources=(path,),
                reference_sources=self.reference_sources[own if paired else slice(None)],
                volume_numbers=(),
                grids=(grid,),
                members=self.members[own],
                axis=grid.axis if grid else "",
            )
            parts.append(part)
        return parts

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of each file, series or pair read, or of arrays made in memory."""
        digests = {}
        for number, path in enumerate(self.sources):
            files = self.members[number] if self.members else (path,)
            kind = "DICOM files" if path.is_dir() else "files"
            name = f"{path.name} ({len(files)} {kind})" if len(files) > 1 else path.name
            digests[name] = _sha256_of_files(files)
        for path in self.reference_sources:
            digests[f"{path.name} (reference)"] = _sha256_of_files([path])
        if not self.sources:
            digests["images"] = _sha256_of_array(self.images)
            if self.reference is not None and not self.reference_sources:
                digests["reference"] = _sha256_of_array(self.reference)
        return digests


def aspect_of(spacing_mm: tuple[float, float] | None) -> float:
    """Return matplotlib's `aspect` of drawn slices; 1 where the spacing is unknown."""
    return spacing_mm[0] / spacing_mm[1] if spacing_mm else 1.0


def evenly(indices: Sequence[int]) -> slice | list[int]:
    """Return indices as a slice where they ascend by equal steps, so that selecting is a view."""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    if step > 0 and list(indices) == list(range(indices[0], indices[-1] + 1, step)):
        return slice(indices[0], indices[-1] + 1, step)
    return list(indices)


def _sha256_of_files(paths: Sequence[Path]) -> str:
    """Return the sha256 of one file's content, or of the sorted ones of several."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    several = len(digests) > 1
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest() if several else digests[0]


def _sha256_of_array(array: Array) -> str:
    """Return the sha256 of an array's data type, shape and values."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    for plane in array:
        digest.update(np.ascontiguousarray(plane).tobytes())
    return digest.hexdigest()
