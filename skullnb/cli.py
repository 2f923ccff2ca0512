"""The `skullnb` command. It only parses, calls and prints; the work is done elsewhere."""

from __future__ import annotations

import functools
import io
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skullnb import __version__
from skullnb.errors import InvalidSetting, SkullnbError, in_one_line

if TYPE_CHECKING:
    from skullnb.masking import Masked
    from skullnb.pipeline import PipelineSettings
    from skullnb.stack import Stack

EXIT_PARTLY, EXIT_INTERRUPTED = 1, 130

# --- what surrounds every command: sentences instead of tracebacks, and being told to stop --------


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
                warnings.filterwarnings("always", "The disk of .* keeps no locks")
                warnings.showwarning = lambda message, *_, **__: say(message, err=True)
                return super().invoke(ctx)
        except SkullnbError as error:
            raise Sentence(str(error)) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            # Files are written under a passing name first; people know the folder.
            path = Path(error.filename) if error.filename else None
            hidden = path is not None and path.name.startswith(".")
            place = f" in {str(path.parent)!r}" if path and hidden else ""
            place = place or (f" {path.name!r}" if path else "")
            reason = in_one_line(error.strerror or error)
            raise Sentence(f"Cannot read or write{place}: {reason}.") from error
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


def progress_bar(**words: Any) -> Any:
    """Show a bar on stderr where somebody watches, else nothing."""
    from tqdm import tqdm

    return tqdm(file=sys.stderr, disable=not sys.stderr.isatty(), leave=False, **words)


# --- the words that every command shares ----------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """What a command is about, and how the masks are made; as typed."""

    images: str = ""
    reference: str = ""
    groups: str = ""
    spacing_mm: str = ""
    slices: str = ""
    axis: str = ""
    nan_background: bool = False
    kernel_width: int = 26
    reach_mm: float | None = None
    border: str = "dilation"

    @property
    def settings(self) -> PipelineSettings:
        """Return the pipeline's settings."""
        from skullnb.pipeline import PipelineSettings

        return PipelineSettings(
            kernel_width=self.kernel_width, reach_mm=self.reach_mm, border=self.border
        )

    @property
    def words(self) -> dict[str, Any]:
        """Return what notebooks take, by the parameters' names."""
        return {name: word for name, word in asdict(self).items() if name != "border"}

    @property
    def reading(self) -> dict[str, Any]:
        """Return how volumes are read, by the parameters' names."""
        names = ("spacing_mm", "slices", "axis", "nan_background")
        return {name: getattr(self, name) for name in names}

    def open(self) -> Stack:
        """Open the slices."""
        from skullnb.heads import open_data

        return open_data(self.images, self.reference, groups=self.groups, **self.reading)


_AXES, _BORDERS = ["axial", "coronal", "sagittal"], ["dilation", "dark growth"]
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "images": (
        "Scans: a file, a folder, a pattern in quotes, dicom#6 (its series 6), phantom, or an open "
        "head's name.  [default: the head inside the package]",
        {"default": ""},
    ),
    "reference": ("Reference mask: a file or folder shaped like the images.", {"default": ""}),
    "groups": ("Volume of each slice: a text file, or labels with commas.", {"default": ""}),
    "spacing": (
        'Millimetres per pixel, "row x column", such as "0.67x0.70"; headers know theirs.',
        {"default": ""},
    ),
    "slices": (
        'Slices to take, such as "104:127" (127 left out), "3" or "1,5,9", from 0; axial slices of '
        "a volume ascend from the feet.",
        {"default": ""},
    ),
    "axis": (
        "Anatomical axis to slice a volume along, however it is stored.  [default: as it was "
        "acquired]",
        {"type": click.Choice(_AXES)},
    ),
    "nan-background": ("Take NaN for background; it is refused otherwise.", {"is_flag": True}),
    "kernel-width": (
        "Side of the elliptical kernel in px; it reaches half as far.",
        {"default": 26, "show_default": True},
    ),
    "reach-mm": (
        "Instead: how far the kernel carries a border, in mm, at each volume's own spacing.",
        {"type": float},
    ),
    "border": (
        "The article's one dilation, or a border that is looked for (needs the spacing).",
        {"type": click.Choice(_BORDERS), "default": "dilation", "show_default": True},
    ),
}

