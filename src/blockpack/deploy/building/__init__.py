"""How volumes are built: planned, made, recorded in a directory of images."""
