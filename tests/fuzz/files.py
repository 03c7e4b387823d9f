"""Mutations of files of weights and of what goes with them: zip, pickle, JSON, TOML and arrays."""

import io
import json
import pickletools
import re
import zipfile

import h5py
import numpy as np
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from .draw import FLOATS, INTS, NAMES, Draw

OPCODES = [
    *(bytes([b]) for b in b")}]t(RbQsuae02N.\x88\x85\x86\x87\x94\x93\x81\x8f\x91"),
    b"h\x00", b"q\x00", b"J\xff\xff\xff\xff", b"J\xff\xff\xff\x7f", b"K\x00", b"K\x01", b"G" + bytes(8), b"C\x01a",
    b"\x8a\x08" + bytes(7) + b"\x40", b"cos\nsystem\n", b"cbuiltins\neval\n", b"X\x01\x00\x00\x00a", b"\x8c\x01a",
    b"\x80\x04", b"I1\n", b"V\\ud800\n", b"B\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f", b"\x95" + b"\xff" * 8,
]  # fmt: skip
LEAVES = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0", "weight_ih_l1", "weight_hh_l999",
          "weight_ih_l0_reverse", "weight_hh_l0_reverse", "weight_ih", "weight", "bias", "running_mean", "running_var",
          "W", "U", "W1", "W2", "U1", "U2", "bias_gate", "bias_update", "zeta", "nu", "alpha", "beta",
          "num_batches_tracked"]  # fmt: skip
KERAS = ["LSTM", "GRU", "SimpleRNN", "Dense", "Bidirectional", "TimeDistributed", "BatchNormalization", "InputLayer",
         "units", "activation", "use_bias", "return_sequences", "go_backwards", "merge_mode", "relu", "linear", "name",
         "config", "class_name", "layers", "inbound_nodes", "batch_shape", "sum"]  # fmt: skip
HEADER = ["dtype", "shape", "data_offsets", "F32", "F16", "BF16", "F64", "I64", "__metadata__"]
WORDS = [b"'<f4'", b"'>f8'", b"'|O'", b"(3, 3)", b"()", b"True", b"(-1,)", b"(99999999999,)", b"'<U9'", b"{}", b"1e9"]
TYPES = ["lstm", "gru", "rnn", "fastgrnn", "fastrnn", "dense", "batchnorm", "last", "final", "mean", "relu", "softmax"]


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, content in members.items():
            z.writestr(name, content)
    return out.getvalue()


def unzipped(blob: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as z:
            return {m: z.read(m) for m in z.namelist() if z.getinfo(m).file_size < 1 << 20}
    except Exception:  # a mutant that is damaged already
        return {}


def _members(draw: Draw, members: dict[str, bytes]) -> None:
    """A member gone, called otherwise, empty or with other bytes."""
    name = draw.pick(list(members))
    content = members.pop(name)
    match draw.int(5):
        case 0:
            members[draw.pick([*members, *NAMES[:-1], name + "/x"] if members else NAMES[1:2])] = content
        case 1:
            members[name] = b""
        case 2 | 3:
            members[name] = draw.bytes(content)


def pickled(draw: Draw, content: bytes) -> bytes:
    """Another pickle: opcodes gone, twice, in another place, or others put in; names and numbers changed."""
    try:
        starts = [at for _, _, at in pickletools.genops(content)]
    except Exception:
        return draw.bytes(content)
    parts = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)])]
    for _ in range(draw.pick([1, 1, 2, 3])):
        at = draw.int(len(parts))
        match draw.int(6):
            case 0:
                parts[at] = b""
            case 1:
                parts[at] *= 2
            case 2:
                k = draw.int(len(parts))
                parts[at], parts[k] = parts[k], parts[at]
            case 3:
                parts.insert(at, draw.pick(OPCODES))
            case 4:
                parts[at] = draw.pick(OPCODES)
            case _:
                texts = [i for i, p in enumerate(parts) if p[:1] == b"X"] or [at]
                name = draw.pick(["rnn.", "fc.", ""]) + draw.pick(LEAVES + NAMES)
                text = name.encode("utf-8", "surrogateescape")
                parts[draw.pick(texts)] = b"X" + len(text).to_bytes(4, "little") + text
    return b"".join(parts)


def pt(draw: Draw, blob: bytes) -> bytes:
    members = unzipped(blob)
    if not members or draw.chance(0.1):
        return draw.bytes(blob)
    lists = [m for m in members if m.endswith("data.pkl")]
    if lists and draw.chance(0.75):
        members[lists[0]] = pickled(draw, members[lists[0]])
    else:
        _members(draw, members)
    return zipped(members)


