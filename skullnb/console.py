"""What surrounds the command: sentences instead of tracebacks, progress, being told to stop."""

from __future__ import annotations

import io
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from skullnb.errors import SkullnbError, in_one_line

EXIT_INTERRUPTED = 130


class Sentence(click.ClickException):
    """One clear sentence on stderr, no traceback, exit code 2."""

    exit_code = 2


class Command(click.Group):
    """A group whose commands turn refusals into one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; say what went wrong in a sentence."""
        let_anything_be_said()
        try:
            with told_to_stop(), warnings.catch_warnings():
                # What libraries remark on a damaged file would stand above the sentence.
                warnings.simplefilter("ignore")
                return super().invoke(ctx)
        except SkullnbError as error:
            raise Sentence(str(error)) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            # Files are written under a passing name first; people know the folder.
            path = Path(error.filename) if error.filename else None
            hidden = path is not None and path.name.startswith(".")
            name = (
                f" in {str(path.parent)!r}"
                if path and hidden
                else f" {path.name!r}"
                if path
                else ""
            )
            reason = in_one_line(error.strerror or error)
            raise Sentence(f"Cannot read or write{name}: {reason}.") from error
        except MemoryError as error:
            raise Sentence(
                "There is not enough memory for this; choose fewer slices with --slices."
            ) from error
        except RuntimeError as error:
            if "start new thread" not in str(error):
                raise
            raise Sentence("This user may start no more threads; end other programs.") from error
        except KeyboardInterrupt as error:
            with suppress(OSError):  # the terminal may be gone
                click.echo("Stopped.", err=True)
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from error


@contextmanager
def told_to_stop() -> Iterator[None]:
    """Tidy up as after Ctrl-C when a system, a scheduler or a closed terminal ends the command."""
    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is signal.SIG_DFL:  # and not under nohup
            before[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def let_anything_be_said() -> None:
    """Let a name be printed where there are no letters for it, or nobody to read it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # as without a console
            setattr(sys, name, io.TextIOWrapper(io.BytesIO()))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(line: object, *, err: bool = False) -> None:
    """Print a line that names files, whatever characters their names hold."""
    click.echo(in_one_line(line), err=err)


class Progress:
    """A progress bar that `build_report` can call."""

    def __enter__(self) -> Progress:
        """Show nothing yet."""
        self._bar: Any = None
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal's line."""
        if self._bar is not None:
            self._bar.render_finish()

    def __call__(self, done: int, total: int, text: str) -> None:
        """Show the step that was done."""
        if self._bar is None:
            self._bar = click.progressbar(
                length=total, file=sys.stderr, item_show_func=lambda item: item or ""
            )
            self._bar.__enter__()
            if not sys.stderr.isatty():
                click.echo("Building the report", err=True)
        self._bar.current_item = text
        self._bar.update(done - self._bar.pos, text)
        if not sys.stderr.isatty():
            click.echo(f"[{done}/{total}] {text}", err=True)


class SliceCount:
    """A count of slices on one line of the terminal, for `mask_volumes` to call; else nothing."""

    def __enter__(self) -> SliceCount:
        """Ask whether anybody watches."""
        self._shown = sys.stderr.isatty()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal's line."""
        self.clear()

    def __call__(self, index: int, trace: object) -> None:
        """Count on, every tenth slice."""
        if self._shown and index % 10 == 9:
            click.echo(f"\r{index + 1} slices", err=True, nl=False)

    def clear(self) -> None:
        """Leave the terminal's line, before something else is said."""
        if self._shown:
            click.echo("\r" + " " * 20 + "\r", err=True, nl=False)
