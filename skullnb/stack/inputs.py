"""What a path stands for: files, folders and patterns, as the volumes to be read from them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.stack.dicom import Series, find_series, open_series
from skullnb.stack.dicom_files import is_dicom
from skullnb.stack.formats import READERS, open_volume
from skullnb.stack.names import expand, natural_key, refuse_strange_name, stem, suffix_of
from skullnb.stack.volume import Volume, in_one_sentence

KINDS = f"{', '.join(READERS)} and DICOM"
_MOST_LISTED = 6


@dataclass(frozen=True, eq=False)
class Input:
    """What is read as one volume: a file, or the files of one DICOM series.

    Attributes
    ----------
    name : str
        A file's name without its ending; a series' folder, with its number where the folder
        holds several.
    path : Path
        The file, or the series' folder.
    series : Series or None
        The series, where it is one.
    """

    name: str
    path: Path
    series: Series | None = None

    def open(self, axis: str = "axial", part: str = "images") -> Volume:
        """Open it; see `skullnb.stack.formats.open_volume`."""
        if self.series is None:
            return open_volume(self.path, axis, part)
        with in_one_sentence(self.path):
            return open_series(self.series, axis, self.name, self.path)


def split_series(path: str | Path) -> tuple[Path, str]:
    """Split the number of a series off the path it is written after.

    Parameters
    ----------
    path : str or Path
        Such as `scans/dicom#6`. A file or folder that is really called so is left whole.

    Returns
    -------
    Path
    str
        The number, or "".

    Examples
    --------
    >>> path, number = split_series("scans/dicom#6")
    >>> path.as_posix(), number
    ('scans/dicom', '6')
    """
    whole = expand(path)
    found = re.fullmatch(r"(.+)#(\d+)", str(whole), re.DOTALL)
    if found is None or whole.exists():
        return whole, ""
    return Path(found[1]), found[2]


def list_inputs(path: str | Path) -> list[Path]:
    """Return the files a path stands for.

    Parameters
    ----------
    path : str or Path
        A file; a folder, whose files of a kind that is read are taken (others and hidden ones are
        left out, folders inside it too); or a pattern with `*` or `?`. DICOM files are known by
        their contents where their names have no ending.

    Returns
    -------
    list of Path
        In natural order: `slice-2` before `slice-10`.

    Raises
    ------
    InvalidSetting
        If no path is given, or a pattern that is none.
    UnreadableFile
        If there is nothing there, or nothing of a kind that is read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("s10.npy", "s2.npy", "notes.txt"):
    ...         (Path(folder) / name).touch()
    ...     [file.name for file in list_inputs(folder)]
    ['s2.npy', 's10.npy']
    """
    if not str(path).strip():
        raise InvalidSetting("No images are given; name a file or a folder.")
    path, _ = split_series(path)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = list(path.iterdir())
    elif set(str(path)) & set("*?["):
        *folders, name = path.parts
        if "**" in name or any("**" in folder and folder != "**" for folder in folders):
            # Versions of Python differ in what they make of it.
            raise InvalidSetting(
                f"The pattern {path} can't be read: ** stands for folders, alone between two "
                "slashes, as in 'scans/**/*.nii.gz'."
            )
        found = list(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    else:
        raise UnreadableFile(f"There is no file or folder {path}; check the path.")
    files = [
        file
        for file in found
        if file.is_file()
        and not file.name.startswith(".")
        and (suffix_of(file) in READERS or is_dicom(file))
    ]
    if not files:
        raise UnreadableFile(f"{path} holds no file of a kind that is read; the kinds are {KINDS}.")
    for file in files:
        refuse_strange_name(file)
    return sorted(files, key=natural_key)


def list_volumes(
    images: str | Path | Sequence[Path] | Input, *, every_series: bool = False
) -> list[Input]:
    """Return the volumes a path stands for.

    Parameters
    ----------
    images : str, Path, sequence of Path, or Input
        As `list_inputs` takes it, or the files themselves. `folder#6` is series 6 of a folder of
        DICOM files.
    every_series : bool
        Whether a folder may give several series; otherwise one has to be chosen.

    Returns
    -------
    list of Input
        In natural order of their names.

    Raises
    ------
    InvalidSetting
        If a folder holds several series and none is chosen, or two volumes have the same name.
    UnreadableFile
        If there is nothing to read, or a DICOM file is damaged.

    Examples
    --------
    >>> [volume.name for volume in list_volumes([Path("sub-01.nii.gz"), Path("sub-02.nii.gz")])]
    ['sub-01', 'sub-02']
    """
    if isinstance(images, Input):
        return [images]
    if isinstance(images, Sequence) and not isinstance(images, str):
        files, where, number = [expand(one) for one in images], Path("The list of images"), ""
    else:
        files, (where, number) = list_inputs(images), split_series(images)
    others = [file for file in files if suffix_of(file) in READERS or not is_dicom(file)]
    volumes = [Input(stem(file), file) for file in others]
    series = find_series(file for file in files if file not in set(others))
    for folder in dict.fromkeys(one.folder for one in series):
        here = [one for one in series if one.folder == folder]
        volumes += _choose_series(here, number, every_series)
    if number and all(volume.series is None for volume in volumes):
        raise InvalidSetting(f"{where} holds no DICOM series, so there is no number {number}.")
    if not volumes:
        held = "holds DICOM files, but none with an image" if files else "names no file"
        raise UnreadableFile(f"{where} {held}.")
    _refuse_same_names(volumes, where)
    return sorted(volumes, key=lambda volume: natural_key(_label(volume)))


def _choose_series(series: list[Series], number: str, every_series: bool) -> list[Input]:
    """Name the series of one folder and take the one that is asked for, or all."""
    folder = series[0].folder.resolve()
    chosen = [one for one in series if number in ("", one.number)]
    if not chosen or (len(chosen) > 1 and not every_series):
        listed = "; ".join(map(str, series[:_MOST_LISTED]))
        more = len(series) - _MOST_LISTED
        listed += f"; and {more} more" if more > 0 else ""
        wanted = f"and none has the number {number}" if number else "and one is needed"
        raise InvalidSetting(
            f"{folder.name} holds {len(series)} series of DICOM images ({listed}), {wanted}; "
            f"choose one by its number, as in {folder.name}#{series[0].number}."
        )
    if len(series) > 1:
        return [Input(f"{folder.name}-series{one.number}", folder, one) for one in chosen]
    only = chosen[0]
    if len(only.files) == 1:
        return [Input(stem(only.files[0]), only.files[0], only)]
    return [Input(folder.name, folder, only)]


def _label(volume: Input) -> Path:
    """Return what tells a volume from others: a file's whole name, a series' name."""
    return Path(volume.name) if volume.series else volume.path


def _refuse_same_names(volumes: list[Input], where: Path) -> None:
    """Refuse volumes whose results could not be told apart."""
    name, times = Counter(_label(volume).name for volume in volumes).most_common(1)[0]
    if times > 1:
        raise InvalidSetting(
            f"{times} of the files {where} stands for are called {name}, so their results could "
            "not be told apart; give each its own name."
        )
