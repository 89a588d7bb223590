"""Speed and memory, measured as ratios in one run: what `odnbench bench` prints."""
