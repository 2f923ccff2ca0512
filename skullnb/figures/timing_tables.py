"""Tables of times: measured on this machine, and published on another."""

from __future__ import annotations

from collections.abc import Mapping

from IPython.display import Markdown

from skullnb import published
from skullnb.figures.tables import markdown_table
from skullnb.timing import STAGES


def machine_table(machine: Mapping[str, str]) -> Markdown:
    """Say what the times were measured on.

    Parameters
    ----------
    machine : mapping
        From `skullnb.timing.machine`.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> print(machine_table({"cores": "2"}).data.splitlines()[2])
    | cores | 2 |
    """
    return markdown_table(["measured on", ""], machine.items())


def stage_table(times: Mapping[str, float]) -> Markdown:
    """Share and ratio of every stage.

    Parameters
    ----------
    times : mapping
        From `skullnb.timing.time_stages`.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> times = {"share_normalise": 0.25, "ratio_normalise": 2.0, "ratio_whole": 8.0,
    ...          "ms_whole": 6.0, "ms_floor": 0.75}
    >>> print(stage_table(times).data.splitlines()[2])
    | normalise | 25% | 2.0 |
    """
    stages = [stage for stage in STAGES if f"share_{stage}" in times]
    rows = [[stage, times[f"share_{stage}"], times[f"ratio_{stage}"]] for stage in stages]
    rows.append(["all in one call", None, times["ratio_whole"]])
    header = ["stage, measured here", "share of all stages", "times the floor"]
    return markdown_table(header, rows, ["", ".0%", ".1f"])


def published_table() -> Markdown:
    """Say what the article reports about time, and which part of it was measured.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> print(published_table().data.splitlines()[2])
    | one slice, one process | 16.6 ms | measured by its author |
    """
    many = f"{published.PROJECTED_SLICES:,} slices"
    rows = [
        [
            "one slice, one process",
            f"{published.MILLISECONDS_PER_SLICE} ms",
            "measured by its author",
        ],
        [
            f"{many}, one process",
            f"about {published.PROJECTED_MINUTES_ONE_PROCESS} minutes",
            "projected, not measured",
        ],
        [
            f"{many}, eight processes",
            f"about {published.PROJECTED_MINUTES_EIGHT_PROCESSES} minutes",
            "projected, not measured",
        ],
    ]
    table = markdown_table(["published", "time", "how it came about"], rows)
    return Markdown(f"{table.data}\n\n{published.SOURCE[0].upper()}{published.SOURCE[1:]}.")


def time_verdict(times: Mapping[str, float]) -> str:
    """Say where the time goes.

    Parameters
    ----------
    times : mapping
        From `skullnb.timing.time_stages`.

    Returns
    -------
    str
        Markdown for `Chapter.say`; needs ratio_whole, ms_whole and the shares.

    Examples
    --------
    >>> time_verdict({"share_dilate": 0.7, "share_fill": 0.1, "share_components": 0.2})[:64]
    '**dilate** and **components** take {share_dilate:.0%} and {share'
    """
    shares = {name: value for name, value in times.items() if name.startswith("share_")}
    first, second = sorted(shares, key=lambda name: -shares[name])[:2]
    return (
        f"**{first.removeprefix('share_')}** and **{second.removeprefix('share_')}** take "
        f"{{{first}:.0%}} and {{{second}:.0%}} of the time. The whole pipeline costs "
        "**{ratio_whole:.0f} times** the floor: {ms_whole:.1f} ms of processor time a slice, on "
        "this machine, in one thread."
    )
