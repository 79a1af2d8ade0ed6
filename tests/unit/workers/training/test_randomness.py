from workers.training.randomness import Purpose, derive_seed


def test_seeds_differ_between_purposes_epochs_and_trials() -> None:
    seeds = [derive_seed(trial, purpose, epoch) for trial in range(5) for purpose in Purpose for epoch in range(5)]
    assert len(set(seeds)) == len(seeds)
    assert derive_seed(2**63, Purpose.ORDER) != derive_seed(2**62, Purpose.ORDER)
