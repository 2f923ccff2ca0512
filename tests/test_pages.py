"""The book's own pages, and the files beside the source that say the same: what each must hold."""

import re
from pathlib import Path

import nbformat
import pytest
import yaml
from docutils.utils.smartquotes import educate_tokens
from exercises import outputs
from pybtex.database import parse_file
from test_book_browser import check_every_page

import skullnb
from skullnb import published
from skullnb.report.build import FRONT

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
PAPER = BOOK / "paper.md"  # for a journal: no page of the book
PAGES = sorted(set(BOOK.glob("*.md")) - {PAPER})
WORKS = parse_file(str(BOOK / "references.bib")).entries
TERM = re.compile(
    r"^(?P<term>\S.*)\n: (?P<text>.*)"
    r" \(\[[^\]]+\]\(\.\./notebooks/(?P<chapter>[\w-]+)\.ipynb\)\)$",
    flags=re.MULTILINE,
)
LINK = re.compile(r"\]\((?!https?:)(?P<target>[^)#\s]*)(?:#(?P<part>[\w-]+))?\)")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def text_of(path: Path) -> str:
    """All that a notebook says, typed or computed."""
    cells = nbformat.read(path, as_version=4).cells
    texts = [one.get("data", {}).get("text/markdown", "") for one in outputs(path)]
    return "\n".join([*(cell.source for cell in cells), *texts])


@pytest.fixture(scope="module")
def sources() -> str:
    """Everything that may cite: pages, chapters, and what the functions refer to."""
    chapters = [text_of(path) for path in (ROOT / "notebooks").glob("*.ipynb")]
    files = [*PAGES, PAPER, *(ROOT / "skullnb").rglob("*.py")]
    return "\n".join([*chapters, *(path.read_text(encoding="utf-8") for path in files)])


def test_every_work_in_the_bibliography_is_cited_somewhere_and_an_article_has_a_doi(sources):
    for key, work in WORKS.items():
        told = [work.fields.get(name, "") for name in ("doi", "eprint", "howpublished")]
        ways = [re.escape(one.removeprefix(r"\url{").removesuffix("}")) for one in told if one]
        ways.append(rf"(?:\{{cite\}}`[^`]*\b|@){key}\b")
        for author in work.persons.get("author", [])[:1]:
            ways.append(
                rf"{' '.join(author.last_names)}\b.{{0,60}}\b{work.fields.get('year', 'no year')}\b"
            )
        assert any(re.search(way, sources) for way in ways), key
        if work.type in ("article", "inproceedings"):
            assert re.match(r"10\.\d{4,}/\S+$", told[0]), key


def test_the_glossary_defines_each_term_once_and_in_a_chapter_that_uses_it():
    terms = list(TERM.finditer(read("book/glossary.md")))
    assert len(terms) == read("book/glossary.md").count("\n: ") > 30
    names = [term["term"] for term in terms]
    assert names == sorted(set(names), key=str.lower)
    for term in terms:
        said = text_of(ROOT / "notebooks" / f"{term['chapter']}.ipynb").lower()
        words = re.split(r", | and ", term["term"].lower())
        assert any(word.removesuffix("e") in said for word in words), term["term"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_pages_links_lead_to_what_is_there(page):
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / link["target"]) if link["target"] else page
        assert target.exists(), link["target"]
        if link["part"]:
            titles = re.findall(r"^##+ (.*)$", target.read_text(encoding="utf-8"), flags=re.M)
            assert link["part"] in [re.sub(r"\W+", "-", title.lower()) for title in titles]


@pytest.mark.parametrize("name", ["_toc.yml", "_toc-report.yml"])
def test_the_contents_name_every_page_once_and_only_what_is_there(name):
    toc = yaml.safe_load(read(f"book/{name}"))
    files = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    assert len(files) == len(set(files))
    there = {f"book/{page.stem}" for page in PAGES}
    there |= {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert set(files) <= there
    assert f"notebooks/{FRONT[name]}" in there
    if name == "_toc.yml":
        assert there - set(files) == {"notebooks/index"}
        chapters = [one for one in files if one.startswith("notebooks/")]
        assert chapters == sorted(chapters)


def test_author_and_address_of_the_article_stand_wherever_it_is_cited():
    for name in ("CITATION.cff", "codemeta.json", "README.md", "book/install.md"):
        assert published.ADDRESS in read(name), name
        assert {"Han", "Youngung"} <= set(re.findall(r"\w+", read(name))), name
    page = read("book/references.md")
    assert published.AUTHOR in page
    assert published.ADDRESS in page
    assert f"{published.REPOSITORY}/blob/main/{published.REPOSITORY_FILE}" in page
    said = " ".join(WORKS["skullmask_article"].fields.values())
    assert published.ADDRESS in said
    assert published.DATE in said


def test_the_tests_that_security_names_are_there():
    named = set(re.findall(r"`(test_\w+\.py)`", read("SECURITY.md")))
    assert len(named) > 5
    assert not [name for name in named if not (ROOT / "tests" / name).exists()]


def test_the_page_of_functions_has_all_that_the_package_exports():
    page = read("book/api.md")
    there = set(re.findall(r"\.\. auto\w+:: skullnb(?:\.\w+)*\.(\w+)$", page, flags=re.M))
    modules = {"heads", "metrics", "phantom", "SkullnbError", "__version__"}
    assert set(skullnb.__all__) - modules <= there


def test_an_option_in_a_sentence_keeps_its_two_dashes():
    config = yaml.safe_load(read("book/_config.yml"))["sphinx"]["config"]
    tokens = educate_tokens([("plain", "or --reach-mm 7.5")], config["smartquotes_action"])
    assert "".join(tokens) == "or --reach-mm 7.5"


@pytest.mark.browser
@pytest.mark.slow
def test_every_page_is_whole_and_without_barriers_on_a_phone_in_the_dark(chromium, html):
    check_every_page(chromium, html, "phone-dark")
