"""Sources: what a tree's entries, and their bytes, come from.

`directory` reads a directory of this machine, `pyfs` any PyFilesystem URL. A source yields
entries; `Tree` collects them.
"""
