"""From notebooks to a book: run them in kernels of this process, then build the pages within it."""

import atexit
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from skullnb import masking
from skullnb.errors import InvalidSetting, ReportFailed, UnreadableFile
from skullnb.report.chapter import FORMAT, PARAMETERS, SVG, Chapter, bare
from skullnb.stack.checks import needed
from skullnb.study.timing import library_versions

MARKER = ".skullnb-report"  # a file in every report; a folder without it is never overwritten
# The notebook that opens a book, and a report about other data; it runs when all others have.
FRONT = {"_toc.yml": "index", "_toc-report.yml": "15-your-data"}
# Of kernels; one thread each, since the notebooks already share the processors.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_OTHERS = ("OPENCV_FOR_THREADS_NUM", "PYDEVD_DISABLE_FILE_VALIDATION", "PYTHONUTF8", SVG)
_ENVIRONMENT = dict.fromkeys((*_THREADS, *_OTHERS, "PYTHONSAFEPATH"), "1")


@dataclass(frozen=True)
class Report:
    """Where a report is, and how it went: page to open, further files, numbers, what failed."""

    index: Path
    files: tuple[Path, ...]
    results: Path
    failed: tuple[str, ...]
    seconds: float


def build_report(
    *,
    output_dir: str | Path = "report",
    chapters: Sequence[str] = (),
    workers: int = 2,
    overwrite: bool = False,
    student: bool = False,
    single_file: bool = False,
    pdf: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
    **parameters: Any,
) -> Report:
    """Run the notebooks (of `chapters`, or all) with their parameters, and build pages of them."""
    for module in ("papermill", "nbclient", "jupyter_book", "matplotlib", "jinja2", "bs4"):
        needed(module, "A report", "report")
    import nbformat
    import yaml

    from skullnb.pipeline.settings import as_slice
    from skullnb.report import pages, teach

    started, browser = time.monotonic(), pages.find_browser() if pdf else None
    output = Path(os.path.realpath(Path(output_dir).expanduser()))
    if workers < 1:
        raise InvalidSetting(f"The number of workers is {workers}; it must be at least 1.")
    toc_name = "_toc-report.yml" if parameters.get("images") else "_toc.yml"
    front, book = FRONT[toc_name], find_assets("book")
    toc = yaml.safe_load((book / toc_name).read_text("utf-8"))
    notebooks, contents = _choose(toc, front, chapters, student)
    chapter = Chapter(front, parameters)
    stack, chosen = chapter.stack, chapter.parameters
    files = [*stack.sources, *stack.reference_sources]
    files += filter(Path.is_file, [Path(chosen["groups"])])  # or they are labels
    _refuse(output, overwrite, files)
    for number, image in zip(stack.slice_numbers, stack.images, strict=True):
        as_slice(image, number)  # a notebook would find out too, but late and on a page of its own

    total, done, failures = len(notebooks) + 1, count(1), dict[str, str]()
    with _workplace(output) as work:
        scrub = _path_scrubber([work, output, *(path.resolve().parent for path in files)])

        def finish(name: str, notebook: Any, error: str) -> None:
            notebook = _cleaned(notebook, scrub)
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
            progress(next(done), total, f"{name} {'failed' if error else 'done'}")

        progress(0, total, "running the notebooks")
        _run(notebooks, {**chosen, "output_dir": str(work)}, work, workers, front, finish)
        masking.write_json(_collect(work / "results", chosen, failures), work / "results.json")
        pages.stage(work, book, contents, front, chapter, failures)
        pages.build(work, front, strict=not failures, scrub=scrub)
        page = work / "book.html"
        if single_file or browser:
            page.write_text(pages.single_file(work / "html", book), encoding="utf-8")
        if browser:
            pages.print_pdf(page, work / "book.pdf", browser)
        if not single_file:
            page.unlink(missing_ok=True)
        (work / MARKER).write_text("Made by skullnb; safe to overwrite.\n", encoding="utf-8")
        _put_in_place(work, output, overwrite)
    progress(total, total, "pages built")
    further = tuple(sorted(output.glob("book.*")))
    told = output / "results.json", tuple(sorted(failures)), time.monotonic() - started
    return Report(output / "html" / "index.html", further, *told)


