from service.study.seeds import trial_seed


def test_seeds_of_trials_differ_and_stay() -> None:
    seeds = {trial_seed(seed, number, repeat) for seed in range(3) for number in range(100) for repeat in range(3)}

    assert len(seeds) == 900
    assert all(0 <= seed < 2**48 for seed in seeds)
    assert trial_seed(1, 11) != trial_seed(11, 1)
