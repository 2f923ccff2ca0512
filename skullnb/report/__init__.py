"""From notebooks to a book: what they call, how they run, and how they become pages."""
