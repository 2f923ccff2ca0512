"""Sphinx extension: a search that shows excerpts, and puts pages that say a word often first.

Sphinx fetches a page to show an excerpt of it, which a page opened from disk may not. So the texts
of all pages stand in one script, which the search page alone loads, and `fetch` answers from it.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SCRIPT = "search-texts.js"
FETCH = """
window.fetch = async (url) => {
  const page = String(url).replace(/^(\\.\\/)+/, "").replace(/\\.html$/, "");
  return { text: async () => `<div role="main">${skullnbTexts[page] || ""}</div>` };
};
window.Scorer = {
  score: ([page, , , name, score]) => {
    if (name) return score;  // of a function: chapters explain, so they come first
    const words = (new URLSearchParams(location.search).get("q") || "").toLowerCase().split(/\\s+/);
    const text = (skullnbTexts[page] || "").toLowerCase();
    const often = (word) => (word ? text.split(word).length - 1 : 0);
    return score + Math.min(40, Math.min(...words.map(often)));
  },
  objNameMatch: 25, objPartialMatch: 6, objPrio: { 0: 0, 1: 0, 2: -5 }, objPrioDefault: 0,
  title: 15, partialTitle: 7, term: 5, partialTerm: 2,
};
"""


def keep_text(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Remember what a page says, without pictures and formulas."""
    said = [one.astext() for one in doctree.findall(nodes.Text) if _is_said(one)]
    app.env.skullnb_texts[name] = escape(" ".join(" ".join(said).split()), quote=False)  # type: ignore[attr-defined]


def _is_said(text: nodes.Text) -> bool:
    return not isinstance(text.parent, nodes.raw | nodes.comment | nodes.math | nodes.math_block)


def write_script(app: Sphinx, error: Exception | None) -> None:
    """Write the texts, and have the search page load them before Sphinx's own script."""
    page = Path(app.outdir) / "search.html"
    if error or not page.is_file():
        return
    texts = json.dumps(app.env.skullnb_texts, ensure_ascii=False)  # type: ignore[attr-defined]
    script = f"var skullnbTexts = {texts};\n{FETCH}"
    (Path(app.outdir) / "_static" / SCRIPT).write_text(script, encoding="utf-8")
    html = page.read_text(encoding="utf-8")
    page.write_text(
        html.replace("</head>", f'<script src="_static/{SCRIPT}"></script>\n</head>', 1),
        encoding="utf-8",
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Collect texts while pages are written."""
    app.connect("builder-inited", lambda app: setattr(app.env, "skullnb_texts", {}))
    app.connect("doctree-resolved", keep_text)
    app.connect("build-finished", write_script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
