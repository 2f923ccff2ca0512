"""The `skullnb` command. It only parses, calls and prints; the work is done elsewhere."""

from __future__ import annotations

import functools
import io
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from skullnb import __version__, batch, masking
from skullnb import evidence as rules
from skullnb import heads as open_heads
from skullnb import phantom as drawn
from skullnb import sweep as sweeps
from skullnb.errors import InvalidSetting, SkullnbError, in_one_line, sentence
from skullnb.pipeline import PipelineSettings
from skullnb.pipeline.settings import DILATION
from skullnb.stack import Stack, refuse_place, write_stack
from skullnb.stack.checks import AXES, expand
from skullnb.stack.write import STACK_KINDS, files_of

EXIT_PARTLY, EXIT_INTERRUPTED = 1, 130

# --- what surrounds every command: sentences instead of tracebacks, and being told to stop --------


class Command(click.Group):
    """A group whose commands turn refusals into one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; say what went wrong in a sentence."""
        let_anything_be_said()
        try:
            # Under nohup a signal is ignored, and stays so.
            ends_all = (lambda own: own is signal.SIG_DFL), *masking.ENDING
            as_ctrl_c = masking.handling(signal.default_int_handler, *ends_all)
            with as_ctrl_c, warnings.catch_warnings():
                # What libraries remark on a damaged file would stand above the sentence.
                warnings.simplefilter("ignore")
                warnings.filterwarnings("always", "The disk of .* keeps no locks")
                warnings.showwarning = lambda message, *_, **__: say(message, err=True)
                return super().invoke(ctx)
        except (SkullnbError, OSError, MemoryError, RuntimeError) as error:
            if not (told := sentence(error)):
                raise
            raise click.UsageError(told) from error  # without a traceback, with exit code 2
        except KeyboardInterrupt as error:
            with suppress(OSError):  # the terminal may be gone
                click.echo("Stopped.", err=True)
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from error


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


def progress_bar(**words: Any) -> Any:
    """Show a bar on stderr where somebody watches, else nothing."""
    from tqdm import tqdm

    return tqdm(file=sys.stderr, disable=not sys.stderr.isatty(), leave=False, **words)


def follow(bar: Any) -> Callable[..., None]:
    """Move a bar to what is done, of how much; say the step where nobody watches."""

    def progress(done: int, total: int, step: str = "") -> None:
        bar.total = total
        bar.set_description_str(step)
        bar.update(done - bar.n)
        if bar.disable and step:
            click.echo(f"[{done}/{total}] {step}", err=True)

    return progress


# --- the words that every command shares ----------------------------------------------------------


def _word(flag: str, told: str = "", default: Any = "", **about: Any) -> Any:
    """Make a field of `Data` that is an option of the command line as well."""
    return field(
        default=default, metadata={"flag": flag, "help": told, "default": default, **about}
    )


@dataclass(frozen=True)
class Data:
    """What a command is about, and how the masks are made; as typed."""

    images: str = _word(
        "--images",
        "Scans: a file, a folder, a pattern in quotes, dicom#6 (its series 6), phantom, or an "
        "open head's name.  [default: the head inside the package]",
    )
    reference: str = _word("--reference", "Reference mask, as the images.")
    groups: str = _word("--groups", "Volume of each slice: a text file, or labels with commas.")
    spacing_mm: str = _word(
        "--spacing", 'Millimetres per pixel, "row x column", as "0.67x0.70"; headers know theirs.'
    )
    slices: str = _word(
        "--slices", 'Slices, from 0: "104:127" (127 left out), "3" or "1,5,9". Axial ones ascend.'
    )
    axis: str = _word(
        "--axis",
        "Axis to slice a volume along.  [default: as it was acquired]",
        None,
        type=click.Choice(AXES),
    )
    nan_background: bool = _word(
        "--nan-background", "Take NaN for background; it is refused otherwise.", False, is_flag=True
    )
    kernel_width: int = _word(
        "--kernel-width",
        "Side of the elliptical kernel in px; it reaches half as far.",
        26,
        show_default=True,
    )
    reach_mm: float | None = _word(
        "--reach-mm",
        "Instead: how far the kernel carries a border, at each volume's own spacing; with dark "
        "growth, the most that it grows.  [default there: 14]",
        None,
        type=float,
    )
    border: str = _word(
        "--border",
        "How the border is found: by one dilation, as in the article, or by growing through the "
        "dark around the brain, which needs to know the size of a pixel.",
        "dilation",
        type=click.Choice(["dilation", "dark growth"]),
        show_default=True,
    )

    def pick(self, *names: str) -> dict[str, Any]:
        """Return some words by the parameters' names."""
        return {name: getattr(self, name) for name in names}

    @property
    def settings(self) -> PipelineSettings:
        """The pipeline's settings."""
        return PipelineSettings(**self.pick("kernel_width", "reach_mm", "border"))

    @property
    def reading(self) -> dict[str, Any]:
        """How volumes are read."""
        return self.pick("spacing_mm", "slices", "axis", "nan_background")

    @property
    def words(self) -> dict[str, Any]:
        """What notebooks take."""
        names = ("images", "reference", "groups", "kernel_width", "reach_mm", "border")
        return self.pick(*names) | self.reading

    def open(self) -> Stack:
        """Open the slices."""
        return open_heads.open_data(**self.pick("images", "reference", "groups"), **self.reading)