_overwrite = click.option("--overwrite", is_flag=True, help="Replace what is already there.")
_PATH = click.Path(path_type=Path)


def about(*without: str, argument: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Give a command the shared words but some, packed as its first argument, a `Data`."""
    chosen = {name: words for name, words in _OPTIONS.items() if name not in without}

    def decorate(command: Callable[..., Any]) -> Any:
        @functools.wraps(command)
        def packed(**given: Any) -> Any:
            typed = {name: given.pop(name.replace("-", "_")) for name in chosen}
            data = {name.replace("-", "_"): word for name, word in typed.items()}
            data["spacing_mm"], data["axis"] = data.pop("spacing"), data["axis"] or ""
            return command(Data(**data), **given)

        for name, (text, words) in reversed(chosen.items()):
            if name == "images" and argument:
                packed = click.argument("images", default="")(packed)
            else:
                packed = click.option(f"--{name}", help=text, **words)(packed)
        return packed

    return decorate


@click.group(
    cls=Command,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  skullnb report  (on the head inside the package; then open "
    "report/html/index.html)",
)
@click.version_option(__version__, prog_name="skullnb")
def main() -> None:
    """A classical skull mask for head MRI slices, as a report that says what was tested."""


# --- the commands ---------------------------------------------------------------------------------


@main.command()
@about("border")
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
    The book on the head inside the package:
        skullnb report
    A report on your scans, with and without a reference mask:
        skullnb report --images scans.nii.gz --reference masks.nii.gz -o my-report
        skullnb report --images T1.mgz --slices 104:127 --reach-mm 7.5 -o my-report
    To send to a colleague, one file and paper:
        skullnb report --single-file --pdf -o my-report
    """
    from skullnb.report.build import build_report

    with progress_bar(unit=" steps") as bar:

        def progress(done: int, total: int, text: str) -> None:
            bar.total = total
            bar.set_description_str(text)
            bar.update(done - bar.n)
            if bar.disable:
                click.echo(f"[{done}/{total}] {text}", err=True)

        done = build_report(**data.words, **options, progress=progress)
    say(f"Open {done.index}  (all numbers: {done.results}; {done.seconds:.0f} s)")
    for path in done.files:
        say(f"The whole book: {path}")
    if done.failed:
        click.echo(
            f"{len(done.failed)} chapter(s) stopped with an error, shown on their pages: "
            + ", ".join(done.failed),
            err=True,
        )
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
    "--on-warning",
    type=click.Choice(["keep", "empty"]),
    default="keep",
    show_default=True,
    help="What is written on slices whose mask looks wrong.",
)
@click.option("--strict", is_flag=True, help="Exit code 1 if any slice looks wrong or is empty.")
@click.option("--bids", is_flag=True, help="Name masks as in a BIDS derivative dataset.")
@click.option("--suffix", default="", help="Images of a BIDS dataset to take.  [default: T1w]")
@click.option("--workers", type=click.IntRange(1, 256), help="Threads.  [default: processors]")
@click.option("--scheduler", default="", help="Batch: a Dask cluster does it, tcp://HOST:PORT.")
@click.option("--chunk", type=click.IntRange(1), help="Batch: slices written and marked together.")
@click.option("--parquet", is_flag=True, help="Batch: the table as Parquet instead of CSV.")
@_overwrite
def mask(data: Data, output: Path, strict: bool, **options: Any) -> None:
    """Write the skull masks of IMAGES: a file, a folder, or a pattern in quotes.

    A mask of a NIfTI volume has its shape, orientation and affine; DICOM gives NIfTI. Slices not
    chosen stay empty. Beside every mask are a table with a row for each slice, which says what
    looks wrong, and a JSON file that says how it was made. A volume that fails does not stop the
    others; the exit code is 1 then.

    More slices than memory holds go as a batch into one .npy, .packed.npy (a bit a pixel) or .zarr.
    If it is interrupted, run the same command again: it resumes. It is a batch with any option
    marked so, for zarr and packed bits, and from a .npy above 1 GB.

    \b
    Examples:
        skullnb mask T1.nii.gz -o mask.nii.gz --reach-mm 7.5
        skullnb mask T1.mgz -o mask.nii.gz --slices 104:127
        skullnb mask dicom/ -o masks/
        skullnb mask raw/ -o derivatives/skullnb --bids
        skullnb mask scans.npy -o masks.packed.npy --workers 4
        skullnb mask scans.zarr -o masks.zarr --scheduler tcp://node1:8786
    """
    from skullnb.batch import is_for_batch

    in_batch = ("scheduler", "chunk", "parquet")
    if any(options[name] for name in in_batch) or is_for_batch(data.images, output):
        if options.pop("bids"):
            raise click.UsageError("--bids does not go with a batch.")
        found = _mask_batch(data, output, options)
    else:
        found = _mask_volumes(data, output, {k: v for k, v in options.items() if k not in in_batch})
    if "failed" in found or (strict and found & {"warned", "empty"}):
        sys.exit(EXIT_PARTLY)


