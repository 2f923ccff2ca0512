"""The explorer in a real JupyterLab, opened by `launch_lab` and moved by mouse and keyboard."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import numpy as np
import pytest

from skullnb.metrics import dice, iou
from skullnb.phantom import published_stack
from skullnb.pipeline import create_skull_mask

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SECONDS = 180  # a slow machine compiles the kernels in this time
START = """
import sys
from skullnb.lab import launch_lab
sys.exit(launch_lab(folder=sys.argv[1], open_browser=False, arguments=sys.argv[2:]))
"""
OPEN_TO_ALL = "c.ServerApp.ip = '0.0.0.0'; c.ServerApp.token = c.IdentityProvider.token = ''"
# The picture's own bytes: the element is the same on every move, its source is not.
PICTURE_BYTES = """async (image) => {
    const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
    return Array.from(bytes.slice(-4000)).join(' ') + ' ' + bytes.length;
}"""


@pytest.fixture(scope="module")
def lab_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start JupyterLab with settings that would open it to everybody."""
    if find_spec("jupyterlab") is None:
        missing = "JupyterLab is not installed (pip install 'skullnb[lab]')"
        if os.environ.get("SKULLNB_REQUIRE_BROWSER") == "1":
            pytest.fail(f"a live explorer is required here, but {missing}")
        pytest.skip(f"this test needs JupyterLab: {missing}")
    home = tmp_path_factory.mktemp("jupyter")
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    places += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    environment = {**os.environ, **{name: str(home / name.lower()) for name in places}}
    environment["JUPYTER_TOKEN"] = "known"
    (home / "jupyter_config_dir").mkdir()
    (home / "jupyter_config_dir" / "jupyter_server_config.py").write_text(OPEN_TO_ALL)
    arguments = [str(home / "work")]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")
    with (home / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield address_in(home / "log.txt", process)
    finally:
        # JupyterLab and its kernel are in the session that was started here.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait for the address that JupyterLab prints when it listens there."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        pattern = r"http://127\.0\.0\.1:\d+/lab/tree/14-explore\.ipynb\?token=[0-9a-f]{48}"
        if found := re.search(pattern, log.read_text()):
            return found[0]
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def page(chromium: Browser, lab_url: str) -> Iterator[Page]:
    """Open the notebook and run all of it."""
    page = chromium.new_context(viewport={"width": 1400, "height": 1050}).new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(lab_url)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('li[data-command="runmenu:run-all"]').click()
    panel(page).locator("img.widget-image").wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    yield page
    page.context.close()


def panel(page: Page) -> Locator:
    """The live explorer."""
    return page.locator(".jp-OutputArea-output .widget-box:has(.widget-image)").first


def kernel_slider(page: Page, part: str = ".noUi-handle") -> Locator:
    return panel(page).locator(".widget-hslider", has_text="Kernel width").locator(part)


def facts(page: Page) -> dict[str, str]:
    """What the table says, read at once: the next move fills it anew."""
    rows = panel(page).locator("table tr:has(th[scope=row])")
    cells = "rows => rows.map(({ cells: [a, b] }) => [a.textContent, b.textContent])"
    return dict(rows.evaluate_all(cells))


def facts_at_the_slider(page: Page) -> dict[str, str]:
    """Wait until the table has come to where the slider was let go."""
    readout = kernel_slider(page, ".widget-readout").filter(has_text=re.compile(r"\d"))
    told = re.compile(rf"kernel width\s*{readout.text_content()} px")
    panel(page).locator("tr", has_text=told).wait_for(state="attached")
    return facts(page)


def expected_scores(width: int) -> tuple[str, str]:
    stack = published_stack()
    middle = len(stack) // 2
    mask = create_skull_mask(stack.images[middle], width)
    assert stack.reference is not None
    return f"{iou(mask, stack.reference[middle]):.4f}", f"{dice(mask, stack.reference[middle]):.4f}"


def test_dragging_the_kernel_slider_changes_the_picture_and_the_scores(
    page: Page, tmp_path: Path
) -> None:
    image = panel(page).locator("img.widget-image")
    image.scroll_into_view_if_needed()
    before, bytes_before = facts_at_the_slider(page), image.evaluate(PICTURE_BYTES)
    assert before["kernel width"] == "26 px"
    assert (before["IoU"], before["Dice"]) == expected_scores(26)

    handle = kernel_slider(page)
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y, steps=6)
    page.mouse.up()

    after = facts_at_the_slider(page)
    width = int(re.findall(r"\d+", after["kernel width"])[0])
    assert width > 26
    assert (after["IoU"], after["Dice"]) == expected_scores(width)
    assert after["mask"] != before["mask"]
    assert after["brain"] == before["brain"]
    assert image.evaluate(PICTURE_BYTES) != bytes_before
    panel(page).get_by_text(f"Kernel width 26 px → {width} px: the mask gains").wait_for()
    panel(page).get_by_role("img", name=f"at {width} px Dice {after['Dice']}").wait_for()
    page.screenshot(path=Path(os.environ.get("SKULLNB_SCREENSHOTS", tmp_path)) / "explorer.png")


