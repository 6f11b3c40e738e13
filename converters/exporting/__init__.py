"""What annotations become outside Label Studio: features, class rasters, training sets."""
