"""From notebooks to a book: run them on the given data, then build the pages.

Notebooks run in kernels that threads of this process watch, in a temporary folder beside the
output; only a whole report takes the output's name. A kernel ends by itself when this process is
gone, and the pages are built within it, so nothing outlives the command.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from skullnb.errors import InvalidSetting, ReportFailed, UnreadableFile
from skullnb.heads import open_data
from skullnb.pipeline import PipelineSettings
from skullnb.report.chapter import DATA, FORMAT, PARAMETERS, SVG, bare

Progress = Callable[[int, int, str], None]

MARKER = ".skullnb-report"
"""A file in every report; a folder without it is never overwritten."""

FRONT = {"_toc.yml": "index", "_toc-report.yml": "15-your-data"}
"""The notebook that opens a book, and a report about other data; it runs when all others have."""

_PLUMBING = {"answer", "parameters"}  # what a student's notebook does without
_ENVIRONMENT = {
    # One thread each: the notebooks already share the processors.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    **{"OPENCV_FOR_THREADS_NUM": "1", "NUMBA_NUM_THREADS": "1", SVG: "1"},
    **{"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONUTF8": "1"},
    "PYTHONSAFEPATH": "1",
}


@dataclass(frozen=True)
class Report:
    """Where a report is, and how it went: page to open, further files, numbers, what failed."""

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
    axis: str = "",
    nan_background: bool = False,
    kernel_width: int = PipelineSettings().kernel_width,
    reach_mm: float | None = None,
    output_dir: str | Path = "report",
    chapters: Sequence[str] = (),
    workers: int = 2,
    overwrite: bool = False,
    student: bool = False,
    single_file: bool = False,
    pdf: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Run the notebooks on the given data and build the pages about them.

    Without images that is the book, about the head inside the package; with images a report about
    them, which opens with a verdict and leaves out what is not about them.

    Parameters
    ----------
    images, reference, groups, spacing_mm, slices, axis, nan_background, kernel_width, reach_mm
        As in every notebook.
    output_dir : path
        Gets `html/index.html`, `results.json`, `results/`, `notebooks/`.
    chapters : sequence of str
        Names or numbers, such as "05-dilation" or "05"; empty = those of the book or the report.
    workers : int
        How many run at the same time.
    overwrite : bool
        Replace the output folder if it is a report.
    student : bool
        Leave every answer out of pages and notebooks, and the teacher's page out of the book.
    single_file, pdf : bool
        Also write all pages as one file, `book.html`, and as `book.pdf`.
    progress : callable, optional
        Called as ``progress(done, total, text)`` after each step.

    Returns
    -------
    Report
        `failed` names the notebooks that stopped with an error; their pages show where.

    Raises
    ------
    SkullnbError
        If data, settings, chapters or the output folder are not possible; nothing has run then.
    ReportFailed
        If the pages themselves could not be built.
    """
    _require_extra()
    import nbformat

    from skullnb.pipeline.settings import as_slice
    from skullnb.report import pages, teach

    browser = pages.require_browser() if pdf else None
    started, tell = time.monotonic(), progress or (lambda done, total, text: None)
    output = Path(os.path.realpath(Path(output_dir).expanduser()))
    words = (images, reference, groups, spacing_mm, slices, axis)
    data = {name: str(word) for name, word in zip(DATA, words, strict=True)}
    chosen = {**data, "kernel_width": kernel_width, "reach_mm": reach_mm}
    chosen["nan_background"] = nan_background
    if workers < 1:
        raise InvalidSetting(f"The number of workers is {workers}; it must be at least 1.")
    toc_name = "_toc-report.yml" if data["images"] else "_toc.yml"
    toc, front = _read_toc(toc_name), FRONT[toc_name]
    notebooks = _choose(toc, front, chapters)
    stack = open_data(**data, nan_background=nan_background)
    settings = PipelineSettings(kernel_width=kernel_width, reach_mm=reach_mm).at(stack.spacing_mm)
    files = [*stack.sources, *stack.reference_sources]
    files += filter(Path.is_file, [Path(data["groups"])])  # or they are labels
    _refuse(output, overwrite, files)
    for number, image in zip(stack.slice_numbers, stack.images, strict=True):
        as_slice(image, number)  # a notebook would find out too, but late and on a page of its own

    total = len(notebooks) + 1
    with _workplace(output) as work:
        scrub = _path_scrubber([work, output, *(path.resolve().parent for path in files)])
        tell(0, total, "running the notebooks")
        failures: dict[str, str] = {}
        only = {name: value for name, value in chosen.items() if value != PARAMETERS[name]}
        ran = _run(notebooks, only, work, workers, front, is_book=not data["images"])
        with closing(ran):
            for done, (name, notebook, error) in enumerate(ran, start=1):
                _clean(notebook, scrub)
                if error:
                    failures[name] = scrub(error)
                if student:
                    strip_answers(notebook)
                nbformat.write(notebook, work / "staged" / f"{name}.ipynb")
                for cell in notebook.cells:
                    for one in cell.get("outputs", []):
                        for kind in ("image/svg+xml", teach.MIME):  # for pages only
                            one.get("data", {}).pop(kind, None)
                nbformat.write(notebook, work / "notebooks" / f"{name}.ipynb")
                tell(done, total, f"{name} {'failed' if error else 'done'}")
        results = _collect(work / "results", {**chosen, "failed": failures})
        (work / "results.json").write_text(results, encoding="utf-8")
        contents = _fit(toc, {path.stem for path in notebooks} - {front}, student=student)
        book = find_assets("book")
        pages.stage(work, book, contents, front, stack, settings, failures)
        pages.build(work, front, strict=not failures, scrub=scrub)
        if single_file or browser:
            pages.write_book_files(work, book, single_file, browser)
        _put_in_place(work, output, overwrite)
    tell(total, total, "pages built")
    wanted = {"book.html": single_file, "book.pdf": pdf}
    return Report(
        index=output / "html" / "index.html",
        files=tuple(output / name for name, asked in wanted.items() if asked),
        results=output / "results.json",
        failed=tuple(sorted(failures)),
        seconds=time.monotonic() - started,
    )


