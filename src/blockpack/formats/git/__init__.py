"""Git's object store: a commit with its trees and blobs in a pack (gitformat-pack(5)).

What it is made of: `objects`, `pack_format`, `index` and `container` are the structures,
`refused_names` and `tree_objects` what of a tree is kept. Writing: `blob_packing` packs contents
(`deflate`), `new_commit` and `kept_commit` are the commits, `repository_objects` takes
what a repository has (`origin`, `repository_packs`), `assembly` makes the pack, `volume` plans.
Reading: `store` has objects by offset and id, `sequence` finds them, `tree_reader` bounds trees,
`commit_entries` walks them, `reader` is the whole.
"""
