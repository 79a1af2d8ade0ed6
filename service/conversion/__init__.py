"""Definitions of other systems as study definitions: W&B sweeps and Ray Tune's search spaces.

A parameter keeps its set of values. A comment in the output says where values have other probabilities, or where
something is left out. A field without a counterpart is an error. A Python file is read as a syntax tree and never run.

Rules of W&B: https://docs.wandb.ai/models/sweeps/sweep-config-keys and https://github.com/wandb/sweeps; of Ray Tune:
https://docs.ray.io/en/latest/tune/api/search_space.html.
"""
