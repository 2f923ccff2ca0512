"""`Stack`: slices, their reference mask, spacing and groups, and where they came from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np  # noqa: F401 (the examples use it)

from skullnb.errors import InvalidImage, InvalidSetting, ShapeMismatch
from skullnb.pipeline.checks import as_array
from skullnb.stack.anatomy import Grid
from skullnb.stack.arrays import Array, binary_mask, evenly, sha256_of_array
from skullnb.stack.names import sha256_of_file, sha256_of_files, stem
from skullnb.stack.options import parse_groups, parse_spacing


@dataclass(frozen=True, eq=False)
class Origin:
    """Where each slice of a stack was cut from.

    Attributes
    ----------
    files : tuple of int
        For each slice, which of the stack's `sources` it is from.
    numbers : tuple of int
        For each slice, its number in that file, counted along the axis it was cut on.
    grids : tuple of Grid or None
        For each source, its voxel grid; None where the format has no orientation.
    members : tuple of tuple of Path
        For each source that is a DICOM series, its files in the order of the slices; empty for
        other sources, or altogether where there is no series.
    """

    files: tuple[int, ...]
    numbers: tuple[int, ...]
    grids: tuple[Grid | None, ...]
    members: tuple[tuple[Path, ...], ...] = ()

    def files_of(self, source: int) -> tuple[Path, ...]:
        """Return the files of a source that is a DICOM series; none for another.

        Examples
        --------
        >>> Origin((0,), (0,), (None,)).files_of(0)
        ()
        """
        return self.members[source] if self.members else ()


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
        What to call the stack; a file's name without its ending.
    sources, reference_sources : tuple of Path
        The files that images and reference came from, one a volume (the folder of a DICOM series);
        empty for arrays made in memory.
    geometry : Origin, optional
        Where each slice was cut from, so that masks can be put back.
    synthetic : bool
        Whether the slices were drawn, not scanned; phantoms say so of themselves.

    Raises
    ------
    InvalidImage
        If `images` is not a stack of real numbers, or holds nothing.
    ShapeMismatch
        If the reference has another shape, or `groups` another length.
    InvalidSetting
        If the reference is not binary, or the spacing not positive.

    Examples
    --------
    >>> stack = Stack(np.zeros((3, 8, 6)), spacing_mm="0.5", groups="a,a,b", name="demo")
    >>> stack
    Stack('demo': 3 slices of 8 x 6 px, float64, 0.5 x 0.5 mm, no reference, 2 groups)
    >>> stack[1:].groups
    ('a', 'b')
    """

    images: Array
    reference: Array | None = None
    spacing_mm: tuple[float, float] | None = None
    groups: tuple[str, ...] | None = None
    name: str = ""
    sources: tuple[Path, ...] = ()
    geometry: Origin | None = None
    reference_sources: tuple[Path, ...] = ()
    synthetic: bool = False

    def __post_init__(self) -> None:
        """Check the parts against one another and bring them to one form."""
        where = f"The images of {self.name}" if self.name else "The images"
        images = as_array(self.images, where)
        if images.dtype.kind not in "buif":
            raise InvalidImage(f"{where} are {images.dtype}; grey values are real numbers.")
        if images.ndim != 3 or images.size == 0:
            raise InvalidImage(
                f"{where} have the shape {images.shape}; a stack is (slices, rows, columns), "
                "each at least 1."
            )
        reference = self.reference
        if reference is not None:
            reference = as_array(reference, "The reference")
            if reference.shape != images.shape:
                raise ShapeMismatch(
                    f"The reference has the shape {reference.shape}, the images {images.shape}; "
                    "give one reference mask for each slice, of the slice's size."
                )
            reference = binary_mask(reference)
        groups = parse_groups(self.groups)
        if groups is not None and len(groups) != len(images):
            raise ShapeMismatch(
                f"There are {len(groups)} group labels for {len(images)} slices; give one a slice."
            )
        # A frozen dataclass has no other way to store the checked forms.
        for field, value in {
            "images": images,
            "reference": reference,
            "spacing_mm": parse_spacing(self.spacing_mm),
            "groups": groups,
            "sources": tuple(Path(path) for path in self.sources),
            "reference_sources": tuple(Path(path) for path in self.reference_sources),
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
        """What the stack holds, in one line, without reading the pixels.

        Examples
        --------
        >>> Stack(np.zeros((3, 8, 6))).contents
        '3 slices of 8 x 6 px, float64, no reference'
        """
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
    def slice_numbers(self) -> tuple[int, ...]:
        """For each slice, its number in the file it came from; 0 to N - 1 without a file.

        Examples
        --------
        >>> Stack(np.zeros((3, 8, 6))).slice_numbers
        (0, 1, 2)
        """
        return self.geometry.numbers if self.geometry else tuple(range(len(self)))

    def select(self, indices: Sequence[int]) -> "Stack":
        """Return some of the slices, with all that belongs to them.

        Parameters
        ----------
        indices : sequence of int
            Positions in this stack, in the order wanted; negative ones count from the end.

        Returns
        -------
        Stack
            A view where the positions are evenly spaced, otherwise a copy.

        Raises
        ------
        InvalidSetting
            If nothing is chosen or a position does not exist.

        Examples
        --------
        >>> Stack(np.arange(4).reshape(4, 1, 1)).select([3, 1]).images.ravel()
        array([3, 1])
        """
        n = len(self)
        if not len(indices) or not all(-n <= index < n for index in indices):
            raise InvalidSetting(
                f"The positions {list(indices)} don't choose slices of a stack of {n}; "
                f"use 0 to {n - 1}, at least one."
            )
        chosen = [int(index) % n for index in indices]
        take = evenly(chosen)
        geometry = self.geometry
        if geometry is None and chosen != list(range(n)):
            geometry = Origin((0,) * n, tuple(range(n)), (None,))
        if geometry is not None:
            geometry = replace(
                geometry,
                files=tuple(geometry.files[index] for index in chosen),
                numbers=tuple(geometry.numbers[index] for index in chosen),
            )
        return replace(
            self,
            images=self.images[take],
            reference=None if self.reference is None else self.reference[take],
            groups=None if self.groups is None else tuple(self.groups[i] for i in chosen),
            geometry=geometry,
        )

    def split(self) -> "list[Stack]":
        """Return one stack for each source file that has slices here, in the files' order.

        Returns
        -------
        list of Stack
            Each with its own file as only source; the stack itself when it has one or none.

        Examples
        --------
        >>> [part.name for part in Stack(np.zeros((3, 8, 6)), name="demo").split()]
        ['demo']
        """
        if self.geometry is None or len(self.sources) < 2:
            return [self]
        parts = []
        for file, path in enumerate(self.sources):
            here = [i for i, source in enumerate(self.geometry.files) if source == file]
            if here:
                part = self.select(here)
                assert part.geometry is not None
                members = self.geometry.files_of(file)
                origin = Origin(
                    (0,) * len(here),
                    part.geometry.numbers,
                    (self.geometry.grids[file],),
                    (members,),
                )
                references = self.reference_sources
                if len(references) == len(self.sources):
                    references = (references[file],)
                parts.append(
                    replace(
                        part,
                        name=path.name if len(members) > 1 else stem(path),
                        sources=(path,),
                        geometry=origin,
                        reference_sources=references,
                    )
                )
        return parts

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of what the stack was read from.

        Returns
        -------
        dict of str
            File name (never its folder) to the sha256 of the whole file; a reference's name
            carries ` (reference)`. A DICOM series of several files is one entry: its folder's
            name and their number, to the sha256 of their sorted sha256. For arrays made in
            memory, `images` and `reference` to the sha256 of data type, shape and values.

        Examples
        --------
        >>> list(Stack(np.zeros((3, 8, 6))).fingerprint())
        ['images']
        """
        digests = {}
        for source, path in enumerate(self.sources):
            members = self.geometry.files_of(source) if self.geometry else ()
            if len(members) > 1:
                digests[f"{path.name} ({len(members)} DICOM files)"] = sha256_of_files(members)
            else:
                digests[path.name] = sha256_of_file(path)
        if not self.sources:
            digests["images"] = sha256_of_array(self.images)
        for path in self.reference_sources:
            digests[f"{path.name} (reference)"] = sha256_of_file(path)
        if self.reference is not None and not self.reference_sources and not self.sources:
            digests["reference"] = sha256_of_array(self.reference)
        return digests
