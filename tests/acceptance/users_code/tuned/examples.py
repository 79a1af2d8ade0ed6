"""Objectives in the shape of Optuna's own examples: written for optuna.Study.optimize, nothing of Narrows in them."""

import optuna
import sklearn.datasets
import sklearn.ensemble
import sklearn.linear_model
import sklearn.model_selection
import sklearn.svm
import torch
from torch import nn, optim
from torch.nn import functional


def choose_classifier(trial):
    """As sklearn_simple.py: one of two classifiers, each with parameters of its own."""
    x, y = sklearn.datasets.load_iris(return_X_y=True)
    classifier_name = trial.suggest_categorical("classifier", ["SVC", "RandomForest"])
    if classifier_name == "SVC":
        svc_c = trial.suggest_float("svc_c", 1e-10, 1e10, log=True)
        classifier = sklearn.svm.SVC(C=svc_c, gamma="auto")
    else:
        rf_max_depth = trial.suggest_int("rf_max_depth", 2, 32, log=True)
        classifier = sklearn.ensemble.RandomForestClassifier(max_depth=rf_max_depth, n_estimators=10)
    return sklearn.model_selection.cross_val_score(classifier, x, y, n_jobs=1, cv=3).mean()


def prune_classifier(trial):
    """As simple_pruning.py: partial_fit, a report each step, TrialPruned."""
    iris = sklearn.datasets.load_iris()
    classes = list(set(iris.target))
    train_x, valid_x, train_y, valid_y = sklearn.model_selection.train_test_split(
        iris.data, iris.target, test_size=0.25, random_state=0
    )
    alpha = trial.suggest_float("alpha", 1e-5, 1e-1, log=True)
    clf = sklearn.linear_model.SGDClassifier(alpha=alpha)
    for step in range(100):
        clf.partial_fit(train_x, train_y, classes=classes)
        intermediate_value = 1.0 - clf.score(valid_x, valid_y)
        trial.report(intermediate_value, step)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return 1.0 - clf.score(valid_x, valid_y)


def define_model(trial):
    n_layers = trial.suggest_int("n_layers", 1, 3)
    layers = []
    in_features = 64
    for i in range(n_layers):
        out_features = trial.suggest_int(f"n_units_l{i}", 4, 128)
        layers.append(nn.Linear(in_features, out_features))
        layers.append(nn.ReLU())
        p = trial.suggest_float(f"dropout_l{i}", 0.2, 0.5)
        layers.append(nn.Dropout(p))
        in_features = out_features
    layers.append(nn.Linear(in_features, 10))
    layers.append(nn.LogSoftmax(dim=1))
    return nn.Sequential(*layers)


def train_network(trial):
    """As pytorch_simple.py: the layers define parameters as they are made, an accuracy is reported every epoch."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = define_model(trial).to(device)
    optimizer_name = trial.suggest_categorical("optimizer", ["Adam", "RMSprop", "SGD"])
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    optimizer = getattr(optim, optimizer_name)(model.parameters(), lr=lr)
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    data = torch.tensor(x / 16.0, dtype=torch.float32, device=device)
    target = torch.tensor(y, device=device)
    train, valid = slice(0, 1200), slice(1200, None)
    accuracy = 0.0
    for epoch in range(4):
        model.train()
        for start in range(0, 1200, 128):
            optimizer.zero_grad()
            batch = slice(start, min(start + 128, 1200))
            functional.nll_loss(model(data[batch]), target[batch]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            accuracy = (model(data[valid]).argmax(dim=1) == target[valid]).float().mean().item()
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.exceptions.TrialPruned()
    trial.set_user_attr("n_weights", sum(weight.numel() for weight in model.parameters()))
    assert train.stop == valid.start
    return accuracy


def two_objectives(trial, scale):
    """As the multi-objective tutorial, with an argument of the definition's."""
    assert isinstance(trial, optuna.Trial)
    assert [direction.name for direction in trial.study.directions] == ["MINIMIZE", "MAXIMIZE"]
    x = trial.suggest_float("x", 0, 5)
    y = trial.suggest_float("y", 0, 3, step=0.5)
    return scale * (4 * x**2 + 4 * y**2), -((x - 5) ** 2 + (y - 5) ** 2)


def infeasible(trial):
    """Gives itself up, as objectives do with configurations that make no sense."""
    if trial.suggest_int("n", 0, 0) == 0:
        raise optuna.TrialPruned()
