"""What a notebook calls: its data, the pipeline's answers about them, its numbers in sentences."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skullnb.errors import InvalidSetting
from skullnb.heads import open_data
from skullnb.masking import write_json
from skullnb.pipeline import PipelineSettings, SkullMaskTrace, measure_stack, trace_skull_mask
from skullnb.pipeline.settings import DILATION
from skullnb.report.plot import STYLE, escape, picture, spread, summary
from skullnb.study.timing import library_versions

if TYPE_CHECKING:
    from IPython.display import Markdown
    from pandas import DataFrame

DATA_NAMES = ("images", "reference", "groups", "spacing_mm", "slices", "axis")
PARAMETERS: dict[str, Any] = {
    **dict.fromkeys(DATA_NAMES, ""),
    **{"kernel_width": PipelineSettings().kernel_width, "reach_mm": None, "output_dir": ""},
    **{"nan_background": False, "border": DILATION},
}
"""The parameters of every notebook, the last two unseen, and what they are when nobody chooses."""

# Chapters that follow `border`; the others are about the article's own steps, and keep to them.
NOT_ABOUT_STEPS = ("14-explore", "15-your-data")
MOST_SHOWN = 5  # slices on a page; more would be a wall of pictures
FORMAT = "skullnb-results-2"
SVG = "SKULLNB_SVG"  # set to 1 where figures are to be drawn as SVG beside PNG, as in a report


class Chapter:
    """The data of the notebook `name`, and the pipeline's answers about them.

    `images`, `reference`, `spacing_mm` and `numbers` (of slices) are those of `stack`; a reference
    that is empty on all slices is none. A figure shows the slices at the indices `shown`; one that
    stands for all, that at `middle`, `image`, (H, W): such as can be scored, if any can. `settings`
    are the article's, with the chosen width or reach. `is_built_in`: of the head in the package.
    """

    def __init__(self, name: str, parameters: Mapping[str, Any]) -> None:
        if unknown := [one for one in parameters if one not in PARAMETERS]:
            known = f"it has {', '.join(PARAMETERS)}."
            raise InvalidSetting(f"The notebook {name!r} has no parameter {unknown[0]!r}; {known}")
        chosen = {**PARAMETERS, **parameters}
        given = {key: str(chosen[key]) for key in DATA_NAMES}
        self.name, self.parameters = name, chosen | given
        stack = open_data(**given, nan_background=bool(chosen["nan_background"]))
        # On a flat slice there is nothing to draw.
        done = (i in stack.drawn or one.min() == one.max() for i, one in enumerate(stack.images))
        self._coverage = "" if stack.drawn and all(done) else stack.coverage
        stack = self.stack = stack if stack.drawn else replace(stack, reference=None)
        reach_mm, border = chosen["reach_mm"] or None, chosen["border"]
        settings = PipelineSettings(chosen["kernel_width"], reach_mm, border=border)
        if border != DILATION and name not in NOT_ABOUT_STEPS:
            settings = PipelineSettings()
        self.settings, self.is_built_in = settings.at(stack.spacing_mm), not given["images"]
        self.images, self.reference = stack.images, stack.reference
        self.spacing_mm, self.numbers = stack.spacing_mm, stack.slice_numbers
        kept = list(stack.drawn if stack.drawn and self._coverage else range(len(stack)))
        self.shown = [kept[i] for i in spread(len(kept), MOST_SHOWN)]
        self.middle = min(stack.drawn or range(len(stack)), key=lambda i: abs(i - len(stack) // 2))
        self.image = np.asarray(stack.images[self.middle])
        self.values, self._captions = dict[str, Any](), dict[str, int]()
        self._inputs = stack.fingerprint() if chosen["output_dir"] else {}

    def trace(self, index: int | None = None) -> SkullMaskTrace:
        """Every stage of one slice, the middle one by default."""
        index = self.middle if index is None else index
        known: Any = {"spacing_mm": self.spacing_mm, "slice_number": self.numbers[index]}
        return trace_skull_mask(self.images[index], self.settings, **known)

    @cached_property
    def rows(self) -> DataFrame:
        """A row a slice: threshold, counts, areas in px, and what looks wrong."""
        return measure_stack(self.stack, self.settings)

    def record(self, **values: Any) -> None:
        """Keep numbers, texts, and arrays, columns, lists or dicts of them in the results file."""
        self.values.update(plain(values))
        if not self.parameters["output_dir"]:
            return
        file = Path(str(self.parameters["output_dir"])) / "results" / f"{self.name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        head = {"format": FORMAT, "chapter": self.name, "parameters": bare(self.parameters)}
        about = {"inputs": self._inputs, "versions": library_versions(), "values": self.values}
        write_json(head | about, file)

    def say(self, template: str, **values: Any) -> Markdown:
        """Record numbers, and fill them into a text of Markdown for jinja2.

        It sees all that was recorded, and `chapter`; a name that was not is refused. Filters:
        `f(".3f")` formats, `many("slice")` counts, `span` ranges.

        >>> chapter = open_chapter("03-threshold")
        >>> chapter.say("{{ n | many('slice') }}, IoU {{ iou | f('.2f') }}", n=1, iou=0.976).data
        '1 slice, IoU 0.98'
        """
        from IPython.display import Markdown

        self.record(**values)
        return Markdown(fill(template, {**self.values, "chapter": self}))

    def figure(self, caption: str, *, alt: str, **values: Any) -> None:
        """Show the current figure with its number and caption, and close it.

        `caption`, whose first sentence says what is drawn, and `alt`, for who cannot see it, are
        templates as for `say`.
        """
        import matplotlib.pyplot as plt
        from IPython.display import Markdown, display

        # A cell that is run again keeps its number.
        place = self._captions.setdefault(caption, len(self._captions) + 1)
        number = re.sub(r"^0*(\d*).*", rf"\1.{place}", self.name).lstrip(".")
        first, _, rest = " ".join(self.say(caption, **values).data.split()).partition(". ")
        text = f"**Figure {number}.** *{first}{'.' * bool(rest)}* {rest}".strip()
        fig, alt = plt.gcf(), fill(alt, {**self.values, "chapter": self})
        about = {"figure": number, "caption": text, "alt": alt}
        pictures = picture(fig, svg=os.environ.get(SVG) == "1")
        pictures["text/plain"] = f"Figure {number}: {summary(fig)}"
        plt.close(fig)
        width = {"width": round(fig.get_figwidth() * 100)}
        display(pictures, metadata={"image/png": width, "skullnb": about}, raw=True)
        display(Markdown(text))

    def _repr_markdown_(self) -> str:
        about = f"{self.stack.contents}. {self._coverage}".rstrip()
        return f"**{escape(self.stack.name)}**: {escape(about)}"

    def __repr__(self) -> str:
        """Name the notebook and its data."""
        return f"{self.name} on {self.stack.name}"


def open_chapter(name: str, names: Mapping[str, Any] | None = None) -> Chapter:
    """Open the data that a notebook's parameters name, or refuse what is not possible.

    `names` are the notebook's ``globals()``; a parameter that is missing there has its usual value.

    >>> open_chapter("05-dilation", {"images": "phantom"}).settings.kernel_width
    26
    """
    import matplotlib.pyplot as plt

    names = names or {}
    # What papermill's cell sets stays in the history of the notebook, known or not.
    cells = [one for one in names.get("In", ()) if one.startswith("# Parameters\n")]
    injected = re.findall(r"^(\w+) = ", "\n".join(cells), flags=re.MULTILINE)
    plt.rcParams.update(STYLE)
    return Chapter(name, {key: names[key] for key in names if key in {*PARAMETERS, *injected}})


def bare(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without anybody's folders, for a results file."""
    named = {name: plain(one) for name, one in parameters.items() if name != "output_dir"}
    return named | {name: Path(str(named[name])).name for name in DATA_NAMES[:3] if name in named}


