"""Judges: what other programs, and the specifications themselves, make of an image.

A reader of ours that agrees with a writer of ours proves nothing. The judges here share no
code with the package under test and import nothing of it:

- `programs` finds and runs the external programs; `fat_tools` and `tar_tools` turn what they
  read into plain dictionaries, and fail on the slightest complaint of theirs; `fatfs`, `grub`,
  `sleuthkit` and `pax` do so for a firmware's FAT, a boot loader, an examiner and one more tar;
- `fat_volume`, `fat_invariants` and `tar_invariants` hold an image against Microsoft's FAT
  specification and against POSIX, where the programs look away;
- `git_tools` asks git and dulwich, `git_pack` holds a pack against git's own description of it,
  and `docteur` an image against docteur's layout;
- `mirage_tar`, `mirage_fat`, `docteur` and `git_kv` model how MirageOS reads an image, failures
  included.

Every judge raises AssertionError (the Mirage models: `mirage_kv.KvError` and
`mirage_kv.Crash`) on an image that it does not accept. `judges_selftest` shows for each of
them that it accepts what well-known programs write, and rejects the same image damaged.
"""
