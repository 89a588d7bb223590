"""One trial: fit, evaluate, checkpoint. Plain PyTorch, without Ray, MLflow or Optuna."""
