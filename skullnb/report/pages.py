"""From executed notebooks to pages: what Jupyter Book builds, one file of it, and paper.

The pages ask nothing of the network. They are built within this process, by Sphinx with Jupyter
Book's settings, from a copy of the book's sources laid out as the project itself is.
"""

from __future__ import annotations

import gc
import os
import posixpath
import re
import shutil
import subprocess
import sys
import weakref
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from html import escape as html_escape
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np

from skullnb.errors import InvalidSetting, ReportFailed
from skullnb.pipeline import create_skull_masks
from skullnb.report import plot
from skullnb.report.address import branch, source_address
from skullnb.report.chapter import spread

if TYPE_CHECKING:
    from skullnb.pipeline import PipelineSettings
    from skullnb.stack import Stack

_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^()\s:#]+\.(?:ipynb|md))(?P<part>#[^)]*)?\)")


def stage(
    work: Path,
    book: Path,
    toc: Mapping[str, Any],
    front: str,
    stack: Stack,
    settings: PipelineSettings,
    failures: Mapping[str, str],
) -> None:
    """Lay out `work/staged` as the project is: `index.ipynb`, `notebooks/`, `book/`.

    `work/staged` holds the executed notebooks already. `front`: the one that becomes the index.
    """
    import nbformat
    import yaml  # comes with the extra

    from skullnb.report import live, teach

    staged = work / "staged"
    shutil.copytree(book, staged / "book", ignore=shutil.ignore_patterns("__pycache__", "_build"))
    (staged / "notebooks").mkdir()
    files = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    there = {toc["root"], *files}
    slices = staged / "book" / "assets" / "live"
    (staged / "_toc.yml").write_text(yaml.safe_dump(dict(toc), sort_keys=False), encoding="utf-8")
    config = yaml.safe_load((staged / "book" / "_config.yml").read_text("utf-8"))
    for name, own in address().items():
        config[name] = {**config.get(name, {}), **own}
    (staged / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (staged / "book" / "_generated").mkdir()
    draw_cover(stack, settings, staged / "book" / "assets" / "cover.png")
    trial = live.try_it(stack, settings, slices)
    (staged / "book" / "_generated" / "try-it.html").write_text(trial, encoding="utf-8")
    for path in sorted(staged.glob("*.ipynb")):
        name = path.stem
        notebook = nbformat.read(path, as_version=4)
        path.unlink()
        place = toc["root"] if name == front else f"notebooks/{name}"
        live.publish(notebook, stack, slices)
        teach.publish(notebook)
        number = re.match(r"0*(\d+)-", name) if name != front else None
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = relink(cell.source, "notebooks", place, there, front)
                if number:  # the file's name has it, and the title not
                    cell.source = re.sub(r"\A# ", f"# {number[1]} · ", cell.source)
            else:
                cell.outputs = _numbered(cell.outputs, place, there, front)
        said = {name: failures[name]} if name in failures else {}
        if banner := _banner(failures if name == front else said, there):
            titles = [n for n, cell in enumerate(notebook.cells) if cell.source.startswith("# ")]
            place_of = next((n for n in titles if notebook.cells[n].cell_type == "markdown"), -1)
            notebook.cells.insert(place_of + 1, nbformat.v4.new_markdown_cell(banner))
        nbformat.write(notebook, staged / f"{place}.ipynb")
    for page in (staged / "book").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(relink(text, "book", f"book/{page.stem}", there, front), encoding="utf-8")


def draw_cover(stack: Stack, settings: PipelineSettings, file: Path) -> None:
    """Draw what a link to a page shows elsewhere, 1200 x 630 px: slices with their masks."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(12, 6.3), dpi=100, facecolor="black", layout="constrained")
    shown = spread(len(stack), 3)
    for ax, index in zip(fig.subplots(1, len(shown), squeeze=False).flat, shown, strict=True):
        image = np.asarray(stack.images[index])
        reference = None if stack.reference is None else np.asarray(stack.reference[index])
        mask = create_skull_masks(image[None], settings)[0]
        box = plot.box_of(mask if reference is None else mask | (reference > 0))
        plot.show(ax, image, spacing=stack.spacing_mm, box=box, cmap="gray")
        plot.outline(ax, mask, "mask", linewidths=2.5)
        plot.outline(ax, reference, "reference", linewidths=2.5, linestyles="--")
    fig.savefig(file)


def relink(text: str, folder: str, place: str, there: Iterable[str], front: str = "index") -> str:
    """Point links where the pages are; a link to a page that is not there becomes plain text.

    `folder`: where the text lies in the project. `place`: of the page it is on, without ending.
    `there`: all pages. `front`: the notebook that is the index.

    Examples
    --------
    >>> text = "[data](01-data.ipynb), [terms](../book/glossary.md#otsu), [holes](06-holes.ipynb)"
    >>> relink(text, "notebooks", "index", {"notebooks/01-data", "book/glossary"})
    '[data](notebooks/01-data.ipynb), [terms](book/glossary.md#otsu), holes'
    """
    pages = set(there)

    def point(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link["target"]))
        page, ending = posixpath.splitext(target)
        page = "index" if page == f"notebooks/{front}" else page
        if page not in pages:
            return link["text"]
        shown = posixpath.relpath(page, posixpath.dirname(place) or ".")
        return f"[{link['text']}]({shown}{ending}{link['part'] or ''})"

    return _LINK.sub(point, text)


def _numbered(outputs: list[Any], place: str, there: Iterable[str], front: str) -> list[Any]:
    """Bring a picture and its caption, two outputs of a cell, together in one figure."""
    import nbformat

    found: list[Any] = []
    caption = None
    for output in outputs:
        data, about = output.get("data", {}), output.get("metadata", {}).get("skullnb")
        if about:
            caption, alt = about["caption"], html_escape(about["alt"])
            drawn = data.get("image/svg+xml")
            if drawn:
                drawn = drawn.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)
            else:
                drawn = f'<img alt="{alt}" src="data:image/png;base64,{data["image/png"]}">'
            name = f"figure-{about['figure'].replace('.', '-')}"
            text = (
                f'```{{raw}} html\n<figure class="numbered" id="{name}">\n{drawn}\n<figcaption>\n'
                f"```\n\n{relink(caption, 'notebooks', place, there, front)}\n\n"
                "```{raw} html\n</figcaption></figure>\n```\n"
            )
            found.append(nbformat.v4.new_output("display_data", data={"text/markdown": text}))
        elif caption is None or data.get("text/markdown") != caption:
            if "text/markdown" in data:
                said = data["text/markdown"]
                data["text/markdown"] = relink(said, "notebooks", place, there, front)
            found.append(output)
    return found


def _banner(failures: Mapping[str, str], there: Iterable[str]) -> str:
    if not failures:
        return ""
    links = {name: f"[{name}](notebooks/{name}.ipynb)" for name in failures}
    lines = [
        f"- {links[name] if f'notebooks/{name}' in set(there) else name}: {plot.escape(error)}"
        for name, error in failures.items()
    ]
    several = f"{len(failures)} notebooks stopped" if len(failures) > 1 else "One notebook stopped"
    title = f"{several} with an error; what stands after it did not run"
    return "\n".join([f":::{{admonition}} {title}", ":class: error", "", *lines, ":::", ""])


def address() -> dict[str, Any]:
    """Jupyter Book's settings for buttons that lead to the source, where its address is known."""
    url = source_address(Path(__file__).resolve().parents[2])
    if not url:
        return {}
    buttons = ("use_repository_button", "use_edit_page_button", "use_issues_button")
    found: dict[str, Any] = {
        "repository": {"url": url, "branch": branch(), "path_to_book": ""},
        "html": dict.fromkeys(buttons, True),
    }
    if url.startswith("https://github.com/"):
        launch = {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"}
        found["launch_buttons"] = {**launch, "colab_url": "https://colab.research.google.com"}
    return found


def _living_objects() -> list[Any]:
    """Give all objects but weak proxies."""
    return [one for one in gc.get_objects() if type(one) not in weakref.ProxyTypes]


def build(work: Path, front: str, *, strict: bool, scrub: Callable[[str], str]) -> None:
    """Build `work/html` from `work/staged`, which goes; `front` is the notebook on the index.

    `strict`: a warning is an error; a notebook that failed leaves gaps, so not with one. `scrub`:
    takes full paths out of what an error says.
    """
    from jupyter_book.config import get_final_config
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    staged, built = work / "staged", work / "built"
    html = built / "html"
    said, path = StringIO(), list(sys.path)
    options = {"external_toc_path": "_toc.yml", "nitpicky": strict, "latex_individualpages": False}
    config, _ = get_final_config(
        user_yaml=staged / "_config.yml", cli_config=options, sourcedir=staged
    )
    toc: Any = import_module("sphinx_external_toc.collectors")
    # It asks every object alive for its class; a weak proxy whose object is gone raises at that.
    toc.gc = SimpleNamespace(get_objects=_living_objects)
    try:
        with patch_docutils(None), docutils_namespace():
            app = Sphinx(
                srcdir=staged,
                confdir=None,
                outdir=html,
                doctreedir=built / "doctrees",
                buildername="html",
                confoverrides=config,
                status=None,
                warning=said,
                freshenv=True,
                parallel=1,
            )
            app.build()
    except SphinxError as error:
        said.write(f"ERROR: {error}\n")
    finally:
        sys.path[:] = path
    lines = scrub(re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue())).splitlines()
    complaints = [line for line in lines if "WARNING" in line or "ERROR" in line]
    if not (html / "index.html").is_file() or (strict and complaints):
        raise ReportFailed(f"The pages could not be built: {'; '.join(complaints[:3])}")
    for leftover in (html / "_static").rglob("*.map"):  # for those who debug the theme
        leftover.unlink()
    for source in (html / "_sources").rglob("*.ipynb"):  # what is downloaded is the notebook itself
        name = front if source.stem == "index" else source.stem
        shutil.copyfile(work / "notebooks" / f"{name}.ipynb", source)
    html.rename(work / "html")
    for folder in (staged, built):
        shutil.rmtree(folder)


# ---- one file, and paper -------------------------------------------------------------------------

_REFERENCES = ("for", "aria-labelledby", "aria-describedby", "aria-controls", "list", "headers")
_MIME = {".svg": "image/svg+xml", ".webp": "image/webp", ".jpg": "image/jpeg", ".gif": "image/gif"}


def write_book_files(work: Path, book: Path, keep_html: bool, browser: Path | None) -> None:
    """Write `book.html` beside the built pages, and print it to `book.pdf` with a browser."""
    page = work / "book.html"
    page.write_text(single_file(work / "html", book), encoding="utf-8")
    if browser:
        print_pdf(page, work / "book.pdf", browser)
    if not keep_html:
        page.unlink()


def single_file(html: Path, book: Path) -> str:
    """Bring all pages together in one that asks for nothing, in the order of the contents.

    `book`: its sources, with the file's template; of scripts only those found there go in.
    """
    from bs4 import BeautifulSoup

    def parse(page: Path) -> Any:
        return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")

    index = parse(html / "index.html")
    links = [str(link["href"]) for link in index.select("nav.bd-links a.internal")]
    names = list(dict.fromkeys(["index.html", *(one for one in links if not one.startswith("#"))]))
    slugs = {name: "page-" + Path(name).stem for name in names}
    found = {name: parse(html / name).select_one("article.bd-article") for name in names}
    articles = {name: article for name, article in found.items() if article}
    targets = _unique_ids(articles, slugs)
    sections = []
    for name, article in articles.items():
        for tag in article.select("a.headerlink, script[src]"):
            tag.decompose()
        for box in article.select(".pst-scrollable-table-container, .output.text_html"):
            box["tabindex"] = "0"  # what scrolls does so by keyboard
        for link in article.select("a[href]"):
            to = urlsplit(str(link["href"]))
            if to.scheme:
                continue
            page = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(to.path)))
            page = page if to.path else name
            if page in slugs:
                link["href"] = "#" + targets.get((page, unquote(to.fragment)), slugs[page])
            else:  # a file that stays behind
                link.unwrap()
        for image in article.select("img[src]"):
            if not urlsplit(str(image["src"])).scheme:
                source = unquote(urlsplit(str(image["src"])).path)
                image["src"] = _data_uri((html / name).parent / source)
                image["decoding"] = "async"
        inner = article.decode_contents()
        sections.append(f'<article class="bd-article" id="{slugs[name]}">{inner}</article>')

    hrefs = [str(one["href"]) for one in index.select("link[rel=stylesheet]")]
    sheets = [html / urlsplit(href).path for href in hrefs]
    scripts = [Path(urlsplit(str(tag["src"])).path).name for tag in index.select("script[src]")]
    own = [book / "assets" / one for one in scripts if (book / "assets" / one).is_file()]
    contents = []
    for tag in index.select("nav.bd-links p.caption, nav.bd-links a.internal"):
        text = html_escape(tag.get_text(" ", strip=True))
        href = str(tag.get("href", ""))
        slug = slugs["index.html" if href.startswith("#") else href] if href else ""
        line = f'<li><a href="#{slug}">{text}</a></li>' if href else f'<li class="part">{text}</li>'
        contents.append(line)
    parts = {
        "title": html_escape(index.title.get_text(strip=True) if index.title else "skullnb"),
        "icon": _data_uri(html / "_static" / "favicon.svg"),
        "styles": "\n".join(_styles(sheet) for sheet in sheets),
        "scripts": "\n".join(f"<script>\n{one.read_text('utf-8')}</script>" for one in own),
        "slices": "\n".join(
            f"<script>{one.read_text('ascii')}</script>"
            for one in sorted((html / "_static" / "live").glob("*.js"))
        ),
        "contents": "\n".join(contents),
        "articles": "\n".join(sections),
    }
    template = (book / "single-file.html").read_text(encoding="utf-8")
    return re.sub(r"<!--(\w+)-->", lambda slot: parts.get(slot[1], slot[0]), template)


