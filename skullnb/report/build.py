"""From notebooks to a book: run every chapter on the given data, then build the pages.

The chapters run in processes of their own, in a temporary folder beside the output; only a whole
report takes the output's name.
"""

from __future__ import annotations

import glob
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from skullnb.chapter import open_data
from skullnb.errors import InvalidSetting, ReportFailed, SkullnbError, UnreadableFile
from skullnb.pipeline import PipelineSettings
from skullnb.pipeline.checks import as_slice
from skullnb.report.html import build_html
from skullnb.report.paper import require_browser
from skullnb.report.place import check_output, put_in_place, tidy, workplace
from skullnb.report.run import run_chapters
from skullnb.report.select import accepted_parameters, choose_chapters
from skullnb.results import FORMAT, collate, versions, write_json
from skullnb.stack import list_inputs, split_series
from skullnb.stack.names import expand

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Report:
    """Where a report is, and how it went.

    Attributes
    ----------
    index : Path
        The page to open first.
    files : tuple of Path
        The book as one file and as PDF, those that were asked for.
    results : Path
        The JSON file with every number.
    failed : tuple of str
        Chapters that stopped with an error; empty when all went well.
    seconds : float
        How long the whole took.
    """

    index: Path
    files: tuple[Path, ...]
    results: Path
    failed: tuple[str, ...]
    seconds: float


