// The promise, checked: pictures that the product drew, named here, beside the vectors and labels that it gave them.

import { bytesOf } from "./files.js";

// Names all of them; told(done, of) is called after each. difference: the worst between two numbers of a vector. isKept: whether
// the promise holds. Throws where a file cannot be fetched, or is not the one that the contract names.
export async function check(identifier, told) {
  const { golden, tolerances } = identifier.contract;
  const vectors = new Float32Array(await bytesOf(identifier.contract, "golden/vectors.bin"));
  const length = vectors.length / golden.length;
  const found = [];
  for (const [number, picture] of golden.entries()) {
    const expected = vectors.subarray(number * length, (number + 1) * length);
    found.push(await compared(identifier, picture, expected, tolerances));
    told(found.length, golden.length);
  }
  return {
    pictures: found,
    difference: Math.max(...found.map(({ difference }) => difference)),
    isKept: found.every(({ isKept }) => isKept),
  };
}

async function compared(identifier, picture, expected, tolerances) {
  const { file, how } = picture;
  const blob = new Blob([await bytesOf(identifier.contract, `golden/${file}`)]);
  try {
    const answer = await identifier.identify(blob);
    const difference = worst(answer.features, expected), cosine = cosineOf(answer.features, expected);
    const isNear = how === "lossless" ? difference <= tolerances.difference : cosine >= tolerances.cosine;
    const isSame = answer.label === picture.label && answer.isKnown === picture.is_known;
    return { file, how, difference, cosine, isSame, isKept: isNear && (isSame || !picture.is_clear) };
  } catch (error) {
    return { file, how, difference: Infinity, cosine: 0, isSame: false, isKept: false, error: String(error) };
  }
}

function worst(one, other) {
  return one.reduce((most, value, place) => Math.max(most, Math.abs(value - other[place])), 0);
}

function cosineOf(one, other) {
  let dot = 0, ones = 0, others = 0;
  for (let place = 0; place < one.length; place++) {
    dot += one[place] * other[place];
    ones += one[place] ** 2;
    others += other[place] ** 2;
  }
  return dot / Math.sqrt(ones * others);
}
