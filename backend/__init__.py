"""The Label Studio ML backend: models, inference, the WSGI app, evaluation and training."""
