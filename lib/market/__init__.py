"""Market data: candles, their gaps, and keeping them in step with the exchange."""
