"""Attaching: the lines of configuration or the arguments with which a machine gets its images.

`attach.disks` says which images there are and where, `attach.consumer` what every consumer has in
common, and one module a consumer how it wants to be told.
"""
