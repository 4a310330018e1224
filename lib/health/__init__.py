"""How well the platform does: figures of the server and the database, what is out of bounds, and who is told."""
