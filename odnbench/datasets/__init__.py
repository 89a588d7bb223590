"""Faces: read from official archives or rendered, and prepared once for all trials."""
