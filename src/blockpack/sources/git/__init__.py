"""Git repositories as a source: the tree of a commit, straight from the object store.

Nothing is checked out and nothing is written to the repository. `address` tells what
``git:REPO@REV:SUBDIR`` means, `program` and `repository` run git, `packs`, `loose`, `cat_file` and
`blobs` read objects, `trees`, `blob_places`, `attributes` and `lfs` find out what there is to pack,
`entry_maker` makes entries of it, `lookup` finds single ones, and `revision_tree` does all that.
Git's structures are in `blockpack.formats.git`.
"""
