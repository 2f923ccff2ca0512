"""From notebooks to pages: refusals before anything runs, whole reports, failures, ends."""

import json
import re
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import numpy as np
import psutil
import pytest
from chapters import ROOT, SCAN, add_text, small_book, use, write_chapter, write_data
from exercises import outputs
from screenshots import opened

from skullnb.errors import InvalidSetting, ReportFailed, UnreadableFile
from skullnb.report import build, pages
from skullnb.report.build import MARKER, Report, build_report, collate
from skullnb.report.chapter import FORMAT

ANSWER = "The answer is forty-two."


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def source_of(page: Path) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", read(page)))


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A small book that never runs a notebook; its folder."""
    for name in ("01-data", "03-threshold", "index", "15-your-data"):
        write_chapter(tmp_path / "chapters", name)
    use(monkeypatch, tmp_path / "chapters", small_book(tmp_path / "book"))
    started = mock.Mock(side_effect=AssertionError("a notebook was started"))
    monkeypatch.setattr(build, "_run", started)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_disk_is_not_taken_for_a_report(small, monkeypatch):
    monkeypatch.setattr(Path, "is_mount", lambda self: self == small / "disk")
    with pytest.raises(InvalidSetting, match="'disk' is a file, a disk"):
        build_report(output_dir="disk")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("images", "named"),
    [
        ("report/*.npy", {}),
        ("scan.npy", {"reference": "link.npy"}),
        ("scan.npy", {"groups": "x/../report/labels.txt"}),
    ],
)
def test_data_in_the_folder_to_be_replaced_is_refused_however_it_is_called(images, named):
    older_report(Path("report"))
    Path("x").mkdir()
    for path in ("scan.npy", "report/inside.npy"):
        np.save(path, np.ones((2, 16, 16), np.uint8))
    Path("link.npy").symlink_to("report/inside.npy")
    Path("report/labels.txt").write_text("a\nb\n")
    with pytest.raises(InvalidSetting, match="'report' would be replaced, and the input"):
        build_report(images=images, **named, output_dir="report", overwrite=True)
    assert Path("report/inside.npy").exists()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def older_report(folder: Path) -> Path:
    folder.mkdir()
    (folder / MARKER).touch()
    (folder / "page").touch()
    return folder


def test_an_older_report_steps_aside_until_the_new_one_has_its_name(tmp_path):
    output = older_report(tmp_path / "report")
    with build._workplace(output) as work:
        work.rmdir()
        with pytest.raises(FileNotFoundError):
            build._put_in_place(work, output, overwrite=True)
    assert (names(tmp_path), names(output)) == (["report"], [MARKER, "page"])
    with build._workplace(output) as work:
        (work / MARKER).touch()
        build._put_in_place(work, output, overwrite=True)
    assert (names(tmp_path), names(output)) == (["report"], [MARKER])


def test_the_next_run_tidies_up_after_a_killed_one_and_takes_nothing_else(tmp_path):
    older_report(tmp_path / "report")
    for name in (".report..ab", ".report-2..ab"):
        (tmp_path / name / "new" / "results").mkdir(parents=True)
    (tmp_path / ".report.lock").touch()
    with build._workplace(tmp_path / "report") as work:
        during = [".report-2..ab", ".report.lock", work.parent.name, "report"]
        assert names(tmp_path) == sorted(during)
        assert names(tmp_path / "report") == [MARKER, "page"]
        with pytest.raises(InvalidSetting, match="Another report is being made in 'report'"):
            build._workplace(tmp_path / "report").__enter__()
    assert names(tmp_path) == [".report-2..ab", "report"]


def make(folder: Path, **given: Any) -> Report:
    """Build a report of a few notebooks about data of our own."""
    with pytest.MonkeyPatch.context() as patch:
        use(patch, folder / "chapters", small_book(folder / "book"))
        patch.chdir(folder)
        return build_report(output_dir="report", **given)


FIGURE = """\
import matplotlib.pyplot as plt

plt.plot([1, 2, 3])
chapter.figure("Three *points*, see [data](01-data.ipynb). And {{ n }}.", alt="A <line>", n=3)"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    chapters = folder / "chapters"
    add_text(
        write_chapter(
            chapters,
            "01-data",
            "chapter.record(n_slices=len(chapter.stack), shape=chapter.images.shape[1:])",
            "print(images, reference, *chapter.stack.sources)",
            ("assert chapter.is_built_in", "book-only"),
            text="Go to [the threshold](03-threshold.ipynb), [holes](06-holes.ipynb#why), "
            "[notes](../book/notes.md), [the start](15-your-data.ipynb).",
        ),
        "Only of the built-in head.",
        "book-only",
    )
    write_chapter(chapters, "03-threshold", FIGURE)
    write_chapter(
        chapters,
        "15-your-data",
        "from pathlib import Path",
        'ran = len([*Path(output_dir, "results").iterdir()])',
        'chapter.say("{{ n }} notebooks before this one.", n=ran)',
        "from skullnb.report.live import live_figure\n\nlive_figure(chapter)",
        text="[First](01-data.ipynb)",
    )
    write_chapter(chapters, "index", "raise RuntimeError('the front of the book, not of a report')")
    write_data(folder / "patients")
    (folder / "numpy.py").write_text("raise SystemExit('a module beside the data was imported')")
    done = make(
        folder,
        images=f"patients/{SCAN}",
        reference="patients/masks.npy",
        kernel_width=18,
        single_file=True,
    )
    assert done.failed == ()
    assert done.files == (folder / "report" / "book.html",)
    assert done.index == folder / "report" / "html" / "index.html"
    return folder / "report"


