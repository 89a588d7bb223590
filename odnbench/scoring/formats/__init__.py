"""A file for each format of predictions; each gives what the file holds, as it holds it."""
