import copy
import pickle
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from storage.trials.step_values import StepValues

STEPS = st.integers(-3, 8)
N_VALUES = 20_000
CHANGES = st.lists(st.tuples(st.integers(0, 30), STEPS, st.floats()), max_size=30)


@given(first=st.dictionaries(STEPS, st.floats()), changes=CHANGES)
def test_every_object_keeps_the_values_that_it_was_made_with(
    first: dict[int, float], changes: list[tuple[int, int, float]]
) -> None:
    """Each change is made to any earlier object, so that logs are shared, extended and left."""
    made = [StepValues.of(first)]
    expected = [dict(first)]
    for at, step, value in changes:
        made.append(made[at % len(made)].with_value(step, value))
        expected.append({**expected[at % len(expected)], step: value})

    for values, known in zip(made, expected, strict=True):
        assert repr(values) == repr(known), "the same steps and values in the same order, nan included"
        assert len(values) == len(known)
        assert [repr(values.get(step)) for step in range(-3, 9)] == [repr(known.get(step)) for step in range(-3, 9)]
        assert list(values) == list(values.keys()) == list(known)
        assert repr(list(values.values())) == repr(list(known.values()))


def test_copies_are_plain_dictionaries() -> None:
    values = StepValues.of({0: 0.5}).with_value(1, 0.25)

    for copied in (copy.deepcopy(values), pickle.loads(pickle.dumps(values)), dict(values)):
        assert type(copied) is dict
        assert copied == {0: 0.5, 1: 0.25}
    assert values == {0: 0.5, 1: 0.25}
    assert StepValues.of(values) is copy.copy(values) is values


def test_ascending_values_take_little_memory() -> None:
    tracemalloc.start()
    values = StepValues.of({})
    for step in range(N_VALUES):
        values = values.with_value(2 * step, step / 2)
    n_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert n_bytes < 24 * N_VALUES
    assert values[2 * N_VALUES - 2] == (N_VALUES - 1) / 2
    assert 1 not in values
    assert 2 * N_VALUES not in values
