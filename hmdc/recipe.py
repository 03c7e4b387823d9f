"""Which structure each weight matrix gets: recipes are parsed, matched to matrices and applied.

A recipe is `[pattern=]structure(options)`.  Patterns are shell globs over the names of matrices: LAYER.w (input),
LAYER.u (recurrent), LAYER.wu (joined [W U] on [x; h]), and LAYER of a dense layer or a convolution, a matrix
[out, taps * channels].  Later recipes win.
"""

import ast
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from . import units
from .cells import CELLS
from .errors import HmdcError
from .linear import STRUCTURES, Dense, LinearMap, Rows
from .model import Model, Node

RECIPE = re.compile(r"(?:(?P<pattern>[^=()\s]+)\s*=\s*)?(?P<call>\w+\s*(?:\(.*\))?)", re.DOTALL)
LONGEST = 1000  # characters of one recipe
SAME = 1e-5  # of the largest weight: how far float32 takes a product from its factors
SHARED = ("ratio", "stacked", "weighted")  # options that every structure takes
WIDEST = 1024  # columns of a matrix that is weighted by its inputs without being asked: the work is their cube


@dataclass(frozen=True)
class Recipe:
    """options: those of the structure, and ratio, stacked, weighted.  text: as the user wrote it."""

    pattern: str | None
    structure: str
    options: dict
    text: str


@dataclass
class Assignment:
    """What one matrix becomes.  gates: the cell's gate names, or () for a dense layer and for all gates stacked."""

    matrix: str
    node: Node
    structure: str = "dense"
    options: dict = field(default_factory=dict)
    gates: tuple[str, ...] = ()

    def as_json(self) -> dict:
        return {"matrix": self.matrix, "layer": self.node.name, "structure": self.structure, "options": self.options,
                "gates": self.gates}  # fmt: skip

    @classmethod
    def restore(cls, saved: dict, nodes: dict[str, Node]) -> "Assignment":
        options = {k: _tuples(v) for k, v in saved["options"].items()}
        return cls(saved["matrix"], nodes[saved["layer"]], saved["structure"], options, tuple(saved["gates"]))


def parse(text: str) -> Recipe:
    """Raises HmdcError that shows the recipe and what is wrong with it."""
    match = RECIPE.fullmatch(text.strip())
    if match is None or len(text) > LONGEST:
        raise HmdcError(
            f"recipe {text[:80]!r}: write [pattern=]structure(option=value), e.g. lstm*=kronecker(ratio=16)"
        )
    call = match["call"] if match["call"].endswith(")") else match["call"] + "()"
    try:
        tree = ast.parse(call, mode="eval").body
        assert isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.args
        options = {k.arg: ast.literal_eval(k.value) for k in tree.keywords if k.arg}
        assert len(options) == len(tree.keywords)
    except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError) as e:
        raise HmdcError(f"recipe {text!r}: options are name=value with numbers and tuples, e.g. left=(59, 8)") from e
    return checked(match["pattern"], tree.func.id, options, text)


def checked(pattern: str | None, structure: str, options: dict, text: str) -> Recipe:
    if structure not in STRUCTURES:
        raise HmdcError(f"recipe {text!r}: no structure {structure!r}; known are {', '.join(STRUCTURES)}")
    known = list(STRUCTURES[structure].options())
    for name in options:
        if name not in (*known, *SHARED):
            raise HmdcError(
                f"recipe {text!r}: {structure} has no option {name!r}; known are {', '.join((*known, *SHARED))}"
            )
    for name in ("stacked", "weighted"):
        if not isinstance(options.get(name, False), bool):
            raise HmdcError(f"recipe {text!r}: {name}={options[name]!r} is neither True nor False")
    ratio = options.get("ratio", 1)
    if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 1 <= ratio <= 1e9:
        raise HmdcError(f"recipe {text!r}: ratio={ratio!r} is no number of 1 or more")
    return Recipe(pattern, structure, options, text)


def read(texts: Sequence[str]) -> list[Recipe]:
    """Recipes from the command line; `@file.toml` stands for the ones in a file.

    The file has a list of tables `[[compress]]` with structure, optional pattern, and the options as further keys.
    """
    recipes = []
    for text in texts:
        recipes += _from_file(Path(text[1:])) if text.startswith("@") else [parse(text)]
    return recipes


