"""What all figures share: the palette, the text colour, and a page-wide layout."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from skullnb.errors import in_one_line

# Safe for the common kinds of colour blindness, and of middling lightness, so that each is told
# from a white page, a near-black page, and a head.
PALETTE: Final = {
    "scalp": "#E08F00",
    "skull": "#9A7FD1",
    "brain": "#00A37A",
    "mask": "#2E9BDA",
    "reference": "#DD5A2B",
    "text": "#7D7D7D",
    "faint": "#9D9D9D55",
}

# Figures are drawn for 640 px, a column of the page: their text is as large as the page's there,
# and still readable on a phone, at 380 px.
WIDTH_INCHES: Final = 6.0
DPI: Final = 172

_RC: Final[Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.dpi": DPI,
    "figure.dpi": DPI,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": PALETTE["text"],
    "axes.labelcolor": PALETTE["text"],
    "axes.titlecolor": PALETTE["text"],
    "text.color": PALETTE["text"],
    "xtick.color": PALETTE["text"],
    "ytick.color": PALETTE["text"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": PALETTE["faint"],
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
}


class PageFigure(Figure):
    """A Figure that notebooks show as PNG without pyplot, so none is ever left open.

    Attributes
    ----------
    few_colours : bool or None
        Write 256 colours only, at a quarter of the bytes. When None, charts do, which look the
        same; pictures of slices keep their greys.
    """

    few_colours: bool | None = None

    def _repr_png_(self) -> bytes:
        return self.png()

    def png(self) -> bytes:
        """Draw the figure.

        Returns
        -------
        bytes
            A PNG file with a transparent background.
        """
        file = BytesIO()
        self.savefig(file, format="png", transparent=True, metadata={"Software": None})
        has_picture = any(axes.images for axes in self.axes)
        if has_picture if self.few_colours is None else not self.few_colours:
            return file.getvalue()
        fewer = BytesIO()
        with Image.open(file) as picture:
            few = picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(fewer, "PNG", optimize=True)
        return fewer.getvalue()


def new_figure(
    height_inches: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[PageFigure, Any]:
    """Make a page-wide figure in the book's style.

    Returns
    -------
    figure : PageFigure
        Not known to pyplot, so it is gone when nobody holds it.
    axes : Axes, or array of Axes

    Examples
    --------
    >>> figure, axes = new_figure(2.0, columns=3)
    >>> len(axes)
    3
    """
    with mpl.rc_context(_RC):
        figure = PageFigure(figsize=(WIDTH_INCHES, height_inches), layout="constrained", dpi=DPI)
        axes = figure.subplots(rows, columns, **options)
    return figure, axes


def plain(name: object) -> str:
    r"""Write a name from outside so that no dollar sign in it begins a formula.

    Examples
    --------
    >>> print(plain("a$b$"))
    a\$b\$
    """
    return in_one_line(name).replace("$", r"\$")


def show_image(axes: Any, pixels: Any, title: str = "", **options: Any) -> None:
    """Draw one slice without ticks, row 0 at the top."""
    axes.imshow(pixels, **{"cmap": "gray", **options})
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title)


def outline(axes: Any, mask: Any, kind: str, **options: Any) -> None:
    """Draw the outline of a mask in its colour.

    Parameters
    ----------
    mask : (H, W) uint8 {0, 1}
        Nothing is drawn when it is empty or full.
    """
    if mask.min() != mask.max():
        line = {"colors": PALETTE[kind], "linewidths": 1.2, **options}
        axes.contour(mask, levels=[0.5], **line)
