"""A small study with trials of every kind, for the compact answers about many trials."""

from tests.integration.service_driver import Json, Service

SPACE: Json = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
}
PARAMS = [
    {"learning_rate": 0.001, "dropout": 0.1, "optimizer": "adam"},
    {"learning_rate": 0.01, "dropout": 0.2, "optimizer": "sgd"},
    {"learning_rate": 0.1, "dropout": 0.3, "optimizer": "adam"},
    {"learning_rate": 0.02, "dropout": 0.4, "optimizer": "sgd"},
    {"learning_rate": 0.03, "dropout": 0.5, "optimizer": "adam"},
]
VALUES = [0.5, 0.7, 0.6]
EPOCH_SECONDS = 10.0


def every_kind(service: Service) -> str:
    """Trials 0 to 2 are complete with VALUES, 3 has failed, 4 is running, and 5 waits.

    The first three train two epochs of EPOCH_SECONDS, one after another; the others begin after that.
    """
    name = service.create(
        search_space=SPACE, n_trials=9, enqueue=[*PARAMS, PARAMS[0]], training={"dataset": "digits", "model": "mlp"}
    )
    for value in VALUES:
        lease = service.claim_one(name)
        for step in range(2):
            service.clock.advance(EPOCH_SECONDS)
            service.report(lease, step, value - 0.1 + 0.1 * step, train_accuracy=value + 0.1 * step)
        service.complete(lease, value)
    lease = service.claim_one(name)
    service.report(lease, 0, 0.1)
    service.fail(lease, "train_loss is nan at epoch 1")
    lease = service.claim_one(name)
    service.report(lease, 0, 0.2, train_accuracy="nan")
    return name
