"""Effects on pictures that augmentation may have (registry/augmentations.toml)."""
