"""The `skullnb` command. It only parses, calls and prints; the work is done elsewhere."""

import io
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import cv2
from click.core import ParameterSource

from skullnb import __version__, batch, evidence, heads, masking, phantom, sweep
from skullnb.errors import InvalidSetting, SkullnbError, in_one_line, sentence
from skullnb.pipeline import PipelineSettings
from skullnb.pipeline.settings import DARK_GROWTH, DILATION
from skullnb.report import sheet as sheets
from skullnb.stack import refuse_place, write_stack
from skullnb.stack.checks import expand
from skullnb.stack.write import files_of

PARTLY, INTERRUPTED = 1, 130  # exit codes; 2 is a refusal


class Command(click.Group):
    """A group whose commands turn refusals into one sentence, and any call to stop into Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; say what went wrong in a sentence."""
        for stream in (sys.stdout, sys.stderr):  # names may hold what these have no letters for
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        kept = {}
        for name in ("SIGTERM", "SIGHUP"):  # of a scheduler, or of a terminal that is closed
            number = getattr(signal, name, signal.SIGINT)
            if signal.getsignal(number) is signal.SIG_DFL:  # under nohup it is ignored
                kept[number] = signal.signal(number, signal.default_int_handler)
        cv2.setNumThreads(1)  # workers are threads of our own
        try:
            with warnings.catch_warnings(action="ignore"):  # of libraries, about damaged files
                return super().invoke(ctx)
        except (SkullnbError, OSError, MemoryError, RuntimeError) as error:
            if not (told := sentence(error)):
                raise
            raise click.UsageError(told) from error  # without a traceback, with exit code 2
        except KeyboardInterrupt as error:
            with suppress(OSError):  # the terminal may be gone
                told = "Stopped; a batch goes on with the same command, all else begins anew."
                click.echo(told, err=True)
            raise click.exceptions.Exit(INTERRUPTED) from error
        finally:  # called from Python, a process may fork afterwards
            for number, handler in kept.items():
                signal.signal(number, handler)


def say(line: object, *, err: bool = False) -> None:
    """Print a line that names files, whatever characters their names hold."""
    click.echo(in_one_line(line), err=err)


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[..., None]]:
    """Give what moves a bar on stderr, which is shown where somebody watches."""
    from tqdm import tqdm

    watched = sys.stderr is not None and sys.stderr.isatty()
    with tqdm(file=sys.stderr, unit=unit, disable=not watched, leave=False) as bar:

        def progress(done: int, total: int, step: str = "") -> None:
            bar.total = total
            bar.set_description_str(step)
            bar.update(done - bar.n)
            if step and not watched:
                click.echo(f"[{done}/{total}] {step}", err=True)

        yield progress


_PATH = click.Path(path_type=Path)
_METHOD, _ON_WARNING = click.Choice(masking.METHODS), click.Choice(masking.ON_WARNING)
_overwrite = click.option("--overwrite", is_flag=True, help="Replace what is already there.")
_WORDS = (
    click.Option(["--images"], default="", help="A file, folder, pattern, dicom#6, or a head."),
    click.Option(["--reference"], default="", help="Reference mask, as the images."),
    click.Option(["--groups"], default="", help="Volume of each slice: a text file, or labels."),
    click.Option(["--spacing", "spacing_mm"], default="", help='mm per pixel, as "0.67x0.70".'),
    click.Option(["--slices"], default="", help='From 0, at the feet: "129:152" (not 152), "1,5".'),
    click.Option(["--axis"], default="", help="Axis to slice along.  [default: as acquired]"),
    click.Option(["--nan-background"], is_flag=True, help="Take NaN for background."),
    click.Option(["--kernel-width"], default=26, show_default=True, help="The kernel, in px."),
    click.Option(["--reach-mm"], type=float, help="Instead: how far a kernel, or growth, goes."),
    click.Option(["--border"], default=DILATION, type=click.Choice([DILATION, DARK_GROWTH])),
)


def shared(*without: str, argument: bool = False) -> list[click.Parameter]:
    """List the words that all commands share, but some; of a few images are the argument."""
    words: list[click.Parameter] = [word for word in _WORDS if word.name not in without]
    return [click.Argument(["images"], default=""), *words[1:]] if argument else words