def find_assets(name: str) -> Path:
    """Find the notebooks or the book's sources: inside the installed package, or beside it."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_assets" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise UnreadableFile(f"This installation of skullnb has no {name!r} folder; install it again.")


def _choose(
    toc: Mapping[str, Any], front: str, chapters: Sequence[str], student: bool
) -> tuple[list[Path], dict[str, Any]]:
    """Find the notebooks that run, and the contents of their book; unknown names are refused."""
    there = {path.stem: path for path in sorted(find_assets("notebooks").glob("*.ipynb"))}
    called = {one: name for name in there for one in (name, name.split("-")[0])}
    if unknown := [one for one in chapters if one not in called]:
        known = f"the chapters are {', '.join(there)}."
        raise InvalidSetting(f"There is no chapter {unknown[0]!r}; {known}")
    asked = [f"notebooks/{called[one]}" for one in chapters]
    asked = asked or [one["file"] for part in toc["parts"] for one in part["chapters"]]
    left = {f"notebooks/{name}" for name in there if name != front} & {*asked}
    notebooks = [there[name] for name in there if name == front or f"notebooks/{name}" in left]
    hidden, parts = {"book/teaching"} if student else set(), []
    for part in toc["parts"]:
        files = [one["file"] for one in part["chapters"] if one["file"] not in hidden]
        kept = [one for one in files if one.startswith("book/") or one in left]
        if left & {*kept} or kept == files:  # its own pages alone are no part
            parts.append((part["caption"], kept))
        left -= {*kept}
    parts += [("Further chapters", sorted(left))] * bool(left)
    listed = [{"caption": name, "chapters": [{"file": f} for f in files]} for name, files in parts]
    return notebooks, {**toc, "parts": listed}


def _run(
    notebooks: Sequence[Path], given: Any, work: Path, workers: int, front: str, finish: Any
) -> None:
    """Run notebooks, the front page last; `finish` takes each one's name, itself, and its error."""
    from nbclient import NotebookClient

    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # the kernel beside this Python
    for folder in ("notebooks", "results", "staged", "kernels"):
        (work / folder).mkdir()
    # Without the current folder, whose modules are not for us. The first of these is empty: what
    # starts a kernel takes it away where it is the current folder.
    paths = [str(work / "kernels"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
    clients: list[Any] = []

    def run(path: Path) -> tuple[str, Any, str]:
        notebook = with_parameters(path, given)
        leave_out(notebook, cells={"book-only"} if given["images"] else set())
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=None,
            extra_arguments=["--InteractiveShellApp.ignore_cwd=True"],
            shutdown_kernel="immediate",
        )
        client.create_kernel_manager().connection_file = str(work / "kernels" / f"{path.stem}.json")
        client.owns_km = True
        clients.append(client)
        try:
            client.execute(env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except Exception as error:  # whatever ended it has a line on its page
            name = getattr(error, "ename", "") or type(error).__name__
            said = str(getattr(error, "evalue", "") or error).strip() or "no word"
            return path.stem, notebook, f"{name}: {said}".splitlines()[0]
        finally:  # a kernel that never began, as on a full disk, can't be tidied up after
            atexit.unregister(client._cleanup_kernel)
        return path.stem, notebook, ""

    futures: list[Future[tuple[str, Any, str]]] = []
    with ThreadPoolExecutor(workers) as pool:
        try:
            for is_last in (False, True):
                now = [one for one in notebooks if (one.stem == front) == is_last]
                futures = [pool.submit(run, one) for one in now]
                for future in as_completed(futures):
                    finish(*future.result())
        finally:  # after an error or interrupt here, what still runs is stopped
            while [one for one in futures if not (one.cancel() or one.done())]:
                for client in [*clients]:
                    with suppress(Exception):  # one that has just ended, or not yet begun
                        client.km.provisioner.process.kill()
                time.sleep(0.1)
    shutil.rmtree(work / "kernels")


def with_parameters(path: Path, given: Mapping[str, Any]) -> Any:
    """Read a notebook, without outputs and with a cell that sets what differs from the usual."""
    from nbconvert.preprocessors import ClearOutputPreprocessor
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    notebook = load_notebook_node(str(path))
    ClearOutputPreprocessor().preprocess(notebook, {})
    chosen = {name: one for name, one in given.items() if one != PARAMETERS[name]}
    return parameterize_notebook(notebook, chosen, kernel_name="python3", language="python")


def without_records(notebook: Any) -> Any:
    """Take out of a notebook what was recorded when it was made and run."""
    from nbconvert.preprocessors import ClearMetadataPreprocessor

    kept = {"preserve_nb_metadata_mask": {"kernelspec", "language_info"}}
    kept["preserve_cell_metadata_mask"] = {"tags", "mystnb"}
    return ClearMetadataPreprocessor(enabled=True, **kept).preprocess(notebook, {})[0]


def leave_out(notebook: Any, cells: Iterable[str], outputs: Iterable[str] = ()) -> None:
    """Take out of a notebook what has one of these tags: cells, or only what came of them."""
    from nbconvert.preprocessors import TagRemovePreprocessor

    tags = {"remove_cell_tags": set(cells), "remove_all_outputs_tags": set(outputs)}
    TagRemovePreprocessor(enabled=True, **tags).preprocess(notebook, {})


def strip_answers(notebook: Any) -> None:
    """Make a notebook its student version: no answers, no plumbing, the exercise not yet run."""
    leave_out(notebook, cells={"answer", "parameters"}, outputs={"exercise"})


def _cleaned(notebook: Any, scrub: Callable[[Any], Any]) -> Any:
    """Give a notebook without full paths, records of the run, and widgets, which have no kernel."""
    import nbformat

    notebook = without_records(nbformat.from_dict(scrub(notebook)))
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("remove-cell")
        for output in [*cell.get("outputs", [])]:
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                cell.outputs.remove(output)
    return notebook


def _path_scrubber(folders: Iterable[Path]) -> Callable[[Any], Any]:
    """Make a function that takes the names of folders out of texts, also in lists and dicts."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - some containers' users have none
    known = {*folders, home, Path(__file__).resolve().parents[2], Path(sys.prefix)}
    # A relative one stays: its name may be a word of any sentence.
    texts = [str(one) for one in known if one.is_absolute() and one != Path(one.anchor)]
    # As JSON has them. The longest first: a folder inside another one is to go as a whole.
    names = [re.escape(json.dumps(one, ensure_ascii=False)[1:-1]) for one in texts]
    ways = "|".join(sorted(names, key=len, reverse=True))
    pattern = re.compile(rf"(?:{ways})(?:/|\\\\|(?![\w.-]))")
    return lambda value: json.loads(pattern.sub("", json.dumps(value, ensure_ascii=False)))


def _collect(folder: Path, parameters: Mapping[str, Any], failed: Mapping[str, str]) -> Any:
    """Bring the numbers of all notebooks together."""
    for name in failed:  # whose numbers are not whole
        (folder / f"{name}.json").unlink(missing_ok=True)
    contents = [read_results(path, folder) for path in sorted(folder.glob("*.json"))]
    seen = [(name, sha) for one in contents for name, sha in one["inputs"].items()]
    if len(set(seen)) > len(inputs := dict(seen)):
        raise ReportFailed("The slices changed while the notebooks ran; run them all again.")
    values = {one["chapter"]: one["values"] for one in contents}
    head = {"format": FORMAT, "parameters": bare(parameters), "inputs": inputs}
    return {**head, "versions": library_versions(), "chapters": values, "failed": dict(failed)}


def read_results(path: Path, folder: Path) -> dict[str, Any]:
    """Read the results file of one notebook, in `folder`; all else is refused."""
    name = path.relative_to(folder).as_posix()
    parts = ("parameters", "inputs", "versions", "values")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        whole = found["format"] == FORMAT and "chapter" in found
        whole = whole and all(isinstance(found[one], dict) for one in parts)
    except (ValueError, RecursionError, TypeError, KeyError):
        whole = False
    if not whole:
        raise UnreadableFile(f"{name!r} is not a whole skullnb results file; make it again.")
    return dict(found)


def collate(folder: str | Path) -> Any:
    """Set the numbers of all runs in a folder, at any depth, side by side: a row a run, or mask."""
    import pandas as pd

    folder = Path(folder)
    runs: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("results/*.json")):
        run = path.relative_to(folder).parent.parent
        if not any(part.startswith(".") for part in run.parts):
            content = read_results(path, folder)
            row = runs.setdefault(run.as_posix(), {"run": run.as_posix(), **content["parameters"]})
            values = {f"{content['chapter']}.{key}": one for key, one in content["values"].items()}
            row.update({k: one for k, one in values.items() if not isinstance(one, list | dict)})
    rows = [*runs.values(), *masking.masks_in(folder)]
    if not rows:
        raise UnreadableFile(f"No results in {folder.name!r}; give the folder that holds the runs.")
    return pd.DataFrame(rows, dtype=object)


def _refuse(output: Path, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output folder that a report may not take; `inputs` may not lie in it."""
    taken = [one.name for one in inputs if one.resolve().is_relative_to(output)]
    if output.is_file() or output.is_mount() or Path.cwd().is_relative_to(output):
        said = "is a file, a disk, or holds the current folder; choose a new folder's name."
    elif not output.exists() or not any(output.iterdir()):
        return
    elif not overwrite or not (output / MARKER).is_file():
        said = "is not empty; choose another. --overwrite replaces a skullnb report, nothing else."
    elif taken:
        said = f"would be replaced, and the input {taken[0]!r} lies in it; choose another."
    else:
        return
    raise InvalidSetting(f"The output folder {output.name!r} {said}")


@contextmanager
def _workplace(output: Path) -> Iterator[Path]:
    """Give a folder beside the output to make a report in; nothing is left of it afterwards."""
    from filelock import FileLock, Timeout

    output.parent.mkdir(parents=True, exist_ok=True)
    # It keeps a second report from the same output; the system frees that of a killed one.
    lock = output.with_name(f".{output.name}.lock")
    # Two points, or `a` would take what is of `a-2`; and each run has a name of its own, since
    # kernels of a killed one may write into theirs for a moment.
    prefix = f".{output.name}.."
    try:
        with FileLock(lock, timeout=0):
            for remains in output.parent.glob(f"{glob.escape(prefix)}*"):
                shutil.rmtree(remains, ignore_errors=True)
            own: Any = {"prefix": prefix, "dir": output.parent, "ignore_cleanup_errors": True}
            try:
                with TemporaryDirectory(**own) as place:
                    work = Path(place) / "new"
                    work.mkdir()
                    yield work
            finally:
                with suppress(OSError):  # Windows removes no open file
                    lock.unlink()
    except Timeout as error:
        said = f"Another report is being made in {output.name!r}; wait, or choose another folder."
        raise InvalidSetting(said) from error


def _put_in_place(work: Path, output: Path, overwrite: bool) -> None:
    """Give the finished report its name; an older one steps aside until that has worked."""
    _refuse(output, overwrite)  # again: some minutes have passed
    if output.exists():
        output.rename(work.with_name("old"))
    try:
        work.rename(output)
    except OSError:
        with suppress(OSError):  # where there was none
            work.with_name("old").rename(output)
        raise
