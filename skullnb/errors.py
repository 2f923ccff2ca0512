"""The errors that skullnb raises on purpose.

Each message is one sentence for a person: what is wrong, where, and what to do. The command line
prints it without a traceback and exits with code 2.
"""


def in_one_line(text: object) -> str:
    r"""Write what a line can't show, such as a line break in a file's name, as its escape.

    Examples
    --------
    >>> print(in_one_line("two\nlines.npy"))
    two\nlines.npy
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text)
    )


class SkullnbError(Exception):
    """Anything skullnb refuses to do, with the reason in plain words."""

    def __str__(self) -> str:
        """Return the sentence: on one line, and of a length to read, whatever it quotes."""
        text = in_one_line(super().__str__())
        return text if len(text) < 900 else f"{text[:500]} ... {text[-300:]}"


class InvalidImage(SkullnbError, ValueError):
    """Pixels that the pipeline cannot work on: wrong type, wrong shape, not finite."""


class InvalidSetting(SkullnbError, ValueError):
    """A setting or parameter outside what it may be."""


class ShapeMismatch(SkullnbError, ValueError):
    """Two arrays that must have the same shape, and have not."""


class UnreadableFile(SkullnbError, OSError):
    """A file or folder that is missing, broken, or of a kind skullnb does not read or write."""


class ReportFailed(SkullnbError):
    """A report that could not be finished; the message names the chapter or the step."""


class BatchStopped(SkullnbError):
    """A batch that stopped, or may not begin; the message says how to go on."""
