"""The whole book as one HTML file that asks for nothing: to send, to keep, and to print.

Made from the built pages. Chapters follow one another, so that the browser's own search and its
printing see everything; links between pages become links within the file.
"""

from __future__ import annotations

import posixpath
import re
from base64 import b64encode
from collections import Counter
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from PIL import Image

from skullnb.report.paper import print_pdf

_REFERENCES = ("for", "aria-labelledby", "aria-describedby", "aria-controls", "list", "headers")
_MIME = {".svg": "image/svg+xml", ".webp": "image/webp", ".jpg": "image/jpeg", ".gif": "image/gif"}


def write_book_files(
    work: Path, sources: Path, *, keep_html: bool = True, browser: Path | None = None
) -> None:
    """Write `book.html` beside the built pages, and print it.

    Parameters
    ----------
    work : Path
        Holds `html/`.
    sources : Path
        The book's own sources.
    keep_html : bool
        Whether `book.html` is wanted for itself.
    browser : Path, optional
        Prints `book.pdf`.
    """
    page = work / "book.html"
    write_single_file(work / "html", sources, page)
    if browser:
        print_pdf(page, work / "book.pdf", browser)
    if not keep_html:
        page.unlink()


def write_single_file(html: Path, sources: Path, file: Path) -> None:
    """Bring all pages of a built book together in one file.

    Parameters
    ----------
    html : Path
        The built pages; their order is that of the table of contents on `index.html`.
    sources : Path
        The book's own sources, with the file's template; of scripts only those found there go in.
    file : Path
        The file to write.
    """
    index = _parse(html / "index.html")
    names = _pages_in_order(index)
    pages = {name: _parse(html / name) for name in names}
    found = {name: page.select_one("article.bd-article") for name, page in pages.items()}
    articles = {name: article for name, article in found.items() if article}
    slugs = {name: "page-" + Path(name).stem for name in names}
    targets = _unique_ids(articles, slugs)
    sections = []
    for name, article in articles.items():
        for heading in article.select("a.headerlink, script[src]"):
            heading.decompose()
        for box in article.select(".pst-scrollable-table-container, .output.text_html"):
            box["tabindex"] = (
                "0"  # what scrolls does so by keyboard; a script did this on the pages
            )
        _point_inwards(article, name, slugs, targets)
        _embed_pictures(article, (html / name).parent)
        inner = article.decode_contents()
        sections.append(f'<article class="bd-article" id="{slugs[name]}">{inner}</article>')

    assets = [
        html / urlsplit(str(tag["href"])).path for tag in index.select("link[rel=stylesheet]")
    ]
    linked = [html / urlsplit(str(tag["src"])).path for tag in index.select("script[src]")]
    own = [script for script in linked if (sources / "assets" / script.name).is_file()]
    template = (sources / "single-file.html").read_text(encoding="utf-8")
    title = index.title.get_text(strip=True) if index.title else "skullnb"
    parts = {
        "title": escape(title),
        "icon": _data_uri(html / "_static" / "favicon.svg"),
        "styles": "\n".join(_styles(asset) for asset in assets),
        "scripts": "\n".join(
            f"<script>\n{script.read_text(encoding='utf-8')}</script>" for script in own
        ),
        "slices": "\n".join(
            f"<script>{script.read_text(encoding='ascii')}</script>"
            for script in sorted((html / "_static" / "live").glob("*.js"))
        ),
        "contents": _contents(index, slugs),
        "articles": "\n".join(sections),
    }
    file.write_text(
        re.sub(r"<!--(\w+)-->", lambda slot: parts.get(slot[1], slot[0]), template),
        encoding="utf-8",
    )


def _parse(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def _pages_in_order(index: BeautifulSoup) -> list[str]:
    links = [str(link["href"]) for link in index.select("nav.bd-links a.internal")]
    return ["index.html", *(href for href in links if not href.startswith("#"))]


def _unique_ids(articles: dict[str, Tag], slugs: dict[str, str]) -> dict[tuple[str, str], str]:
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


def _point_inwards(
    article: Tag, name: str, slugs: dict[str, str], targets: dict[tuple[str, str], str]
) -> None:
    for link in article.select("a[href]"):
        parts = urlsplit(str(link["href"]))
        if parts.scheme:
            continue
        path = posixpath.join(posixpath.dirname(name), unquote(parts.path))
        page = posixpath.normpath(path) if parts.path else name
        if page in slugs:
            link["href"] = "#" + targets.get((page, unquote(parts.fragment)), slugs[page])
        else:  # a file that stays behind
            link.unwrap()


def _embed_pictures(article: Tag, folder: Path) -> None:
    for image in article.select("img[src]"):
        source = str(image["src"])
        if not urlsplit(source).scheme:
            image["src"] = _data_uri(folder / unquote(urlsplit(source).path))
            image["decoding"] = "async"


def _data_uri(file: Path) -> str:
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


def _contents(index: BeautifulSoup, slugs: dict[str, str]) -> str:
    nav = index.select_one("nav.bd-links")
    lines: list[str] = []
    for tag in nav.select("p.caption, a.internal") if nav else ():
        text = escape(tag.get_text(" ", strip=True))
        if tag.name == "p":
            lines.append(f'<li class="part">{text}</li>')
        else:
            href = str(tag["href"])
            slug = slugs.get("index.html" if href.startswith("#") else href)
            lines.append(f'<li><a href="#{slug}">{text}</a></li>')
    return "\n".join(lines)
