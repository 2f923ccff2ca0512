"""The `skullnb` command. It only parses, calls and prints; the work is done elsewhere."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from errno import ENOTDIR
from math import isnan
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from skullnb import __version__
from skullnb.console import EXIT_INTERRUPTED, Command, Progress, SliceCount, say
from skullnb.errors import InvalidSetting


EXIT_PARTLY_FAILED = 1


def _refuse_place(path: Path, overwrite: bool, *own: str | Path) -> None:
    """Refuse, before long work, a file that is there or that could not be written after it.

    `own`: files that are never replaced, since all comes from them.
    """
    from skullnb.stack.names import refuse_strange_name

    refuse_strange_name(path)
    if path.is_dir():
        raise InvalidSetting(f"{path} is a folder; name a file to write.")
    if any(_is_same_file(path, one) for one in own):
        raise InvalidSetting(f"{path} is one of the files that all comes from; name another.")
    if path.exists() and not overwrite:
        raise InvalidSetting(f"{path} is there already; name another place or add --overwrite.")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir():
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(there))
    # Asking for the rights would not do: they may be there and the disk read-only.
    with TemporaryFile(dir=there, prefix="."):
        pass


def _is_same_file(path: Path, other: str | Path) -> bool:
    with suppress(OSError, ValueError):  # not there, or no file's name
        return path.samefile(other)
    return False


def _selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say which slices of the images are meant."""
    for option in (
        click.option(
            "--axis",
            type=click.Choice(["axial", "coronal", "sagittal"]),
            default="axial",
            show_default=True,
            help="Anatomical axis to slice a NIfTI or DICOM volume along, however it is stored.",
        ),
        click.option(
            "--slices",
            default="",
            help='Slices to take, such as "104:127" (127 left out), "3" or "1,5,9", from 0; '
            "axial slices of a NIfTI, MGH or DICOM volume ascend from the feet.",
        ),
        click.option(
            "--spacing",
            "spacing_mm",
            default="",
            help='Millimetres per pixel, "row x column", such as "0.67x0.70"; headers know theirs.',
        ),
    ):
        command = option(command)
    return command


_kernel_width = click.option(
    "--kernel-width",
    default=26,
    show_default=True,
    help="Side of the elliptical kernel in px; it reaches half as far.",
)
_overwrite = click.option("--overwrite", is_flag=True, help="Replace what is already there.")
_reference = click.option(
    "--reference", default="", help="Reference mask: a file or folder shaped like IMAGES."
)
_groups = click.option(
    "--groups", default="", help="Volume of each slice: a text file, or labels with commas."
)


@click.group(
    cls=Command,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  skullnb report  (the built-in synthetic phantom; then open "
    "report/html/index.html)",
)
@click.version_option(__version__, prog_name="skullnb")
def main() -> None:
    """A classical skull mask for head MRI slices, as a report that says what was tested."""


@main.command()
@click.option(
    "--images",
    default="",
    help="Scans: .npy, .npz, NIfTI, MGH, TIFF, DICOM, or a folder of them; dicom#6 is series 6.",
)
@_reference
@_groups
@_selection
@_kernel_width
@click.option(
    "-o",
    "--output",
    "output_dir",
    default="report",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for the report.",
)
@click.option(
    "--chapter", "chapters", multiple=True, help='Only this one, such as "05". Repeatable.'
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64))
@click.option("--student", is_flag=True, help="To hand out: pages and notebooks without answers.")
@click.option("--single-file", is_flag=True, help="Also the whole book as one file, book.html.")
@click.option("--pdf", is_flag=True, help="Also book.pdf; needs Chromium or Chrome.")
@_overwrite
def report(
    images: str,
    reference: str,
    groups: str,
    spacing_mm: str,
    slices: str,
    axis: str,
    kernel_width: int,
    output_dir: Path,
    chapters: tuple[str, ...],
    workers: int,
    student: bool,
    single_file: bool,
    pdf: bool,
    overwrite: bool,
) -> None:
    """Run every chapter and build the book about the given scans.

    \b
    The book on the built-in phantom:
        skullnb report
    The same book on your scans, with and without a reference mask:
        skullnb report --images scans.nii.gz --reference masks.nii.gz -o my-report
        skullnb report --images T1.mgz --slices 104:127 -o my-report
    To send to a colleague, one file and paper:
        skullnb report --single-file --pdf -o my-report
    """
    from skullnb.report import build_report

    with Progress() as progress:
        done = build_report(
            images,
            reference,
            groups=groups,
            spacing_mm=spacing_mm,
            slices=slices,
            axis=axis,
            kernel_width=kernel_width,
            output_dir=output_dir,
            chapters=chapters,
            workers=workers,
            overwrite=overwrite,
            student=student,
            single_file=single_file,
            pdf=pdf,
            progress=progress,
        )
    say(f"Open {done.index}  (all numbers: {done.results}; {done.seconds:.0f} s)")
    for path in done.files:
        say(f"The whole book: {path}")
    if done.failed:
        click.echo(
            f"{len(done.failed)} chapter(s) stopped with an error, shown on their pages: "
            + ", ".join(done.failed),
            err=True,
        )
        sys.exit(EXIT_PARTLY_FAILED)


