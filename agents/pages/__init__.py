"""Pages for people: a search's tree as an HTML file that needs no network, a plan in a notebook."""
