"""Sphinx extension: formulas become inline SVG while the book is built.

The usual renderer is a script from a content delivery network, so a book opened from disk without a
network would show raw TeX. Drawn here, a formula needs no script and no font in the reader's
browser, takes the colour of the text around it, and reads its TeX source to a screen reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import ziamath
from docutils import nodes
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

DRAWN_AT = 24.0
"""Font size of the drawing; the page shows it in em, so only the ratio matters."""

logger = logging.getLogger(__name__)


def draw(tex: str, *, inline: bool) -> str:
    """Return one formula as an ``<svg>`` element sized in em of the surrounding text."""
    # Paths instead of <symbol>/<use>: symbols carry ids, and many drawings share one page.
    ziamath.config.svg2 = False
    svg = ziamath.Latex(tex, size=DRAWN_AT, color="currentColor", inline=inline).svgxml()
    _, top, width, height = (float(number) for number in svg.get("viewBox").split())
    svg.set("width", f"{width / DRAWN_AT:.3f}em")
    svg.set("height", f"{height / DRAWN_AT:.3f}em")
    svg.set("role", "img")
    svg.set("aria-label", " ".join(tex.split()))
    if inline:
        # The drawing's zero is the baseline; what lies under it hangs below the line of text.
        svg.set("style", f"vertical-align: {-(top + height) / DRAWN_AT:.3f}em")
    return ElementTree.tostring(svg, encoding="unicode")


def _drawn(translator: HTML5Translator, node: nodes.Element, *, inline: bool) -> str:
    tex = node.astext()
    try:
        return draw(tex, inline=inline)
    except Exception as error:  # the library raises whatever its parser trips over
        logger.warning("formula cannot be drawn: %s (%s)", tex, error, location=node)
        return f"<code>{translator.encode(tex)}</code>"


def visit_inline(translator: HTML5Translator, node: nodes.Element) -> None:
    """Write an inline formula."""
    translator.body.append(translator.starttag(node, "span", "", CLASS="formula"))
    translator.body.append(_drawn(translator, node, inline=True) + "</span>")
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.Element) -> None:
    """Write a displayed formula, with its number where it has one."""
    translator.body.append(translator.starttag(node, "div", CLASS="formula-block"))
    # A long one scrolls on a phone, by keyboard too.
    translator.body.append(
        f'<div class="formula" tabindex="0">{_drawn(translator, node, inline=False)}</div>'
    )
    if node.get("number"):
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer under the name that ``html_math_renderer`` selects."""
    app.add_html_math_renderer("formula_svg", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
