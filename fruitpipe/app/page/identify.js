// A picture's answer: decoded, resized, its features, its label.

import { Classifier } from "./classify.js";
import { decoded, resized } from "./decode.js";
import { Network } from "./network.js";

const here = (name) => new URL(name, import.meta.url);

export class Identifier {
  static async load(contract, build) {
    const [network, words, numbers] = await Promise.all([
      Network.load(build, contract.preprocessing),
      fetch(here("classifier.json")).then((answer) => answer.json()),
      fetch(here("classifier.bin")).then((answer) => answer.arrayBuffer()),
    ]);
    const identifier = new Identifier();
    Object.assign(identifier, { contract, network, classifier: new Classifier(words, new Float32Array(numbers)) });
    return identifier;
  }

  // The answer for a file, with its features. shown: called with the browser's picture as soon as there is one. Throws Refused.
  async identify(file, shown = () => {}) {
    const { preprocessing, limits } = this.contract;
    const bitmap = await decoded(file, limits);
    try {
      shown(bitmap);
      const pixels = await resized(bitmap, preprocessing.width_px, preprocessing.height_px);
      const features = await this.network.features(pixels);
      return { ...this.classifier.identify(features), features };
    } finally {
      bitmap.close();
    }
  }
}
