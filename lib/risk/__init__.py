"""Risk of an account: the rules that make it LOW, MEDIUM or HIGH, and what its holdings may lose."""
