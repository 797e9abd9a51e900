"""Layers: from a layout of any format to a layout.

`ccm` encrypts sectors and `ccm_reader` decrypts them; `keys` are the files with their keys.
`disk` puts a partition table around layouts, and reads what is in partitions.
"""
