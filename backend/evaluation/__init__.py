"""The robot annotator, NoC and the baselines."""
