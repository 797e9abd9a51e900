"""What to pack: entries, the tree of them, and extents, which say where bytes are.

Values without input or output, but for `content`, which looks at what a caller adds to a tree.
"""
