from service.study.call_costs import MAX_LEASES, TURN_SECONDS, CallCosts


def test_a_kind_of_call_fits_once_it_was_measured_and_is_quick() -> None:
    costs = CallCosts()
    assert not costs.fits_turn("report", 1)

    costs.note("report", 4, 0.001)

    assert costs.fits_turn("report", 4)
    assert not costs.fits_turn("claim", 1)


def test_many_leases_never_fit() -> None:
    costs = CallCosts()
    costs.note("report", 1, 0.0)

    assert costs.fits_turn("report", MAX_LEASES)
    assert not costs.fits_turn("report", MAX_LEASES + 1)


def test_a_call_that_was_slow_fits_again_after_quick_ones() -> None:
    costs = CallCosts()
    costs.note("end", 1, 10 * TURN_SECONDS)
    assert not costs.fits_turn("end", 1)

    for _ in range(20):
        costs.note("end", 1, 0.0)

    assert costs.fits_turn("end", 1)
