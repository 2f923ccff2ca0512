"""What the book's pages are made of: executed notebooks, generated Markdown, a picture.

Everything here runs after the chapters and before the book is built. Numbers come from the
chapters' results and from `skullnb.published`; texts from outside are escaped.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import yaml
from nbformat.v4 import new_markdown_cell

from skullnb.chapter import MOST_SHOWN, escape
from skullnb.pipeline import PipelineSettings, create_skull_masks
from skullnb.report.table import published_table
from skullnb.stack import Stack

__all__ = ["clean_notebook", "path_scrubber", "stage_book", "stage_toc", "without_dead_links"]

_WIDGET_TYPES = (
    "application/vnd.jupyter.widget-view+json",
    "application/vnd.jupyter.widget-state+json",
)


def path_scrubber(folders: Iterable[Path]) -> Callable[[Any], Any]:
    """Make a function that takes the names of folders out of texts.

    Parameters
    ----------
    folders : iterable of Path
        Besides these, the home folder, Python's own and that of skullnb are taken out.

    Returns
    -------
    callable
        Takes a text, or lists and dicts that hold texts; returns the same without the folders.

    Examples
    --------
    >>> path_scrubber([Path("/data/patients")])({"images": "/data/patients/scan.nii.gz", "n": 5})
    {'images': 'scan.nii.gz', 'n': 5}
    """
    package = Path(__file__).resolve().parents[2]
    known = {str(one) for one in (*folders, package, Path(sys.prefix), Path.home())}
    # The longest first: a folder inside another one is to go as a whole.
    names = sorted((name for name in known if len(name) > 1), key=len, reverse=True)
    pattern = re.compile("(?:" + "|".join(re.escape(name) for name in names) + r")[/\\]?")

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


def stage_book(
    source: Path,
    notebooks: Path,
    book: Path,
    *,
    results: Mapping[str, Any],
    stack: Stack,
    settings: PipelineSettings,
    is_phantom: bool,
    failures: Mapping[str, str],
) -> None:
    """Bring together, in one folder, all that Jupyter Book needs.

    Parameters
    ----------
    source : Path
        The book's own pages and settings.
    notebooks : Path
        The executed chapters.
    book : Path
        The folder to make.
    results : mapping
        As `skullnb.results.collate` gives them.
    stack : Stack
        The data, for the landing page's picture.
    settings : PipelineSettings
        Settings of the masks in that picture.
    is_phantom : bool
        Whether the data is the built-in phantom, to which the published figures apply.
    failures : mapping
        Error by name of the chapter that stopped with it.
    """
    shutil.copytree(source, book, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    toc_file = book / "_toc.yml"
    chapters = sorted(path.stem for path in notebooks.glob("*.ipynb"))
    toc = stage_toc(yaml.safe_load(toc_file.read_text(encoding="utf-8")), chapters)
    toc_file.write_text(yaml.safe_dump(toc, sort_keys=False, allow_unicode=True), encoding="utf-8")

    generated = book / "_generated"
    generated.mkdir()
    shown = _shown_slices(len(stack))
    (generated / "slices.png").write_bytes(_picture(stack, shown, settings))
    texts = {
        "failures": _failures_note(failures),
        "data": _data_note(stack, results, is_phantom),
        "slices": _slices_figure(stack, shown, settings),
        "published": published_table(results["chapters"], is_phantom=is_phantom),
    }
    for name, text in texts.items():
        (generated / f"{name}.md").write_text(text, encoding="utf-8")

    for page in book.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(without_dead_links(text, chapters), encoding="utf-8")
    (book / "notebooks").mkdir()
    for chapter in chapters:
        notebook = nbformat.read(notebooks / f"{chapter}.ipynb", as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = without_dead_links(cell.source, chapters)
            if "parameters" in cell.metadata.get("tags", []):
                cell.metadata.tags.append("hide-input")
        if chapter in failures:
            notebook.cells.insert(1, new_markdown_cell(_failure_banner(failures[chapter])))
        nbformat.write(notebook, book / "notebooks" / f"{chapter}.ipynb")


def stage_toc(toc: Mapping[str, Any], chapters: Sequence[str]) -> dict[str, Any]:
    """Fit the table of contents to the chapters that were run.

    Parameters
    ----------
    toc : mapping
        The book's `_toc.yml`.
    chapters : sequence of str
        Names of the chapters, such as "05-dilation".

    Returns
    -------
    dict
        Without chapters that are not there, and without parts that have none left. A chapter that
        the table does not list joins the part that holds the one before it.

    Examples
    --------
    >>> toc = {"root": "intro", "parts": [
    ...     {"caption": "One", "chapters": [{"file": "one"}, {"file": "notebooks/01-data"}]},
    ...     {"caption": "Two", "chapters": [{"file": "two"}, {"file": "notebooks/08-journey"}]}]}
    >>> [part["chapters"] for part in stage_toc(toc, ["01-data", "02-new"])["parts"]]
    [[{'file': 'one'}, {'file': 'notebooks/01-data'}, {'file': 'notebooks/02-new'}]]
    """
    present = [f"notebooks/{name}" for name in sorted(chapters)]
    part_of: dict[str, int] = {}
    for number, part in enumerate(toc["parts"]):
        part_of.update({entry["file"]: number for entry in part["chapters"]})
    listed = sorted(file for file in part_of if file.startswith("notebooks/"))
    for file in present:
        before = [one for one in listed if one <= file] or listed[:1]
        part_of.setdefault(file, part_of[before[-1]] if before else 0)

    parts = []
    for number, part in enumerate(toc["parts"]):
        files = [entry["file"] for entry in part["chapters"]]
        own = [file for file in files if not file.startswith("notebooks/")]
        run = [file for file in present if part_of[file] == number]
        if run or len(own) == len(files):
            parts.append({**part, "chapters": [{"file": file} for file in (*own, *run)]})
    return {**toc, "parts": parts}


def without_dead_links(text: str, chapters: Iterable[str]) -> str:
    """Turn links to chapters that were not run into plain text.

    Parameters
    ----------
    text : str
        Markdown.
    chapters : iterable of str
        Names of the chapters that are there.

    Returns
    -------
    str

    Examples
    --------
    >>> without_dead_links("[data](01-data.ipynb) and [holes](06-holes.ipynb#why)", ["01-data"])
    '[data](01-data.ipynb) and holes'
    """
    there = set(chapters)

    def keep(link: re.Match[str]) -> str:
        return link[0] if link["chapter"] in there else link["text"]

    return re.sub(
        r"\[(?P<text>[^\]]*)\]\((?:\./|notebooks/|\.\./notebooks/)?"
        r"(?P<chapter>\d\d-[\w-]+)\.(?:ipynb|md|html)(?:#[^)]*)?\)",
        keep,
        text,
    )


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


def _failures_note(failures: Mapping[str, str]) -> str:
    if not failures:
        return ""
    lines = [f"- [{name}](notebooks/{name}.ipynb): {escape(failures[name])}" for name in failures]
    heading = "One chapter failed" if len(failures) == 1 else f"{len(failures)} chapters failed"
    return (
        ":::{error}\n**"
        + heading
        + ".** The rest of the book is as it should be.\n\n"
        + ("\n".join(lines) + "\n:::\n")
    )


def _failure_banner(error: str) -> str:
    return (
        ":::{error}\n**This chapter failed.** It stopped with the error below; cells after that"
        f" one did not run.\n\n{escape(error)}\n:::"
    )


def _data_note(stack: Stack, results: Mapping[str, Any], is_phantom: bool) -> str:
    """Say what the pages are about: synthetic phantom or the reader's own data."""
    n, height, width = stack.images.shape
    size = f"{n} slice{'s' * (n != 1)} of {height} × {width} px"
    if is_phantom:
        return (
            ":::{note}\n**The data on these pages is synthetic**: "
            f"{size} of a phantom head, calibrated to the figures that the article reports, because"
            " the article’s own slices are not public. That the measured numbers agree with the"
            " published ones shows that the method is the same; it is no evidence that the method"
            " works on patients.\n:::\n"
        )
    given = results["parameters"]
    facts = [f"**{escape(str(given.get('images', stack.name)))}**: {size}"]
    if stack.spacing_mm:
        facts.append(f"{stack.spacing_mm[0]:g} × {stack.spacing_mm[1]:g} mm a pixel")
    if stack.groups:
        n_groups = len(set(stack.groups))
        facts.append(f"{n_groups} group{'s' * (n_groups != 1)}")
    if stack.reference is None:
        verdict = (
            "No reference mask was given, so nothing here says how good the masks are; the"
            " chapters show what the method did."
        )
    else:
        name = escape(str(given.get("reference", "")))
        verdict = f"The masks are compared with the reference mask **{name}**."
    return (
        ":::{note}\n**These pages are about your data**, not about the article’s: "
        f"{', '.join(facts)}. {verdict}\n:::\n"
    )


