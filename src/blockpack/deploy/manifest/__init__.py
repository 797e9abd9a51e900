"""What the manifest says: its text, its values, and a first one to begin with."""
