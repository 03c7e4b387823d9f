"""Train and measure compressed recurrent networks, and write accuracy.md and the table in the README.

python -m benchmarks.accuracy mnist_lstm kronecker --seed 0   # one row; again when it is there already
python -m benchmarks.accuracy --quick                         # 4 rows, those of them that are missing
python -m benchmarks.accuracy --all                           # likewise all, with 3 seeds: many hours
python -m benchmarks.accuracy --page                          # the page alone
"""

from pathlib import Path

import click

from hmdc.errors import HmdcError

from . import page, rows, video
from .data.fetch import cache
from .networks import NETWORKS
from .rows import METHODS
from .train import Trainer

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
README = HERE.parents[1] / "README.md"
QUICK = [("mnist_lstm", m, 0) for m in ("dense", "kronecker", "lowrank", "small")]
SEEDS = range(3)


@click.command(help=__doc__)
@click.argument("network", required=False, type=click.Choice(list(NETWORKS)))
@click.argument("method", required=False, type=click.Choice(list(METHODS)))
@click.option("--seed", default=0, show_default=True)
@click.option("--quick", is_flag=True)
@click.option("--all", "everything", is_flag=True)
@click.option("--page", "page_alone", is_flag=True)
def main(network: str | None, method: str | None, seed: int, quick: bool, everything: bool, page_alone: bool) -> None:
    if (method is not None) + quick + everything + page_alone != 1:
        raise click.UsageError("give NETWORK and METHOD, --quick, --all or --page")
    wanted = [(network, method, seed)] if method else QUICK if quick else []
    if everything:
        wanted = [(n, m, s) for s in SEEDS for n in NETWORKS for m in rows.methods(NETWORKS[n])]
    there = set() if method else {(r["network"], r["method"], r["seed"]) for r in rows.load(RESULTS)}
    for n, m, s in wanted:
        if (n, m, s) not in there:
            try:
                done = one(n, m, s)
            except HmdcError as e:
                raise SystemExit(f"{n} {m} seed {s}: {e}") from None
            result = done.get("impossible") or done["int8_accuracy"] or done["float_accuracy"]
            print("{network} {method} seed {seed}:".format(**done), result)
            page.write(rows.load(RESULTS), HERE, NETWORKS, README)
    page.write(rows.load(RESULTS), HERE, NETWORKS, README)


def one(name: str, method: str, seed: int) -> dict:
    network = NETWORKS[name]
    shown = lambda e: print(f"{name} {method}: {e}", flush=True)
    if method not in rows.methods(network):
        raise HmdcError(f"this network is trained as {', '.join(rows.methods(network))}")
    if network.streamed:
        found = video.row(name, network, method, seed, cache() / "accuracy", shown)
    else:
        found = rows.row(Trainer(network, network.splits(), seed, cache() / "accuracy", name, shown), method)
    rows.save(found, RESULTS)
    return found


if __name__ == "__main__":
    main()
