"""Git's object store: a commit with its trees and blobs in a pack (gitformat-pack(5)).

`objects`, `pack` and `index` are the format's structures, `container` is what is around a pack,
`members` encodes entries, `deflate` compresses, `blobs` packs contents, `assembly` puts the pack
together, `kept` and `made` are the commits in it, `volume` plans and `reader` reads.
"""
