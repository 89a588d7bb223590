"""What a trial is, what can be chosen for it, and how a pipeline becomes trials."""
