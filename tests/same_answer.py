"""Are masks and numbers the same, bit for bit, whatever versions they are computed with?

`python tests/same_answer.py FOLDER PYTHON...` makes an environment in FOLDER for every line of
`VERSIONS` that one of the interpreters fits, computes everything in `answers` three times in each
(with one thread, and twice with two), and says what differs. The core's tests run too, with the
lowest versions that pyproject.toml allows. Whole reports are made in every environment, with
one thread and with two, and every number that their chapters recorded but for times is compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compare_results import IGNORED, leaves

ROOT = Path(__file__).resolve().parents[1]
CORE_TESTS = ("pipeline", "signs", "fast", "metrics", "sweep", "evidence", "stack")

SOME_VARIANTS = ("low-contrast", "bridge", "brain-touches-frame", "scalp-cut-all-sides")

# What is pinned with which Python; "lowest" stands for the bounds in pyproject.toml, and what is
# not pinned is the newest.
VERSIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("3.11", ("lowest",)),
    ("3.11", ("numpy==2.0.*", "opencv-python-headless==4.11.*", "scipy==1.13.*")),
    ("3.11", ("opencv-python-headless==5.*",)),
    ("3.12", ("numpy==2.2.*", "opencv-python-headless==4.12.*")),
    ("3.12", ("opencv-python-headless==4.*", "numba")),
    ("3.13", ("numpy==2.1.*", "opencv-python-headless==4.10.*")),
    ("3.13", ("opencv-python-headless==5.*",)),
    ("3.14", ()),
)


def answers() -> Iterator[tuple[str, Any]]:
    """Everything that must not differ to the last bit: arrays, and numbers as JSON writes them."""
    import numpy as np

    from skullnb import metrics, pipeline
    from skullnb.evidence import build_ledger
    from skullnb.phantom import published_stack, variant
    from skullnb.study.validation import compare_splits, score_table
    from skullnb.sweep import sweep_kernel_width

    stack = published_stack()
    stacks = {"published": stack, **{name: variant(name) for name in SOME_VARIANTS}}
    for name, one in stacks.items():
        yield f"{name} images", one.images
        yield f"{name} reference", one.reference
        yield f"{name} masks", pipeline.create_skull_masks(one.images)
    random = np.random.default_rng(0)
    for kind in ("uint8", "int16", "float32", "float64"):
        image = (random.random((200, 230)) ** 3 * 120).astype(kind)
        yield f"{kind} masks", list(pipeline.masks_by_width(image, (0, 1, 2, 25, 26, 27, 255)))
    for number, image in enumerate(stack.images):
        trace = pipeline.trace_skull_mask(image)
        for part in ("normalised", "labels", "brain", "dilated", "mask"):
            yield f"trace {number} {part}", getattr(trace, part)
        yield f"trace {number} components", trace.components.tolist()
        yield f"trace {number} numbers", [trace.threshold, str(trace.rules), trace.warnings]
        scored = metrics.score(trace.mask, stack.reference[number], stack.spacing_mm)
        yield f"scores {number}", list(scored.values())
    yield "evidence", build_ledger(stack).to_dict("split")["data"]
    table = sweep_kernel_width(stack, (18, 22, 26, 30), metrics.OVERLAPS + metrics.DISTANCES)
    yield "sweep", table.to_dict("split")["data"]
    scores = score_table(table.assign(group=(table.position // 2).astype(str)))
    yield "validation", compare_splits(scores).to_dict("split")["data"]


def digest(value: Any) -> str:
    import numpy as np

    try:
        content = json.dumps(value).encode()
    except TypeError:
        array = np.ascontiguousarray(value)
        assert not array.dtype.hasobject, value  # its bytes are where the values lie
        content = f"{array.dtype.str} {array.shape}".encode() + array.tobytes()
    return hashlib.sha256(content).hexdigest()


def lowest() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = (re.match(r"(.+?)>=([\d.]+)", one) for one in project["dependencies"])
    return [f"{found[1]}=={found[2]}" for found in bounds if found]


def run(python: Path | str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [python, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def environment(folder: Path, python: str, pins: list[str]) -> Path:
    place = folder / hashlib.sha256(f"{python} {pins}".encode()).hexdigest()[:8]
    inside = place / "bin" / "python"
    if not (place / "whole").exists():
        run(python, "-m", "venv", str(place))
        names = [re.split("[=>]", one)[0] for one in lowest()]
        rest = [name for name in names if not any(one.startswith(name) for one in pins)]
        run(inside, "-m", "pip", "install", "--quiet", *pins, *rest, "pytest", "hypothesis")
        (place / "whole").touch()
    return inside


def report(python: Path, pins: list[str], **threads: str) -> dict[str, str]:
    ready = python.parents[1] / "reports"
    if not ready.exists():
        run(python, "-m", "pip", "install", "--quiet", *pins, "--editable", f"{ROOT}[report]")
        ready.touch()
    with tempfile.TemporaryDirectory() as place:
        command = ("-c", "from skullnb.cli import main; main()", "report", "-o", f"{place}/report")
        run(python, *command, **threads)
        results = Path(place, "report", "results.json").read_text(encoding="utf-8")
    numbers = {
        name: one for name, one in leaves(json.loads(results)) if not name.startswith(IGNORED)
    }
    # To ten decimals: pandas may add up a column in another order.
    rounded = {k: round(one, 10) if type(one) is float else one for k, one in numbers.items()}
    return {f"report {name}": digest(one) for name, one in rounded.items()}


def main(folder: str, *given: str) -> int:
    pythons = {run(one, "-c", SHORT).strip(): one for one in given}
    found: dict[str, dict[str, str]] = {}
    for short, asked in VERSIONS:
        if short not in pythons:
            continue
        pins = lowest() if asked == ("lowest",) else list(asked)
        python = environment(Path(folder), pythons[short], pins)
        for number, threads in enumerate(("1", "2", "2")):
            limits = {"OPENCV_FOR_THREADS_NUM": threads, "NUMBA_NUM_THREADS": threads}
            one = json.loads(run(python, __file__, **limits))
            if number < 2:
                one["answers"] |= report(python, pins, **limits)
            label = f"Python {one['versions']['python']}, numpy {one['versions']['numpy']}, "
            label += f"OpenCV {one['cv2']}, {one['threads']} thread(s)"
            label += " again" * (label in found)
            found[label] = one["answers"]
            print(label, flush=True)
        if asked == ("lowest",):
            tests = [str(ROOT / "tests" / f"test_{name}.py") for name in CORE_TESTS]
            options = ["-q", "--noconftest", "-p", "no:cacheprovider"]
            print(run(python, "-m", "pytest", *options, *tests).strip().splitlines()[-1])
    expected = next(iter(found.values()))
    n_different = 0
    for label, one in found.items():
        for name in sorted(expected.keys() | one):
            not_again = name.startswith("report ") and label.endswith(" again") and name not in one
            if expected.get(name) != one.get(name) and not not_again:
                print(f"DIFFERENT: {name} with {label}")
                n_different += 1
    print(f"{len(found)} runs, {len(expected)} answers each, {n_different} differences")
    return int(n_different > 0)


SHORT = "import sys; print('%d.%d' % sys.version_info[:2])"

if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(main(*sys.argv[1:]))
    import cv2

    from skullnb.study.timing import versions

    cv2.setNumThreads(int(os.environ.get("OPENCV_FOR_THREADS_NUM", "2")))
    about = {"versions": versions(), "cv2": cv2.__version__, "threads": cv2.getNumThreads()}
    print(json.dumps({**about, "answers": {name: digest(one) for name, one in answers()}}))
