"""Open heads by name: real MRI with reference masks; one of them is inside the package.

`heads.toml` says of each what it is, under which terms it may be used, how its reference mask came
about, and where its files are. Files are kept where pooch keeps downloads, or in the folder that
`SKULLNB_HEADS` names, and are used only if their sha256 is right.
"""

from __future__ import annotations

import os
import tomllib
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


@dataclass(frozen=True)
class HeadFile:
    """One file of a head: its name below the folder of heads, size, sha256 and public address."""

    name: str
    n_bytes: int
    sha256: str
    address: str


@dataclass(frozen=True)
class Head:
    """What is known of an open head; `slices` are the axial ones that are taken ("" = all).

    Stacks of one head share a `group`, and belong to the same side of a split; `trust` says how its
    `reference` ("labels" or "semi-automatic") came about and how far it goes.
    """

    name: str
    title: str
    group: str
    contrast: str
    slices: str
    n_slices: int
    spacing_mm: tuple[float, float]
    licence: str
    citation: str
    reference: str
    trust: str
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
    here = [(_folder() / one.name).is_file() for one in find(name).files]
    return name == BUILT_IN or all(here)


def fetch(name: str, *, progress: bool = False) -> tuple[Path, ...]:
    """Return the files of a head, downloading what is not here yet, with a bar on stderr."""
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it would print every file's name
    paths, downloader = list[Path](), pooch.HTTPDownloader(progressbar=progress, timeout=30)
    for one in find(name).files:
        own: dict[str, Any] = {"fname": one.name, "path": _folder(), "downloader": downloader}
        try:
            paths.append(Path(pooch.retrieve(one.address, f"sha256:{one.sha256}", **own)))
        except Exception as error:  # every layer of the network fails in its own way
            why = "its sha256 differs" if isinstance(error, ValueError) else type(error).__name__
            raise UnreadableFile(
                f"{one.name} can't be had from {one.address} ({why}); try again, or name a folder "
                f"with copies in {FOLDER_VARIABLE}."
            ) from error
    return tuple(paths)


def _folder() -> Path:
    import pooch

    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named or Path(pooch.os_cache("skullnb"), "heads")).expanduser()


def load(name: str) -> Stack:
    """Return an open head with its reference mask: axial slices, ascending, face up.

    The kind of reference is `HEADS[name].reference`, and belongs beside every score.

    Parameters
    ----------
    name : {"studyforrest", "colin27", "ubermuda-t2star", "ubermuda-flair", "mne-ecog"}
        studyforrest is inside the package; the files of the others are downloaded once.

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
    head, path = find(name), DATA / f"{name}.npz"
    if name != BUILT_IN:
        whole = load_whole(name)
        stack = whole.select(parse_slices(head.slices, len(whole)))
        if path.is_file():
            with np.load(path, allow_pickle=False) as stored:
                stack = replace(stack, reference=stored["reference"], reference_sources=(path,))
        return stack
    with np.load(path, allow_pickle=False) as file:
        stored = dict(file)
    return Stack(
        images=stored["images"],
        reference=stored["reference"],
        spacing_mm=tuple(stored["spacing_mm"].tolist()),
        groups=(head.group,) * head.n_slices,
        name=name,
        sources=(path,),
        grids=(Grid.of_affine(stored["affine"], stored["images"].shape[::-1], "axial"),),
        axis="axial",
    )


def load_whole(name: str) -> Stack:
    """Return all axial slices of an open head; only of colin27 do all have a reference mask."""
    if name == BUILT_IN:
        return load(name)
    if name == "colin27":
        return _colin27(find(name))
    return read_stack(fetch(name), groups=find(name).group, axis="axial", name=name)


def _colin27(head: Head) -> Stack:
    """Read Colin27 from its two MATLAB files: the scan, and its labels as reference."""
    from scipy.io import loadmat

    paths = fetch(head.name)
    # Plain arrays, which run no code when opened.
    options = {"variable_names": ["mri"], "simplify_cells": True}
    scan, labelled = (loadmat(path, **options)["mri"] for path in paths)
    affine = np.array(scan["transform"], dtype=float)
    affine[:3, 3] += affine[:3, :3].sum(axis=1)  # MATLAB counts voxels from 1
    grid = Grid.of_affine(affine, scan["anatomy"].shape, "axial", code="mni")
    inside = np.isin(grid.cut(labelled["seg"]), (2, 3)).astype(np.uint8)  # not 1, the scalp
    return Stack(
        images=grid.cut(scan["anatomy"]),
        reference=np.stack([fill_holes(one) for one in inside]),
        spacing_mm=head.spacing_mm,
        groups=(head.group,) * len(inside),
        name=head.name,
        sources=paths[:1],
        grids=(grid,),
        axis="axial",
        reference_sources=paths[1:],
    )


def open_data(
    images: Any = "", *, slices: str = "", nan_background: bool = False, **own: Any
) -> Stack:
    """Open what a command or notebook is about: a head by its name, or what `read_stack` reads.

    "" is the head inside the package, "phantom" the stand-in for the article's slices. These bring
    a reference, groups, a spacing and an axis.

    >>> open_data(slices="4:8").name, len(open_data("phantom"))
    ('studyforrest', 5)
    """
    name = known(images)
    if not name:
        return read_stack(images, slices=slices, nan_background=nan_background, **own)
    for parameter in filter(own.get, own):
        raise InvalidSetting(
            f"{parameter} is given for {images or 'no images'}, and the heads that have a name "
            "bring their own; leave it out, or name the files of your images."
        )
    stack = phantom.published_stack() if name == "phantom" else load(name)
    return stack.select(parse_slices(slices, len(stack))) if slices else stack
