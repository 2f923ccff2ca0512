"""The explorer in a real JupyterLab, alive when `launch_lab` opens it, by mouse and keyboard."""

import re
import signal
import sys
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import psutil
import pytest
from test_lab import LAUNCH, SECONDS, jupyterlab

from skullnb import heads
from skullnb.metrics import dice, iou
from skullnb.pipeline import create_skull_mask

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OPEN_TO_ALL = "c.ServerApp.ip = '0.0.0.0'; c.ServerApp.token = c.IdentityProvider.token = ''"


@pytest.fixture(scope="module")
def server(chromium, tmp_path_factory):
    """Start JupyterLab with settings that would open it to everybody."""
    home = tmp_path_factory.mktemp("jupyter")
    (home / "jupyter_config_dir").mkdir()
    (home / "jupyter_config_dir" / "jupyter_server_config.py").write_text(OPEN_TO_ALL)
    with jupyterlab(home, f"from skullnb.report import lab\n{LAUNCH}") as (run, address):
        yield home, run, address


@pytest.fixture(scope="module")
def page(chromium, server):
    """Open the notebook and run nothing."""
    page = chromium.new_context(viewport={"width": 1400, "height": 1050}).new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(server[2])
    panel(page).locator("img.widget-image").wait_for()
    yield page
    page.context.close()


def panel(page):
    """The live explorer."""
    return page.locator(".jp-OutputArea-output .widget-vbox:has(.widget-image)").first


def slider(page, part: str = ".noUi-handle"):
    return panel(page).locator(".widget-hslider", has_text="Width, px").locator(part)


def facts(page, kernel: str = "") -> dict[str, str]:
    """What the table says, once it is about this kernel."""
    panel(page).locator("tr", has_text=re.compile(rf"kernel\s*{kernel}")).wait_for()
    cells = "rows => rows.map(({ cells: [a, b] }) => [a.textContent.trim(), b.textContent])"
    return dict(panel(page).locator("table tr:has(th[scope=row])").evaluate_all(cells))


def expected_scores(width: int) -> str:
    stack = heads.load("studyforrest")
    mask, reference = create_skull_mask(stack.images[8], width), stack.reference[8]
    return f"{iou(mask, reference):.4f}, {dice(mask, reference):.4f}"


def source(page) -> str:
    """The address of the picture's bytes, new with every picture."""
    return str(panel(page).locator("img.widget-image").get_attribute("src"))


def test_it_is_alive_at_once_and_follows_mouse_and_arrow_keys(page):
    before, picture = facts(page, "26 px"), source(page)
    assert before["IoU, Dice"] == expected_scores(26)
    slider(page).scroll_into_view_if_needed()
    box = slider(page).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=6)
    page.mouse.up()
    width = int(slider(page, ".widget-readout").inner_text())
    after = facts(page, f"{width} px")
    assert width > 26
    assert after["IoU, Dice"] == expected_scores(width)
    assert after["brain"] == before["brain"]
    assert source(page) != picture
    slider(page).press("ArrowLeft")
    assert facts(page, f"{width - 1} px")["IoU, Dice"] == expected_scores(width - 1)
    for words in ("Traceback", "javascript error"):
        assert page.locator(".jp-OutputArea-output", has_text=words).count() == 0
    page.set_viewport_size({"width": 760, "height": 800})
    fits = "(panel) => panel.scrollWidth <= panel.clientWidth + 1"
    page.wait_for_function(fits, arg=panel(page).element_handle())


def test_the_strip_leads_to_a_slice_by_keyboard(page):
    panel(page).get_by_role("button").and_(page.get_by_title("slice 3: right")).press("Enter")
    panel(page).locator("tr", has_text=re.compile(r"slice\s*3 of studyforrest")).wait_for()
    assert panel(page).locator(".widget-hslider").first.inner_text().split()[-1] == "3"
    assert panel(page).get_by_role("button", name="●").count() == 1


def upload(page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        panel(page).get_by_role("button", name="Upload a file").click()
    chooser.value.set_files(path)


def test_a_bad_upload_ends_in_one_sentence_and_a_good_one_is_shown(page, tmp_path):
    picture = source(page)
    np.save(tmp_path / "bad.npy", np.array([{}]), allow_pickle=True)
    upload(page, tmp_path / "bad.npy")
    panel(page).locator("strong", has_text="bad.npy").wait_for()
    assert source(page) == picture
    # More than a message may hold where nothing is set, 10 MB.
    images = np.random.default_rng(1).random((6, 768, 624)).astype(np.float32)
    images[:, 200:500, 200:400] += 3
    np.save(tmp_path / "six.npy", images)
    assert (tmp_path / "six.npy").stat().st_size > 11_000_000
    upload(page, tmp_path / "six.npy")
    panel(page).locator("tr", has_text="3 (4 of 6)").wait_for()
    assert "IoU, Dice" not in facts(page)
    assert source(page) != picture


def test_jupyterlab_answers_on_this_machine_only_and_asks_for_the_token(server, page):
    port = int(re.findall(r":(\d+)/", server[2])[0])
    for token in ("", "?token=", "?token=known"):
        with pytest.raises(HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/contents{token}", timeout=SECONDS)
    listening = Path("/proc/net/tcp")
    if listening.exists():
        rows = [row.split() for row in listening.read_text().splitlines()[1:]]
        places = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
        assert places == [f"0100007F:{port:04X}"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_when_its_terminal_is_closed_it_ends_with_its_kernel_and_leaves_no_token(server, page):
    home, run, _ = server
    kernels = psutil.Process(run.pid).children(recursive=True)
    assert kernels, "its kernel goes on, for who opens it"
    run.send_signal(signal.SIGHUP)
    run.wait(timeout=60)
    assert psutil.wait_procs(kernels, timeout=60)[1] == []
    assert [*(home / "jupyter_runtime_dir").glob("jpserver-*")] == []
