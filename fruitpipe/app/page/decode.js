// A file's bytes to the small picture that the network takes, as `fruitpipe identify` decodes it: turned by EXIF, colours in sRGB,
// transparency on white.

import { Resizer } from "./resize.js";
import { sizeOf } from "./size.js";

const HEADER_BYTES = 1 << 22; // in which a picture tells its size
const STRIP_PIXELS = 1_000_000; // that are read from the canvas at a time

// The browser's picture of a file. Throws what says why not: "bytes", "pixels" or "format".
export async function decoded(file, limits) {
  if (file.size > limits.bytes) throw new Refused("bytes");
  const [width, height] = sizeOf(new Uint8Array(await file.slice(0, HEADER_BYTES).arrayBuffer())) || [0, 0];
  if (width * height > limits.pixels) throw new Refused("pixels"); // before it takes four bytes a pixel
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { premultiplyAlpha: "none" });
  } catch {
    throw new Refused("format");
  }
  if (bitmap.width * bitmap.height <= limits.pixels) return bitmap;
  bitmap.close();
  throw new Refused("pixels");
}

export class Refused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

// The picture resized: red, green and blue, 0 to 255, of toHeight rows of toWidth pixels. Lets the page breathe between strips.
export async function resized(bitmap, toWidth, toHeight) {
  const resizer = new Resizer(bitmap.width, bitmap.height, toWidth, toHeight);
  const { isTall, length, lines } = resizer;
  const strip = Math.max(1, Math.min(lines, Math.floor(STRIP_PIXELS / length)));
  const pen = isTall ? canvas(strip, length) : canvas(length, strip);
  for (let first = 0; first < lines; first += strip) {
    const count = Math.min(strip, lines - first);
    const [left, top, width, height] = isTall ? [first, 0, count, length] : [0, first, length, count];
    pen.fillRect(0, 0, width, height);
    pen.drawImage(bitmap, left, top, width, height, 0, 0, width, height);
    resizer.add(pen.getImageData(0, 0, width, height).data, count);
    if (first + count < lines) await new Promise((done) => setTimeout(done));
  }
  return resizer.result();
}

function canvas(width, height) {
  const element = document.createElement("canvas");
  Object.assign(element, { width, height });
  const pen = element.getContext("2d", { alpha: false, colorSpace: "srgb", willReadFrequently: true });
  pen.fillStyle = "#fff";
  pen.imageSmoothingEnabled = false;
  return pen;
}
