"""Paper accounts: an exchange account of our own that trades against the real order book, without keys and orders."""
