"""`fks doctor`: why a task does not run, why one fails, why data is missing, and why nobody is told."""
