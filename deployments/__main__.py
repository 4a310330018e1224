"""``python -m deployments`` is `fks`; the stack starts its own programs this way."""

from deployments.cli import main

main()
