"""Balances: what an account is worth, what came in and went out, and whether the ledger agrees with the exchange."""
