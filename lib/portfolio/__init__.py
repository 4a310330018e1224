"""The portfolio: positions from fills, their valuation, and stop losses."""
