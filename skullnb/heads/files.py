"""A head's files: from a mirror folder, from the cache, or downloaded; never unchecked."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.heads.registry import Head, HeadFile
from skullnb.stack.names import expand, sha256_of_file

MIRROR_VARIABLE = "SKULLNB_HEADS_MIRROR"
"""Environment variable that names a folder with copies of the files, used instead of the net."""

CACHE_VARIABLE = "SKULLNB_HEADS_CACHE"
"""Environment variable that names another cache than the user's usual one."""

Progress = Callable[[int], object]


def fetch(
    head: Head, mirror: str | Path = "", progress: Progress | None = None
) -> tuple[Path, ...]:
    """Return a head's files, downloading what is not here yet.

    Parameters
    ----------
    head : Head
    mirror : str or Path
        A folder with copies, such as `mirror/colin27/standard_mri.mat`; nothing is downloaded
        then. `""` is the folder that `SKULLNB_HEADS_MIRROR` names, if it is set.
    progress : callable, optional
        Called with the number of bytes that have come since; they add up to `head.n_bytes`.

    Returns
    -------
    tuple of Path
        In the order of `head.files`. Each has the sha256 that the registry says.

    Raises
    ------
    UnreadableFile
        If a file is missing in the mirror, can't be downloaded, or has another sha256.
    InvalidSetting
        If pooch, which downloads, is not installed.

    Examples
    --------
    >>> from skullnb.heads import HEADS
    >>> fetch(HEADS["colin27"], mirror="a folder that is not there")
    Traceback (most recent call last):
    skullnb.errors.UnreadableFile: There is no mirror folder 'a folder that is not there'; correct
    or unset SKULLNB_HEADS_MIRROR.
    """
    folder = _mirror(mirror)
    tell = progress or (lambda n_bytes: None)
    if folder is None:
        return tuple(_download(file, tell) for file in head.files)
    if not folder.is_dir():
        raise UnreadableFile(
            f"There is no mirror folder '{folder}'; correct or unset {MIRROR_VARIABLE}."
        )
    paths = []
    for file in head.files:
        paths.append(_checked(folder / file.name, file, folder))
        tell(file.n_bytes)
    return tuple(paths)


def is_here(head: Head, mirror: str | Path = "") -> bool:
    """Whether all of a head's files are in the mirror or the cache, judged by their size.

    Examples
    --------
    >>> from skullnb.heads import HEADS
    >>> is_here(HEADS["colin27"], mirror="a folder that is not there")
    False
    """
    try:
        folder = _mirror(mirror) or cache_folder()
    except InvalidSetting:
        return False
    paths = [(folder / file.name, file.n_bytes) for file in head.files]
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)


def cache_folder() -> Path:
    """Return the folder that downloads are kept in.

    Examples
    --------
    >>> os.environ[CACHE_VARIABLE] = "heads"
    >>> cache_folder().name
    'heads'
    >>> del os.environ[CACHE_VARIABLE]
    """
    given = os.environ.get(CACHE_VARIABLE, "")
    return expand(given) if given else Path(_pooch().os_cache("skullnb")) / "heads"


def _mirror(mirror: str | Path) -> Path | None:
    """Return the mirror folder that is given or set, if any."""
    name = str(mirror) or os.environ.get(MIRROR_VARIABLE, "")
    return expand(name) if name else None


def _checked(path: Path, file: HeadFile, folder: Path) -> Path:
    """Return the path of a file in a mirror if it is whole and the right one."""
    if not path.is_file():
        raise UnreadableFile(
            f"The mirror folder '{folder}' has no {file.name}; complete it, or unset "
            f"{MIRROR_VARIABLE} to download from {file.address}."
        )
    if sha256_of_file(path) != file.sha256:
        raise UnreadableFile(
            f"{file.name} in the mirror folder '{folder}' is not the registered file: it has "
            f"{path.stat().st_size:,} of {file.n_bytes:,} bytes and another sha256; copy it again."
        )
    return path


def _download(file: HeadFile, tell: Progress) -> Path:
    """Return a file of the cache; download it if it is not there or not the right one."""
    pooch = _pooch()
    pooch.get_logger().setLevel("WARNING")  # it would print every file's name
    bar = _Bar(tell)
    store = pooch.create(
        path=cache_folder(),
        base_url="",
        registry={file.name: f"sha256:{file.sha256}"},
        urls={file.name: file.address},
        retry_if_failed=1,
    )
    try:
        path = store.fetch(file.name, downloader=pooch.HTTPDownloader(progressbar=bar, timeout=30))
    except ValueError as error:  # pooch has thrown the file away
        raise UnreadableFile(
            f"What came from {file.address} is not the registered file, its sha256 differs, so it "
            "was not kept; try again, or use a mirror folder."
        ) from error
    except Exception as error:  # every layer of the network fails in its own way
        raise UnreadableFile(
            f"{file.name} could not be downloaded from {file.address} ({type(error).__name__}); "
            f"check the connection, or name a folder with copies in {MIRROR_VARIABLE}."
        ) from error
    tell(file.n_bytes - bar.seen)
    return Path(path)


class _Bar:
    """What pooch takes for a progress bar: it counts on, and never past the end."""

    def __init__(self, tell: Progress) -> None:
        self.total, self.seen, self._tell = 0, 0, tell

    def update(self, n_bytes: int) -> None:
        """Count bytes that have come."""
        new = min(n_bytes, self.total - self.seen)
        self.seen += new
        self._tell(new)

    def reset(self) -> None:
        """Do nothing: pooch starts over only to jump to the end."""

    def close(self) -> None:
        """Do nothing: the bar is for several files."""


def _pooch() -> Any:
    try:
        return import_module("pooch")
    except ImportError as error:
        raise InvalidSetting(
            "Downloading heads needs pooch, which is not installed; run: "
            f"pip install 'skullnb[heads]', or name a folder with copies in {MIRROR_VARIABLE}."
        ) from error
