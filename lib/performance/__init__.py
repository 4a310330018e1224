"""How well an account does: its growth without deposits and withdrawals, and what its trades earned."""