def build_report(
    images: str | Path = "",
    reference: str | Path = "",
    *,
    groups: str | Path = "",
    spacing_mm: str = "",
    slices: str = "",
    axis: str = "axial",
    kernel_width: int = 26,
    output_dir: str | Path = "report",
    chapters: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
    workers: int = 2,
    overwrite: bool = False,
    student: bool = False,
    single_file: bool = False,
    pdf: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Run the chapters on the given data and build the book about it.

    Parameters
    ----------
    images, reference, groups, spacing_mm, slices, axis : str
        As in `skullnb.stack.read_stack`; images "" = the built-in synthetic phantom.
    kernel_width : int
        Side of the structuring element in px.
    output_dir : path
        The report's folder: `html/index.html`, `results.json`, `results/`, `notebooks/`.
    chapters : sequence of str
        Names or numbers of the chapters to run, such as "05-dilation" or "05"; empty = all.
    parameters : mapping, optional
        Further notebook parameters; each must be known to at least one chapter.
    workers : int
        How many chapters run at the same time.
    overwrite : bool
        Replace the output folder if it is a report, or empty.
    student : bool
        Leave every answer out of pages and notebooks, and the teacher's page out of the book.
    single_file, pdf : bool
        Also write the whole book as one file, `book.html`, and as `book.pdf`.
    progress : callable, optional
        Called as ``progress(done, total, text)`` after each step.

    Returns
    -------
    Report
        `failed` names the chapters that stopped with an error; their pages show where.

    Raises
    ------
    InvalidSetting
        If a parameter or a chapter is unknown, the output folder may not be replaced, or there is
        no browser to print the PDF.
    SkullnbError
        If the data cannot be read, or a pixel is NaN or infinite; nothing has run then.
    ReportFailed
        If the book itself could not be built.

    Examples
    --------
    >>> build_report(parameters={"kernal_width": 24})
    Traceback (most recent call last):
    skullnb.errors.InvalidSetting: No chapter has a parameter 'kernal_width'; did you mean
    'kernel_width'?
    """
    _require_extra()
    from skullnb.report.clean import clean_notebook, path_scrubber
    from skullnb.report.single import write_book_files
    from skullnb.report.stage import stage_book
    from skullnb.report.student import TEACHERS_PAGES, strip_answers

    wanted = {"book.html": single_file, "book.pdf": pdf}
    browser = require_browser() if pdf else None
    started = time.monotonic()
    tell = progress or (lambda done, total, text: None)
    # Where a link leads, or the report could not be made beside its place.
    output = Path(os.path.realpath(expand(output_dir)))
    data = {
        "images": full_path(images),
        "reference": full_path(reference),
        "groups": full_path(groups),
        "spacing_mm": str(spacing_mm),
        "slices": str(slices),
        "axis": axis,
    }
    if workers < 1:
        raise InvalidSetting(f"The number of workers is {workers}; it must be at least 1.")
    settings = PipelineSettings(kernel_width=kernel_width)
    notebooks = choose_chapters(find_assets("notebooks"), chapters)
    # Only what differs from the notebooks' own defaults is passed on, so that a page shows what
    # was chosen for this run and nothing else.
    chosen = {**only_chosen({**data, "kernel_width": kernel_width}), **(parameters or {})}
    accepted = accepted_parameters(notebooks, chosen, (*data, "kernel_width"))
    tidy(output)
    stack = open_data(**data)
    files = [*stack.sources, *stack.reference_sources]
    files += [file for file in [Path(data["groups"])] if file.is_file()]  # or they are labels
    check_output(output, overwrite, files)
    for number, image in zip(stack.slice_numbers, stack.images, strict=True):
        as_slice(image, number)  # a chapter would find out too, but late and on a page of its own

    total = len(notebooks) + 1
    with workplace(output) as work:
        given = [Path(data[name]) for name in _PATHS]
        scrub = path_scrubber([work, output, *(file.parent for file in (*given, *files))])
        tell(0, total, "running the chapters")
        failures = {}
        with closing(run_chapters(notebooks, accepted, work, workers)) as run:
            for done, (name, error) in enumerate(run, start=1):
                shown = {key: scrub(value) for key, value in accepted[name].items()}
                raised = clean_notebook(work / "notebooks" / f"{name}.ipynb", shown, scrub)
                if student:
                    strip_answers(work / "notebooks" / f"{name}.ipynb")
                if error is not None:
                    failures[name] = raised or scrub(error)
                tell(done, total, f"{name} {'failed' if error is not None else 'done'}")
        results = _collate(work, failures, data, settings)
        book = work / "book"
        stage_book(
            find_assets("book"),
            work / "notebooks",
            book,
            results=results,
            stack=stack,
            settings=settings,
            is_phantom=not data["images"],
            failures=failures,
            left_out=TEACHERS_PAGES if student else (),
        )
        shutil.rmtree(work / "log")
        build_html(book, work, strict=not failures, scrub=scrub)
        if single_file or browser:
            write_book_files(work, find_assets("book"), keep_html=single_file, browser=browser)
        put_in_place(work, output, overwrite)
    with suppress(OSError):  # again: what a killed run began ends a moment after it
        tidy(output)
    tell(total, total, "book built")
    return Report(
        index=output / "html" / "index.html",
        files=tuple(output / name for name, asked in wanted.items() if asked),
        results=output / "results.json",
        failed=tuple(sorted(failures)),
        seconds=time.monotonic() - started,
    )


def find_assets(name: str) -> Path:
    """Find the notebooks or the book's sources.

    Returns
    -------
    Path
        Inside the installed package, or beside it in a checkout.

    Raises
    ------
    UnreadableFile
        If neither is there.

    Examples
    --------
    >>> (find_assets("book") / "_config.yml").is_file()
    True
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_assets" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise UnreadableFile(f"This installation of skullnb has no {name!r} folder; install it again.")


def only_chosen(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the notebooks have as their own defaults.

    Examples
    --------
    >>> only_chosen({"images": "scan.npy", "groups": "", "kernel_width": 26})
    {'images': 'scan.npy'}
    """
    defaults = {"axis": "axial", "kernel_width": PipelineSettings().kernel_width}
    return {name: value for name, value in parameters.items() if value != defaults.get(name, "")}


_PATHS = ("images", "reference", "groups")


def _require_extra() -> None:
    """Masks need no notebooks and no book, so a base install comes without them."""
    missing = [name for name in ("papermill", "jupyter_book", "matplotlib") if not find_spec(name)]
    if missing:
        raise ReportFailed(
            f"A report needs {' and '.join(missing)}; install them with"
            " `pip install 'skullnb[report]'`."
        )


def full_path(path: str | Path) -> str:
    """Make a path or pattern absolute, because notebooks run in another folder.

    What is neither is left alone: groups may be labels, and a missing file is for the reader of
    the data to complain about.
    """
    with suppress(SkullnbError):
        base, series = split_series(path)
        full = base.absolute()
        if not full.exists() and list_inputs(path):  # a pattern, but the folder's name is none
            full = Path(glob.escape(str(Path.cwd()))) / base
        if str(path):
            return str(full) + f"#{series}" * bool(series)
    return str(path)


def _collate(
    work: Path, failures: Mapping[str, str], data: Mapping[str, str], settings: PipelineSettings
) -> dict[str, Any]:
    """Write results.json; a chapter that failed is named there with its error."""
    try:
        results = collate(work / "results")
    except UnreadableFile:  # no chapter got as far as writing its results
        given = {name: Path(data[name]).name if name in _PATHS else data[name] for name in data}
        results = {
            "format": FORMAT,
            "parameters": {**given, "kernel_width": settings.kernel_width},
            "inputs": {},
            "versions": versions(),
            "chapters": {},
        }
    results["failed"] = dict(failures)
    write_json(results, work / "results.json")
    return results
