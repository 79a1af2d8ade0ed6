"""A plain loop: random configurations, each trained whole. Nothing else is imported."""

import random

from benchmarks.peers.searches.digits import Params, Space, print_trial, search_of_command, trainer


def draw(space: Space, seed: int) -> Params:
    """Return a random configuration."""
    params: Params = {}
    for at, (name, field) in enumerate(space.items()):
        low, high, share = field["low"], field["high"], random.Random(f"{seed} {at}").random()
        value = low * (high / low) ** share if field["log"] else low + (high - low) * share
        params[name] = round(value) if field["type"] == "int" else value
    return params


def main() -> None:
    """Train this process's share of the configurations."""
    search = search_of_command()
    train = trainer(search.device)
    for number in search.own_trials:
        accuracies = list(train(search, draw(search.space, number)))
        print_trial(accuracies[-1], len(accuracies), pruned=False)


if __name__ == "__main__":
    main()
