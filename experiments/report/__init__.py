"""The pages of runs: one HTML file each, which fetches nothing."""