def _mask_volumes(data: Data, output: Path, options: dict[str, Any]) -> set[str]:
    """Mask volumes; return which kinds of slices and volumes there were."""
    from skullnb.masking import HEADING, mask_volumes, plan_masks, summary_line, warning_lines

    plan = {name: options.pop(name) for name in ("bids", "suffix")}
    jobs = plan_masks(data.images, output, **plan)
    done: list[Masked] = []
    with progress_bar(unit=" slices") as bar:
        visit = lambda index, measure: bar.update()  # noqa: E731
        for one in mask_volumes(jobs, data.settings, **data.reading, **options, visit=visit):
            bar.clear()
            if not done:
                click.echo(HEADING)
            say(one)
            lines = [*one.remarks, *([] if one.table is None else warning_lines(one.table))]
            for line in (*lines, *filter(None, [one.error])):
                say(f"{one.name}, {line}", err=True)
            done.append(one)
    for one in done:
        if one.wrong:
            say(f"{one.name}: {one.wrong}")
    say(f"{summary_line(done)}; in {output}")
    kinds = {kind for one in done for kind, many in one.counts.items() if many}
    return kinds | {one.status for one in done}


def _mask_batch(data: Data, output: Path, options: dict[str, Any]) -> set[str]:
    """Mask a batch; return which kinds of slices there were."""
    from skullnb.batch import mask_batch

    with progress_bar(unit=" slices") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            done = mask_batch(
                data.images, output, data.settings, **data.reading, **options, progress=progress
            )
        except KeyboardInterrupt:
            bar.clear()
            click.echo("Stopped; the same command goes on from here.", err=True)
            sys.exit(EXIT_INTERRUPTED)
    for line in done.remarks:
        say(line, err=True)
    n, n_new = done.counts["slices"], done.counts["slices"] - done.n_resumed
    before = f"{done.n_resumed:,} of them done before, " if done.n_resumed else ""
    speed = f"{n_new / done.seconds:,.0f} a second, " if n_new else ""
    kinds = ", ".join(f"{many:,} {kind}" for kind, many in done.counts.items() if kind != "slices")
    if done.wrong:
        say(done.wrong)
    say(f"{done.path}: {n:,} slices, {before}{speed}{kinds}; each has a row in {done.table.name}")
    return {kind for kind, many in done.counts.items() if many}


