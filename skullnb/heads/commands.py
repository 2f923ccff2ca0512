"""`skullnb heads`: list, fetch and show the open heads. It only parses, calls and prints."""

import sys
from pathlib import Path

import click

from skullnb.errors import InvalidSetting
from skullnb.heads.files import MIRROR_VARIABLE, fetch, is_here
from skullnb.heads.registry import HEADS, Head, find_head

_mirror = click.option(
    "--mirror",
    default="",
    envvar=MIRROR_VARIABLE,
    show_envvar=True,
    help="Folder with copies of the files, used instead of downloading.",
)


@click.group()
def heads() -> None:
    """Open heads to try things on: real MRI with reference masks, downloaded on request.

    \b
    Examples:
        skullnb heads list
        skullnb heads show studyforrest
        skullnb heads fetch studyforrest -o studyforrest.npz
        skullnb report --images studyforrest.npz
    """


@heads.command("list")
@_mirror
def list_heads(mirror: str) -> None:
    """List the heads, with their kind of reference mask."""
    click.echo(f"{'name':16} {'head':13} {'contrast':8} slices  {'reference':15} {'size':>7}  here")
    for head in HEADS.values():
        click.echo(
            f"{head.name:16} {head.group:13} {head.contrast:8} {head.n_slices:6}  "
            f"{head.reference:15} {_megabytes(head):>7}  {'yes' if is_here(head, mirror) else 'no'}"
        )
    click.echo("Two stacks of one head are not two heads: keep them on one side of a split.")


@heads.command("fetch")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every head.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Also write one head with its reference mask to this .npz file, for the other commands.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is already there.")
@_mirror
def fetch_heads(
    names: tuple[str, ...], everything: bool, output: Path | None, overwrite: bool, mirror: str
) -> None:
    """Download heads, check them, and say where they are.

    \b
    Examples:
        skullnb heads fetch colin27 mne-ecog
        skullnb heads fetch ubermuda-flair -o flair.npz
    """
    from skullnb.heads.loading import load
    from skullnb.stack import refuse_place, write_stack

    chosen = list(HEADS.values()) if everything else [find_head(name) for name in names]
    if not chosen:
        raise InvalidSetting(
            f"Name the heads to fetch, or add --all; there are {', '.join(HEADS)}."
        )
    if output is not None:
        if len(chosen) > 1 or output.suffix.lower() != ".npz":
            raise InvalidSetting("With -o, name one head and one .npz file.")
        refuse_place(output, overwrite=overwrite)
    for head in chosen:
        with click.progressbar(length=head.n_bytes, label=head.name, file=sys.stderr) as bar:
            paths = fetch(head, mirror, bar.update)
        click.echo(f"{head.name}: {_files(head)}, {_megabytes(head)}, in {paths[0].parent}")
        click.echo(f"{head.name}: {head.licence}")
    if output is not None:
        write_stack(load(chosen[0].name, mirror), output, overwrite=overwrite)
        click.echo(f"{output}: {chosen[0].n_slices} slices with reference ({chosen[0].reference})")


@heads.command()
@click.argument("name")
@_mirror
def show(name: str, mirror: str) -> None:
    """Say what is known of a head: licence, citation, reference mask, addresses."""
    head = find_head(name)
    row, column = head.spacing_mm
    facts = {
        "head": f"{head.title}; group {head.group}",
        "slices": f"{head.n_slices} axial ({head.slices or 'all'}), {head.contrast}, "
        f"{row:g} x {column:g} mm",
        "licence": head.licence,
        "cite": head.citation,
        "reference": f"{head.reference}. {head.trust}",
        "files": f"{_files(head)}, {_megabytes(head)}, "
        + ("here" if is_here(head, mirror) else "not here yet"),
    }
    for fact, text in facts.items():
        click.echo(f"{fact:10} {text}")
    for file in head.files:
        click.echo(f"{file.sha256}  {file.address}")


def _files(head: Head) -> str:
    return f"{len(head.files)} file{'s' * (len(head.files) != 1)}"


def _megabytes(head: Head) -> str:
    return f"{head.n_bytes / 1e6:.1f} MB"
