"""From notebooks to a book: refusals before anything runs, whole reports, failing chapters."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import nbformat
import numpy as np
import pytest
import yaml
from chapters import PARAMETERS, write_chapter
from nbformat.v4 import new_code_cell, new_notebook, new_output

from skullnb.errors import InvalidSetting, ReportFailed, ShapeMismatch, SkullnbError
from skullnb.report import build, build_report, find_assets, run
from skullnb.report.clean import clean_notebook, path_scrubber
from skullnb.report.landing import comparison_card, data_note, evidence_line, remarks_line
from skullnb.report.select import accepted_parameters, parameter_names
from skullnb.report.stage import stage_toc, without_dead_links
from skullnb.report.table import published_table
from skullnb.stack import Stack, list_inputs

SCAN = "scan <b>*1*.npy"


def _write_data(folder: Path) -> tuple[Path, Path]:
    """Write two small slices, ring of scalp and brain, and their reference mask."""
    images = np.zeros((2, 96, 80), np.float32)
    reference = np.zeros((2, 96, 80), np.uint8)
    for image, mask in zip(images, reference, strict=True):
        cv2.ellipse(image, (40, 48), (34, 42), 0, 0, 360, 1.0, 3)
        cv2.ellipse(image, (40, 48), (20, 28), 0, 0, 360, 0.8, -1)
        cv2.ellipse(mask, (40, 48), (29, 37), 0, 0, 360, 1, -1)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / SCAN, images)
    np.save(folder / "masks.npy", reference)
    return folder / SCAN, folder / "masks.npy"


def _use_chapters(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    real = build.find_assets
    monkeypatch.setattr(build, "find_assets", lambda n: folder if n == "notebooks" else real(n))


def printed(notebook: Path) -> list[str]:
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [one for cell in cells for one in cell.get("outputs", [])]
    return [one.text for one in outputs if one.output_type == "stream"]


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        raise AssertionError("a chapter was started")

    monkeypatch.setattr(build, "run_chapters", started)


@pytest.fixture
def chapters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "chapters"
    write_chapter(folder, "01-data")
    write_chapter(folder, "03-threshold")
    _use_chapters(monkeypatch, folder)
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a report of two chapters about data of our own; one of them fails in `broken`."""
    folder = tmp_path_factory.mktemp("whole")
    write_chapter(
        folder / "chapters",
        "01-data",
        "chapter.record(n_slices=len(chapter.stack), shape=chapter.stack.images.shape[1:])",
        "print(images, reference)",
        text="Go on to [the threshold](03-threshold.ipynb) or [the holes](06-holes.ipynb#why).",
    )
    write_chapter(
        folder / "chapters",
        "03-threshold",
        'chapter.record(thresholds=chapter.summary["threshold"])',
    )
    images, reference = _write_data(folder / "patients")
    with pytest.MonkeyPatch.context() as patch:
        _use_chapters(patch, folder / "chapters")
        done = build_report(
            images, reference, kernel_width=18, output_dir=folder / "report", single_file=True
        )
    assert done.failed == ()
    assert done.files == (folder / "report" / "book.html",)
    assert done.files[0].is_file()
    assert done.index == folder / "report" / "html" / "index.html"
    return folder / "report"


