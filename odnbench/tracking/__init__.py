"""MLflow, a mirror of the trial folders for people."""
