"""A disk: a partition table around layouts (docs/disks.md).

`table` has the values that writing and reading share, `gpt` and `mbr` the structures,
`partition_types` what partitions are for; `disk` plans a disk.
"""