@main.command()
@about("kernel-width", "reach-mm", "border")
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
    from skullnb.masking import write_table
    from skullnb.stack import refuse_place, writing
    from skullnb.stack.words import expand
    from skullnb.sweep import best_width, parse_widths, summarise, sweep_kernel_width

    wanted, stack = parse_widths(widths), data.open()
    if csv:
        refuse_place(expand(csv), _own(stack, data.groups), overwrite)
    table = sweep_kernel_width(stack, wanted)
    best = best_width(table)
    say(f"{stack.name}: {len(stack)} slices, mean over slices")
    click.echo("  width     IoU    Dice")
    for row in summarise(table).to_dict("records"):
        star = "  *" if row["kernel_width"] == best else ""
        click.echo(f"{row['kernel_width']:4.0f} px  {row['iou']:.4f}  {row['dice']:.4f}{star}")
    click.echo("* best on these very slices: tuned and tested on the same data")
    if csv:
        with writing(csv) as temporary:
            write_table(table, temporary)


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
    data: Data,
    variants: tuple[str, ...],
    synthetic: bool,
    output: Path | None,
    overwrite: bool,
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
    from skullnb.evidence import build_ledger, combine, summarise, verdict
    from skullnb.masking import versions, write_json, write_table
    from skullnb.phantom import variant
    from skullnb.stack import refuse_place, writing
    from skullnb.stack.words import expand

    settings, stack = data.settings, data.open()
    places = [expand(output) / f"evidence.{kind}" for kind in ("csv", "json")] if output else []
    for path in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_place(path, _own(stack, data.groups), overwrite)
    stacks = [replace(stack, synthetic=stack.synthetic or synthetic), *map(variant, variants)]
    with progress_bar(total=sum(map(len, stacks)), unit=" slices") as bar:
        ledger = combine(
            [build_ledger(one, settings, visit=lambda _: bar.update()) for one in stacks]
        )
    say(", ".join(f"{one.name}: {len(one)} slices" for one in stacks))
    table = summarise(ledger)
    for row in table.to_dict("records"):
        line = f"  {row['rule']:18}  {row['evidence']}"
        if row["n_changed"] and row["iou"] == row["iou"]:
            line = (
                f"{line:54}  {row['effect']}: IoU {row['iou']:.4f}, without it {row['iou_off']:.4f}"
            )
        click.echo(line)
    click.echo(verdict(ledger))
    if places:
        with writing(places[0]) as temporary:
            write_table(ledger, temporary)
        about = {
            "verdict": verdict(ledger),
            "rules": table.to_dict("records"),
            "settings": asdict(settings.at(stack.spacing_mm)),
            "versions": versions(),
            "inputs": stack.fingerprint(),
        }
        write_json(about, places[1])
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
    from skullnb.masking import write_table
    from skullnb.report.build import collate as collated
    from skullnb.stack import refuse_place, writing
    from skullnb.stack.words import expand

    refuse_place(expand(output), folder.rglob("*.json"), overwrite)
    table = collated(folder)
    with writing(output) as temporary:
        write_table(table, temporary)
    say(f"{output}: {len(table)} runs, {len(table.columns)} columns")


@main.command()
@click.option("-o", "--output", type=_PATH, help=".npz, .nii or .nii.gz file.")
@click.option("--seed", type=int, help="Another head instead of the published stand-in.")
@click.option("--variant", "variant_name", help="A head that breaks one assumption; see --list.")
@click.option("--n-slices", type=click.IntRange(1, 200), help="With --seed: how many slices.")
@click.option("--list", "list_variants", is_flag=True, help="List the variants and stop.")
@_overwrite
def phantom(
    output: Path | None,
    seed: int | None,
    variant_name: str | None,
    n_slices: int | None,
    list_variants: bool,
    overwrite: bool,
) -> None:
    """Write a synthetic head with its exact reference mask.

    The .npz file holds `images` and `reference`; a NIfTI file gets its reference beside it.

    \b
    Examples:
        skullnb phantom -o phantom.npz
        skullnb phantom --seed 11 --n-slices 20 -o head.nii.gz
        skullnb phantom --list
        skullnb phantom --variant bridge -o bridge.npz
    """
    from skullnb.phantom import VARIANTS, published_stack, subject, variant
    from skullnb.stack import refuse_place, write_stack
    from skullnb.stack.words import expand

    if list_variants:
        for name, description in VARIANTS.items():
            click.echo(f"{name:28} {description}")
        return
    if output is None:
        raise click.UsageError("Name the file to write with -o, or use --list.")
    if seed is not None and variant_name is not None:
        raise click.UsageError("Give --seed or --variant, not both.")
    if n_slices is not None and seed is None:
        raise click.UsageError("--n-slices goes with --seed.")
    refuse_place(expand(output), (), overwrite, (".npz", ".nii", ".nii.gz"))
    if variant_name is not None:
        stack = variant(variant_name)
    else:
        stack = published_stack() if seed is None else subject(seed, n_slices=n_slices or 5)
    for path in write_stack(stack, output, overwrite=overwrite):
        say(f"{path}: {stack.name} (synthetic), {len(stack)} slices")


