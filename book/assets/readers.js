// Reads what the reader drops on the page: a PNG, a JPEG, or slices as .npy or NIfTI. Everything
// happens in the page. A PNG is decoded here and not by the browser, which may change levels (colour
// management, protection against fingerprinting) and cuts 16 bits to 8. Only a JPEG is left to it.
"use strict";

const skullnbReaders = (() => {
  const MOST_PIXELS = 2 ** 24, MOST_BYTES = 2 ** 29;
  const ARRAYS = {
    u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array, u4: Uint32Array,
    i4: Int32Array, u8: BigUint64Array, i8: BigInt64Array, f4: Float32Array, f8: Float64Array,
  };
  const DAMAGED_PNG = "It is a damaged PNG: make a new copy of it.";
  const NO_ARRAY = "It is a damaged .npy file or holds no plain array: save one with numpy.save.";
  const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  const NUMPY = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  const startsWith = (bytes, start) => start.every((value, i) => bytes[i] === value);
  const text = (bytes) => String.fromCharCode(...bytes);

  function refuse(reason) {
    throw new Error(reason);
  }

  // Any file this page can read, as {length, read}: the number of its slices, and what gives one as
  // {pixels, height, width, spacing}; spacing is [row, column] in mm where the file says it. A volume
  // also has `axis`, across which it is cut, `along`, which cuts it across another, and `keep`, which
  // makes a file of its masks. An Error's message says what is wrong and what to do.
  async function readStack(bytes, name = "") {
    if (startsWith(bytes, [0x1f, 0x8b])) bytes = await unpack(bytes, "gzip");
    if (startsWith(bytes, PNG)) {
      const picture = await readPng(bytes);
      return { length: 1, read: () => picture };
    }
    if (startsWith(bytes, [0xff, 0xd8, 0xff])) {
      const picture = await readJpeg(bytes);
      return { length: 1, read: () => picture };
    }
    if (startsWith(bytes, NUMPY)) return readNpy(bytes);
    const nifti = openNifti(bytes);
    if (nifti) return readNifti(bytes, nifti);
    if (/\.(png|jpe?g|npy|nii|nii\.gz)$/i.test(name)) {
      refuse("It is damaged, cut short, or not what its name says: make a new copy of it.");
    }
    return refuse("It is none of the kinds read here: give a .png, .jpg, .npy, .nii or .nii.gz file.");
  }

  async function unpack(bytes, format) {
    if (typeof DecompressionStream === "undefined") {
      refuse("This browser cannot unpack compressed files: update it, or give .npy or .nii.");
    }
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format));
    const reader = stream.getReader(), pieces = [];
    let size = 0;
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        pieces.push(next.value);
        size += next.value.length;
        if (size > MOST_BYTES) break;
      }
    } catch {
      refuse("Its compressed data is damaged or cut short: make a new copy of it.");
    }
    if (size > MOST_BYTES) {
      reader.cancel();
      refuse("It is larger than this page can hold: give fewer slices.");
    }
    const whole = new Uint8Array(size);
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  function checkSize(height, width) {
    if (!(height > 0 && width > 0)) refuse("It holds no pixels.");
    if (height * width > MOST_PIXELS) {
      refuse(`Its ${height} x ${width} pixels are more than this page can hold: crop it.`);
    }
  }

  // Numbers as they are stored: a volume is not copied, unless its bytes must be turned or moved.
  function readNumbers(bytes, offset, count, type, bigEndian) {
    const size = Number(type[1]), end = offset + count * size;
    if (bytes.length < end) {
      refuse("It is cut short: it promises more pixels than it stores. Make a new copy of it.");
    }
    const at = bytes.byteOffset + offset;
    if (!bigEndian && at % size === 0) return new ARRAYS[type](bytes.buffer, at, count);
    const stored = bytes.slice(offset, end);
    for (let i = 0; bigEndian && i < stored.length; i += size) {
      stored.subarray(i, i + size).reverse();
    }
    return new ARRAYS[type](stored.buffer);
  }

  async function readPng(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const packed = [];
    let header = null;
    for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
      const name = text(bytes.subarray(at + 4, at + 8));
      if (name === "IHDR") header = at + 8;
      if (name === "IDAT") packed.push(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
    }
    if (header === null || header + 13 > bytes.length || !packed.length) refuse(DAMAGED_PNG);
    const width = view.getUint32(header), height = view.getUint32(header + 4);
    const [depth, colour, , , interlaced] = bytes.subarray(header + 8, header + 13);
    const channels = { 0: 1, 2: 3, 4: 2, 6: 4 }[colour];
    checkSize(height, width);
    if (!channels || (depth !== 8 && depth !== 16) || interlaced) {
      refuse("It is a PNG with a palette, few bits or interlacing: save it as 8- or 16-bit grey.");
    }
    const size = depth / 8, step = channels * size, stride = width * step;
    const lines = await unpack(await new Blob(packed).arrayBuffer(), "deflate");
    if (lines.length !== height * (stride + 1)) refuse(DAMAGED_PNG);
    const rows = unfilter(lines, height, stride, step);
    const value = (i) => (size === 1 ? rows[i] : 256 * rows[i] + rows[i + 1]);
    const pixels = new Float64Array(height * width);
    for (let i = 0, at = 0; i < pixels.length; i++, at += step) {
      pixels[i] = value(at);
      if (channels > 2 && (value(at + size) !== pixels[i] || value(at + 2 * size) !== pixels[i])) {
        refuse("It is in colour: save it as a grey picture.");
      }
      if (channels % 2 === 0 && value(at + step - size) !== 256 ** size - 1) {
        refuse("It is transparent in places: save it as a grey picture without transparency.");
      }
    }
    return { pixels, height, width };
  }

  async function readJpeg(bytes) {
    let bitmap = null;
    try {
      const untouched = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
      bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }), untouched);
    } catch {
      refuse("It is a damaged JPEG: make a new copy of it.");
    }
    const { width, height } = bitmap;
    checkSize(height, width);
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(bitmap, 0, 0);
    const { data } = pen.getImageData(0, 0, width, height);
    const pixels = new Float64Array(width * height);
    for (let i = 0, at = 0; i < pixels.length; i++, at += 4) {
      pixels[i] = data[at];
      if (data[at + 1] !== pixels[i] || data[at + 2] !== pixels[i]) {
        refuse("It is in colour: save it as a grey picture.");
      }
    }
    return { pixels, height, width };
  }

  // PNG stores differences from the pixel before (a), above (b) and above that (c).
  function unfilter(lines, height, stride, step) {
    const rows = new Uint8Array(height * stride);
    const nearest = (a, b, c) => {
      const [toA, toB, toC] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
      return toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
    };
    const guesses = [
      () => 0, (a) => a, (a, b) => b, (a, b) => (a + b) >> 1, nearest,
    ];
    for (let row = 0, at = 0, i = 0; row < height; row++) {
      const guess = guesses[lines[at++]] || refuse(DAMAGED_PNG);
      for (let column = 0; column < stride; column++, i++) {
        const a = column >= step ? rows[i - step] : 0, b = row ? rows[i - stride] : 0;
        const c = column >= step && row ? rows[i - stride - step] : 0;
        rows[i] = lines[at++] + guess(a, b, c);
      }
    }
    return rows;
  }

  function readNpy(bytes) {
    if (bytes.length < 12) refuse(NO_ARRAY);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const start = bytes[6] === 1 ? 10 : 12;
    const length = bytes[6] === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
    const header = text(bytes.subarray(start, start + Math.min(length, 10000)));
    const [, order, type] = /'descr': *'([<>|=]?)([^']*)'/.exec(header) || [];
    const [, fortran] = /'fortran_order': *(True|False)/.exec(header) || [];
    const [, sizes] = /'shape': *\(([^)]*)\)/.exec(header) || [];
    if ([type, fortran, sizes].includes(undefined)) refuse(NO_ARRAY);
    if (!ARRAYS[type]) {
      refuse(`It holds values of type ${type}: save it as float32 or as whole numbers.`);
    }
    const shape = sizes.split(",").filter((size) => size.trim()).map(Number);
    const given = shape.join(", ");
    if (shape.length === 3 && [1, 3, 4].includes(shape[2]) && shape[0] > 4 && shape[1] > 4) {
      refuse(`Its shape, (${given}), is that of a picture in colour: save it as grey values.`);
    }
    if (shape.length === 2) shape.unshift(1);
    if (shape.length !== 3) {
      refuse(`Its shape is (${given}): give (rows, columns) or (slices, rows, columns).`);
    }
    const [slices, height, width] = shape;
    checkSize(height, width);
    if (!slices) refuse("It holds no slices.");
    const count = slices * height * width;
    const numbers = readNumbers(bytes, start + length, count, type, order === ">");
    const steps = fortran === "True" ? [1, slices, slices * height] : [height * width, width, 1];
    return {
      length: slices,
      read: (number) => turn(numbers, shape.slice(1), number * steps[0], ...steps.slice(1)),
    };
  }

  // A slice from where row and column steps lead through the stored numbers: 32-bit floats as they
  // are, all others as 64-bit floats, as in Python.
  function turn(numbers, [height, width], start, rowStep, columnStep) {
    const Pixels = numbers instanceof Float32Array ? Float32Array : Float64Array;
    const pixels = new Pixels(height * width);
    for (let row = 0, i = 0; row < height; row++) {
      for (let column = 0; column < width; column++, i++) {
        pixels[i] = Number(numbers[start + row * rowStep + column * columnStep]);
      }
    }
    return { pixels, height, width };
  }

  // The header's fields that matter, of NIfTI-1 (348 bytes) and NIfTI-2 (540), either byte order.
  function openNifti(bytes) {
    if (bytes.length < 352) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const little = view.getInt32(0, true) === 348 || view.getInt32(0, true) === 540;
    const second = view.getInt32(0, little) === 540;
    if (second ? bytes.length < 544 : view.getInt32(0, little) !== 348) return null;
    const magic = text(bytes.subarray(second ? 4 : 344, second ? 7 : 347));
    if (magic !== (second ? "n+2" : "n+1")) return null;
    const float = (at) => (second ? view.getFloat64(at, little) : view.getFloat32(at, little));
    const long = (at) => Number(view.getBigInt64(at, little));
    const whole = (at) => (second ? long(at) : view.getInt16(at, little));
    const code = (at) => (second ? view.getInt32(at, little) : view.getInt16(at, little));
    const size = second ? 8 : 4;
    const several = (get, at, count, step) =>
      Array.from({ length: count }, (_, i) => get(at + i * step));
    const dim = several(whole, second ? 16 : 40, 8, second ? 8 : 2);
    return {
      little,
      second,
      shape: [...dim.slice(1, Math.max(1, Math.min(dim[0], 7)) + 1), 1, 1],
      type: view.getInt16(second ? 12 : 70, little),
      pixdim: several(float, second ? 104 : 76, 8, size),
      offset: second ? Math.max(long(168), 544) : Math.max(float(108), 352),
      slope: float(second ? 176 : 112),
      intercept: float(second ? 184 : 116),
      qform: code(second ? 344 : 252),
      sform: code(second ? 348 : 254),
      quaternion: several(float, second ? 352 : 256, 3, size),
      rows: several((at) => several(float, at, 3, size), second ? 400 : 280, 3, 4 * size),
      units: view[second ? "getInt32" : "getInt8"](second ? 500 : 123, little) & 7,
    };
  }

  const NIFTI_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8",
    1280: "u8",
  };

  // Slices as Python cuts them (the table in `skullnb.stack.model`): across the axis in which the
  // volume was acquired, or across the one that is asked for.
  const ACROSS = ["sagittal", "coronal", "axial"];
  function readNifti(bytes, header, axis = "") {
    const { shape, slope, intercept, little } = header, type = NIFTI_TYPES[header.type];
    if (!type) refuse("It holds colours, complex numbers or a rare type: save plain grey values.");
    if (shape.some((size) => size < 1)) refuse("It holds no pixels.");
    const volumes = shape.slice(3).reduce((product, size) => product * size, 1);
    if (volumes > 1) refuse(`It holds ${volumes} volumes: give one, such as one time point.`);
    const stored = anatomicalAxes(header), steps = [1, shape[0], shape[0] * shape[1]];
    // Slices run towards the head, the front or the patient's right; rows and columns towards the
    // feet, the back, the patient's left.
    const along = (to, towards) => {
      const at = stored.findIndex((one) => one.axis === to), size = shape[at];
      const step = towards * stored[at].direction * steps[at];
      return { size, step, zoom: header.pixdim[at + 1], start: Math.max(0, (1 - size) * step) };
    };
    const cut = axis ? ACROSS.indexOf(axis) : acquired(stored, shape), slices = along(cut, 1);
    const [down, across] = { 0: [2, 1], 1: [2, 0], 2: [1, 0] }[cut].map((to) => along(to, -1));
    checkSize(down.size, across.size);
    const count = slices.size * down.size * across.size;
    const numbers = readNumbers(bytes, header.offset, count, type, !little);
    const known = Number.isFinite(slope) && slope !== 0;
    const [factor, added] = known ? [slope, Number.isFinite(intercept) ? intercept : 0] : [1, 0];
    const scale = { 1: 1000, 3: 0.001 }[header.units] || 1;
    const spacing = [down.zoom * scale, across.zoom * scale];
    const sound = spacing.every((size) => size > 0 && size < Infinity);
    const startOf = (number) => slices.start + number * slices.step + down.start + across.start;
    function read(number) {
      const size = [down.size, across.size];
      const slice = turn(numbers, size, startOf(number), down.step, across.step);
      if (factor !== 1 || added !== 0) {
        slice.pixels = Float64Array.from(slice.pixels, (value) => value * factor + added);
      }
      return sound ? { ...slice, spacing } : slice;
    }
    // A file of masks that lies where the scan lies: its header, but for what says how to read it.
    function keep(masks) {
      const start = header.second ? 544 : 352, kept = new Uint8Array(start + count);
      kept.set(bytes.subarray(0, header.second ? 540 : 348));
      const view = new DataView(kept.buffer);
      const [setFloat, size] = header.second ? ["setFloat64", 8] : ["setFloat32", 4];
      const at = header.second ? [12, 14, 168, 176] : [70, 72, 108, 112];
      view.setInt16(at[0], 2, little);
      view.setInt16(at[1], 8, little);
      if (header.second) view.setBigInt64(at[2], BigInt(start), little);
      else view.setFloat32(at[2], start, little);
      view[setFloat](at[3], 1, little);
      view[setFloat](at[3] + size, 0, little);
      masks.forEach(({ pixels }, number) => {
        for (let row = 0, i = 0; row < down.size; row++) {
          const line = start + startOf(number) + row * down.step;
          for (let column = 0; column < across.size; column++) {
            kept[line + column * across.step] = pixels[i++];
          }
        }
      });
      return kept;
    }
    return {
      length: slices.size, read, keep, axis: ACROSS[cut],
      along: (other) => readNifti(bytes, header, other),
    };
  }

  // The axis of a single slice, of by far the largest step, or of by far the fewest slices; else
  // axial. As `skullnb.stack.model.acquired` has it.
  function acquired(stored, shape) {
    const order = (values) => [0, 1, 2].sort((a, b) => values[a] - values[b] || a - b);
    const sizes = stored.map(({ length }) => length), thick = order(sizes), few = order(shape);
    if (shape[few[0]] === 1 && shape[few[1]] > 1) return stored[few[0]].axis;
    if (sizes[thick[2]] >= 1.99 * sizes[thick[1]]) return stored[thick[2]].axis;
    return shape[few[1]] >= 4 * shape[few[0]] ? stored[few[0]].axis : 2;
  }

  // For every stored axis the anatomical one (0 right, 1 front, 2 up) that it is closest to.
  function anatomicalAxes({ sform, qform, rows, quaternion: [b, c, d], pixdim }) {
    let matrix = [[-1, 0, 0], [0, 1, 0], [0, 0, 1]];
    if (sform > 0) matrix = rows;
    else if (qform > 0) {
      const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d)), last = pixdim[0] < 0 ? -1 : 1;
      matrix = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c) * last],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b) * last],
        [2 * (b * d - a * c), 2 * (c * d + a * b), (a * a + d * d - b * b - c * c) * last],
      ];
    }
    const taken = [];
    return [0, 1, 2].map((stored) => {
      const length = Math.hypot(...matrix.map((row) => row[stored]));
      let axis = -1;
      for (const one of [0, 1, 2]) {
        const larger = axis < 0 || Math.abs(matrix[one][stored]) > Math.abs(matrix[axis][stored]);
        if (!taken.includes(one) && larger) axis = one;
      }
      if (!(length > 0 && length < Infinity)) refuse("Its affine is singular: repair its header.");
      taken.push(axis);
      return { axis, length, direction: Math.sign(matrix[axis][stored]) };
    });
  }

  return { readStack };
})();
