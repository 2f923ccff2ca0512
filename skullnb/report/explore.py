"""The explorer in JupyterLab: every move runs the pipeline again, so nothing is out of date."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from html import escape
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import ipywidgets as widgets
import numpy as np
from PIL import ImageColor

from skullnb import create_skull_masks, heads, metrics, phantom, reach
from skullnb.errors import UnreadableFile
from skullnb.pipeline import PipelineSettings, SkullMaskTrace, measure_stack, trace_skull_mask
from skullnb.pipeline.settings import DARK_GROWTH, DILATION, REACH_MM
from skullnb.report.lab import UPLOAD_BYTES
from skullnb.report.plot import PALETTE, spread
from skullnb.stack import Stack, read_stack, write_masks

STAGES = ("slice", "bright pixels", "components", "brain", "dilated", "mask")
OUTLINES = {"brain": "green", "mask": "blue", "reference": "orange"}
STATUSES = {"warned": "wrong", "empty": "without a mask", "ok": "right"}
COLOURS = dict(zip(STATUSES, map(PALETTE.get, ("scalp", "quiet", "brain")), strict=True))
BORDERS = {DILATION: 0.0, DARK_GROWTH: REACH_MM}  # and how far each starts to reach, mm
PICTURE_PX, MOST_CHECKED, MOST_TICKS = 640, 400, 64


class Explorer:
    """Controls beside one picture of what the pipeline does to a slice of a stack.

    They start at `settings`; what has no control stays as given. Set the value of one of the
    `controls`, and `trace`, `picture`, `facts` and `code` follow. Show its `widget` in a cell.

    >>> explorer = Explorer(heads.load("studyforrest"))
    >>> explorer.controls["kernel_width"].value = 20
    >>> explorer.trace.settings.kernel_width
    20
    """

    def __init__(self, stack: Stack, settings: PipelineSettings | None = None) -> None:
        """Build the controls, check all slices, and show the one in the middle."""
        start, self._holding = settings or PipelineSettings(), False
        self.controls, self._reaches = _make_controls(start), dict(BORDERS)
        self._base = replace(start, kernel_width=PipelineSettings().kernel_width, reach_mm=None)
        for control in self.controls.values():
            control.observe(lambda _: self._try(self.refresh), names="value")
        self.controls["border"].observe(self._change_rule, names="value")
        self.picture = widgets.Image(format="png", layout={"max_width": "100%"})
        self.facts, self.said, self.about = (widgets.HTML() for _ in range(3))
        self.code, self.strip = widgets.Textarea(rows=6, layout={"width": "auto"}), widgets.HBox()
        names = ["phantom", *filter(heads.is_here, heads.HEADS), *phantom.VARIANTS]
        wide = {"layout": {"width": "auto", "flex": "1 1 0", "min_width": "8em"}}
        self.fields = {
            "images": widgets.Combobox(placeholder="name, file, folder", options=names, **wide),
            "reference": widgets.Text(placeholder="its reference masks", **wide),
            "spacing_mm": widgets.Text(placeholder="pixel in mm, such as 0.7x0.7", **wide),
            "masks": widgets.Text(value="masks.nii.gz", **wide),
        }
        self.upload = widgets.FileUpload(description="Upload a file")
        self.upload.observe(lambda change: self._try(self._open_upload, change.new), names="value")
        actions = {"Open": self._open_named, "Check all": self.check, "Save all masks": self._save}
        self.buttons = {text: widgets.Button(description=text) for text in actions}
        for text, action in actions.items():
            self.buttons[text].on_click(lambda _, action=action: self._try(action))
        self.widget = self._lay_out()
        self.open(stack, "stack = chapter.stack")

    def open(self, stack: Stack, opening: str) -> None:
        """Show another stack, from its middle slice; `opening` is the code that makes it."""
        trace_skull_mask(stack.images[len(stack) // 2])  # what cannot be shown changes nothing
        self.stack, self._opening, self._holding = stack, opening, True
        shown = self.controls["slice"]
        shown.max, shown.value = len(stack) - 1, len(stack) // 2
        for name, usual in (("border", DILATION), ("reach_mm", 0)):
            self.controls[name].disabled = stack.spacing_mm is None
            if stack.spacing_mm is None:
                self.controls[name].value = usual
        self.controls["reference"].disabled = stack.reference is None
        self._holding, self._checked = False, spread(len(stack), MOST_CHECKED)
        ticks = np.array_split(self._checked, min(len(self._checked), MOST_TICKS))
        self._ticks: list[list[int]] = [tick.tolist() for tick in ticks]
        layout = {"flex": "1 1 0", "min_width": "0", "padding": "0", "margin": "0 1px 0 0"}
        self.strip.children = [widgets.Button(layout=layout) for _ in self._ticks]
        for tick, indices in zip(self.strip.children, self._ticks, strict=True):
            tick.on_click(lambda _, some=indices: shown.set_trait("value", self._worst(some)))
        self.check()

    def _open_named(self) -> None:
        said = {name: field.value.strip() for name, field in self.fields.items()}
        images = said["images"]
        words = {name: said[name] for name in ("reference", "spacing_mm") if said[name]}
        told = ", ".join([repr(images), *(f"{name}={word!r}" for name, word in words.items())])
        if images in phantom.VARIANTS:
            self.open(phantom.variant(images), f"stack = phantom.variant({images!r})")
        else:
            self.open(heads.open_data(images, **words), f"stack = heads.open_data({told})")

    def _open_upload(self, files: Sequence[Mapping[str, Any]]) -> None:
        if not files:
            return
        content, name = files[0]["content"], re.split(r"[/\\]", files[0]["name"])[-1]
        self.upload.value = ()  # so that the same file can be chosen again
        if len(content) > UPLOAD_BYTES:
            raise UnreadableFile(f"{name} is too large for an upload; give its path instead.")
        with TemporaryDirectory(prefix="skullnb-") as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            found = read_stack(path, spacing_mm=self.fields["spacing_mm"].value.strip())
            # In memory: the file goes, and an array mapped to it would go with it.
            stack = replace(found, images=np.array(found.images), sources=(), members=())
        self.open(stack, f"stack = read_stack({name!r})  # from where you keep it")

    def _change_rule(self, change: Any) -> None:
        reach_mm, mine = self.controls["reach_mm"], self._reaches  # a rule keeps its own
        mine[change.old], reach_mm.value = reach_mm.value, mine[change.new]

    @property
    def settings(self) -> PipelineSettings:
        """What the controls say."""
        said = {name: control.value for name, control in self.controls.items()}
        kernel = "reach_mm" if BORDERS[said["border"]] or said["reach_mm"] else "kernel_width"
        chosen = {name: said[name] for name in (kernel, "drop_edge_touching", "border")}
        chosen["threshold"] = "otsu" if said["otsu"] else said["threshold"]
        return replace(self._base, **chosen)

    def refresh(self) -> None:
        """Run the pipeline on the slice shown, and show what it says."""
        if self._holding:
            return
        stack, settings, index = self.stack, self.settings, self.controls["slice"].value
        words = {"spacing_mm": stack.spacing_mm, "slice_number": stack.slice_numbers[index]}
        self.trace = trace_skull_mask(stack.images[index], settings, **words)
        threshold, self._holding = self.controls["threshold"], True
        threshold.disabled = settings.threshold == "otsu"
        threshold.value = self.trace.threshold  # so that a move by hand starts from Otsu's level
        self._holding = False
        self.controls["kernel_width"].disabled = settings.reach_mm is not None
        masks = {**vars(self.trace), "reference": stack.drawn.get(index)}
        lines = {k: masks[k] for k in OUTLINES if self.controls[k].value and masks[k] is not None}
        picture = compose(self.trace, self.controls["stage"].value, lines, stack.aspect)
        png = cv2.imencode(".png", picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        self.picture.value = png.tobytes()
        self.buttons["Check all"].disabled = fresh = settings == self._checked_with
        if not fresh:
            self.about.value = "The strip is from before the last moves."
        # A row of the check also knows what the slice's neighbours show.
        signs = (self.rows["warnings"] if fresh else {}).get(index, self.trace.warnings)
        self.facts.value = _say(stack, index, self.trace, signs)
        self.code.value, self.said.value = _write_code(self._opening, settings, index), ""
        for tick, indices in zip(self.strip.children, self._ticks, strict=True):
            tick.description = "●" if indices[0] <= index <= indices[-1] else "\N{NO-BREAK SPACE}"

    def check(self) -> None:
        """Measure all slices, of very many an even spread, and colour the strip by what shows."""
        settings = self.settings
        rows = measure_stack(self.stack.select(self._checked), settings)
        self.rows, self._checked_with = rows.set_axis(self._checked), settings
        for tick, indices in zip(self.strip.children, self._ticks, strict=True):
            status = self.rows["status"][self._worst(indices)]
            tick.style.button_color = COLOURS[status]
            few = ", ".join(str(self.stack.slice_numbers[i]) for i in indices[:9])
            tick.tooltip = f"slice {few}: {STATUSES[status]}"
        counts = rows["status"].value_counts()
        told = ", ".join(f"{counts[one]} {word}" for one, word in STATUSES.items() if one in counts)
        some = "" if len(rows) == len(self.stack) else f" of {len(self.stack):,}, evenly spread"
        self.about.value = f"{len(rows)} slices{some}: {told}. Press one."
        self.refresh()

    def _worst(self, indices: Sequence[int]) -> int:
        return min(indices, key=lambda index: [*STATUSES].index(self.rows["status"][index]))

    def _save(self) -> None:
        stack, file = self.stack, self.fields["masks"].value.strip()
        masks = create_skull_masks(stack.images, self.settings, stack.spacing_mm)
        path = write_masks(masks, file, stack).resolve()
        self.check()
        self.said.value = f"The masks are in {escape(str(path))}."

    def _try(self, action: Any, *words: Any) -> None:
        """Do something, and say in one sentence what went wrong: nobody looks at a log here."""
        try:
            action(*words)
        except Exception as error:
            first = [*str(error).strip().splitlines(), type(error).__name__][0]
            self.said.value = f"<strong>{escape(first)}</strong>"

    def _lay_out(self) -> Any:
        *data, file = self.fields.values()
        row = {"flex_flow": "row wrap", "align_items": "center"}
        left, right = {"flex": "1 1 360px", "max_width": "640px"}, {"flex": "1 1 320px"}
        panel = [*self.controls.values(), self.facts, file, self.buttons["Save all masks"]]
        both = [widgets.VBox([self.picture], layout=left), widgets.VBox(panel, layout=right)]
        rows = [*data, self.buttons["Open"], self.upload], [self.buttons["Check all"], self.about]
        opening, about, middle = (widgets.HBox(one, layout=row) for one in (*rows, both))
        return widgets.VBox([opening, self.said, self.strip, about, middle, self.code])


def compose(trace: SkullMaskTrace, stage: str, lines: Mapping[str, Any], aspect: float) -> Any:
    """Draw a stage with outlines, as (H, W, 3) uint8 RGB, in the proportions that it has in mm."""
    height, width = trace.mask.shape
    scale = PICTURE_PX / max(height * aspect, width)
    size = max(1, round(width * scale)), max(1, round(height * aspect * scale))
    white = max(1, np.quantile(trace.normalised, 0.995))  # brightened for the eye
    grey = cv2.convertScaleAbs(trace.normalised, alpha=255 / white)
    grey = trace.binary * 255 if stage == "bright pixels" else grey
    picture = cv2.cvtColor(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB)
    plain, paint = picture.copy(), {}
    if stage == "components":
        at_edge = trace.components["label"][trace.components["touches_edge"]]
        scalp = np.isin(trace.labels, at_edge)
        paint = {"quiet": trace.binary, "scalp": scalp, "brain": trace.brain}
    elif hasattr(trace, stage):
        paint = {"brain" if stage == "brain" else "mask": getattr(trace, stage)}
    for place, (name, mask) in enumerate([*paint.items(), *lines.items()]):
        colour = ImageColor.getrgb(PALETTE[name])
        there = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        if place < len(paint):
            picture[there > 0] = plain[there > 0] // 2 + np.array(colour, np.uint8) // 2
        else:
            border = cv2.findContours(there, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
            cv2.drawContours(picture, border, -1, colour, 2)
    return picture


def _say(stack: Stack, index: int, trace: SkullMaskTrace, signs: Any) -> str:
    """Write what is known of the slice shown as a table, and what looks wrong as a list."""
    spacing, width = stack.spacing_mm, trace.settings.kernel_width
    area, kernel, size = int(np.count_nonzero(trace.mask)), f"{width} px", ""
    if spacing:
        up, side = reach.reach_mm(width, spacing)
        kernel += f", reaches {up:.1f} x {side:.1f} mm"
        size = f", {area * prod(spacing) / 100:.1f} cm²"
    most = trace.settings.reach_mm  # settled, only dark growth has one
    group = f" of {stack.groups[index]}" if stack.groups else ""
    rows = {
        "slice": f"{stack.slice_numbers[index]}{group} ({index + 1} of {len(stack)})",
        "threshold": f"{trace.threshold}{' (Otsu)' * (trace.settings.threshold == 'otsu')}",
        **({"border": f"dark growth, {most:g} mm at most"} if most else {"kernel": kernel}),
        "components": f"{len(trace.components)}, {trace.n_edge_touching} at the edge",
        "brain": f"{np.count_nonzero(trace.brain):,} px",
        "mask": f"{area:,} px{size}",
    }
    if index in stack.drawn:
        scores = metrics.score(trace.mask, stack.drawn[index], spacing)
        rows["IoU, Dice"] = f"{scores['iou']:.4f}, {scores['dice']:.4f}"
        rows["ASSD"] = f"{scores['assd']:.2f} {'mm' if spacing else 'px'}"
    row = "<tr><th scope=row align=left>{}&ensp;</th><td>{}</td></tr>"
    table = "".join(row.format(name, escape(text)) for name, text in rows.items())
    listed = "".join(f"<li>{escape(sign)}</li>" for sign in signs)
    wrong = f"<strong>Looks wrong:</strong><ul>{listed}</ul>" if signs else "No sign of trouble."
    return f"<div role='status'><table>{table}</table>{wrong}</div>"


def _write_code(opening: str, settings: PipelineSettings, index: int) -> str:
    """Write the cell that makes the mask shown; it names what differs from the article's way."""
    usual = asdict(PipelineSettings())
    words = [f"{key}={one!r}" for key, one in asdict(settings).items() if one != usual[key]]
    return f"""from skullnb import PipelineSettings, heads, phantom, read_stack, trace_skull_mask
{opening}
settings = PipelineSettings({", ".join(words)})
image, spacing = stack.images[{index}], stack.spacing_mm
trace = trace_skull_mask(image, settings, spacing_mm=spacing)
trace.mask"""


def _make_controls(start: PipelineSettings) -> dict[str, Any]:
    by_otsu, drop, width = start.threshold == "otsu", start.drop_edge_touching, start.kernel_width
    mm = BORDERS[start.border] if start.reach_mm is None else start.reach_mm
    kinds = widgets.Dropdown, widgets.Checkbox, widgets.IntSlider, widgets.FloatSlider
    choice, box, integer, number = (partial(one, layout={"width": "auto"}) for one in kinds)
    outlines = {one: f"Outline of the {one}, {colour}" for one, colour in OUTLINES.items()}
    return {
        "slice": integer(description="Slice", max=0),
        "stage": choice(description="Stage", options=STAGES),
        "kernel_width": integer(width, description="Width, px", max=max(80, width)),
        "reach_mm": number(mm, description="Reach, mm", max=max(25, mm), step=0.5),
        "otsu": box(by_otsu, description="Threshold by Otsu"),
        "threshold": integer(0 if by_otsu else start.threshold, description="Threshold", max=255),
        "drop_edge_touching": box(drop, description="Drop what touches the frame"),
        "border": choice(description="Border rule", options=[*BORDERS], value=start.border),
        **{name: box(True, description=text) for name, text in outlines.items()},
    }
