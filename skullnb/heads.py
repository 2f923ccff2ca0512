"""Open heads by name: real MRI with reference masks; one of them is inside the package.

`data/heads.toml` says all that is known of each. Files are kept where pooch keeps downloads, or in
the folder that `SKULLNB_HEADS` names, and are used only if their sha256 is right.
"""

import os
import tomllib
from collections import namedtuple
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skullnb import phantom
from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.pipeline import fill_holes
from skullnb.stack import Grid, Stack, read_stack
from skullnb.stack.checks import parse_slices

DATA = Path(__file__).with_name("data")
BUILT_IN = "studyforrest"  # what every command and notebook takes when no images are named
FOLDER_VARIABLE = "SKULLNB_HEADS"


# One file of a head: its name below the folder of heads, size, sha256 and public address.
HeadFile = namedtuple("HeadFile", "name n_bytes sha256 address")


@dataclass(frozen=True)
class Head:
    """What is known of an open head; stacks of one share a group, and the same side of a split."""

    name: str
    title: str
    group: str
    contrast: str
    slices: str  # the axial ones that are taken; "" is all of them
    n_slices: int
    spacing_mm: tuple[float, float]
    licence: str
    citation: str
    reference: str  # "labels" or "semi-automatic"
    trust: str  # how the reference came about, and how far it goes
    files: tuple[HeadFile, ...]


HEADS: dict[str, Head] = {}
for _name, _entry in tomllib.loads((DATA / "heads.toml").read_text(encoding="utf-8")).items():
    _entry["files"] = tuple(HeadFile(**file) for file in _entry["files"])
    HEADS[_name] = Head(_name, **_entry | {"spacing_mm": tuple(_entry["spacing_mm"])})


def find(name: str) -> Head:
    """Return what is known of a head; refuse a name that there is not."""
    if name not in HEADS:
        raise InvalidSetting(f"There is no open head {name!r}; there are {', '.join(HEADS)}.")
    return HEADS[name]


def known(images: str) -> str:
    """Return which head a name stands for, "" when it is a path: no name is the built-in head."""
    if not images:
        return BUILT_IN
    return images if images in ("phantom", *HEADS) and not Path(images).exists() else ""


def is_here(name: str) -> bool:
    """Say whether a head can be loaded without a download."""
    return name == BUILT_IN or all((_folder() / one.name).is_file() for one in find(name).files)


def fetch(name: str, *, progress: bool = False) -> tuple[Path, ...]:
    """Return the files of a head, downloading what is not here yet, with a bar on stderr."""
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it would print every file's name
    downloader, paths = pooch.HTTPDownloader(progressbar=progress, timeout=30), list[Path]()
    for one in find(name).files:
        place: Any = {"fname": one.name, "path": _folder(), "downloader": downloader}
        try:
            paths.append(Path(pooch.retrieve(one.address, f"sha256:{one.sha256}", **place)))
        except Exception as error:  # every layer of the network fails in its own way
            why = "its sha256 differs" if isinstance(error, ValueError) else type(error).__name__
            told = f"{one.name} can't be had from {one.address} ({why})"
            told = f"{told}; try again, or name a folder of copies in {FOLDER_VARIABLE}."
            raise UnreadableFile(told) from error
    return tuple(paths)


def _folder() -> Path:
    import pooch

    own = pooch.os_cache("skullnb") / "heads"
    return Path(os.environ.get(FOLDER_VARIABLE) or own).expanduser()


def load(name: str) -> Stack:
    """Return an open head with its reference mask: axial slices, ascending, face up.

    Parameters
    ----------
    name : {"studyforrest", "colin27", "ubermuda-t2star", "ubermuda-flair", "mne-ecog"}
        studyforrest is inside the package; the files of the others are downloaded once.
        `HEADS[name].reference` is the kind of reference, and belongs beside every score.

    Raises
    ------
    InvalidSetting, UnreadableFile
        If there is no such head, or its files can't be had.

    Examples
    --------
    >>> load("studyforrest")
    Stack('studyforrest': 16 slices of 384 x 274 px, int16, 0.666667 x 0.699988 mm,
    with reference, 1 group)
    """
    head, whole, path = find(name), load_whole(name), DATA / f"{name}.npz"
    stack = whole.select(parse_slices(head.slices, len(whole)))
    if name == BUILT_IN or not path.is_file():
        return stack
    with np.load(path, allow_pickle=False) as file:
        return replace(stack, reference=file["reference"], reference_sources=(path,))


def load_whole(name: str) -> Stack:
    """Return all axial slices of an open head; only of colin27 do all have a reference mask."""
    head, path, own = find(name), DATA / f"{name}.npz", dict[str, Any](axis="axial", name=name)
    if name == BUILT_IN:
        parts = "images", "reference", "spacing_mm", "affine"
        with np.load(path, allow_pickle=False) as file:
            images, reference, spacing_mm, affine = map(file.get, parts)
        own |= {"grids": (Grid.of_affine(affine, images.shape[::-1], "axial"),), "sources": (path,)}
        return Stack(images, reference, spacing_mm, (head.group,) * len(images), **own)
    paths = fetch(name)
    if name != "colin27":
        return read_stack(paths, groups=head.group, **own)
    from scipy.io import loadmat

    # The scan, and its labels as reference: plain arrays, which run no code when opened.
    options = {"variable_names": ["mri"], "simplify_cells": True}
    scan, labelled = (loadmat(path, **options)["mri"] for path in paths)
    affine = np.array(scan["transform"], dtype=float)
    affine[:3, 3] += affine[:3, :3].sum(axis=1)  # MATLAB counts voxels from 1
    grid = Grid.of_affine(affine, scan["anatomy"].shape, "axial")
    grid.header["qform_code"] = grid.header["sform_code"] = 4  # MNI
    inside = np.isin(grid.cut(labelled["seg"]), (2, 3)).astype(np.uint8)  # not 1, the scalp
    images, reference = grid.cut(scan["anatomy"]), np.stack([fill_holes(one) for one in inside])
    own |= {"sources": paths[:1], "reference_sources": paths[1:], "grids": (grid,)}
    return Stack(images, reference, head.spacing_mm, (head.group,) * len(images), **own)


def open_data(
    images: Any = "", *, slices: str = "", nan_background: bool = False, **own: Any
) -> Stack:
    """Open what `read_stack` reads, or a head by name: "" for that inside, or the "phantom"."""
    if not (name := known(images)):
        return read_stack(images, slices=slices, nan_background=nan_background, **own)
    for parameter in filter(own.get, own):
        told = f"{parameter} is given for {images or 'no images'}, and heads by name have their own"
        raise InvalidSetting(f"{told}; leave it out, or name the files of your images.")
    stack = phantom.published_stack() if name == "phantom" else load(name)
    return stack.select(parse_slices(slices, len(stack))) if slices else stack
