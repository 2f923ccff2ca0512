// Under a slider: what the mask would score at each of its values, with the brain as it is.
"use strict";

const skullnbCurve = (() => {
  const AT_ONCE = 12; // milliseconds, then the page may breathe

  function of(state, panel, palette) {
    const fields = ["kernelWidth", "reachMm"].map((name) => {
      const slider = panel.querySelector(`[name=${name}]`), field = slider.parentNode;
      const [canvas, best] = [".live-curve", ".live-best"].map((one) => field.querySelector(one));
      return { name, slider, canvas, best };
    });
    let now = { scores: [] };

    // Scores belong to one brain, one reference, and the other settings of the border.
    function isOld({ slice, trace: { brain, settings } }) {
      const same = ["border", "kernelShape", "fillHoles"];
      return now.slice !== slice || now.brain !== brain
        || same.some((name) => now.settings[name] !== settings[name]);
    }

    function draw() {
      const { slice, trace } = state, name = trace.settings.border === "dilation" ? 0 : 1;
      const field = fields[name];
      for (const { canvas, best } of fields) canvas.hidden = best.hidden = !slice.reference;
      if (!slice.reference) return;
      if (isOld(state)) {
        const { slider: { min, max, step } } = field, by = Number(step) || 1;
        const values = Array.from(
          { length: Math.round((max - min) / by) + 1 }, (_, i) => Number(min) + i * by,
        );
        now = { slice, brain: trace.brain, settings: trace.settings, trace, values, scores: [] };
        setTimeout(score, 60, now);
      }
      paint(field);
    }

    function score(run) {
      const end = performance.now() + AT_ONCE;
      while (run === now && run.scores.length < run.values.length && performance.now() < end) {
        const [name] = run.settings.border === "dilation" ? ["kernelWidth"] : ["reachMm"];
        const settings = { ...run.settings, [name]: run.values[run.scores.length] };
        const { normalised, spacing } = run.slice;
        const { mask } = skullnb.traceSkullMask(normalised, settings, spacing, run.trace);
        run.scores.push(skullnb.overlaps(mask, run.slice.reference).iou || 0);
      }
      if (run !== now) return;
      paint(fields[run.settings.border === "dilation" ? 0 : 1]);
      if (run.scores.length < run.values.length) setTimeout(score, 0, run);
    }

    function paint({ name, canvas, best }) {
      const { values, scores } = now, ratio = window.devicePixelRatio || 1;
      const done = scores.length === values.length;
      const top = Math.max(...scores), at = values[scores.indexOf(top)];
      const unit = name === "reachMm" ? "mm" : "px";
      best.textContent = done ? `IoU by ${name === "reachMm" ? "reach" : "width"}: best at ${at} ${unit}, ${
        top.toFixed(4)}` : "IoU …";
      state.best = done ? { at, iou: top } : null;
      if (!canvas.clientWidth) return; // folded away
      const pen = canvas.getContext("2d"), low = Math.min(...scores, top - 0.02);
      const width = canvas.width = canvas.clientWidth * ratio;
      const height = canvas.height = canvas.clientHeight * ratio, pad = 4 * ratio;
      const x = (value) => ((value - values[0]) / (values[values.length - 1] - values[0])) * width;
      const y = (iou) => pad + (1 - (iou - low) / (top - low)) * (height - 2 * pad);
      const chosen = state.trace.settings[name];
      pen.fillStyle = palette.accent;
      pen.fillRect(x(chosen) - ratio, 0, 2 * ratio, height);
      pen.strokeStyle = palette.mask;
      pen.lineWidth = 2 * ratio;
      pen.beginPath();
      scores.forEach((iou, i) => pen.lineTo(x(values[i]), y(iou)));
      pen.stroke();
      const index = values.indexOf(chosen);
      if (index < 0 || index >= scores.length) return;
      pen.fillStyle = palette.mask;
      pen.beginPath();
      pen.arc(x(chosen), y(scores[index]), 4 * ratio, 0, 2 * Math.PI);
      pen.fill();
    }

    return { draw };
  }

  return { of };
})();
