"""Git repositories as a source: the tree of a commit, straight from the object store.

Nothing is checked out and nothing is written to the repository. `address` tells what
``git:REPO@REV:SUBDIR`` means, `program` and `repository` run git, `packs`, `cat_file` and `blobs`
read objects, `trees`, `blob_places`, `attributes` and `lfs` find out what there is to pack,
`entry_maker` makes entries of it, `revision_tree` does all that, and `lookup` finds single ones.
Git's structures are in `blockpack.formats.git`.
"""
