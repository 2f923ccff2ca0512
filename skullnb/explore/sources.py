"""Where the explorer's data can come from, each with the line of code that opens it again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from skullnb.errors import SkullnbError, UnreadableFile
from skullnb.heads import HEADS, is_here, load
from skullnb.phantom import VARIANTS, published_stack, variant
from skullnb.stack import Stack, list_volumes, read_stack

UPLOAD_BYTES = 64_000_000
# A small file can unpack to a large one.
UPLOAD_PIXELS = 200_000_000
KINDS = ".npy,.npz,.nii,.nii.gz,.gz,.mgz,.mgh,.tif,.tiff,.dcm"


@dataclass(frozen=True)
class Source:
    """Something to explore.

    Parameters
    ----------
    label : str
        What it is called in a list.
    open : callable
        Gives the stack; may raise a `SkullnbError`.
    lines : (str, str)
        The import and the line of code that open it in a notebook.
    """

    label: str
    open: Callable[[], Stack]
    lines: tuple[str, str] = ("", "")


def list_sources() -> list[Source]:
    """List what can be opened by name: phantoms, and the open heads that are on this machine.

    Returns
    -------
    list of Source

    Examples
    --------
    >>> list_sources()[1].lines[1]
    "stack = variant('scalp-cut-one-side')"
    """
    phantom = ("from skullnb.phantom import published_stack", "stack = published_stack()")
    sources = [Source("synthetic phantom", published_stack, phantom)]
    for name in VARIANTS:
        lines = ("from skullnb.phantom import variant", f"stack = variant({name!r})")
        sources.append(Source(f"synthetic phantom: {name}", _calling(variant, name), lines))
    for name, head in HEADS.items():
        if is_here(head):
            lines = ("from skullnb.heads import load", f"stack = load({name!r})")
            sources.append(
                Source(f"open head: {name} ({head.contrast})", _calling(load, name), lines)
            )
    return sources


def file_source(images: str, reference: str = "") -> Source:
    """Name the files at a path.

    Parameters
    ----------
    images, reference : str
        As in `skullnb.stack.read_stack`.

    Returns
    -------
    Source

    Examples
    --------
    >>> file_source("scans/T1.nii.gz").lines[1]
    "stack = read_stack('scans/T1.nii.gz')"
    """
    given = [repr(one.strip()) for one in (images, reference) if one.strip()]
    return Source(
        f"file: {Path(images.strip()).name}",
        lambda: read_stack(images.strip(), reference.strip()),
        ("from skullnb.stack import read_stack", f"stack = read_stack({', '.join(given)})"),
    )


def upload_source(name: str, content: bytes | memoryview) -> Source:
    """Name a file that came through the browser.

    Parameters
    ----------
    name : str
        What the browser calls it; only its last part is used.
    content : bytes
        At most `UPLOAD_BYTES`. It is read as any file is: never unpickled, and refused before
        anything is allocated when its header promises more than it can hold.

    Returns
    -------
    Source

    Examples
    --------
    >>> upload_source("../../notes.txt", b"text").open()
    Traceback (most recent call last):
    skullnb.errors.UnreadableFile: notes.txt is of a kind that is not read; the kinds read are .npy,
    .npz, .nii, .nii.gz, .mgz, .mgh, .tif, .tiff and DICOM.
    """
    last = re.split(r"[/\\]", name)[-1]
    safe = re.sub(r"[^\w.# -]", "_", last)[-100:].lstrip(". ") or "upload"
    return Source(
        f"upload: {safe}",
        lambda: _read_upload(safe, content),
        (
            "from skullnb.stack import read_stack",
            f"stack = read_stack({safe!r})  # the uploaded file, from where you keep it",
        ),
    )


def _read_upload(name: str, content: bytes | memoryview) -> Stack:
    if len(content) > UPLOAD_BYTES:
        raise UnreadableFile(
            f"{name} has {len(content) / 1e6:,.0f} MB, and an upload at most "
            f"{UPLOAD_BYTES / 1e6:,.0f}; give its path instead."
        )
    with TemporaryDirectory(prefix="skullnb-") as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        n_pixels = sum(prod(volume.open().shape) for volume in list_volumes([path]))
        if n_pixels > UPLOAD_PIXELS:
            raise UnreadableFile(
                f"{name} unpacks to {n_pixels / 1e6:,.0f} million pixels, and an upload may hold "
                f"{UPLOAD_PIXELS / 1e6:,.0f} million; give its path instead."
            )
        stack = read_stack([path])
        # The file goes when this returns, and a memory-mapped array would go with it.
        reference = None if stack.reference is None else np.array(stack.reference)
        return replace(
            stack,
            images=np.array(stack.images),
            reference=reference,
            sources=(),
            reference_sources=(),
        )


def open_safely(source: Source) -> Stack:
    """Open a source, whatever goes wrong in one sentence.

    Parameters
    ----------
    source : Source

    Returns
    -------
    Stack

    Raises
    ------
    SkullnbError
        If it cannot be opened.

    Examples
    --------
    >>> open_safely(file_source(""))
    Traceback (most recent call last):
    skullnb.errors.InvalidSetting: No images are given; name a file or a folder.
    """
    try:
        return source.open()
    except SkullnbError:
        raise
    except Exception as error:  # nobody looks at a log behind a panel
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnreadableFile(f"{source.label} cannot be opened ({reason}).") from error


def _calling(function: Callable[[str], Stack], name: str) -> Callable[[], Stack]:
    return lambda: function(name)
