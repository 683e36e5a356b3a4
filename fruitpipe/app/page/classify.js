// A vector's label, or that none is known: the discriminant, the calibration and the novelty of `fruitpipe identify`.

export class Classifier {
  // words: classifier.json. numbers: Float32Array of classifier.bin: mean, whitening by columns, centres by rows.
  constructor(words, numbers) {
    Object.assign(this, words);
    const q = this.varying.length, triangle = (q * (q + 1)) / 2;
    this.mean = numbers.subarray(0, this.features);
    this.whitening = numbers.subarray(this.features, this.features + triangle);
    this.centres = numbers.subarray(this.features + triangle);
    const images = this.counts.reduce((sum, count) => sum + count, 0);
    this.priors = this.counts.map((count) => Math.log(count / images));
  }

  identify(features) {
    const point = this.#whitened(features);
    const distances = this.labels.map((_, label) => this.#distance(point, label));
    const shares = softmax(distances.map((distance, label) => (this.priors[label] - distance / 2) / this.temperature));
    const order = [...shares.keys()].sort((one, other) => shares[other] - shares[one] || other - one); // the last of equals, as Python
    const [first, second] = order;
    const fromMean = point.reduce((sum, value) => sum + value * value, 0);
    const novelty = fromMean > 0 ? Math.min(...distances) / fromMean : 1;
    return {
      label: this.labels[first],
      probability: shares[first],
      runnerUp: this.labels[second],
      runnerUpProbability: shares[second],
      novelty,
      isKnown: novelty <= this.most_novel,
    };
  }

  #whitened(features) {
    const away = Float64Array.from(this.varying, (column) => features[column] - this.mean[column]);
    const point = new Float64Array(away.length);
    for (let column = 0, from = 0; column < point.length; column++) {
      let sum = 0;
      for (let row = 0; row <= column; row++) sum += away[row] * this.whitening[from++];
      point[column] = sum;
    }
    return point;
  }

  #distance(point, label) {
    let sum = 0;
    for (let place = 0, from = label * point.length; place < point.length; place++, from++) {
      const apart = point[place] - this.centres[from];
      sum += apart * apart;
    }
    return sum;
  }
}

function softmax(scores) {
  const highest = scores.reduce((most, score) => Math.max(most, score), -Infinity);
  const raw = scores.map((score) => Math.exp(score - highest));
  const sum = raw.reduce((total, value) => total + value, 0);
  return raw.map((value) => value / sum);
}
