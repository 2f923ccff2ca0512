"""What a file's name says, and a fingerprint of what is in it."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from skullnb.errors import UnreadableFile

# What a NIfTI header's description says of a phantom, so that it is not taken for a scan later.
SYNTHETIC = b"skullnb synthetic phantom"


def expand(path: str | Path) -> Path:
    """Return a path as given, `~` written out, or say why there can be nothing there.

    Raises
    ------
    UnreadableFile
        If there is no such user, a name is too long or no text, or a folder on the way is closed.

    Examples
    --------
    >>> expand("scans/a.nii").name
    'a.nii'
    """
    try:
        whole = Path(path).expanduser()
        whole.exists()
    except (RuntimeError, TypeError, ValueError) as error:
        raise UnreadableFile(f"The path {path} can't be: {error}; check it.") from error
    except OSError as error:
        shown = str(path) if len(str(path)) < _LONG else f"{str(path)[:_LONG]}..."
        raise UnreadableFile(
            f"The path {shown} can't be looked up: {error.strerror}; check it."
        ) from error
    refuse_strange_name(whole)
    return whole


def refuse_strange_name(path: Path) -> None:
    r"""Refuse a name with bytes that are no letters: neither a table nor a page could hold it.

    Examples
    --------
    >>> refuse_strange_name(Path("scan-\udcff.npy"))
    Traceback (most recent call last):
    skullnb.errors.UnreadableFile: The name scan-\udcff.npy has bytes that are no UTF-8; rename it.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UnreadableFile(f"The name {path} has bytes that are no UTF-8; rename it.") from error


# Longer than any name a file may have; shown in full it would bury its own error.
_LONG = 256


def suffix_of(path: Path) -> str:
    """Return a file's ending in lower case; `.nii.gz` is one ending.

    Examples
    --------
    >>> suffix_of(Path("A.NII.GZ")), suffix_of(Path("scan.v2.npy"))
    ('.nii.gz', '.npy')
    """
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def stem(path: Path) -> str:
    """Return a file's name without its ending; `.nii.gz` is one ending.

    Examples
    --------
    >>> stem(Path("scans/sub-01.nii.gz"))
    'sub-01'
    """
    name = path.name
    return name[:-7] if name.lower().endswith(".nii.gz") else path.stem


def natural_key(path: Path) -> list[str | int]:
    """Return a sort key that takes runs of digits in a file's name as numbers.

    Examples
    --------
    >>> sorted([Path("s10"), Path("s9")], key=natural_key)[0].name
    's9'
    """
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [int(piece) if piece.isdecimal() else piece for piece in pieces]


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file, read piece by piece, as 64 hexadecimal digits.

    Examples
    --------
    >>> sha256_of_file(Path(__file__)) == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    True
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(paths: Iterable[Path]) -> str:
    """Return one sha256 for several files, whatever their names and order.

    It is the sha256 of their own, in hexadecimal digits, sorted and joined.

    Examples
    --------
    >>> len(sha256_of_files([Path(__file__)]))
    64
    """
    digests = sorted(sha256_of_file(path) for path in paths)
    return hashlib.sha256("".join(digests).encode()).hexdigest()
