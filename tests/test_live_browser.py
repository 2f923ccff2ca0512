"""Live figures in a real browser: the page's pipeline against Python's, bit for bit."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import asdict
from io import BytesIO
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import nibabel as nib
import numpy as np
import pytest
from screenshots import LOOKS

from skullnb import live, phantom
from skullnb.errors import InvalidImage
from skullnb.metrics import dice, iou
from skullnb.pipeline import PipelineSettings, SkullMaskTrace, normalise, steps, trace_skull_mask
from skullnb.stack import Stack, read_stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ASSETS = Path(__file__).resolve().parents[1] / "book" / "assets"
SCRIPTS = ("pipeline", "readers", "panel", "live")

# Moves a figure's controls as a reader would and gives the mask's bits and the numbers shown.
MOVE = """async ([source, settings]) => {
    const figure = document.querySelector("figure.live");
    const control = (name) => Array.from(figure.querySelectorAll("label"))
        .find((label) => label.textContent.startsWith(name)).control;
    const input = new Event("input", { bubbles: true });
    const set = (name, property, value) => {
        control(name)[property] = value;
        control(name).dispatchEvent(input);
    };
    if (figure.live.key !== source) {
        set("Slice", "value", source);
        while (figure.live.key !== source) await new Promise((next) => setTimeout(next, 5));
    }
    set("Neighbours", "value", String(settings.connectivity));
    set("Drop", "checked", settings.drop_edge_touching);
    set("Fill", "checked", settings.fill_holes);
    set("Kernel width", "value", String(settings.kernel_width));
    const shape = Array.from(figure.querySelectorAll("select"))
        .find((select) => select.options[0].value === "ellipse");
    shape.value = settings.kernel_shape;
    shape.dispatchEvent(input);
    set("Otsu", "checked", settings.threshold === "otsu");
    if (settings.threshold !== "otsu") set("Threshold", "value", settings.threshold);
    return { ...result(figure.live), milliseconds: figure.live.milliseconds };
}"""

# Runs the page's pipeline on a slice of the page without drawing.
TRACE = """async ([source, all]) => {
    const { normalised, reference } = await skullnbLive.slice(source);
    let trace = null;
    return all.map((settings) => {
        trace = skullnb.traceSkullMask(normalised, settings, trace);
        const scores = skullnb.overlaps(trace.mask, reference);
        return [packed(trace.brain.pixels), packed(trace.mask.pixels), scores];
    });
}"""

HELPERS = """
function packed(pixels) {
    const bits = new Uint8Array(Math.ceil(pixels.length / 8));
    pixels.forEach((pixel, i) => { bits[i >> 3] |= pixel << (7 - (i & 7)); });
    let text = "";
    for (const byte of bits) text += String.fromCharCode(byte);
    return btoa(text);
}
function result({ trace }) {
    const shown = Array.from(document.querySelectorAll("figure.live dl div"));
    return {
        mask: packed(trace.mask.pixels),
        brain: packed(trace.brain.pixels),
        shown: Object.fromEntries(shown.map(({ children: [name, value] }) =>
            [name.textContent, value.textContent])),
        empty: document.querySelector(".live-empty").textContent,
    };
}
function unpack({ pixels, height, width }) {
    const bytes = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
    return { pixels: bytes, height, width };
}
"""


# The rule of the page's policy that keeps it from an address.
REFUSED = """(address) => new Promise((refused) => {
    addEventListener("securitypolicyviolation", (one) => refused(one.effectiveDirective));
    fetch(address).then(() => refused("nothing"), () => {});
})"""


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
def published() -> Stack:
    return phantom.published_stack()


@pytest.fixture(scope="module")
def site(chromium: Browser, published: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("live"), published)


@pytest.fixture
def page(chromium: Browser, site: Path) -> Iterator[Page]:
    yield from opened(chromium, site)


def opened(chromium: Browser, path: Path, **look: Any) -> Iterator[Page]:
    """Open a page that must not complain, and wait for its figure."""
    context = chromium.new_context(**look)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.locator("figure.is-live").wait_for()
    yield page
    context.close()
    assert complaints == []


def bits(mask: np.ndarray) -> str:
    return b64encode(np.packbits(mask).tobytes()).decode("ascii")


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
    return dict(live._config("whole", settings, [], "", 0)["settings"])


def compare(found: dict[str, Any], trace: SkullMaskTrace, reference: np.ndarray | None) -> None:
    """Hold what the page found and shows against Python."""
    assert found["mask"] == bits(trace.mask)
    assert found["brain"] == bits(trace.brain)
    expected = {
        "Threshold": str(trace.threshold),
        "Components": f"{len(trace.components):,}",
        "Touch the frame": f"{trace.n_edge_touching:,}",
        "Brain, px": f"{np.count_nonzero(trace.brain):,}",
        "Dilated, px": f"{np.count_nonzero(trace.dilated):,}",
        "Mask, px": f"{np.count_nonzero(trace.mask):,}",
    }
    if reference is not None:
        expected["IoU"] = f"{iou(trace.mask, reference):.4f}"
        expected["Dice"] = f"{dice(trace.mask, reference):.4f}"
    assert found["shown"] == expected
    assert trace.reason.split(":")[0].split(" (")[0] in found["empty"]
    assert bool(found["empty"]) == bool(trace.reason)


def test_the_built_in_slices_have_pythons_masks_at_the_articles_and_at_random_settings(
    page: Page, published: Stack
) -> None:
    rng = np.random.default_rng(1)
    times = []
    for index, image in enumerate(published.images):
        for settings in (PipelineSettings(), *(random_settings(rng) for _ in range(4))):
            found = page.evaluate(MOVE, [f"slice-{index}", asdict(settings)])
            compare(found, trace_skull_mask(image, settings), published.reference[index])
            times.append(found["milliseconds"])
    shortest, median, longest = np.quantile(times, (0, 0.5, 1))
    print(f"a move at 768 x 624: {shortest:.1f} to {longest:.1f} ms, median {median:.1f} ms")


def test_every_variant_of_the_phantom_has_pythons_masks(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    heads = {name: phantom.variant(name) for name in phantom.VARIANTS}
    monkeypatch.setattr(live, "_variant", heads.__getitem__)  # each is drawn once
    keys = [f"{name}-{number % 5}" for number, name in enumerate(heads)]
    config = live.write_slices(
        live._config("whole", PipelineSettings(), [{"key": k, "label": k} for k in keys], "", 0),
        heads["bridge"],
        tmp_path / "live",
    )
    assert [source["key"] for source in config["sources"]] == keys
    html = live.figure_html(config)
    for page in opened(chromium, write_page(tmp_path, heads["bridge"], html)):
        for key in keys:
            name, _, index = key.rpartition("-")
            tried = [PipelineSettings(), *(random_settings(rng) for _ in range(2))]
            found = page.evaluate(TRACE, [key, [in_page(settings) for settings in tried]])
            reference = heads[name].reference[int(index)]
            for settings, (brain, mask, scores) in zip(tried, found, strict=True):
                trace = trace_skull_mask(heads[name].images[int(index)], settings)
                assert (brain, mask) == (bits(trace.brain), bits(trace.mask)), (key, settings)
                assert scores == {
                    "iou": iou(trace.mask, reference),
                    "dice": dice(trace.mask, reference),
                }


def test_noise_lines_and_ties_have_pythons_masks(page: Page) -> None:
    rng = np.random.default_rng(3)
    shapes = [(1, 1), (1, 57), (57, 1), (2, 2), (3, 80), (64, 64), (200, 150)]
    cases = []
    for _ in range(40):
        for shape in [*shapes, tuple(rng.integers(1, 40, 2))]:
            image = [
                rng.integers(0, 256, shape),
                255 * (rng.random(shape) < rng.choice([0.05, 0.2, 0.4, 0.6])),
                rng.choice([0, 3, 128, 255], shape),
            ][rng.integers(3)].astype(np.uint8)
            cases.append((image, random_settings(rng)))
    sent = [
        {
            "pixels": b64encode(image.tobytes()).decode("ascii"),
            "height": image.shape[0],
            "width": image.shape[1],
            "settings": in_page(settings),
        }
        for image, settings in cases
    ]
    found = page.evaluate(
        """(cases) => cases.map((one) => {
            const trace = skullnb.traceSkullMask(unpack(one), one.settings);
            return [trace.threshold, packed(trace.brain.pixels), packed(trace.mask.pixels)];
        })""",
        sent,
    )
    for (image, settings), (threshold, brain, mask) in zip(cases, found, strict=True):
        expected = steps.threshold_of(image, settings)
        labels, components = steps.label_components(
            steps.binarise(image, expected), settings.connectivity
        )
        chosen = steps.choose_brain(components, settings.drop_edge_touching)
        component = steps.component_mask(labels, chosen)
        grown = steps.dilate(component, settings.kernel_width, settings.kernel_shape)
        whole = steps.fill_holes(grown) if settings.fill_holes else grown
        assert (threshold, brain, mask) == (expected, bits(component), bits(whole)), settings


def test_the_kernel_is_opencvs_at_every_width(page: Page) -> None:
    found = page.evaluate(
        """() => ["ellipse", "rectangle"].flatMap((shape) => Array.from({ length: 60 }, (_, i) => {
            const dot = { pixels: new Uint8Array(130 * 130), height: 130, width: 130 };
            dot.pixels[65 * 130 + 65] = 1;
            return packed(skullnb.dilate(dot, i + 1, shape).pixels);
        }))"""
    )
    dot = np.zeros((130, 130), dtype=np.uint8)
    dot[65, 65] = 1
    expected = [
        bits(steps.dilate(dot, width, shape))
        for shape in ("ellipse", "rectangle")
        for width in range(1, 61)
    ]
    assert found == expected


def read_in_page(page: Page, files: list[bytes]) -> list[Any]:
    """Read files as the page reads a dropped one: levels and shape, or the complaint."""
    return [one[0] if isinstance(one, list) else one for one in read_stacks_in_page(page, files)]


def read_stacks_in_page(page: Page, files: list[bytes]) -> list[Any]:
    """Read the same, but every slice of a file."""
    return list(
        page.evaluate(
            """(files) => Promise.all(files.map(async (file) => {
                try {
                    const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
                    const stack = await skullnbReaders.readStack(bytes);
                    return Array.from({ length: stack.length }, (_, number) => {
                        const image = stack.read(number);
                        const { pixels, height, width } = skullnb.normalise(image);
                        let text = "";
                        for (const level of pixels) text += String.fromCharCode(level);
                        const shape = [height, width];
                        return { levels: btoa(text), shape, spacing: image.spacing };
                    });
                } catch (error) {
                    return { error: error.message };
                }
            }))""",
            [b64encode(file).decode("ascii") for file in files],
        )
    )


def levels_of(found: dict[str, Any]) -> np.ndarray:
    assert "error" not in found, found
    return np.frombuffer(b64decode(found["levels"]), np.uint8).reshape(found["shape"])


def npy(array: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_arrays_are_normalised_bit_for_bit_whatever_their_type(page: Page) -> None:
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
    images.append(np.asfortranarray(rng.random((9, 14)).astype(np.float32)))
    images.append(rng.integers(0, 900, (1, 9, 14)))
    found = read_in_page(page, [npy(image) for image in images])
    for image, one in zip(images, found, strict=True):
        expected = normalise(image.reshape(image.shape[-2:]))
        np.testing.assert_array_equal(levels_of(one), expected, err_msg=str(image.dtype))


def test_grey_png_files_of_8_and_16_bits_are_read_exactly(page: Page) -> None:
    rng = np.random.default_rng(5)
    rough = rng.integers(0, 2**16, (37, 52)).astype(np.uint16)
    smooth = np.add.outer(np.arange(37), 3 * np.arange(52)).astype(np.uint8)
    grey = [rough, rough.astype(np.uint8), smooth, np.zeros((1, 9), np.uint8)]
    files = [cv2.imencode(".png", image)[1].tobytes() for image in grey]
    files.append(cv2.imencode(".png", cv2.cvtColor(smooth, cv2.COLOR_GRAY2BGR))[1].tobytes())
    files.append(cv2.imencode(".png", cv2.cvtColor(smooth, cv2.COLOR_GRAY2BGRA))[1].tobytes())
    for image, found in zip([*grey, smooth, smooth], read_in_page(page, files), strict=True):
        np.testing.assert_array_equal(levels_of(found), normalise(image))


@pytest.mark.parametrize("is_flat", [True, False])
def test_nifti_slices_are_cut_and_scaled_as_python_does(
    page: Page, tmp_path: Path, is_flat: bool
) -> None:
    rng = np.random.default_rng(6)
    files, expected = [], []
    kinds = ["uint8", "int16", "float32", "float64", "uint16", "int32", "int8", "uint32"]
    for number, (order, signs) in enumerate(
        product(permutations(range(3)), product((1, -1), repeat=3))
    ):
        shape, axis = [14, 19, 11], "axial"
        if is_flat:  # one stored axis has one voxel: a single slice along that axis
            flat = number % 3
            shape[flat] = 1
            axis = {0: "sagittal", 1: "coronal", 2: "axial"}[order[flat]]
        affine = np.eye(4)
        affine[:3, :3] = 0
        for stored, (to, sign) in enumerate(zip(order, signs, strict=True)):
            affine[to, stored] = sign * (0.5, 0.7, 2.0)[stored]
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
        expected.append(read_stack(path, axis=axis))
        assert (len(expected[-1]) == 1) == is_flat
    for slices, stack in zip(read_stacks_in_page(page, files), expected, strict=True):
        for one, image in zip(slices, stack.images, strict=True):
            np.testing.assert_array_equal(levels_of(one), normalise(image))
            np.testing.assert_allclose(one["spacing"], stack.spacing_mm, rtol=1e-6)


def test_a_stack_of_arrays_is_read_in_both_orders(page: Page) -> None:
    rng = np.random.default_rng(9)
    images = rng.integers(0, 900, (6, 9, 14)).astype("<i2")
    files = [npy(images), npy(np.asfortranarray(images)), npy(images.astype(">f8"))]
    for slices in read_stacks_in_page(page, files):
        for one, image in zip(slices, images, strict=True):
            np.testing.assert_array_equal(levels_of(one), normalise(image))


def test_a_nifti_file_in_the_other_byte_order_or_without_a_place_is_read(
    page: Page, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(7).normal(0, 50, (12, 9)).astype(np.float32)
    swapped = nib.Nifti1Image(pixels[..., np.newaxis], np.diag([2, 3, 4, 1]))
    swapped = nib.Nifti1Image(pixels[..., np.newaxis], None, swapped.header.as_byteswapped(">"))
    nowhere = nib.Nifti1Image(pixels, None)
    nowhere.set_sform(None, 0)
    nowhere.set_qform(None, 0)
    files = []
    for name, image in (("swapped", swapped), ("nowhere", nowhere)):
        nib.save(image, tmp_path / f"{name}.nii")
        files.append(tmp_path / f"{name}.nii")
    assert files[0].read_bytes()[:4] == (348).to_bytes(4, "big")
    for file, one in zip(files, read_in_page(page, [f.read_bytes() for f in files]), strict=True):
        np.testing.assert_array_equal(levels_of(one), normalise(read_stack(file).images[0]))


def test_what_cannot_be_read_is_refused_in_one_sentence_that_says_what_to_do(page: Page) -> None:
    rng = np.random.default_rng(8)
    grey = rng.integers(0, 256, (20, 30)).astype(np.uint8)
    colour = cv2.imencode(".png", rng.integers(0, 256, (20, 30, 3)).astype(np.uint8))[1].tobytes()
    clear = np.dstack([grey, grey, grey, grey])
    png = cv2.imencode(".png", grey)[1].tobytes()
    volumes = nib.Nifti1Image(rng.random((8, 9, 7, 2)), np.eye(4)).to_bytes()
    slab = nib.Nifti1Image(rng.random((8, 9, 1)), np.eye(4)).to_bytes()
    hole = np.ones((4, 4))
    hole[1, 2] = np.nan
    refused = {
        "none of the kinds": b"hello, this is a text" * 30,
        "none of the kinds ": b"",
        "in colour": colour,
        "transparent in places": cv2.imencode(".png", clear)[1].tobytes(),
        "damaged PNG": png[:20],
        "damaged or cut short": png[:300],
        "palette, few bits": cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes(),
        "shape is (2, 7, 8, 9)": npy(rng.random((2, 7, 8, 9))),
        "(7, 8, 3), is that of a picture in colour": npy(rng.random((7, 8, 3))),
        "holds no slices": npy(np.zeros((0, 5, 5))),
        "values of type c16": npy(rng.random((7, 8)) + 1j),
        "values of type f2": npy(rng.random((7, 8)).astype(np.float16)),
        "values of type b1": npy(grey > 100),
        "holds no pixels": npy(np.zeros((0, 5))),
        "cut short: it promises": npy(grey)[:-50],
        "more than this page can hold": npy(np.zeros((1, 1)))[:128].replace(
            b"(1, 1), }", b"(9000, 9000)}"
        ),
        "holds no plain array": npy(np.zeros((7, 8), [("level", "f4")])),
        "damaged .npy": npy(grey)[:9],
        " none of the kinds": nib.Nifti2Image(grey[:, :, None], np.eye(4)).to_bytes()[:400],
        "1 of 16 pixels are NaN": npy(hole),
        "holds 2 volumes": volumes,
        "cut short: it promises more": slab[:-10],
        "damaged or cut short: make": gzip.compress(slab)[:-12],
    }
    found = read_in_page(page, list(refused.values()))
    for expected, one in zip(refused, found, strict=True):
        assert expected.strip() in one.get("error", ""), one
        assert one["error"].endswith(".")


def test_a_nan_is_refused_where_python_refuses_it() -> None:
    with pytest.raises(InvalidImage, match="1 of 2 pixels that are NaN"):
        normalise(np.array([[1.0, np.nan]]))


def test_a_dropped_image_becomes_a_slice_and_leaves_no_trace_of_its_name_as_html(
    page: Page, published: Stack
) -> None:
    name = "<img src=x onerror=document.title='caught'>.npy"
    image = published.images[3][100:600, 50:501].astype(np.float64)
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": npy(image)}
    page.set_input_files("figure.live input[type=file]", files=[file])
    page.wait_for_function("document.querySelector('figure.live').live.key === 'own'")
    found = page.evaluate("result(document.querySelector('figure.live').live)")
    compare(found, trace_skull_mask(image), None)
    option = page.get_by_label("Slice", exact=True).locator("option").last
    assert option.text_content() == name
    assert page.locator("figure.live img").count() == 0
    assert page.title() != "caught"

    file["name"] = "another.npy"
    page.set_input_files("figure.live input[type=file]", files=[file])
    option.filter(has_text="another.npy").wait_for(state="attached")

    for kind in (".npy", ".PNG", ".nii", ".nii.gz"):
        file = {"name": f"cut{kind}", "mimeType": "", "buffer": b"no image"}
        page.set_input_files("figure.live input[type=file]", files=[file])
        said = page.get_by_role("alert").filter(has_text=f"cut{kind}: It is damaged, cut short, or")
        said.filter(has_text="not what its name says").wait_for()

    name = "<img src=x onerror=document.title='caught'>.txt"
    file = {"name": name, "mimeType": "text/plain", "buffer": b"no image"}
    page.set_input_files("figure.live input[type=file]", files=[file])
    complaint = page.get_by_role("alert")
    complaint.filter(has_text="none of the kinds").wait_for()
    assert complaint.inner_text().startswith(name)
    assert complaint.inner_text().endswith("The figure below still shows another.npy.")
    assert page.locator("figure.live img").count() == 0


def test_a_dropped_volume_is_gone_through_slice_by_slice(page: Page, published: Stack) -> None:
    cropped = published.images[:, 100:600:2, 50:501:2].astype(np.float32)
    cropped[0, 3, 4] = np.nan
    volume = nib.Nifti1Image(cropped.transpose(2, 1, 0)[::-1, ::-1], np.diag([0.9, 0.9, 5, 1]))
    file = {"name": "head.nii", "mimeType": "", "buffer": volume.to_bytes()}
    page.set_input_files("figure.live input[type=file]", files=[file])
    live_number = "document.querySelector('figure.live').live.number"
    slider = page.get_by_label("Slice number")
    slider.wait_for()
    assert slider.get_attribute("max") == "4"
    for number in (2, 4, 1):  # the middle one comes first
        if number != 2:
            slider.fill(str(number))
            page.wait_for_function(f"{live_number} === {number}")
        found = page.evaluate("result(document.querySelector('figure.live').live)")
        compare(found, trace_skull_mask(cropped[number]), None)
        assert slider.get_attribute("aria-valuetext") == str(number)
        said = page.locator(".live-main").get_attribute("aria-label") or ""
        assert said.startswith(f"head.nii, slice {number}: ")

    slider.fill("0")
    complaint = page.get_by_role("alert").filter(has_text="head.nii, slice 0: 1 of")
    complaint.filter(has_text="The figure below still shows head.nii, slice 1.").wait_for()
    assert slider.input_value() == "1"
    page.get_by_label("Slice", exact=True).select_option(index=0)
    slider.wait_for(state="hidden")
    assert page.locator(".live-complaint").text_content() == ""


def test_an_image_can_be_dropped_anywhere_with_the_mouse(page: Page) -> None:
    drop = page.locator(".live-drop")
    stopped = page.evaluate(
        """(array) => {
            const bytes = Uint8Array.from(atob(array), (letter) => letter.charCodeAt(0));
            window.dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], "dropped.npy"));
            window.drag = (kind, place) => !document.querySelector(place).dispatchEvent(
                new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
            return drag("dragover", "body");
        }""",
        b64encode(npy(np.eye(30))).decode("ascii"),
    )
    assert stopped
    assert "is-over" in (drop.get_attribute("class") or "")
    page.evaluate("drag('dragleave', 'body')")
    assert "is-over" not in (drop.get_attribute("class") or "")
    page.evaluate("drag('dragover', '.live-drop')")
    assert page.evaluate("drag('drop', '.live-main')"), "the browser would open the file"
    page.wait_for_function("document.querySelector('figure.live').live.key === 'own'")
    assert "is-over" not in (drop.get_attribute("class") or "")
    page.evaluate("dataTransfer.items.clear()")
    assert not page.evaluate("drag('drop', 'body')"), "text that is dragged is not ours"


def test_every_control_has_a_name_and_works_by_keyboard(page: Page) -> None:
    width = page.get_by_label("Kernel width")
    width.focus()
    width.press("ArrowRight")
    assert width.get_attribute("aria-valuetext") == "27 px"
    assert shown(page, "Mask") != shown(page, "Brain")
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Drop what touches the frame").focus()
    page.keyboard.press("Space")
    page.get_by_label("Threshold").press("ArrowLeft")
    assert page.get_by_label("Threshold").get_attribute("aria-valuetext") == "22, by hand"
    assert not page.get_by_label("Otsu’s method").is_checked()
    page.get_by_role("button", name="Back to the report’s settings").press("Enter")
    assert width.get_attribute("aria-valuetext") == "26 px"
    assert page.get_by_label("Otsu’s method").is_checked()
    unnamed = page.locator("figure.live").evaluate(
        """(figure) => Array.from(figure.querySelectorAll("input, select, button, .live-main"))
            .filter((one) => !(one.labels && one.labels.length) && !one.textContent.trim()
                && !one.getAttribute("aria-label")).length"""
    )
    assert unnamed == 0


def test_a_focused_control_can_be_seen(page: Page) -> None:
    for locator in (page.get_by_label("Kernel width"), page.locator("canvas.live-main")):
        locator.focus()
        page.keyboard.press("ArrowLeft")
        style = locator.evaluate("(one) => getComputedStyle(one).outlineStyle")
        assert style not in ("none", "")


def test_a_change_is_announced_in_one_sentence_after_a_pause(page: Page) -> None:
    page.get_by_label("Kernel width").press("ArrowLeft")
    expected = f"Threshold 23, .*, Mask, px {shown(page, 'Mask')}, IoU 0[.].*"
    spoken = page.locator("output.live-spoken")
    spoken.filter(has_text=re.compile(expected)).wait_for(state="attached")
    assert spoken.evaluate("(one) => one.ariaLive || one.tagName") == "OUTPUT"


def test_an_empty_mask_says_why(page: Page) -> None:
    page.get_by_label("Threshold").press("End")
    assert page.locator(".live-empty").inner_text() == (
        "The mask is empty: no pixel is above the threshold, 255."
    )


def test_the_enlarged_part_moves_by_key_by_mouse_and_by_touch(
    chromium: Browser, site: Path
) -> None:
    for page in opened(chromium, site, has_touch=True, **LOOKS["phone"]):
        canvas = page.locator("canvas.live-main")
        centre = "document.querySelector('figure.live').live.centre"
        before = page.evaluate(centre)
        canvas.focus()
        page.keyboard.press("ArrowDown")
        assert page.evaluate(centre)[0] > before[0]
        box = canvas.bounding_box()
        assert box is not None
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        np.testing.assert_allclose(page.evaluate(centre), [384, 312], atol=3)
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
        np.testing.assert_allclose(page.evaluate(centre), [192, 156], atol=3)
        page.mouse.up()


def test_a_slider_moves_by_touch_on_a_phone_and_nothing_overflows(
    chromium: Browser, site: Path
) -> None:
    for page in opened(chromium, site, has_touch=True, **LOOKS["phone"]):
        slider = page.get_by_label("Kernel width")
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        assert box is not None
        assert box["height"] >= 28
        page.touchscreen.tap(box["x"] + 4, box["y"] + box["height"] / 2)
        assert slider.input_value() in ("0", "1")
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) == 0
        whole, part = (page.locator(f".live-{one}").bounding_box() for one in ("main", "detail"))
        assert whole is not None
        assert part is not None
        assert part["y"] >= whole["y"] + whole["height"]
        assert min(whole["width"], part["width"]) > 0.8 * page.viewport_size["width"]


def test_where_the_outline_lies_its_colour_is_on_the_canvas(page: Page) -> None:
    count = """(colour) => {
        const canvas = document.querySelector("canvas.live-detail"), { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        const wanted = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
        let count = 0;
        for (let i = 0; i < data.length; i += 4) {
            if (wanted.every((part, j) => Math.abs(part - data[i + j]) < 12)) count++;
        }
        return count;
    }"""
    colours = {name: live.PALETTE[name] for name in ("brain", "mask", "reference")}
    assert all(page.evaluate(count, colour) > 20 for colour in colours.values())
    for name in colours:
        page.get_by_label(name, exact=True).uncheck()
    assert {page.evaluate(count, colour) for colour in colours.values()} == {0}


def test_print_and_a_page_without_script_show_the_still_picture(
    chromium: Browser, published: Stack, tmp_path: Path
) -> None:
    config = live.write_slices(
        live._config("whole", PipelineSettings(), live._sources(published), "slice-2", 5),
        published,
        tmp_path / "live",
    )
    html = live.figure_html(
        config, live.encode_png(np.zeros((60, 90), np.uint8)), "a still picture"
    )
    path = write_page(tmp_path, published, html)
    for page in opened(chromium, path):
        still = page.get_by_alt_text("a still picture")
        assert not still.is_visible()
        page.emulate_media(media="print")
        assert still.is_visible()
        assert not page.locator(".live-panel").is_visible()
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.get_by_alt_text("a still picture").is_visible()
    context.close()


def test_where_a_slice_is_missing_the_still_picture_stays_and_the_page_says_so(
    chromium: Browser, published: Stack, tmp_path: Path
) -> None:
    sources = live._sources(published)
    config = live._config("whole", PipelineSettings(), sources, "slice-2", 5)
    html = live.figure_html(
        {**config, "note": ""}, live.encode_png(np.zeros((6, 9), np.uint8)), "x"
    )
    page = chromium.new_page()
    page.goto(write_page(tmp_path, published, html).as_uri())
    page.get_by_role("alert").filter(has_text="could not be loaded").wait_for()
    assert page.get_by_alt_text("x").is_visible()
    page.close()


def shown(page: Page, name: str) -> str:
    return page.locator(".live-numbers dl div", has_text=name).first.locator("dd").inner_text()


def test_a_page_asks_only_for_its_own_files_and_only_for_the_slice_it_shows(
    chromium: Browser, site: Path
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.as_uri())
    page.locator("figure.is-live").wait_for()
    assert all(url.startswith(site.parent.as_uri()) for url in asked)
    assert [Path(url).name for url in asked if "/live/" in url] == ["slice-2.js"]
    context.close()


def test_in_a_single_file_the_slices_may_stand_in_the_page(
    chromium: Browser, site: Path, tmp_path: Path
) -> None:
    html = site.read_text(encoding="utf-8")
    for name in SCRIPTS:
        text = (ASSETS / f"{name}.js").read_text(encoding="utf-8")
        html = html.replace(f'<script src="{name}.js"></script>', f"<script>{text}</script>")
    inside = (site.parent / "live" / "slice-2.js").read_text("ascii")
    html = html.replace('<link rel="stylesheet" href="skullnb.css">', "")
    template = (ASSETS.parent / "single-file.html").read_text(encoding="utf-8")
    [policy] = re.findall(r"<meta http-equiv.*>", template)
    html = html.replace('<meta charset="utf-8">', f'<meta charset="utf-8">{policy}')
    (tmp_path / "alone.html").write_text(f"{html}<script>{inside}</script>", encoding="utf-8")
    for page in opened(chromium, tmp_path / "alone.html"):
        assert shown(page, "Threshold") == "23"
        file = {"name": "own.npy", "mimeType": "", "buffer": npy(np.eye(30))}
        page.set_input_files("figure.live input[type=file]", files=[file])
        page.wait_for_function("document.querySelector('figure.live').live.key === 'own'")
    page = chromium.new_page()
    page.goto((tmp_path / "alone.html").as_uri())
    assert page.evaluate(REFUSED, "https://example.invalid") == "connect-src"
    page.close()


def test_the_settings_are_those_of_the_report(chromium: Browser, tmp_path: Path) -> None:
    stack = phantom.variant("bridge").select([2])
    settings = PipelineSettings(kernel_width=80)
    html = live.try_it(stack, settings, tmp_path / "live")
    assert json.dumps(80) in html
    for page in opened(chromium, write_page(tmp_path, stack, html)):
        slider = page.get_by_label("Kernel width")
        assert (slider.input_value(), slider.get_attribute("max")) == ("80", "80")
        trace = trace_skull_mask(stack.images[0], settings)
        assert shown(page, "Mask") == f"{np.count_nonzero(trace.mask):,}"
        assert not page.get_by_label("Slice", exact=True).is_visible()
