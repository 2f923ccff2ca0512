"""Which chapters run, and which parameters each of them gets; unknown names are refused."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skullnb.errors import InvalidSetting, UnreadableFile


def choose_chapters(folder: Path, chapters: Sequence[str]) -> list[Path]:
    """Find the chapters' notebooks.

    In the order of their numbers. `folder`: holds the notebooks, named by number and subject.
    `chapters`: names or numbers; empty = all.

    Raises
    ------
    InvalidSetting
        If a chapter is not there.

    Examples
    --------
    >>> from skullnb.report import find_assets
    >>> choose_chapters(find_assets("notebooks"), ["05"])[0].name
    '05-dilation.ipynb'
    """
    found = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]-*.ipynb"))}
    if not found:
        raise UnreadableFile(f"There is no chapter in {folder.name!r}; install skullnb again.")
    if not chapters:
        return list(found.values())
    chosen = set()
    for wanted in chapters:
        names = [name for name in found if wanted in (name, name.split("-")[0])]
        if not names:
            raise InvalidSetting(
                f"There is no chapter {wanted!r}; the chapters are {', '.join(found)}."
            )
        chosen.update(names)
    return [found[name] for name in sorted(chosen)]


def accepted_parameters(
    notebooks: Iterable[Path], chosen: Mapping[str, Any], needed: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Pick each chapter's parameters, and refuse the names that papermill would only warn of.

    Gives, for each chapter's name, those parameters that it has. `chosen`: parameters by name.
    `needed`: names that every chapter must take, where they are chosen.

    Raises
    ------
    InvalidSetting
        If no chapter has a parameter, or one chapter lacks a needed one.
    """
    known = {path.stem: parameter_names(path) for path in notebooks}
    everything = sorted(set().union(*known.values()))
    for name in chosen:
        if name not in everything:
            close = difflib.get_close_matches(name, everything, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(everything)}."
            raise InvalidSetting(f"No chapter has a parameter {name!r}; {hint}")
        lacking = [chapter for chapter, names in known.items() if name not in names]
        if lacking and name in needed:
            # Without it, that page would be about other data than the rest of the book.
            raise InvalidSetting(f"The chapter {lacking[0]!r} has no parameter {name!r}; add it.")
    return {
        chapter: {name: value for name, value in chosen.items() if name in names}
        for chapter, names in known.items()
    }


def parameter_names(notebook: Path) -> set[str]:
    """Read the names in the cell after which papermill injects.

    papermill's own reading leaves out a line whose comment holds an equals sign.

    Empty when there is no such cell.
    """
    import nbformat

    for cell in nbformat.read(notebook, as_version=4).cells:
        if "parameters" in cell.metadata.get("tags", []):
            tree = ast.parse(cell.source)
            targets = [one.target for one in tree.body if isinstance(one, ast.AnnAssign)]
            plain = [one.targets for one in tree.body if isinstance(one, ast.Assign)]
            names = [*targets, *(target for group in plain for target in group)]
            return {name.id for name in names if isinstance(name, ast.Name)}
    return set()
