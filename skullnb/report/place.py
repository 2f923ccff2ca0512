"""Where a report goes: what may be replaced, and how the finished folder gets its name."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from skullnb.errors import InvalidSetting

MARKER = ".skullnb-report"
"""A file in every report; a folder without it is never overwritten."""


def check_output(output: Path, overwrite: bool, inputs: Iterable[str]) -> None:
    """Refuse an output folder that a report may not take.

    `overwrite`: whether an older report may be replaced. `inputs`: the data's files; none may lie
    in what would be replaced.

    Raises
    ------
    InvalidSetting
        If the folder is not empty and not an older report, or may not be overwritten.
    """
    if output.is_file():
        raise InvalidSetting(f"The output folder {output.name!r} is a file; choose another name.")
    if Path.cwd().is_relative_to(output):
        raise InvalidSetting(
            "The output folder is the current one, or holds it; choose a new folder's name."
        )
    if not output.exists() or not any(output.iterdir()):
        return
    if not overwrite:
        raise InvalidSetting(
            f"The output folder {output.name!r} is not empty; choose another, or overwrite it."
        )
    if not (output / MARKER).is_file():
        raise InvalidSetting(
            f"The output folder {output.name!r} holds something that is not a skullnb report,"
            " so it is not overwritten; choose another."
        )
    for path in inputs:
        if path and output in Path(path).parents:
            raise InvalidSetting(
                f"The input {Path(path).name!r} lies in the output folder {output.name!r}, which"
                " would be replaced; choose another output folder."
            )


def put_in_place(work: Path, output: Path) -> None:
    """Give the finished report its name; an older one steps aside until that has worked.

    `work`: the finished report, on the same file system. `output`: where it goes.
    """
    (work / MARKER).write_text("Made by skullnb; safe to overwrite.\n", encoding="utf-8")
    old = work.with_suffix(".old")
    if output.exists():
        output.rename(old)
    try:
        work.rename(output)
    except BaseException:
        if old.exists():
            old.rename(output)
        raise
    shutil.rmtree(old, ignore_errors=True)
