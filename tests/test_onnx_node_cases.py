"""The ONNX standard's own test cases of LSTM, GRU and RNN are right in C.

Weights become constants and each sequence of a batch runs by itself, as on a microcontroller.
"""

import warnings

import numpy as np
import onnx
import pytest
from networks import assert_close
from onnx import helper, numpy_helper

import hmdc
from hmdc.data import to_integers
from hmdc.host import run_host
from hmdc.verify import real_outputs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # numpy, about other operators' cases
    from onnx.backend.test.case.node import collect_testcases

    CASES = {
        case.name.removeprefix("test_"): case
        for case in collect_testcases(None)
        if case.model is not None and any(n.op_type in ("LSTM", "GRU", "RNN") for n in case.model.graph.node)
    }

# axis of the batch, with layout 0 and with layout 1
BATCH = {"X": (1, 0), "sequence_lens": (0, 0), "initial_h": (1, 0), "initial_c": (1, 0),
         "Y": (2, 0), "Y_h": (1, 0), "Y_c": (1, 0)}  # fmt: skip
DATA = ("X", "initial_h", "initial_c")


def test_all_cases_are_known():
    assert len(CASES) == 18


def one_sequence(arrays: dict[str, np.ndarray], layout: int, i: int) -> dict[str, np.ndarray]:
    return {k: np.take(a, [i], BATCH[k][layout]) if k in BATCH else a for k, a in arrays.items()}


@pytest.mark.parametrize("name", CASES)
def test_node_case(name, tmp_path):
    graph, (given, want) = CASES[name].model.graph, CASES[name].data_sets[0]
    (node,) = graph.node
    layout = next((a.i for a in node.attribute if a.name == "layout"), 0)
    inputs = dict(zip([v for v in node.input if v], given, strict=True))
    outputs = dict(zip([v for v in node.output if v], want, strict=True))
    for i in range(inputs["X"].shape[BATCH["X"][layout]]):
        ins, outs = one_sequence(inputs, layout, i), one_sequence(outputs, layout, i)
        data = {k: a for k, a in ins.items() if k in DATA}
        info = lambda arrays: [
            helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, a.shape) for k, a in arrays.items()
        ]
        constants = [numpy_helper.from_array(a, k) for k, a in ins.items() if k not in DATA]
        proto = helper.make_model(
            helper.make_graph([node], name, info(data), info(outs), constants),
            opset_imports=CASES[name].model.opset_import, ir_version=CASES[name].model.ir_version,
        )  # fmt: skip
        onnx.save(proto, tmp_path / "case.onnx")
        build = hmdc.compile(tmp_path / "case.onnx", tmp_path / "out", precision="float32")
        batch = to_integers(build.program, {k: a[None].astype(np.float64) for k, a in data.items()})
        found = run_host(build.program, build.source, build.report["ram_bytes"], batch)
        for entry in build.program.entries:
            for output, a in real_outputs(build.program, {entry: found[entry]}).items():
                assert a.shape == (1, *outs[output].shape)
                assert_close(a[0], outs[output], 1e-5, f"{name}, sequence {i}, {entry}, {output}")
