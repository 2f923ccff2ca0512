"""The errors that skullnb raises on purpose.

Each message is one sentence for a person: what is wrong, where, and what to do. The command line
prints it without a traceback and exits with code 2.
"""

from pathlib import Path


def in_one_line(text: object) -> str:
    """Write what a line can't show, such as a line break in a file's name, as its escape."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in str(text))


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


def sentence(error: BaseException) -> str:
    """Say what a refusal, the system or a lack of memory says; "" for all else, a fault of ours."""
    if isinstance(error, SkullnbError):
        return str(error)
    if isinstance(error, MemoryError):
        return "There is not enough memory for this; choose fewer slices with --slices."
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        # Files are written under a passing name first; people know the folder.
        path = Path(str(error.filename or ""))
        place = f"in {path.parent}" if path.name.startswith(".") else path.name
        reason = in_one_line(error.strerror or error)
        return f"Cannot read or write {in_one_line(place) or 'a file'}: {reason}."
    threads = isinstance(error, RuntimeError) and "start new thread" in str(error)
    return "This user may start no more threads; end other programs." if threads else ""
