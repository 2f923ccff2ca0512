"""Sphinx extension: what a link to a page shows elsewhere, and roles that screen readers know.

Most programs that preview links want a picture's full address. Where the book is published, the
environment variable SKULLNB_BOOK_URL says; elsewhere the address is relative.
"""

from __future__ import annotations

import os
from html import escape
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.nodes import clean_astext

if TYPE_CHECKING:
    from sphinx.application import Sphinx

COVER = "_static/cover.png"
LONGEST = 200
"""Characters of a description; previews cut it about there."""


def add_preview(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Describe the page by its title, its first paragraph and the book's cover."""
    if doctree is None:
        return
    base = os.environ.get("SKULLNB_BOOK_URL", "").rstrip("/")
    title = doctree.next_node(nodes.title)
    about = next((one.astext() for one in doctree.findall(nodes.paragraph)), "")
    about = " ".join(about.split())
    facts = {
        "og:type": "article",
        "og:site_name": app.config.html_title or app.config.project,
        "og:title": clean_astext(title) if title else app.config.project,
        "og:description": about if len(about) <= LONGEST else about[: LONGEST - 1] + "…",
        "og:image": f"{base}/{COVER}" if base else context["pathto"](COVER, 1),
        "og:image:alt": "Slices of a head with the outlines of their skull masks",
    }
    if base:
        facts["og:url"] = f"{base}/{name}.html"
    tags = [f'<meta property="{key}" content="{escape(text)}" />' for key, text in facts.items()]
    tags.append(f'<meta name="description" content="{escape(facts["og:description"])}" />')
    tags.append('<meta name="twitter:card" content="summary_large_image" />')
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)
    # A list may hold list items only, and this one has anchors too; the entries' role is retired.
    for role in ('role="list" class="citation-list"', 'role="doc-biblioentry"'):
        context["body"] = context["body"].replace(role, role.partition(" ")[2])


def setup(app: Sphinx) -> dict[str, Any]:
    """Have every page described."""
    app.connect("html-page-context", add_preview)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
