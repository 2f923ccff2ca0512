"""How a batch is getting on, for who runs it."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any

import click

_SECONDS_BETWEEN_LINES = 30


class Bar:
    """A bar with slices a second and the time left, for `mask_batch` to call.

    Where no terminal is watching, a line every half minute.
    """

    def __enter__(self) -> Bar:
        """Begin to count the time."""
        self._bar: Any = None
        self._said = self._began = monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal's line."""
        self.clear()

    def __call__(self, done: int, total: int) -> None:
        """Show how many slices are done; the first call says how many were before."""
        now = monotonic()
        if self._bar is None:
            self._bar = click.progressbar(
                length=total,
                label="slices",
                file=sys.stderr,
                show_eta=False,
                show_pos=True,
                item_show_func=lambda text: text,
                hidden=not sys.stderr.isatty(),
            )
            self._bar.__enter__()
            self._first, self._began = done, now
        text = remaining(done - self._first, total - done, now - self._began)
        self._bar.update(done - self._bar.pos, text)
        if not sys.stderr.isatty() and now - self._said > _SECONDS_BETWEEN_LINES:
            click.echo(f"{done:,} of {total:,} slices, {text}", err=True)
            self._said = now

    def clear(self) -> None:
        """Leave the terminal's line, before something else is said."""
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None


def remaining(done: int, left: int, seconds: float) -> str:
    """Say how fast it goes, and how long it will take.

    Examples
    --------
    >>> remaining(500, 90_000, 2.0)
    '250 slices/s, 6 min 0 s left'
    """
    if not done or seconds <= 0:
        return ""
    rate = done / seconds
    minutes, rest = divmod(round(left / rate), 60)
    hours, minutes = divmod(minutes, 60)
    time = f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else ""
    return f"{rate:,.0f} slices/s, {time or f'{rest} s'} left"
