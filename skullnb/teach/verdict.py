"""What a check says of a student's answer."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType
from typing import TypeGuard


@dataclass(frozen=True)
class Verdict:
    """What a check found; a notebook shows it as its last line.

    Parameters
    ----------
    right : bool
        Whether the answer holds. False also for an exercise nobody has answered yet.
    text : str
        What is right, or what is wrong and where to look again; never the answer itself.

    Examples
    --------
    >>> wrong("An IoU cannot be above 1; which of the two counts belongs below the line?")
    Not yet. An IoU cannot be above 1; which of the two counts belongs below the line?
    """

    right: bool
    text: str

    def __repr__(self) -> str:
        """Speak as a sentence, not as code."""
        return self.text

    def _repr_markdown_(self) -> str:
        opening, _, rest = self.text.partition(". ")
        return f"**{opening}.** {rest}"


def right(why: str) -> Verdict:
    """Say that an answer holds, and what follows from it.

    Parameters
    ----------
    why : str
        One or two sentences a student should take along.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> right("The union can never be smaller than the intersection.")
    Right. The union can never be smaller than the intersection.
    """
    return Verdict(True, f"Right. {why}")


def wrong(hint: str) -> Verdict:
    """Say what is wrong with an answer, without giving it away.

    Parameters
    ----------
    hint : str
        What is wrong and where to look.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> wrong("Count the pixels again.").right
    False
    """
    return Verdict(False, f"Not yet. {hint}")


def is_missing(answer: object) -> TypeGuard[EllipsisType]:
    """Whether the three dots of an exercise are still there.

    Parameters
    ----------
    answer : object
        What the cell of the exercise handed over.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_missing(...), is_missing(0)
    (True, False)
    """
    return answer is ...


UNANSWERED = Verdict(
    False, "No answer yet. Put yours in the place of the three dots and run this cell again."
)
