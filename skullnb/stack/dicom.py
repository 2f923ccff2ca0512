"""DICOM series: the images of one scan, in the order they lie in the head."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.stack.anatomy import grid_of_affine
from skullnb.stack.arrays import Array
from skullnb.stack.dicom_files import Frame, load_frames, read_header
from skullnb.stack.names import natural_key
from skullnb.stack.volume import Volume

# DICOM counts mm towards the patient's left and back (LPS), NIfTI towards right and front (RAS).
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

# An image further from its even place than this part of a step stands beside a gap.
_UNEVEN = 0.1
_SAME_PLACE_MM = 0.01


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one scan.

    Attributes
    ----------
    folder : Path
        Where its first file is.
    number : str
        To choose it by among the series of its folder.
    frames : tuple of Frame
        In the order of the files' names until `open_series` sorts them.
    """

    folder: Path
    number: str
    frames: tuple[Frame, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The series' files, each once."""
        return tuple(dict.fromkeys(frame.file for frame in self.frames))

    def __str__(self) -> str:
        """Say its number, how many images it has, and their size; nothing about a patient."""
        rows, columns = self.frames[0].shape
        return f"number {self.number}: {len(self.frames)} of {rows} x {columns} px"


def find_series(files: Iterable[Path]) -> list[Series]:
    """Sort DICOM files into series; those that hold no image are left out.

    Parameters
    ----------
    files : iterable of Path

    Returns
    -------
    list of Series
        By folder and number. The number is DICOM's own where it tells the series of a folder
        apart, otherwise they are counted from 1.

    Raises
    ------
    UnreadableFile
        If a file is damaged, or its images are not of grey values.

    Examples
    --------
    >>> find_series([])
    []
    """
    frames: dict[tuple[Path, str], list[Frame]] = {}
    numbers: dict[tuple[Path, str], str] = {}
    for file in files:
        header = read_header(file)
        if header is not None:
            key = (file.parent, header.series)
            frames.setdefault(key, []).extend(header.frames)
            numbers[key] = header.number
    found = []
    for folder in dict.fromkeys(folder for folder, _ in frames):
        here = [key for key in frames if key[0] == folder]
        here.sort(key=lambda key: (natural_key(Path(numbers[key])), frames[key][0].file.name))
        own = [numbers[key] for key in here]
        if "" in own or len(set(own)) < len(own):
            own = [str(count) for count in range(1, len(here) + 1)]
        found += [
            Series(folder, number, tuple(frames[key]))
            for key, number in zip(here, own, strict=True)
        ]
    return found


def open_series(series: Series, axis: str, name: str, path: Path) -> Volume:
    """Open a series as one volume.

    Parameters
    ----------
    series : Series
    axis : {"axial", "coronal", "sagittal"}
        Along which to cut it.
    name : str
        What to call it.
    path : Path
        The file or folder it stands for.

    Returns
    -------
    Volume
        In grey values, slope and intercept applied: of the stored integer type where they change
        nothing, otherwise float64. A single image without a position has no grid.

    Raises
    ------
    UnreadableFile
        If its images are not one volume: of several sizes or directions, without a position,
        several at one position, or with a gap.
    """
    frames, affine = _in_order(series, name)
    rows, columns = frames[0].shape
    spacing = frames[0].spacing_mm
    if affine is None or spacing is None:
        return Volume(
            path,
            (len(frames), rows, columns),
            lambda: load_frames(frames),
            None if spacing is None else (spacing[0], spacing[1]),
            name=name,
            files=series.files,
        )
    grid = grid_of_affine(affine, (columns, rows, len(frames)), axis, name)
    zooms = (spacing[1], spacing[0], float(np.linalg.norm(affine[:3, 2])))
    return Volume(
        path,
        (grid.n_slices, *grid.slice_shape),
        lambda: grid.cut(load_frames(frames).transpose(2, 1, 0)),
        (zooms[grid.axes[1]], zooms[grid.axes[2]]),
        grid,
        name=name,
        files=tuple(dict.fromkeys(frame.file for frame in frames)),
    )


def _in_order(series: Series, name: str) -> tuple[list[Frame], Array | None]:
    """Sort a series' images along their normal; return them and the affine from index to RAS mm."""
    frames = list(series.frames)
    first = frames[0]
    if len({(frame.shape, frame.spacing_mm) for frame in frames}) > 1:
        raise UnreadableFile(
            f"{name} holds images of several sizes in one series; give the files of one volume."
        )
    if any(frame.position_mm is None or frame.orientation is None for frame in frames):
        if len(frames) > 1:
            raise UnreadableFile(
                f"{name} holds {len(frames)} images of which some say no position, so they can't "
                "be put in order; convert them to NIfTI."
            )
        return frames, None
    directions = np.array([frame.orientation for frame in frames], dtype=float)
    across, down = directions[0].reshape(2, 3)
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if not np.allclose([*lengths, across @ down + 1], 1, atol=1e-3):
        raise UnreadableFile(
            f"{name} has rows and columns that are not at right angles; repair its orientation."
        )
    if not np.allclose(directions, directions[0], atol=1e-3):
        raise UnreadableFile(
            f"{name} holds images of several directions in one series, as a localiser does; "
            "give the files of one volume."
        )
    normal = np.cross(across, down)
    frames.sort(key=lambda frame: float(np.dot(frame.position_mm, normal)))  # type: ignore[arg-type]
    places = np.array([frame.position_mm for frame in frames], dtype=float)
    step = normal * (first.step_mm or 1.0)
    if len(frames) > 1:
        gaps = np.diff(places @ normal)
        if gaps.min() < _SAME_PLACE_MM:
            raise UnreadableFile(
                f"{name} holds several images at one position in one series, such as echoes or "
                "time points; give the files of one volume."
            )
        step = (places[-1] - places[0]) / (len(frames) - 1)
        even = places[0] + np.arange(len(frames))[:, None] * step
        if np.abs(places - even).max() > _UNEVEN * np.linalg.norm(step):
            raise UnreadableFile(
                f"{name} has slices {gaps.min():.3g} to {gaps.max():.3g} mm apart in one series, "
                "so some are missing; give all of them, or files that are evenly spaced."
            )
    row, column = first.spacing_mm or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3] = np.stack([across * column, down * row, step, places[0]], axis=1)
    return frames, LPS_TO_RAS @ affine