def typed(name: str) -> bool:
    """Say whether an option was given on the command line."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def pop_settings(words: dict[str, Any]) -> PipelineSettings:
    """Take the pipeline's settings out of a command's words; what is left says how to read."""
    width, reach_mm, border = (words.pop(name) for name in ("kernel_width", "reach_mm", "border"))
    if reach_mm is not None and typed("kernel_width"):
        raise click.UsageError("Give --reach-mm or --kernel-width, not both.")
    return PipelineSettings(width, reach_mm, border=border)


@click.group(
    cls=Command,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  skullnb report  (then open report/html/index.html)",
)
@click.version_option(__version__, prog_name="skullnb")
def main() -> None:
    """A classical skull mask for head MRI slices, as a report that says what was tested."""


@main.command(params=shared())
@click.option("-o", "--output", "output_dir", default="report", show_default=True, type=_PATH)
@click.option("--chapter", "chapters", multiple=True, help='Only this, such as "05". Repeatable.')
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64))
@click.option("--student", is_flag=True, help="To hand out: pages and notebooks without answers.")
@click.option("--single-file", is_flag=True, help="Also the whole book as one file, book.html.")
@click.option("--pdf", is_flag=True, help="Also book.pdf; needs Chromium or Chrome.")
@_overwrite
def report(**options: Any) -> None:
    """Run every chapter and build the book, about given scans or the head inside the package.

    Example: skullnb report --images T1.mgz --slices 129:152 -o my-report
    """
    from skullnb.report.build import build_report

    with progress_bar(" steps") as progress:
        done = build_report(**options, progress=progress)
    say(f"Open {done.index}  (all numbers: {done.results}; {done.seconds:.0f} s)")
    for path in done.files:
        say(f"The whole book: {path}")
    if done.failed:
        say(f"Stopped with an error, shown on their pages: {', '.join(done.failed)}", err=True)
        sys.exit(PARTLY)


@main.command(params=shared("reference", "groups", argument=True))
@click.option("-o", "--output", required=True, help="File to write, or a folder, as masks/.")
@click.option("--method", default=masking.SLICES, type=_METHOD, help="whole-head: found in 3D.")
@click.option("--on-warning", default="keep", type=_ON_WARNING, help="For slices that look wrong.")
@click.option("--strict", is_flag=True, help="Exit code 1 if any slice looks wrong or is empty.")
@click.option("--bids", is_flag=True, help="Name masks as in a BIDS derivative dataset.")
@click.option("--suffix", default="", help="Images of a BIDS dataset to take.  [default: T1w]")
@click.option("--workers", type=click.IntRange(1, 256), help="Volumes, or chunks, side by side.")
@click.option("--sheet", type=_PATH, help="Also one page (.html) of all masks, the worst first.")
@click.option("--scheduler", default="", help="Batch: a Dask cluster does it, tcp://HOST:PORT.")
@click.option("--chunk", type=click.IntRange(1), help="Batch: slices written and marked together.")
@click.option("--parquet", is_flag=True, help="Batch: the table as Parquet instead of CSV.")
@_overwrite
def mask(images: str, output: str, strict: bool, **options: Any) -> None:
    """Write the skull masks of IMAGES: a file, a folder, or a pattern in quotes.

    Without IMAGES they are of the head inside the package. OUTPUT is a file for one volume or for
    files of one slice each, else a folder. Beside every mask are a table, which says which slices
    look wrong, and a JSON file. What fails does not stop the rest; the exit code is 1 then.

    More slices than memory holds go as a batch into one .npy, .packed.npy (a bit a pixel) or .zarr,
    and the same command resumes one that was stopped. It is a batch with any option whose help
    begins with "Batch:", for zarr and packed bits, and from a .npy above 1 GB.

    \b
    Examples:
        skullnb mask T1.mgz -o mask.nii.gz --slices 129:152 --reach-mm 7.5
        skullnb mask dicom/ -o masks/ --method whole-head --sheet masks/look.html
        skullnb mask scans.npy -o masks.packed.npy --workers 4
    """
    kernel = typed("kernel_width") or (typed("border") and options["border"] == DILATION)
    if kernel and options["method"] == masking.WHOLE_HEAD:
        leave = "leave --kernel-width out, and leave --border dilation out"
        raise click.UsageError(f"A whole head has no kernel; {leave}.")
    settings, own = pop_settings(options), ("scheduler", "chunk", "parquet")
    as_batch = any(map(options.get, own)) or batch.is_for_batch(images, output)
    for name in ("bids", "sheet", "method") if as_batch else own:
        if options.pop(name) not in (None, False, "", masking.SLICES):
            raise click.UsageError(f"--{name} does not go with a batch.")
    made: Iterable[masking.Masked]
    if as_batch:
        with progress_bar(" slices") as progress:
            made = [batch.mask_batch(images, output, settings, progress=progress, **options)]
    else:
        named = {name: options.pop(name) for name in ("bids", "suffix")}
        mask_all = sheets.mask_volumes if options["sheet"] else masking.mask_volumes
        made = mask_all(masking.plan_masks(images, output, **named), settings, **options)
    statuses, partly = Counter[str](), False
    for one in made:
        told, name = one.account, one.path.name
        counts = {**told["Counts"], "done before": one.n_resumed}
        found = [f"{n:,} {kind.removesuffix('s' * (n == 1))}" for kind, n in counts.items() if n]
        say(f"{told['Status']:6}  {name}  {', '.join(found)}".rstrip())
        for line in filter(None, map(told.get, ("LooksWrong", "Failed"))):
            say(f"{name}: {line}")
        for line in (*told["Remarks"][:20], *told.get("Warnings", ())):
            say(f"{name}: {line}", err=True)
        statuses[told["Status"]] += 1
        partly |= "failed" in (told["Status"], *told["Counts"])
    if (n_volumes := statuses.total()) > 1:
        kinds = ", ".join(f"{n} {kind}" for kind, n in statuses.items())
        say(f"{n_volumes} volumes: {kinds}; in {Path(output)}")
    if partly or (strict and {*statuses} != {"ok"}):
        sys.exit(PARTLY)


@main.command("sweep", params=shared("kernel_width", "reach_mm", "border"))
@click.option("--widths", default="16:37:2", show_default=True, help='px, or as in "22,24,26".')
@click.option("--csv", type=_PATH, help="Also write every slice to this file.")
@_overwrite
def sweep_widths(widths: str, csv: Path | None, overwrite: bool, **words: Any) -> None:
    """Score the masks at several kernel widths.

    Example: skullnb sweep --images a.nii.gz --reference b.nii.gz --widths 10:41:2
    """
    wanted, stack = sweep.parse_widths(widths), heads.open_data(**words)
    if csv:
        own = [*files_of(stack), Path(words["groups"])]
        refuse_place(expand(csv), own, overwrite, masking.TABLE_KINDS)
    table = sweep.sweep_kernel_width(stack, wanted)
    say(f"{stack.name}: {len(stack)} slices, mean over slices, kernel widths in px")
    click.echo(sweep.summarise(table).to_string(index=False, float_format="%.4f"))
    best = f"Best: {sweep.best_width(table)} px, tuned and tested on these very slices."
    click.echo(f"{best} {stack.coverage}".rstrip())
    if csv:
        masking.write_table(table, expand(csv))


@main.command("evidence", params=shared(argument=True))
@click.option("--with-phantom", "variants", multiple=True, help="Add a phantom variant's slices.")
@click.option("--synthetic", is_flag=True, help="IMAGES are drawn, though their file doesn't say.")
@click.option("-o", "--output", type=_PATH, help="Folder for evidence.csv and .json.")
@_overwrite
def count_evidence(
    variants: tuple[str, ...], synthetic: bool, output: Path | None, overwrite: bool, **words: Any
) -> None:
    """Say which rules of the pipeline IMAGES put to the test, and which they never did.

    Example: skullnb evidence T1.mgz --slices 129:152 --with-phantom bridge
    """
    settings, stack = pop_settings(words), heads.open_data(**words)
    places = [expand(output) / f"evidence.{kind}" for kind in ("csv", "json")] if output else []
    for place in filter(Path.exists, places):
        refuse_place(place, [*files_of(stack), Path(words["groups"])], overwrite)
    stack = replace(stack, synthetic=stack.synthetic or synthetic)
    stacks = [stack, *map(phantom.variant, variants)]
    ledger = evidence.combine(evidence.build_ledger(one, settings) for one in stacks)
    whose = "other heads" if heads.known(words["images"]) else "your data"
    table, verdict = evidence.summarise(ledger), evidence.verdict(ledger, whose)
    say(", ".join(f"{one.name}: {len(one)} slices" for one in stacks))
    shown = table[["rule", "evidence", "effect", "iou", "iou_off"]].dropna(axis=1, how="all")
    shown = shown.rename(columns={"iou_off": "iou without it"})
    click.echo(shown.to_string(index=False, float_format="%.4f"))
    click.echo(f"{verdict} {stack.coverage}".rstrip())
    if places:
        used = asdict(settings.at(stack.spacing_mm))
        told = {"verdict": verdict, "rules": table.to_dict("records"), "settings": used}
        told |= {"versions": masking.versions(), "inputs": stack.fingerprint()}
        places[0].parent.mkdir(parents=True, exist_ok=True)
        masking.write_table(ledger, places[0])
        masking.write_json(told, places[1])


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=_PATH, help="The table to write (.csv).")
@_overwrite
def collate(folder: Path, output: Path, overwrite: bool) -> None:
    """Set the numbers of many runs in FOLDER side by side: a row a report, notebook run or mask.

    Example: skullnb collate reports -o numbers.csv
    """
    from skullnb.report import build

    refuse_place(expand(output), folder.rglob("*.json"), overwrite, masking.TABLE_KINDS)
    table = build.collate(folder)
    masking.write_table(table, expand(output))
    say(f"{output}: {len(table)} run{'s' * (len(table) != 1)}, {len(table.columns)} columns")


@main.command("phantom")
@click.option("-o", "--output", type=_PATH, help=".npz, .nii or .nii.gz file.")
@click.option("--seed", type=int, help="Another head instead of the published stand-in.")
@click.option("--variant", help="A head that breaks one assumption; see --list.")
@click.option("--n-slices", type=click.IntRange(1, 200), help="With --seed: how many slices.")
@click.option("--list", "listed", is_flag=True, help="List the variants and stop.")
@_overwrite
def write_phantom(output: Path | None, listed: bool, overwrite: bool, **which: Any) -> None:
    """Write a synthetic head with its exact reference mask.

    Example: skullnb phantom --seed 11 --n-slices 20 -o head.nii.gz
    """
    if listed:
        for name, description in phantom.VARIANTS.items():
            click.echo(f"{name:28} {description}")
        return
    seed, variant, n_slices = (which[name] for name in ("seed", "variant", "n_slices"))
    if output is None or (variant and seed is not None) or (n_slices and seed is None):
        told = "give --seed or --variant, not both, and --n-slices with --seed"
        raise click.UsageError(f"Name the file to write with -o, or use --list; {told}.")
    if seed is None:
        stack = phantom.variant(variant) if variant else phantom.published_stack()
    else:
        stack = phantom.subject(seed, n_slices or 5)
    for path in write_stack(stack, output, overwrite=overwrite):
        say(f"{path}: {stack.name} (synthetic), {len(stack)} slices")


@main.command(params=shared())
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--port", default=0, show_default="any free one", type=click.IntRange(0, 65535))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(no_browser: bool, **options: Any) -> None:
    """Open the explorer in JupyterLab, on this computer only.

    Example: skullnb lab --images T1.nii.gz --slices 80:100 -- --allow-root
    """
    from skullnb.report.lab import launch_lab

    launch_lab(open_browser=not no_browser, **options)


@main.group("heads")
def heads_group() -> None:
    """Open heads to try things on, as in: skullnb heads fetch colin27."""


@heads_group.command("list")
def list_heads() -> None:
    """List the heads, with their kind of reference mask."""
    for name, head in heads.HEADS.items():
        told = f"{head.n_slices:3} slices, {head.contrast:5} {head.reference:14} of {head.group}"
        click.echo(f"{name:16} {told:50} {'not ' * (not heads.is_here(name))}here")
    click.echo("Two stacks of one head are not two heads: keep them on one side of a split.")


@heads_group.command("fetch")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every head.")
def fetch_heads(names: tuple[str, ...], everything: bool) -> None:
    """Download heads, check them, and say where they are; other commands take their names."""
    if not (names := tuple(heads.HEADS) if everything else names):
        raise InvalidSetting("Name the heads to fetch, or add --all; see `skullnb heads list`.")
    for name in names:
        paths = heads.fetch(name, progress=sys.stderr.isatty())
        click.echo(f"{name}: in {paths[0].parent}\n{name}: {heads.find(name).licence}")


@heads_group.command("show")
@click.argument("name")
def show_head(name: str) -> None:
    """Say what is known of a head: licence, citation, reference mask, addresses."""
    head = heads.find(name)
    for key, value in (vars(head) | {"files": len(head.files)}).items():
        click.echo(f"{key:10}  {value}")
    for file in head.files:
        click.echo(f"{file.sha256}  {file.address}")
