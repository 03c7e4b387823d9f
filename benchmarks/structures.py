"""Every structure at several ratios on one trained network, without retraining: size, work, error and accuracy.

    python benchmarks/structures.py MODEL.onnx --calibration C.npz --data TEST.npz > table.md

Accuracy is that of the int8 program (equal to the C, bit for bit); kept is 1 - |W - W'|^2 / |W|^2 over all gates.
Small dense rows drop whole hidden units, those with the smallest outgoing weights: the cheapest way to a small network.
"""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from hmdc import data, frontends, recipe, units, widths
from hmdc.cells import CELLS
from hmdc.check import check
from hmdc.classes import classes
from hmdc.errors import HmdcError
from hmdc.linear import STRUCTURES
from hmdc.lower import joinable, lower
from hmdc.model import Model
from hmdc.quantize import quantize, scales
from hmdc.reference import evaluate, shapes
from hmdc.report import stored_bytes
from hmdc.simulate import simulate
from hmdc.verify import compare

RATIOS = (2, 4, 8, 16, 32)


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.option("--calibration", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--data", "data_file", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--only", help="This structure alone.")
def main(model: Path, calibration: Path, data_file: Path, only: str | None) -> None:
    """Print the table as Markdown."""
    network = frontends.load(model)
    samples = data.load(calibration, network.inputs).inputs
    test = data.load(data_file, network.inputs)
    print("| structure | asked | parameters | ratio | layer bytes | MACs/step | kept | agreement | accuracy |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, ratio, candidate, texts in _candidates(network):
        if only not in (None, name):
            continue
        try:
            row = measure(network, candidate, texts, samples, test)
        except HmdcError as e:
            row = f"{e} |".replace("|", "/")[:60] + " | | | | | | "
        print(f"| {name} | {ratio} | {row} |", flush=True)


def _candidates(network: Model):
    """(structure, ratio asked, model, recipes)"""
    yield "dense", 1, network, []
    for ratio in RATIOS:
        yield "small dense", ratio, shrink(network, ratio), []
    for name in STRUCTURES:
        if name != "dense":
            for ratio in RATIOS:
                yield name, ratio, network, [f"{name}(ratio={ratio})"]


def measure(original: Model, network: Model, texts, samples, test) -> str:
    """The cells of one row."""
    assigned = recipe.assign(network, recipe.read(texts), {})
    network, assigned = recipe.reorder(network, assigned)
    maps = recipe.decompose(assigned, {})
    lowered = lambda joint: check(lower(network, maps, joint=joint))
    joint, slim, ranges = widths.choose(lowered, joinable(network, maps), lambda p: data.to_integers(p, samples))
    floats = widths.narrow(lowered(joint), slim)
    program = check(quantize(floats, scales(floats, ranges)))
    found = simulate(program, data.to_integers(program, test.inputs))
    got = {k: data.to_real(program, k, a) for k, a in found.items()}
    reference = {k: evaluate(original, test.inputs)[k] for k in got}
    f = compare(reference, got, test.labels, classes(original, next(iter(got))))
    layers = {n.name for n in network.nodes if n.op in CELLS}
    mine = [a for a in assigned.values() if a.node.name in layers]
    size = stored_bytes([c for c in program.calls() if c.name.split(".")[0] in layers])
    parameters = sum(maps[a.matrix].parameters() for a in mine)
    dense = sum(np.prod(recipe.matrices(n)[f"{n.name}.wu"]) for n in original.nodes if n.op in CELLS)
    work = sum(maps[a.matrix].macs() for a in mine)
    kept = 1 - sum(_error(a, maps) for a in mine) / sum((recipe.matrix(a.node, a.matrix) ** 2).sum() for a in mine)
    kept = f"{kept:.3f}" if network.nodes[0].weights.keys() == original.nodes[0].weights.keys() and texts else "-"
    accuracy = "-" if f["int_accuracy"] is None else f"{f['int_accuracy']:.3f}"
    return f"{parameters} | {dense / parameters:.1f} | {size} | {work} | {kept} | {f['agreement']:.3f} | {accuracy}"


def _error(a, maps) -> float:
    return float(((recipe.matrix(a.node, a.matrix) - maps[a.matrix].dense()) ** 2).sum())


def shrink(network: Model, ratio: float) -> Model:
    """The network without the hidden units that matter least to what reads them: 1/ratio of the matrix parameters."""
    for layer in [n for n in network.nodes if n.op in CELLS]:
        n_in, n = layer.weights["w"].shape[1], layer.attrs["hidden"]
        size = next(k for k in range(n, 0, -1) if k * (n_in + k) * ratio <= n * (n_in + n) or k == 1)
        readers = units.readers(network, layer) or []
        energy = (layer.weights["u"] ** 2).sum(axis=0) + sum((r.weights["w"] ** 2).sum(axis=0) for r in readers)
        network = drop(network, layer, np.sort(np.argsort(-energy)[:size]))
    return network


def drop(network: Model, layer, keep: np.ndarray) -> Model:
    """Only the hidden units `keep` of one layer."""
    n, gates, w = layer.attrs["hidden"], len(CELLS[layer.op].gates), layer.weights
    rows = np.concatenate([g * n + keep for g in range(gates)])
    weights = w | {"w": w["w"][rows], "u": w["u"][rows][:, keep], "bw": w["bw"][rows], "bu": w["bu"][rows]}
    small = replace(layer, weights=weights, attrs=layer.attrs | {"hidden": len(keep)})
    new = {layer.name: small}
    for reader in units.readers(network, layer):
        new[reader.name] = replace(reader, weights=reader.weights | {"w": reader.weights["w"][:, keep]})
    nodes = [_resized(new.get(m.name, m), n, len(keep)) for m in network.nodes]
    network = replace(network, nodes=nodes)
    network.shapes = shapes(network)
    return network


def _resized(node, n: int, size: int):
    """A reshape that ends in the hidden axis follows its new size."""
    if node.op == "reshape" and node.attrs["shape"][-1] == n:
        return replace(node, attrs=node.attrs | {"shape": (*node.attrs["shape"][:-1], size)})
    return node


if __name__ == "__main__":
    main()
