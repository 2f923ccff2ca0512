"""One page to look through the masks of many volumes, worst first; it needs nothing beside it."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb import masking
from skullnb.report.plot import aspect_of
from skullnb.stack import Stack, writing
from skullnb.stack.checks import needed

if TYPE_CHECKING:
    import pandas as pd

CELL = 120  # px, the longer side of a slice in the mosaic
COLUMNS = 8
MOST_SLICES = 24  # of a volume; 200 volumes stay under 25 MB
MOST_WARNED = 8  # of them chosen since something looks wrong
_TEMPLATE = Path(__file__).parents[1] / "data" / "sheet.html"


@dataclass(frozen=True)
class Card:
    """What the page shows of one volume; `mosaic` is None where there is no mask."""

    name: str
    anchor: str
    status: str
    sentences: tuple[str, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    signs: tuple[str, ...] = ()
    mosaic: Mapping[str, Any] | None = None
    share_warned: float = 0.0

    @property
    def rank(self) -> tuple[Any, ...]:
        """Sort the worst first: failed, empty, then by the share of slices that look wrong."""
        order = ("failed", "empty", "warned", "ok").index(self.status)
        return order, -self.share_warned, self.name


def draw_card(
    masked: masking.Masked, sheet: Path, stack: Stack | None = None, masks: Any = None
) -> Card:
    """Make the card of a volume from what `mask_volumes` said of it, and its slices and masks."""
    told = masked.account
    sentences = (masked.error, told.get("LooksWrong"), told.get("Failed"), *told.get("Remarks", ()))
    card = Card(
        masked.name,
        masking.anchor_of(masked.path, sheet),
        masked.status,
        tuple(filter(None, sentences)),
    )
    if masked.table is None or stack is None:
        return card
    warned = np.flatnonzero((masked.table["status"] == "warned").to_numpy())
    shown = _choose(len(stack), warned)
    reach = told["ReachMm"] and f"{np.mean(told['ReachMm']):.1f} mm"
    facts = {
        "slices": f"{len(stack)}" + (f" ({len(shown)} shown)" if len(shown) < len(stack) else ""),
        "volume": told["VolumeCm3"] and f"{told['VolumeCm3']:,.0f} cm³",
        "reach": reach,
        "mask": masked.path.name,
    }
    return replace(
        card,
        facts={name: value for name, value in facts.items() if value},
        signs=tuple(masking.warning_lines(masked.table)),
        mosaic=_draw_mosaic(stack, masks, masked.table, shown),
        share_warned=len(warned) / len(stack),
    )


def require_extra() -> None:
    """Refuse in a sentence where what draws a sheet is not installed."""
    for module in ("jinja2", "PIL.Image"):
        needed(module, "A sheet", "report")


def write_sheet(cards: Sequence[Card], path: Path) -> None:
    """Write the page, whole or not at all."""
    jinja2 = needed("jinja2", "A sheet", "report")
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    cards = sorted(cards, key=lambda one: one.rank)
    html = page.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        cards=cards,
        counts=Counter(one.status for one in cards),
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
    some = warned[
        np.linspace(0, len(warned) - 1, min(len(warned), MOST_WARNED)).round().astype(int)
    ]
    even = np.linspace(0, n - 1, MOST_SLICES - len(some)).round().astype(int)
    return sorted({*even.tolist(), *some.tolist()})


def _draw_mosaic(
    stack: Stack, masks: NDArray[np.uint8], table: pd.DataFrame, shown: Sequence[int]
) -> dict[str, Any]:
    """Draw the slices as one picture, and where each lies on it, with the outline of its mask."""
    image = needed("PIL.Image", "A sheet", "report")
    height, width = stack.images.shape[1:]
    tall = height * aspect_of(stack.spacing_mm)
    scale = CELL / max(tall, width)
    size = max(1, round(width * scale)), max(1, round(tall * scale))
    columns = min(COLUMNS, len(shown))
    whole = np.zeros((-(-len(shown) // columns) * size[1], columns * size[0]), dtype=np.uint8)
    cells = []
    for place, index in enumerate(shown):
        top, left = place // columns * size[1], place % columns * size[0]
        grey = cv2.resize(_grey(stack.images[index]), size, interpolation=cv2.INTER_AREA)
        whole[top : top + size[1], left : left + size[0]] = grey
        row = table.iloc[index]
        cells.append(
            {
                "slice": int(row["slice"]),
                "status": row["status"],
                "told": "; ".join(row["warnings"]) or row["reason"],
                "left": left,
                "top": top,
                "path": _outline(masks[index], size),
            }
        )
    file = BytesIO()
    image.fromarray(whole).save(file, "WEBP", quality=60)
    return {
        "data": b64encode(file.getvalue()).decode("ascii"),
        "width": whole.shape[1],
        "height": whole.shape[0],
        "cell": size,
        "cells": cells,
    }


def _grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Bring a slice to 0..255, without a say for its darkest and brightest half percent."""
    pixels = np.asarray(image, dtype=np.float64)
    low, high = np.percentile(pixels, (0.5, 99.5))
    shares = np.clip((pixels - low) / max(high - low, 1e-300), 0, 1)
    grey: NDArray[np.uint8] = (shares * 255).astype(np.uint8)
    return grey


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
