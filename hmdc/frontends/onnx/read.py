"""Bytes to protobuf.  The file is not trusted: sizes are bounded and external data stay beside the model."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, inliner

from ...errors import HmdcError

MAX_FILE = 1 << 29  # bytes; far beyond what any microcontroller stores
STANDARD = ("", "ai.onnx")


def read(path: Path) -> tuple[onnx.ModelProto, str]:
    """The model with external data loaded and local functions inlined, and the sha256 of all its bytes."""
    blob = _bytes(path)
    digest = hashlib.sha256(blob)
    try:
        model = onnx.load_model_from_string(blob)
    except (DecodeError, ValueError) as e:
        raise HmdcError(f"{path} is not a readable ONNX file (truncated or damaged); export it again") from e
    if not model.HasField("graph") or not model.graph.output:
        raise HmdcError(f"{path} holds no ONNX graph; export it again")
    for tensor in _tensors(model.graph):
        if external_data_helper.uses_external_data(tensor):
            digest.update(_load_external(path, tensor))
    if model.functions:
        model = inliner.inline_local_functions(model)
    return model, digest.hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE:
            raise HmdcError(f"{path} has {path.stat().st_size} bytes; the most that hmdc reads is {MAX_FILE}")
        return path.read_bytes()
    except OSError as e:
        raise HmdcError(f"{path} cannot be read: {e.strerror}") from e


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for a in node.attribute:
            if a.type == onnx.AttributeProto.TENSOR:
                yield a.t


def _load_external(path: Path, tensor: onnx.TensorProto) -> bytes:
    """Read a tensor from its file beside the model into raw_data; returns its bytes."""
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
        raise HmdcError(f"{path}: weights {tensor.name!r} have no valid offset and length") from e
    if offset < 0 or length < 0 or offset + length > size or length > MAX_FILE:
        raise HmdcError(
            f"{path}: weights {tensor.name!r} need bytes {offset}..{offset + length} of {location!r}, which has {size}"
        )
    with file.open("rb") as f:
        f.seek(offset)
        tensor.raw_data = f.read(length)
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
    return tensor.raw_data
