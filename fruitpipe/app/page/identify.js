// A picture's answer: decoded, resized, its features, its label.

import { Classifier } from "./classify.js";
import { decoded, resized } from "./decode.js";
import { bytesOf } from "./files.js";
import { Network } from "./network.js";

export class Identifier {
  // Throws where a file is not the one that the contract names.
  static async load(contract, build) {
    const names = ["model.tflite", "classifier.json", "classifier.bin"];
    const [body, said, numbers] = await Promise.all(names.map((name) => bytesOf(contract, name)));
    const identifier = new Identifier(), words = JSON.parse(new TextDecoder().decode(said));
    const network = await Network.load(build, body, contract.preprocessing);
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
