"""Live figures in a real browser: the page's pipeline against Python's, bit for bit."""

import gzip
import re
import shutil
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import permutations, product
from pathlib import Path
from typing import Any

import cv2
import nibabel as nib
import numpy as np
import pytest
from screenshots import LOOKS, opened
from test_border import blobs

from skullnb import heads
from skullnb.metrics import dice, iou
from skullnb.pipeline import (
    PipelineSettings,
    SkullMaskTrace,
    create_skull_masks,
    normalise,
    trace_skull_mask,
)
from skullnb.pipeline.border import grow_through_dark
from skullnb.pipeline.signs import AREA_JUMP, SIGNS, THRESHOLD_JUMP, kernel_sign, warnings_of
from skullnb.reach import span_remark
from skullnb.report import live
from skullnb.stack import Stack, read_stack

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ASSETS = Path(__file__).resolve().parents[1] / "book" / "assets"
SCRIPTS = ("pipeline", "signs", "readers", "writers", "panel", "curve", "live", "exercise")

# Moves a figure's controls as a reader would and gives the mask's bits and the numbers shown.
MOVE = """async ([source, { threshold, ...settings }]) => {
    const figure = document.querySelector("figure.live");
    const set = (name, value) => {
        const control = figure.querySelector(`[name=${name}]`);
        control[control.type === "checkbox" ? "checked" : "value"] = value;
        control.dispatchEvent(new Event("input", { bubbles: true }));
    };
    if (figure.live.key !== source) set("slice", source);
    while (figure.live.key !== source) await new Promise((next) => setTimeout(next, 5));
    for (const [name, value] of Object.entries(settings)) set(name, value);
    if (threshold) set("otsu", threshold === "otsu");
    if (Number.isInteger(threshold)) set("threshold", threshold);
    return result(figure.live);
}"""

HELPERS = """
function packed(pixels) {
    const bits = new Uint8Array(Math.ceil(pixels.length / 8));
    pixels.forEach((pixel, i) => { bits[i >> 3] |= pixel << (7 - (i & 7)); });
    let text = "";
    for (const byte of bits) text += String.fromCharCode(byte);
    return btoa(text);
}
function result(live) {
    const { trace } = live;
    const shown = Array.from(document.querySelectorAll("figure.live dl div"));
    return {
        mask: packed(trace.mask.pixels),
        brain: packed(trace.brain.pixels),
        shown: Object.fromEntries(shown.map(({ children: [name, value] }) =>
            [name.textContent, value.textContent])),
        warnings: live.warnings,
    };
}
function unpack({ pixels, height, width }) {
    const bytes = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
    return { pixels: bytes, height, width };
}
"""


def write_page(folder: Path, stack: Stack, figure: str = "") -> Path:
    """Write a page with one live figure, with the scripts of the book."""
    for script in (*(f"{name}.js" for name in SCRIPTS), "skullnb.css"):
        shutil.copy(ASSETS / script, folder)
    html = figure or live.try_it(stack, PipelineSettings(), folder / "live")
    scripts = "".join(f'<script src="{name}.js"></script>' for name in SCRIPTS)
    page = folder / "page.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="skullnb.css">{scripts}'
        f"<script>{HELPERS}</script>{html}",
        encoding="utf-8",
    )
    return page


@pytest.fixture(scope="module")
def head():
    return heads.load("studyforrest").select([1, 8, 15])


@pytest.fixture(scope="module")
def site(chromium, head, tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("live"), head)


@pytest.fixture
def page(chromium, site):
    with live_page(chromium, site) as page:
        yield page


@contextmanager
def live_page(chromium, path: Path, **look: Any):
    """Open a page that must not complain, and wait for its figure."""
    with opened(chromium, path, **look) as page:
        page.locator("figure.is-live").wait_for()
        yield page


def bits(mask: np.ndarray) -> str:
    return b64encode(np.packbits(mask).tobytes()).decode("ascii")


def in_base64(image: np.ndarray) -> dict[str, Any]:
    """Write an image as `unpack` reads it."""
    pixels = b64encode(image.astype(np.uint8).tobytes()).decode("ascii")
    return {"pixels": pixels, "height": image.shape[0], "width": image.shape[1]}


