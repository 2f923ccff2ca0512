"""The look that all notebooks share: one palette, pictures of slices, and tables."""

from __future__ import annotations

import hashlib
import io
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

from skullnb.stack.model import aspect_of

if TYPE_CHECKING:
    from IPython.display import Markdown
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Spacing = tuple[float, float] | None  # row and column, mm

# One colour for one thing everywhere; 3 : 1 on white and on near-black, and told apart with the
# common kinds of colour blindness.
PALETTE: Final = {
    **{"scalp": "#C27C00", "skull": "#9A7FD1", "brain": "#00A37A", "mask": "#2E9BDA"},
    **{"reference": "#DD5A2B", "accent": "#CC6699", "quiet": "#8A8F98"},
}

INK: Final = "#1f2329"  # text and axes on white; the book puts its own colour in its place
WIDTH: Final = 6.4  # of a figure, in inches; its letters can be read at half of it
_MOST_PIXELS = 900  # along a side; a page shows no more of a picture
_INKED = "axes.edgecolor axes.labelcolor axes.titlecolor legend.labelcolor text.color"
STYLE: Final[dict[Any, Any]] = {
    **dict.fromkeys([*_INKED.split(), "xtick.color", "ytick.color"], INK),
    "axes.grid": True,
    "axes.prop_cycle": f"cycler('color', {[*PALETTE.values()][2:5]})",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.dpi": 120,
    "figure.figsize": (WIDTH, 3.2),
    "figure.titlesize": 12,
    "font.size": 11,
    "grid.alpha": 0.35,
    "grid.color": PALETTE["quiet"],
    "grid.linewidth": 0.6,
    "image.cmap": "gray",
    "image.interpolation": "none",
    "legend.frameon": False,
    "svg.fonttype": "none",
}


def headline(finding: str) -> None:
    """Set a figure's finding above all its panels."""
    import matplotlib.pyplot as plt

    plt.gcf().suptitle(finding, x=0.01, ha="left", wrap=True)


