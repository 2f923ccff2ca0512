"""Open heads by name: real MRI with reference masks; one of them is inside the package.

`heads.toml` says of each what it is, under which terms it may be used, how its reference mask came
about, and where its files are. Files are kept where pooch keeps downloads, or in the folder that
`SKULLNB_HEADS` names, and are used only if their sha256 is right.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.pipeline import fill_holes
from skullnb.stack import Grid, Stack, read_stack
from skullnb.stack.checks import parse_slices

DATA = Path(__file__).with_name("data")

BUILT_IN = "studyforrest"
"""The head that every command and notebook takes when no images are named."""

FOLDER_VARIABLE = "SKULLNB_HEADS"
"""Environment variable that names the folder of downloaded heads."""

_SKULL_AND_INSIDE = (2, 3)  # Colin27's labels; 1 is the scalp


@dataclass(frozen=True)
class HeadFile:
    """One file of a head: its name below the folder of heads, size, sha256 and public address."""

    name: str
    n_bytes: int
    sha256: str
    address: str


@dataclass(frozen=True)
class Head:
    """What is known of an open head.

    `name` is what `load` takes; stacks of one head share a `group`, and belong to the same side of
    a split; `slices` are the axial ones that are taken ("" = all); `reference` is the kind of its
    reference mask ("labels" or "semi-automatic"), `trust` how that came about and how far it goes.
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

    @property
    def n_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.n_bytes for file in self.files)

    @property
    def size(self) -> str:
        """Say how many files they are, and how large together."""
        n = len(self.files)
        return f"{n} file{'s' * (n != 1)}, {self.n_bytes / 1e6:.1f} MB"


HEADS: dict[str, Head] = {}
"""The open heads by name."""

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
    """Say whether a head can be loaded without a download, judged by its files' sizes."""
    paths = [(file, Path(_store().abspath, file.name)) for file in find(name).files]
    return name == BUILT_IN or all(
        path.is_file() and path.stat().st_size == file.n_bytes for file, path in paths
    )


def fetch(name: str, *, progress: bool = False) -> tuple[Path, ...]:
    """Return the files of a head, in the registry's order, downloading what is not here yet.

    Each has the sha256 that the registry says. `progress` shows a bar for each file on stderr.
    """
    import pooch

    files = find(name).files
    store, paths = _store(*files), []
    for file in files:
        try:
            downloader = pooch.HTTPDownloader(progressbar=progress, timeout=30)
            paths.append(Path(store.fetch(file.name, downloader=downloader)))
        except ValueError as error:  # pooch has thrown the file away
            raise UnreadableFile(
                f"What came from {file.address} is not the registered file, its sha256 differs, so "
                f"it was not kept; try again, or put a copy at {store.abspath / file.name}."
            ) from error
        except Exception as error:  # every layer of the network fails in its own way
            raise UnreadableFile(
                f"{file.name} could not be downloaded from {file.address} "
                f"({type(error).__name__}); check the connection, or name a folder with copies in "
                f"{FOLDER_VARIABLE}."
            ) from error
    return tuple(paths)


def _store(*files: HeadFile) -> Any:
    """Return pooch's store of heads, in which it knows these files."""
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it would print every file's name
    return pooch.create(
        path=Path(pooch.os_cache("skullnb")) / "heads",
        base_url="",
        env=FOLDER_VARIABLE,
        registry={file.name: f"sha256:{file.sha256}" for file in files},
        urls={file.name: file.address for file in files},
        retry_if_failed=1,
    )


def load(name: str) -> Stack:
    """Return an open head with its reference mask.

    Parameters
    ----------
    name : {"studyforrest", "colin27", "ubermuda-t2star", "ubermuda-flair", "mne-ecog"}
        studyforrest is inside the package; the files of the others are downloaded once.

    Returns
    -------
    Stack
        Axial slices, ascending, face up, with reference, spacing, group and geometry. The kind of
        reference is `HEADS[name].reference`, and belongs beside every score.

    Raises
    ------
    InvalidSetting
        If there is no such head.
    UnreadableFile
        If its files are not here and can't be downloaded, or are not the right ones.

    Examples
    --------
    >>> load("studyforrest")
    Stack('studyforrest': 16 slices of 384 x 274 px, int16, 0.666667 x 0.699988 mm,
    with reference, 1 group)
    """
    head, path = find(name), DATA / f"{name}.npz"
    if name == "colin27":
        return _colin27(head)
    with np.load(path, allow_pickle=False) as file:
        stored = dict(file)
    if name == BUILT_IN:
        images = stored["images"]
        return Stack(
            images=images,
            reference=stored["reference"],
            spacing_mm=tuple(stored["spacing_mm"].tolist()),
            groups=(head.group,) * len(images),
            name=name,
            sources=(path,),
            grids=(Grid.of_affine(stored["affine"], images.shape[::-1], "axial"),),
            axis="axial",
        )
    stack = _read(head)
    if tuple(stored["slices"].tolist()) != stack.slice_numbers:
        told = f"The reference mask {path.name} is for other slices than those of the head"
        raise UnreadableFile(f"{told}; install skullnb again.")
    return replace(stack, reference=stored["reference"], reference_sources=(path,))


def load_whole(name: str) -> Stack:
    """Return all axial slices of an open head; only of colin27 do all have a reference mask."""
    head = replace(find(name), slices="")
    if name == BUILT_IN:
        return load(name)
    return _colin27(head) if name == "colin27" else _read(head)


def _read(head: Head) -> Stack:
    """Read the scan of a head."""
    files, own = fetch(head.name), head.slices
    return read_stack(files, groups=head.group, slices=own, axis="axial", name=head.name)


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
    numbers = parse_slices(head.slices, grid.slices_shape[0])
    inside = np.isin(grid.cut(labelled["seg"])[numbers], _SKULL_AND_INSIDE).astype(np.uint8)
    return Stack(
        images=grid.cut(scan["anatomy"])[numbers].copy(),
        reference=np.stack([fill_holes(one) for one in inside]),
        spacing_mm=head.spacing_mm,
        groups=(head.group,) * len(numbers),
        name=head.name,
        sources=(paths[0],),
        slice_numbers=tuple(numbers),
        grids=(grid,),
        axis="axial",
        reference_sources=(paths[1],),
    )


def open_data(
    images: str = "", *, slices: str = "", nan_background: bool = False, **own: Any
) -> Stack:
    """Open what a command or notebook is about: a head by its name, or what `read_stack` reads.

    "" is the head inside the package, "phantom" the stand-in for the article's slices. These have
    a reference, groups, a spacing and an axis of their own; of all others `own` says them.

    >>> open_data(slices="4:8").name, len(open_data("phantom"))
    ('studyforrest', 5)
    """
    name = known(images)
    if not name:
        return read_stack(images, slices=slices, nan_background=nan_background, **own)
    for parameter, value in own.items():
        if value:
            raise InvalidSetting(
                f"{parameter} is given for {images or 'no images'}, and the heads that have a name "
                "bring their own; leave it out, or name the files of your images."
            )
    if name == "phantom":
        from skullnb.phantom import published_stack

        stack = published_stack()
    else:
        stack = load(name)
    return stack.select(parse_slices(slices, len(stack))) if slices else stack