def random_settings(rng: np.random.Generator) -> PipelineSettings:
    return PipelineSettings(
        kernel_width=int(rng.integers(0, 61)),
        kernel_shape=str(rng.choice(["ellipse", "rectangle"])),
        connectivity=int(rng.choice([4, 8])),
        drop_edge_touching=bool(rng.integers(2)),
        threshold="otsu" if rng.random() < 0.4 else int(rng.integers(5, 70)),
        fill_holes=bool(rng.integers(2)),
    )


def in_page(settings: PipelineSettings) -> dict[str, Any]:
    """Name settings as the page does."""
    return dict(live.configure("whole", settings, Stack(np.eye(2)[np.newaxis]))["settings"])


def compare(found: dict[str, Any], trace: SkullMaskTrace, reference: np.ndarray | None) -> None:
    """Hold what the page found and shows against Python."""
    assert found["mask"] == bits(trace.mask)
    assert found["brain"] == bits(trace.brain)
    expected = {
        "Threshold": str(trace.threshold),
        "Components": f"{len(trace.components):,}",
        "Brain, px": f"{np.count_nonzero(trace.brain):,}",
        "Grown, px": f"{np.count_nonzero(trace.dilated):,}",
        "Mask, px": f"{np.count_nonzero(trace.mask):,}",
    }
    if trace.n_edge_touching:
        expected["At the frame"] = f"{trace.n_edge_touching:,}"
    if reference is not None:
        expected["IoU"] = f"{iou(trace.mask, reference):.4f}"
        expected["Dice"] = f"{dice(trace.mask, reference):.4f}"
    assert found["shown"] == expected
    assert found["warnings"] == list(trace.warnings)


def test_the_built_in_slices_have_pythons_masks_and_signs_at_any_settings(page, head):
    rng = np.random.default_rng(1)
    for index, image in enumerate(head.images):
        for settings in (PipelineSettings(), *(random_settings(rng) for _ in range(4))):
            key = f"slice-{index}"
            found = page.evaluate(MOVE, [key, in_page(settings)])
            trace = trace_skull_mask(image, settings, spacing_mm=head.spacing_mm)
            compare(found, trace, head.reference[index])