def _shown_slices(n_slices: int) -> list[int]:
    return [int(one) for one in np.unique(np.linspace(0, n_slices - 1, MOST_SHOWN).round())]


def _picture(stack: Stack, shown: Sequence[int], settings: PipelineSettings) -> bytes:
    """Draw the shown slices side by side with the outlines of mask and reference."""
    from skullnb.figures.style import WIDTH_INCHES, new_figure, outline, show_image

    images = np.asarray(stack.images[list(shown)])
    masks = create_skull_masks(images, settings)
    height = WIDTH_INCHES / len(shown) * images.shape[1] / images.shape[2]
    figure, axes = new_figure(min(height, WIDTH_INCHES), columns=len(shown), squeeze=False)
    for column, number in enumerate(shown):
        show_image(axes[0, column], images[column])
        if stack.reference is not None:
            outline(axes[0, column], stack.reference[number], "reference")
        outline(axes[0, column], masks[column], "mask")
    picture: bytes = figure.png()
    return picture


def _slices_figure(stack: Stack, shown: Sequence[int], settings: PipelineSettings) -> str:
    numbers = ", ".join(str(number) for number in shown)
    what = f"slice{'s' * (len(shown) != 1)} {numbers} of {len(stack)} (counted from 0)"
    lines = f"the measured skull mask (blue, kernel width {settings.kernel_width} px)"
    if stack.reference is not None:
        lines += " and the reference mask (orange)"
    return (
        "```{figure} _generated/slices.png\n"
        f":alt: Head MRI {what} with the outline of {lines}.\n:class: slices\n:width: 100%\n\n"
        f"{what.capitalize()}: the outline of {lines}.\n```\n"
    )
