"""Look for inputs that end in anything but a refusal, guided by coverage.

pip install atheris, then: python tests/fuzz/run.py nii 60 [FOLDER] (a door, seconds, and where
inputs that reach something new are kept). A finding is written to the current folder as crash-*,
timeout-* or oom-*; once it is answered, keep it: python tests/fuzz/keep.py nii FILES...
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

sys.path.append(str(Path(__file__).parents[1]))
with atheris.instrument_imports(
    include=["skullnb", "nibabel", "pydicom", "tifffile", "zipfile", "numpy.lib", "zarr"],
    enable_loader_override=False,
):
    import nibabel  # noqa: F401
    import pydicom  # noqa: F401
    import tifffile  # noqa: F401
    from fuzz.doors import answer, corpus, seeds


def main() -> None:
    """Fuzz one door for some seconds."""
    door, seconds = sys.argv[1], sys.argv[2]
    kept = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp()) / door
    kept.mkdir(parents=True, exist_ok=True)
    memory = Path("/dev/shm")  # files that never reach a disk, where there is such a place
    work = (memory if memory.is_dir() else Path(tempfile.gettempdir())) / f"skullnb-fuzz-{door}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for number, seed in enumerate(seeds(door, work)):
        (kept / f"seed-{number}").write_bytes(seed)
    for number, known in enumerate(corpus(door)):
        (kept / f"known-{number}").write_bytes(known)
    warnings.simplefilter("ignore")
    inputs = work / "inputs"

    def one(content: bytes) -> None:
        shutil.rmtree(inputs, ignore_errors=True)
        inputs.mkdir()
        answer(door, content, inputs)

    options = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2500", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", str(kept)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
