"""Export the Keras corpus: small recurrent models as tf2onnx writes them.

    python tests/corpus/make_keras.py

Writes keras/NAME.onnx for every case, keras/expected.npz (two input samples and Keras' own outputs for each model:
NAME/in/INPUT and NAME/out/OUTPUT, the samples on a new leading axis) and keras/cases.json: the operators of each, and
whether hmdc must compile it (`works`, edited by hand; others may be refused, but not be wrong).  Names that end in
_open have a dynamic batch.
"""

import json
import os
import zlib
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}  # Keras 2, which tf2onnx knows

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from tensorflow.keras import Sequential, layers

HERE = Path(__file__).resolve().parent / "keras"
SAMPLES, STEPS, FEATURES = 2, 6, 3
OPSET = 15


def sequence(*stack, batch: int | None = 1):
    return Sequential([layers.InputLayer((STEPS, FEATURES), batch_size=batch), *stack])


def dense(n: int = 3, **options):
    return layers.Dense(n, **options)


CASES = {
    "lstm_last": lambda: sequence(layers.LSTM(5), dense()),
    "lstm_last_open": lambda: sequence(layers.LSTM(5), dense(), batch=None),
    "lstm_all": lambda: sequence(layers.LSTM(5, return_sequences=True)),
    "lstm_all_open": lambda: sequence(layers.LSTM(5, return_sequences=True), batch=None),
    "lstm_stacked": lambda: sequence(layers.LSTM(5, return_sequences=True), layers.LSTM(4), dense()),
    "lstm_softmax": lambda: sequence(layers.LSTM(5), dense(activation="softmax")),
    "lstm_no_bias": lambda: sequence(layers.LSTM(5, use_bias=False), dense()),
    "lstm_hard_sigmoid": lambda: sequence(layers.LSTM(5, recurrent_activation="hard_sigmoid"), dense()),
    "lstm_relu": lambda: sequence(layers.LSTM(5, activation="relu"), dense()),
    "lstm_backwards": lambda: sequence(layers.LSTM(5, go_backwards=True), dense()),
    "lstm_bidirectional": lambda: sequence(layers.Bidirectional(layers.LSTM(4)), dense()),
    "lstm_bidirectional_all": lambda: sequence(layers.Bidirectional(layers.LSTM(4, return_sequences=True))),
    "lstm_bidirectional_open": lambda: sequence(layers.Bidirectional(layers.LSTM(4)), dense(), batch=None),
    "lstm_bidirectional_stacked": lambda: sequence(
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.Bidirectional(layers.LSTM(3)), dense()
    ),
    "lstm_bidirectional_sum": lambda: sequence(layers.Bidirectional(layers.LSTM(4), merge_mode="sum"), dense()),
    "lstm_time_distributed": lambda: sequence(
        layers.LSTM(5, return_sequences=True), layers.TimeDistributed(dense(activation="relu"))
    ),
    "lstm_mean": lambda: sequence(layers.LSTM(5, return_sequences=True), layers.GlobalAveragePooling1D(), dense()),
    "lstm_max": lambda: sequence(layers.LSTM(5, return_sequences=True), layers.GlobalMaxPooling1D(), dense()),
    "lstm_flatten": lambda: sequence(layers.LSTM(5, return_sequences=True), layers.Flatten(), dense()),
    "lstm_batchnorm": lambda: sequence(layers.LSTM(5), layers.BatchNormalization(), dense()),
    "lstm_layernorm": lambda: sequence(layers.LSTM(5, return_sequences=True), layers.LayerNormalization()),
    "lstm_unrolled": lambda: sequence(layers.LSTM(5, unroll=True), dense()),
    "gru_last": lambda: sequence(layers.GRU(5), dense()),
    "gru_last_open": lambda: sequence(layers.GRU(5), dense(), batch=None),
    "gru_all": lambda: sequence(layers.GRU(5, return_sequences=True)),
    "gru_reset_before": lambda: sequence(layers.GRU(5, reset_after=False), dense()),
    "gru_stacked": lambda: sequence(layers.GRU(5, return_sequences=True), layers.GRU(4), dense()),
    "gru_bidirectional": lambda: sequence(layers.Bidirectional(layers.GRU(4)), dense()),
    "gru_unrolled": lambda: sequence(layers.GRU(5, unroll=True), dense()),
    "rnn_last": lambda: sequence(layers.SimpleRNN(5), dense()),
    "rnn_all": lambda: sequence(layers.SimpleRNN(5, return_sequences=True)),
    "rnn_unrolled": lambda: sequence(layers.SimpleRNN(5, unroll=True), dense()),
    "rnn_relu": lambda: sequence(layers.SimpleRNN(5, activation="relu"), dense()),
    "masked_lstm": lambda: sequence(layers.Masking(), layers.LSTM(5), dense()),
    "conv_lstm": lambda: sequence(layers.Conv1D(4, 3, activation="relu"), layers.LSTM(5), dense()),
    "conv_causal_gru": lambda: sequence(layers.Conv1D(4, 3, padding="causal"), layers.GRU(5), dense()),
    "conv_pool_gru": lambda: sequence(
        layers.Conv1D(4, 3, padding="same"), layers.MaxPooling1D(2), layers.GRU(5), dense()
    ),
    "depthwise_lstm": lambda: sequence(layers.DepthwiseConv1D(3), layers.LSTM(5), dense()),
    "embedding_gru": lambda: Sequential(
        [layers.InputLayer((STEPS,), batch_size=1, dtype="int32"), layers.Embedding(9, 4), layers.GRU(5), dense()]
    ),
}


def draw(model, rng: np.random.Generator) -> np.ndarray:
    shape = (1, *model.inputs[0].shape[1:])
    return rng.integers(0, 9, shape).astype(np.int32) if "int" in str(model.inputs[0].dtype) else (
        rng.normal(size=shape).astype(np.float32))  # fmt: skip


def strip(model: onnx.ModelProto) -> None:
    """Drop what names the exporting machine."""
    model.producer_version = ""
    for node in model.graph.node:
        node.doc_string = ""


def main() -> None:
    HERE.mkdir(exist_ok=True)
    expected, table = {}, {}
    works = {k: c["works"] for k, c in json.loads((HERE / "cases.json").read_text()).items()}
    for name, make in CASES.items():
        seed = zlib.crc32(name.encode())
        tf.keras.utils.set_random_seed(seed % 2**31)
        model, rng = make(), np.random.default_rng(seed)
        for weight in model.weights:  # biases and statistics of a fresh model are zeros and ones
            noise = rng.uniform(-0.3, 0.3, weight.shape)
            weight.assign(weight + np.abs(noise) if "variance" in weight.name else weight + noise)
        first = model.inputs[0]
        signature = [tf.TensorSpec((first.shape[0], *first.shape[1:]), first.dtype, name="x")]
        proto, _ = tf2onnx.convert.from_keras(model, signature, opset=OPSET)
        strip(proto)
        onnx.save(proto, HERE / f"{name}.onnx")
        samples = [draw(model, rng) for _ in range(SAMPLES)]
        expected[f"{name}/in/x"] = np.stack(samples)
        expected[f"{name}/out/y"] = np.stack([np.asarray(model(x, training=False)) for x in samples])
        table[name] = {"works": works.get(name, False), "ops": sorted({n.op_type for n in proto.graph.node})}
        print(name, " ".join(table[name]["ops"]))
    np.savez_compressed(HERE / "expected.npz", **expected)
    (HERE / "cases.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
