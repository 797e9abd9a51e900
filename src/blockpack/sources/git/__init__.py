"""Git repositories as a source: the tree of a commit, straight from the object store.

Nothing is checked out and nothing is written to the repository. `address` tells what
``git:REPO@REV:SUBDIR`` means, `program` and `repository` run git, `cat_file` and `blobs` stream
objects, `objects` and `names` are git's structures and what is refused in them, `walk`,
`attributes` and `lfs` find out what there is to pack, and `scan` makes entries of it.
"""
