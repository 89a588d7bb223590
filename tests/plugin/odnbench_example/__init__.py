"""A plug-in of odnbench: one entry in each of six families, without a change to odnbench."""
