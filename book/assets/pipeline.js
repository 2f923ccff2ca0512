// The article's pipeline in the reader's page: the steps of `skullnb.pipeline.steps`, by the same
// names, and the same masks bit for bit; the project's tests compare the two in a browser.
//
// A picture is {pixels, height, width}: an array of numbers, row after row. A mask holds 0 and 1.
// What makes it quick: components and holes are found among runs (stretches of one row), and a
// dilation adds up where stretches begin and end, however wide the kernel is.
"use strict";

const skullnb = (() => {
  const likeness = (picture, pixels) => ({ pixels, height: picture.height, width: picture.width });
  const blank = (picture) => likeness(picture, new Uint8Array(picture.pixels.length));

  // Step 1. Levels 0..255 from minimum to maximum, decimals cut off. 32-bit floats are computed in
  // their own precision, as numpy does; everything else comes as 64-bit floats.
  function normalise(image) {
    const round = image.pixels instanceof Float32Array ? Math.fround : (number) => number;
    let low = Infinity, high = -Infinity, notFinite = 0;
    for (const value of image.pixels) {
      if (value < low) low = value;
      if (value > high) high = value;
      if (!Number.isFinite(value)) notFinite++;
    }
    if (notFinite) {
      throw new Error(`${notFinite} of ${image.pixels.length} pixels are NaN or infinite.`);
    }
    const span = round(high - low);
    if (!Number.isFinite(span)) {
      return normalise(likeness(image, Float64Array.from(image.pixels, (value) => value / 2)));
    }
    const levels = blank(image);
    if (span === 0) return levels;
    image.pixels.forEach((value, i) => {
      levels.pixels[i] = round(round(round(value - low) / span) * 255);
    });
    return levels;
  }

  function histogram(normalised) {
    const counts = new Int32Array(256), levels = normalised.pixels;
    for (let i = 0; i < levels.length; i++) counts[levels[i]]++;
    return counts;
  }

  // Step 2. Otsu's level: OpenCV's operations in OpenCV's order, so that levels which split almost
  // equally well are told apart as it does. Builds of OpenCV differ only where two are equal.
  function otsuThreshold(normalised) {
    const counts = histogram(normalised), scale = 1 / normalised.pixels.length;
    const nothing = 2 ** -23; // a class with a smaller share is no class
    let mean = 0;
    counts.forEach((count, level) => { mean += level * count; });
    mean *= scale;
    let dark = 0, darkMean = 0, best = 0, threshold = 0;
    counts.forEach((count, level) => {
      const share = count * scale;
      darkMean *= dark;
      dark += share;
      const bright = 1 - dark;
      if (Math.min(dark, bright) < nothing || Math.max(dark, bright) > 1 - nothing) return;
      darkMean = (darkMean + level * share) / dark;
      const brightMean = (mean - dark * darkMean) / bright;
      const variance = dark * bright * (darkMean - brightMean) * (darkMean - brightMean);
      if (variance > best) [best, threshold] = [variance, level];
    });
    return threshold;
  }

  // Bright pixels: strictly above the threshold.
  function binarise(normalised, threshold) {
    const binary = blank(normalised), levels = normalised.pixels;
    for (let i = 0; i < levels.length; i++) binary.pixels[i] = levels[i] > threshold ? 1 : 0;
    return binary;
  }

  // Step 3. Components of the pixels that equal `value`. Run i covers the columns from `edges[2i]`
  // to just before `edges[2i + 1]`; a row has the runs `first[row]` to just before `first[row + 1]`.
  // `owner[i]` is the first run of its component, and by it go `area`, `touchesEdge` and `box`,
  // which gives [top, left, bottom, right], the last two just behind it.
  function labelComponents(mask, connectivity = 8, value = 1) {
    const { pixels, height, width } = mask, runs = cutIntoRuns(mask, value);
    const { edges, first } = runs, count = first[height], reach = connectivity === 8 ? 1 : 0;
    const owner = new Int32Array(count), area = new Int32Array(count);
    const touchesEdge = new Uint8Array(count), rank = new Float64Array(count).fill(Infinity);
    const top = new Int32Array(count).fill(height), bottom = new Int32Array(count);
    const left = new Int32Array(count).fill(width), right = new Int32Array(count);
    const rootOf = (run) => {
      while (owner[run] !== run) run = owner[run] = owner[owner[run]];
      return run;
    };
    for (let row = 0; row < height; row++) {
      let above = first[Math.max(row - 1, 0)];
      for (let run = first[row]; run < first[row + 1]; run++) {
        owner[run] = run;
        const start = edges[2 * run] - reach, end = edges[2 * run + 1] + reach;
        while (above < first[row] && edges[2 * above + 1] <= start) above++;
        for (let other = above; other < first[row] && edges[2 * other] < end; other++) {
          const a = rootOf(run), b = rootOf(other);
          owner[Math.max(a, b)] = Math.min(a, b);
        }
      }
    }
    // OpenCV numbers components in the order in which it meets them: over blocks of 2 x 2 pixels
    // where corners join, else over pixels. Only between components of equal size does it matter.
    for (let row = 0; row < height; row++) {
      for (let run = first[row]; run < first[row + 1]; run++) {
        const start = edges[2 * run], end = edges[2 * run + 1], own = owner[run] = rootOf(run);
        const met = (row >> reach) * width + (start >> reach);
        area[own] += end - start;
        top[own] = Math.min(top[own], row);
        left[own] = Math.min(left[own], start);
        bottom[own] = row + 1;
        right[own] = Math.max(right[own], end);
        if (met < rank[own]) rank[own] = met;
        if (row === 0 || row === height - 1 || start === 0 || end === width) touchesEdge[own] = 1;
      }
    }
    const components = [];
    for (let run = 0; run < count; run++) if (owner[run] === run) components.push(run);
    const box = (one) => [top[one], left[one], bottom[one], right[one]];
    return { pixels, height, width, edges, first, owner, area, box, touchesEdge, rank, components };
  }

  function cutIntoRuns({ pixels, height, width }, value = 1) {
    const edges = new Int32Array(height * (width + 1)), first = new Int32Array(height + 1);
    let n = 0;
    for (let row = 0, i = 0; row < height; row++) {
      first[row] = n >> 1;
      for (let column = 0, inside = false; column < width; column++, i++) {
        if ((pixels[i] === value) !== inside) {
          edges[n++] = column;
          inside = !inside;
        }
      }
      if (n & 1) edges[n++] = width;
    }
    first[height] = n >> 1;
    return { edges: edges.subarray(0, n), first };
  }

  // Largest inner component, the first of equals; -1 when nothing is left to choose.
  function chooseBrain({ components, area, touchesEdge, rank }, dropEdgeTouching = true) {
    let chosen = -1;
    for (const one of components) {
      if (dropEdgeTouching && touchesEdge[one]) continue;
      const larger = chosen < 0 ? 1 : area[one] - area[chosen];
      if (larger > 0 || (larger === 0 && rank[one] < rank[chosen])) chosen = one;
    }
    return chosen;
  }

  // The components of which `kind` gives a number other than 0, painted with that number.
  function paintComponents(labels, kind) {
    const painted = blank(labels), { edges, first, owner, height, width } = labels;
    for (let row = 0; row < height; row++) {
      for (let run = first[row]; run < first[row + 1]; run++) {
        const [start, end] = [row * width + edges[2 * run], row * width + edges[2 * run + 1]];
        const value = kind(owner[run]);
        if (value) painted.pixels.fill(value, start, end);
      }
    }
    return painted;
  }

  const componentMask = (labels, chosen) =>
    paintComponents(labels, (component) => (component === chosen ? 1 : 0));

  // OpenCV's element, row by row: how far it carries a pixel [down, to the left, to the right].
  // Of an even width the anchor is not the middle: 26 reaches 12 px one way and 13 the other.
  function structuringElement(width, shape = "ellipse") {
    const anchor = width >> 1;
    return Array.from({ length: width }, (_, row) => {
      let start = 0, end = width;
      if (shape === "ellipse" && width > 1) {
        const down = row - anchor, inverse = 1 / (anchor * anchor);
        const across = Math.round(anchor * Math.sqrt((anchor * anchor - down * down) * inverse));
        start = Math.max(anchor - across, 0);
        end = Math.min(anchor + across + 1, width);
      }
      return [anchor - row, end - 1 - anchor, anchor - start];
    });
  }

  // Step 4.
  function dilate(brain, kernelWidth = 26, shape = "ellipse") {
    return spread(brain, kernelWidth ? structuringElement(kernelWidth, shape) : [[0, 0, 0]]);
  }

  // A mask under a kernel given by its rows: each run, carried by each row, adds 1 where it begins
  // and takes 1 away where it ends; pixels where the sum is above 0 are covered.
  function spread(mask, kernel) {
    const { height, width } = mask, { edges, first } = cutIntoRuns(mask);
    const change = new Int32Array(height * (width + 1)), dilated = blank(mask);
    for (let row = 0; row < height; row++) {
      for (const [down, left, right] of kernel) {
        if (row + down < 0 || row + down >= height) continue;
        const start = (row + down) * (width + 1);
        for (let run = first[row]; run < first[row + 1]; run++) {
          change[start + Math.max(edges[2 * run] - left, 0)]++;
          change[start + Math.min(edges[2 * run + 1] + right, width)]--;
        }
      }
    }
    for (let row = 0, i = 0, j = 0; row < height; row++, j++) {
      for (let column = 0, sum = 0; column < width; column++) {
        sum += change[j++];
        dilated.pixels[i++] = sum > 0 ? 1 : 0;
      }
    }
    return dilated;
  }

  // Instead of step 4: grown from the brain through the dark around it and inside the head, as in
  // `skullnb.pipeline.border`, which says why each distance is what it is.
  function growThroughDark(brain, { pixels: levels }, threshold, spacing, reachMm = 14) {
    const where = (rule) => likeness(brain, levels.map(rule));
    const kernel = (mm) => disc(mm, spacing);
    const head = largest(fillHoles(close(where((level) => level > 0.5 * threshold), kernel(3))));
    const inside = erode(head, kernel(3)).pixels;
    const closed = fillHoles(close(brain, kernel(4)));
    const within = (mm) => spread(closed, kernel(mm)).pixels;
    const [near, far] = [Math.min(2, reachMm), reachMm].map(within);
    const found = where((level, i) => inside[i] & (near[i] | (level < 0.9 * threshold & far[i])));
    const opened = spread(erode(found, kernel(2)), kernel(2)).pixels;
    return close(largest(where((_, i) => (near[i] & inside[i]) | opened[i])), kernel(8));
  }

  // The pixels whose centres lie within so many mm, row by row as in `structuringElement`.
  function disc(radius, [tall, wide]) {
    const rows = [];
    const within = (down, across) =>
      down * tall * (down * tall) + across * wide * (across * wide) <= radius * radius;
    for (let down = 0, across; within(down, 0); down++) {
      for (across = 0; within(down, across + 1);) across++;
      rows.push([down, across, across], [-down, across, across]);
    }
    return rows;
  }

  // Everything outside the frame is background.
  function erode(mask, kernel) {
    const around = padded(mask, 1, 1);
    for (let i = 0; i < around.pixels.length; i++) around.pixels[i] ^= 1;
    const eroded = padded(spread(around, kernel), -1, -1);
    for (let i = 0; i < eroded.pixels.length; i++) eroded.pixels[i] ^= 1;
    return eroded;
  }

  // Dilated and eroded again, as if there were no frame.
  function close(mask, kernel) {
    const [down, across] = [0, 1].map((side) => Math.max(...kernel.map((row) => row[side])));
    const roomy = padded(mask, down, across);
    return padded(erode(spread(roomy, kernel), kernel), -down, -across);
  }

  // The mask with so many rows above and below and columns to both sides, or without them.
  function padded(mask, down, across) {
    const height = mask.height + 2 * down, width = mask.width + 2 * across;
    const made = { pixels: new Uint8Array(height * width), height, width };
    for (let row = Math.max(0, -down); row < mask.height - Math.max(0, -down); row++) {
      const start = row * mask.width, cut = Math.max(0, -across);
      const line = mask.pixels.subarray(start + cut, start + mask.width - cut);
      made.pixels.set(line, (row + down) * width + Math.max(0, across));
    }
    return made;
  }

  function largest(mask) {
    const labels = labelComponents(mask, 4);
    return componentMask(labels, chooseBrain(labels, false));
  }

  // Step 5. Background that is not joined to the frame, through its four neighbours, is filled.
  function fillHoles(mask) {
    const background = labelComponents(mask, 4, 0);
    const filled = paintComponents(background, (one) => (background.touchesEdge[one] ? 0 : 1));
    for (let i = 0; i < mask.pixels.length; i++) filled.pixels[i] |= mask.pixels[i];
    return filled;
  }

  // Pixels in a mask, or in two masks at once.
  function countPixels({ pixels }, other = { pixels }) {
    const others = other.pixels;
    let count = 0;
    for (let i = 0; i < pixels.length; i++) count += pixels[i] & others[i];
    return count;
  }

  // IoU and Dice; NaN when both masks are empty.
  function overlaps(mask, reference) {
    const both = countPixels(mask, reference), areas = countPixels(mask) + countPixels(reference);
    return { iou: both / (areas - both), dice: (2 * both) / areas };
  }

  // Every stage for some settings; those that did not change since `before` are taken from there.
  // Dark growth needs the spacing, [row, column] in mm.
  function traceSkullMask(normalised, settings, spacing = null, before = null) {
    let fresh = !before || before.normalised !== normalised;
    const changed = (...names) => {
      fresh = fresh || names.some((name) => settings[name] !== before.settings[name]);
      return fresh;
    };
    const trace = { ...before, normalised, settings: { ...settings } };
    if (changed("threshold")) {
      const byHand = settings.threshold !== "otsu";
      trace.threshold = byHand ? settings.threshold : otsuThreshold(normalised);
      trace.binary = binarise(normalised, trace.threshold);
    }
    if (changed("connectivity")) {
      trace.labels = labelComponents(trace.binary, settings.connectivity);
    }
    if (changed("dropEdgeTouching")) {
      trace.chosen = chooseBrain(trace.labels, settings.dropEdgeTouching);
      trace.brain = componentMask(trace.labels, trace.chosen);
    }
    if (changed("border", "kernelWidth", "kernelShape", "reachMm")) {
      const { brain, threshold } = trace, { border, kernelWidth, kernelShape, reachMm } = settings;
      trace.dilated = border === "dark growth"
        ? growThroughDark(brain, normalised, threshold, spacing, reachMm)
        : dilate(brain, kernelWidth, kernelShape);
    }
    if (changed("fillHoles")) {
      trace.mask = settings.fillHoles ? fillHoles(trace.dilated) : trace.dilated;
    }
    return trace;
  }

  return {
    normalise, histogram, otsuThreshold, binarise, labelComponents, chooseBrain, paintComponents,
    componentMask, structuringElement, dilate, spread, growThroughDark, fillHoles, cutIntoRuns,
    countPixels, overlaps, traceSkullMask,
  };
})();
