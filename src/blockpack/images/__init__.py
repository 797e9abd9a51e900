"""Images of any format: opened and read, extracted, compared and digested."""
