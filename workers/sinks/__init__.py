"""TensorBoard and MLflow as further places for metrics."""
