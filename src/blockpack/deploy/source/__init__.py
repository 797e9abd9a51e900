"""What a deployment is made of: a directory or a commit, looked at once."""
