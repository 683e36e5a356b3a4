// Bicubic resampling of 8-bit pixels, bit for bit as Pillow 13 does it: weights are whole numbers of 2^-22, one direction is done
// after the other, and what the first gives is rounded to 8 bits. The picture comes in line by line, so it is never held whole.

const BITS = 22;
const HALF = 2 ** (BITS - 1);
const SUPPORT = 2; // pixels of the smaller picture
const A = -0.5; // Pillow's parameter
const CHANNELS = 3;

export class Resizer {
  // From width x height to toWidth x toHeight pixels. isTall: whether lines are columns and not rows.
  constructor(width, height, toWidth, toHeight) {
    this.isTall = height > toHeight && height - toHeight > 2 * (width - toWidth);
    const [length, lines] = this.isTall ? [height, width] : [width, height];
    const [toLength, toLines] = this.isTall ? [toHeight, toWidth] : [toWidth, toHeight];
    Object.assign(this, { length, lines, toLength, toLines, next: 0 });
    this.along = weights(length, toLength);
    this.beyond = weights(lines, toLines);
    this.narrow = new Uint8Array(lines * toLength * CHANNELS);
  }

  // Takes the next `count` lines: a rectangle, row by row, with red, green, blue and a byte that is not looked at for each pixel.
  add(pixels, count) {
    const step = this.isTall ? count * 4 : 4, apart = this.isTall ? 4 : this.length * 4;
    for (let line = 0; line < count; line++) this.#addLine(pixels, line * apart, step);
  }

  // The picture: red, green and blue of each pixel, row by row.
  result() {
    const result = new Uint8Array(this.toLines * this.toLength * CHANNELS);
    const [byLine, byPlace] = this.isTall ? [1, this.toLines] : [this.toLength, 1];
    this.beyond.forEach((weight, line) => {
      for (let place = 0; place < this.toLength; place++) {
        const to = (line * byLine + place * byPlace) * CHANNELS;
        for (let channel = 0; channel < CHANNELS; channel++) result[to + channel] = this.#across(weight, place * CHANNELS + channel);
      }
    });
    return result;
  }

  #across({ first, values }, place) {
    const apart = this.toLength * CHANNELS;
    let sum = HALF;
    for (let some = 0, from = first * apart + place; some < values.length; some++, from += apart) {
      sum += this.narrow[from] * values[some];
    }
    return clipped(sum >> BITS);
  }

  #addLine(pixels, start, step) {
    let to = this.next++ * this.toLength * CHANNELS;
    for (const { first, values } of this.along) {
      let red = HALF, green = HALF, blue = HALF;
      for (let some = 0, from = start + first * step; some < values.length; some++, from += step) {
        const weight = values[some];
        red += pixels[from] * weight;
        green += pixels[from + 1] * weight;
        blue += pixels[from + 2] * weight;
      }
      this.narrow[to++] = clipped(red >> BITS);
      this.narrow[to++] = clipped(green >> BITS);
      this.narrow[to++] = clipped(blue >> BITS);
    }
  }
}

// For each pixel of the smaller side the first of the larger that counts, and the weights from there on.
export function weights(length, toLength) {
  const scale = length / toLength, stretch = Math.max(scale, 1), reach = SUPPORT * stretch;
  return Array.from({ length: toLength }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach + 0.5), length);
    const raw = Array.from({ length: end - first }, (_, some) => bicubic((some + first - centre + 0.5) * (1 / stretch)));
    const sum = raw.reduce((total, value) => total + value, 0);
    return { first, values: Int32Array.from(raw, (value) => whole(value / sum)) };
  });
}

function bicubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * A : 0;
}

function whole(weight) {
  return Math.trunc(weight * 2 ** BITS + (weight < 0 ? -0.5 : 0.5));
}

function clipped(level) {
  return level < 0 ? 0 : level > 255 ? 255 : level;
}
