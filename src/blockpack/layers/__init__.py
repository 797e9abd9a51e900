"""Layers: from a layout to a layout, whatever the format in it.

`ccm` encrypts sectors and `ccm_reader` decrypts them; `keys` are the files with their keys.
"""
