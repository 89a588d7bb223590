"""What a plan's results say, as values; one file for each format."""