@pytest.mark.usefixtures("chapters", "no_kernel")
class TestBeforeAnythingRuns:
    def test_an_unknown_parameter_is_refused_with_the_nearest_name(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidSetting, match="'kernal_width'; did you mean 'kernel_width'"):
            build_report(parameters={"kernal_width": 24}, output_dir=tmp_path / "out")

    def test_a_parameter_only_some_chapters_know_goes_to_those(self, chapters: Path) -> None:
        write_chapter(chapters, "07-metrics", parameters="tolerance: float = 2.0  # px")
        paths = sorted(chapters.glob("*.ipynb"))
        accepted = accepted_parameters(paths, {"tolerance": 3.0})
        assert accepted == {"01-data": {}, "03-threshold": {}, "07-metrics": {"tolerance": 3.0}}

    def test_a_chapter_that_does_not_take_the_data_is_refused(
        self, chapters: Path, tmp_path: Path
    ) -> None:
        images, _ = _write_data(tmp_path / "data")
        write_chapter(chapters, "07-metrics", parameters='output_dir: str = ""')
        with pytest.raises(InvalidSetting, match="'07-metrics' has no parameter 'images'"):
            build_report(images, output_dir=tmp_path / "out")

    def test_a_comment_with_an_equals_sign_does_not_hide_a_parameter(self, chapters: Path) -> None:
        path = write_chapter(chapters, "07-metrics", parameters='images: str = ""  # "" = none')
        assert parameter_names(path) == {"images"}

    def test_an_unknown_chapter_is_refused_with_those_there_are(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidSetting, match="no chapter '99'; the chapters are 01-data, 03"):
            build_report(chapters=["99"], output_dir=tmp_path / "out")

    def test_a_missing_file_is_one_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(SkullnbError, match=r"nowhere\.npy"):
            build_report(tmp_path / "nowhere.npy", output_dir=tmp_path / "out")

    def test_pixels_that_are_no_numbers_are_refused_before_a_chapter_starts(
        self, tmp_path: Path
    ) -> None:
        images = np.ones((2, 8, 8))
        images[1] = np.nan
        np.save(tmp_path / "nan.npy", images)
        with pytest.raises(SkullnbError, match="Slice 1 has 64 of 64 pixels that are NaN"):
            build_report(tmp_path / "nan.npy", output_dir=tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_masks_of_another_shape_are_refused(self, tmp_path: Path) -> None:
        images, _ = _write_data(tmp_path / "data")
        np.save(tmp_path / "other.npy", np.zeros((2, 5, 5), np.uint8))
        with pytest.raises(ShapeMismatch):
            build_report(images, tmp_path / "other.npy", output_dir=tmp_path / "out")

    def test_a_reference_without_images_is_refused(self, tmp_path: Path) -> None:
        _, reference = _write_data(tmp_path / "data")
        with pytest.raises(InvalidSetting, match="images"):
            build_report(reference=reference, output_dir=tmp_path / "out")

    def test_a_folder_that_is_not_empty_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").touch()
        with pytest.raises(InvalidSetting, match="not empty"):
            build_report(output_dir=tmp_path / "out")

    def test_overwriting_what_is_no_report_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").touch()
        with pytest.raises(InvalidSetting, match="not a skullnb report"):
            build_report(output_dir=tmp_path / "out", overwrite=True)
        assert (tmp_path / "out" / "thesis.txt").exists()

    def test_overwriting_the_data_itself_is_refused(self, tmp_path: Path) -> None:
        images, _ = _write_data(tmp_path / "out")
        (tmp_path / "out" / ".skullnb-report").touch()
        with pytest.raises(InvalidSetting, match="lies in the output folder"):
            build_report(images, output_dir=tmp_path / "out", overwrite=True)

    def test_the_current_folder_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InvalidSetting, match="current"):
            build_report(output_dir=".")

    def test_no_worker_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidSetting, match="workers is 0"):
            build_report(workers=0, output_dir=tmp_path / "out")

    def test_a_missing_extra_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(build, "find_spec", lambda name: name != "papermill")
        with pytest.raises(ReportFailed, match=r"needs papermill.*skullnb\[report\]"):
            build_report(output_dir=tmp_path / "out")