def test_it_holds_pages_notebooks_and_all_results_and_nothing_temporary_is_left(report):
    whole = ["book.html", "html", "notebooks", "results", "results.json", MARKER]
    assert names(report) == sorted(whole)
    assert names(report / "html" / "notebooks") == ["01-data.html", "03-threshold.html"]
    assert set(names(report.parent)) == {"chapters", "book", "patients", "report", "numpy.py"}
    results = json.loads(read(report / "results.json"))
    assert results["chapters"]["01-data"] == {"n_slices": 2, "shape": [96, 80]}
    assert results["chapters"]["15-your-data"] == {"n": 2}
    assert (results["parameters"]["kernel_width"], results["parameters"]["images"]) == (18, SCAN)
    assert {"python", "numpy", "opencv-python-headless"} <= set(results["versions"])
    assert all(len(sha) == 64 for sha in results["inputs"].values())
    assert results["failed"] == {}
    assert not [one for one in sys.path if one.startswith(str(report.parent))]
    front = report / "html" / "index.html"
    assert "2 notebooks before this one." in source_of(front), "it runs last"
    assert 'href="notebooks/01-data.html"' in read(front)


def test_no_page_and_no_notebook_shows_a_full_path_or_takes_a_name_for_markup(report):
    folders = [str(report.parent), str(Path.home()), str(ROOT)]
    hidden = [folder.encode() for folder in folders if folder != "/"]  # the home of containers
    texts = [path for path in report.rglob("*") if path.suffix not in (".png", ".inv", ".ttf")]
    texts = [path for path in texts if path.is_file()]
    assert [path.name for path in texts for one in hidden if one in path.read_bytes()] == []
    [shown, *_] = outputs(report / "notebooks" / "01-data.ipynb")
    assert f"patients/{SCAN} patients/masks.npy" in shown.text
    assert not [path for path in texts if path.suffix == ".html" and "scan <b>" in read(path)]


def test_a_page_has_links_to_what_is_there_and_nothing_about_the_built_in_head(report):
    page = read(report / "html" / "notebooks" / "01-data.html")
    for href in ("03-threshold.html", "../book/notes.html", "../index.html"):
        assert f'href="{href}"' in page
    assert "holes" in page
    assert "06-holes" not in page
    notes = read(report / "html" / "book" / "notes.html")
    assert 'href="../notebooks/01-data.html"' in notes
    assert "gone.md" not in notes
    assert "Only of the built-in head" not in page + read(report / "notebooks" / "01-data.ipynb")


def test_a_figure_stands_in_the_page_with_its_caption_and_alternative_text(report):
    page = read(report / "html" / "notebooks" / "03-threshold.html")
    [figure] = re.findall(r'<figure class="numbered" id="figure-3-1">.*?</figure>', page, re.DOTALL)
    assert 'role="img" aria-label="A &lt;line&gt;"' in figure
    assert "currentColor" in figure
    caption = figure.partition("<figcaption>")[2]
    said = " ".join(re.sub(r"<[^>]+>", "", caption).split())
    assert said == "Figure 3.1. Three points, see data. And 3."
    assert 'href="01-data.html"' in caption
    assert page.partition("<article")[2].count("And 3.") == 1, "not below the picture once more"


def test_what_a_reader_downloads_is_the_notebook_itself(report):
    own = report / "notebooks" / "03-threshold.ipynb"
    assert read(own) == read(report / "html" / "_sources" / "notebooks" / "03-threshold.ipynb")
    nbformat.validate(nbformat.read(own, as_version=4))
    kinds = {kind for one in outputs(own) for kind in one.data}
    assert "image/png" in kinds
    assert "image/svg+xml" not in kinds


@pytest.mark.browser
def test_the_one_file_is_printed_with_an_outline(report, chromium, tmp_path):
    pages.print_pdf(report / "book.html", tmp_path / "book.pdf", pages.find_browser())
    printed = (tmp_path / "book.pdf").read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 3
    assert b"/Outlines" in printed


