"""Random histories: the storage, reloaded now and then, always answers what Optuna's in-memory storage answers."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from storage import GroupCommitStorage
from tests.contracts.checked_storage import comparable

pytestmark = pytest.mark.slow

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "float": FloatDistribution(-1.0, 1.0),
    "log": FloatDistribution(1e-8, 1.0, log=True),
    "int": IntDistribution(-5, 20),
    "choice": CategoricalDistribution((None, True, 2, 0.5, "ä\u0001'\"\\")),
}
floats = st.floats(allow_nan=True, allow_infinity=True)
numbers = st.floats(allow_nan=False, allow_infinity=True)
names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | names,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
Ids = tuple[int, int]
"""The same study or trial in both storages."""


class Histories(RuleBasedStateMachine):
    studies = Bundle("studies")
    trials = Bundle("trials")

    def __init__(self) -> None:
        super().__init__()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder = Path(tempfile.mkdtemp())
        self.url = f"sqlite:///{self.folder / 'narrows.db'}"
        self.ours = GroupCommitStorage(self.url)
        self.model = InMemoryStorage()
        self.n_studies = 0
        self.seen: set[int] = set()

    def teardown(self) -> None:
        self.ours.close()
        shutil.rmtree(self.folder)

    def both(self, method: str, ids: Ids, *arguments: Any) -> None:
        """The same call on both; the same answer, or the same kind of error."""
        answers: list[Any] = []
        for storage, own_id in ((self.ours, ids[0]), (self.model, ids[1])):
            try:
                answers.append(getattr(storage, method)(own_id, *arguments))
            except (KeyError, ValueError, optuna.exceptions.OptunaError) as error:
                answers.append(type(error))
        assert answers[0] == answers[1], f"{method}{arguments}: {answers[0]} is not {answers[1]}"

    @rule(
        target=studies,
        directions=st.lists(
            st.sampled_from([StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]), min_size=1, max_size=2
        ),
    )
    def create_study(self, directions: list[StudyDirection]) -> Ids:
        self.n_studies += 1
        name = f"study {self.n_studies}"
        return self.ours.create_new_study(directions, name), self.model.create_new_study(directions, name)

    @rule(study=consumes(studies))
    def delete_study(self, study: Ids) -> None:
        self.both("delete_study", study)

    @rule(target=trials, study=studies, waiting=st.booleans())
    def create_trial(self, study: Ids, waiting: bool) -> Ids:
        template = (
            create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": {"float": 0}}) if waiting else None
        )
        created = self.ours.create_new_trial(study[0], template), self.model.create_new_trial(study[1], template)
        assert created[0] not in self.seen, "ids are never reused"
        self.seen.add(created[0])
        return created

    @rule(trial=trials, name=st.sampled_from(sorted(DISTRIBUTIONS)), share=st.floats(0, 1))
    def set_param(self, trial: Ids, name: str, share: float) -> None:
        distribution = DISTRIBUTIONS[name]
        value = float(round(share * 4)) if name in ("choice", "int") else max(share, 1e-8)
        self.both("set_trial_param", trial, name, value, distribution)

    @rule(trial=trials, step=st.integers(0, 30), value=floats)
    def report(self, trial: Ids, step: int, value: float) -> None:
        self.both("set_trial_intermediate_value", trial, step, value)

    @rule(
        trial=trials,
        state=st.sampled_from(list(TrialState)),
        values=st.none() | st.lists(numbers, min_size=1, max_size=2),
    )
    def set_state(self, trial: Ids, state: TrialState, values: list[float] | None) -> None:
        if state == TrialState.COMPLETE:  # Optuna itself takes any number of values, and then cannot compare the trials
            values = (values or [0.5])[:1]
        self.both("set_trial_state_values", trial, state, values)

    @rule(trial=trials, kind=st.sampled_from(["user", "system"]), key=names, value=json_values)
    def set_trial_attribute(self, trial: Ids, kind: str, key: str, value: Any) -> None:
        self.both(f"set_trial_{kind}_attr", trial, key, value)

    @rule(study=studies, kind=st.sampled_from(["user", "system"]), key=names, value=json_values)
    def set_study_attribute(self, study: Ids, kind: str, key: str, value: Any) -> None:
        self.both(f"set_study_{kind}_attr", study, key, value)

    @rule()
    def reload(self) -> None:
        self.ours.close()
        self.ours = GroupCommitStorage(self.url)

    @invariant()
    def same_content(self) -> None:
        assert content(self.ours) == content(self.model)


def content(storage: BaseStorage) -> list[Any]:
    """All studies and trials, without ids and times, which differ."""
    found = []
    for study in sorted(storage.get_all_studies(), key=lambda study: study.study_name):
        trials = []
        for trial in storage.get_all_trials(study._study_id, deepcopy=False):
            whole = comparable(trial)
            whole["id"] = (trial.number, trial.state)
            whole["times"] = (trial.datetime_start is None, trial.datetime_complete is None)
            trials.append(whole)
        found.append((study.study_name, study.directions, study.user_attrs, study.system_attrs, trials))
    return found


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
