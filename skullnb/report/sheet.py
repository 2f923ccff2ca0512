"""One page to look through the masks of many volumes, worst first; it needs nothing beside it."""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skullnb import masking
from skullnb.stack import Stack, refuse_place, writing
from skullnb.stack.checks import expand, needed

CELL = 120  # px, the longer side of a slice in the mosaic
N_COLUMNS = 8
MOST_SLICES = 24  # of a volume; 200 volumes stay under 25 MB
MOST_WARNED = 8  # of them chosen since something looks wrong
Card = Mapping[str, Any]
_ORDER = ("failed", "empty", "warned", "ok")
_TEMPLATE = Path(__file__).parents[1] / "data" / "sheet.html"


def mask_volumes(
    jobs: Sequence[masking.Masked], *about: Any, sheet: Path, overwrite: bool = False, **words: Any
) -> Iterator[masking.Masked]:
    """Mask volumes as `masking.mask_volumes`, and write a sheet of them, the worst first."""
    jinja2, cards, sheet = needed("jinja2", "A sheet", "report"), list[Card](), expand(sheet)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    refuse_place(sheet, (), overwrite, (".html",))
    words |= {"overwrite": overwrite, "sheet": sheet}
    words["seen"] = lambda *of: cards.append(draw_card(*of))
    yield from masking.mask_volumes(jobs, *about, **words)
    cards.sort(key=lambda one: (-one["told"]["Counts"].get("warned", 0), one["name"]))
    cards.sort(key=lambda one: _ORDER.index(one["told"]["Status"]))
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    html = page.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        cards=cards,
        counts=Counter(one["told"]["Status"] for one in cards),
        # Decisions are about these masks: those on others of the same name are not taken over.
        identity=sha256(repr(cards).encode()).hexdigest()[:16],
    )
    with writing(sheet) as temporary:
        temporary.write_text(html, encoding="utf-8")


def draw_card(masked: masking.Masked, stack: Stack | None = None, masks: Any = None) -> Card:
    """Make the card of a volume from what `mask_volumes` said of it, and its slices and masks."""
    told, name = masked.account, getattr(masked.source, "name", masked.path.name)
    card: dict[str, Any] = {"name": name, "anchor": quote(masked.path.name), "told": told}
    if masked.table is None or stack is None:
        return card
    warned = np.flatnonzero((masked.table["status"] == "warned").to_numpy())
    shown: Sequence[int] = range(len(stack))
    if len(shown) > MOST_SLICES:  # some spread evenly, and some of those that look wrong
        even = np.linspace(0, len(stack) - 1, MOST_SLICES - MOST_WARNED).astype(int)
        shown = sorted({*even.tolist(), *warned[:: len(warned) // MOST_WARNED + 1].tolist()})
    return card | {"mosaic": _draw_mosaic(stack, masks, masked.table, shown)}


def _draw_mosaic(
    stack: Stack, masks: NDArray[np.uint8], table: pd.DataFrame, shown: Sequence[int]
) -> dict[str, Any]:
    """Draw the slices as one picture, and where each lies on it, with the outline of its mask."""
    height, width = stack.images.shape[1:]
    tall = height * stack.aspect
    scale = CELL / max(tall, width)
    size = max(1, round(width * scale)), max(1, round(tall * scale))
    columns = min(N_COLUMNS, len(shown))
    whole = np.zeros((-(-len(shown) // columns) * size[1], columns * size[0]), dtype=np.uint8)
    cells = []
    for place, index in enumerate(shown):
        top, left = place // columns * size[1], place % columns * size[0]
        image = np.asarray(stack.images[index], dtype=np.float64)
        low, high = np.percentile(image, (0.5, 99.5))  # the same where almost all is background
        grey = (np.interp(image, (low, high), (0, 255)) * (image > low)).astype(np.uint8)
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        whole[top : top + size[1], left : left + size[0]] = grey
        row, path = table.iloc[index], _outline(masks[index], size)
        cell = {"slice": int(row["slice"]), "status": row["status"], "path": path}
        told = "; ".join(row["warnings"]) or row["reason"]
        cells.append({**cell, "told": told, "left": left, "top": top})
    webp = cv2.imencode(".webp", whole, [cv2.IMWRITE_WEBP_QUALITY, 60])[1]
    data = b64encode(webp.tobytes()).decode("ascii")
    sides = {"width": whole.shape[1], "height": whole.shape[0], "cell": size}
    return {"data": data, **sides, "cells": cells}


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
