"""The writer: from a layout to an image, for all formats.

`write` picks the kind of target and sees to it that nothing is left behind; `write_bytes` does so
for a small file. `transfer` walks extents with constant memory; `targets` are where bytes go, and
how; `parallel` has several processes write different parts of one image.
"""
