"""The analyses that several chapters share, and the article's own way to a mask."""
