#!/usr/bin/env bash
# TensorFlow's converter to LiteRT folds batch normalisation into the convolution before it, at conversion, on constants.
# Guess: the folded float32 weights are kernel * gamma / sqrt(variance + epsilon), correctly rounded at each step, so that any
#        machine, or any other program, that does this arithmetic gets the same bytes.
# Seen (tensorflow-cpu 2.21.0, ai-edge-litert 2.3.0): no rounding order of NumPy's correctly rounded square root and division gives
#        all of them; the reciprocal root is tf.math.rsqrt's, which starts from the processor's approximation. With that root the
#        weights are equal bit for bit. So a converted model's bytes, and digests of them, belong to a kind of processor.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 ai-edge-litert==2.3.0
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$work/venv/bin/python" - 2>"$work/log" <<'PYTHON' || { tail -5 "$work/log"; exit 1; }
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

CHANNELS, EPSILON = 512, np.float32(1e-3)
random = np.random.default_rng(0)
model = tf.keras.Sequential(
    [
        tf.keras.layers.Input((4, 4, 8)),
        tf.keras.layers.Conv2D(CHANNELS, 1, use_bias=False),
        tf.keras.layers.BatchNormalization(epsilon=float(EPSILON)),
    ]
)
kernel, gamma, beta, mean, variance = weights = [random.uniform(0.1, 2, weight.shape).astype(np.float32) for weight in model.weights]
model.set_weights(weights)
converted = bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())

parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(converted, 0))
(graph,) = parsed.subgraphs
(convolution,) = (operator for operator in graph.operators if len(operator.inputs) == 3)
tensor = graph.tensors[convolution.inputs[1]]
folded = np.frombuffer(bytes(parsed.buffers[tensor.buffer].data), "<f4").reshape(CHANNELS, 8).T

shifted = variance + EPSILON
ways = {
    "kernel * (gamma / sqrt)": kernel[0, 0] * (gamma / np.sqrt(shifted)),
    "kernel * (gamma * (1 / sqrt))": kernel[0, 0] * (gamma * (np.float32(1) / np.sqrt(shifted))),
    "kernel * (gamma * (1 / sqrt in float64))": kernel[0, 0] * (gamma * (1 / np.sqrt(shifted.astype(np.float64))).astype(np.float32)),
    "kernel * (gamma * tf.math.rsqrt)": kernel[0, 0] * (gamma * tf.math.rsqrt(shifted).numpy()),
}
differ = {way: int((values != folded).sum()) for way, values in ways.items()}
for way, count in differ.items():
    print(f"{way}: {count} of {folded.size} weights differ")
*rounded, own = differ.values()
assert own == 0 and min(rounded) > 0, "this has changed"
PYTHON
