"""Definitions of other systems as study definitions: W&B sweeps and Ray Tune's search spaces.

What has a counterpart is translated so that a parameter can have the values that it had; where its values are drawn
with other odds or something is left out, a comment in the output says so. What has no counterpart is refused. A Python
file is read as a syntax tree and never run.

Rules of W&B: https://docs.wandb.ai/models/sweeps/sweep-config-keys and https://github.com/wandb/sweeps; of Ray Tune:
https://docs.ray.io/en/latest/tune/api/search_space.html.
"""
