"""Corpora: images that others' own tools made, and what those tools read in them.

Nothing here imports the package under test. `fat.MAKERS` and `tar.MAKERS` are makers by name:
each gets an empty directory, and makes one `Item` in it. What an image holds is never taken from
what went in, but from what mtools or GNU tar gets out; a maker fails where that is not what it
had put in, so that no image is in a corpus that its own tools cannot read.
"""
