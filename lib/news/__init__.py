"""News: what feeds tell, stored once, tagged with assets and scored."""
