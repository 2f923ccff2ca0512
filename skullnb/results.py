"""The results file: every number that prose or a table quotes, with where it came from.

A chapter writes one JSON file; a report collates the chapters' files into one.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting, ReportFailed, UnreadableFile

FORMAT = "skullnb-results-1"

_LIBRARIES = ("skullnb", "numpy", "scipy", "opencv-python-headless", "nibabel")


@dataclass
class Results:
    """The numbers of one chapter.

    Parameters
    ----------
    chapter : str
        The notebook's name, for instance "05-dilation".
    parameters : mapping
        What the notebook was given.
    inputs : mapping
        sha256 of every input, by file name.
    values : dict
        The numbers, by name; filled by `record`.

    Examples
    --------
    >>> results = Results("05-dilation", {"kernel_width": 26})
    >>> results.record(best_width=26, iou=[0.5, float("nan")])
    >>> results.value("iou")
    [0.5, None]
    """

    chapter: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def record(self, **values: Any) -> None:
        """Keep numbers, texts and lists of them under a name each.

        Parameters
        ----------
        **values
            Numbers, strings, booleans, None, and lists, arrays or mappings of them. JSON has no
            NaN and no infinity: NaN is kept as None, infinity as the text "inf" or "-inf".
        """
        self.values.update({name: _plain(value) for name, value in values.items()})

    def value(self, name: str) -> Any:
        """Give one recorded value back.

        Parameters
        ----------
        name : str

        Raises
        ------
        InvalidSetting
            If nothing was recorded under that name.
        """
        if name not in self.values:
            known = ", ".join(sorted(self.values)) or "nothing"
            raise InvalidSetting(f"No result is called {name!r}; recorded: {known}.")
        return self.values[name]

    def write(self, folder: str | Path) -> Path:
        """Write the file `<folder>/<chapter>.json`, whole or not at all.

        Parameters
        ----------
        folder : path
            Made when it is not there.

        Returns
        -------
        Path
        """
        content = {
            "format": FORMAT,
            "chapter": self.chapter,
            "parameters": _plain(self.parameters),
            "inputs": dict(self.inputs),
            "versions": versions(),
            "values": self.values,
        }
        return write_json(content, Path(folder) / f"{self.chapter}.json")

    @classmethod
    def read(cls, path: str | Path) -> Results:
        """Read a chapter's results.

        Parameters
        ----------
        path : path
            A file that `write` made.

        Raises
        ------
        UnreadableFile
            If the file is missing, broken, or not a results file.
        """
        content = _read_json(Path(path))
        return cls(
            chapter=content["chapter"],
            parameters=content["parameters"],
            inputs=content["inputs"],
            values=content["values"],
        )


def collate(folder: str | Path) -> dict[str, Any]:
    """Bring the results of all chapters in a folder together.

    Parameters
    ----------
    folder : path
        Holds the files that `Results.write` made.

    Returns
    -------
    dict
        `format`, `parameters` and `inputs` (those the chapters share), `versions`, and
        `chapters`: the values by chapter.

    Raises
    ------
    UnreadableFile
        If a file is broken, or there is none.
    ReportFailed
        If the chapters are not about the same images.
    """
    paths = sorted(Path(folder).glob("*.json"))
    if not paths:
        raise UnreadableFile(f"No results in {Path(folder).name!r}; run a chapter first.")
    contents = [_read_json(path) for path in paths]
    inputs: dict[str, str] = {}
    for one in contents:
        for name, sha in one["inputs"].items():
            if inputs.setdefault(name, sha) != sha:
                raise ReportFailed(
                    f"The {name} changed while chapters ran: {one['chapter']!r} saw others than "
                    "the chapters before it; run them all again."
                )
    return {
        "format": FORMAT,
        "parameters": contents[0]["parameters"],
        "inputs": inputs,
        "versions": contents[0]["versions"],
        "chapters": {one["chapter"]: one["values"] for one in contents},
    }


def tabulate_runs(folder: str | Path) -> list[dict[str, Any]]:
    """Set the numbers of many runs side by side, such as one run for each subject.

    Parameters
    ----------
    folder : path
        Holds a folder for each run, at any depth: the `output_dir` of notebooks, or reports. What
        is in hidden folders does not count.

    Returns
    -------
    list of dict
        A row for each run, all with the same names: `run` (its folder), the parameters, and
        every single number or text as `chapter.name`; None where a run has none. Lists, such as
        the numbers of each slice, stay in the runs' own files.

    Raises
    ------
    UnreadableFile
        If a results file is broken, or there is none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for subject, threshold in (("sub-01", 23), ("sub-02", 31)):
    ...         one = Results("03-threshold", {"kernel_width": 26})
    ...         one.record(lowest=threshold)
    ...         _ = one.write(Path(folder) / subject / "results")
    ...     for row in tabulate_runs(folder):
    ...         print(row)
    {'run': 'sub-01', 'kernel_width': 26, '03-threshold.lowest': 23}
    {'run': 'sub-02', 'kernel_width': 26, '03-threshold.lowest': 31}
    """
    folder = Path(folder)
    runs: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("results/*.json")):
        run = path.relative_to(folder).parent.parent
        if any(part.startswith(".") for part in run.parts):
            continue
        content = _read_json(path, path.relative_to(folder).as_posix())
        values = {f"{content['chapter']}.{name}": one for name, one in content["values"].items()}
        row = runs.setdefault(run.as_posix(), {"run": run.as_posix(), **content["parameters"]})
        row.update({name: one for name, one in values.items() if not isinstance(one, list | dict)})
    if not runs:
        raise UnreadableFile(
            f"No results in {folder.name!r}; give the folder that holds the runs' output folders."
        )
    names = dict.fromkeys(name for row in runs.values() for name in row)
    return [{name: row.get(name) for name in names} for row in runs.values()]


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide the numbers.

    Returns
    -------
    dict of str

    Examples
    --------
    >>> sorted(versions())[:2]
    ['nibabel', 'numpy']
    """
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def write_json(content: Mapping[str, Any], path: Path) -> Path:
    """Write a JSON file, whole or not at all.

    Parameters
    ----------
    content : mapping
    path : Path
        Its folder is made when it is not there.

    Returns
    -------
    Path
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return write_text(text, path)


def write_text(text: str, path: Path) -> Path:
    """Write a text file under a passing name, then rename it: whole or not at all.

    That holds where the power fails, too: the text is on the disk before it gets its name.

    Parameters
    ----------
    text : str
    path : Path
        Its folder is made when it is not there.

    Returns
    -------
    Path
    """
    passing = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with make_folder(path.parent):
        try:
            # A label may hold bytes that are no letters; in JSON their escape is right.
            passing.write_text(text, encoding="utf-8", errors="backslashreplace")
            sync_path(passing)
            passing.replace(path)
        finally:
            passing.unlink(missing_ok=True)
    return path


def sync_path(path: Path) -> None:
    """Return when a file, or a folder's list of names, is safely on the disk."""
    if sys.platform == "win32" and path.is_dir():
        return  # Windows keeps no handle on folders
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def make_folder(folder: Path) -> Iterator[None]:
    """Make a folder where there is none; take it away again if what was to go into it failed.

    Parameters
    ----------
    folder : Path
    """
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # others may have put something there meanwhile
            for one in new:
                one.rmdir()
        raise


_MOST_BYTES = 100_000_000  # a chapter's results on 10,000 slices are a hundredth of this
_PARTS = {"chapter": str, "parameters": dict, "inputs": dict, "versions": dict, "values": dict}


def _read_json(path: Path, called: str = "") -> dict[str, Any]:
    name = called or path.name
    if path.exists() and (not path.is_file() or path.stat().st_size > _MOST_BYTES):
        raise UnreadableFile(f"{name!r} is no file of results: no file at all, or far too large.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableFile(f"Cannot read {name!r}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{name!r} is not JSON, or is cut short.") from error
    whole = isinstance(content, dict) and content.get("format") == FORMAT
    if not whole or not all(isinstance(content.get(key), kind) for key, kind in _PARTS.items()):
        raise UnreadableFile(
            f"{name!r} is not a skullnb results file, or not a whole one; make it again."
        )
    found: dict[str, Any] = content
    return found


def _plain(value: Any) -> Any:
    """Turn arrays and numpy scalars into what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InvalidSetting(f"A result must be a number or a text, not {type(value).__name__}.")
