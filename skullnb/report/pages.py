"""From executed notebooks to pages that ask nothing of the network, one file of them, and paper."""

import gc
import mimetypes
import os
import posixpath
import re
import shutil
import subprocess
import sys
import weakref
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from html import escape as html_escape
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import jinja2
import nbformat
import yaml
from bs4 import BeautifulSoup

from skullnb.errors import InvalidSetting, ReportFailed
from skullnb.report import live, teach
from skullnb.report.address import source
from skullnb.report.chapter import Chapter
from skullnb.report.plot import escape

_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^()\s:#]+\.(?:ipynb|md))(?P<part>#[^)]*)?\)")


def stage(
    work: Path, book: Path, toc: Any, front: str, chapter: Chapter, failures: Mapping[str, str]
) -> None:
    """Lay out `work/staged`, which holds the executed notebooks, as the project is."""
    staged = work / "staged"
    shutil.copytree(book, staged / "book", ignore=shutil.ignore_patterns("__pycache__", "_build"))
    (staged / "notebooks").mkdir()
    (staged / "book" / "_generated").mkdir()
    (staged / "_toc.yml").write_text(yaml.safe_dump(dict(toc), sort_keys=False), encoding="utf-8")
    config = yaml.safe_load((book / "_config.yml").read_text("utf-8"))
    for name, own in address().items():
        config[name] = {**config.get(name, {}), **own}
    (staged / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    cover = staged / "book" / "assets" / "cover.png"  # what a link to a page shows elsewhere
    shutil.copyfile(book / "pictures" / "slices.png", cover)
    slices = staged / "book" / "assets" / "live"
    if (work / "live").exists():  # slices of heads that notebooks have drawn
        (work / "live").rename(slices)
    trial = live.try_it(chapter.stack, chapter.settings, slices)
    (staged / "book" / "_generated" / "try-it.html").write_text(trial, encoding="utf-8")
    files = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    link = partial(relink, there={toc["root"], *files}, front=front)
    for path in sorted(staged.glob("*.ipynb")):
        notebook, name = nbformat.read(path, as_version=4), path.stem
        path.unlink()
        place = toc["root"] if name == front else f"notebooks/{name}"
        live.make_live(notebook, chapter.stack, slices)
        failed = {one: said for one, said in failures.items() if name in (one, front)}
        publish(notebook, partial(link, folder="notebooks", place=place), failed)
        number = re.match(r"0*(\d+)-", "" if name == front else name)
        for cell in notebook.cells:  # the file's name has the number, and the title not
            if number and cell.cell_type == "markdown":
                cell.source = re.sub(r"\A# ", f"# {number[1]} · ", cell.source)
        nbformat.write(notebook, staged / f"{place}.ipynb")
    for page in (staged / "book").glob("*.md"):
        text = link(page.read_text(encoding="utf-8"), folder="book", place=f"book/{page.stem}")
        page.write_text(text, encoding="utf-8")


def relink(text: str, folder: str, place: str, there: set[str], front: str = "index") -> str:
    """Point links of a text in `folder` where the pages are, from that at `place`, or nowhere."""

    def point(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link["target"]))
        page, ending = posixpath.splitext(target)
        page = "index" if page == f"notebooks/{front}" else page
        if page not in there:
            return link["text"]
        shown = posixpath.relpath(page, posixpath.dirname(place) or ".")
        return f"[{link['text']}]({shown}{ending}{link['part'] or ''})"

    return _LINK.sub(point, text)


