"""The FAT file system: FAT12, FAT16 and FAT32 (Microsoft's FAT specification, 1.03).

`boot_sector`, `table`, `dir_entry` and `names` are the format's structures, `geometry` chooses
sizes, `volume` plans and `reader` reads.
"""