@pytest.mark.browser
def test_the_search_shows_excerpts_though_it_is_opened_from_disk(report, chromium):
    with opened(chromium, report / "html" / "search.html") as page:
        page.goto((report / "html" / "search.html").as_uri() + "?q=otsu")
        page.wait_for_selector("#search-results li p.context")
        found = page.locator("#search-results li").all_inner_texts()
    assert any("Otsu, see the data" in one for one in found)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Build for students, over an older report; a notebook raises, another one's kernel dies."""
    folder = tmp_path_factory.mktemp("broken")
    chapters = folder / "chapters"
    write_chapter(chapters, "01-data", "import os; os._exit(3)")
    write_chapter(chapters, "03-threshold", "chapter.record(n=1)", "{}['<i>key</i>']")
    asks = ("answer = ...\nprint('checked')", "exercise")
    path = write_chapter(chapters, "15-your-data", "chapter.record(n=2)", asks)
    add_text(path, "Why is that?")
    add_text(path, f'<details class="answer">\n\n{ANSWER}\n\n</details>', "answer")
    write_data(folder / "patients")
    older_report(folder / "report")
    done = make(folder, images="pat*s/scan*.npy", overwrite=True, student=True)
    assert done.failed == ("01-data", "03-threshold")
    return folder / "report"


def test_a_notebook_that_fails_is_named_there_and_in_front_and_the_report_is_still_built(broken):
    assert not (broken / "page").exists()
    results = json.loads(read(broken / "results.json"))
    assert results["chapters"] == {"15-your-data": {"n": 2}}, "half a notebook has no results"
    assert results["failed"]["03-threshold"] == "KeyError: '<i>key</i>'"
    assert "DeadKernelError" in results["failed"]["01-data"]
    two = ("index.html", "notebooks/03-threshold.html")
    front, own = (read(broken / "html" / one) for one in two)
    for text in (front, own):
        assert "What stands after an error did not run" in text
        assert "KeyError" in text
        assert "<i>key</i>" not in text
        assert ("Traceback" in text) == (text is own)
    assert "Kernel died" in read(broken / "html" / "notebooks" / "01-data.html")


def test_students_get_every_question_no_answer_and_a_notebook_without_plumbing_that_runs(
    broken, capsys, monkeypatch
):
    files = [path for path in broken.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path.name for path in files if b"forty-two" in path.read_bytes()] == []
    assert not (broken / "html" / "book" / "teaching.html").exists()
    page = source_of(broken / "html" / "index.html")
    assert "Why is that?" in page
    assert "answer = ..." in page
    assert "checked" not in page.replace("print('checked')", "").replace("print(&#39;checked", "")
    notebook = nbformat.read(broken / "notebooks" / "15-your-data.ipynb", as_version=4)
    tags = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    assert not tags & {"parameters", "answer"}
    [exercise] = [cell for cell in notebook.cells if "exercise" in cell.metadata.get("tags", [])]
    assert (exercise.outputs, exercise.execution_count) == ([], None)
    monkeypatch.chdir(broken.parent)
    state: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, state)
    assert capsys.readouterr().out == "checked\n"


PROGRAM = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # these tests may run under nohup
sys.path.insert(0, {tests!r})
import pytest
from chapters import small_book, use
from skullnb.report.build import build_report
with pytest.MonkeyPatch.context() as patch:
    use(patch, Path("chapters"), Path("book"))
    build_report(output_dir="report")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_nothing_outlives_a_report_that_is_ended(tmp_path, name):
    small_book(tmp_path / "book")
    lasting = "open('begun', 'w').close(); import time; time.sleep(600)"
    write_chapter(tmp_path / "chapters", "01-data", lasting)
    program = PROGRAM.format(tests=str(ROOT / "tests"))
    run = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        while not (tmp_path / "begun").exists():
            assert run.poll() is None
            time.sleep(0.1)
        kernels = psutil.Process(run.pid).children(recursive=True)
        assert kernels
        run.send_signal(getattr(signal, name))
        run.wait(timeout=60)
        _, alive = psutil.wait_procs(kernels, timeout=60)
        assert alive == []
    finally:
        run.kill()
    left = [path for path in names(tmp_path) if path.startswith(".report")]
    assert bool(left) == (name == "SIGKILL"), "who is killed can't tidy up; the next run does"
    with build._workplace(tmp_path / "report"):
        pass
    assert names(tmp_path) == ["begun", "book", "chapters"]


def test_a_widget_whose_kernel_has_ended_is_no_output():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "VBox()"}
    plain = {"text/plain": "1"}
    kinds = [nbformat.v4.new_output("display_data", data=one) for one in (view, plain)]
    cell = nbformat.v4.new_code_cell("both", outputs=kinds)
    [kept] = build._cleaned(nbformat.v4.new_notebook(cells=[cell]), lambda one: one).cells
    assert [one.data for one in kept.outputs] == [plain]


