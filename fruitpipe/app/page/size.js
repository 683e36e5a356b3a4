// Width and height of a picture as its header tells, so that one with too many pixels is not decoded at all.

const ENOUGH = 30; // bytes, for the headers whose place is fixed

// [width, height] of a file's bytes, not turned; null for a format that is not known here, or a header that is cut.
export function sizeOf(bytes) {
  if (bytes.length < ENOUGH) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const begins = (text, at = 0) => [...text].every((letter, place) => bytes[at + place] === letter.charCodeAt(0));
  if (begins("\x89PNG")) return [view.getUint32(16), view.getUint32(20)];
  if (begins("GIF8")) return [view.getUint16(6, true), view.getUint16(8, true)];
  if (begins("BM")) return ofBmp(view);
  if (begins("RIFF") && begins("WEBP", 8)) return ofWebp(view, begins);
  if (begins("ftyp", 4)) return ofBoxes(view, begins);
  return begins("\xff\xd8") ? ofJpeg(view) : null;
}

function ofBmp(view) {
  const isOld = view.getUint32(14, true) === 12;
  return isOld ? [view.getUint16(18, true), view.getUint16(20, true)] : [view.getInt32(18, true), Math.abs(view.getInt32(22, true))];
}

function ofWebp(view, begins) {
  if (begins("VP8X", 12)) return [24, 27].map((at) => 1 + view.getUint16(at, true) + view.getUint8(at + 2) * 2 ** 16);
  if (begins("VP8 ", 12)) return [26, 28].map((at) => view.getUint16(at, true) & 0x3fff);
  const bits = view.getUint32(21, true); // VP8L
  return [1 + (bits & 0x3fff), 1 + ((bits >>> 14) & 0x3fff)];
}

// AVIF and HEIC: the largest of the pictures in it, as one may be made of tiles.
function ofBoxes(view, begins) {
  let largest = null;
  for (let at = ENOUGH; at + 16 <= view.byteLength; at++) {
    if (!begins("ispe", at)) continue;
    const found = [view.getUint32(at + 8), view.getUint32(at + 12)];
    if (!largest || found[0] * found[1] > largest[0] * largest[1]) largest = found;
  }
  return largest;
}

function ofJpeg(view) {
  for (let at = 2; at + 9 <= view.byteLength && view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1), isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [view.getUint16(at + 7), view.getUint16(at + 5)];
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return null;
}
