"""A disk: a partition table around layouts (docs/disks.md).

`table` has the values that writing and reading share, `gpt` and `mbr` the structures,
`partition_types` what partitions are for. `disk` is what is asked for, `disk_plan` plans it:
`placement` says where everything lies, `ids` makes its ids, `table_pieces` a table's bytes.
`table_reader` reads a table, `reader` a whole disk.
"""
