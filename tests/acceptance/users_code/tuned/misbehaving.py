"""Everything that code may do wrong."""

import ctypes
import os
import signal
import sys
import time


def crash(trial):
    print("about to divide")
    return 1 / (trial.number - trial.number)


def leave(trial):
    print("about to leave")
    sys.exit(3)


def leave_at_once(trial):
    print("about to leave at once", flush=True)
    os._exit(0)


def segfault(trial):
    print("about to read address 0", flush=True)
    ctypes.string_at(0)


def hang(trial):
    print("about to hang")
    time.sleep(600)


def hang_deaf(trial):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("about to hang and not to listen")
    time.sleep(600)


def grow(trial):
    print("about to take memory")
    return len([bytearray(2**20) for _ in range(2**14)])


def killed(trial):
    print("about to be killed")
    os.kill(os.getpid(), signal.SIGKILL)


def killed_by_40(trial):
    print("about to be killed by a signal without a name")
    os.kill(os.getpid(), 40)


def nest(trial):
    print("about to nest")
    os.write(trial._channel._connection.fileno(), b"[" * 5000 + b"\n")
    time.sleep(600)


def no_unicode(trial):
    print("about to note no Unicode")
    trial.set_user_attr("n", "\ud800")


def no_unicode_error(trial):
    print("about to raise no Unicode")
    raise ValueError("\udce4")


def many_metrics(context):
    """As many as may be, and the worker adds one."""
    print("about to return 100 metrics")
    return {f"m{number}": 1.0 for number in range(100)}


def babble(trial):
    print("about to babble")
    for fd in range(3, 64):
        try:
            os.write(fd, b'{"call": 1}\n')
        except OSError:
            continue
    time.sleep(600)


def hang_up(trial):
    print("about to close every file")
    os.closerange(3, 64)
    time.sleep(600)


def nothing(trial):
    """Returns no value."""


def three_values(trial):
    return 1.0, 2.0, 3.0


def not_a_number(trial):
    return float("nan")


def wrong_parameter(x):
    return x


def chatter(trial):
    """Writes more than is kept."""
    for number in range(200_000):
        print(f"line {number}")
    return 1.0


def orphan(trial):
    """Leaves a process behind, which holds every file that it was given."""
    child = os.fork()
    if child == 0:
        time.sleep(600)
    print(f"the orphan is {child}.")
    return 1.0


def forever(trial):
    print(f"my process is {os.getpid()}.")
    for step in range(10_000):
        trial.report(1.0, step)
        time.sleep(0.05)


def again(trial):
    """Reports a step twice, asks for a parameter twice, and for one that it cannot have."""
    for _ in range(2):
        trial.report(0.5, 0)
    first = trial.suggest_float("x", 0.0, 1.0)
    assert trial.suggest_float("x", 0.0, 1.0) == first == trial.params["x"]
    for wrong in (
        lambda: trial.suggest_categorical("x", ["a"]),
        lambda: trial.suggest_float("y", 1.0, 0.0),
        lambda: trial.suggest_categorical("z", [(1, 2)]),
        lambda: trial.report(1.0, -1),
    ):
        try:
            wrong()
        except ValueError as error:
            print("refused:", error)
        else:
            raise AssertionError("taken")
    return first


def add_a_lot(trial):
    """What Optuna takes and a trial here cannot keep in whole: it completes all the same."""
    trial.set_user_attr("worst", float("nan"))
    trial.set_user_attr("range", [-float("inf"), float("inf")])
    trial.set_user_attr("large", "x" * 100 * 1024)
    for number in range(120):
        trial.set_user_attr(f"n{number}", number)
    trial.report(0.5, 15_000_000)
    trial.report(0.5, 2**31)
    trial.set_user_attr("should_prune", trial.should_prune())
    return trial.suggest_float("x", 0.0, 1.0)
