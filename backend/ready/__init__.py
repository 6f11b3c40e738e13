"""Encodings made before anybody clicks, and kept on disk for all workers."""
