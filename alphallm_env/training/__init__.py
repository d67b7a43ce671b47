"""What turns trajectories into weights."""
