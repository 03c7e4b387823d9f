"""Write spoken words without labels, to compress a keyword network that is given.

python -m benchmarks.accuracy.data.words 15000 train.npz                # 49 frames each
python -m benchmarks.accuracy.data.words 2400 test.npz --part test      # of voices that never speak in train
python -m benchmarks.accuracy.data.words 15000 train.npz --every 2      # 25 frames each
"""

from pathlib import Path

import click
import numpy as np

from hmdc.errors import HmdcError

from .sets import PARTS
from .speech import samples


@click.command(help=__doc__)
@click.argument("count", type=click.IntRange(min=1))
@click.argument("out", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--part", type=click.Choice(PARTS), default="train", show_default=True, help="Whose voices speak.")
@click.option("--every", type=click.IntRange(1, 49), default=1, show_default=True, help="Frames of 20 ms apart.")
@click.option("--seed", default=1, show_default=True, help="0 is that of the data sets with labels.")
def main(count: int, out: Path, part: str, every: int, seed: int) -> None:
    try:
        x, _ = samples(count, part, seed)
    except HmdcError as e:
        raise SystemExit(str(e)) from None
    np.savez(out, x=x[:, ::every])


if __name__ == "__main__":
    main()
