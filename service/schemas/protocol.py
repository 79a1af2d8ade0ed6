"""What workers and the service say to each other."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from service.schemas.fields import Answer, Body, Identifier, Number, Scalar, StudyName, Timestamp, finite, not_nan
from service.schemas.results import Metrics, TrialState
from service.schemas.study.definition_fields import Objective, Params
from service.schemas.study.entrypoints import Prefix
from service.schemas.study.search_space import Distribution
from service.schemas.study.training import Training
from service.schemas.study.user_training import AnyTraining, UserTraining

Step = Annotated[int, Field(strict=True, ge=0, le=10_000_000, description="The epoch, counted from 0.", examples=[3])]
LeaseId = Annotated[
    Identifier, Field(min_length=1, max_length=64, description="Id of the lease.", examples=["8f14e45fceea167a"])
]
Decision = Annotated[
    Literal["continue", "pause", "prune", "stop", "lost"],
    Field(
        description="continue; pause: keep a checkpoint and end the lease by `pause`; prune: the pruner gave the trial "
        "up; stop: the study was stopped; lost: the lease is no longer the worker's. After the last three the trial is "
        "closed.",
        examples=["continue"],
    ),
]


ParameterName = Annotated[
    Identifier, Field(min_length=1, max_length=128, description="Name of the parameter.", examples=["n_layers"])
]
UserAttrs = Annotated[
    dict[Annotated[Identifier, Field(min_length=1, max_length=128)], JsonValue],
    AfterValidator(finite),
    Field(max_length=100, description="Values by name, as Optuna's set_user_attr has them.", examples=[{"note": "x"}]),
]


Constraints = Annotated[
    dict[Annotated[Identifier, Field(min_length=1, max_length=128)], Annotated[Number, AfterValidator(not_nan)]],
    Field(
        min_length=1,
        max_length=100,
        description="Constraint values by name, as Optuna's set_constraint has them: violated above 0.",
        examples=[{"size": -1.0}],
    ),
]


class WorkerInfo(Body):
    """Who asks."""

    id: Identifier = Field(
        min_length=1, max_length=200, description="Unique name of the worker.", examples=["lab-gpu-1/cuda:0"]
    )
    host: Identifier = Field("", max_length=200, description="Name of its machine.", examples=["lab-gpu-1"])
    device: Identifier = Field("", max_length=200, description="Its device.", examples=["cuda:0"])
    n_lanes: int = Field(1, strict=True, ge=1, le=100_000, description="Trials it trains at a time.", examples=[1])


class Claim(Body):
    """A worker asks for trials. The same claim_id again gets the same leases."""

    claim_id: Identifier = Field(
        min_length=1,
        max_length=64,
        description="Chosen by the worker, fresh for every claim.",
        examples=["c-7d2e"],
    )
    worker: WorkerInfo = Field(description="Who asks.", examples=[{"id": "lab-gpu-1/cuda:0"}])
    max_trials: int = Field(1, strict=True, ge=1, le=1024, description="How many trials it can take.", examples=[1])
    fair: bool = Field(
        False,
        strict=True,
        description="Grant no more than the worker's part, by lanes, of the trials that are open or left, so that at "
        "the end of a study no other worker is without one.",
        examples=[True],
    )
    study: StudyName | None = Field(None, description="Only trials of this study; null for any.", examples=[None])
    allow: list[Prefix] = Field(
        [],
        max_length=100,
        description="Prefixes of the entrypoints that it runs. Such a trial is granted alone; without prefixes, none.",
        examples=[["mypkg"]],
    )
    wait_seconds: float = Field(
        0.0, strict=True, ge=0, le=30, description="How long to wait for a trial, in seconds.", examples=[20.0]
    )


class Resume(Answer):
    """Where to go on with a trial that an earlier attempt began."""

    step: int = Field(description="Last step that the checkpoint holds.", examples=[3])
    artifact: str = Field(description="Name of the checkpoint among the trial's artifacts.", examples=["checkpoint"])


class Lease(Answer):
    """The right, for a time, to train one trial."""

    lease_id: LeaseId
    study: StudyName
    trial_number: int = Field(description="Number of the trial in its study.", examples=[12])
    attempt: int = Field(description="Which attempt at the trial this is, from 1.", examples=[1])
    params: Params = Field(description="The trial's parameters.", examples=[{"learning_rate": 0.003}])
    training: AnyTraining = Field(
        description="The whole training configuration, parameters put in; or the entrypoint to call.",
        examples=[{"dataset": "mnist", "model": "mlp", "learning_rate": 0.003}],
    )
    seed: int = Field(description="The trial's own seed.", examples=[81985529216486])
    resume: Resume | None = Field(None, description="Where to go on; null to start.", examples=[None])
    rung_steps: list[int] = Field(
        [],
        description="After a report of one of these steps wait for the decision on it: it may be to pause.",
        examples=[[0, 2, 8]],
    )
    test: bool = Field(
        False,
        description="Evaluate the trained model on the test split and complete with test_loss, test_accuracy and "
        "n_test_images. Only the last trial of a final evaluation has this.",
        examples=[False],
    )
    train_on_validation: bool = Field(
        False,
        description="Train on train and validation data together, and leave validation metrics out.",
        examples=[False],
    )
    objectives: list[Objective] = Field(
        [], description="With an entrypoint: what the trial is measured by, in order.", examples=[[]]
    )
    prunes: bool = Field(
        False,
        description="With an entrypoint: whether a pruner looks at what is reported of the first objective.",
        examples=[False],
    )
    user_attrs: dict[str, JsonValue] = Field(
        default_factory=dict, description="With an entrypoint: what it has noted before.", examples=[{}]
    )
    expires_in_seconds: float = Field(
        description="The lease is lost after so many seconds without a report or a renewal.", examples=[60.0]
    )

    @property
    def built_in(self) -> Training:
        """The training of a trial without an entrypoint."""
        assert isinstance(self.training, Training), "an entrypoint trains in a process of its own"
        return self.training

    @property
    def user_code(self) -> UserTraining:
        """The training of a trial with an entrypoint."""
        assert isinstance(self.training, UserTraining), "without an entrypoint the worker itself trains"
        return self.training


class Claimed(Answer):
    leases: list[Lease] = Field(description="The granted leases; empty when there is no work.", examples=[[]])


class Report(Body):
    """The metrics of one epoch of one trial."""

    lease_id: LeaseId
    step: Step
    metrics: Annotated[
        Metrics,
        Field(
            min_length=1,
            max_length=100,
            description="Value of each metric, in the metric's unit.",
            examples=[{"train_loss": 0.31, "validation_accuracy": 0.93}],
        ),
    ]


class Reports(Body):
    reports: list[Report] = Field(
        min_length=1,
        max_length=1024,
        description="Reports of one or many trials, each trial's in order.",
        examples=[[{"lease_id": "8f14e45fceea167a", "step": 3, "metrics": {"validation_accuracy": 0.93}}]],
    )


class ReportDecision(Answer):
    lease_id: LeaseId
    step: Step
    decision: Decision


class Decisions(Answer):
    decisions: list[ReportDecision] = Field(
        description="One decision for each report, in order.",
        examples=[[{"lease_id": "8f14e45fceea167a", "step": 3, "decision": "continue"}]],
    )


class Complete(Body):
    """The trial has trained to its end."""

    metrics: Metrics = Field(
        default_factory=dict,
        max_length=100,
        description="Final value of each metric, in the metric's unit.",
        examples=[{"validation_accuracy": 0.978, "n_parameters": 109386}],
    )
    values: list[Number] | None = Field(
        None,
        max_length=8,
        description="Objective values in the order of the objectives; null to take them from metrics "
        "or, failing that, from the last report.",
        examples=[[0.978]],
    )


class Fail(Body):
    """The trial could not be trained."""

    reason: Annotated[str, AfterValidator(lambda text: text.replace("\0", "\ufffd"))] = Field(
        min_length=1, max_length=4000, description="Why, in words.", examples=["train_loss is nan at epoch 3"]
    )
    retry: bool = Field(
        False,
        strict=True,
        description="Whether another attempt may go better (the machine's fault, not the trial's).",
        examples=[False],
    )


class Suggest(Body):
    """An entrypoint asks for a parameter as it runs."""

    name: ParameterName
    distribution: Distribution = Field(
        description="Its values, as in a search space.",
        examples=[{"type": "int", "low": 1, "high": 4}],
    )


class Suggested(Answer):
    value: Scalar = Field(description="The parameter's value, fixed from now on.", examples=[2])


class NewUserAttrs(Body):
    """What an entrypoint notes with its trial; another value of the same name takes its place."""

    user_attrs: UserAttrs


class KnownUserAttrs(Answer):
    user_attrs: dict[str, JsonValue] = Field(description="All that is noted.", examples=[{"note": "x"}])


class NewConstraints(Body):
    """How far an entrypoint's trial is beyond its bounds; another value of the same name takes its place."""

    constraints: Constraints


