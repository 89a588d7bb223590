"""Backbones, the modules GM, DM and LM, and the networks that they make up."""
