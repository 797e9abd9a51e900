"""Images: opened and read, extracted, compared and digested, whatever their format."""