@main.command()
@click.argument("images")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="File to write (.nii.gz, .nii, .npy, .npz, .tif, or .zarr and .packed.npy for very many "
    "slices); a folder for several volumes.",
)
@_selection
@_kernel_width
@click.option("--bids", is_flag=True, help="Name masks as a BIDS derivative, with a JSON beside.")
@click.option("--workers", type=click.IntRange(1, 256), help="Batch: slices done side by side.")
@click.option("--processes", is_flag=True, help="Batch: workers are processes, not threads.")
@click.option("--scheduler", default="", help="Batch: a Dask cluster does it, tcp://HOST:PORT.")
@click.option("--chunk", type=click.IntRange(1), help="Batch: slices written and marked together.")
@click.option(
    "--evidence",
    type=click.Choice(["full", "brief"]),
    help="Batch: what the table says of every slice; brief is faster.  [default: full]",
)
@_overwrite
def mask(
    images: str,
    output: Path,
    spacing_mm: str,
    slices: str,
    axis: str,
    kernel_width: int,
    bids: bool,
    workers: int | None,
    processes: bool,
    scheduler: str,
    chunk: int | None,
    evidence: str | None,
    overwrite: bool,
) -> None:
    """Write the skull masks of IMAGES: a file, a folder, or a pattern in quotes.

    A mask of a NIfTI volume has its shape, orientation and affine; DICOM gives NIfTI. Slices not
    chosen stay empty. A volume that fails does not stop the others; the exit code is 1 then.

    More slices than memory holds go as a batch into one .npy, .packed.npy (one bit a pixel) or
    .zarr, with a table beside it. Stopped by whatever, the same command goes on. It is a batch
    with any option marked so, for zarr and packed bits, and for a .npy above 1 GB.

    \b
    Examples:
        skullnb mask T1.nii.gz -o mask.nii.gz
        skullnb mask T1.mgz -o mask.nii.gz --slices 104:127
        skullnb mask dicom/ -o masks/
        skullnb mask 'raw/sub-*/anat/*_T1w.nii.gz' -o derivatives/skullnb --bids
        skullnb mask scans.npy -o masks.packed.npy --workers 4
        skullnb mask scans.zarr -o masks.zarr --scheduler tcp://node1:8786
    """
    from skullnb.batch import is_for_batch
    from skullnb.masking import HEADING, Masked, mask_volumes, plan_masks, summary_line
    from skullnb.pipeline import PipelineSettings

    settings = PipelineSettings(kernel_width=kernel_width)
    if workers or processes or scheduler or chunk or evidence or is_for_batch(images, output):
        if bids or spacing_mm or axis != "axial":
            raise click.UsageError("--bids, --spacing and --axis don't go with a batch.")
        _mask_batch(
            images,
            output,
            settings,
            slices=slices,
            workers=workers,
            processes=processes,
            scheduler=scheduler,
            chunk=chunk,
            evidence=evidence or "full",
            overwrite=overwrite,
        )
        return
    jobs = plan_masks(images, output, bids=bids)
    done: list[Masked] = []
    with SliceCount() as progress:
        for masked in mask_volumes(
            jobs,
            settings,
            slices=slices,
            axis=axis,
            spacing_mm=spacing_mm,
            bids=bids,
            overwrite=overwrite,
            visit=progress,
        ):
            progress.clear()
            if not done:
                click.echo(HEADING)
            say(masked)
            for line in (*masked.remarks, *filter(None, [masked.error])):
                say(f"{masked.name}, {line}", err=True)
            done.append(masked)
    say(f"{summary_line(done)}; in {output}")
    if any(masked.error for masked in done):
        sys.exit(EXIT_PARTLY_FAILED)


