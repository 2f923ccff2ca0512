"""What the explorer's controls say, and the code cell that says the same."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from skullnb.errors import InvalidSetting
from skullnb.figures.explorer import OUTLINES, STAGES
from skullnb.pipeline import PipelineSettings


@dataclass(frozen=True)
class ExplorerState:
    """Everything that the explorer's controls say.

    Parameters
    ----------
    slice_number : int
        Index into the stack.
    stage : str
        One of `skullnb.figures.explorer.STAGES`.
    settings : PipelineSettings
    outlines : tuple of str
        Any of `skullnb.figures.explorer.OUTLINES`.

    Raises
    ------
    InvalidSetting
        If there is no such stage or outline.

    Examples
    --------
    >>> ExplorerState(2, stage="mask").settings.kernel_width
    26
    """

    slice_number: int
    stage: str = "normalised"
    settings: PipelineSettings = field(default_factory=PipelineSettings)
    outlines: tuple[str, ...] = OUTLINES

    def __post_init__(self) -> None:
        """Refuse names that do not exist."""
        for known, given in ((STAGES, (self.stage,)), (OUTLINES, self.outlines)):
            for name in given:
                if name not in known:
                    raise InvalidSetting(
                        f"The explorer has no {name!r} here; there are {', '.join(known)}."
                    )

    def code(self, opening: tuple[str, str] = ("", "")) -> str:
        """Write the cell that makes the mask shown.

        Parameters
        ----------
        opening : (str, str)
            The import and the line that open the data; without them the cell takes the notebook's
            own `stack`.

        Returns
        -------
        str
            Python; it names only the settings that differ from the article's.

        Examples
        --------
        >>> print(ExplorerState(2, settings=PipelineSettings(kernel_width=30)).code())
        from skullnb.pipeline import PipelineSettings, trace_skull_mask
        <BLANKLINE>
        settings = PipelineSettings(kernel_width=30)
        trace = trace_skull_mask(stack.images[2], settings)
        trace.mask
        """
        article = PipelineSettings()
        chosen = ", ".join(
            f"{one.name}={getattr(self.settings, one.name)!r}"
            for one in fields(article)
            if getattr(self.settings, one.name) != getattr(article, one.name)
        )
        lines = [
            opening[0],
            "from skullnb.pipeline import PipelineSettings, trace_skull_mask",
            "",
            opening[1],
            f"settings = PipelineSettings({chosen})",
            f"trace = trace_skull_mask(stack.images[{self.slice_number}], settings)",
            "trace.mask",
        ]
        return "\n".join(line for at, line in enumerate(lines) if line or at == 2)