def publish(notebook: Any, link: Callable[[str], str], failures: Mapping[str, str]) -> None:
    """Make an executed notebook a page's source, in place: links, figures, exercises, failures."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = link(cell.source)
            continue
        found, caption = [], None
        for output in cell.outputs:
            data, about = output.get("data", {}), output.get("metadata", {}).get("skullnb")
            said = data.get("text/markdown")
            if about:  # a picture; its caption is the next output
                caption = about["caption"]
                drawn = _figure(data["image/svg+xml"], about, link(caption))
                output["data"] = {"text/markdown": drawn}
            elif teach.MIME in data:
                output["data"] = {"text/html": teach.exercise_html(data[teach.MIME])}
            elif said and said == caption:
                continue
            elif said:
                data["text/markdown"] = link(said)
            found.append(output)
        cell.outputs = found
    if failures:
        lines = "\n".join(f"- [{n}]({n}.ipynb): {escape(e)}" for n, e in failures.items())
        banner = f":::{{error}}\nWhat stands after an error did not run.\n\n{link(lines)}\n:::\n"
        title = [cell.cell_type for cell in notebook.cells].index("markdown")
        notebook.cells.insert(title + 1, nbformat.v4.new_markdown_cell(banner))


def _figure(svg: str, about: Mapping[str, str], caption: str) -> str:
    """Write a drawing and its caption as one figure; a drawing with links is no mere image."""
    role, name = "group" if "<a " in svg else "img", about["figure"].replace(".", "-")
    drawn = svg.replace("<svg ", f'<svg role="{role}" aria-label="{html_escape(about["alt"])}" ', 1)
    return (
        f'```{{raw}} html\n<figure class="numbered" id="figure-{name}">\n{drawn}\n<figcaption>\n'
        f"```\n\n{caption}\n\n```{{raw}} html\n</figcaption></figure>\n```\n"
    )


def address() -> dict[str, Any]:
    """Jupyter Book's settings for buttons that lead to the source, where its address is known."""
    url, branch = source(Path(__file__).resolve().parents[2])
    buttons = ("use_repository_button", "use_edit_page_button", "use_issues_button")
    known = {
        "repository": {"url": url, "branch": branch, "path_to_book": ""},
        "html": dict.fromkeys(buttons, True),
    }
    if url.startswith("https://github.com/"):
        launch = {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"}
        known["launch_buttons"] = {**launch, "colab_url": "https://colab.research.google.com"}
    return known if url else {}


def living_objects() -> list[Any]:
    """Give all objects but weak proxies: a dead one raises when it is asked for its class."""
    return [one for one in gc.get_objects() if type(one) not in weakref.ProxyTypes]


def build(work: Path, front: str, *, strict: bool, scrub: Callable[[str], str]) -> None:
    """Build `work/html` from `work/staged`, which goes; where `strict`, a warning is an error."""
    from jupyter_book.config import get_final_config
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    staged, html = work / "staged", work / "built" / "html"
    said, path = StringIO(), list(sys.path)
    options = {"external_toc_path": "_toc.yml", "nitpicky": strict, "latex_individualpages": False}
    own = {"user_yaml": staged / "_config.yml", "cli_config": options, "sourcedir": staged}
    config, _ = get_final_config(**own)
    toc: Any = import_module("sphinx_external_toc.collectors")
    toc.gc = SimpleNamespace(get_objects=living_objects)  # it asks every object for its class
    try:
        with patch_docutils(None), docutils_namespace():
            places = (staged, None, html, html.parent / "doctrees")
            Sphinx(*places, "html", config, status=None, warning=said, freshenv=True).build()
    except SphinxError as error:
        said.write(f"ERROR: {error}\n")
    finally:
        sys.path[:] = path  # without the folder of the book's extensions
    lines = scrub(re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue())).splitlines()
    complaints = [line for line in lines if "WARNING" in line or "ERROR" in line]
    if not (html / "index.html").is_file() or (strict and complaints):
        raise ReportFailed(f"The pages could not be built: {'; '.join(complaints[:3])}")
    for leftover in (html / "_static").rglob("*.map"):  # megabytes, for those who debug the theme
        leftover.unlink()
    for copied in (html / "_sources").rglob("*.ipynb"):  # what is downloaded is the notebook itself
        name = front if copied.stem == "index" else copied.stem
        shutil.copyfile(work / "notebooks" / f"{name}.ipynb", copied)
    html.rename(work / "html")
    for folder in (staged, html.parent):
        shutil.rmtree(folder)


_NAMES = ("id", "for", "aria-labelledby", "aria-describedby", "aria-controls", "list", "headers")


