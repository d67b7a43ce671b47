"""Pages in a real browser: a driver, and what a page costs there."""
