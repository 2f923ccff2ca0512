// Turns every <figure class="live"> into a figure whose reader moves the pipeline's settings. The
// figure holds a picture of the report's settings, which stays in print and without this script.
"use strict";

const skullnbLive = (() => {
  const folder = new URL("live/", document.currentScript.src || document.baseURI).href;
  const arriving = new Map(); // promises of slices, by key

  const LAYERS = {
    slice: { name: "the slice", legend: [] },
    bright: { name: "bright pixels", legend: [["accent", "bright"]] },
    components: {
      name: "components",
      legend: [["brain", "chosen"], ["scalp", "touch the frame"], ["text", "the others"]],
    },
    dilation: { name: "what the dilation adds", legend: [["brain", "chosen"], ["mask", "added"]] },
    holes: { name: "what the fill adds", legend: [["mask", "dilated"], ["accent", "filled"]] },
  };
  const OUTLINES = ["brain", "mask", "reference"];
  // What a figure shows first; all its other controls are folded away below.
  const FOCUS = {
    threshold: { layer: "bright", outlines: ["reference"], first: ["threshold"] },
    components: { layer: "components", outlines: [], first: ["connectivity", "dropEdgeTouching"] },
    dilation: { layer: "dilation", outlines: ["reference"], first: ["kernelWidth", "kernelShape"] },
    holes: { layer: "holes", outlines: ["brain"], first: ["kernelWidth", "fillHoles"] },
    whole: {
      layer: "slice", outlines: OUTLINES, first: ["threshold", "kernelWidth", "dropEdgeTouching"],
    },
  };
  const SHADES = { none: 0, brain: 1, scalp: 2, text: 3, mask: 4, accent: 5 };
  const TINT = 0.55, ZOOM = 4, MOST_STEPS = 100000;

  function make(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  const channels = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

  // Slices come as scripts, since a page opened from disk may not fetch; each calls `take`. They are
  // loaded when they are needed, or stand in the page below this script.
  const arrived = new Map(), takers = new Map();
  function take(key, data) {
    arrived.set(key, data);
    if (takers.has(key)) takers.get(key)();
  }

  function slice(key) {
    if (!arriving.has(key)) {
      arriving.set(key, new Promise((resolve, reject) => {
        takers.set(key, () => decode(arrived.get(key)).then(resolve, reject));
        if (arrived.has(key)) {
          takers.get(key)();
          return;
        }
        const script = make("script", { src: `${folder}${key}.js` });
        script.onerror = () => reject(new Error("The slice could not be loaded."));
        document.head.append(script);
      }));
    }
    return arriving.get(key);
  }

  async function decode({ image, reference, spacing }) {
    const levels = async (png) => {
      const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
      const picture = await skullnbReaders.readImage(bytes);
      return { ...picture, pixels: Uint8Array.from(picture.pixels) };
    };
    const mask = reference && (await levels(reference));
    if (mask) mask.pixels.forEach((pixel, i) => { mask.pixels[i] = pixel ? 1 : 0; });
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
    const { labels, chosen, brain, dilated, mask, binary } = trace, { text, scalp } = SHADES;
    if (layer === "components") {
      const other = (one) => (labels.touchesEdge[one] ? scalp : text);
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

  function whyEmpty({ normalised, threshold, labels, chosen }) {
    if (chosen >= 0) return "";
    if (normalised.pixels.every((level) => level === normalised.pixels[0])) {
      return "The mask is empty: the slice is flat, every pixel has the same value.";
    }
    const n = labels.components.length;
    if (n) return `The mask is empty: every bright component touches the frame (${n} of ${n}).`;
    return `The mask is empty: no pixel is above the threshold, ${threshold}.`;
  }

  function makeLive(figure, number) {
    const config = JSON.parse(figure.dataset.live), focus = FOCUS[config.focus];
    const { palette } = config, id = `live-${number}`;
    const sources = new Map(
      config.sources.map(({ key, label }) => [key, { label, load: () => slice(key) }]),
    );
    const state = {
      settings: { ...config.settings }, layer: focus.layer, outlines: new Set(focus.outlines),
      key: config.start, slice: null, trace: null, centre: null,
    };
    figure.live = state;
    const paths = new WeakMap();
    const pathOf = (mask) => {
      if (!paths.has(mask)) paths.set(mask, outlineOf(mask));
      return paths.get(mask);
    };

    // ---- what the reader can move -------------------------------------------------------------
    const updates = []; // each sets one control to what the state says
    function field(label, control, ...more) {
      control.id = `${id}-${updates.length}`;
      const caption = make("label", { htmlFor: control.id, textContent: label });
      return make("div", { className: "live-field" }, caption, control, ...more);
    }
    function choice(label, options, get, set) {
      const control = make("select");
      updates.push(() => {
        const all = options(), shown = Array.from(control.options, (one) => one.text);
        if (all.length !== shown.length || all.some(([, name], i) => name !== shown[i])) {
          control.replaceChildren(...all.map(([value, name]) => new Option(name, value)));
        }
        control.value = get();
      });
      control.addEventListener("change", () => set(control.value));
      return field(label, control);
    }
    function check(label, get, set) {
      const control = make("input", { type: "checkbox" });
      updates.push(() => { control.checked = get(); });
      control.addEventListener("change", () => set(control.checked));
      return make("label", { className: "live-check" }, control, label);
    }
    function range(label, high, get, set, say, ...more) {
      const control = make("input", { type: "range", min: 0, max: high, step: 1 });
      const value = make("span", { className: "live-value", ariaHidden: "true" });
      updates.push(() => {
        control.value = get();
        value.textContent = say();
        control.setAttribute("aria-valuetext", say());
      });
      control.addEventListener("input", () => set(Number(control.value)));
      const made = field(label, control, ...more);
      made.firstChild.append(" ", value);
      return made;
    }
    const setting = (name) => [
      () => state.settings[name],
      (value) => {
        state.settings[name] = typeof config.settings[name] === "number" ? Number(value) : value;
        refresh();
      },
    ];
    const byOtsu = () => state.settings.threshold === "otsu";
    const histogram = make("canvas", { className: "live-histogram", ariaHidden: "true" });
    const level = range(
      "Threshold", 255, () => state.trace.threshold, setting("threshold")[1],
      () => `${state.trace.threshold}, ${byOtsu() ? "Otsu’s" : "by hand"}`,
      check("Otsu’s method", byOtsu, (otsu) => {
        state.settings.threshold = otsu ? "otsu" : state.trace.threshold;
        refresh();
      }),
    );
    level.prepend(histogram);
    const setWidth = (value) => { state.settings.kernelWidth = value; refresh(); };
    const controls = {
      threshold: level,
      kernelWidth: range(
        "Kernel width", Math.max(60, config.settings.kernelWidth), () => state.settings.kernelWidth,
        setWidth, () => `${state.settings.kernelWidth} px`,
      ),
      kernelShape: choice(
        "Kernel", () => [["ellipse", "ellipse"], ["rectangle", "square"]],
        ...setting("kernelShape"),
      ),
      connectivity: choice(
        "Neighbours", () => [[8, "8, corners join"], [4, "4, sides join"]],
        ...setting("connectivity"),
      ),
      dropEdgeTouching: check("Drop what touches the frame", ...setting("dropEdgeTouching")),
      fillHoles: check("Fill holes", ...setting("fillHoles")),
    };
    const which = choice(
      "Slice", () => Array.from(sources, ([key, { label }]) => [key, label]), () => state.key, open,
    );
    const show = choice(
      "Show", () => Object.entries(LAYERS).map(([key, { name }]) => [key, name]), () => state.layer,
      (layer) => { state.layer = layer; refresh(); },
    );

    // ---- what the reader sees -----------------------------------------------------------------
    const main = make("canvas", { className: "live-main", tabIndex: 0 });
    const detail = make("canvas", { className: "live-detail" });
    main.setAttribute("role", "application");
    main.setAttribute("aria-describedby", `${id}-help`);
    detail.setAttribute("role", "img");
    detail.setAttribute("aria-label", "The part marked on the slice, enlarged.");
    const help = make("p", {
      id: `${id}-help`, className: "live-note",
      textContent: "Click or tap the slice to enlarge another part; on it, arrow keys do the same.",
    });
    const legend = make("div", { className: "live-legend" });
    const numbers = make("dl");
    const empty = make("p", { className: "live-empty" });
    const spoken = make("output", { className: "live-spoken" });
    const reset = make("button", { type: "button", textContent: "Back to the report’s settings" });
    const note = make("p", { className: "live-note" });
    const complaint = make("p", { className: "live-complaint" });
    complaint.setAttribute("role", "alert");
    const outlines = make("div", { className: "live-outlines" }, ...OUTLINES.map((name) => {
      const label = check(name, () => state.outlines.has(name), (on) => {
        state.outlines[on ? "add" : "delete"](name);
        refresh();
      });
      label.style.setProperty("--swatch", palette[name]);
      label.classList.add("live-line", `live-line-${name}`);
      return label;
    }));
    const first = focus.first.map((name) => controls[name]);
    const rest = Object.values(controls).filter((control) => !first.includes(control));
    const panel = make(
      "div", { className: "live-panel" },
      make("div", { className: "live-pictures" }, main, detail),
      help, make("div", { className: "live-legends" }, outlines, legend),
      make("div", { className: "live-controls" }, which, show, ...first),
      make("details", { className: "live-more" }, make("summary", { textContent: "More settings" }),
        make("div", { className: "live-controls" }, ...rest)),
      empty, make("div", { className: "live-numbers" }, numbers),
      make("div", { className: "live-foot" }, reset, note), spoken,
    );

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
      main.style.flexGrow = main.style.aspectRatio = String(aspect);
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
    }

    function drawHistogram() {
      const ratio = window.devicePixelRatio || 1, pen = histogram.getContext("2d");
      if (!histogram.clientWidth) return; // folded away
      const width = histogram.width = histogram.clientWidth * ratio;
      const height = histogram.height = histogram.clientHeight * ratio;
      const { counts } = state, most = Math.log1p(Math.max(...counts)), bar = width / 256;
      counts.forEach((count, level) => {
        const tall = (Math.log1p(count) / most) * height;
        pen.fillStyle = level > state.trace.threshold ? palette.accent : palette.text;
        pen.fillRect(level * bar, height - tall, Math.ceil(bar), tall);
      });
      pen.fillStyle = palette.accent;
      pen.fillRect((state.trace.threshold + 0.5) * bar - ratio, 0, 2 * ratio, height);
    }

    function report() {
      const { trace, slice: { reference } } = state, { labels } = trace;
      const touching = labels.components.filter((one) => labels.touchesEdge[one]).length;
      const area = (mask) => skullnb.countPixels(mask).toLocaleString("en");
      const scores = reference ? skullnb.overlaps(trace.mask, reference) : null;
      const facts = [
        ["Threshold", String(trace.threshold)],
        ["Components", labels.components.length.toLocaleString("en")],
        ["Touch the frame", touching.toLocaleString("en")],
        ["Brain, px", area(trace.brain)],
        ["Dilated, px", area(trace.dilated)],
        ["Mask, px", area(trace.mask)],
        ["IoU", scores ? scores.iou.toFixed(4) : "no reference"],
        ["Dice", scores ? scores.dice.toFixed(4) : "no reference"],
      ];
      numbers.replaceChildren(...facts.map(([name, text]) => make(
        "div", {}, make("dt", { textContent: name }), make("dd", { textContent: text }),
      )));
      empty.textContent = whyEmpty(trace);
      legend.replaceChildren(...LAYERS[state.layer].legend.map(([kind, name]) => {
        const label = make("span", { className: "live-area", textContent: name });
        label.style.setProperty("--swatch", palette[kind]);
        return label;
      }));
      const what = `${sources.get(state.key).label}: ${LAYERS[state.layer].name}`;
      const there = (name) => state.outlines.has(name) && (name !== "reference" || reference);
      const lines = OUTLINES.filter(there);
      const around = lines.length ? `, with outlines of ${lines.join(", ")}` : "";
      main.setAttribute("aria-label", `${what}${around}.`);
      clearTimeout(state.speech);
      state.speech = setTimeout(() => {
        spoken.textContent = empty.textContent || facts.map((fact) => fact.join(" ")).join(", ");
      }, 400);
    }

    function refresh() {
      const started = performance.now();
      state.trace = skullnb.traceSkullMask(state.slice.normalised, state.settings, state.trace);
      updates.forEach((update) => update());
      report();
      paintSlice();
      draw();
      state.milliseconds = performance.now() - started;
      const time = `Computed on this page in ${Math.ceil(state.milliseconds)} ms.`;
      note.textContent = `${config.note} ${time}`;
    }

    // The border that is farthest to the right: there the kernel's reach is seen best.
    function borderOf({ pixels, height, width }) {
      for (let column = width - 1; column >= 0; column--) {
        const rows = [];
        for (let row = 0; row < height; row++) if (pixels[row * width + column]) rows.push(row);
        if (rows.length) return [rows[rows.length >> 1], column];
      }
      return [height / 2, width / 2];
    }

    async function open(key) {
      state.wanted = key;
      try {
        const opened = await sources.get(key).load();
        if (state.wanted !== key) return; // the reader has gone on to another
        Object.assign(state, { key, slice: opened, counts: skullnb.histogram(opened.normalised) });
        state.trace = skullnb.traceSkullMask(opened.normalised, state.settings);
        state.centre = borderOf(opened.reference || state.trace.mask);
        if (!figure.classList.contains("is-live")) {
          figure.classList.add("is-live");
          figure.append(panel);
          new ResizeObserver(() => draw()).observe(panel);
        }
        which.hidden = sources.size < 2;
        outlines.lastChild.hidden = !opened.reference;
        complaint.textContent = "";
        refresh();
      } catch (error) {
        complaint.textContent = error.message;
      }
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
      Object.assign(state, { settings: { ...config.settings }, layer: focus.layer });
      state.outlines = new Set(focus.outlines);
      refresh();
    });

    // ---- an image of the reader's own ---------------------------------------------------------
    async function openFile(file) {
      if (!file) return;
      try {
        const image = await skullnbReaders.readImage(new Uint8Array(await file.arrayBuffer()));
        const normalised = skullnb.normalise(image), { spacing } = image;
        sources.set("own", { label: file.name, load: async () => ({ normalised, spacing }) });
        await open("own");
      } catch (error) {
        complaint.textContent = `${file.name}: ${error.message}`;
      }
    }
    if (config.drop) {
      const input = make("input", { type: "file", accept: ".png,.npy,.nii,.gz" });
      input.addEventListener("change", () => openFile(input.files[0]));
      const invitation = field("Drop an image here, or choose one:", input);
      const zone = make("div", { className: "live-drop" }, invitation);
      for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
        zone.addEventListener(kind, (event) => {
          event.preventDefault();
          zone.classList.toggle("is-over", kind === "dragenter" || kind === "dragover");
        });
      }
      zone.addEventListener("drop", (event) => openFile(event.dataTransfer.files[0]));
      figure.append(zone);
    }
    figure.append(complaint);
    figure.ready = open(config.start);
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("figure.live").forEach(makeLive);
  });
  return { take, slice };
})();