class KnownConstraints(Answer):
    constraints: dict[str, Number] = Field(description="All constraint values of the trial.", examples=[{"size": -1.0}])


class Closed(Answer):
    """The answer to complete, fail and release."""

    state: TrialState = Field(description="State of the trial now.", examples=["COMPLETE"])


class Renew(Body):
    lease_ids: list[LeaseId] = Field(
        min_length=1, max_length=1024, description="Leases to renew.", examples=[["8f14e45fceea167a"]]
    )


class RenewedLease(Answer):
    lease_id: LeaseId
    alive: bool = Field(description="False when the lease is no longer the worker's.", examples=[True])
    expires_in_seconds: float = Field(description="Its new term in seconds; 0 when lost.", examples=[60.0])


class Renewed(Answer):
    leases: list[RenewedLease] = Field(description="One entry for each lease, in order.", examples=[[]])


class Worker(WorkerInfo, Answer):
    """A worker that the service has heard of."""

    trials_running: int = Field(description="Trials it has under lease.", examples=[1])
    first_seen_at: Timestamp = Field(description="When it first claimed.", examples=["2026-01-02T03:04:05Z"])
    last_seen_at: Timestamp = Field(
        description="When it last claimed or called with a lease; after a restart of the service, when it claimed.",
        examples=["2026-01-02T03:04:05Z"],
    )


class WorkerList(Answer):
    workers: list[Worker] = Field(description="The workers, last seen first.", examples=[[]])
