"""Fetch or make data sets, and print what is in each as a line of JSON.

python -m benchmarks.accuracy.data              # all of them
python -m benchmarks.accuracy.data mnist spoken
"""

import hashlib
import json

import click

from hmdc.errors import HmdcError

from . import PARTS, SETS, Splits, moving


def described(name: str) -> dict:
    """Samples of each part, the shape of one, the classes, and a digest of all values."""
    data = SETS["mnist" if name == "moving" else name]()
    shape = moving.SHAPE if name == "moving" else data.train.x.shape[1:]
    samples = {part: len(getattr(data, part).y) for part in PARTS}
    return {"name": name, **samples, "shape": shape, "classes": data.classes, "sha256": content(data)}


def content(data: Splits) -> str:
    values = hashlib.sha256()
    for part in data[:3]:
        values.update(part.x.tobytes())
        values.update(part.y.tobytes())
    return values.hexdigest()


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice([*SETS, "moving"]))
def main(names: tuple[str, ...]) -> None:
    for name in names or [*SETS, "moving"]:
        try:
            print(json.dumps(described(name)), flush=True)
        except HmdcError as e:
            raise SystemExit(f"{name}: {e}") from None


if __name__ == "__main__":
    main()