_PATH = click.Path(path_type=Path)
_overwrite = click.option("--overwrite", is_flag=True, help="Replace what is already there.")


def typed(name: str) -> bool:
    """Say whether an option was given on the command line."""
    origin = click.get_current_context().get_parameter_source(name)
    return origin is ParameterSource.COMMANDLINE


def about(*without: str, argument: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Give a command the shared words but some, packed as its first argument, a `Data`."""
    words = {one.name: dict(one.metadata) for one in fields(Data) if one.name not in without}

    def decorate(command: Callable[..., Any]) -> Any:
        @functools.wraps(command)
        def packed(**given: Any) -> Any:
            said = {name: given.pop(name) for name in words}
            if said.get("reach_mm") is not None and typed("kernel_width"):
                raise click.UsageError("Give --reach-mm or --kernel-width, not both.")
            return command(Data(**said | {"axis": said["axis"] or ""}), **given)

        for name, word in reversed(words.items()):
            if argument and name == "images":
                packed = click.argument(name, default="")(packed)
            else:
                packed = click.option(word.pop("flag"), name, **word)(packed)
        return packed

    return decorate


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder to write in; leave no empty one behind."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for one in new:
            with suppress(OSError):  # there is something in it
                one.rmdir()


def own_files(data: Data, stack: Stack) -> list[Path]:
    """List the files that all comes from, which no table takes the place of."""
    with suppress(OSError, ValueError):  # labels themselves, and no file of them
        if data.groups and Path(data.groups).is_file():
            return [*files_of(stack), Path(data.groups)]
    return files_of(stack)


@click.group(
    cls=Command,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  skullnb report  (then open report/html/index.html)",
)
@click.version_option(__version__, prog_name="skullnb")
def main() -> None:
    """A classical skull mask for head MRI slices, as a report that says what was tested."""


# --- the commands ---------------------------------------------------------------------------------


@main.command()
@about()
@click.option("-o", "--output", "output_dir", default="report", show_default=True, type=_PATH)
@click.option("--chapter", "chapters", multiple=True, help='Only this, such as "05". Repeatable.')
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64))
@click.option("--student", is_flag=True, help="To hand out: pages and notebooks without answers.")
@click.option("--single-file", is_flag=True, help="Also the whole book as one file, book.html.")
@click.option("--pdf", is_flag=True, help="Also book.pdf; needs Chromium or Chrome.")
@_overwrite
def report(data: Data, **options: Any) -> None:
    """Run every chapter and build the book about the given scans.

    \b
    Examples:
        skullnb report
        skullnb report --images scans.nii.gz --reference masks.nii.gz -o my-report
        skullnb report --images T1.mgz --slices 104:127 --reach-mm 7.5 --single-file --pdf
    """
    from skullnb.report.build import build_report

    with progress_bar(unit=" steps") as bar:
        done = build_report(**data.words, **options, progress=follow(bar))
    say(f"Open {done.index}  (all numbers: {done.results}; {done.seconds:.0f} s)")
    for path in done.files:
        say(f"The whole book: {path}")
    if done.failed:
        told = f"{len(done.failed)} chapter(s) stopped with an error, shown on their pages: "
        click.echo(told + ", ".join(done.failed), err=True)
        sys.exit(EXIT_PARTLY)


@main.command()
@about("reference", "groups", argument=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=_PATH,
    help="File to write (.nii.gz, .nii, .npy, .npz, .tif, .png, or .zarr and .packed.npy for very "
    "many slices); a folder for several volumes.",
)
@click.option(
    "--method",
    type=click.Choice(masking.METHODS),
    default=masking.SLICES,
    show_default=True,
    help="whole-head finds the brain in 3D, and grows the border in the dark: for volumes.",
)
@click.option(
    "--on-warning",
    type=click.Choice(masking.ON_WARNING),
    default="keep",
    show_default=True,
    help="What is written on slices whose mask looks wrong.",
)
@click.option("--strict", is_flag=True, help="Exit code 1 if any slice looks wrong or is empty.")
@click.option("--bids", is_flag=True, help="Name masks as in a BIDS derivative dataset.")
@click.option("--suffix", default="", help="Images of a BIDS dataset to take.  [default: T1w]")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Volumes, or a batch's chunks, side by side.  [default: processors]",
)
@click.option("--sheet", type=_PATH, help="Also one page (.html) of all masks, the worst first.")
@click.option("--scheduler", default="", help="Batch: a Dask cluster does it, tcp://HOST:PORT.")
@click.option("--chunk", type=click.IntRange(1), help="Batch: slices written and marked together.")
@click.option("--parquet", is_flag=True, help="Batch: the table as Parquet instead of CSV.")
@_overwrite
def mask(data: Data, output: Path, strict: bool, **options: Any) -> None:
    """Write the skull masks of IMAGES: a file, a folder, or a pattern in quotes.

    Without IMAGES they are of the head inside the package. Files of one slice each are one stack if
    OUTPUT is a file such as masks.npy or masks.tif, else each has a mask of its own in a folder.
    Beside every mask, on its image's own grid, are a table with a row for each slice, which says
    what looks wrong, and a JSON file that says how it was made. A slice or a volume that fails does
    not stop the others; the exit code is 1 then.

    More slices than memory holds go as a batch into one .npy, .packed.npy (a bit a pixel) or .zarr.
    If it is interrupted, run the same command again: it resumes. It is a batch with any option
    whose help begins with "Batch:", for zarr and packed bits, and from a .npy above 1 GB.

    \b
    Examples:
        skullnb mask T1.mgz -o mask.nii.gz --slices 104:127 --reach-mm 7.5
        skullnb mask T1.mgz -o mask.nii.gz --method whole-head
        skullnb mask dicom/ -o masks/ --sheet masks/look.html
        skullnb mask raw/ -o derivatives/skullnb --bids
        skullnb mask scans.npy -o masks.packed.npy --workers 4
    """
    of_volumes = {name: options.pop(name) for name in ("bids", "sheet", "method")}
    for_batch = {name: options.pop(name) for name in ("scheduler", "chunk", "parquet")}
    is_whole = of_volumes["method"] == masking.WHOLE_HEAD
    if is_whole and typed("kernel_width"):
        raise click.UsageError("--method whole-head has no kernel; leave --kernel-width out.")
    if is_whole and typed("border") and data.settings.border == DILATION:
        told = "--method whole-head grows its border in the dark; leave --border dilation out."
        raise click.UsageError(told)
    if any(for_batch.values()) or batch.is_for_batch(data.images, output):
        for name, given in (of_volumes | {"method": is_whole}).items():
            if given:
                told = "method whole-head" if name == "method" else name
                raise click.UsageError(f"--{told} does not go with a batch.")
        found = _mask_batch(data, output, options | for_batch)
    else:
        found = _mask_volumes(data, output, options | of_volumes)
    if "failed" in found or (strict and found & {"warned", "empty"}):
        sys.exit(EXIT_PARTLY)


def _mask_volumes(data: Data, output: Path, options: dict[str, Any]) -> set[str]:
    """Mask volumes; return which kinds of slices and volumes there were."""
    words = {name: options.pop(name) for name in ("bids", "suffix")}
    jobs, done = masking.plan_masks(data.images, output, **words), list[masking.Masked]()
    cards: list[Any] = []
    if path := options["sheet"]:
        from skullnb.report import sheet

        path = options["sheet"] = expand(path)
        own = [file for job in jobs for file in (*job.files, job.path)]
        if path.parent.is_dir() or path.parent != expand(output):  # which is made for the masks
            refuse_place(path, own, options["overwrite"], (".html",))
        sheet.require_extra()
        options["seen"] = lambda one, *of: cards.append(sheet.draw_card(one, path, *of))
    for line in masking.what_is_taken(data.images, (file for job in jobs for file in job.files)):
        say(line, err=True)
    with progress_bar(unit=" slices") as bar:
        options["progress"] = bar.update
        for one in masking.mask_volumes(jobs, data.settings, **data.reading, **options):
            bar.clear()
            if not done:
                click.echo(masking.HEADING)
            say(one)
            lines = [] if one.table is None else masking.warning_lines(one.table)
            for line in (*one.account.get("Remarks", ()), *lines):
                say(f"{one.name}, {line}", err=True)
            if one.error:
                say(f"{one.name}: {one.error}", err=True)
            done.append(one)
    for one in done:
        for line in filter(None, map(one.account.get, ("LooksWrong", "Failed"))):
            say(f"{one.name}: {line}")
    if path:
        cards += [sheet.draw_card(one, path) for one in done if one.error]
        sheet.write_sheet(cards, path)
        say(f"Look through them: {path}")
    several = "s" * (len(done) != 1)
    kinds = Counter(one.status for one in done)
    told = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    place = "" if all(one.error for one in done) else f"; in {output}"
    say(f"{len(done)} volume{several}: {told}{place}")
    return {kind for one in done for kind, n in one.counts.items() if n} | set(kinds)


def _mask_batch(data: Data, output: Path, options: dict[str, Any]) -> set[str]:
    """Mask a batch; return which kinds of slices there were."""
    with progress_bar(unit=" slices") as bar:
        options |= {"progress": follow(bar), **data.reading}
        try:
            done = batch.mask_batch(data.images, output, data.settings, **options)
        except KeyboardInterrupt:
            bar.clear()
            click.echo("Stopped; the same command goes on from here.", err=True)
            sys.exit(EXIT_INTERRUPTED)
    for line in done.account["Remarks"]:
        say(line, err=True)
    for line in filter(None, map(done.account.get, ("LooksWrong", "Failed"))):
        say(line)
    n, n_new = done.counts["slices"], done.counts["slices"] - done.n_resumed
    before = f"{done.n_resumed:,} of them done before, " if done.n_resumed else ""
    speed = f"{n_new / done.seconds:,.0f} a second, " if n_new else ""
    kinds = ", ".join(f"{many:,} {kind}" for kind, many in done.counts.items() if kind != "slices")
    say(f"{done.path}: {n:,} slices, {before}{speed}{kinds}; each has a row in {done.table.name}")
    return {kind for kind, many in done.counts.items() if many}


@main.command()
@about("kernel_width", "reach_mm", "border")
@click.option(
    "--widths",
    default="16:37:2",
    show_default=True,
    help='Kernel widths in px: "first:end:step" (end left out), or "22,24,26".',
)
@click.option("--csv", type=_PATH, help="Also write every slice to this file.")
@_overwrite
def sweep(data: Data, widths: str, csv: Path | None, overwrite: bool) -> None:
    """Score the masks at several kernel widths.

    \b
    Examples:
        skullnb sweep
        skullnb sweep --images scans.nii.gz --reference masks.nii.gz --widths 10:41:2
    """
    wanted, stack = sweeps.parse_widths(widths), data.open()
    if csv:
        refuse_place(expand(csv), own_files(data, stack), overwrite)
    table = sweeps.sweep_kernel_width(stack, wanted)
    best = sweeps.best_width(table)
    say(f"{stack.name}: {len(stack)} slices, mean over slices")
    click.echo("  width     IoU    Dice")
    for row in sweeps.summarise(table).to_dict("records"):
        star = "  *" if row["kernel_width"] == best else ""
        click.echo(f"{row['kernel_width']:4.0f} px  {row['iou']:.4f}  {row['dice']:.4f}{star}")
    click.echo("* best on these very slices: tuned and tested on the same data")
    if csv:
        masking.write_table(table, expand(csv))


@main.command()
@about(argument=True)
@click.option(
    "--with-phantom",
    "variants",
    multiple=True,
    help="Add the slices of a phantom variant, named as in skullnb phantom --list. Repeatable.",
)
@click.option("--synthetic", is_flag=True, help="IMAGES are drawn, though their file doesn't say.")
@click.option("-o", "--output", type=_PATH, help="Folder for evidence.csv and .json.")
@_overwrite
def evidence(
    data: Data, variants: tuple[str, ...], synthetic: bool, output: Path | None, overwrite: bool
) -> None:
    """Say which rules of the pipeline IMAGES put to the test, and which they never did.

    Without IMAGES it is about the head inside the package. Scores need a reference mask; the rest
    does not.

    \b
    Examples:
        skullnb evidence
        skullnb evidence scans.nii.gz --reference masks.nii.gz
        skullnb evidence T1.mgz --slices 104:127 --with-phantom thick-soft-tissue-cut
    """
    settings, stack, places = data.settings, data.open(), []
    if output:
        click.get_current_context().with_resource(made(expand(output)))
        places = [expand(output) / name for name in ("evidence.csv", "evidence.json")]
    for place in places:
        refuse_place(place, own_files(data, stack), overwrite)
    stack = replace(stack, synthetic=stack.synthetic or synthetic)
    stacks = [stack, *map(drawn.variant, variants)]
    with progress_bar(total=sum(map(len, stacks)), unit=" slices") as bar:
        visit = lambda _: bar.update()  # noqa: E731
        ledger = rules.combine([rules.build_ledger(one, settings, visit=visit) for one in stacks])
    say(", ".join(f"{one.name}: {len(one)} slices" for one in stacks))
    whose = "your data" if data.images and not open_heads.known(data.images) else "other heads"
    table, verdict = rules.summarise(ledger), rules.verdict(ledger, whose)
    for row in table.to_dict("records"):
        line = f"  {row['rule']:{table['rule'].str.len().max()}}  {row['evidence']}"
        if row["n_changed"] and row["iou"] == row["iou"]:
            scores = f"IoU {row['iou']:.4f}, without it {row['iou_off']:.4f}"
            line = f"{line:54}  {row['effect']}: {scores}"
        click.echo(line)
    click.echo(verdict)
    if places:
        told = {
            "verdict": verdict,
            "rules": table.to_dict("records"),
            "settings": asdict(settings.at(stack.spacing_mm)),
            "versions": masking.versions(),
            "inputs": stack.fingerprint(),
        }
        masking.write_table(ledger, places[0])
        masking.write_json(told, places[1])
        say(f"{places[0]}: {len(ledger)} rows; {places[1]}: the verdict")


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=_PATH, help="The table to write (.csv).")
@_overwrite
def collate(folder: Path, output: Path, overwrite: bool) -> None:
    """Set the numbers of many runs in FOLDER side by side: a row for each report or notebook run.

    \b
    Example:
        skullnb collate reports -o numbers.csv
    """
    from skullnb.report import build

    refuse_place(expand(output), folder.rglob("*.json"), overwrite)
    table = build.collate(folder)
    masking.write_table(table, expand(output))
    say(f"{output}: {len(table)} runs, {len(table.columns)} columns")


@main.command()
@click.option("-o", "--output", type=_PATH, help=".npz, .nii or .nii.gz file.")
@click.option("--seed", type=int, help="Another head instead of the published stand-in.")
@click.option("--variant", help="A head that breaks one assumption; see --list.")
@click.option("--n-slices", type=click.IntRange(1, 200), help="With --seed: how many slices.")
@click.option("--list", "listed", is_flag=True, help="List the variants and stop.")
@_overwrite
def phantom(overwrite: bool, listed: bool, output: Path | None, **which: Any) -> None:
    """Write a synthetic head with its exact reference mask.

    The .npz file holds `images` and `reference`; a NIfTI file gets its reference beside it.

    \b
    Examples:
        skullnb phantom --list
        skullnb phantom --seed 11 --n-slices 20 -o head.nii.gz
        skullnb phantom --variant bridge -o bridge.npz
    """
    if listed:
        for name, description in drawn.VARIANTS.items():
            click.echo(f"{name:28} {description}")
        return
    seed, variant, n_slices = which["seed"], which["variant"], which["n_slices"]
    if output is None:
        raise click.UsageError("Name the file to write with -o, or use --list.")
    if seed is not None and variant is not None:
        raise click.UsageError("Give --seed or --variant, not both.")
    if n_slices is not None and seed is None:
        raise click.UsageError("--n-slices goes with --seed.")
    refuse_place(expand(output), (), overwrite, STACK_KINDS)
    if seed is not None:
        stack = drawn.subject(seed, n_slices or 5)
    else:
        stack = drawn.published_stack() if variant is None else drawn.variant(variant)
    for path in write_stack(stack, output, overwrite=overwrite):
        say(f"{path}: {stack.name} (synthetic), {len(stack)} slices")


@main.command()
@about()
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--port", default=0, show_default="any free one", type=click.IntRange(0, 65535))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(data: Data, no_browser: bool, **options: Any) -> None:
    """Open the explorer in JupyterLab, on this computer only.

    ARGUMENTS after "--" are handed to JupyterLab.

    \b
    Examples:
        skullnb lab --images T1.nii.gz --slices 80:100
        skullnb lab -- --allow-root
    """
    from skullnb.report.lab import launch_lab

    launch_lab(**data.words, open_browser=not no_browser, **options)


@main.group()
def heads() -> None:
    """Open heads to try things on: real MRI with reference masks, one of them inside the package.

    \b
    Examples:
        skullnb heads list
        skullnb heads fetch colin27 mne-ecog
        skullnb report --images colin27
    """


@heads.command("list")
def list_heads() -> None:
    """List the heads, with their kind of reference mask."""
    click.echo(f"{'name':16} {'head':13} {'contrast':8} slices  {'reference':15} {'size':>7}  here")
    for name, head in open_heads.HEADS.items():
        here = "yes" if open_heads.is_here(name) else "no"
        click.echo(
            f"{name:16} {head.group:13} {head.contrast:8} {head.n_slices:6}  {head.reference:15} "
            f"{head.n_bytes / 1e6:4.1f} MB  {'inside' if name == open_heads.BUILT_IN else here}"
        )
    click.echo("Two stacks of one head are not two heads: keep them on one side of a split.")


@heads.command("fetch")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every head.")
def fetch_heads(names: tuple[str, ...], everything: bool) -> None:
    """Download heads, check them, and say where they are; other commands take their names."""
    chosen = [open_heads.find(name) for name in (open_heads.HEADS if everything else names)]
    if not chosen:
        known = ", ".join(open_heads.HEADS)
        raise InvalidSetting(f"Name the heads to fetch, or add --all; there are {known}.")
    for head in chosen:
        paths = open_heads.fetch(head.name, progress=sys.stderr.isatty())
        click.echo(f"{head.name}: {head.size}, in {paths[0].parent}")
        click.echo(f"{head.name}: {head.licence}")


@heads.command()
@click.argument("name")
def show(name: str) -> None:
    """Say what is known of a head: licence, citation, reference mask, addresses."""
    head = open_heads.find(name)
    spacing, taken = "{:g} x {:g} mm".format(*head.spacing_mm), head.slices or "all"
    inside = "inside the package; made from " if name == open_heads.BUILT_IN else ""
    here = "" if open_heads.is_here(name) else ", not here yet"
    click.echo(f"head       {head.title}; group {head.group}")
    click.echo(f"slices     {head.n_slices} axial ({taken}), {head.contrast}, {spacing}")
    click.echo(f"licence    {head.licence}")
    click.echo(f"cite       {head.citation}")
    click.echo(f"reference  {head.reference}. {head.trust}")
    click.echo(f"files      {inside}{head.size}{here}")
    for file in head.files:
        click.echo(f"{file.sha256}  {file.address}")
