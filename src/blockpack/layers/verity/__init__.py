"""dm-verity: a tree of hashes by which a kernel checks each block that it reads (docs/verity.md).

`hash_tree` is where everything lies, `hashing` computes it, `verity` puts it behind a layout or
beside it, `reader` finds and checks one; `signature` is what vouches for a root hash.
"""
