"""What needs processes of its own: starting, batches with their memory, counted instructions."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skullnb.batch import mask_batch
from skullnb.bench.clock import quartiles
from skullnb.bench.contestants import here
from skullnb.errors import SkullnbError
from skullnb.phantom import published_stack
from skullnb.pipeline import warm_up
from skullnb.stack import Stack

# Valgrind knows no newer instructions than these, and kernels compiled for them are not those that
# a newer processor runs; they do the same work.
_FOR_VALGRIND = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "",
    "PYTHONHASHSEED": "0",
}

# Without modules of the current folder: a folder of data may hold any.
_PYTHON = (sys.executable, "-P")

_IMPORT = "import time\nt = time.process_time()\nimport {}\nprint(time.process_time() - t)"
_FIRST = """
import json, time
import numpy as np
image = np.pad(np.ones((20, 20), dtype=np.float32), 10)
times = [time.process_time()]
from skullnb.pipeline import create_skull_mask, use_tier
times.append(time.process_time())
use_tier("numba")
create_skull_mask(image)
times.append(time.process_time())
print(json.dumps(times[2] - times[1]))
"""


def time_start(repeats: int, compile_anew: bool = True) -> dict[str, float | None]:
    """Time importing skullnb, and the first mask with numba, in fresh processes.

    Returns
    -------
    dict of str to float
        Seconds of processor time, medians: `import_skullnb` and, of that, `import_libraries`
        (numpy and OpenCV); `first_mask`, with kernels from the cache, and
        `first_mask_ever`, which compiles them (once, and only if wanted). None without numba.
    """
    imports: dict[str, list[float]] = {"skullnb": [], "numpy, cv2": []}
    for _ in range(repeats):
        for name, seconds in imports.items():
            seconds.append(_python("-c", _IMPORT.format(name)))
    found: dict[str, float | None] = {
        "import_skullnb": median(imports["skullnb"]),
        "import_libraries": median(imports["numpy, cv2"]),
        "first_mask": None,
        "first_mask_ever": None,
    }
    if here("numba"):
        found["first_mask"] = median(_python("-c", _FIRST) for _ in range(repeats))
        if compile_anew:
            with TemporaryDirectory() as cache:
                elsewhere = {"NUMBA_CACHE_DIR": cache}
                found["first_mask_ever"] = _python("-c", _FIRST, environment=elsewhere)
    return found


def time_batch(n_slices: int, rounds: int, workers: Sequence[int] = (1, 2)) -> dict[str, Any]:
    """Time whole batches from and to a disk, and how much memory they take.

    The input is the phantom's slices over and over, in the system's memory by then, so reading
    costs little; writing is to the temporary folder.

    Returns
    -------
    dict
        `slices`; `ways`, each with way, workers, slices_a_second (quartiles), peak_mb (of its
        main process; the pool's workers come on top); `zarr_share`, bytes of compressed masks
        for each byte of plain ones; and `tasks`, slices a second on a Dask cluster of two
        processes by slices_a_task, where distributed is installed.
    """
    with TemporaryDirectory() as folder:
        path = _many_slices(Path(folder), n_slices, published_stack().images)
        ways = {
            "article": ("article", path),
            "skullnb": ("ours", path, "full", ".npy"),
            "skullnb, brief": ("ours", path, "brief", ".npy"),
        }
        if find_spec("zarr"):
            ways["skullnb, brief, zarr"] = ("ours", path, "brief", ".zarr")
        found: dict[tuple[str, int], list[Any]] = {(w, n): [] for w in ways for n in workers}
        for _ in range(rounds):
            for (way, number), runs in found.items():
                job, images, *rest = ways[way]
                runs.append(_child(job, images, str(number), *rest))
        tasks = None
        if find_spec("distributed"):
            sizes = [str(size) for size in (1, 5, 20, 50) if size <= n_slices // 4]
            runs = [_child("dask", path, "2", *sizes) for _ in range(rounds)]
            tasks = [
                {
                    "slices_a_task": int(size),
                    "slices_a_second": quartiles([run[i]["slices_a_second"] for run in runs]),
                }
                for i, size in enumerate(sizes)
            ]
    shares = [
        runs[0]["bytes_a_slice"] / runs[0]["pixels"]
        for (way, _), runs in found.items()
        if way.endswith("zarr")
    ]
    return {
        "slices": n_slices,
        "zarr_share": shares[0] if shares else None,
        "ways": [
            {
                "way": way,
                "workers": number,
                "slices_a_second": quartiles([run["slices_a_second"] for run in runs]),
                "peak_mb": runs[0]["peak_mb"] and max(run["peak_mb"] for run in runs),
            }
            for (way, number), runs in found.items()
        ],
        "tasks": tasks,
    }


def count_instructions(image: NDArray[Any], names: Sequence[str]) -> dict[str, float] | None:
    """Count the machine instructions of one mask, which no other program disturbs.

    Callgrind counts a process that makes one mask and one that makes several; what they have in
    common falls out of the difference.

    Returns
    -------
    dict of str to float, or None
        Millions of instructions by contestant; None without valgrind, or on a processor that is
        not x86-64.
    """
    if not shutil.which("valgrind") or platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    few = 2
    found = {}
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "image.npy")
        np.save(path, image)
        environment = {**_FOR_VALGRIND, "NUMBA_CACHE_DIR": folder}
        for one in here(*names):
            # Starting differs by a few millions from run to run, so quick ways make many masks.
            many = few + (4 if one.name == "literal" else 40)
            _child("calls", one.name, path, "1", environment=environment)  # compiles, if need be
            totals = [
                _callgrind(folder, "calls", one.name, path, str(n), environment=environment)
                for n in (few, many)
            ]
            found[one.name] = (totals[1] - totals[0]) / (many - few) / 1e6
    return found


def time_shard(stack: Stack, workers: Sequence[int] = (1, 2)) -> dict[str, float]:
    """Time small batches of a stack's slices, over and over, to plan large ones by.

    Returns
    -------
    dict of str to float
        Slices a second by the clock, by "1 worker" and so on; brief evidence, plain masks.

    Examples
    --------
    >>> sorted(time_shard(Stack(np.random.default_rng(0).random((2, 32, 32)))))
    ['1 worker', '2 workers']
    """
    warm_up()
    n_slices = int(max(10, min(60, 1e8 // stack.images[0].nbytes)))
    rates = {}
    with TemporaryDirectory() as folder:
        path = _many_slices(Path(folder), n_slices, stack.images)
        for number in workers:
            output = Path(folder) / f"masks-{number}.npy"
            start = perf_counter()
            mask_batch(path, output, workers=number, evidence="brief")
            rates[f"{number} worker{'s' if number > 1 else ''}"] = n_slices / (
                perf_counter() - start
            )
    return rates


def _many_slices(folder: Path, n_slices: int, images: NDArray[Any]) -> str:
    path = folder / "images.npy"
    shape = (n_slices, *images.shape[1:])
    many = np.lib.format.open_memmap(path, "w+", images.dtype, shape)  # type: ignore[no-untyped-call, unused-ignore]
    for number in range(n_slices):
        many[number] = images[number % len(images)]
    many.flush()
    return str(path)


def _callgrind(folder: str, *words: str, environment: Mapping[str, str]) -> int:
    output = Path(folder) / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}"]
    _run([*command, *_PYTHON, "-m", "skullnb.bench.child", *words], environment)
    total = re.search(r"^(?:summary|totals): (\d+)", output.read_text(encoding="utf-8"), re.M)
    if not total:
        raise SkullnbError("Callgrind did not say how many instructions it counted.")
    return int(total[1])


def _child(*words: str, environment: Mapping[str, str] | None = None) -> Any:
    return _python("-m", "skullnb.bench.child", *words, environment=environment)


def _python(*words: str, environment: Mapping[str, str] | None = None) -> Any:
    return json.loads(_run([*_PYTHON, *words], environment or {}).splitlines()[-1])


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    run = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SkullnbError(f"A measurement in a process of its own failed: {reason}")
    return run.stdout
