"""EROFS, the read-only file system of Linux."""
