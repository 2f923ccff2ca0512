"""Tiny notebooks and a small book for tests: real ones, quick to run and to build."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from skullnb.report import build

ROOT = Path(__file__).resolve().parents[1]
SCAN = "scan <b>*1*.npy"

PARAMETERS = next(
    cell.source
    for cell in nbformat.read(ROOT / "notebooks" / "03-threshold.ipynb", as_version=4).cells
    if "parameters" in cell.metadata.get("tags", [])
)
OPEN = 'from skullnb.report.chapter import open_chapter\n\nchapter = open_chapter("{}", globals())'

TOC = """\
format: jb-book
root: index
parts:
  - caption: The method
    chapters: [{file: notebooks/01-data}, {file: notebooks/03-threshold}]
  - caption: At hand
    chapters: [{file: book/notes}, {file: book/teaching}]
"""


def write_chapter(folder: Path, name: str, *cells: str | tuple[str, str], text: str = "") -> Path:
    """Write a notebook: parameters, opening, then code cells, or (code, tags) of them."""
    given: list[tuple[str, str]] = [(PARAMETERS, "parameters remove-cell"), (OPEN.format(name), "")]
    given += [cell if isinstance(cell, tuple) else (cell, "") for cell in cells]
    notebook = new_notebook(
        cells=[
            new_markdown_cell(f"# Chapter {name}\n\n{text}"),
            *(new_code_cell(code, metadata={"tags": tags.split()}) for code, tags in given),
        ]
    )
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def add_text(path: Path, text: str, *tags: str) -> None:
    """Add a cell of text at the end of a notebook."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(new_markdown_cell(text, metadata={"tags": list(tags)}))
    nbformat.write(notebook, path)


def small_book(folder: Path) -> Path:
    """Write the book's settings and looks with two pages of our own."""
    left_out = shutil.ignore_patterns("*.md", "__pycache__")
    shutil.copytree(ROOT / "book", folder, ignore=left_out)
    (folder / "_toc.yml").write_text(TOC, encoding="utf-8")
    (folder / "_toc-report.yml").write_text(TOC, encoding="utf-8")
    (folder / "notes.md").write_text(
        "# Notes\n\nOtsu, see [the data](../notebooks/01-data.ipynb) and [a page](gone.md).\n\n"
        "```{raw} html\n:file: _generated/try-it.html\n```\n"
    )
    (folder / "teaching.md").write_text("# Teaching\n\nNot for students.\n")
    return folder


def use(patch: pytest.MonkeyPatch, notebooks: Path, book: Path) -> None:
    """Have reports made of these."""
    places = {"notebooks": notebooks, "book": book}
    patch.setattr(build, "find_assets", places.__getitem__)


def write_data(folder: Path, names: Sequence[str] = (SCAN, "masks.npy")) -> tuple[Path, Path]:
    """Write two small slices, ring of scalp and brain, and their reference mask."""
    images = np.zeros((2, 96, 80), np.float32)
    reference = np.zeros((2, 96, 80), np.uint8)
    for image, mask in zip(images, reference, strict=True):
        cv2.ellipse(image, (40, 48), (34, 42), 0, 0, 360, 1.0, 3)
        cv2.ellipse(image, (40, 48), (20, 28), 0, 0, 360, 0.8, -1)
        cv2.ellipse(mask, (40, 48), (29, 37), 0, 0, 360, 1, -1)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, (images, reference), strict=True):
        np.save(folder / name, array)
    return folder / names[0], folder / names[1]
