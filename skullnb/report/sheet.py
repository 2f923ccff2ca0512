"""One page to look through the masks of many volumes, worst first; it needs nothing beside it."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb import masking
from skullnb.stack import Stack, writing
from skullnb.stack.checks import needed

if TYPE_CHECKING:
    import pandas as pd

CELL = 120  # px, the longer side of a slice in the mosaic
COLUMNS = 8
MOST_SLICES = 24  # of a volume; 200 volumes stay under 25 MB
MOST_WARNED = 8  # of them chosen since something looks wrong
Card = Mapping[str, Any]
_ORDER = ("failed", "empty", "warned", "ok")
_TEMPLATE = Path(__file__).parents[1] / "data" / "sheet.html"


def draw_card(
    masked: masking.Masked, sheet: Path, stack: Stack | None = None, masks: Any = None
) -> Card:
    """Make the card of a volume from what `mask_volumes` said of it, and its slices and masks."""
    told, anchor = masked.account, masking.anchor_of(masked.path, sheet)
    said = (masked.error, told.get("LooksWrong"), told.get("Failed"), *told.get("Remarks", ()))
    card: dict[str, Any] = {"name": masked.name, "anchor": anchor, "status": masked.status}
    card |= {"sentences": [*filter(None, said)], "facts": {}, "signs": (), "share_warned": 0.0}
    if masked.table is None or stack is None:
        return card
    warned = np.flatnonzero((masked.table["status"] == "warned").to_numpy())
    shown = _choose(len(stack), warned)
    facts = {
        "slices": f"{len(stack)}" + f" ({len(shown)} shown)" * (len(shown) < len(stack)),
        "volume": told["VolumeCm3"] and f"{told['VolumeCm3']:,.0f} cm³",
        "reach": told["ReachMm"] and f"{np.mean(told['ReachMm']):.1f} mm",
        "mask": masked.path.name,
    }
    return card | {
        "facts": {name: value for name, value in facts.items() if value},
        "signs": masking.warning_lines(masked.table),
        "mosaic": _draw_mosaic(stack, masks, masked.table, shown),
        "share_warned": len(warned) / len(stack),
    }


def require_extra() -> None:
    """Refuse in a sentence where what draws a sheet is not installed."""
    for module in ("jinja2", "PIL.Image"):
        needed(module, "A sheet", "report")


def write_sheet(cards: Sequence[Card], path: Path) -> None:
    """Write the page, whole or not at all; the worst volumes first."""
    import jinja2

    def rank(card: Card) -> tuple[Any, ...]:
        return _ORDER.index(card["status"]), -card["share_warned"], card["name"]

    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    cards = sorted(cards, key=rank)
    html = page.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        cards=cards,
        counts=Counter(one["status"] for one in cards),
        # Decisions are about these masks: those on others of the same name are not taken over.
        identity=sha256(repr(cards).encode()).hexdigest()[:16],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _choose(n: int, warned: NDArray[np.intp]) -> list[int]:
    """Choose slices: all of a few, else some spread evenly and some of those that look wrong."""
    if n <= MOST_SLICES:
        return list(range(n))
    places = np.linspace(0, len(warned) - 1, min(len(warned), MOST_WARNED)).round().astype(int)
    even = np.linspace(0, n - 1, MOST_SLICES - len(places)).round().astype(int)
    return sorted({*even.tolist(), *warned[places].tolist()})


def _draw_mosaic(
    stack: Stack, masks: NDArray[np.uint8], table: pd.DataFrame, shown: Sequence[int]
) -> dict[str, Any]:
    """Draw the slices as one picture, and where each lies on it, with the outline of its mask."""
    from PIL import Image

    height, width = stack.images.shape[1:]
    tall = height * stack.aspect
    scale = CELL / max(tall, width)
    size = max(1, round(width * scale)), max(1, round(tall * scale))
    columns = min(COLUMNS, len(shown))
    whole = np.zeros((-(-len(shown) // columns) * size[1], columns * size[0]), dtype=np.uint8)
    cells = []
    for place, index in enumerate(shown):
        top, left = place // columns * size[1], place % columns * size[0]
        grey = cv2.resize(_grey(stack.images[index]), size, interpolation=cv2.INTER_AREA)
        whole[top : top + size[1], left : left + size[0]] = grey
        row, path = table.iloc[index], _outline(masks[index], size)
        cell = {"slice": int(row["slice"]), "status": row["status"], "path": path}
        told = "; ".join(row["warnings"]) or row["reason"]
        cells.append({**cell, "told": told, "left": left, "top": top})
    file = BytesIO()
    Image.fromarray(whole).save(file, "WEBP", quality=60)
    data = b64encode(file.getvalue()).decode("ascii")
    sides = {"width": whole.shape[1], "height": whole.shape[0], "cell": size}
    return {"data": data, **sides, "cells": cells}


def _grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Bring a slice to 0..255, without a say for its darkest and brightest half percent."""
    pixels = np.asarray(image, dtype=np.float64)
    low, high = np.percentile(pixels, (0.5, 99.5))
    levels: NDArray[np.uint8] = np.clip(
        255 * (pixels - low) / max(high - low, 1e-300), 0, 255
    ).astype(np.uint8)
    return levels


def _outline(mask: NDArray[np.uint8], size: tuple[int, int]) -> str:
    """Write the borders of a mask as an SVG path, in px of the mosaic."""
    borders, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    factor = np.array(size) / mask.shape[::-1]
    parts = []
    for border in borders:
        points = ((border[:, 0] + 0.5) * factor).astype(np.float32)
        kept = cv2.approxPolyDP(points[:, None], 0.3, True)[:, 0]
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in kept) + "Z")
    return "".join(parts)