class TestAWholeReport:
    def test_it_holds_pages_notebooks_and_results(self, report: Path) -> None:
        names = {path.name for path in report.iterdir()}
        assert names == {
            "html",
            "book.html",
            "notebooks",
            "results",
            "results.json",
            ".skullnb-report",
        }
        assert (report / "html" / "notebooks" / "03-threshold.html").is_file()

    def test_nothing_temporary_is_left(self, report: Path) -> None:
        assert {path.name for path in report.parent.iterdir()} == {"chapters", "patients", "report"}

    def test_results_of_all_chapters_are_in_one_file(self, report: Path) -> None:
        results = json.loads((report / "results.json").read_text(encoding="utf-8"))
        assert results["chapters"]["01-data"] == {"n_slices": 2, "shape": [96, 80]}
        assert len(results["chapters"]["03-threshold"]["thresholds"]) == 2
        assert results["parameters"]["kernel_width"] == 18
        assert {"python", "numpy", "opencv-python-headless"} <= set(results["versions"])
        assert all(len(sha) == 64 for sha in results["inputs"].values())
        assert results["failed"] == {}

    def test_no_page_and_no_notebook_shows_a_full_path(self, report: Path) -> None:
        hidden = [str(report.parent), str(Path.home()), str(find_assets("book").parent)]
        hidden = [folder for folder in hidden if folder != "/"]  # the home of some containers
        texts = [path for path in report.rglob("*") if path.suffix not in (".png", ".inv", ".ttf")]
        shown = [
            (path.name, folder)
            for path in texts
            if path.is_file()
            for folder in hidden
            if folder.encode() in path.read_bytes()
        ]
        assert shown == []

    def test_the_chosen_parameters_are_shown_by_file_name(self, report: Path) -> None:
        notebook = nbformat.read(report / "notebooks" / "01-data.ipynb", as_version=4)
        [cell] = [
            one for one in notebook.cells if "injected-parameters" in one.metadata.get("tags", [])
        ]
        assert cell.source.splitlines()[1:] == [
            f"images = {SCAN!r}",
            "reference = 'masks.npy'",
            "kernel_width = 18",
        ]
        assert printed(report / "notebooks" / "01-data.ipynb") == [f"{SCAN} masks.npy\n"]

    def test_a_file_name_with_markup_is_shown_as_it_is(self, report: Path) -> None:
        landing = (report / "html" / "index.html").read_text(encoding="utf-8")
        assert "scan &lt;b&gt;*1*.npy" in landing
        assert "scan <b>" not in landing

    def test_the_landing_page_is_about_this_data(self, report: Path) -> None:
        landing = (report / "html" / "index.html").read_text(encoding="utf-8")
        assert "Your data" in landing
        assert "2 of 96 × 80" in landing
        assert "0.9795" not in landing

    def test_a_link_to_a_chapter_that_was_not_run_is_plain_text(self, report: Path) -> None:
        page = (report / "html" / "notebooks" / "01-data.html").read_text(encoding="utf-8")
        assert 'href="03-threshold.html"' in page
        assert "the holes" in page
        assert "06-holes" not in page

    def test_the_single_file_holds_every_live_slice_once(self, report: Path) -> None:
        text = (report / "book.html").read_text(encoding="utf-8")
        slices = sorted(path.stem for path in (report / "html").rglob("live/*.js"))
        assert slices == ["slice-0", "slice-1"]
        assert sorted(re.findall(r'skullnbLive\.take\("(.*?)"', text)) == slices

    def test_the_landing_page_is_a_page_and_not_a_redirect(self, report: Path) -> None:
        landing = (report / "html" / "index.html").read_text(encoding="utf-8")
        assert "http-equiv" not in landing.lower() or "refresh" not in landing.lower()
        assert "<h1>" in landing


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """Build over an older report; one chapter raises, another one's kernel dies."""
    folder = tmp_path_factory.mktemp("broken")
    write_chapter(
        folder / "chapters",
        "01-data",
        "chapter.record(n_slices=5)",
        "print(images, *chapter.stack.sources)",
    )
    write_chapter(folder / "chapters", "03-threshold", "missing = {}['<i>key</i>']")
    write_chapter(folder / "chapters", "07-metrics", "import os; os._exit(3)")
    _write_data(folder / "patients")
    (folder / "report").mkdir()
    (folder / "report" / ".skullnb-report").touch()
    (folder / "report" / "old.html").touch()
    with pytest.MonkeyPatch.context() as patch:
        _use_chapters(patch, folder / "chapters")
        patch.chdir(folder)
        done = build_report("pat*s/scan*.npy", output_dir="report", overwrite=True)
    return folder / "report", done.failed


class TestAFailingChapter:
    def test_it_is_named_and_the_report_is_still_built(
        self, broken: tuple[Path, tuple[str, ...]]
    ) -> None:
        report, failed = broken
        assert failed == ("03-threshold", "07-metrics")
        assert not (report / "old.html").exists()
        results = json.loads((report / "results.json").read_text(encoding="utf-8"))
        assert list(results["chapters"]) == ["01-data"]
        assert results["failed"]["03-threshold"] == "KeyError: '<i>key</i>'"

    def test_its_page_shows_a_banner_and_the_traceback(
        self, broken: tuple[Path, tuple[str, ...]]
    ) -> None:
        page = broken[0] / "html" / "notebooks" / "03-threshold.html"
        text = page.read_text(encoding="utf-8")
        assert "This chapter failed" in text
        assert "Traceback" in text
        assert "<i>key</i>" not in text

    def test_a_chapter_whose_kernel_dies_has_a_page_too(
        self, broken: tuple[Path, tuple[str, ...]]
    ) -> None:
        page = broken[0] / "html" / "notebooks" / "07-metrics.html"
        text = page.read_text(encoding="utf-8")
        assert "This chapter failed" in text
        assert "Kernel died" in text

    def test_no_folder_that_a_pattern_stands_for_is_shown(
        self, broken: tuple[Path, tuple[str, ...]]
    ) -> None:
        assert printed(broken[0] / "notebooks" / "01-data.ipynb") == [f"scan*.npy {SCAN}\n"]

    def test_the_landing_page_says_so(self, broken: tuple[Path, tuple[str, ...]]) -> None:
        landing = (broken[0] / "html" / "index.html").read_text(encoding="utf-8")
        assert "2 chapters failed" in landing
        assert "The best kernel width and the overlaps need a reference mask." in landing


