"""Take out of executed notebooks what no reader should see: full paths, records, dead widgets."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat

_WIDGET_TYPES = (
    "application/vnd.jupyter.widget-view+json",
    "application/vnd.jupyter.widget-state+json",
)


def path_scrubber(folders: Iterable[Path]) -> Callable[[Any], Any]:
    """Make a function that takes the names of folders out of texts.

    Takes a text, or lists and dicts that hold texts; returns the same without the folders.
    `folders`: besides these, the home folder, Python's own and that of skullnb are taken out. A
    relative one is not: its name may be a word of any sentence.

    Examples
    --------
    >>> path_scrubber([Path("/data/patients")])({"images": "/data/patients/scan.nii.gz", "n": 5})
    {'images': 'scan.nii.gz', 'n': 5}
    """
    package = Path(__file__).resolve().parents[2]
    known = {*folders, package, Path(sys.prefix)}
    with suppress(RuntimeError):  # a user without a home, as in some containers
        known.add(Path.home())
    # The longest first: a folder inside another one is to go as a whole.
    texts = [str(one) for one in known if one.is_absolute() and one != Path(one.anchor)]
    names = sorted(texts, key=len, reverse=True)
    pattern = re.compile(
        "(?:" + "|".join(re.escape(name) for name in names) + r")(?:[/\\]|(?![\w.-]))"
    )

    def scrub(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub("", value)
        if isinstance(value, Mapping):
            return {key: scrub(one) for key, one in value.items()}
        if isinstance(value, list):
            return [scrub(one) for one in value]
        return value

    return scrub


def clean_notebook(path: Path, parameters: Mapping[str, Any], scrub: Callable[[Any], Any]) -> str:
    """Take out of an executed notebook what no reader should see.

    Full paths and papermill's records go; the cell with the injected parameters shows what was
    chosen for this run. Widget views go too, since no page carries a runtime for them.

    Parameters
    ----------
    path : Path
        The notebook, rewritten in place.
    parameters : mapping
        What to show as injected; empty = no such cell.
    scrub : callable
        From `path_scrubber`.

    Returns
    -------
    str
        The error that stopped the notebook, as "KeyError: 'x'"; "" when none did.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    cells, error = [], ""
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        tags = cell.metadata.get("tags", [])
        if "papermill-error-cell-tag" in tags:
            continue
        if "injected-parameters" in tags:
            if not parameters:
                continue
            lines = [f"{name} = {value!r}" for name, value in parameters.items()]
            cell.source = "\n".join(["# Chosen for this run", *lines])
        if cell.cell_type == "code":
            cell.outputs = [_clean_output(one, scrub) for one in cell.outputs if _is_shown(one)]
            for output in cell.outputs:
                if output.output_type == "error":
                    error = f"{output.ename}: {output.evalue}".splitlines()[0]
        cells.append(cell)
    notebook.cells = cells
    nbformat.write(notebook, path)
    return error


def _is_shown(output: Mapping[str, Any]) -> bool:
    data = output.get("data", {})
    return not any(kind in data for kind in _WIDGET_TYPES) or "image/png" in data


def _clean_output(output: Any, scrub: Callable[[Any], Any]) -> Any:
    if "data" in output:
        for kind in _WIDGET_TYPES:
            output.data.pop(kind, None)
    for key, value in output.items():
        output[key] = nbformat.from_dict(scrub(value)) if isinstance(value, dict) else scrub(value)
    return output
