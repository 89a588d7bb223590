"""odnbench: benchmarks and ablations for occlusion-robust facial landmark detection."""

__version__ = "0.1.0"