def test_the_threshold_slider_lies_under_its_level_of_the_histogram(page: Page) -> None:
    line = panel(page).get_by_role("img", name="Histogram of the levels").locator("path").last
    handle = panel(page).locator(".skullnb-threshold .noUi-handle")
    places = [one.bounding_box() for one in (line, handle)]
    middles = [box["x"] + box["width"] / 2 for box in places if box is not None]
    assert abs(middles[0] - middles[1]) < 5


def test_the_arrow_keys_move_the_kernel_slider_by_one_pixel(page: Page) -> None:
    before = facts(page)["kernel width"]
    width = int(re.findall(r"\d+", before)[0])
    kernel_slider(page).press("ArrowLeft")
    after = facts_at_the_slider(page)
    assert after["kernel width"] == f"{width - 1} px"
    assert (after["IoU"], after["Dice"]) == expected_scores(width - 1)


def test_the_stage_buttons_work_by_keyboard_and_keep_the_scores(page: Page) -> None:
    image = panel(page).locator("img.widget-image")
    before, bytes_before = facts(page), image.evaluate(PICTURE_BYTES)
    panel(page).get_by_role("button", name="components").press("Enter")
    panel(page).get_by_text("Slice 2, components").wait_for()
    assert image.evaluate(PICTURE_BYTES) != bytes_before
    assert facts(page) == before


def test_the_button_shows_code_that_makes_the_mask(page: Page) -> None:
    panel(page).get_by_role("button", name="Code that makes this mask").press("Enter")
    code = panel(page).locator("textarea").input_value()
    namespace = {"stack": published_stack()}
    exec(code, namespace)
    now = facts(page)
    assert f"kernel_width={now['kernel width'].removesuffix(' px')}" in code
    assert now["mask"].startswith(f"{namespace['trace'].mask.sum():,} px")


def upload(page: Page, path: Path) -> None:
    fold = panel(page).get_by_text("A file of your own")
    if not panel(page).get_by_role("button", name="Upload a file").is_visible():
        fold.click()
    with page.expect_file_chooser() as chooser:
        panel(page).get_by_role("button", name="Upload a file").click()
    chooser.value.set_files(path)


def test_a_bad_upload_ends_in_one_sentence_and_a_good_one_is_shown(
    page: Page, tmp_path: Path
) -> None:
    image = panel(page).locator("img.widget-image")
    bytes_before = image.evaluate(PICTURE_BYTES)
    np.save(tmp_path / "bad.npy", np.array([{}]), allow_pickle=True)
    upload(page, tmp_path / "bad.npy")
    panel(page).get_by_role("status").get_by_text("bad.npy").wait_for()
    assert image.evaluate(PICTURE_BYTES) == bytes_before

    # More than a message may hold where nothing is set, 10 MB.
    stack = published_stack()
    images = np.stack([stack.images[1].astype(np.float32)] * 6)
    np.savez(tmp_path / "six.npz", images=images, reference=np.stack([stack.reference[1]] * 6))
    assert (tmp_path / "six.npz").stat().st_size > 13_000_000
    upload(page, tmp_path / "six.npz")
    panel(page).get_by_text("3 (no. 4 of 6)").wait_for()
    now = facts(page)
    mask = create_skull_mask(images[3], int(now["kernel width"].removesuffix(" px")))
    assert now["Dice"] == f"{dice(mask, stack.reference[1]):.4f}"
    assert image.evaluate(PICTURE_BYTES) != bytes_before
    shown = panel(page).get_by_role("combobox").first.locator("option:checked")
    shown.filter(has_text="six.npz").wait_for(state="attached")
    assert shown.inner_text().split() == ["upload:", "six.npz"]


@pytest.mark.parametrize(("width", "columns"), [(1280, 3), (760, 1)])
def test_the_panel_fits_its_page_at_every_width(
    page: Page, width: int, columns: int, tmp_path: Path
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    panel(page).evaluate("element => element.scrollIntoView()")
    page.wait_for_function(
        """([panel, columns]) => {
            const tops = [...panel.children].map((one) => one.getBoundingClientRect().top);
            const inFirstRow = tops.filter((top) => Math.round(top) === Math.round(tops[0]));
            return inFirstRow.length === columns && panel.scrollWidth <= panel.clientWidth + 1;
        }""",
        arg=[panel(page).element_handle(), columns],
    )
    name = f"explorer-{width}.png"
    page.screenshot(path=Path(os.environ.get("SKULLNB_SCREENSHOTS", tmp_path)) / name)


def test_jupyterlab_answers_on_this_machine_only_and_asks_for_the_token(
    lab_url: str, page: Page
) -> None:
    port = int(re.findall(r":(\d+)/", lab_url)[0])
    for token in ("", "?token=", "?token=known"):
        with pytest.raises(HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/contents{token}", timeout=SECONDS)
    listening = Path("/proc/net/tcp")
    if listening.exists():
        rows = [row.split() for row in listening.read_text().splitlines()[1:]]
        places = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
        assert places == [f"0100007F:{port:04X}"]


def test_no_cell_of_the_notebook_ended_in_an_error(page: Page) -> None:
    assert page.locator(".jp-OutputArea-output", has_text="Traceback").count() == 0
    assert page.locator(".jp-OutputArea-output", has_text="javascript error").count() == 0