@main.command()
@about("border")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--port", default=0, show_default="any free one", type=click.IntRange(0, 65535))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(data: Data, no_browser: bool, port: int, arguments: tuple[str, ...]) -> None:
    """Open the explorer in JupyterLab, on this computer only.

    ARGUMENTS after "--" are handed to JupyterLab.

    \b
    Examples:
        skullnb lab
        skullnb lab --images T1.nii.gz --slices 80:100
        skullnb lab -- --allow-root
    """
    from skullnb.report.lab import launch_lab

    launch_lab(**data.words, open_browser=not no_browser, port=port, arguments=arguments)


@main.group()
def heads() -> None:
    """Open heads to try things on: real MRI with reference masks, one of them inside the package.

    \b
    Examples:
        skullnb heads list
        skullnb heads show studyforrest
        skullnb heads fetch colin27 mne-ecog
        skullnb report --images colin27
    """


@heads.command("list")
def list_heads() -> None:
    """List the heads, with their kind of reference mask."""
    from skullnb.heads import BUILT_IN, HEADS, is_here

    click.echo(f"{'name':16} {'head':13} {'contrast':8} slices  {'reference':15} {'size':>7}  here")
    for head in HEADS.values():
        here = "inside" if head.name == BUILT_IN else "yes" if is_here(head.name) else "no"
        click.echo(
            f"{head.name:16} {head.group:13} {head.contrast:8} {head.n_slices:6}  "
            f"{head.reference:15} {head.n_bytes / 1e6:4.1f} MB  {here}"
        )
    click.echo("Two stacks of one head are not two heads: keep them on one side of a split.")


@heads.command("fetch")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every head.")
def fetch_heads(names: tuple[str, ...], everything: bool) -> None:
    """Download heads, check them, and say where they are; other commands take their names.

    \b
    Examples:
        skullnb heads fetch colin27 mne-ecog
        skullnb sweep --images colin27
    """
    from skullnb.heads import HEADS, fetch, find

    chosen = list(HEADS.values()) if everything else [find(name) for name in names]
    if not chosen:
        raise InvalidSetting(
            f"Name the heads to fetch, or add --all; there are {', '.join(HEADS)}."
        )
    for head in chosen:
        paths = fetch(head.name, progress=sys.stderr.isatty())
        click.echo(f"{head.name}: {_size(head)}, in {paths[0].parent}")
        click.echo(f"{head.name}: {head.licence}")


@heads.command()
@click.argument("name")
def show(name: str) -> None:
    """Say what is known of a head: licence, citation, reference mask, addresses."""
    from skullnb.heads import BUILT_IN, find, is_here

    head = find(name)
    row, column = head.spacing_mm
    inside = "inside the package; made from " if name == BUILT_IN else ""
    facts = {
        "head": f"{head.title}; group {head.group}",
        "slices": f"{head.n_slices} axial ({head.slices or 'all'}), {head.contrast}, "
        f"{row:g} x {column:g} mm",
        "licence": head.licence,
        "cite": head.citation,
        "reference": f"{head.reference}. {head.trust}",
        "files": f"{inside}{_size(head)}" + ("" if is_here(name) else ", not here yet"),
    }
    for fact, text in facts.items():
        click.echo(f"{fact:10} {text}")
    for file in head.files:
        click.echo(f"{file.sha256}  {file.address}")


def _size(head: Any) -> str:
    n = len(head.files)
    return f"{n} file{'s' * (n != 1)}, {head.n_bytes / 1e6:.1f} MB"


def _own(stack: Stack, groups: str) -> list[Path]:
    """List the files that all comes from, which no table takes the place of."""
    members = [file for files in stack.members for file in files]
    with suppress(OSError, ValueError):  # labels, and no file
        members += [Path(groups)] if groups and Path(groups).is_file() else []
    return [*stack.sources, *stack.reference_sources, *members]