def test_an_interrupted_report_leaves_nothing_behind(
    chapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def start(*arguments: Any) -> Any:
        started.append(start_chapter(*arguments))
        return started[-1]

    def interrupt(done: int, total: int, text: str) -> None:
        if done:
            raise KeyboardInterrupt

    start_chapter = run._start_chapter
    monkeypatch.setattr(run, "_start_chapter", start)
    write_chapter(chapters, "03-threshold", "import time; time.sleep(60)")
    images, _ = _write_data(tmp_path / "data")
    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        build_report(images, output_dir=tmp_path / "out", workers=2, progress=interrupt)
    assert set(tmp_path.iterdir()) == before
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_papermill_reads_every_parameter_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from papermill.iorw import read_yaml_file

    texts = ["a\x7fb", "a\x85b", "a\u2028b", "\U0001f600", "yes", "1e3", "12:30", "2020-01-01", "~"]
    given = {"texts": texts, "number": 1e-07, "nothing": None, "on": True, "one": "a: b # {c}\n"}
    for folder in ("notebooks", "log"):
        (tmp_path / folder).mkdir()
    path = write_chapter(tmp_path, "01-data")
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: None)
    run._start_chapter(path, given, tmp_path)
    read = read_yaml_file(str(tmp_path / "log" / "01-data.yaml"))
    assert read == {**given, "output_dir": str(tmp_path)}


def test_the_table_of_contents_lists_the_chapters_there_are() -> None:
    toc = yaml.safe_load((find_assets("book") / "_toc.yml").read_text(encoding="utf-8"))
    listed = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    there = sorted(path.stem for path in find_assets("notebooks").glob("*.ipynb"))
    assert [file for file in listed if file.startswith("notebooks/")] == [
        f"notebooks/{name}" for name in there
    ]


