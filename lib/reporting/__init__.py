"""What people read: run artifacts now, reports later."""
