"""The student version of a chapter: its questions and its exercise, without the answers."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

TEACHERS_PAGES = ("teaching",)
"""Pages of the book that a student's copy leaves out."""

_FOLDED = re.compile(
    r'<details(?: class="(?P<kind>\w+)")?><summary>(?P<summary>.*?)</summary>.*?</details>',
    flags=re.DOTALL,
)


def without_answers(text: str) -> str:
    """Take the folded answers out of a chapter's text; a question stays as a line of a list.

    Parameters
    ----------
    text : str
        Markdown of one cell.

    Returns
    -------
    str
        Other folded parts are left as they are.

    Examples
    --------
    >>> print(without_answers('''<details class="answer"><summary>Answer</summary>
    ...
    ... 42
    ...
    ... </details>
    ...
    ... <details class="question"><summary>Why?</summary>
    ...
    ... Because.
    ...
    ... </details>'''))
    - Why?
    """

    def kept(fold: re.Match[str]) -> str:
        if fold["kind"] == "question":
            return f"- {fold['summary']}"
        return "" if fold["summary"] == "Answer" else fold[0]

    return _FOLDED.sub(kept, text).strip("\n")


def strip_answers(path: Path) -> None:
    """Make a chapter's notebook its student version, in place.

    Its figures and results stay; the exercise is as empty as before it was first run.

    Parameters
    ----------
    path : Path
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = without_answers(cell.source)
        elif "exercise" in cell.metadata.get("tags", []):
            cell.outputs, cell.execution_count = [], None
    notebook.cells = [cell for cell in notebook.cells if cell.source]
    nbformat.write(notebook, path)