def single_file(html: Path, book: Path) -> str:
    """Bring all pages of `html` together in one that asks for nothing, with `book`'s scripts."""

    def parse(page: str) -> Any:
        text = (html / page).read_text(encoding="utf-8")
        return BeautifulSoup(text, "html.parser", multi_valued_attributes=None)

    def said(tag: Any) -> str:
        return html_escape(tag.get_text(" ", strip=True))

    index = parse("index.html")
    contents = index.select("nav.bd-links p.caption, nav.bd-links a.internal")
    for link in index.select("nav.bd-links a.internal[href^='#']"):  # the page itself
        link["href"] = "index.html"
    names = [link["href"] for link in contents if link.get("href")]
    slugs = {name: "page-" + Path(name).stem for name in names}
    articles = {name: parse(name).select_one("article.bd-article") for name in slugs}
    for name, article in articles.items():
        for tag in article.select("a.headerlink, script[src]"):
            tag.decompose()
        for attribute in _NAMES:  # pages share some
            for tag in article.select(f"[{attribute}]:not(svg *)"):
                tag[attribute] = re.sub(r"\S+", rf"{slugs[name]}-\g<0>", tag[attribute])
        for box in article.select(".pst-scrollable-table-container, .output.text_html"):
            box["tabindex"] = "0"  # what scrolls does so by keyboard
        for link in article.select("a[href]:not([href*=':'])"):
            to = urlsplit(link["href"])
            page = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(to.path)))
            page = page if to.path else name
            if page in slugs:
                link["href"] = "#" + "-".join(filter(None, [slugs[page], unquote(to.fragment)]))
            else:  # a file that stays behind
                link.unwrap()
        for image in article.select("img[src]:not([src*=':'])"):
            source = unquote(urlsplit(image["src"]).path)
            image["src"] = _data_uri((html / name).parent / source)
    sheets = [urlsplit(one["href"]).path for one in index.select("link[rel=stylesheet]")]
    scripts = [Path(urlsplit(tag["src"]).path).name for tag in index.select("script[src]")]
    scripts = [one for one in scripts if (book / "assets" / one).is_file()]
    template: Any = jinja2.Template((book / "single-file.html").read_text(encoding="utf-8"))
    text = template.render(
        title=said(index.title),
        icon=_data_uri(html / "_static" / "favicon.svg"),
        styles=[_styles(html / sheet) for sheet in sheets],
        scripts=[(book / "assets" / one).read_text("utf-8") for one in scripts],
        contents=[(slugs.get(one.get("href")), said(one)) for one in contents],
        articles=[(slugs[name], one.decode_contents()) for name, one in articles.items()],
        slices=[one.read_text("ascii") for one in sorted((html / "_static/live").glob("*.js"))],
    )
    return str(text)


def _data_uri(file: Path) -> str:
    data, mime = file.read_bytes(), mimetypes.guess_type(file.name, strict=False)[0]
    return f"data:{mime};base64,{b64encode(data).decode('ascii')}"


def _styles(file: Path) -> str:
    """Read a stylesheet, without the icon fonts that the theme would fetch."""
    text = file.read_text(encoding="utf-8")
    imported = r'@import\s*(?:url\()?"([^"]+)"\)?;?'
    text = re.sub(imported, lambda at: _styles(file.parent / at[1]), text)
    text = re.sub(r"@font-face\s*\{[^}]*\}", "", text)
    return re.sub(r"url\((?!['\"]?(?:data:|#))[^)]*\)", "none", text)


_KNOWN = "chromium chromium-browser google-chrome google-chrome-stable chrome msedge microsoft-edge"
_MACS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
_SECONDS = 300


def find_browser() -> Path:
    """Find Chromium, or a browser made of it: by the variable CHROME, or by name."""
    named = os.environ.get("CHROME")
    for name in (named,) if named else (*_KNOWN.split(), _MACS):
        if found := shutil.which(name):
            return Path(found)
    said = f"CHROME names {named!r}, which is no program here" if named else "none was found"
    told = f"A PDF is printed by Chromium or Chrome, and {said}"
    raise InvalidSetting(f"{told}; install one, or name it in the environment variable CHROME.")


def print_pdf(page: Path, file: Path, browser: Path) -> None:
    """Print an HTML file, with an outline of its headings."""
    command = [str(browser), "--headless", "--disable-gpu", "--no-pdf-header-footer"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium refuses to start as root with one
    command += ["--generate-pdf-document-outline", f"--print-to-pdf={file}", page.as_uri()]
    with TemporaryDirectory(prefix="skullnb-", ignore_cleanup_errors=True) as profile:
        try:
            done = subprocess.run(
                [*command, f"--user-data-dir={profile}"],
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