def test_a_folder_is_not_cut_out_of_a_longer_name_or_a_sentence(monkeypatch):
    monkeypatch.setattr(Path, "home", mock.Mock(side_effect=RuntimeError("no home")))
    scrub = build._path_scrubber([Path("/data/a"), Path('/d"\né'), Path("scans"), Path("/")])
    assert scrub("/data/a/b.npy /data/abc/d.npy /data/a\n") == "b.npy /data/abc/d.npy \n"
    said = {"x": ["all the scans and/or masks", 1]}
    assert scrub({**said, "y": '/d"\né/x.npy /data/aé'}) == {**said, "y": "x.npy /data/aé"}


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://git.example/lab/skullnb.git", "https://git.example/lab/skullnb"),
        ("git@github.com:lab/skullnb.git", "https://github.com/lab/skullnb"),
        ("https://me:secret@github.com/lab/skullnb", "https://github.com/lab/skullnb"),
        ("http://localhost/skullnb", ""),
    ],
)
def test_buttons_lead_to_the_source_where_its_public_address_is_known_without_a_password(
    monkeypatch, remote, url
):
    monkeypatch.setenv("GITHUB_SERVER_URL", "")
    monkeypatch.setenv("GITHUB_REPOSITORY", "")
    said = subprocess.CompletedProcess([], 0, stdout=f"{remote}\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: said)
    found = pages.address()
    assert found.get("repository", {"url": ""})["url"] == url
    assert ("html" in found) == bool(url)
    assert ("launch_buttons" in found) == url.startswith("https://github.com")


def write_results(folder: Path, chapter: str, **given: Any) -> Path:
    parts: dict[str, Any] = {key: {} for key in ("parameters", "inputs", "versions", "values")}
    path = folder / "results" / f"{chapter}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, "chapter": chapter, **parts, **given}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_runs_become_rows_whatever_notebooks_each_has(tmp_path):
    for run, chapter, values in (
        ("a", "01-data", {"n_slices": 5, "shape": [8, 8]}),
        ("a", "07-metrics", {"mean_iou": 0.5}),
        ("group/b", "01-data", {"n_slices": 9}),
        (".c.partial", "01-data", {"n_slices": 1}),
    ):
        write_results(tmp_path / run, chapter, parameters={"images": f"{run}.npy"}, values=values)
    table = collate(tmp_path)
    assert list(table) == ["run", "images", "01-data.n_slices", "07-metrics.mean_iou"]
    assert table["run"].tolist() == ["a", "group/b"]
    assert table["01-data.n_slices"].tolist() == [5, 9]
    assert table["07-metrics.mean_iou"].isna().tolist() == [False, True]


def test_what_is_no_file_of_results_is_named_with_its_folder(tmp_path):
    with pytest.raises(UnreadableFile, match="holds the runs"):
        collate(tmp_path)
    write_results(tmp_path / "sub-01", "01-data")
    path = write_results(tmp_path / "sub-02", "01-data")
    for text in ("{", "[]", "[" * 10_000, '{"format": "other"}'):
        path.write_text(text)
        with pytest.raises(UnreadableFile, match=r"'sub-02/results/01-data\.json' is not"):
            collate(tmp_path)


def test_notebooks_that_saw_other_images_are_not_brought_together(tmp_path):
    for chapter, sha in (("01-data", "ab"), ("02-normalise", "cd")):
        write_results(tmp_path, chapter, inputs={"images": sha})
    with pytest.raises(ReportFailed, match="The slices changed while the notebooks ran"):
        build._collect(tmp_path / "results", {}, {})


def test_the_browser_that_chrome_names_prints_and_its_failure_is_said(small, monkeypatch):
    monkeypatch.setenv("CHROME", "/no")
    with pytest.raises(InvalidSetting, match=r"CHROME names '/no'.*install one, or name it in the"):
        build_report(pdf=True, output_dir="out")
    own, pdf, page = (small / name for name in ("my-browser", "page.pdf", "page.html"))
    own.write_text("#!/bin/sh\necho cannot start >&2\nexit 1\n", encoding="utf-8")
    own.chmod(0o755)
    monkeypatch.setenv("CHROME", str(own))
    assert pages.find_browser() == own
    with pytest.raises(ReportFailed, match="my-browser could not print the PDF: cannot start"):
        pages.print_pdf(page, pdf, own)
    own.write_text(f"#!/bin/sh\nprintf %%PDF- > {pdf}\n")
    pages.print_pdf(page, pdf, own)


def test_a_weak_proxy_whose_object_is_gone_does_not_stop_the_pages():
    gone = {1}
    left_over = weakref.proxy(gone)
    del gone
    assert not any(left_over is one for one in pages.living_objects())
