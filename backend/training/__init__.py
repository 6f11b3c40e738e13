"""Losses, simulated clicks, crops and the training loop."""
