// Definitions to begin with.

export const EXAMPLES = /** @type {Record<string, string>} */ ({
  "a network for handwritten digits": `# Handwritten digits, part of scikit-learn: nothing to download.
name: digits
objectives:
  - {metric: validation_accuracy, direction: maximize}
search_space:
  learning_rate: {type: float, low: 1.0e-4, high: 3.0e-2, log: true}
  weight_decay: {type: float, low: 1.0e-7, high: 1.0e-2, log: true}
  dropout: {type: float, low: 0.0, high: 0.5}
  model.hidden.0: {type: int, low: 32, high: 256, log: true}
training:
  dataset: {name: digits, validation_fraction: 0.2}
  model: {name: mlp, activation: relu}
  optimizer: adam
  batch_size: 64
  epochs: 20
sampler: {name: tpe, seed: 0}
pruner: {name: median, n_startup_trials: 5, n_warmup_steps: 3}
n_trials: 50
`,
  "your own program": `# A worker that runs it is started with: narrows worker --allow-command "python train.py"
name: my-program
objectives:
  - {metric: validation_loss, direction: minimize}
search_space:
  lr: {type: float, low: 1.0e-5, high: 1.0e-1, log: true}
  layers: {type: int, low: 1, high: 6}
training:
  command: [python, train.py, "{args}"]
  metrics:
    validation_loss: "validation loss: (?P<value>[0-9.e+-]+)"
n_trials: 40
`,
  "your own Python function": `# A worker that runs it is started with: narrows worker --allow mypackage
name: my-function
objectives:
  - {metric: loss, direction: minimize}
search_space:
  x: {type: float, low: -10.0, high: 10.0}
training:
  entrypoint: "mypackage.train:objective"
n_trials: 100
`,
  "two objectives": `name: accuracy-and-size
objectives:
  - {metric: validation_accuracy, direction: maximize}
  - {metric: n_parameters, direction: minimize}
search_space:
  learning_rate: {type: float, low: 1.0e-4, high: 3.0e-2, log: true}
  model.hidden.0: {type: int, low: 8, high: 256, log: true}
training:
  dataset: {name: digits}
  model: {name: mlp}
  epochs: 20
sampler: {name: nsgaii, seed: 0}
pruner: none
n_trials: 60
`,
});
