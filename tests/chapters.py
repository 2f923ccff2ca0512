"""Tiny chapters for tests: real notebooks with the book's parameters, quick to run."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PARAMETERS = """\
images: str = ""  # the slices; none: the built-in phantom
reference: str = ""  # the reference mask
groups: str = ""  # one label a slice
spacing_mm: str = ""  # millimetres a pixel, row,column
slices: str = ""  # such as 104:127
axis: str = "axial"  # anatomical axis
kernel_width: int = 26  # side of the structuring element, px
output_dir: str = ""  # folder for the results"""

OPEN = """\
from skullnb.chapter import open_chapter

chapter = open_chapter(
    "{name}", images=images, reference=reference, groups=groups, spacing_mm=spacing_mm,
    slices=slices, axis=axis, kernel_width=kernel_width, output_dir=output_dir,
)"""


def write_chapter(
    folder: Path, name: str, *cells: str, text: str = "", parameters: str = PARAMETERS
) -> Path:
    """Write a chapter whose code cells are `cells`, between opening and closing it."""
    sources = [OPEN.format(name=name), *cells, "chapter.close()"]
    notebook = new_notebook(
        cells=[
            new_markdown_cell(f"# Chapter {name}\n\n{text}"),
            new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            *(new_code_cell(source) for source in sources),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path