def arrays(draw: Draw, found: dict[str, np.ndarray], leaves=LEAVES) -> dict[str, np.ndarray]:
    """Tensors called otherwise, gone, of other shapes, types and values."""
    found = dict(found)
    for _ in range(draw.pick([1, 1, 2, 3]) if found else 0):
        name = draw.pick(list(found))
        a = np.array(found[name])
        match draw.int(7):
            case 0:
                found.pop(name) if len(found) > 1 else None
            case 1 | 2:
                prefix = draw.pick([name.rpartition(".")[0] + ".", "", "a.b.", "fc."])
                found[prefix + draw.pick(leaves)] = found.pop(name) if draw.chance() else a
            case 3:
                found[name] = a.reshape(draw.pick([a.shape[::-1], (-1,), (1, *a.shape), (*a.shape, 1)]))
            case 4:
                found[name] = np.resize(a, draw.pick([(), (0,), (1,), (a.size, a.size), a.shape[:-1], (3, *a.shape)]))
            case 5:
                with np.errstate(all="ignore"):
                    found[name] = a.astype(draw.pick(["f2", "f4", "f8", ">f4", "i4", "i8", "u1", "?"]))
            case _ if a.size and a.dtype.kind == "f":
                with np.errstate(all="ignore"):
                    a.reshape(-1)[draw.int(a.size)] = draw.pick(FLOATS)
                found[name] = a
    return found


def npz(draw: Draw, blob: bytes) -> bytes:
    members = unzipped(blob)
    if not members or draw.chance(0.1):
        return draw.bytes(blob)
    if draw.chance(0.3):
        _members(draw, members)
    elif draw.chance(0.3):  # the header of an array
        name = draw.pick(list(members))
        word = re.compile(rb"'[<>|][a-z]\d+'|\([\d, ]*\)|False")
        members[name] = word.sub(lambda m: draw.pick([m[0], *WORDS]), members[name], count=3)
    else:
        out = io.BytesIO()
        try:
            with np.load(io.BytesIO(blob), allow_pickle=False) as data:
                changed = arrays(draw, {k: data[k] for k in data.files})
            np.savez(out, **changed)
        except Exception:  # a mutant that is damaged, or a name that numpy takes for itself
            return draw.bytes(blob)
        return out.getvalue()
    return zipped(members)


def safetensors(draw: Draw, blob: bytes) -> bytes:
    try:
        if draw.chance(0.5):
            found = arrays(draw, load_safetensors(blob))
            return save_safetensors({k: np.ascontiguousarray(a) for k, a in found.items()})
        n = int.from_bytes(blob[:8], "little")
        text = json.dumps(draw.tree(json.loads(blob[8 : 8 + n]), HEADER + LEAVES)).encode()
        size = len(text) if draw.chance(0.9) else draw.pick([0, len(text) - 1, 1 << 20, 1 << 62])
        return size.to_bytes(8, "little") + text + blob[8 + n :]
    except Exception:  # a mutant that is damaged already
        return draw.bytes(blob)


def keras(draw: Draw, blob: bytes) -> bytes:
    members = unzipped(blob)
    if blob[:4] == b"\x89HDF" or not members:
        return _h5(draw, blob)
    if draw.chance(0.25):
        _members(draw, members)
    else:
        try:
            members["config.json"] = json.dumps(draw.tree(json.loads(members["config.json"]), KERAS)).encode()
        except (KeyError, ValueError):
            return draw.bytes(blob)
    return zipped(members)


def _h5(draw: Draw, blob: bytes) -> bytes:
    if draw.chance(0.6):
        return draw.bytes(blob)
    file = io.BytesIO(blob)
    try:
        with h5py.File(file, "r+") as f:
            f.attrs["model_config"] = json.dumps(draw.tree(json.loads(f.attrs["model_config"]), KERAS))
    except Exception:  # a mutant that is damaged already
        return draw.bytes(blob)
    return file.getvalue()


def toml(draw: Draw, text: bytes) -> bytes:
    """Words and lines of it swapped for others."""
    words = re.split(rb"(\W+)", text)
    pool = [
        *TYPES,
        *LEAVES[:4],
        "rnn",
        "fc",
        "true",
        "-1",
        "0",
        "9" * 30,
        "[]",
        "{}",
        '"',
        "nan",
        "1e99",
        "*",
        *map(str, INTS),
    ]
    for _ in range(draw.pick([1, 1, 2, 3])):
        at = draw.int(len(words))
        words[at] = draw.pick([b"", words[draw.int(len(words))], draw.pick(pool).encode()])
    out = b"".join(words)
    return draw.bytes(out) if draw.chance(0.1) else out
