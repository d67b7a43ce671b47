"""Doors for other libraries to the same decision process. Importing this loads none of them."""
