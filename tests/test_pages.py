"""The book's own pages: what they cite, define and draw."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from skullnb.evidence import build_ledger, verdict
from skullnb.phantom import variant
from skullnb.pipeline import RULES
from skullnb.report.ledger import baseline_sentence, ledger_picture
from skullnb.results import Results

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
ENTRY = re.compile(r"^@\w+\{(?P<key>\w+),\n(?P<body>.*?)\n\}", flags=re.DOTALL | re.MULTILINE)
TERM = re.compile(
    r"^(?P<term>\S.*)\n: (?P<text>.*) \(\[[^\]]+\]\(notebooks/(?P<chapter>[\w-]+)\.ipynb\)\)$",
    flags=re.MULTILINE,
)


def field(body: str, name: str) -> str:
    found = re.search(rf"^  {name} = \{{(.*)\}},?$", body, flags=re.MULTILINE)
    return found[1] if found else ""


def text_of(chapter: str) -> str:
    """All that a chapter says, typed or computed."""
    texts = []
    for cell in nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", as_version=4).cells:
        texts.append(cell.source)
        for output in cell.get("outputs", []):
            texts.append(output.get("data", {}).get("text/markdown", ""))
    return "\n".join(texts)


@pytest.fixture(scope="module")
def sources() -> str:
    """Everything that may cite: pages, chapters, and what the functions refer to."""
    chapters = [text_of(path.stem) for path in (ROOT / "notebooks").glob("*.ipynb")]
    files = [*BOOK.glob("*.md"), *(ROOT / "skullnb").rglob("*.py")]
    return "\n".join([*chapters, *(path.read_text(encoding="utf-8") for path in files)])


def test_every_work_in_the_bibliography_is_cited_somewhere(sources):
    entries = list(ENTRY.finditer((BOOK / "references.bib").read_text(encoding="utf-8")))
    assert len(entries) == (BOOK / "references.bib").read_text(encoding="utf-8").count("\n@") + 1
    for entry in entries:
        body = entry["body"]
        surname = re.split(r",| and ", field(body, "author"))[0]
        ways = (
            rf"\{{cite\}}`[^`]*\b{entry['key']}\b",
            re.escape(field(body, "doi") or field(body, "eprint") or "no identifier"),
            re.escape(field(body, "howpublished")[5:-1] or "no address"),
            rf"{surname}\b.{{0,60}}\b{field(body, 'year')}\b" if surname else "no author",
        )
        assert any(re.search(way, sources) for way in ways), entry["key"]


def test_every_article_in_the_bibliography_has_a_doi():
    bibliography = (BOOK / "references.bib").read_text(encoding="utf-8")
    for kind in ("article", "inproceedings"):
        for entry in re.findall(rf"^@{kind}\{{.*?\n\}}", bibliography, flags=re.DOTALL | re.M):
            assert re.search(r"^  doi = \{10\.\d{4,}/\S+\}", entry, flags=re.M), entry


def test_the_glossary_defines_each_term_once_and_in_a_chapter_that_uses_it():
    glossary = (BOOK / "glossary.md").read_text(encoding="utf-8")
    terms = list(TERM.finditer(glossary))
    assert len(terms) == glossary.count("\n: ")
    names = [term["term"] for term in terms]
    assert names == sorted(set(names), key=str.lower)
    for term in terms:
        said = text_of(term["chapter"]).lower()
        words = re.split(r", | and ", term["term"].lower())
        assert any(word.removesuffix("e") in said for word in words), term["term"]
        assert len(re.findall(r"[.?](?: |$)", term["text"])) <= 2, term["term"]


@pytest.fixture(scope="module")
def ledger():
    return build_ledger(variant("brain-touches-frame")[:2])


@pytest.fixture(scope="module")
def chapters(ledger):
    results = Results("09-evidence")
    results.record(verdict=verdict(ledger), **ledger.values())
    return {"09-evidence": results.values}


def test_the_ledger_on_one_page_has_a_row_for_every_rule_with_what_was_measured(chapters, ledger):
    picture = ledger_picture(chapters)
    rows = re.findall(r"<li>.*?</li>", picture)
    assert [re.search(r"<strong>(.*?)</strong>", row)[1] for row in rows] == list(RULES)
    for row, one in zip(rows, ledger.summary(), strict=True):
        assert f"fired on {one.n_fired} of 2 slices" in row
        assert (f"changed the mask of {one.n_changed}" in row) == bool(one.n_fired)
        assert f">{one.status}</span>" in row
        widths = dict(re.findall(r'<rect class="(\w+)"[^>]* width="(\d+)"', row))
        expected = {
            "changed": one.n_changed,
            "inert": one.n_fired - one.n_changed,
            "silent": 2 - one.n_fired,
        }
        assert {name: int(width) for name, width in widths.items()} == {
            name: n for name, n in expected.items() if n
        }
        assert (f"IoU {one.iou:.3f}, without it {one.iou_off:.3f}" in row) == bool(one.n_changed)


def test_without_a_reference_mask_the_ledger_on_one_page_gives_no_score(ledger):
    results = Results("09-evidence")
    results.record(verdict=verdict(ledger), **ledger.values())
    for one in results.values["rules"].values():
        one.update(iou=None, iou_off=None)
    assert "IoU" not in "".join(
        re.findall(r"<li>.*?</li>", ledger_picture({"09-evidence": results.values}))
    )


def test_the_score_of_the_baseline_comes_from_the_chapter_on_real_heads():
    found = {"n_heads": 7, "head_iou_px": 0.12345, "head_iou_mm": 0.54321}
    said = baseline_sentence({"12-real-heads": found})
    assert "On 7 [open heads]" in said
    assert "0.123" in said
    assert "0.543" in said