def _unique_ids(articles: Mapping[str, Any], slugs: Mapping[str, str]) -> dict[Any, str]:
    """Rename ids that several pages share; the new id for each page and old one."""
    ids = {name: [str(tag["id"]) for tag in one.select("[id]")] for name, one in articles.items()}
    uses = Counter(one for found in ids.values() for one in set(found))
    targets = {
        (name, one): one if uses[one] == 1 else f"{slugs[name]}-{one}"
        for name, found in ids.items()
        for one in found
    }
    for name, article in articles.items():
        for tag in article.select("[id]"):
            tag["id"] = targets[name, str(tag["id"])]
        for attribute in _REFERENCES:
            for tag in article.select(f"[{attribute}]"):
                old = tag[attribute]
                words = old if isinstance(old, list) else str(old).split()
                tag[attribute] = " ".join(targets.get((name, word), word) for word in words)
    return targets


def _data_uri(file: Path) -> str:
    from PIL import Image

    data, mime = file.read_bytes(), _MIME.get(file.suffix, "image/png")
    if mime == "image/png":  # the same pixels in half of the bytes
        packed = BytesIO()
        with Image.open(file) as picture:
            picture.save(packed, format="WEBP", lossless=True, method=1)
        data, mime = packed.getvalue(), "image/webp"
    return f"data:{mime};base64,{b64encode(data).decode('ascii')}"


