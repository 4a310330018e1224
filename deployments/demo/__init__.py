"""`fks demo`: the situations that the platform must carry, played from end to end; one module a situation."""
