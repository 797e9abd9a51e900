"""Deployments: volumes that a manifest names, built, activated, rolled back and attached."""
