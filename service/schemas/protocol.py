"""The calls of workers: claims, reports, and the ends of leases."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from service.schemas.fields import Answer, Identifier, Number, StudyName, WorkerBody
from service.schemas.results import Metrics, TrialState
from service.schemas.study.allowance import Allowance, AllowedCommand, AllowedVariable, command_words
from service.schemas.study.command_training import CommandTraining
from service.schemas.study.definition_fields import Objective, Params
from service.schemas.study.entrypoints import Prefix
from service.schemas.study.training import Training
from service.schemas.study.user_training import AnyTraining, UserTraining
from service.schemas.worker_info import WorkerInfo

MAX_EXCEPT_STUDIES = 1000

MAX_STEP = 2**31 - 1
"""Optuna's tables hold steps in 32 bits."""
Step = Annotated[int, Field(strict=True, ge=0, le=MAX_STEP, description="The step (epoch, from 0).", examples=[3])]
LeaseId = Annotated[
    Identifier, Field(min_length=1, max_length=64, description="Id of the lease.", examples=["8f14e45fceea167a"])
]
Decision = Annotated[
    Literal["continue", "pause", "prune", "stop", "lost"],
    Field(
        description="continue: train on; pause: upload a checkpoint and end the lease by `pause`; prune: the pruner "
        "ended the trial; stop: the study has stopped; lost: the worker does not have the lease any more. After prune, "
        "stop and lost, the lease has ended.",
        examples=["continue"],
    ),
]


class Claim(WorkerBody):
    """A worker's request for trials. A repeated claim_id gets the same leases again."""

    claim_id: Identifier = Field(
        min_length=1,
        max_length=64,
        description="Id that the worker chooses, a new one for every claim.",
        examples=["c-7d2e"],
    )
    worker: WorkerInfo = Field(description="The worker that claims.", examples=[{"id": "lab-gpu-1/cuda:0"}])
    max_trials: int = Field(
        1, strict=True, ge=1, le=1024, description="Number of trials that the worker can take.", examples=[1]
    )
    room: float | None = Field(
        None,
        strict=True,
        gt=0,
        le=1,
        description="Grant only trials with an entrypoint or a command that use at most this share of one device, "
        "because the worker trains other such trials beside them; null for any trial.",
        examples=[0.5],
    )
    fair: bool = Field(
        False,
        strict=True,
        description="Grant at most the worker's share, by lanes, of the running and remaining trials, so that other "
        "workers still get trials at the end of a study.",
        examples=[True],
    )
    study: StudyName | None = Field(
        None, description="Name of the study to get trials of; null for any study.", examples=[None]
    )
    except_studies: list[StudyName] = Field(
        [],
        max_length=MAX_EXCEPT_STUDIES,
        description="Names of studies to get no trials of, because the worker's machine cannot train them for now.",
        examples=[[]],
    )
    allow: list[Prefix] = Field(
        [],
        max_length=100,
        description="Prefixes of the entrypoints that the worker runs. A trial with an entrypoint is granted alone, "
        "and none is granted without prefixes.",
        examples=[["mypkg"]],
    )
    allow_commands: list[AllowedCommand] = Field(
        [],
        max_length=100,
        description="Leading words of the commands that the worker runs, quoted as for a shell.",
        examples=[["python train.py"]],
    )
    allow_environment: list[AllowedVariable] = Field(
        [],
        max_length=100,
        description="Variables that a command's environment may set although they could make it run other code.",
        examples=[["PATH"]],
    )
    wait_seconds: float = Field(
        0.0,
        strict=True,
        ge=0,
        le=30,
        description="How long the service may wait for a trial, in seconds.",
        examples=[20.0],
    )

    @property
    def allowance(self) -> Allowance:
        """What users' code the worker runs, and on how many devices."""
        commands = tuple(map(command_words, self.allow_commands))
        return Allowance(tuple(self.allow), commands, tuple(self.allow_environment), self.worker.n_devices)


class Resume(Answer):
    """The checkpoint from which a new attempt resumes a trial."""

    step: int = Field(description="Last step (epoch, from 0) before the checkpoint.", examples=[3])
    artifact: str = Field(description="Name of the checkpoint among the trial's artifacts.", examples=["checkpoint"])


