"""What other programs load: hooks of build tools."""
