"""Bring together, in one folder, all that Jupyter Book needs for this run's pages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat.v4 import new_markdown_cell

from skullnb.live import publish, try_it
from skullnb.pipeline import PipelineSettings
from skullnb.report.landing import (
    comparison_card,
    data_note,
    draw_cover,
    draw_slices,
    evidence_line,
    note,
    remarks_line,
)
from skullnb.report.ledger import baseline_sentence, ledger_picture
from skullnb.report.table import published_table
from skullnb.stack import Stack
from skullnb.text import escape


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
    left_out: Sequence[str] = (),
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
        The slices that the cover, the strip of slices and the live figures show.
    settings : PipelineSettings
        Settings of their masks.
    is_phantom : bool
        Whether the data is the built-in phantom, to which the published figures apply.
    failures : mapping
        Error by name of the chapter that stopped with it.
    left_out : sequence of str
        Pages of the book that this one does without.
    """
    shutil.copytree(source, book, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    toc_file = book / "_toc.yml"
    chapters = sorted(path.stem for path in notebooks.glob("*.ipynb"))
    toc = stage_toc(yaml.safe_load(toc_file.read_text(encoding="utf-8")), chapters, left_out)
    toc_file.write_text(yaml.safe_dump(toc, sort_keys=False, allow_unicode=True), encoding="utf-8")

    generated = book / "_generated"
    generated.mkdir()
    slices = book / "assets" / "live"
    texts = {
        "failures": _failures_note(failures),
        "data": data_note(stack, results, is_phantom),
        "cover": draw_cover(stack, settings, generated),
        "slices": draw_slices(stack, settings, generated),
        "remarks": remarks_line(results["chapters"]),
        "evidence": evidence_line(results["chapters"]),
        "ledger": without_dead_links(ledger_picture(results["chapters"]), chapters),
        "baseline": without_dead_links(baseline_sentence(results["chapters"]), chapters),
        "comparison": without_dead_links(comparison_card(is_phantom), chapters),
        "published": published_table(
            results["chapters"], is_phantom=is_phantom, has_reference=stack.reference is not None
        ),
    }
    for name, text in texts.items():
        (generated / f"{name}.md").write_text(text, encoding="utf-8")
    (generated / "try-it.html").write_text(try_it(stack, settings, slices), encoding="utf-8")

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
        publish(notebook, stack, slices)
        if chapter in failures:
            notebook.cells.insert(1, new_markdown_cell(_failure_banner(failures[chapter])))
        nbformat.write(notebook, book / "notebooks" / f"{chapter}.ipynb")


def stage_toc(
    toc: Mapping[str, Any], chapters: Sequence[str], left_out: Sequence[str] = ()
) -> dict[str, Any]:
    """Fit the table of contents to the chapters that were run.

    Without chapters that are not there, and without parts that have none left. A chapter that
    the table does not list joins the part that holds the one before it. `toc`: the book's
    `_toc.yml`. `chapters`: names of the chapters, such as "05-dilation". `left_out`: pages to
    leave out.

    Examples
    --------
    >>> toc = {"root": "index", "parts": [
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
        files = [one["file"] for one in part["chapters"] if one["file"] not in left_out]
        own = [file for file in files if not file.startswith("notebooks/")]
        run = [file for file in present if part_of[file] == number]
        if run or (own and len(own) == len(files)):
            parts.append({**part, "chapters": [{"file": file} for file in (*own, *run)]})
    return {**toc, "parts": parts}


def without_dead_links(text: str, chapters: Iterable[str]) -> str:
    """Turn links to chapters that were not run into plain text.

    `chapters`: names of the chapters that are there.

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


def _failures_note(failures: Mapping[str, str]) -> str:
    if not failures:
        return ""
    lines = [f"- [{name}](notebooks/{name}.ipynb): {escape(failures[name])}" for name in failures]
    title = "One chapter failed" if len(failures) == 1 else f"{len(failures)} chapters failed"
    return note("error", title, "\n".join([*lines, "", "The other chapters are complete."]))


def _failure_banner(error: str) -> str:
    text = f"It stopped with this error; the cells after it did not run.\n\n{escape(error)}"
    return note("error", "This chapter failed", text)