def find_assets(name: str) -> Path:
    """Find the notebooks or the book's sources: inside the installed package, or beside it."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_assets" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise UnreadableFile(f"This installation of skullnb has no {name!r} folder; install it again.")


def _require_extra() -> None:
    """Masks need no notebooks and no book, so a base install comes without them."""
    needed = ("papermill", "nbclient", "jupyter_book", "matplotlib", "filelock")
    missing = [name for name in needed if not find_spec(name)]
    if missing:
        raise ReportFailed(
            f"A report needs {' and '.join(missing)}; install them with"
            " `pip install 'skullnb[report]'`."
        )


# ---- which notebooks -----------------------------------------------------------------------------


def _read_toc(name: str) -> dict[str, Any]:
    import yaml  # comes with the extra

    found: dict[str, Any] = yaml.safe_load((find_assets("book") / name).read_text("utf-8"))
    return found


def _choose(toc: Mapping[str, Any], front: str, chapters: Sequence[str]) -> list[Path]:
    """Find the notebooks that run, the front page last; unknown names are refused."""
    folder = find_assets("notebooks")
    there = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    if not there:
        raise UnreadableFile(f"There is no notebook in {folder.name!r}; install skullnb again.")
    names = [Path(file).name for part in toc["parts"] for file in _files(part)]
    if chapters:
        names = []
        for wanted in chapters:
            found = [name for name in there if wanted in (name, name.split("-")[0])]
            if not found:
                raise InvalidSetting(
                    f"There is no chapter {wanted!r}; the chapters are {', '.join(there)}."
                )
            names += found
    chosen = sorted({name for name in names if name in there} - {front})
    return [there[name] for name in [*chosen, front] if name in there]


def _files(part: Mapping[str, Any]) -> list[str]:
    return [entry["file"] for entry in part["chapters"]]


def _fit(toc: Mapping[str, Any], there: Iterable[str], *, student: bool) -> dict[str, Any]:
    """Fit the contents to the notebooks that were run; one that it does not list joins the end."""
    listed = {file for part in toc["parts"] for file in _files(part)}
    new = [f"notebooks/{name}" for name in sorted(there) if f"notebooks/{name}" not in listed]
    parts = []
    for part in toc["parts"]:
        files = [one for one in _files(part) if not (student and one == "book/teaching")]
        run = [one for one in files if _is_there(one, there)]
        chapters = [one for one in files if one.startswith("notebooks/")]
        if set(chapters) & set(run) or not chapters:  # its own pages alone are no part
            parts.append({**part, "chapters": [{"file": file} for file in run]})
    if new:
        parts.append({"caption": "Further chapters", "chapters": [{"file": one} for one in new]})
    return {**toc, "parts": [part for part in parts if part["chapters"]]}


def _is_there(file: str, notebooks: Iterable[str]) -> bool:
    folder, _, name = file.partition("/")
    return (
        name in notebooks
        if folder == "notebooks"
        else (find_assets("book") / f"{name}.md").is_file()
    )


# ---- running -------------------------------------------------------------------------------------


def _run(
    notebooks: Sequence[Path],
    chosen: Mapping[str, Any],
    work: Path,
    workers: int,
    front: str,
    *,
    is_book: bool,
) -> Generator[tuple[str, Any, str]]:
    """Run notebooks; yield each one's name, the executed notebook, and the error or "".

    The front page runs last. Closing the iterator, or an interrupt, stops what still runs.
    """
    from nbclient import NotebookClient
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # the kernel beside this Python
    for folder in ("notebooks", "results", "staged", "kernels"):
        (work / folder).mkdir()
    # Without the current folder, whose modules are not for us. The first of these is empty: what
    # starts a kernel takes it away where it is the current folder.
    paths = [str(work / "kernels"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
    clients: dict[str, Any] = {}
    stopped: list[bool] = []

    def run(path: Path) -> tuple[str, Any, str]:
        notebook = load_notebook_node(str(path))
        if not is_book:
            drop_cells(notebook, {"book-only"})
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        given = {**chosen, "output_dir": str(work)}
        notebook = parameterize_notebook(notebook, given, kernel_name="python3", language="python")
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=None,
            extra_arguments=["--InteractiveShellApp.ignore_cwd=True"],
            shutdown_kernel="immediate",
        )
        client.create_kernel_manager().connection_file = str(work / "kernels" / f"{path.stem}.json")
        client.owns_km = True
        clients[path.stem] = client
        if stopped:
            return path.stem, notebook, "stopped"
        try:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            client.execute(env=environment, **quiet)
        except Exception as error:  # whatever ended it has a line on its page
            name = getattr(error, "ename", "") or type(error).__name__
            said = str(getattr(error, "evalue", "") or error).strip() or "no word"
            return path.stem, notebook, f"{name}: {said}".splitlines()[0]
        return path.stem, notebook, ""

    with ThreadPoolExecutor(workers) as pool:
        futures: list[Future[tuple[str, Any, str]]] = []
        try:
            for last in (False, True):
                futures = [
                    pool.submit(run, one) for one in notebooks if (one.stem == front) == last
                ]
                for future in as_completed(futures):
                    yield future.result()
        finally:
            stopped.append(True)
            while [one for one in futures if not (one.cancel() or one.done())]:
                for client in list(clients.values()):
                    with suppress(Exception):  # one that has just ended, or not yet begun
                        client.km.provisioner.process.kill()
                time.sleep(0.1)
    shutil.rmtree(work / "kernels")


def drop_cells(notebook: Any, tags: Iterable[str]) -> None:
    """Take cells with one of these tags out of a notebook."""
    from nbconvert.preprocessors import TagRemovePreprocessor

    remover: Any = TagRemovePreprocessor
    remover = remover(remove_cell_tags=set(tags), enabled=True)
    remover.preprocess(notebook, {})


def _clean(notebook: Any, scrub: Callable[[Any], Any]) -> None:
    """Take out what no reader should see: full paths, records of the run, dead widgets."""
    import nbformat

    _keep(notebook.metadata, "kernelspec", "language_info")
    cells = []
    for cell in notebook.cells:
        _keep(cell.metadata, "tags", "mystnb")
        if "injected-parameters" in cell.metadata.get("tags", []):
            kept = [one for one in cell.source.splitlines()[1:] if not one.startswith("output_dir")]
            if not kept:
                continue
            cell.metadata["tags"] = ["injected-parameters", "remove-cell"]
            cell.source = "\n".join(["# Parameters", *map(scrub, kept)])
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in [kind for kind in data if "jupyter.widget" in kind]:
                del data[kind]
                if "image/png" not in data:  # a widget's name alone says nothing
                    data.clear()
            for key in [key for key in output if key != "output_type"]:
                value = scrub(output[key])
                output[key] = nbformat.from_dict(value) if isinstance(value, dict) else value
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("data", True)]
        cells.append(cell)
    notebook.cells = cells


def _keep(metadata: dict[str, Any], *names: str) -> None:
    for name in [name for name in metadata if name not in names]:
        del metadata[name]


def strip_answers(notebook: Any) -> None:
    """Make a notebook its student version: no answers, no plumbing, the exercise not yet run."""
    drop_cells(notebook, _PLUMBING)
    for cell in notebook.cells:
        if "exercise" in cell.metadata.get("tags", []):
            cell.outputs, cell.execution_count = [], None


def _path_scrubber(folders: Iterable[Path]) -> Callable[[Any], Any]:
    """Make a function that takes the names of folders out of texts, also in lists and dicts.

    The home folder, Python's own and that of skullnb go as well. A relative folder stays: its
    name may be a word of any sentence.
    """
    known = {*folders, Path(__file__).resolve().parents[2], Path(sys.prefix)}
    with suppress(RuntimeError):  # a user without a home, as in some containers
        known.add(Path.home())
    texts = [str(one) for one in known if one.is_absolute() and one != Path(one.anchor)]
    # The longest first: a folder inside another one is to go as a whole.
    names = "|".join(re.escape(name) for name in sorted(texts, key=len, reverse=True))
    pattern = re.compile(rf"(?:{names})(?:[/\\]|(?![\w.-]))")

    def scrub(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub("", value)
        if isinstance(value, Mapping):
            return {key: scrub(one) for key, one in value.items()}
        return [scrub(one) for one in value] if isinstance(value, list) else value

    return scrub


# ---- numbers -------------------------------------------------------------------------------------


def _collect(folder: Path, chosen: Mapping[str, Any]) -> str:
    """Bring the numbers of all notebooks together, as the text of results.json.

    Those of a notebook that failed are not whole, so only its error is there.
    """
    from skullnb.study.timing import versions

    failed = chosen["failed"]
    for name in failed:
        (folder / f"{name}.json").unlink(missing_ok=True)
    contents = [read_results(path) for path in sorted(folder.glob("*.json"))]
    inputs: dict[str, str] = {}
    for one in contents:
        for name, sha in one["inputs"].items():
            if inputs.setdefault(name, sha) != sha:
                raise ReportFailed(
                    f"The {name} changed while the notebooks ran: {one['chapter']!r} saw others"
                    " than those before it; run them all again."
                )
    together = {
        "format": FORMAT,
        "parameters": bare(chosen),
        "inputs": inputs,
        "versions": versions(),
        "chapters": {one["chapter"]: one["values"] for one in contents},
        "failed": dict(failed),
    }
    return json.dumps(together, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


_MOST_BYTES = 100_000_000  # results on 10,000 slices are a hundredth of this
_PARTS = {"chapter": str, "parameters": dict, "inputs": dict, "versions": dict, "values": dict}


def read_results(path: Path, called: str = "") -> dict[str, Any]:
    """Read the results file of one notebook; anything else is refused in a sentence."""
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
        raise UnreadableFile(f"{name!r} is not a whole skullnb results file; make it again.")
    found: dict[str, Any] = content
    return found


def collate(folder: str | Path) -> Any:
    """Set the numbers of many runs side by side, such as one run for each subject.

    `folder` holds a folder for each run, at any depth: the `output_dir` of notebooks, or reports;
    hidden ones do not count. Returns a DataFrame with a row a run: `run` (its folder), the
    parameters, and every single number or text as `chapter.name`; lists stay in the runs' files.
    A broken results file, or none, is refused.
    """
    import pandas as pd

    folder = Path(folder)
    runs: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("results/*.json")):
        run = path.relative_to(folder).parent.parent
        if not any(part.startswith(".") for part in run.parts):
            content = read_results(path, path.relative_to(folder).as_posix())
            row = runs.setdefault(run.as_posix(), {"run": run.as_posix(), **content["parameters"]})
            values = {f"{content['chapter']}.{key}": one for key, one in content["values"].items()}
            row.update({k: one for k, one in values.items() if not isinstance(one, list | dict)})
    if not runs:
        raise UnreadableFile(
            f"No results in {folder.name!r}; give the folder that holds the runs' output folders."
        )
    return pd.DataFrame(list(runs.values()), dtype=object)


# ---- the place -----------------------------------------------------------------------------------


def _refuse(output: Path, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output folder that a report may not take; `inputs` may not lie in it."""
    taken = [one.name for one in inputs if one.resolve().is_relative_to(output)]
    if output.is_file():
        said = "is a file; choose another name."
    elif output.is_mount():
        said = "is where a disk is mounted; choose a folder in it."
    elif Path.cwd().is_relative_to(output):
        said = "is the current one, or holds it; choose a new folder's name."
    elif not output.exists() or not any(output.iterdir()):
        return
    elif not overwrite:
        said = "is not empty; choose another, or overwrite it (--overwrite)."
    elif not (output / MARKER).is_file():
        said = "holds what is not a skullnb report, so it is not overwritten; choose another."
    elif taken:
        said = f"would be replaced, and the input {taken[0]!r} lies in it; choose another."
    else:
        return
    raise InvalidSetting(f"The output folder {output.name!r} {said}")