def panels(
    count: int, shape: Sequence[int], *, spacing: Spacing = None, rows: int = 1, height: float = 3.6
) -> tuple[Figure, list[Axes]]:
    """Make equal panels for pictures of one shape; `height`: the most of one row, in inches."""
    import matplotlib.pyplot as plt

    columns = -(-count // rows)
    tall = WIDTH / columns * shape[0] / shape[1] * aspect_of(spacing)
    size = (WIDTH, min(tall, height) * rows + 0.32 * rows + 0.35)
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for unused in axes.flat[count:]:
        unused.remove()
    return fig, list(axes.flat[:count])


def show(
    ax: Axes, image: ArrayLike, title: str = "", *, spacing: Spacing = None, **options: Any
) -> None:
    """Draw one slice, row 0 at the top, with the proportions that its pixels have in mm.

    White is at the 99.5th percentile, lest a few bright pixels make the rest black. `box`: rows and
    columns to show; axes count pixels of the whole slice all the same.
    """
    whole = np.asarray(image, dtype=float)
    rows, columns = options.pop("box", None) or map(slice, (0, 0), whole.shape)
    pixels = whole[rows, columns]
    step = -(-max(pixels.shape) // _MOST_PIXELS)
    extent = (columns.start - 0.5, columns.stop - 0.5, rows.stop - 0.5, rows.start - 0.5)
    low = whole.min()
    levels = {"vmin": low, "vmax": max(np.quantile(whole, 0.995), low + 1e-9), **options}
    ax.imshow(pixels[::step, ::step], extent=extent, aspect=aspect_of(spacing), **levels)
    ax.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    ax.set_title(title, wrap=True)
    ax.grid(False)
    ax.spines[:].set_visible(False)


def outline(ax: Axes, mask: ArrayLike | None, color: str = "mask", **options: Any) -> None:
    """Draw the border of a mask, if it has one; `color`: the palette's, or matplotlib's."""
    found = np.asarray(False if mask is None else mask)
    color, label = PALETTE.get(color, color), options.pop("label", None)
    if found.any() and not found.all():
        ax.contour(found, levels=[0.5], colors=[color], **{"linewidths": 1.3, **options})
    if label:
        ax.plot([], [], color=color, label=label)


def tint(ax: Axes, mask: ArrayLike, color: str = "mask", alpha: float = 0.5) -> None:
    """Lay a colour over the pixels of a mask."""
    from matplotlib.colors import to_rgba

    found = np.asarray(mask) > 0
    layer = np.zeros((*found.shape, 4))
    layer[found] = to_rgba(PALETTE.get(color, color), alpha)
    limits = ax.get_xlim(), ax.get_ylim()
    ax.imshow(layer, aspect=ax.get_aspect())
    ax.set(xlim=limits[0], ylim=limits[1])


def box_of(mask: ArrayLike, margin: float = 0.12) -> tuple[slice, slice]:
    """Rows and columns around a mask, with a margin; the whole slice where it is empty."""
    found = np.asarray(mask) > 0

    def around(there: Any) -> slice:
        ends = np.flatnonzero(there)[[0, -1]] if there.any() else (0, there.size - 1)
        edge = int(margin * (ends[1] - ends[0] + 1)) + (margin > 0)
        return slice(max(0, int(ends[0]) - edge), min(there.size, int(ends[1]) + 1 + edge))

    return around(found.any(axis=1)), around(found.any(axis=0))


def spread(n: int, most: int) -> list[int]:
    """Indices spread evenly over n, at most so many, the first and the last among them.

    >>> spread(16, 5), spread(2, 5)
    ([0, 4, 8, 11, 15], [0, 1])
    """
    return sorted({round(one) for one in np.linspace(0, n - 1, min(n, most))})


def table(
    frame: pd.DataFrame, formats: Mapping[str, str] | None = None, *, most: int = 40
) -> Markdown:
    """Show a table, columns formatted by name, texts escaped; of many rows some, evenly spread."""
    from IPython.display import Markdown

    def cell(value: Any, form: str) -> str:
        if isinstance(value, list | tuple):
            return ", ".join(cell(one, form) for one in value)
        if isinstance(value, bool | np.bool_):
            return "yes" if value else "no"
        if pd.isna(value):
            return "–"
        return escape(value) if isinstance(value, str) else format(value, form)

    shown, columns = frame.iloc[spread(len(frame), most)], []
    for name, column in shown.items():
        is_number = is_numeric_dtype(column) and not is_bool_dtype(column)
        form = (formats or {}).get(str(name), ",d" if is_integer_dtype(column) else ".4g")
        above = [escape(str(name)), "---:" if is_number else ":---"]
        columns.append([*above, *(cell(value, form) for value in column)])
    text = "\n".join(f"| {' | '.join(line)} |" for line in zip(*columns, strict=True))
    if len(shown) < len(frame):
        text += f"\n\n{len(shown)} of {len(frame):,} rows, evenly spread."
    return Markdown(text)


def summary(fig: Figure) -> str:
    """What a figure draws, in numbers: so that a comparison of texts notices when it changes."""
    facts = []
    for ax in fig.axes:
        drawn: list[tuple[str, Any]] = [("image", one.get_array()) for one in ax.images]
        drawn += [("line", one.get_ydata()) for one in ax.lines]
        drawn += [("points", one.get_offsets()) for one in ax.collections]
        drawn += [("bars", [getattr(one, "get_height", float)() for one in ax.patches])]
        for kind, values in drawn:
            data: Any = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
            if data.size > 2 and np.isfinite(data).any():
                size = " x ".join(map(str, data.shape))
                facts.append(f"{kind} {size}, mean {np.nanmean(data):.4g}")
    return "; ".join(facts) or "a drawing"


def picture(fig: Figure, *, svg: bool = False) -> dict[str, str]:
    """Draw a figure on white for a notebook; `svg`: also for a page, in the page's own colours."""
    from PIL import Image

    full, text = io.BytesIO(), io.StringIO()
    fig.savefig(full, format="png", facecolor="white")
    with Image.open(full) as image:  # 256 colours cannot be told from all, and take half the space
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        drawn = {"image/png": encode(few, "PNG", optimize=True, dpi=image.info["dpi"])}
    if svg:
        fig.set_layout_engine("none")  # it is laid out
        fig.savefig(text, format="svg", transparent=True, metadata={"Date": None})
        drawn["image/svg+xml"] = _for_page(text.getvalue())
    return drawn


def encode(image: Any, kind: str, **options: Any) -> str:
    """Write an image of Pillow's as base64 of a file of this kind."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return b64encode(file.getvalue()).decode("ascii")


def _for_page(svg: str) -> str:
    """Let a drawing stand in a page: its colours and letters, no id twice, small pictures."""
    own = "f" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{own}-", svg)
    svg = svg.replace(INK, "currentColor")
    svg = re.sub(r"(font: [^;\"]*?px) [^;\"]+", r"\1 var(--figure-font, sans-serif)", svg)
    return re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", _small, svg)


def _small(found: re.Match[str]) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(b64decode(found[1]))) as image:
        is_mask = image.getcolors(16) is not None  # whose border is to stay sharp
        return f"data:image/webp;base64,{encode(image, 'WEBP', lossless=is_mask, quality=90)}"


def escape(text: str) -> str:
    """Make a text from outside (a file name, a group) harmless in Markdown and HTML."""
    flat = " ".join(text.split())
    return re.sub(r"""[&<>"'\\`*_{}\[\]()#!|~$]""", lambda found: f"&#{ord(found[0])};", flat)
