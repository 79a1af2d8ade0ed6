import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.rounds.ranges import narrow_range, share_of_first
from service.schemas.study.search_space import FloatParameter

LOG = FloatParameter(type="float", low=1e-6, high=1.0, log=True)
PLAIN = FloatParameter(type="float", low=0.0, high=0.5)
STEPPED = FloatParameter(type="float", low=0.0, high=0.95, step=0.1)


def within(first: FloatParameter, low: float, high: float) -> FloatParameter:
    return first.model_copy(update={"low": low, "high": high})


@st.composite
def cases(draw: st.DrawFn) -> tuple[FloatParameter, FloatParameter, list[float]]:
    """A first range, the present one inside of it, and values of kept trials anywhere in the first."""
    first = draw(st.sampled_from([LOG, PLAIN, STEPPED]))
    grid = [float(value) for value in first.grid() if isinstance(value, float)]
    value = st.sampled_from(grid) if grid else st.floats(first.low, first.high)
    low, high = sorted(draw(st.lists(value, min_size=2, max_size=2, unique=True)))
    return first, within(first, low, high), draw(st.lists(value, min_size=1, max_size=6))


@settings(max_examples=500, deadline=None)
@given(cases(), st.floats(0.0, 1.0))
def test_a_range_contains_what_is_kept_and_is_never_wider_than_the_first(
    case: tuple[FloatParameter, FloatParameter, list[float]], margin: float
) -> None:
    first, now, values = case

    found = narrow_range(first, now, values, margin)

    assert first.low <= found.low < found.high <= first.high
    assert found.verdict == "kept" or all(found.low <= value <= found.high for value in values)
    if all(now.contains(value) for value in values):
        assert found.low <= min(values) <= max(values) <= found.high
    before, after = share_of_first(first, now.low, now.last), share_of_first(first, found.low, found.high)
    if found.verdict == "shrunk":
        assert after < before * (1 - 1e-12)
        assert (found.note is None) == (found.low >= now.low and found.high <= now.last)
    else:
        assert found.note is not None
        assert after > before - 1e-9
        if found.note.startswith("the best trial lies"):
            assert found.low <= now.low
            assert found.high >= now.last
    if found.verdict == "kept":
        assert (found.low, found.high) == (now.low, now.high)
    if first.step is not None:
        assert first.contains(found.low)
        assert found.verdict == "kept" or first.contains(found.high)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0.2, 0.8), min_size=1, max_size=6), st.floats(0.001, 0.15))
def test_a_log_range_shrinks_in_log_space_as_a_plain_one_does(places: list[float], margin: float) -> None:
    plain = FloatParameter(type="float", low=math.log(LOG.low), high=math.log(LOG.high))
    logs = [plain.low + place * (plain.high - plain.low) for place in places]

    found = narrow_range(LOG, LOG, [math.exp(value) for value in logs], margin)
    wanted = narrow_range(plain, plain, logs, margin)

    assert (math.log(found.low), math.log(found.high)) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    assert share_of_first(LOG, found.low, found.high) == pytest.approx(share_of_first(plain, wanted.low, wanted.high))


def test_the_margin_is_a_share_of_the_present_range() -> None:
    found = narrow_range(PLAIN, PLAIN, [0.2, 0.3, 0.25], margin=0.1)
    assert found.verdict == "shrunk"
    assert [found.low, found.high] == pytest.approx([0.15, 0.35])

    again = narrow_range(PLAIN, within(PLAIN, found.low, found.high), [0.2, 0.25], margin=0.1)
    assert [again.low, again.high] == pytest.approx([0.18, 0.27])


def test_a_log_range_takes_its_margin_in_decades() -> None:
    found = narrow_range(LOG, LOG, [1e-3, 1e-2], margin=1 / 6)
    assert [found.low, found.high] == pytest.approx([1e-4, 1e-1])


@pytest.mark.parametrize(
    ("best", "words"),
    [
        (1e-6, "low end of the range, 1e-06: it should be widened by a new study with a lower low"),
        (0.9, "high end of the range, 0.9: it should be"),
    ],
)
def test_a_range_whose_best_lies_at_its_edge_is_not_shrunk_and_should_be_widened(best: float, words: str) -> None:
    found = narrow_range(LOG, LOG, [best, 1e-3], margin=0.1)

    assert (found.low, found.high, found.verdict) == (LOG.low, LOG.high, "kept")
    assert found.note is not None
    assert words in found.note


def test_the_edge_of_a_narrowed_range_is_moved_on_within_the_first() -> None:
    now = within(PLAIN, 0.2, 0.3)

    found = narrow_range(PLAIN, now, [0.3, 0.25], margin=0.2)
    assert found.verdict == "widened"
    assert [found.low, found.high] == pytest.approx([0.2, 0.32])
    assert found.note is not None
    assert "becomes 0.2 to 0.32" in found.note

    assert narrow_range(PLAIN, within(PLAIN, 0.2, 0.49), [0.489], margin=1.0).high == 0.5


def test_a_step_is_kept_by_going_outwards() -> None:
    found = narrow_range(STEPPED, STEPPED, [0.4, 0.5], margin=0.05)
    assert (found.low, found.high) == (0.3, 0.6)
    assert all(STEPPED.contains(value) for value in within(STEPPED, found.low, found.high).grid())


def test_a_single_value_without_a_margin_makes_no_range() -> None:
    found = narrow_range(PLAIN, PLAIN, [0.2, 0.2], margin=0.0)
    assert (found.low, found.high, found.verdict) == (0.0, 0.5, "kept")
    assert found.note == "all kept trials have the same value, and margin does not widen it"


def test_a_range_that_no_kept_trial_has_stays() -> None:
    found = narrow_range(PLAIN, within(PLAIN, 0.1, 0.2), [], margin=0.1)
    assert (found.low, found.high, found.verdict) == (0.1, 0.2, "kept")


def test_a_range_over_all_floats_can_be_narrowed() -> None:
    vast = FloatParameter(type="float", low=1e-300, high=1e300, log=True)
    found = narrow_range(vast, vast, [1.0, 1e290], margin=0.5)
    assert vast.low <= found.low < found.high <= vast.high


def test_a_range_that_grows_beyond_kept_trials_is_not_called_shrunk() -> None:
    found = narrow_range(PLAIN.model_copy(update={"high": 1.0}), within(PLAIN, 0.405, 0.495), [0.45, 0.46, 0.85], 0.05)
    assert found.verdict == "widened"
    assert found.low == pytest.approx(0.4455)
    assert found.high == 0.85
    assert found.note is not None
    assert "kept trials lie outside of the range" in found.note


@pytest.mark.parametrize("low", [1e-3, 1e-6, 1e-4, 0.1, 0.03, 1e-5])
def test_the_end_of_a_log_range_is_reached_as_it_was_written(low: float) -> None:
    first = FloatParameter(type="float", low=low, high=1.0, log=True)

    shrunk = narrow_range(first, first, [low * 1.5, low * 1.55], 0.2)

    assert (shrunk.low, shrunk.verdict) == (low, "shrunk")
    at_edge = narrow_range(first, within(first, shrunk.low, shrunk.high), [low], 0.2)
    assert at_edge.verdict == "kept"
    assert at_edge.note is not None
    assert "should be widened" in at_edge.note


def test_a_range_that_moves_and_is_as_wide_as_before_is_not_called_shrunk() -> None:
    first = FloatParameter(type="float", low=0.0, high=1.0, step=0.1)
    found = narrow_range(first, within(first, 0.0, 0.5), [0.4, 0.2, 0.7], 0.0)
    assert (found.low, found.high, found.verdict) == (0.2, 0.7, "widened")
