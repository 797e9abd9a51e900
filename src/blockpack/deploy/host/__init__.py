"""What a host has: generations, the live one, and switching between them."""
