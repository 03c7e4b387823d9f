"""Bytes to protobuf.  The file is not trusted: sizes are bounded and external data stay beside the model."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, inliner

from ...errors import HmdcError

MAX_BYTES = 1 << 27  # of a model, external weights included; far beyond what any microcontroller stores
MAX_NODES = 1 << 16
LESS = "take a smaller network"


def read(path: Path) -> tuple[onnx.ModelProto, str]:
    """The model with external data loaded and local functions inlined, and the sha256 of all its bytes."""
    blob = _bytes(path)
    digest = hashlib.sha256(blob)
    try:
        model = onnx.load_model_from_string(blob)
    except (DecodeError, ValueError) as e:
        raise HmdcError(f"{path} is not a readable ONNX file (truncated or damaged); export it again") from e
    if not model.HasField("graph") or not model.graph.output:
        raise HmdcError(f"{path} holds no ONNX graph with outputs; export it again")
    if model.functions:
        _check_functions(path, model)
        model = inliner.inline_local_functions(model)
    left = MAX_BYTES
    for tensor in _tensors(model.graph):
        if external_data_helper.uses_external_data(tensor):
            content = _load_external(path, tensor, left)
            left -= len(content)
            digest.update(content)
    return model, digest.hexdigest()


def _check_functions(path: Path, model: onnx.ModelProto) -> None:
    """Inlining terminates, and few functions do not become many nodes."""
    bodies, sizes = {(f.domain, f.name): f.node for f in model.functions}, {}

    def size(nodes, callers: tuple) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in callers:
                raise HmdcError(f"{path}: function {node.op_type!r} calls itself; export the network without functions")
            if key in bodies and key not in sizes:
                sizes[key] = size(bodies[key], (*callers, key))
            total += sizes.get(key, 1)
            total += sum(size(g.node, callers) for a in node.attribute for g in (a.g, *a.graphs))
        return total

    if (nodes := size(model.graph.node, ())) > MAX_NODES:
        raise HmdcError(
            f"{path}: its functions stand for {nodes} nodes; the most is {MAX_NODES}: take a smaller network"
        )


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise HmdcError(f"{path} has {path.stat().st_size} bytes; the most that hmdc reads is {MAX_BYTES}: {LESS}")
        return path.read_bytes()
    except OSError as e:
        raise HmdcError(f"{path} cannot be read: {e.strerror}") from e


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for a in node.attribute:  # whatever the attribute says it is
            yield from (a.t, *a.tensors, a.sparse_tensor.values, a.sparse_tensor.indices)
            for inner in (a.g, *a.graphs):
                yield from _tensors(inner)


def _load_external(path: Path, tensor: onnx.TensorProto, most: int) -> bytes:
    """Read a tensor from its file beside the model into raw_data; returns its bytes, at most so many."""
    info = {e.key: e.value for e in tensor.external_data}
    location = info.get("location", "")
    parts = PurePosixPath(location).parts + PureWindowsPath(location).parts
    base = path.resolve().parent
    file = (base / location).resolve()
    if not location or ".." in parts or PureWindowsPath(location).drive or not file.is_relative_to(base):
        raise HmdcError(
            f"{path}: weights {tensor.name!r} point outside the model's folder ({location!r}); export again"
        )
    if not file.is_file():
        raise HmdcError(f"{path}: weights file {location!r} is missing; keep it beside the model")
    size = file.stat().st_size
    try:
        offset = int(info.get("offset", 0))
        length = int(info.get("length", size - offset))
    except ValueError as e:
        raise HmdcError(f"{path}: weights {tensor.name!r} have no valid offset and length; export again") from e
    if length > most:
        raise HmdcError(f"{path}: weights {tensor.name!r} have {length} bytes; {most} of {MAX_BYTES} are left for "
                        f"them: {LESS}")  # fmt: skip
    if offset < 0 or length < 0 or offset + length > size:
        raise HmdcError(f"{path}: weights {tensor.name!r} need bytes {offset}..{offset + length} of {location!r}, "
                        f"which has {size}; export again")  # fmt: skip
    with file.open("rb") as f:
        f.seek(offset)
        tensor.raw_data = f.read(length)
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
    return tensor.raw_data
