"""A row of pictures to leaf through: HTML that needs no kernel."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from skullnb.errors import InvalidSetting

_SIGNATURES = {b"\x89PNG": "image/png", b"RIFF": "image/webp", b"\xff\xd8\xff": "image/jpeg"}


def flipbook_html(frames: Sequence[tuple[str, bytes]], default: int, alt: str) -> str:
    r"""Return a ``<figure class="flipbook">`` that holds all frames and shows one.

    The book's script adds a slider that mouse, touch and keyboard can move. Where no script runs,
    as in JupyterLab, the default frame alone is visible.

    HTML; the pictures are inside it as data URIs, labels and ``alt`` are escaped.

    Parameters
    ----------
    frames : sequence of (label, picture)
        A short label for each frame and the bytes of a PNG, WebP or JPEG file.
    default : int
        Index of the frame to show first, 0-based.
    alt : str
        What the pictures show; each frame's label is added to it.

    Raises
    ------
    InvalidSetting
        If there is no frame, ``default`` is not one of them, ``alt`` is empty, or a picture is
        none of the three formats.

    Examples
    --------
    >>> html = flipbook_html([("width 24 px", b"\x89PNG..."), ("width 26 px", b"\x89PNG...")],
    ...                      default=1, alt="Skull mask on slice 1")
    >>> html.count("<img"), html.count(" hidden ")
    (2, 1)
    """
    if not frames:
        raise InvalidSetting("A flip-book needs at least one frame, and none was given.")
    if not 0 <= default < len(frames):
        raise InvalidSetting(
            f"The flip-book's default frame is {default}, but its frames are 0 to"
            f" {len(frames) - 1}."
        )
    if not alt.strip():
        raise InvalidSetting("A flip-book needs alt text that says what its pictures show.")
    pictures = "\n".join(
        _frame(label, picture, alt, visible=index == default)
        for index, (label, picture) in enumerate(frames)
    )
    return (
        f'<figure class="flipbook" data-name="{escape(alt)}">\n{pictures}\n'
        f"<figcaption>{escape(frames[default][0])}</figcaption>\n</figure>"
    )


def _frame(label: str, picture: bytes, alt: str, *, visible: bool) -> str:
    media_types = [kind for start, kind in _SIGNATURES.items() if picture.startswith(start)]
    if not media_types:
        raise InvalidSetting(f"The flip-book's frame '{label}' is not a PNG, WebP or JPEG picture.")
    # Both ways of hiding: a notebook viewer that cleans HTML may keep only one of them.
    hidden = "" if visible else 'hidden style="display: none" '
    data = b64encode(picture).decode("ascii")
    return (
        f'<img {hidden}alt="{escape(f"{alt}: {label}")}" data-label="{escape(label)}"'
        f' src="data:{media_types[0]};base64,{data}">'
    )
