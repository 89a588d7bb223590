"""Faces: read from official archives or rendered, prepared once, augmented in batches."""
