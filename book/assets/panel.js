// What stands in a live figure: its views, its controls, and where each has its place.
"use strict";

const skullnbPanel = (() => {
  const LAYERS = {
    slice: { name: "the slice", legend: [] },
    bright: { name: "bright pixels", legend: [["accent", "bright"]] },
    components: {
      name: "components",
      legend: [["brain", "chosen"], ["scalp", "touch the frame"], ["quiet", "the others"]],
    },
    dilation: { name: "what is added to it", legend: [["brain", "chosen"], ["mask", "added"]] },
    holes: {
      name: "what the fill adds", legend: [["mask", "before the fill"], ["accent", "filled"]],
    },
  };
  const OUTLINES = ["brain", "mask", "reference"];
  // What a figure shows first; all its other controls are folded away below.
  const FOCUS = {
    threshold: { layer: "bright", outlines: ["reference"], first: ["threshold"] },
    components: { layer: "components", outlines: [], first: ["connectivity", "dropEdgeTouching"] },
    dilation: { layer: "dilation", outlines: ["reference"], first: ["kernelWidth", "kernelShape"] },
    holes: { layer: "holes", outlines: ["brain"], first: ["kernelWidth", "fillHoles"] },
    border: {
      layer: "dilation", outlines: ["reference"], first: ["border", "kernelWidth", "reachMm"],
    },
    whole: {
      layer: "slice", outlines: OUTLINES, first: ["threshold", "kernelWidth", "dropEdgeTouching"],
    },
  };

  // What stands in a figure; ID is put in for each. A control's `name` says what it sets.
  const field = (name, label, control) => `<div class="live-field"><label for="ID-${name}">${label}
    <span class="live-value" aria-hidden="true"></span></label>${control}</div>`;
  const slider = (name, label) => field(
    name, label, `<input type="range" name="${name}" id="ID-${name}" min="0" max="255">`,
  );
  const choice = (name, label, options) => {
    const inside = options.map(([value, text]) => `<option value="${value}">${text}</option>`);
    return field(name, label, `<select name="${name}" id="ID-${name}">${inside.join("")}</select>`);
  };
  const check = (name, label, kind = "") =>
    `<label class="live-check ${kind}"><input type="checkbox" name="${name}">${label}</label>`;
  // What every value of the slider would score, where there is a reference.
  const withCurve = (html) => html.replace(
    /<.div>$/,
    `<canvas class="live-curve" aria-hidden="true"></canvas>
      <p class="live-note live-best"></p></div>`,
  );
  const CONTROLS = {
    threshold: slider("threshold", "Threshold")
      .replace(/<.div>$/, '<canvas class="live-histogram" aria-hidden="true"></canvas></div>')
      .replace(/<.div>$/, `${check("otsu", "Otsu’s method")}</div>`),
    border: choice(
      "border", "Border rule", [["dilation", "one dilation"], ["dark growth", "dark growth"]],
    ),
    kernelWidth: withCurve(slider("kernelWidth", "Kernel width"))
      .replace(/<.div>$/, '<p class="live-note live-remark" aria-hidden="true"></p></div>'),
    reachMm: withCurve(slider("reachMm", "Reach")),
    kernelShape: choice("kernelShape", "Kernel", [["ellipse", "ellipse"], ["rectangle", "square"]]),
    connectivity: choice(
      "connectivity", "Neighbours", [[8, "8, corners join"], [4, "4, sides join"]],
    ),
    dropEdgeTouching: check("dropEdgeTouching", "Drop what touches the frame"),
    fillHoles: check("fillHoles", "Fill holes"),
  };
  const AXES = ["axial", "coronal", "sagittal"];
  // The picture and its numbers stand side by side, so that both are seen while a control is moved.
  const panelOf = (first) => `<div class="live-panel">
    <div class="live-pictures">
      <canvas class="live-main" tabindex="0" role="application" aria-describedby="ID-help"></canvas>
      <div class="live-side">
        <div class="live-numbers"><dl></dl></div>
        <canvas class="live-detail" role="img" aria-label="The marked part, enlarged."></canvas>
      </div>
    </div>
    <div class="live-legends">
      <div class="live-outlines">
        ${OUTLINES.map((name) => check(name, name, `live-line live-line-${name}`)).join("")}
      </div>
      <div class="live-legend"></div>
    </div>
    <div class="live-controls">
      ${choice("slice", "Slice", [])}
      ${slider("number", "Slice number")}
      ${choice("axis", "Cut", AXES.map((axis) => [axis, axis]))}
      ${choice("layer", "Show", Object.entries(LAYERS).map(([key, { name }]) => [key, name]))}
      ${first.map((name) => CONTROLS[name]).join("")}
    </div>
    <ul class="live-signs" aria-label="What looks wrong"></ul>
    <details class="live-more"><summary>More settings</summary><div class="live-controls">
      ${Object.keys(CONTROLS).map((name) => (first.includes(name) ? "" : CONTROLS[name])).join("")}
    </div></details>
    <div class="live-foot">
      <button type="button">Back to the first settings</button><p class="live-note"></p>
    </div>
    <p class="live-note" id="ID-help">Click or tap the slice to enlarge another part; on it, arrow
      keys do the same.</p>
    <output class="live-spoken"></output>
  </div>`;

  return { LAYERS, OUTLINES, FOCUS, panelOf };
})();
