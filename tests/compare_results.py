"""What changed between the values of two results files; all but numbers with a point exactly."""

import math
from collections.abc import Iterator
from typing import Any

RELATIVE = 1e-12


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every single value with its place; an empty list or mapping is one, too."""
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from leaves(one, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list | tuple) and value:
        for number, one in enumerate(value):
            yield from leaves(one, f"{path}[{number}]")
    else:
        yield path, value


def same(old: Any, new: Any, relative: float = RELATIVE) -> bool:
    if isinstance(old, float) and isinstance(new, float | int) and not isinstance(new, bool):
        # What is 0 but for rounding has no relative difference worth the name.
        return math.isclose(old, new, rel_tol=relative, abs_tol=relative * 1e-3)
    return type(old) is type(new) and bool(old == new)


def differences(old: Any, new: Any, relative: float = RELATIVE) -> list[str]:
    before, after = dict(leaves(old)), dict(leaves(new))
    lines = [f"gone: {path} = {before[path]!r}" for path in before if path not in after]
    lines += [f"new: {path} = {after[path]!r}" for path in after if path not in before]
    lines += [
        f"changed: {path}: {one!r} -> {after[path]!r}"
        for path, one in before.items()
        if path in after and not same(one, after[path], relative)
    ]
    return lines
