"""Many trials: the plan of a sweep, what the plan will cost, and the executors that train it."""