@contextmanager
def _workplace(output: Path) -> Iterator[Path]:
    """Give a folder beside the output to make a report in; nothing is left of it afterwards.

    A lock keeps a second report from the same output, and is freed by the system with a killed
    one, whose remains go first: an older report that had stepped aside gets its name back.
    """
    from filelock import FileLock, Timeout

    output.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output.with_name(f".{output.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InvalidSetting(
            f"Another report is being made in {output.name!r}; wait for it, or choose another"
            " output folder."
        ) from error
    try:
        for old in _beside(output, "old"):
            _give_back(old, output)
            if (output / MARKER).is_file():
                shutil.rmtree(old, ignore_errors=True)
        for partial in _beside(output, "partial"):
            shutil.rmtree(partial, ignore_errors=True)
        # A name of its own: kernels of a killed run may write into theirs for a moment.
        work = output.with_name(f".{output.name}-{uuid.uuid4().hex[:8]}.partial")
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        with suppress(OSError):  # Windows removes no open file
            Path(lock.lock_file).unlink()
        lock.release()


def _beside(output: Path, kind: str) -> list[Path]:
    """What runs for this output left: all eight digits, or `a` would take what is of `a-2`."""
    name = re.compile(rf"\.{re.escape(output.name)}-[0-9a-f]{{8}}\.{kind}")
    return [path for path in output.parent.iterdir() if name.fullmatch(path.name)]


def _put_in_place(work: Path, output: Path, overwrite: bool) -> None:
    """Give the finished report its name; an older one steps aside until that has worked."""
    (work / MARKER).write_text("Made by skullnb; safe to overwrite.\n", encoding="utf-8")
    _refuse(output, overwrite)  # again: some minutes have passed
    old = work.with_suffix(".old")
    if output.exists():
        output.rename(old)
    try:
        work.rename(output)
    except BaseException:
        _give_back(old, output)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _give_back(old: Path, output: Path) -> None:
    with suppress(OSError):  # something else may have the name
        old.rename(output)
