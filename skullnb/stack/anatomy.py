"""Named anatomical axes: cutting a volume into slices whatever order its voxels are stored in.

Every volume is brought to one canonical order before it is cut, so that slice 110 is the same
slice whether the file is stored RAS, LIA or in any other of the 48 orders:

| axis | slices ascend from ... to | rows run from the top | columns run from the left |
|---|---|---|---|
| axial | inferior to superior | anterior to posterior | the patient's right to left |
| coronal | posterior to anterior | superior to inferior | the patient's right to left |
| sagittal | the patient's left to right | superior to inferior | anterior to posterior |

Axial and coronal slices are thus seen as radiologists see them: the patient's right is at the
image's left. An oblique volume is cut along the stored axis closest to the anatomical one; its
voxels are never resampled.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.stack.arrays import Array

# Where slices, rows and columns lead, in the letters of nibabel: towards Superior, Posterior, ...
TOWARDS = {"axial": "SPL", "coronal": "AIL", "sagittal": "RIP"}

_SPATIAL_FIELDS = [
    *("pixdim", "qform_code", "sform_code", "xyzt_units"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
]


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxel grid of a volume file and the way its slices are cut from it.

    Attributes
    ----------
    shape : tuple of int
        As stored, with trailing dimensions of 1.
    affine : (4, 4) array of float
        From voxel to mm; what it points to is the file's business.
    axes : three ints
        The stored axes along which slices, rows and columns lie.
    flipped : three bools
        Whether slices, rows and columns run against their stored axis.
    header : nibabel header
        A NIfTI header with the file's geometry and nothing else, so that no name or note of a
        source file reaches a mask.
    """

    shape: tuple[int, ...]
    affine: Array
    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    header: Any

    def cut(self, volume: Array) -> Array:
        """View a volume in storage order as slices.

        Parameters
        ----------
        volume : array of the grid's shape
            In storage order.

        Returns
        -------
        (N, H, W) array
            A view: writing to it writes to `volume`.

        Examples
        --------
        >>> grid = Grid((2, 3, 4), np.eye(4), (2, 1, 0), (False, True, True), None)
        >>> grid.cut(np.zeros((2, 3, 4))).shape
        (4, 3, 2)
        """
        # Dimensions of 1 are added or taken off by indexing: reshaping could copy.
        index: list[Any] = [slice(None)] * min(volume.ndim, 3)
        index += [np.newaxis] * (3 - volume.ndim) + [0] * (volume.ndim - 3)
        turned: Array = volume[tuple(index)].transpose(self.axes)
        ways: list[Any] = [slice(None, None, -1 if flip else None) for flip in self.flipped]
        return np.asanyarray(turned[tuple(ways)])

    def corners(self) -> Array:
        """Where the first pixel of the first slice and the last of the last one lie.

        Returns
        -------
        (2, 3) array of float
            In mm, right, anterior and superior ascending.

        Examples
        --------
        >>> Grid((2, 3, 4), np.eye(4), (2, 1, 0), (False, True, True), None).corners()
        array([[1., 2., 0.],
               [0., 0., 3.]])
        """
        ends = np.zeros((2, 3))
        for axis, flip in zip(self.axes, self.flipped, strict=True):
            ends[0 if flip else 1, axis] = (*self.shape, 1, 1)[axis] - 1
        affine = np.asarray(self.affine, dtype=np.float64)
        return np.asanyarray(ends @ affine[:3, :3].T + affine[:3, 3])

    @property
    def n_slices(self) -> int:
        """The number of slices the whole volume is cut into."""
        return (*self.shape, 1, 1)[self.axes[0]]

    @property
    def slice_shape(self) -> tuple[int, int]:
        """The rows and columns of a slice."""
        shape = (*self.shape, 1, 1)
        return shape[self.axes[1]], shape[self.axes[2]]


