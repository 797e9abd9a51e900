"""The writer: from a layout to an image, for all formats.

`write` picks the kind of target and leaves nothing behind. `transfer` walks
extents with constant memory; `targets` are where bytes go, and how; `parallel` has several
processes work at one target; `place` is a directory that is held, in which all files are made.
"""
