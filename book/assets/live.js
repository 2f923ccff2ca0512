// Turns every <figure class="live"> into a figure whose reader moves the pipeline's settings. The
// figure holds a picture of the report's settings, which stays in print and without this script.
"use strict";

const skullnbLive = (() => {
  const folder = new URL("live/", document.currentScript.src || document.baseURI).href;

  const { LAYERS, OUTLINES, FOCUS, panelOf } = skullnbPanel;
  const SHADES = { none: 0, brain: 1, scalp: 2, quiet: 3, mask: 4, accent: 5 };
  const TINT = 0.55, ZOOM = 4, MOST_STEPS = 100000;

  function make(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  const channels = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

  // Slices come as scripts, since a page opened from disk may not fetch; each calls `take`. They
  // are loaded when they are needed, or stand in the page below this script.
  const arrived = {}, decoded = {};
  function take(key, data) {
    arrived[key] = data;
  }

  function slice(key) {
    decoded[key] ||= (arrived[key] ? Promise.resolve() : run(`${folder}${key}.js`))
      .then(() => decode(arrived[key]));
    return decoded[key];
  }

  function run(src) {
    return new Promise((resolve, reject) => {
      const onerror = () => reject(new Error("The slice could not be loaded."));
      document.head.append(make("script", { src, onload: resolve, onerror }));
    });
  }

  async function decode({ image, reference, spacing }) {
    const levels = async (png) => {
      const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
      const picture = (await skullnbReaders.readStack(bytes)).read(0);
      return { ...picture, pixels: Uint8Array.from(picture.pixels) };
    };
    const mask = reference && (await levels(reference));
    if (mask) mask.pixels = mask.pixels.map((pixel) => (pixel ? 1 : 0));
    return { normalised: await levels(image), reference: mask, spacing };
  }

  // The border of a mask along the sides of its pixels; none where it is too ragged to be drawn.
  function outlineOf(mask) {
    const path = new Path2D(), { height } = mask, { edges, first } = skullnb.cutIntoRuns(mask);
    if (edges.length > MOST_STEPS) return path;
    const ends = (row) => edges.subarray(2 * first[row], 2 * first[row + 1]);
    for (let row = 0; row <= height; row++) {
      const here = row < height ? ends(row) : [], above = row ? ends(row - 1) : [];
      for (const column of here) {
        path.moveTo(column, row);
        path.lineTo(column, row + 1);
      }
      // Sorted together, the ends of both rows' runs enclose in pairs where the two rows differ.
      const both = Int32Array.of(...here, ...above).sort();
      for (let i = 0; i < both.length; i += 2) {
        if (both[i] < both[i + 1]) {
          path.moveTo(both[i], row);
          path.lineTo(both[i + 1], row);
        }
      }
    }
    return path;
  }

  // A number for every pixel that says which tint of `SHADES` it gets.
  function paint(trace, layer) {
    const { labels, chosen, brain, dilated, mask, binary } = trace, { quiet, scalp } = SHADES;
    if (layer === "components") {
      const other = (one) => (labels.touchesEdge[one] ? scalp : quiet);
      const kind = (one) => (one === chosen ? SHADES.brain : other(one));
      return skullnb.paintComponents(labels, kind).pixels;
    }
    const [last, earlier, late, early] = {
      slice: [mask, mask, 0, 0],
      bright: [binary, binary, 0, SHADES.accent],
      dilation: [dilated, brain, SHADES.mask, SHADES.brain],
      holes: [mask, dilated, SHADES.accent, SHADES.mask],
    }[layer];
    const shades = new Uint8Array(last.pixels.length), inside = earlier.pixels;
    for (let i = 0; i < shades.length; i++) {
      shades[i] = inside[i] ? early : last.pixels[i] ? late : 0;
    }
    return shades;
  }

  function makeLive(figure, number) {
    const config = JSON.parse(figure.dataset.live), focus = FOCUS[config.focus];
    const { palette } = config;
    const sources = new Map(config.sources.map(({ key, label }) => [key, label]));
    const widths = new Map(config.sources.map(({ key, kernelWidth }) => [key, kernelWidth]));
    const usualWidth = (key) => widths.get(key) ?? config.settings.kernelWidth;
    const state = {
      settings: { ...config.settings }, layer: focus.layer, outlines: new Set(focus.outlines),
      key: config.start, number: 0, slice: null, trace: null, centre: null,
    };
    let own = null; // the reader's own file: its name and its slices
    figure.live = state;
    const paths = new WeakMap();
    const pathOf = (mask) => {
      if (!paths.has(mask)) paths.set(mask, outlineOf(mask));
      return paths.get(mask);
    };

    // ---- what the reader can move, and sees ----------------------------------------------------
    const panel = make("template", {
      innerHTML: panelOf(focus.first).replaceAll("ID", `live-${number}`),
    }).content.firstElementChild;
    const [main, detail, histogram, legend, signs, numbers, reset, note, spoken] = [
      ".live-main", ".live-detail", ".live-histogram", ".live-legend", ".live-signs", "dl",
      "button", ".live-foot p", "output",
    ].map((part) => panel.querySelector(part));
    const complaint = make("p", { className: "live-complaint", role: "alert" });
    const controls = Object.fromEntries(
      Array.from(panel.querySelectorAll("[name]"), (control) => [control.name, control]),
    );
    controls.kernelWidth.max = Math.max(60, config.settings.kernelWidth);
    const farthest = Math.max(25, config.settings.reachMm);
    Object.assign(controls.reachMm, { min: 2, max: farthest, step: 0.5 });
    for (const name of OUTLINES) {
      controls[name].parentNode.style.setProperty("--swatch", palette[name]);
    }
    panel.addEventListener("input", ({ target: { name, type, checked, value } }) => {
      const { settings, outlines, trace } = state;
      if (name === "slice" || name === "number") {
        return void open(controls.slice.value, Number(controls.number.value));
      }
      if (name === "axis") {
        own.slices = own.slices.along(value);
        return void open("own", own.slices.length >> 1);
      }
      if (name === "layer") state.layer = value;
      else if (OUTLINES.includes(name)) outlines[checked ? "add" : "delete"](name);
      else if (name === "otsu") settings.threshold = checked ? "otsu" : trace.threshold;
      else if (type === "checkbox") settings[name] = checked;
      else settings[name] = ["kernelShape", "border"].includes(name) ? value : Number(value);
      refresh();
    });

    // How far a kernel carries a border on average, where the size of a pixel is known.
    function reachOf(width) {
      const { spacing } = state.slice;
      const reach = spacing && (Math.max(width - 1, 0) / 2) * ((spacing[0] + spacing[1]) / 2);
      return spacing ? `, reaches ${reach.toFixed(1)} mm` : "";
    }
    const canGrow = () => Boolean(state.slice.spacing);

    // Sets every control to what the state says.
    function update() {
      const { settings, trace, key, number, layer, outlines } = state;
      const otsu = settings.threshold === "otsu";
      const values = { ...settings, threshold: trace.threshold, otsu, slice: key, number, layer };
      values.axis = (key === "own" && own.slices.axis) || "axial";
      for (const name of OUTLINES) values[name] = outlines.has(name);
      for (const [name, control] of Object.entries(controls)) {
        control[control.type === "checkbox" ? "checked" : "value"] = values[name];
      }
      const said = {
        threshold: `${trace.threshold}, ${otsu ? "Otsu’s" : "by hand"}`,
        kernelWidth: `${settings.kernelWidth} px${reachOf(settings.kernelWidth)}`,
        reachMm: `${settings.reachMm} mm at most`,
        number: String(number),
      };
      const grows = settings.border === "dark growth";
      controls.border.parentNode.hidden = !canGrow();
      controls.reachMm.parentNode.hidden = !grows;
      controls.kernelWidth.parentNode.hidden = controls.kernelShape.parentNode.hidden = grows;
      for (const [name, text] of Object.entries(said)) {
        controls[name].setAttribute("aria-valuetext", text);
        controls[name].labels[0].querySelector("span").textContent = text;
      }
      const remark = panel.querySelector(".live-remark");
      remark.textContent = skullnbSigns.spanRemark(settings, state.slice.spacing);
      if (!remark.textContent) return;
      controls.kernelWidth.setAttribute(
        "aria-valuetext", `${said.kernelWidth}. ${remark.textContent}`,
      );
    }

    // The slice at its own size, tinted by the layer.
    const whole = make("canvas");
    function paintSlice() {
      const { slice: { normalised }, trace, layer, counts } = state;
      const { pixels: levels, height, width } = normalised;
      // A few very bright pixels would leave the rest black: white is what 99.5% stay below.
      let white = 0;
      for (let n = 0; white < 255 && (n += counts[white]) < 0.995 * levels.length;) white++;
      const table = new Uint32Array(256 * 6), bytes = new Uint8Array(table.buffer);
      Object.entries(SHADES).forEach(([name, shade]) => {
        const colour = shade ? channels(palette[name]) : [0, 0, 0], tint = shade ? TINT : 0;
        for (let grey = 0; grey < 256; grey++) {
          const seen = Math.min(255, (255 * grey) / Math.max(white, 1));
          const painted = colour.map((part) => (1 - tint) * seen + tint * part);
          bytes.set([...painted, 255], 4 * (256 * shade + grey));
        }
      });
      const picture = new ImageData(width, height), shades = paint(trace, layer);
      const pixels = new Uint32Array(picture.data.buffer);
      for (let i = 0; i < pixels.length; i++) pixels[i] = table[256 * shades[i] + levels[i]];
      Object.assign(whole, { width, height });
      whole.getContext("2d").putImageData(picture, 0, 0);
    }

    function draw() {
      const { slice: { normalised, reference, spacing }, trace } = state;
      const { height, width } = normalised, ratio = window.devicePixelRatio || 1;
      const [tall, wide] = spacing ? spacing.map((one) => one / Math.min(...spacing)) : [1, 1];
      const aspect = Math.min(Math.max((width * wide) / (height * tall), 0.5), 2.5);
      main.style.aspectRatio = String(aspect);
      const masks = { brain: trace.brain, mask: trace.mask, reference };
      for (const canvas of [main, detail]) {
        const size = [canvas.clientWidth, canvas.clientHeight];
        [canvas.width, canvas.height] = size.map((side) => Math.max(1, Math.round(side * ratio)));
      }
      const scale = Math.min(main.width / (width * wide), main.height / (height * tall));
      const centred = (canvas, zoom, [row, column]) => {
        const [a, d] = [scale * zoom * wide, scale * zoom * tall];
        return { a, d, e: canvas.width / 2 - a * column, f: canvas.height / 2 - d * row };
      };
      const middle = [height / 2, width / 2];
      const views = [centred(main, 1, middle), centred(detail, ZOOM, state.centre)];
      [main, detail].forEach((canvas, i) => {
        const pen = canvas.getContext("2d"), { a, d, e, f } = views[i];
        pen.imageSmoothingEnabled = i === 0 && scale < 1;
        pen.setTransform(a, 0, 0, d, e, f);
        pen.drawImage(whole, 0, 0);
        pen.resetTransform();
        pen.lineCap = "square";
        for (const name of ["reference", "brain", "mask"]) {
          if (!state.outlines.has(name) || !masks[name]) continue;
          const path = new Path2D();
          path.addPath(pathOf(masks[name]), views[i]);
          pen.lineWidth = ratio * { reference: 4, brain: 1.2, mask: 1.8 }[name] * (i ? 1.3 : 1);
          pen.strokeStyle = palette[name];
          pen.stroke(path);
        }
        if (i === 0) {
          const [w, h] = [detail.width / ZOOM, detail.height / ZOOM];
          const [x, y] = [e + a * state.centre[1] - w / 2, f + d * state.centre[0] - h / 2];
          for (const [colour, line] of [["#000a", 3], ["#fff", 1]]) {
            pen.strokeStyle = colour;
            pen.lineWidth = line * ratio;
            pen.strokeRect(x, y, w, h);
          }
        }
      });
      state.view = views[0];
      drawHistogram();
      curve.draw();
    }

    function drawHistogram() {
      const ratio = window.devicePixelRatio || 1, pen = histogram.getContext("2d");
      if (!histogram.clientWidth) return; // folded away
      const width = histogram.width = histogram.clientWidth * ratio;
      const height = histogram.height = histogram.clientHeight * ratio;
      const { counts } = state, most = Math.log1p(Math.max(...counts)), bar = width / 256;
      counts.forEach((count, level) => {
        const tall = (Math.log1p(count) / most) * height;
        pen.fillStyle = level > state.trace.threshold ? palette.accent : palette.quiet;
        pen.fillRect(level * bar, height - tall, Math.ceil(bar), tall);
      });
      pen.fillStyle = palette.accent;
      pen.fillRect((state.trace.threshold + 0.5) * bar - ratio, 0, 2 * ratio, height);
    }

    const curve = skullnbCurve.of(state, panel, palette);

    function report() {
      const { trace, slice: { reference, spacing } } = state, { labels } = trace;
      const touching = labels.components.filter((one) => labels.touchesEdge[one]).length;
      const area = (mask) => skullnb.countPixels(mask).toLocaleString("en");
      const scores = reference ? skullnb.overlaps(trace.mask, reference) : null;
      const facts = [
        ...(scores ? [["IoU", scores.iou.toFixed(4)], ["Dice", scores.dice.toFixed(4)]] : []),
        ["Threshold", String(trace.threshold)],
        ["Components", labels.components.length.toLocaleString("en")],
        ["Brain, px", area(trace.brain)],
        ["Grown, px", area(trace.dilated)],
        ["Mask, px", area(trace.mask)],
        // A zero would give away what chapter 4 lets its readers find out.
        ...(touching || config.focus === "components"
          ? [["At the frame", touching.toLocaleString("en")]]
          : []),
      ];
      numbers.replaceChildren(...facts.map(([name, text]) => make(
        "div", {}, make("dt", { textContent: name }), make("dd", { textContent: text }),
      )));
      // Numbers stay whole: a column is at least as wide as seven characters, or as the longest.
      const longest = Math.max(7, ...facts.map(([, text]) => text.length));
      numbers.style.setProperty("--longest", longest);
      const { warnings } = skullnbSigns.signsOf(trace, spacing);
      state.warnings = warnings;
      const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
      signs.replaceChildren(
        ...warnings.map((one) => make("li", { textContent: sentence(one) })),
      );
      legend.replaceChildren(...LAYERS[state.layer].legend.map(([kind, name]) => {
        const label = make("span", { className: "live-area", textContent: name });
        label.style.setProperty("--swatch", palette[kind]);
        return label;
      }));
      const what = `${titleOf(state.key, state.number)}: ${LAYERS[state.layer].name}`;
      const there = (name) => state.outlines.has(name) && (name !== "reference" || reference);
      const lines = OUTLINES.filter(there);
      const around = lines.length ? `, with outlines of ${lines.join(", ")}` : "";
      main.setAttribute("aria-label", `${what}${around}.`);
      clearTimeout(state.speech);
      state.speech = setTimeout(() => {
        const said = facts.map((fact) => fact.join(" ")).join(", ");
        spoken.textContent = `${said}. ${warnings.map(sentence).join(" ")}`.trim();
      }, 400);
    }

    function refresh() {
      const started = performance.now();
      const { slice: { normalised, spacing }, settings, trace } = state;
      state.trace = skullnb.traceSkullMask(normalised, settings, spacing, trace);
      update();
      report();
      paintSlice();
      draw();
      state.milliseconds = performance.now() - started;
      const time = `Computed on this page in ${Math.ceil(state.milliseconds)} ms.`;
      note.textContent = `${config.note} ${time}`;
    }

    // The pixel of a mask that is farthest to the right: there the kernel's reach is seen best.
    function borderOf({ pixels, height, width }) {
      let farthest = [height / 2, -1];
      pixels.forEach((inside, i) => {
        if (inside && i % width > farthest[1]) farthest = [Math.floor(i / width), i % width];
      });
      return farthest[1] < 0 ? [height / 2, width / 2] : farthest;
    }

    const lastOf = (key) => (key === "own" ? own.slices.length - 1 : 0);
    const titleOf = (key, number) =>
      sources.get(key) + (lastOf(key) ? `, slice ${number}` : "");
    async function open(key, number = 0) {
      const wanted = state.wanted = { key, number: Math.min(number, lastOf(key)) };
      try {
        const opened = key === "own" ? readOwn(own.slices, wanted.number) : await slice(key);
        if (state.wanted !== wanted) return; // the reader has gone on to another
        const counts = skullnb.histogram(opened.normalised);
        const { settings } = state;
        if (state.slice && settings.kernelWidth === usualWidth(state.key)) {
          settings.kernelWidth = usualWidth(key); // until the reader has chosen another
        } else if (!state.slice) settings.kernelWidth = usualWidth(key);
        Object.assign(state, { ...wanted, slice: opened, counts });
        if (!canGrow()) settings.border = "dilation";
        state.trace = skullnb.traceSkullMask(opened.normalised, settings, opened.spacing);
        state.centre = borderOf(opened.reference || state.trace.mask);
        if (!figure.classList.contains("is-live")) {
          figure.classList.add("is-live");
          figure.append(panel);
          new ResizeObserver(() => draw()).observe(panel);
        }
        const options = Array.from(sources, ([one, label]) => new Option(label, one));
        controls.slice.replaceChildren(...options);
        controls.slice.parentNode.hidden = sources.size < 2;
        controls.number.max = lastOf(key);
        controls.number.parentNode.hidden = !lastOf(key);
        controls.axis.parentNode.hidden = !(key === "own" && own.slices.along);
        controls.reference.parentNode.hidden = !opened.reference;
        complaint.textContent = "";
        refresh();
      } catch (error) {
        complain(titleOf(key, wanted.number), error);
      }
    }

    function complain(what, error) {
      const { slice, key, number } = state;
      const still = slice ? ` The figure below still shows ${titleOf(key, number)}.` : "";
      complaint.textContent = `${what}: ${error.message}${still}`;
      if (slice) update();
    }

    function move(row, column) {
      const { height, width } = state.slice.normalised;
      state.centre = [Math.min(Math.max(row, 0), height), Math.min(Math.max(column, 0), width)];
      draw();
    }
    function point(event) {
      const box = main.getBoundingClientRect(), { a, d, e, f } = state.view;
      const ratio = main.width / box.width;
      move(
        (ratio * (event.clientY - box.top) - f) / d, (ratio * (event.clientX - box.left) - e) / a,
      );
    }
    main.addEventListener("click", point);
    main.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" && event.buttons === 1) point(event);
    });
    main.addEventListener("keydown", (event) => {
      const [rows, columns] = {
        ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
      }[event.key] || [0, 0];
      if (!rows && !columns) return;
      event.preventDefault();
      const step = Math.max(1, state.slice.normalised.height / 64);
      move(state.centre[0] + rows * step, state.centre[1] + columns * step);
    });
    panel.querySelector("details").addEventListener("toggle", () => draw());
    reset.addEventListener("click", () => {
      const kernelWidth = usualWidth(state.key);
      Object.assign(state, { settings: { ...config.settings, kernelWidth }, layer: focus.layer });
      state.outlines = new Set(focus.outlines);
      refresh();
    });

    // ---- an image of the reader's own ---------------------------------------------------------
    function readOwn(slices, number) {
      const image = slices.read(number);
      return { normalised: skullnb.normalise(image), spacing: image.spacing };
    }
    async function openFile(file) {
      if (!file) return;
      try {
        const bytes = new Uint8Array(await file.arrayBuffer());
        const slices = await skullnbReaders.readStack(bytes, file.name);
        const middle = slices.length >> 1;
        readOwn(slices, middle); // what fails here leaves the file before it in place
        own = { name: file.name, slices };
        sources.set("own", file.name);
        await open("own", middle);
      } catch (error) {
        complain(file.name, error);
      }
    }

    // The mask as a file: of the slice that is shown, or of all slices of the reader's file, each
    // made with the settings as they stand.
    async function save(kind) {
      const { key, number, trace, settings, slice: { spacing } } = state;
      const all = key === "own" && kind !== ".png" ? own.slices : null;
      try {
        const maskOf = (at) =>
          skullnb.traceSkullMask(readOwn(all, at).normalised, settings, spacing).mask;
        const masks = all ? Array.from({ length: all.length }, (_, at) => maskOf(at)) : [trace.mask];
        const bytes = await skullnbWriters.write(kind, masks, spacing, all && all.keep);
        const name = key === "own" ? own.name.replace(/[.](png|jpe?g|npy|nii|nii[.]gz)$/i, "") : key;
        const part = kind === ".png" && lastOf(key) ? `_slice${number}` : "";
        const href = URL.createObjectURL(new Blob([bytes]));
        make("a", { href, download: `${name}${part}_mask${kind}` }).click();
        setTimeout(() => URL.revokeObjectURL(href), 60000);
        complaint.textContent = "";
      } catch (error) {
        complain(titleOf(key, number), error);
      }
    }
    if (config.drop) {
      const accept = ".png,.jpg,.jpeg,.npy,.nii,.gz";
      const input = make("input", { type: "file", accept });
      input.addEventListener("change", () => openFile(input.files[0]));
      const invitation = make("label", {}, "Drop an image anywhere on this page, or choose one: ", input);
      const zone = make("div", { className: "live-drop" }, invitation);
      // Wherever it falls: a browser would leave the page for a file dropped beside the zone.
      for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
        document.addEventListener(kind, (event) => {
          const { types, files } = event.dataTransfer || { types: [] };
          if (!types.includes("Files")) return;
          event.preventDefault();
          const left = kind === "dragleave" && !event.relatedTarget;
          zone.classList.toggle("is-over", kind !== "drop" && !left);
          if (kind !== "drop") return;
          zone.scrollIntoView({ block: "nearest" });
          openFile(files[0]);
        });
      }
      figure.append(zone);
      const saves = [".png", ".npy", ".nii"].map((kind) => {
        const button = make("button", { type: "button", textContent: kind });
        button.setAttribute("aria-label", `Save the mask as ${kind}`);
        button.addEventListener("click", () => save(kind));
        return button;
      });
      const saver = make("div", { className: "live-save" }, make("span", {}, "Save the mask"), ...saves);
      panel.querySelector(".live-foot").before(saver);
    }
    figure.append(complaint);

    // A link to a slice, as the sheet of all slices has them, leads to a place in this figure.
    function follow() {
      const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (figure.contains(place) && place.dataset.key) return open(place.dataset.key);
    }
    window.addEventListener("hashchange", follow);
    figure.ready = open(config.start).then(follow);
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("figure.live").forEach(makeLive);
  });
  return { take, slice };
})();
