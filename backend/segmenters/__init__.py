"""Click segmentation networks and the registry that names them."""
