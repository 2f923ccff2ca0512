"""Exercises that answer: provisional, one check only, until the engine of `page` is merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """What a check found."""

    right: bool
    text: str

    def __repr__(self) -> str:
        """Speak as a sentence, not as code."""
        return self.text


def check_threshold(answer: Any, chapter: Any) -> Verdict:
    """Check the middle slice's threshold as an intensity."""
    if answer is ...:
        return Verdict(False, "No answer yet. Put yours in the place of the three dots.")
    low, high = float(chapter.image.min()), float(chapter.image.max())
    wanted, step = low + chapter.trace().threshold * (high - low) / 255, (high - low) / 255
    right = wanted - step / 2 <= answer <= wanted + 1.5 * step
    return Verdict(right, "Right." if right else "Not yet. Which intensity became that level?")
