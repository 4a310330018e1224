"""Research: what strategies would have earned, by an engine that is tested against others."""
