// What looks wrong about a slice, told without a reference: the facts, the limits and the sentences
// of `skullnb.pipeline.signs`, by the same names; the project's tests compare the two in a browser.
"use strict";

const skullnbSigns = (() => {
  // ---- numbers written as Python writes them: a tie goes to the even digit --------------------
  const isTie = (value, digits) =>
    Number.isInteger(value * 2 ** (digits + 1)) && (value * 10 ** digits) % 1 !== 0
    && (2 * value * 10 ** digits) % 1 === 0;
  const fixed = (value, digits = 0) => {
    const below = Math.floor(Math.abs(value) * 10 ** digits);
    if (!isTie(value, digits) || below % 2) return value.toFixed(digits);
    return ((Math.sign(value) * below) / 10 ** digits).toFixed(digits);
  };
  const percent = (value, digits = 0) => `${fixed(value * 100, digits)}%`;
  const general = (value, digits) => {
    if (!value) return "0";
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e").map(Number);
    const short = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
    if (exponent >= -4 && exponent < digits) return short(fixed(value, digits - 1 - exponent));
    const sign = exponent < 0 ? "-" : "+";
    return `${short(String(mantissa))}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  };

  // ---- facts ------------------------------------------------------------------------------------
  // By row the first column of a convex hull and the one behind its last; a pixel is in it when its
  // centre is. `first` and `last` are those of the pixels, `last` below `first` where there are none.
  function hullRows(first, last) {
    const left = envelope(first, (row) => last[row] >= first[row]);
    const right = envelope(last.map((one) => -one), (row) => last[row] >= first[row]);
    return [left, right.map((one) => (one === undefined ? undefined : 1 - one))];
  }

  function envelope(columns, isThere) {
    const corners = [];
    for (let row = 0; row < columns.length; row++) {
      if (!isThere(row)) continue;
      for (let n = corners.length; n > 1; n = corners.length) {
        const [a, b] = [corners[n - 2], corners[n - 1]];
        const [bend, whole] = [(b[1] - a[1]) * (row - a[0]), (columns[row] - a[1]) * (b[0] - a[0])];
        if (bend < whole) break;
        corners.pop();
      }
      corners.push([row, columns[row]]);
    }
    const found = Array(columns.length).fill(undefined);
    corners.forEach(([row, column], i) => {
      const [nextRow, next] = corners[i + 1] || [row + 1, column];
      for (let at = row; at < nextRow; at++) {
        found[at] = column - Math.floor(((column - next) * (at - row)) / (nextRow - row));
      }
    });
    return found;
  }

  // Pixels of the hull of some runs, and how many of them `inside` has.
  function measureHull(runs, isIn, height, inside = null) {
    const { edges, first } = runs;
    const begin = Array(height).fill(Infinity), end = Array(height).fill(-Infinity);
    for (let row = 0; row < height; row++) {
      for (let run = first[row]; run < first[row + 1]; run++) {
        if (!isIn(run)) continue;
        begin[row] = Math.min(begin[row], edges[2 * run]);
        end[row] = Math.max(end[row], edges[2 * run + 1] - 1);
      }
    }
    const [left, right] = hullRows(begin, end);
    let size = 0, held = 0;
    for (let row = 0; row < height; row++) {
      if (left[row] === undefined) continue;
      size += right[row] - left[row];
      if (!inside) continue;
      const start = row * inside.width;
      for (let at = start + left[row]; at < start + right[row]; at++) held += inside.pixels[at];
    }
    return [size, held];
  }

  function quantileOfCounts(counts, share) {
    const total = counts.reduce((sum, one) => sum + one, 0), place = (total - 1) * share;
    const at = (rank) => {
      let level = 0;
      for (let sum = counts[0]; sum <= rank; sum += counts[level]) level++;
      return level;
    };
    const [low, high] = [at(Math.floor(place)), at(Math.ceil(place))];
    return low + (high - low) * (place - Math.floor(place));
  }

  // Whether three in four pixels of a component share one level.
  function hasOneLevel({ edges, first, owner, height, width }, component, levels) {
    const counts = new Int32Array(256);
    let all = 0;
    for (let row = 0; row < height; row++) {
      for (let run = first[row]; run < first[row + 1]; run++) {
        if (owner[run] !== component) continue;
        const start = row * width, [begin, end] = [edges[2 * run], edges[2 * run + 1]];
        for (let at = start + begin; at < start + end; at++) counts[levels[at]]++;
        all += end - begin;
      }
    }
    return Math.max(...counts) >= 0.75 * all;
  }

  function factsOf({ normalised, binary, labels, chosen, mask }) {
    const { height, width } = normalised, { area, box, touchesEdge } = labels;
    const counts = skullnb.histogram(normalised);
    const corners = new Set(cornersOf(labels));
    const holds = (outer, inner) => outer[0] <= inner[0] && outer[1] <= inner[1]
      && outer[2] >= inner[2] && outer[3] >= inner[3];
    const facts = {
      height, width, levels: counts.filter((count) => count).length,
      hot: quantileOfCounts(counts, 0.999), bright: skullnb.countPixels(binary), padding: 0,
      chosen: 0, hull: 0, brightInHull: 0, beside: 0, edge: 0,
      mask: skullnb.countPixels(mask), maskHull: 0,
    };
    const own = chosen < 0 ? null : box(chosen);
    for (const one of labels.components) {
      if (one === chosen) continue;
      if (corners.has(one) && hasOneLevel(labels, one, normalised.pixels)) {
        facts.padding += area[one];
        continue;
      }
      if (touchesEdge[one]) facts.edge = Math.max(facts.edge, area[one]);
      if (!own || area[one] <= facts.beside) continue;
      const its = box(one);
      if (!holds(its, own) && !holds(own, its)) facts.beside = area[one];
    }
    if (own) {
      facts.chosen = area[chosen];
      [facts.hull, facts.brightInHull] = measureHull(
        labels, (run) => labels.owner[run] === chosen, height, binary,
      );
    }
    [facts.maskHull] = measureHull(skullnb.cutIntoRuns(mask), () => true, height);
    return facts;
  }

  function cornersOf({ edges, first, owner, height, width }) {
    return [0, height - 1].flatMap((row) => {
      const [begin, end] = [first[row], first[row + 1] - 1];
      if (begin > end) return [];
      const found = edges[2 * begin] === 0 ? [owner[begin]] : [];
      return edges[2 * end + 1] === width ? [...found, owner[end]] : found;
    });
  }

  // ---- sentences --------------------------------------------------------------------------------
  function reasonOf(facts, components) {
    if (facts.mask) return "";
    if (facts.chosen) {
      return "nothing of the chosen component lies 3 mm inside the head's outline";
    }
    if (facts.levels === 1) return "the slice is flat: every pixel has the same value";
    if (!components) return "no pixel is above the threshold";
    const n = components;
    return `every bright component touches the frame (${n} in all)`;
  }

  function warningsOf(facts, settings, spacing = null, reason = "") {
    const found = [];
    if (facts.levels > 1 && facts.hot / 255 < 0.1) {
      found.push(`a few pixels own most of the range: 99.9% of the pixels lie in its lowest ${
        general((100 * (facts.hot + 1)) / 255, 2)}%, so the threshold may only separate those few`);
    }
    if (facts.levels === 2) {
      found.push("scaled to 0..255 the slice has only two levels, like a drawing or a mask, not a scan");
    }
    if (spacing && settings.border === "dilation") found.push(...kernelSign(settings, spacing));
    if (reason) return [...found, `the mask is empty: ${reason}`];
    return [...found, ...sizeSigns(facts, spacing), ...choiceSigns(facts)];
  }

  // The odd width whose reach is nearest to what the open heads chose.
  const nearestWidth = (pixel) => 1 + 2 * Math.max(Math.ceil(7.5 / pixel - 0.5), 0);

  function kernelSign({ kernelWidth }, spacing) {
    const pixel = (spacing[0] + spacing[1]) / 2;
    if (((kernelWidth - 1) / 2) * pixel <= 16) return [];
    const width = nearestWidth(pixel);
    const reach = (one) => {
      const sides = new Set(spacing.map((mm) => general(((one - 1) / 2) * mm, 3)));
      return `${[...sides].join(" x ")} mm`;
    };
    return [`the kernel of ${kernelWidth} px reaches ${reach(kernelWidth)} here, more than twice `
      + "the 8 mm that any open head chose, so the mask may cover too much, and --reach-mm 7.5, or "
      + `--kernel-width ${width}, the nearest of odd width, reaches ${reach(width)}`];
  }

  // In short what `skullnb.reach.span_remark` says of a kernel of which `kernelSign` says nothing.
  function spanRemark(settings, spacing = null) {
    const { kernelWidth, border } = settings;
    if (!spacing || !kernelWidth || border !== "dilation") return "";
    const reaches = spacing.map((mm) => ((kernelWidth - 1) / 2) * mm);
    const isUsual = reaches.every((reach) => reach >= 0.75 * 7 && reach <= 1.25 * 8);
    const isNearest = Math.abs(nearestWidth((spacing[0] + spacing[1]) / 2) - kernelWidth) <= 1;
    if (isUsual || isNearest || kernelSign(settings, spacing).length) return "";
    return "The open heads were best met by 7 to 8 mm.";
  }

  function sizeSigns(facts, spacing) {
    const found = [], share = facts.mask / (facts.height * facts.width);
    const cm2 = spacing ? (spacing[0] * spacing[1]) / 100 : 0;
    if (cm2 && facts.chosen * cm2 < 20) {
      found.push(`the chosen component covers ${general(facts.chosen * cm2, 2)} cm² and the mask ${
        general(facts.mask * cm2, 3)} cm², too little for a head`);
    } else if (!cm2 && share < 0.01) {
      found.push(`the mask covers ${general(100 * share, 2)}% of the frame (${facts.mask} px), too `
        + "little for a head");
    }
    if (cm2 && facts.mask * cm2 > 300) {
      found.push(`the mask covers ${fixed(facts.mask * cm2)} cm², too much for a head`);
    } else if (share > 0.9) {
      found.push(`the mask covers ${percent(share)} of the frame, too much for a head`);
    }
    if (facts.mask < 0.81 * facts.maskHull) {
      found.push(`the mask fills only ${percent(facts.mask / facts.maskHull)} of its convex hull, `
        + "but the outline of a skull is nearly convex");
    }
    return found;
  }

  // Not the brain was chosen, or not the brain alone.
  function choiceSigns(facts) {
    const found = [], own = Math.max(facts.chosen, 1);
    if (facts.hull >= 0.01 * facts.height * facts.width) {
      const fill = facts.chosen / facts.hull;
      const outside = Math.max(0, 1 - facts.brightInHull / Math.max(facts.bright - facts.padding, 1));
      const cut = facts.edge >= 0.001 * own;
      if (outside < (cut ? 0.01 : 0.065)) {
        found.push(fill < 0.6
          ? `the chosen component is the outermost and fills only ${percent(fill)} of its hull, so `
            + "it may be the scalp"
          : `only ${percent(outside, 1)} of the bright tissue lies around the chosen component, so `
            + "brain and scalp may be joined, or the scan has no scalp");
      } else if (fill < 0.48) {
        found.push(`the chosen component fills only ${percent(fill)} of its convex hull, so it may `
          + "be noise, or a piece of the scalp");
      }
      if (outside > 0.6) {
        found.push(`${percent(outside)} of the bright tissue lies outside the chosen component's `
          + "hull, so the brain, or a part of it, may be left out");
      }
      if (facts.beside > 0.35 * own) {
        found.push(`a component ${percent(facts.beside / own)} as large lies beside the chosen one, `
          + "so a part of the brain may be left out");
      }
    }
    if (facts.edge > 2 * own) {
      found.push(`a component ${fixed(facts.edge / own, 1)} times as large as the chosen one touches `
        + "the frame and was dropped, so the brain may be lost");
    }
    return found;
  }

  // All that a trace says; the last word of Python's `SkullMaskTrace.warnings`.
  function signsOf(trace, spacing = null) {
    const facts = factsOf(trace);
    const reason = reasonOf(facts, trace.labels.components.length);
    return { facts, reason, warnings: warningsOf(facts, trace.settings, spacing, reason) };
  }

  return { signsOf, factsOf, warningsOf, spanRemark, hullRows, fixed, percent, general };
})();