def test_noise_lines_and_ties_have_pythons_masks_and_signs(page):
    rng = np.random.default_rng(3)
    shapes = [(1, 1), (1, 57), (57, 1), (2, 2), (3, 80), (64, 64), (200, 150)]
    cases = []
    for _ in range(40):
        for shape in [*shapes, tuple(rng.integers(1, 40, 2))]:
            noise = cv2.GaussianBlur(rng.random(shape), (0, 0), float(rng.uniform(0.3, 4)))
            image = [
                rng.integers(0, 256, shape),
                255 * (rng.random(shape) < rng.choice([0.05, 0.2, 0.4, 0.6])),
                rng.choice([0, 3, 128, 255], shape),
                noise ** rng.choice([1, 30]),
                np.where(np.arange(shape[0])[:, None] < shape[0] // 3, noise.max(), noise),
            ][rng.integers(5)]
            spacing = [None, (0.7, 0.7), (3.4, 1.7)][rng.integers(3)]
            cases.append((normalise(image), random_settings(rng), spacing))
    sent = [
        {**in_base64(image), "settings": in_page(settings), "spacing": spacing}
        for image, settings, spacing in cases
    ]
    found = page.evaluate(
        """(cases) => cases.map((one) => {
            const trace = skullnb.traceSkullMask(unpack(one), one.settings);
            const { facts, warnings, reason } = skullnbSigns.signsOf(trace, one.spacing);
            const masks = [packed(trace.brain.pixels), packed(trace.mask.pixels)];
            return [trace.threshold, ...masks, Object.values(facts), warnings, reason];
        })""",
        sent,
    )
    signs = set()
    for (image, settings, spacing), one in zip(cases, found, strict=True):
        trace = trace_skull_mask(image, settings, spacing_mm=spacing)
        facts, warnings = [float(value) for value in trace.facts], list(trace.warnings)
        expected = [trace.threshold, bits(trace.brain), bits(trace.mask)]
        assert one == [*expected, facts, warnings, trace.reason], settings
        signs |= set(warnings_of(trace.facts, settings, spacing, trace.reason))
    assert signs == set(SIGNS) - {AREA_JUMP, THRESHOLD_JUMP}


def test_dark_growth_is_pythons_in_noise_and_in_a_head_at_any_spacing_and_distance(page, head):
    rng, cases = np.random.default_rng(1), []
    for _ in range(300):
        shape = tuple(rng.integers(1, 60, 2).tolist())
        levels = rng.integers(0, 256, shape) // int(rng.integers(1, 4))
        levels[blobs(rng, shape)] = rng.integers(0, 256)
        brain = (levels > 200) & blobs(rng, shape) if rng.random() < 0.5 else blobs(rng, shape)
        spacing = rng.choice([rng.uniform(0.3, 4), 0.7, 1.0, 3.0], 2).tolist()
        reach_mm = float(rng.uniform(0, 20))
        cases.append((brain, levels.astype(np.uint8), int(rng.integers(256)), spacing, reach_mm))
    for image in head.images:
        trace = trace_skull_mask(image)
        for reach_mm in (8.5, 14.0, 20.0):
            one = (trace.brain, normalise(image), trace.threshold, head.spacing_mm, reach_mm)
            cases.append(one)
    expected = [bits(grow_through_dark(*given)) for given in cases]
    sent = [[in_base64(brain), in_base64(levels), *rest] for brain, levels, *rest in cases]
    grown = page.evaluate(
        """(cases) => cases.map(([brain, levels, ...words]) => {
            const [mask, grey] = [unpack(brain), unpack(levels)];
            return packed(skullnb.growThroughDark(mask, grey, ...words).pixels);
        })""",
        sent,
    )
    assert grown == expected
    assert len(set(expected)) > len(cases) / 2


def read_in_page(page, files: list[bytes], axes: Sequence[str] = ()) -> list[Any]:
    """Read files as the page reads dropped ones: every slice's levels, or the complaint."""
    return page.evaluate(
        """([files, axes]) => Promise.all(files.map(async (file, i) => {
            try {
                const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
                let stack = await skullnbReaders.readStack(bytes);
                if (axes[i]) stack = stack.along(axes[i]);
                return Array.from({ length: stack.length }, (_, number) => {
                    const image = stack.read(number);
                    const { pixels, height, width } = skullnb.normalise(image);
                    let text = "";
                    for (const level of pixels) text += String.fromCharCode(level);
                    return { levels: btoa(text), shape: [height, width], spacing: image.spacing };
                });
            } catch (error) {
                return { error: error.message };
            }
        }))""",
        [[b64encode(file).decode("ascii") for file in files], list(axes)],
    )


def levels_of(found: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(b64decode(found["levels"]), np.uint8).reshape(found["shape"])


def png(image: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(".png", image, options)[1].tobytes()


def npy(array: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_arrays_are_normalised_bit_for_bit_whatever_their_type(page):
    rng = np.random.default_rng(4)
    images = []
    for kind in ("u1", "i1", "<u2", ">u2", "<i2", ">i4", "<u4", "<i8", ">u8"):
        limits = np.iinfo(kind)
        images.append(rng.integers(limits.min, limits.max, (23, 17), kind[-2:], True).astype(kind))
    for kind in ("<f4", ">f4", "<f8", ">f8"):
        for scale in (1e-30, 1.0, 1e4, np.finfo(kind).max):
            images.append((scale * rng.uniform(-1, 1, (23, 17))).astype(kind))
            images.append((scale * rng.random((40, 31)) ** 6).astype(kind))
        images.append(np.full((5, 4), 7.5, kind))
    images.append(rng.random((9, 14)).astype(np.float32, order="F"))
    stack = rng.integers(0, 900, (6, 9, 14)).astype("<i2")
    images += [stack[:1], stack, np.asfortranarray(stack), stack.astype(">f8")]
    found = read_in_page(page, [npy(image) for image in images])
    for image, slices in zip(images, found, strict=True):
        for one, expected in zip(slices, image.reshape(-1, *image.shape[-2:]), strict=True):
            np.testing.assert_array_equal(levels_of(one), normalise(expected), str(image.dtype))


def test_grey_pictures_are_read_exactly_and_a_jpeg_but_for_a_level(page):
    rng = np.random.default_rng(5)
    rough = rng.integers(0, 2**16, (37, 52)).astype(np.uint16)
    smooth = np.add.outer(np.arange(37), 3 * np.arange(52)).astype(np.uint8)
    grey = [rough, rough.astype(np.uint8), np.zeros((1, 9), np.uint8), smooth]
    in_colour = [cv2.cvtColor(smooth, kind) for kind in (cv2.COLOR_GRAY2BGR, cv2.COLOR_GRAY2BGRA)]
    jpeg = cv2.imencode(".jpg", normalise(cv2.GaussianBlur(rng.random((60, 70)), (0, 0), 3)))[1]
    *found, [photo] = read_in_page(page, [*map(png, [*grey, *in_colour]), jpeg.tobytes()])
    for image, [one] in zip([*grey, smooth, smooth], found, strict=True):
        np.testing.assert_array_equal(levels_of(one), normalise(image))
    expected = normalise(cv2.imdecode(jpeg, cv2.IMREAD_UNCHANGED))
    np.testing.assert_allclose(levels_of(photo), expected, atol=2)


@pytest.mark.parametrize("is_flat", [True, False])
def test_nifti_slices_are_cut_and_scaled_as_python_does(page, tmp_path, is_flat):
    rng = np.random.default_rng(6)
    files, expected, axes = [], [], []
    kinds = ["uint8", "int16", "float32", "float64", "uint16", "int32", "int8", "uint32"]
    turns = product(permutations(range(3)), product((1, -1), repeat=3))
    for number, (order, signs) in enumerate(turns):
        shape = [14, 19, 11] if number % 8 else [14, 70, 3]
        if is_flat:  # one stored axis has one voxel: a single slice along that axis
            shape[number % 3] = 1
        affine = np.eye(4)
        affine[:3, :3] = 0
        for stored, (to, sign) in enumerate(zip(order, signs, strict=True)):
            affine[to, stored] = sign * (0.5, 0.7, 2.0 if number % 3 else 0.8)[stored]
        affine[:3, :3] = cv2.Rodrigues(rng.normal(0, 0.1, 3))[0] @ affine[:3, :3]
        kind = kinds[number % len(kinds)]
        pixels = rng.integers(0, 100, shape).astype(kind)
        maker = nib.Nifti2Image if number % 5 == 0 else nib.Nifti1Image
        image = maker(pixels, affine)
        if number % 2:
            image.set_sform(None, 0)
            image.set_qform(affine, 1)
        if number % 4 == 1:
            image.header.set_slope_inter(0.37, -12.5)
        path = tmp_path / f"{number}.nii{'.gz' * (number % 3 == 0)}"
        nib.save(image, path)
        files.append(path.read_bytes())
        axis = "" if is_flat else ("", "axial", "coronal", "sagittal")[number % 4]
        axes.append(axis)
        expected.append(read_stack(path, axis=axis))
        assert not is_flat or len(expected[-1]) == 1
    for slices, stack in zip(read_in_page(page, files, axes), expected, strict=True):
        for one, image in zip(slices, stack.images, strict=True):
            np.testing.assert_array_equal(levels_of(one), normalise(image))
            np.testing.assert_allclose(one["spacing"], stack.spacing_mm, rtol=1e-6)


def test_what_cannot_be_read_is_refused_in_one_sentence_that_says_what_to_do(page):
    rng = np.random.default_rng(8)
    grey = rng.integers(0, 256, (20, 30)).astype(np.uint8)
    rgb = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    volumes = nib.Nifti1Image(rng.random((8, 9, 7, 2)), np.eye(4)).to_bytes()
    slab = nib.Nifti1Image(rng.random((8, 9, 1)), np.eye(4)).to_bytes()
    hole = np.ones((4, 4))
    hole[1, 2] = np.nan
    huge = npy(np.zeros((1, 1)))[:128].replace(b"(1, 1), }", b"(9000, 9000)}")
    refused = {
        "none of the kinds": b"hello, this is a text" * 30,
        "in colour": png(rgb),
        "in colour: save": cv2.imencode(".jpg", rgb)[1].tobytes(),
        "damaged JPEG": b"\xff\xd8\xff" + bytes(80),
        "transparent in places": png(np.dstack([grey] * 4)),
        "damaged or cut short": png(grey)[:300],
        "palette, few bits": png(grey, cv2.IMWRITE_PNG_BILEVEL, 1),
        "shape is (2, 7, 8, 9)": npy(rng.random((2, 7, 8, 9))),
        "(7, 8, 3), is that of a picture in colour": npy(rng.random((7, 8, 3))),
        "values of type c16": npy(rng.random((7, 8)) + 1j),
        "holds no pixels": npy(np.zeros((0, 5))),
        "cut short: it promises": npy(grey)[:-50],
        "more than this page can hold": huge,
        "holds no plain array": npy(np.zeros((7, 8), [("level", "f4")])),
        "1 of 16 pixels are NaN": npy(hole),
        "holds 2 volumes": volumes,
        "cut short: it promises more": slab[:-10],
        "damaged or cut short: make": gzip.compress(slab)[:-12],
    }
    for expected, one in zip(refused, read_in_page(page, [*refused.values()]), strict=True):
        assert expected in one["error"], one
        assert one["error"].endswith(".")


def test_a_dropped_image_becomes_a_slice_and_leaves_no_trace_of_its_name_as_html(page, head):
    name = "<img src=x onerror=document.title='caught'>"
    image = head.images[1][40:300, 20:251].astype(np.float64)
    drop(page, f"{name}.npy", npy(image))
    found = page.evaluate("result(document.querySelector('figure.live').live)")
    compare(found, trace_skull_mask(image), None)
    option = page.get_by_label("Slice", exact=True).locator("option").last
    assert option.text_content() == f"{name}.npy"
    drop(page, "another.npy", npy(image))
    option.filter(has_text="another.npy").wait_for(state="attached")
    complaint = page.get_by_role("alert")
    drop(page, "cut.nii.gz", b"no image")
    said = complaint.filter(has_text="cut.nii.gz: It is damaged, cut short, or")
    said.filter(has_text="not what its name says").wait_for()
    drop(page, f"{name}.txt", b"no image")
    complaint.filter(has_text="none of the kinds").wait_for()
    assert complaint.inner_text().startswith(f"{name}.txt")
    assert complaint.inner_text().endswith("The figure below still shows another.npy.")
    assert page.locator("figure.live img").count() == 0
    assert page.title() != "caught"


def drop(page, name: str, content: bytes) -> None:
    """Give the page a file, and wait until it shows a file of the reader's."""
    file = {"name": name, "mimeType": "", "buffer": content}
    page.set_input_files("figure.live input[type=file]", files=[file])
    page.wait_for_function("document.querySelector('figure.live').live.key === 'own'")


def test_a_dropped_volume_is_gone_through_slice_by_slice_and_cut_another_way(page):
    cropped = heads.load("studyforrest").images[4:9, 40:300:2, 20:251:2].astype(np.float32)
    cropped[0, 3, 4] = np.nan
    affine = np.diag([0.9, 0.9, 5, 1])
    volume = nib.Nifti1Image(cropped.transpose(2, 1, 0)[::-1, ::-1], affine)
    drop(page, "head.nii", volume.to_bytes())
    live_number = "document.querySelector('figure.live').live.number"
    slider = page.get_by_label("Slice number")
    slider.wait_for()
    assert slider.get_attribute("max") == "4"
    for number in (2, 4, 1):  # the middle one comes first
        if number != 2:
            slider.fill(str(number))
            page.wait_for_function(f"{live_number} === {number}")
        found = page.evaluate("result(document.querySelector('figure.live').live)")
        compare(found, trace_skull_mask(cropped[number], spacing_mm=(0.9, 0.9)), None)
        assert slider.get_attribute("aria-valuetext") == str(number)
        said = page.locator(".live-main").get_attribute("aria-label") or ""
        assert said.startswith(f"head.nii, slice {number}: ")

    slider.fill("0")
    complaint = page.get_by_role("alert").filter(has_text="head.nii, slice 0: 1 of")
    complaint.filter(has_text="The figure below still shows head.nii, slice 1.").wait_for()
    assert slider.input_value() == "1"
    assert page.get_by_label("Cut").input_value() == "axial"
    page.get_by_label("Cut").select_option("coronal")
    page.wait_for_function(f"{live_number} === {cropped.shape[1] // 2}")
    assert slider.get_attribute("max") == str(cropped.shape[1] - 1)
    page.get_by_label("Slice", exact=True).select_option(index=0)
    slider.wait_for(state="hidden")
    assert page.locator(".live-complaint").text_content() == ""


def save(page, kind: str, folder: Path) -> Path:
    """Have the page save its mask, and give where it is."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save the mask as {kind}").click()
    download.value.save_as(folder / download.value.suggested_filename)
    return Path(folder / download.value.suggested_filename)


@pytest.mark.parametrize(
    ("maker", "border"), [(nib.Nifti1Image, "dilation"), (nib.Nifti2Image, "dark growth")]
)
def test_saved_masks_are_pythons_and_lie_where_the_scan_lies(page, tmp_path, maker, border):
    images = heads.load("studyforrest").images[6:9, ::3, ::3].astype(np.int16)
    affine = np.array([[0, 0, -5.0, 3], [2.0, 0.1, 0, -7], [0, 2.1, 0, 11], [0, 0, 0, 1]])
    scan = maker(images.transpose(1, 2, 0), affine)
    scan.header.set_slope_inter(0.5, 3)
    nib.save(scan, tmp_path / "scan.nii")
    drop(page, "scan.nii", (tmp_path / "scan.nii").read_bytes())
    stack = read_stack(tmp_path / "scan.nii")
    masks = create_skull_masks(stack.images, PipelineSettings(border=border), stack.spacing_mm)
    page.locator("summary").click()
    page.locator("figure.live [name=border]").select_option(border)
    saved = {kind: save(page, kind, tmp_path) for kind in (".png", ".npy", ".nii")}
    names = ["scan_slice1_mask.png", "scan_mask.npy", "scan_mask.nii"]
    assert [path.name for path in saved.values()] == names
    picture = cv2.imread(str(saved[".png"]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(picture, 255 * masks[1])
    np.testing.assert_array_equal(np.load(saved[".npy"]), masks)
    written = nib.load(saved[".nii"])
    np.testing.assert_array_equal(written.affine, nib.load(tmp_path / "scan.nii").affine)
    assert (type(written), written.get_data_dtype()) == (maker, np.uint8)
    np.testing.assert_array_equal(read_stack(saved[".nii"]).images, masks)


def test_every_control_has_a_name_works_by_keyboard_and_is_announced_after_a_pause(page):
    width = page.get_by_label("Kernel width")
    width.press("ArrowRight")
    assert width.get_attribute("aria-valuetext") == "27 px, reaches 8.9 mm"
    spoken = page.locator("output.live-spoken")
    expected = f"IoU 0[.].*, Threshold 85, .*, Mask, px {shown(page, 'Mask')}."
    spoken.filter(has_text=re.compile(expected)).wait_for(state="attached")
    assert spoken.evaluate("(one) => one.ariaLive || one.tagName") == "OUTPUT"
    style = width.evaluate("(one) => getComputedStyle(one).outlineStyle")
    assert style not in ("none", "")
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Threshold").press("ArrowLeft")
    assert page.get_by_label("Threshold").get_attribute("aria-valuetext") == "84, by hand"
    assert not page.get_by_label("Otsu’s method").is_checked()
    signs = page.locator(".live-signs li")
    page.get_by_label("Threshold").press("End")
    assert signs.all_inner_texts() == ["The mask is empty: no pixel is above the threshold."]
    page.get_by_role("button", name="Back to the first settings").press("Enter")
    assert width.get_attribute("aria-valuetext") == "26 px, reaches 8.5 mm"
    assert signs.count() == 0
    unnamed = page.locator("figure.live").evaluate(
        """(figure) => Array.from(figure.querySelectorAll("input, select, button, .live-main"))
            .filter((one) => !(one.labels && one.labels.length) && !one.textContent.trim()
                && !one.getAttribute("aria-label")).length"""
    )
    assert unnamed == 0


def test_a_kernel_gets_the_command_lines_remark_on_its_reach(page, head):
    slider, best = page.get_by_label("Kernel width"), "best met by 7 to 8 mm"
    for width in range(61):
        slider.fill(str(width))
        is_wide = kernel_sign(PipelineSettings(kernel_width=width), head.spacing_mm)
        expected = not is_wide and best in span_remark(width, head.spacing_mm)
        assert (best in page.locator(".live-remark").inner_text()) == expected, width
        assert (best in (slider.get_attribute("aria-valuetext") or "")) == expected, width


def test_on_a_phone_all_moves_by_touch_and_by_key_and_nothing_overflows(chromium, site):
    with live_page(chromium, site, has_touch=True, **LOOKS["phone"]) as page:
        canvas = page.locator("canvas.live-main")
        centre = "document.querySelector('figure.live').live.centre"
        before = page.evaluate(centre)
        canvas.press("ArrowDown")
        assert page.evaluate(centre)[0] > before[0]
        x, y, width, height = box_of(canvas)
        page.touchscreen.tap(x + width / 2, y + height / 2)
        np.testing.assert_allclose(page.evaluate(centre), [192, 137], atol=3)
        slider = page.get_by_label("Kernel width")
        slider.scroll_into_view_if_needed()
        assert box_of(slider)[3] >= 28
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) == 0
        whole, part = box_of(canvas), box_of(page.locator(".live-detail"))
        assert part[1] >= whole[1] + whole[3]


def box_of(shown) -> tuple[float, ...]:
    """Where something is on the page: x, y, width, height, px."""
    box = shown.bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"], box["height"]


def test_a_link_opens_its_slice_and_print_or_a_page_without_script_shows_the_still_picture(
    chromium, head, tmp_path
):
    config = live.configure("whole", PipelineSettings(), head, start=1)
    config = live.write_scripts(config, head, tmp_path / "live")
    keys = [source["key"] for source in config["sources"]]
    links = "".join(f'<a href="#live-{key}">{key}</a> ' for key in keys)
    still = live.figure_html(config, png(np.zeros((60, 90), np.uint8)), "a still picture", keys)
    path = write_page(tmp_path, head, links + still)
    shows = "(key) => document.querySelector('figure.live').live.key === key"
    with live_page(chromium, path) as page:
        for key in keys:
            page.get_by_role("link", name=key, exact=True).press("Enter")
            page.wait_for_function(shows, arg=key)
        page.goto("about:blank")
        page.goto(f"{path.as_uri()}#live-{keys[2]}")
        page.wait_for_function(shows, arg=keys[2])
        still = page.get_by_alt_text("a still picture")
        assert not still.is_visible()
        page.emulate_media(media="print")
        assert still.is_visible()
    with opened(chromium, path, java_script_enabled=False) as page:
        assert page.get_by_alt_text("a still picture").is_visible()
    shutil.rmtree(tmp_path / "live")
    page = chromium.new_page()
    page.goto(path.as_uri())
    page.get_by_role("alert").filter(has_text="could not be loaded").wait_for()
    assert page.get_by_alt_text("a still picture").is_visible()
    page.close()


def shown(page, name: str) -> str:
    return page.locator(".live-numbers dl div", has_text=name).first.locator("dd").inner_text()


def test_a_page_asks_only_for_its_own_files_and_only_for_the_slice_it_shows(chromium, site):
    asked: list[str] = []
    with live_page(chromium, site, asked=asked):
        pass
    assert all(url.startswith(site.parent.as_uri()) for url in asked)
    assert [Path(url).name for url in asked if "/live/" in url] == ["slice-1.js"]
