// The network: LiteRT's WebAssembly build that this browser can run, and the model for one picture at a time.

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from "./runtime/index.js";

const SCRIPTS = { relaxed: "litert_wasm_internal.js", compat: "litert_wasm_compat_internal.js" };

// "relaxed" where the browser has relaxed SIMD, which gives the bits of Python; else "compat". The page's address may ask for one:
// index.html?build=compat.
export async function build() {
  const asked = new URLSearchParams(location.search).get("build");
  return asked in SCRIPTS ? asked : (await supportsFeature("relaxedSimd")) ? "relaxed" : "compat";
}

export class Network {
  #compiled;
  #shape;
  #levels;

  // body: the model's bytes. preprocessing: the contract's. Compiles the model on the processor: the default would take WebGPU,
  // which gives other numbers.
  static async load(build, body, preprocessing) {
    await loaded(build);
    const network = new Network();
    network.#compiled = await loadAndCompile(new Uint8Array(body), { accelerator: "wasm" });
    network.#shape = [1, preprocessing.height_px, preprocessing.width_px, 3];
    network.#levels = levels(preprocessing);
    return network;
  }

  // The features, Float32Array, of red, green and blue, 0 to 255.
  async features(pixels) {
    const values = Float32Array.from(pixels, (level, place) => this.#levels[place % 3][level]);
    const input = new Tensor(values, this.#shape);
    const [output] = await this.#compiled.run([input]);
    const features = await output.data();
    input.delete();
    output.delete();
    return features;
  }
}

// LiteRT, which tells the console of each of its steps: errors alone are passed on.
function loaded(build) {
  self.Module = { printErr: (line) => /^(INFO|WARNING): /.test(line) || console.error(line) };
  return loadLiteRt(new URL(`runtime/${SCRIPTS[build]}`, import.meta.url).href);
}

// What the network is given for each level of a channel: level / scale - mean / scale, each step rounded to float32.
function levels({ mean, scale }) {
  return mean.map((middle, channel) => {
    const by = Math.fround(scale[channel]);
    const shift = Math.fround(Math.fround(middle) / by);
    return Float32Array.from({ length: 256 }, (_, level) => Math.fround(Math.fround(level / by) - shift));
  });
}
