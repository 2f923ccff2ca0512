"""What `pip install` of the built wheel gives, away from the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("skullnb-*.whl"))


def test_the_wheel_carries_notebooks_and_book_and_nothing_of_the_developers(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    notebooks = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    carried = {Path(name).name for name in names if "_assets/notebooks/" in name}
    assert carried == notebooks
    assert "skullnb/_assets/book/_config.yml" in names
    assert "skullnb/py.typed" in names
    data = {
        f"skullnb/data/{path.relative_to(ROOT / 'skullnb' / 'data').as_posix()}"
        for path in (ROOT / "skullnb" / "data").rglob("*")
        if path.is_file()
    }
    assert len(data) > 5
    assert data | {"skullnb/study/timing.json"} <= set(names)
    unwanted = ("tests/", "__pycache__", ".nii", ".dcm", ".mgz", ".mat")
    assert not [name for name in names if any(part in name for part in unwanted)]


@pytest.mark.slow
def test_an_installed_wheel_makes_a_report_in_an_empty_folder(wheel, tmp_path):
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", installed]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    # The target folder comes before the checkout that a developer's environment points to.
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    code = "import skullnb, sys; print(skullnb.__file__); from skullnb.cli import main; main()"
    words = ["report", "--chapter", "index"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(str(installed))
    assert (empty / "report" / "html" / "index.html").is_file()
    results = json.loads((empty / "report" / "results.json").read_text(encoding="utf-8"))
    assert list(results["chapters"]) == ["index"]
    assert sorted(path.name for path in empty.iterdir()) == ["report"]
