"""Serving: a layout, or an image, as a read-only block device by NBD; nothing is written."""
