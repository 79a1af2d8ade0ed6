"""What a study needs, and whether a worker allows it."""

import pytest

from service.schemas.study.allowance import Allowance, Needs, command_words
from service.schemas.study.command_training import CommandTraining
from service.schemas.study.guarded_variables import is_guarded
from service.schemas.study.user_training import UserTraining


def needs_of(*command: str, **environment: str) -> Needs:
    return CommandTraining(command=list(command), environment=environment).needs


@pytest.mark.parametrize(
    ("allowed", "is_allowed"),
    [
        ("python train.py", True),
        ("python", True),
        ("python  'train.py'", True),
        ("python train.py --fast", True),
        ("python train.py --fast {args}", False),
        ("python train.py --slow", False),
        ("python3 train.py", False),
        ("python train", False),
    ],
)
def test_the_leading_words_of_a_command_are_allowed(allowed: str, is_allowed: bool) -> None:
    needs = needs_of("python", "train.py", "--fast", "{args}", "--last")

    assert needs.command == ("python", "train.py", "--fast")
    assert needs.are_met(Allowance(commands=(command_words(allowed),))) is is_allowed


def test_a_placeholder_is_never_an_allowed_word() -> None:
    assert not needs_of("sh", "-c", "{script}").are_met(Allowance(commands=(("sh", "-c", "{script}"),)))


def test_guarded_variables_are_allowed_by_name() -> None:
    needs = needs_of("a", LD_PRELOAD="x.so", MODE="fast", PATH="/tmp")

    assert needs.environment == ("LD_PRELOAD", "PATH")
    assert not needs.are_met(Allowance(commands=(("a",),), environment=("PATH",)))
    assert needs.are_met(Allowance(commands=(("a",),), environment=("PATH", "LD_PRELOAD", "OTHER")))


GUARDED = """
LD_PRELOAD LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES PYTHONPATH PYTHONSTARTUP PATH BASH_ENV ENV NODE_OPTIONS NARROWS_TOKEN
HOME GIT_SSH_COMMAND PERL5OPT RUBYOPT JAVA_TOOL_OPTIONS _JAVA_OPTIONS IFS GCONV_PATH CUDA_VISIBLE_DEVICES https_proxy
"""


@pytest.mark.parametrize("name", GUARDED.split())
def test_what_can_run_other_code_is_guarded(name: str) -> None:
    assert is_guarded(name)


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "WANDB_MODE", "MODE", "MY_PATH", "TOKENIZERS_PARALLELISM"])
def test_other_variables_are_free(name: str) -> None:
    assert not is_guarded(name)


def test_what_is_missing_is_told_with_the_flags_that_allow_it() -> None:
    needs = needs_of("python", "my train.py", "{args}", PATH="/x")

    assert needs.text() == "the command python 'my train.py' and the variable PATH"
    assert needs.flags() == """--allow-command 'python '"'"'my train.py'"'"'' --allow-environment PATH"""
    assert Needs(("a.b:c", "a.d:e")).flags() == "--allow a"


@pytest.mark.parametrize(
    ("devices", "n_devices", "is_met"),
    [(1, 1, True), (1, 2, True), (0.25, 1, True), (0.25, 2, True), (2, 1, False), (2, 2, True), (2, 4, False)],
)
def test_trials_of_several_devices_are_for_workers_with_a_group_of_as_many(
    devices: float, n_devices: int, is_met: bool
) -> None:
    needs = CommandTraining(command=["train"], devices=devices).needs

    assert needs.are_met(Allowance(commands=(("train",),), n_devices=n_devices)) is is_met


def test_devices_are_told_with_their_flag() -> None:
    needs = UserTraining(entrypoint="a.b:c", devices=2).needs

    assert needs.text() == "a.b:c and trials of 2 devices"
    assert needs.flags() == "--allow a --devices-per-trial 2"
    assert needs.missing(Allowance(("a",))) == ["trials of 2 devices"]


@pytest.mark.parametrize("text", ["", "  ", "python 'train"])
def test_a_bad_allowed_command_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an allowed command must"):
        command_words(text)
