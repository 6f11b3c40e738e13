"""Rasters in, Label Studio tasks and georeferenced features out; runs without torch."""