def _from_file(path: Path) -> list[Recipe]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))["compress"]
        assert isinstance(tables, list) and all(isinstance(t, dict) and "structure" in t for t in tables)
    except OSError as e:
        raise HmdcError(f"recipe file {path} cannot be read: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, AssertionError) as e:
        raise HmdcError(
            f"recipe file {path} needs tables [[compress]] with structure = ..., pattern = ... ({e})"
        ) from e
    return [
        checked(t.pop("pattern", None), str(t.pop("structure")), {k: _tuples(v) for k, v in t.items()}, f"@{path}")
        for t in (dict(t) for t in tables)
    ]


def _tuples(value):
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def matrices(node: Node) -> dict[str, tuple[int, int]]:
    """Name -> shape of the matrices of one layer, both the separate and the joined form of a recurrent one."""
    if node.op in CELLS:
        (rows, n_in), n = node.weights["w"].shape, node.weights["u"].shape[1]
        return {f"{node.name}.w": (rows, n_in), f"{node.name}.u": (rows, n), f"{node.name}.wu": (rows, n_in + n)}
    whole = node.op == "dense" or node.op == "conv" and node.attrs["groups"] == 1
    return {node.name: node.weights["w"].shape} if whole else {}


def matrix(node: Node, name: str) -> np.ndarray:
    """The dense matrix of that name."""
    if name.endswith(".wu"):
        return np.hstack([node.weights["w"], node.weights["u"]])
    return node.weights["u" if name == f"{node.name}.u" else "w"]


def assign(model: Model, recipes: Sequence[Recipe], given: dict[str, np.ndarray]) -> dict[str, Assignment]:
    """Matrix name -> what it becomes.  A layer has either .w and .u or .wu.

    given: trained factors by name; their matrices get the structure that the names tell, after all recipes.
    """
    out: dict[str, Assignment] = {}
    layers = [n for n in model.nodes if matrices(n)]
    for node in layers:
        names = [m for m in matrices(node) if not m.endswith(".wu")]
        out |= {m: Assignment(m, node, gates=_gates(node)) for m in names}
    for recipe in recipes:
        hit = False
        for node in layers:
            for name in _matched(recipe, node):
                hit = True
                _put(out, name, node, recipe)
        if not hit:
            known = ", ".join(m for n in layers for m in matrices(n))
            raise HmdcError(f"recipe {recipe.text!r} matches no matrix; there are {known}")
    for name, node, structure, stacked in _given(layers, given):
        _put(out, name, node, Recipe(name, structure, {"stacked": stacked}, f"factors {name}"))
    return out


def trained(model: Model, recipes: Sequence[Recipe], given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The factors that the network itself was trained with, by name, where neither recipes nor given ones say else.

    Raises HmdcError where they are not those of its matrices.
    """
    brought = model.factors | {f"{n.name}.{k}": factor for n in model.nodes for k, factor in n.factors.items()}
    assignments, out = assign(model, [], brought), {}
    for name, m in decompose(assignments, {}, brought).items():
        a = assignments[name]
        taken = {n for r in recipes for n in _matched(r, a.node)}
        taken |= {n for n in matrices(a.node) if factors_of(given, n)}
        clash = taken if name.endswith(".wu") else taken & {name, f"{a.node.name}.wu"}
        if a.structure != "dense" and not clash:
            w = matrix(a.node, name)
            if np.abs(m.dense() - w).max() > SAME * np.abs(w).max():
                raise HmdcError(f"{name}: the factors in the file are not those of its weights, which were changed "
                                f"since; compress the network again, or give --compress '{name}=dense'")  # fmt: skip
            out |= factors_of(brought, name)
    return out


def _given(layers: list[Node], given: dict[str, np.ndarray]) -> list[tuple[str, Node, str, bool]]:
    """(matrix, layer, structure, stacked) of every matrix that named factors describe."""
    if not given:
        return []
    places = {name: node for node in layers for name in matrices(node)}
    prefixes = {s.prefix: name for name, s in STRUCTURES.items()}
    found = {}
    for key in given:
        name = max((m for m in places if key.startswith(m + ".")), key=len, default=None)
        words = key.removeprefix(f"{name}.").split(".")
        gate = name is not None and words[0] in _gates(places[name])
        structure = prefixes.get(words[gate]) if len(words) > gate else None
        if name is None or structure is None:
            raise HmdcError(f"factor {key!r} belongs to no matrix and structure; matrices are {', '.join(places)}, "
                            f"structures {', '.join(prefixes)}")  # fmt: skip
        found[name] = (name, places[name], structure, bool(_gates(places[name])) and not gate)
    return list(found.values())


def _gates(node: Node) -> tuple[str, ...]:
    return CELLS[node.op].gates if node.op in CELLS else ()


def _matched(recipe: Recipe, node: Node) -> list[str]:
    """Names of the matrices of one layer that a recipe means."""
    if recipe.pattern is None:
        return [f"{node.name}.wu"] if node.op in CELLS else []
    if fnmatchcase(node.name, recipe.pattern):
        return [f"{node.name}.wu"] if node.op in CELLS else [node.name]
    found = [m for m in matrices(node) if fnmatchcase(m, recipe.pattern)]
    return [m for m in found if not m.endswith(".wu") or len(found) == 1]


def _put(out: dict[str, Assignment], name: str, node: Node, recipe: Recipe) -> None:
    options = {k: v for k, v in recipe.options.items() if k != "stacked"}
    stacked = bool(recipe.options.get("stacked", False))
    if stacked and node.op == "gru" and not name.endswith(".w"):
        candidate = "r * h apart from x" if node.attrs["linear_before_reset"] else "[x; r * h]"
        raise HmdcError(f"{name}: stacked=True is impossible for a GRU: its candidate gate reads {candidate}, "
                        "the other gates [x; h]; leave stacked out")  # fmt: skip
    layer = node.name
    if name.endswith(".wu") and recipe.structure == "dense":  # two dense halves keep a scale each
        out.pop(name, None)
        out |= {f"{layer}.{k}": Assignment(f"{layer}.{k}", node, gates=_gates(node)) for k in "wu"}
        return
    if name.endswith(".wu"):
        out.pop(f"{layer}.w", None)
        out.pop(f"{layer}.u", None)
    elif out.pop(f"{layer}.wu", None):
        out |= {f"{layer}.{k}": Assignment(f"{layer}.{k}", node, gates=_gates(node)) for k in "wu"}
    out[name] = Assignment(name, node, recipe.structure, options, () if stacked else _gates(node))


def apply(model: Model, texts: Sequence[str] = ()) -> dict[str, LinearMap]:
    """Matrix name -> map for every matrix of a model, from recipes alone."""
    return decompose(assign(model, read(texts), {}), {})


def decompose(assignments: dict[str, Assignment], moments: dict[str, np.ndarray], given=None) -> dict[str, LinearMap]:
    """Matrix name -> map.

    moments: matrix name -> second moment of its input, where errors are weighted.  given: factors by name;
    matrices that have some are built from them exactly, without decomposing anything.
    """
    out = {}
    for name, a in assignments.items():
        own = factors_of(given, name)
        out[name] = _from_factors(a, own) if own else _decompose(a, moments.get(name))
    return out


def factors_of(given: dict[str, np.ndarray] | None, name: str) -> dict[str, np.ndarray]:
    """The factors of one matrix."""
    return {k: v for k, v in (given or {}).items() if k.startswith(f"{name}.")}


def _decompose(a: Assignment, moment: np.ndarray | None) -> LinearMap:
    w = matrix(a.node, a.matrix)
    if a.structure == "dense":
        return Dense(w)
    structure = STRUCTURES[a.structure]
    parts = np.split(w, len(a.gates)) if a.gates else [w]
    options = sized(a, parts[0].shape)
    try:
        maps = tuple(structure.decompose(p, moment=moment, **options) for p in parts)
    except HmdcError as e:
        raise HmdcError(f"{a.matrix} is {'x'.join(map(str, parts[0].shape))}: {e}") from e
    return Rows(maps, a.gates) if a.gates else maps[0]


def sized(a: Assignment, shape: tuple[int, int]) -> dict:
    """The options of the structure itself for a matrix of that shape, ratio=R turned into sizes."""
    structure = STRUCTURES[a.structure]
    options = {k: v for k, v in a.options.items() if k not in SHARED}
    try:
        if "ratio" in a.options:
            return structure.size(shape, a.options["ratio"], **options)
    except HmdcError as e:
        raise HmdcError(f"{a.matrix} is {'x'.join(map(str, shape))}: {e}") from e
    missing = [k for k, p in structure.options().items() if p.default is p.empty and k not in options]
    if missing:
        raise HmdcError(f"{a.matrix}: {a.structure} needs {' and '.join(missing)}, or ratio=R")
    return options


def on(model: Model, assignments: dict[str, Assignment]) -> dict[str, Assignment]:
    """The same for a network with other weights."""
    nodes = {n.name: n for n in model.nodes}
    return {name: replace(a, node=nodes[a.node.name]) for name, a in assignments.items()}


def relaxed(assignments: dict[str, Assignment], share: float, given) -> dict[str, Assignment]:
    """Matrices as many times smaller as they become, to the power of share.  share: 0 to 1.  Given factors stay."""
    out = dict(assignments)
    for name, a in assignments.items():
        if a.structure != "dense" and not factors_of(given, name):
            m = _decompose(a, None)
            shared = {k: v for k, v in a.options.items() if k in SHARED}
            out[name] = replace(a, options=shared | {"ratio": (m.shape[0] * m.shape[1] / m.parameters()) ** share})
    return out


def describe(a: Assignment, m: LinearMap) -> str:
    """What was chosen for a matrix, per gate: factor shapes, padding, rich rows."""
    if a.structure == "dense":
        return ""
    return STRUCTURES[a.structure].describe(m.maps[0]) + " per gate" if a.gates else STRUCTURES[a.structure].describe(m)


def needs_moments(assignments: dict[str, Assignment], calibrated: bool, given=None) -> list[str]:
    """Matrices whose decomposition is weighted by their inputs: by default all that can be and are not too wide, given
    calibration data."""
    names = []
    for name, a in assignments.items():
        if a.structure == "dense":
            continue
        weighted = a.options.get("weighted")
        if weighted and not calibrated:
            raise HmdcError(f"{name}: weighted=True needs typical inputs: --calibration DATA.npz")
        possible = STRUCTURES[a.structure].weighted and matrices(a.node)[name][1] <= WIDEST
        if not factors_of(given, name) and calibrated and (possible if weighted is None else weighted):
            names.append(name)
    return names


def factors(assignments: dict[str, Assignment], maps: dict[str, LinearMap]) -> dict[str, np.ndarray]:
    """Everything that was decomposed, by name: lstm.wu.i.kron.0 is factor 0 of gate i of the joined matrix of lstm."""
    out = {}
    for name, a in assignments.items():
        if a.structure == "dense":
            continue
        parts = zip(a.gates, maps[name].maps) if a.gates else [("", maps[name])]
        for gate, m in parts:
            prefix = f"{name}.{gate}." if gate else f"{name}."
            out |= {prefix + k: v for k, v in STRUCTURES[a.structure].factors(m).items()}
    return out


def _from_factors(a: Assignment, arrays: dict[str, np.ndarray]) -> LinearMap:
    """arrays: all factors whose names begin with the matrix."""
    rows, columns = matrices(a.node)[a.matrix]
    shape = (rows // max(1, len(a.gates)), columns)
    maps = []
    for gate in a.gates or ("",):
        prefix = f"{a.matrix}.{gate}." if gate else f"{a.matrix}."
        mine = {k.removeprefix(prefix): np.asarray(v, np.float64) for k, v in arrays.items() if k.startswith(prefix)}
        try:
            maps.append(STRUCTURES[a.structure].from_factors(mine, shape))
        except HmdcError as e:
            raise HmdcError(f"factors {prefix}*: {e}") from e
        except (KeyError, ValueError) as e:
            raise HmdcError(f"factors {prefix}*: there are {sorted(mine)}, which are no {a.structure} ({e})") from e
    return Rows(tuple(maps), a.gates) if a.gates else maps[0]


def reorder(model: Model, assignments: dict[str, Assignment], given=None) -> tuple[Model, dict[str, Assignment]]:
    """Give hidden units the order that a structure prefers, where every consumer of the layer can follow.

    given: trained factors by name; their units have the order in which they were trained.
    """
    for a in list(assignments.values()):
        structure = STRUCTURES[a.structure]
        if not hasattr(structure, "order") or not a.gates:
            continue
        nodes = {n.name: n for n in model.nodes}
        layer = nodes[a.node.name]
        follow = units.readers(model, layer)
        if follow is not None and not any(factors_of(given, m) for n in (layer, *follow) for m in matrices(n)):
            order = _preferred_order(structure, replace(a, node=layer))
            model = units.permute(model, layer, order)
    nodes = {n.name: n for n in model.nodes}
    return model, {k: replace(a, node=nodes[a.node.name]) for k, a in assignments.items()}


def _preferred_order(structure, a: Assignment) -> np.ndarray:
    stack = np.stack(np.split(matrix(a.node, a.matrix), len(a.gates)))
    options = sized(a, stack.shape[1:])
    hidden = {"w": None, "u": 0, "wu": stack.shape[2] - stack.shape[1]}[a.matrix.rpartition(".")[2]]
    return structure.order(stack, hidden=hidden, **options)
