"""What the compiled network says: the compiler's own integers, for training that feels their rounding."""

import json
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from .. import compiler, data, recipe
from ..classes import logits
from ..linear import LinearMap
from ..lower import joinable, lower
from ..model import Model
from ..quantize import quantize
from ..recipe import Assignment
from ..rewrite import drop_dead
from ..simulate import simulate
from ..widths import narrow
from .network import Network


class Integers:
    """Outputs of a network in int8, in real units: logits where they are classes.  calibration: real model inputs.

    The scales of activations are those of the first call; weights are rounded anew in every call.
    """

    def __init__(self, assignments: dict[str, Assignment], calibration: dict[str, np.ndarray], precision: str = "int8"):
        self.assignments, self.calibration, self.precision = assignments, calibration, precision
        self.choices: dict | None = None

    def __call__(self, network: Network, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        model = network.trained()
        model = drop_dead(replace(model, outputs=list(dict.fromkeys(logits(model, v) for v in model.outputs))))
        maps = recipe.decompose(recipe.on(model, self.assignments), {}, network.factors())
        if self.choices is None:
            lowered = lambda joint: lower(model, maps, self.precision, joint=joint)
            self.choices, _ = compiler.calibrate(lowered, joinable(model, maps), self.calibration)
        program = self._program(model, maps)
        real = {k: a.numpy().astype(np.float64) for k, a in inputs.items()}
        found = simulate(program, data.to_integers(program, real))
        return {k: torch.tensor(data.to_real(program, k, a), dtype=torch.float32) for k, a in found.items()}

    def state(self) -> str:
        """What later calls depend on."""
        return json.dumps(self.choices)

    def restore(self, state: str) -> None:
        self.choices = json.loads(state)

    def _program(self, model: Model, maps: dict[str, LinearMap]):
        c = self.choices
        floats = lower(model, maps, self.precision, joint=tuple(c["joint"]))
        return quantize(narrow(floats, tuple(c["narrow"])), c["scales"])
