"""Looking at data sets: what is wrong with them, and what the network will see."""
