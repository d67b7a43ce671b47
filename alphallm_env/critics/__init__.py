"""Critics: value function, PRM and ORM; their names, calibration, measures and provenance."""