class Lease(Answer):
    """The right, for a time, to train one trial."""

    lease_id: LeaseId
    study: StudyName
    trial_number: int = Field(description="Number of the trial in its study.", examples=[12])
    attempt: int = Field(description="Number of the attempt at the trial, from 1.", examples=[1])
    params: Params = Field(description="The trial's parameters.", examples=[{"learning_rate": 0.003}])
    training: AnyTraining = Field(
        description="The whole training configuration with the parameters in it, or the entrypoint or command to run.",
        examples=[{"dataset": "mnist", "model": "mlp", "learning_rate": 0.003}],
    )
    seed: int = Field(description="The trial's own seed.", examples=[81985529216486])
    resume: Resume | None = Field(
        None, description="The checkpoint to resume from; null to train from the start.", examples=[None]
    )
    rung_steps: list[int] = Field(
        [],
        description="Steps after whose report the worker must wait for the decision: it may be to pause.",
        examples=[[0, 2, 8]],
    )
    test: bool = Field(
        False,
        description="Whether to evaluate the trained model on the test split and to complete with test_loss, "
        "test_accuracy and n_test_images. Only true for the last trial of a final evaluation.",
        examples=[False],
    )
    train_on_validation: bool = Field(
        False,
        description="Whether to train on train and validation data together and to report no validation metrics.",
        examples=[False],
    )
    objectives: list[Objective] = Field(
        [],
        description="Objectives of a trial with an entrypoint or a command, in order; empty for other trials.",
        examples=[[]],
    )
    prunes: bool = Field(
        False,
        description="Whether a pruner judges a trial with an entrypoint or a command by its reports; false for other "
        "trials.",
        examples=[False],
    )
    user_attrs: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="User attributes that earlier attempts of a trial with an entrypoint or a command have set.",
        examples=[{}],
    )
    expires_in_seconds: float = Field(
        description="Seconds until the lease expires without a report or a renewal.", examples=[60.0]
    )

    @property
    def built_in(self) -> Training:
        """The training of a trial without an entrypoint."""
        assert isinstance(self.training, Training), "the lease is of a trial without an entrypoint"
        return self.training

    @property
    def user_code(self) -> UserTraining:
        """The training of a trial with an entrypoint."""
        assert isinstance(self.training, UserTraining), "the lease is of a trial with an entrypoint"
        return self.training

    @property
    def command(self) -> CommandTraining:
        """The training of a trial with a command."""
        assert isinstance(self.training, CommandTraining), "the lease is of a trial with a command"
        return self.training


class Claimed(Answer):
    """The answer to a claim."""

    leases: list[Lease] = Field(description="The granted leases; empty when there is no work.", examples=[[]])
    not_allowed: list[str] = Field(
        default_factory=list,
        description="If there are no leases: the flags that a worker needs for studies that wait for one, at most 5.",
        examples=[["--allow mypkg"]],
    )


class Report(WorkerBody):
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


class Reports(WorkerBody):
    """Reports of one or several trials in one call."""

    reports: list[Report] = Field(
        min_length=1,
        max_length=1024,
        description="Reports of one or several trials; those of one trial ordered by step.",
        examples=[[{"lease_id": "8f14e45fceea167a", "step": 3, "metrics": {"validation_accuracy": 0.93}}]],
    )


class ReportDecision(Answer):
    """The decision on one report."""

    lease_id: LeaseId
    step: Step
    decision: Decision


class Decisions(Answer):
    """The answer to reports."""

    decisions: list[ReportDecision] = Field(
        description="One decision for each report, in order.",
        examples=[[{"lease_id": "8f14e45fceea167a", "step": 3, "decision": "continue"}]],
    )


class Complete(WorkerBody):
    """The results of a trial that has trained to its end."""

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


class Fail(WorkerBody):
    """The failure of an attempt at a trial."""

    reason: Annotated[str, AfterValidator(lambda text: text.replace("\0", "\ufffd"))] = Field(
        min_length=1, max_length=4000, description="The reason, in words.", examples=["train_loss is nan at epoch 3"]
    )
    retry: bool = Field(
        False,
        strict=True,
        description="Whether another attempt may succeed, because the machine failed and not the trial.",
        examples=[False],
    )


class Closed(Answer):
    """The answer to the calls that end a lease."""

    state: TrialState = Field(description="State of the trial after the call.", examples=["COMPLETE"])
    note: str | None = Field(
        None,
        description="Why the worker gets no more trials of the study, in words; missing if it may get more.",
        examples=[None],
    )
