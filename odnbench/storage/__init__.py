"""Where results are kept: a folder, or a URI that is mirrored."""
