"""What the self-improvement loop is made of: its settings, imagined problems, lessons from searches, its stages."""