@pytest.mark.parametrize(
    "notebook", sorted(find_assets("notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_papermill_sees_all_parameters_of_every_chapter(notebook: Path) -> None:
    from papermill import inspect_notebook

    names = [line.split(":")[0] for line in PARAMETERS.splitlines()]
    assert list(inspect_notebook(notebook)) == names


def test_every_page_of_the_contents_is_there() -> None:
    book = find_assets("book")
    toc = yaml.safe_load((book / "_toc.yml").read_text(encoding="utf-8"))
    pages = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    own = [page for page in [toc["root"], *pages] if not page.startswith("notebooks/")]
    assert [page for page in own if not (book / f"{page}.md").is_file()] == []


def test_a_part_without_chapters_is_left_out_and_a_part_of_pages_stays() -> None:
    toc = {
        "parts": [
            {"caption": "One", "chapters": [{"file": "one"}, {"file": "notebooks/01-a"}]},
            {"caption": "Two", "chapters": [{"file": "two"}, {"file": "notebooks/08-b"}]},
            {"caption": "Sources", "chapters": [{"file": "references"}]},
        ]
    }
    assert [part["caption"] for part in stage_toc(toc, ["08-b"])["parts"]] == ["Two", "Sources"]


@pytest.mark.parametrize("prefix", ["", "notebooks/", "../notebooks/", "./"])
def test_links_to_missing_chapters_lose_their_target_only(prefix: str) -> None:
    text = f"[a]({prefix}01-data.ipynb), [b]({prefix}08-journey.ipynb#x), [c](https://doi.org/1)"
    kept = f"[a]({prefix}01-data.ipynb), b, [c](https://doi.org/1)"
    assert without_dead_links(text, ["01-data"]) == kept


def test_widget_views_are_taken_out_but_their_static_twin_stays(tmp_path: Path) -> None:
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "HBox()"}
    twin = {**view, "image/png": "iVBORw0KGgo="}
    outputs = [new_output("display_data", data) for data in (view, twin)]
    notebook = new_notebook(
        cells=[new_code_cell("w", outputs=outputs)], metadata={"widgets": {"state": {}}}
    )
    nbformat.write(notebook, tmp_path / "n.ipynb")
    assert clean_notebook(tmp_path / "n.ipynb", {}, path_scrubber([])) == ""
    cleaned = nbformat.read(tmp_path / "n.ipynb", as_version=4)
    [output] = cleaned.cells[0].outputs
    assert set(output.data) == {"text/plain", "image/png"}
    assert "widgets" not in cleaned.metadata


def test_a_folder_is_not_cut_out_of_a_longer_name_or_a_sentence() -> None:
    scrub = path_scrubber([Path("/data/a"), Path("scans"), Path("/")])
    assert scrub("/data/a/b.npy /data/abc/d.npy /data/a") == "b.npy /data/abc/d.npy "
    assert scrub("all the scans and/or masks") == "all the scans and/or masks"


@pytest.mark.parametrize("folder", ["", "ward [3]"])
def test_a_pattern_is_made_absolute_as_a_file_is_and_labels_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    images, _ = _write_data(tmp_path / folder / "scans")
    monkeypatch.chdir(images.parents[1])
    assert build.full_path(f"scans/{SCAN}") == str(images)
    pattern = build.full_path("scans/scan*.npy")
    monkeypatch.chdir("/")
    assert list_inputs(pattern) == [images]
    assert build.full_path(pattern) == pattern
    left = ("", "a,b", "a*,b*", "none.npy", "x\0")
    assert [build.full_path(text) for text in left] == list(left)


def test_the_table_sets_published_beside_measured_on_the_phantom() -> None:
    sweep = {"sweep_width": [24, 26], "sweep_iou": [0.97, 0.98], "sweep_dice": [0.98, 0.99]}
    measured = {
        "05-dilation": {**sweep, "best_width": None},
        "07-metrics": {"pooled_iou": 0.97951, "pooled_dice": 0.98964},
    }
    table = published_table(measured, is_phantom=True, has_reference=True)
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if " | " in line]
    assert ["Kernel width with the highest IoU", "26 px", "not measured"] in rows
    [limits] = [published for name, published, _ in rows if name == "Range of the intensities"]
    assert "e" in limits
    assert "-" not in limits, "a line may end after a hyphen"
    assert [
        "IoU, Dice at kernel width 26 px",
        "0.9794, 0.9896",
        "0.9800, 0.9900",
    ] in rows
    assert [
        "IoU, Dice pooled over all pixels, at the kernel width chosen",
        "0.9795, 0.9896 at 26 px",
        "0.9795, 0.9896",
    ] in rows


def test_the_installed_package_carries_notebooks_and_book(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "skullnb"
    (package / "_assets" / "book").mkdir(parents=True)
    monkeypatch.setattr(build, "__file__", str(package / "report" / "build.py"))
    assert find_assets("book") == package / "_assets" / "book"
    with pytest.raises(SkullnbError, match="install"):
        find_assets("notebooks")


def test_the_verdict_on_the_rules_is_one_line_of_the_landing_page() -> None:
    line = evidence_line({"09-evidence": {"verdict": "2 of 6 rules exercised; <b> never fired."}})
    assert "2 of 6 rules exercised; &#60;b&#62; never fired." in line
    assert line.count("\n") == 1
    assert evidence_line({}) == evidence_line({"09-evidence": {}}) == ""
    index = (find_assets("book") / "index.md").read_text(encoding="utf-8")
    assert "_generated/evidence.md" in index


def test_remarks_are_one_line_of_the_landing_page_that_leads_to_them() -> None:
    line = remarks_line({"15-your-data": {"n_warnings": 2, "n_slices": 23}})
    assert "2 of 23 slices" in line
    assert "(notebooks/15-your-data.ipynb)" in line
    assert remarks_line({}) == remarks_line({"15-your-data": {"n_warnings": 0}}) == ""


def test_the_card_about_the_article_needs_its_comparison() -> None:
    assert "table above" in comparison_card(is_phantom=True)
    index = (find_assets("book") / "index.md").read_text(encoding="utf-8")
    for name in ("remarks", "comparison"):
        assert f"_generated/{name}.md" in index
    assert "table above" not in index


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("masks.npy", "the reference mask **masks.npy**."),
        ("", "the reference masks in the same file."),
    ],
)
def test_the_landing_page_says_where_the_reference_is(reference: str, words: str) -> None:
    images = np.zeros((1, 8, 6), dtype=np.uint8)
    stack = Stack(images, images)
    given = {"parameters": {"images": "head.npz", "reference": reference}}
    assert f"compared with {words}" in data_note(stack, given, is_phantom=False)