def _mask_batch(images: str, output: Path, settings: Any, **options: Any) -> None:
    from skullnb.batch import mask_batch
    from skullnb.batch.bar import Bar

    # Of all that is ignored, this is for the reader to act on.
    warnings.filterwarnings("always", "The disk of .* keeps no locks")
    warnings.showwarning = lambda message, *_, **__: say(message, err=True)
    with Bar() as progress:
        try:
            done = mask_batch(images, output, settings, progress=progress, **options)
        except KeyboardInterrupt:
            progress.clear()
            click.echo("Stopped; the same command goes on from here.", err=True)
            sys.exit(EXIT_INTERRUPTED)
    counts = done.counts
    n_new = counts.n_slices - done.n_resumed
    before = f"{done.n_resumed:,} of them done before, " if done.n_resumed else ""
    speed = f"{n_new / done.seconds:,.0f} a second, " if n_new else ""
    say(
        f"{done.path}: {counts.n_slices:,} slices, {before}{speed}{counts.n_empty:,} empty, "
        f"{counts.n_warned:,} with a warning, {counts.n_failed:,} failed; "
        f"each has a row in {done.table.name}"
    )
    if counts.n_failed:
        sys.exit(EXIT_PARTLY_FAILED)


@main.command()
@click.option("--images", default="", help="Scans; the built-in phantom when left out.")
@_reference
@_groups
@_selection
@click.option(
    "--widths",
    default="16:37:2",
    show_default=True,
    help='Kernel widths in px: "first:end:step" (end left out), or "22,24,26".',
)
@click.option("--csv", type=click.Path(path_type=Path), help="Also write every slice to this file.")
@_overwrite
def sweep(
    images: str,
    reference: str,
    groups: str,
    spacing_mm: str,
    slices: str,
    axis: str,
    widths: str,
    csv: Path | None,
    overwrite: bool,
) -> None:
    """Score the masks at several kernel widths.

    \b
    Examples:
        skullnb sweep
        skullnb sweep --images scans.nii.gz --reference masks.nii.gz --widths 10:41:2
    """
    from skullnb.chapter import open_data
    from skullnb.sweep import best_width, parse_widths, summarise, sweep_kernel_width, write_csv

    wanted = parse_widths(widths)
    stack = open_data(
        images, reference, groups=groups, spacing_mm=spacing_mm, slices=slices, axis=axis
    )
    if csv:
        _refuse_place(csv, overwrite, groups, *stack.sources, *stack.reference_sources)
    table = sweep_kernel_width(stack, wanted, ("iou", "dice"))
    best = best_width(table)
    say(f"{stack.name}: {len(stack)} slices, mean over slices")
    click.echo("  width     IoU    Dice")
    for row in summarise(table):
        star = "  *" if row["kernel_width"] == best else ""
        click.echo(f"{row['kernel_width']:4d} px  {row['iou']:.4f}  {row['dice']:.4f}{star}")
    click.echo("* best on these very slices: tuned and tested on the same data")
    if csv:
        write_csv(table, csv)


@main.command()
@click.option("--images", default="", help="Scans; the built-in phantom when left out.")
@_selection
@_kernel_width
@click.option("--quick", is_flag=True, help="Fewer rounds, no batches, no instructions.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Also write everything to this JSON."
)
@click.option("--record", is_flag=True, hidden=True, help="Keep it in the package.")
@_overwrite
def bench(
    images: str,
    spacing_mm: str,
    slices: str,
    axis: str,
    kernel_width: int,
    quick: bool,
    output: Path | None,
    record: bool,
    overwrite: bool,
) -> None:
    """Time the masks against the article's way, other libraries, and what cannot be avoided.

    Everything takes turns in one thread, and masks that must be equal are compared. What is
    not installed is left out and named; pip install 'skullnb[bench,fast]' brings all.

    \b
    Examples:
        skullnb bench --quick
        skullnb bench --images scans.nii.gz -o times.json
    """
    from skullnb import bench as room
    from skullnb.chapter import open_data
    from skullnb.pipeline import PipelineSettings
    from skullnb.results import write_json

    PipelineSettings(kernel_width=kernel_width)  # refused now, not after minutes
    if record and (quick or images):
        raise InvalidSetting("Only a full run on the built-in phantom is recorded.")
    stack = open_data(images, spacing_mm=spacing_mm, slices=slices, axis=axis)
    if output:
        _refuse_place(output, overwrite, *stack.sources)
    found = room.bench(
        stack, kernel_width, quick=quick, say=lambda what: click.echo(f"... {what}", err=True)
    )
    click.echo("\n".join(room.lines(found)))
    if output:
        say(write_json(found, output))
    if record:
        room.record(found)