def _styles(file: Path) -> str:
    """Read a stylesheet, without the icon fonts that the theme would fetch."""
    text = file.read_text(encoding="utf-8")
    text = re.sub(
        r'@import\s*(?:url\()?"([^"]+)"\)?;?', lambda at: _styles(file.parent / at[1]), text
    )
    text = re.sub(r"@font-face\s*\{[^}]*\}", "", text)
    return re.sub(r"url\((?!['\"]?(?:data:|#))[^)]*\)", "none", text)


_BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "msedge"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_SECONDS = 300
_LONGEST = 60  # characters; what Chromium makes of them has to stay under 108


def find_browser() -> Path | None:
    """Find Chromium, or a browser made of it: by the variable CHROME, by name, or playwright's."""
    named = os.environ.get("CHROME")
    for name in (named,) if named else _BROWSERS:
        if found := shutil.which(name):
            return Path(found)
    if named or not find_spec("playwright"):
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.is_file() else None


def require_browser() -> Path:
    """Find a browser that prints, or refuse in a sentence."""
    if browser := find_browser():
        return browser
    named = os.environ.get("CHROME")
    raise InvalidSetting(
        f"The environment variable CHROME names {named!r}, which is no program here; correct it."
        if named
        else "A PDF is printed by Chromium or Chrome, and none was found; install one, or name it"
        " in the environment variable CHROME."
    )


def print_pdf(page: Path, file: Path, browser: Path) -> None:
    """Print an HTML file, with an outline of its headings."""
    command = [str(browser), "--headless", "--disable-gpu", "--no-pdf-header-footer"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium refuses to start as root with one
    command += ["--generate-pdf-document-outline", f"--print-to-pdf={file}"]
    with TemporaryDirectory(prefix="skullnb-", ignore_cleanup_errors=True) as profile:
        # Its socket stays there when it is ended; a socket's path can't be long.
        own = {"TMPDIR": profile} if len(profile) < _LONGEST else {}
        try:
            done = subprocess.run(
                [*command, f"--user-data-dir={profile}", page.as_uri()],
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
            said = done.stderr.strip().splitlines()[-1:]
        except subprocess.TimeoutExpired:
            said = [f"it took more than {_SECONDS} seconds"]
    if not file.is_file() or file.read_bytes()[:5] != b"%PDF-":
        raise ReportFailed(f"{browser.name} could not print the PDF: {' '.join(said) or 'no word'}")
