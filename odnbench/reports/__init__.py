"""Reports: the results of a plan as values, and a file for each format."""