@main.command()
@click.argument("images", default="")
@_reference
@_groups
@_selection
@_kernel_width
@click.option(
    "--with-phantom",
    "variants",
    multiple=True,
    help="Add the slices of a phantom variant, named as in skullnb phantom --list. Repeatable.",
)
@click.option("--synthetic", is_flag=True, help="IMAGES are drawn, though their file doesn't say.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for evidence.json: every rule, every slice.",
)
@_overwrite
def evidence(
    images: str,
    reference: str,
    groups: str,
    spacing_mm: str,
    slices: str,
    axis: str,
    kernel_width: int,
    variants: tuple[str, ...],
    synthetic: bool,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Say which rules of the pipeline IMAGES put to the test, and which they never did.

    Without IMAGES it is about the built-in phantom. Scores need a reference mask; the rest does
    not.

    \b
    Examples:
        skullnb evidence
        skullnb evidence scans.nii.gz --reference masks.nii.gz
        skullnb evidence T1.mgz --slices 104:127 --with-phantom thick-soft-tissue-cut
    """
    from skullnb.chapter import open_data
    from skullnb.evidence import build_ledger, combine, effect, verdict
    from skullnb.phantom import variant
    from skullnb.pipeline import PipelineSettings
    from skullnb.results import Results

    settings = PipelineSettings(kernel_width=kernel_width)
    stack = open_data(
        images, reference, groups=groups, spacing_mm=spacing_mm, slices=slices, axis=axis
    )
    if output:
        _refuse_place(output / "evidence.json", overwrite)
    stacks = [replace(stack, synthetic=stack.synthetic or synthetic), *map(variant, variants)]
    with click.progressbar(
        length=sum(map(len, stacks)), label="rules", file=sys.stderr, hidden=len(stack) < 50
    ) as bar:
        ledger = combine(
            build_ledger(one, settings, visit=lambda _: bar.update(1)) for one in stacks
        )
    say(", ".join(f"{one.name}: {len(one)} slices" for one in stacks))
    for one in ledger.summary():
        line = f"  {one.rule:18}  {one!s}"
        if one.n_changed and not isnan(one.iou):
            line = f"{line:54}  {effect(one)}: IoU {one.iou:.4f}, without it {one.iou_off:.4f}"
        click.echo(line)
    click.echo(verdict(ledger))
    if output:
        results = Results("evidence", {"kernel_width": kernel_width}, stack.fingerprint())
        results.record(verdict=verdict(ledger), **ledger.values())
        say(results.write(output))


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The table to write (.csv).",
)
@click.option("--overwrite", is_flag=True, help="Replace the table if it exists.")
def collate(folder: Path, output: Path, overwrite: bool) -> None:
    """Set the numbers of many runs in FOLDER side by side: a row for each report or notebook run.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.

    \b
    Example:
        skullnb collate reports -o numbers.csv
    """
    import csv

    from skullnb.results import tabulate_runs, write_text
    from skullnb.text import for_spreadsheet

    _refuse_place(output, overwrite, *folder.rglob("*.json"))
    rows = tabulate_runs(folder)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    for row in (rows[0], *(row.values() for row in rows)):
        table.writerow(map(for_spreadsheet, row))
    write_text(text.getvalue(), output)
    say(f"{output}: {len(rows)} runs, {len(rows[0])} columns")


@main.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help=".npz, .nii or .nii.gz file.")
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
    from skullnb import phantom as heads
    from skullnb.stack import refuse_place, write_stack

    if list_variants:
        for name, description in heads.VARIANTS.items():
            click.echo(f"{name:28} {description}")
        return
    if output is None:
        raise click.UsageError("Name the file to write with -o, or use --list.")
    if seed is not None and variant_name is not None:
        raise click.UsageError("Give --seed or --variant, not both.")
    if n_slices is not None and seed is None:
        raise click.UsageError("--n-slices goes with --seed.")
    refuse_place(output, overwrite=overwrite)
    if variant_name is not None:
        stack = heads.variant(variant_name)
    elif seed is not None:
        stack = heads.subject(seed, n_slices=n_slices or 5)
    else:
        stack = heads.published_stack()
    for path in write_stack(stack, output, overwrite=overwrite):
        say(f"{path}: {stack.name} (synthetic), {len(stack)} slices")


@main.command()
@click.option("--images", default="", help="Scans; the built-in phantom when left out.")
@_reference
@_groups
@_selection
@_kernel_width
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--port", default=0, show_default="any free one", type=click.IntRange(0, 65535))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(
    images: str,
    reference: str,
    groups: str,
    spacing_mm: str,
    slices: str,
    axis: str,
    kernel_width: int,
    no_browser: bool,
    port: int,
    arguments: tuple[str, ...],
) -> None:
    """Open the explorer in JupyterLab, on this computer only.

    ARGUMENTS after "--" are handed to JupyterLab.

    \b
    Examples:
        skullnb lab
        skullnb lab --images T1.nii.gz --slices 80:100
        skullnb lab -- --allow-root
    """
    from skullnb.lab import launch_lab

    sys.exit(
        launch_lab(
            images,
            reference,
            groups=groups,
            spacing_mm=spacing_mm,
            slices=slices,
            axis=axis,
            kernel_width=kernel_width,
            open_browser=not no_browser,
            port=port,
            arguments=arguments,
        )
    )



