"""The official archives of data sets, one file for each layout."""
