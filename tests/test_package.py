import ast
import re
import subprocess
import sys
from pathlib import Path

import skullnb

MODULE = Path(skullnb.__file__).parent

# Rooms from the top of the house to the bottom: imports only point down.
ROOMS = (
    *("cli", "report.explore", "report.lab", "report.build", "report.pages", "report.teach"),
    *("report.sheet", "report.address"),
    *("report.live", "report.chapter", "report.plot", "study", "batch"),
    *("masking", "volume", "sweep", "evidence", "reach", "heads", "phantom", "stack", "metrics"),
    *("pipeline", "published", "errors"),
)


def room_called(*parts):
    return next((name for name in (".".join(parts[:2]), parts[0]) if name in ROOMS), parts[0])


def room_of(path):
    return room_called(*path.relative_to(MODULE).with_suffix("").parts)


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "skullnb" and room_called(*parts[1:]) in ROOMS:
                yield room_called(*parts[1:])


def test_every_room_has_its_place_and_imports_only_point_down():
    assert {room_of(path) for path in MODULE.rglob("*.py")} - {"__init__", "report"} == set(ROOMS)
    wrong = [
        f"{path.relative_to(MODULE)} imports {target}"
        for path in MODULE.rglob("*.py")
        if room_of(path) in ROOMS
        for target in imported_rooms(path)
        if ROOMS.index(target) < ROOMS.index(room_of(path))
    ]
    assert not wrong


def test_importing_the_package_pulls_in_no_heavy_library():
    code = (
        "import sys, skullnb; "
        "light = {'numpy', 'cv2', 'scipy', 'skullnb'}; "
        "found = {name.split('.')[0] for name in sys.modules}; "
        "print(sorted(name for name in found - light "
        "if 'site-packages' in (getattr(sys.modules.get(name), '__file__', '') or '')))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    loaded = set(ast.literal_eval(run.stdout)) - {"_distutils_hack", "coverage"}
    assert not {name for name in loaded if not name.startswith(("_", "a1_", "distutils"))}


def test_no_file_knows_the_machine_it_was_written_on():
    home = re.compile(r"/(?:home|Users|root)/\w|[A-Z]:\\\\Users")
    for path in [*MODULE.rglob("*.py"), *(MODULE.parent / "notebooks").glob("*.ipynb")]:
        assert not home.search(path.read_text(encoding="utf-8")), path


def test_the_house_fits_into_9000_lines_in_50_files():
    files = list(MODULE.rglob("*.py"))
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= 9000
    assert len(files) <= 50
