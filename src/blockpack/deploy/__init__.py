"""Deployments: a tree of files with a manifest, built into images, activated, attached."""
