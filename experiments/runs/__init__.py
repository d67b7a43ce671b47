"""What programs share: settings, models, planners, searches and their records, run folders, screen, report."""
