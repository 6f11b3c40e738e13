"""Click inference that knows no network: encodings of clicks, ZoomIn, flip averaging, next click."""