def grid_of(image: Any, axis: str, name: str) -> Grid:
    """Work out how an opened volume is cut along an anatomical axis.

    Parameters
    ----------
    image : nibabel image
        A NIfTI or FreeSurfer volume.
    axis : {"axial", "coronal", "sagittal"}
        The anatomical axis to cut along.
    name : str
        The file's name, for errors.

    Returns
    -------
    Grid
        With `header` ready for a mask on the same grid.

    Raises
    ------
    UnreadableFile
        If the affine is singular or not finite.

    Examples
    --------
    >>> import nibabel
    >>> image = nibabel.Nifti1Image(np.zeros((2, 3, 4)), np.eye(4))
    >>> grid = grid_of(image, "axial", "demo.nii")
    >>> grid.axes, grid.flipped
    ((2, 1, 0), (False, True, True))
    """
    turning: Any = import_module("nibabel.orientations")

    affine = np.asarray(image.affine, dtype=float)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise UnreadableFile(
            f"{name} has an affine that is singular or not finite, so its axes can't be named; "
            "repair its header."
        )
    stored_way, wanted_way = turning.io_orientation(affine), turning.axcodes2ornt(TOWARDS[axis])
    moves = turning.ornt_transform(stored_way, wanted_way)
    axes, flipped = [0, 0, 0], [False, False, False]
    for stored, (target, direction) in enumerate(moves):
        axes[int(target)], flipped[int(target)] = stored, bool(direction < 0)
    return Grid(
        shape=tuple(int(size) for size in image.shape),
        affine=affine,
        axes=(axes[0], axes[1], axes[2]),
        flipped=(flipped[0], flipped[1], flipped[2]),
        header=_geometry_header(image, affine),
    )


def grid_of_affine(
    affine: Array, shape: tuple[int, ...], axis: str, name: str, code: str = "scanner"
) -> Grid:
    """Work out the same for voxels that come from no NIfTI file.

    Parameters
    ----------
    affine : (4, 4) array of float
        From index to mm, towards the patient's right, front and head.
    shape : three ints
        In storage order.
    axis, name
        As in `grid_of`.
    code : str
        What the affine points to, in nibabel's words; it becomes the qform and sform code.

    Returns
    -------
    Grid

    Examples
    --------
    >>> grid_of_affine(np.diag([-1, -1, 5, 1]), (6, 8, 3), "axial", "demo").flipped
    (False, False, False)
    """
    nib: Any = import_module("nibabel")

    # Only the header is wanted: one byte stands for all voxels.
    image = nib.Nifti1Image(np.broadcast_to(np.uint8(0), shape), affine)
    image.set_qform(affine, code=code)
    image.set_sform(affine, code=code)
    image.header.set_xyzt_units("mm")
    return grid_of(image, axis, name)


def spacing_of(image: Any, grid: Grid) -> tuple[float, float] | None:
    """Return a volume's spacing within its slices.

    Parameters
    ----------
    image : nibabel image
        Its header's zooms are used, in its units; unknown units are taken as mm.
    grid : Grid
        How it is cut.

    Returns
    -------
    pair of floats or None
        (row, column) in mm; None where a zoom is not above 0.

    Examples
    --------
    >>> import nibabel
    >>> image = nibabel.Nifti1Image(np.zeros((2, 3, 4)), np.diag([0.7, 0.5, 2, 1]))
    >>> spacing_of(image, grid_of(image, "axial", "demo.nii"))
    (0.5, 0.7)
    """
    units = image.header.get_xyzt_units()[0] if hasattr(image.header, "get_xyzt_units") else "mm"
    scale = {"meter": 1000.0, "micron": 0.001}.get(units, 1.0)
    zooms = (*image.header.get_zooms(), np.float32(1), np.float32(1))
    # Headers hold float32: its shortest decimal, 0.7, is what was meant by 0.699999988.
    row, column = (float(str(zooms[stored])) * scale for stored in grid.axes[1:])
    return (row, column) if 0 < row < np.inf and 0 < column < np.inf else None


def _geometry_header(image: Any, affine: Array) -> Any:
    """Build a NIfTI header with an image's geometry and none of its other contents."""
    nib: Any = import_module("nibabel")

    source = image.header
    if isinstance(source, nib.Nifti1Header):
        header = nib.Nifti2Header() if isinstance(source, nib.Nifti2Header) else nib.Nifti1Header()
        header.set_data_shape(image.shape)
        for field in _SPATIAL_FIELDS:
            header[field] = source[field]
    else:
        header = nib.Nifti1Header()
        header.set_data_shape(image.shape)
        header.set_qform(affine, code="scanner")
        header.set_sform(affine, code="scanner")
        header["pixdim"][1:4] = source.get_zooms()[:3]
        header.set_xyzt_units("mm")
    header.set_data_dtype(np.uint8)
    return header
