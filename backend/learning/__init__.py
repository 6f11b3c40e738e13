"""Accumulative learning: what annotators accept makes the next version of a project's weights."""
