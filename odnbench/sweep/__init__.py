"""Many trials: a plan, its check and cost, and who carries it out."""