def plain(value: Any) -> Any:
    """Turn arrays, columns and numpy scalars into what JSON holds; NaN is None, infinity "inf"."""
    if isinstance(value, Mapping):  # of a table or a count, with keys that JSON has not
        return {str(name): plain(one) for name, one in value.items()}
    constants = {"NaN": None, "Infinity": "inf", "-Infinity": "-inf"}
    return json.loads(json.dumps(value, default=_listed), parse_constant=constants.get)


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if type(value).__name__ == "NAType":
        return None
    raise InvalidSetting(f"A result must be a number or a text, not {type(value).__name__}.")


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Fill values into a template; a text among them is never markup."""
    import jinja2

    words: Any = {"undefined": jinja2.StrictUndefined, "finalize": _written}
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, **words)
    environment.filters.update(f=_written, many=_many, span=_span)
    try:
        return environment.from_string(template).render(values).strip()
    except jinja2.UndefinedError as error:
        raise InvalidSetting(f"A sentence lacks a number: {error}; record it first.") from error


def _written(value: Any, form: str = "") -> Any:
    if isinstance(value, list | tuple):
        return ", ".join(str(_written(one, form)) for one in value)
    if value is None or value != value:
        return "not available"
    if form:
        return format(value, form)
    return escape(value) if type(value) is str else value  # and not Markup: it is meant


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _span(values: Sequence[Any], form: str = "") -> str:
    known = [one for one in values if one is not None and one == one]
    ends = [format(one, form) for one in (min(known), max(known))] if known else []
    return " to ".join(dict.fromkeys(ends)) or "not available"
