"""`load`: an open head as a stack, with its reference mask."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.heads.files import Progress, fetch
from skullnb.heads.registry import Head, find_head
from skullnb.pipeline import fill_holes
from skullnb.stack import Origin, Stack, read_stack
from skullnb.stack.anatomy import grid_of_affine
from skullnb.stack.arrays import Array, evenly
from skullnb.stack.options import parse_slices

MASKS = Path(__file__).with_name("masks")

# Colin27's labels: 1 scalp, 2 skull, 3 what is inside it.
_SKULL_AND_INSIDE = (2, 3)


def load(name: str, mirror: str | Path = "", progress: Progress | None = None) -> Stack:
    """Return an open head with its reference mask.

    Parameters
    ----------
    name : {"colin27", "studyforrest", "ubermuda-t2star", "ubermuda-flair", "mne-ecog"}
    mirror, progress
        As in `skullnb.heads.fetch`.

    Returns
    -------
    Stack
        Axial slices, face up, with reference, spacing, group and geometry. The kind of reference
        is `HEADS[name].reference`, and belongs beside every score.

    Raises
    ------
    InvalidSetting
        If there is no such head.
    UnreadableFile
        If its files are not here and can't be downloaded, or are not the right ones.

    Examples
    --------
    >>> load("colin28")
    Traceback (most recent call last):
    skullnb.errors.InvalidSetting: There is no open head 'colin28'; there are colin27, studyforrest,
    ubermuda-t2star, ubermuda-flair, mne-ecog.
    """
    head = find_head(name)
    paths = fetch(head, mirror, progress)
    return _colin27(head, paths) if head.name == "colin27" else _with_mask(head, paths)


def _with_mask(head: Head, paths: Sequence[Path]) -> Stack:
    """Read a head whose reference mask is part of this package."""
    stack = read_stack(paths, groups=head.group, slices=head.slices, name=head.name)
    path = MASKS / f"{head.name}.npz"
    with np.load(path, allow_pickle=False) as stored:
        reference, slices = stored["reference"], stored["slices"]
    if tuple(slices.tolist()) != stack.slice_numbers:
        raise UnreadableFile(
            f"The reference mask {path.name} is for other slices than those of the head; install "
            "skullnb again."
        )
    return replace(stack, reference=reference, reference_sources=(path,))


def _colin27(head: Head, paths: Sequence[Path]) -> Stack:
    """Read Colin27 from its two MATLAB files: the scan, and its labels as reference."""
    scan, labelled = (_matlab(path) for path in paths)
    anatomy, labels = np.asarray(scan["anatomy"]), np.asarray(labelled["seg"])
    # MATLAB counts voxels from 1.
    affine = np.array(scan["transform"], dtype=float)
    affine[:3, 3] += affine[:3, :3].sum(axis=1)
    grid = grid_of_affine(affine, anatomy.shape, "axial", head.name, code="mni")
    numbers = parse_slices(head.slices, grid.n_slices)
    chosen = evenly(numbers)
    inside: Array = np.isin(grid.cut(labels)[chosen], _SKULL_AND_INSIDE).astype(np.uint8)
    return Stack(
        images=grid.cut(anatomy)[chosen].copy(),
        reference=np.stack([fill_holes(one) for one in inside]),
        spacing_mm=head.spacing_mm,
        groups=(head.group,) * len(numbers),
        name=head.name,
        sources=(paths[0],),
        geometry=Origin((0,) * len(numbers), tuple(numbers), (grid,)),
        reference_sources=(paths[1],),
    )


def _matlab(path: Path) -> dict[str, Any]:
    """Read the structure of a FieldTrip file: plain arrays, which run no code when opened."""
    structure: dict[str, Any] = import_module("scipy.io").loadmat(
        path, variable_names=["mri"], simplify_cells=True
    )["mri"]
    return structure
