"""What turns features into points."""
