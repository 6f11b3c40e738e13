"""Objects with classes and scores before anyone clicked."""
