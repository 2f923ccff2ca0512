// Masks as files, made in the page: .png (0 and 255), .npy (0 and 1) and .nii (0 and 1).
"use strict";

const skullnbWriters = (() => {
  const bytesOf = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

  function join(...parts) {
    const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  // `keep`: what the file that was read says of its geometry, as `skullnbReaders` gives it.
  async function write(kind, masks, spacing, keep) {
    if (kind === ".png") return writePng(masks[0]);
    if (kind === ".npy") return writeNpy(masks);
    return keep ? keep(masks) : writeNifti(masks, spacing);
  }

  function writeNpy(masks) {
    const [{ height, width }] = masks;
    const shape = masks.length > 1 ? [masks.length, height, width] : [height, width];
    const says = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
    const padded = `${says.padEnd(64 * Math.ceil((says.length + 11) / 64) - 11)}\n`;
    const start = Uint8Array.of(0x93, ...bytesOf("NUMPY"), 1, 0, padded.length & 255, padded.length >> 8);
    return join(start, bytesOf(padded), ...masks.map(({ pixels }) => pixels));
  }

  // Columns run to the patient's left and rows to the feet, as `skullnb.stack.write_masks` has it
  // where nothing is known of the scan.
  function writeNifti(masks, spacing) {
    const [{ height, width }] = masks, [row, column] = spacing || [1, 1];
    const header = new DataView(new ArrayBuffer(352));
    header.setInt32(0, 348, true);
    [3, width, height, masks.length, 1, 1, 1, 1].forEach((n, i) => header.setInt16(40 + 2 * i, n, true));
    header.setInt16(70, 2, true);
    header.setInt16(72, 8, true);
    [1, column, row, 1, 1, 1, 1, 1].forEach((n, i) => header.setFloat32(76 + 4 * i, n, true));
    header.setFloat32(108, 352, true);
    header.setFloat32(112, 1, true);
    header.setUint8(123, 2);
    header.setInt16(254, 2, true);
    [[-column, 0, 0], [0, -row, 0], [0, 0, 1]].forEach((line, i) => {
      line.forEach((n, j) => header.setFloat32(280 + 16 * i + 4 * j, n, true));
    });
    const whole = new Uint8Array(header.buffer);
    whole.set(bytesOf("n+1"), 344);
    return join(whole, ...masks.map(({ pixels }) => pixels));
  }

  async function writePng({ pixels, height, width }) {
    if (typeof CompressionStream === "undefined") {
      throw new Error("This browser cannot write a PNG: update it, or save .npy.");
    }
    const lines = new Uint8Array(height * (width + 1));
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        lines[row * (width + 1) + column + 1] = 255 * pixels[row * width + column];
      }
    }
    const packed = new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate"));
    const size = new DataView(new ArrayBuffer(13));
    size.setUint32(0, width);
    size.setUint32(4, height);
    size.setUint8(8, 8);
    return join(
      Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
      chunk("IHDR", new Uint8Array(size.buffer)),
      chunk("IDAT", new Uint8Array(await new Response(packed).arrayBuffer())),
      chunk("IEND", new Uint8Array(0)),
    );
  }

  function chunk(name, data) {
    const body = join(bytesOf(name), data), ends = new DataView(new ArrayBuffer(8));
    let sum = ~0;
    for (const byte of body) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
    }
    ends.setUint32(0, data.length);
    ends.setUint32(4, ~sum >>> 0);
    return join(new Uint8Array(ends.buffer, 0, 4), body, new Uint8Array(ends.buffer, 4, 4));
  }

  return { write };
})();
