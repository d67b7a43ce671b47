"""Critics: value function, PRM and ORM; how they are asked, calibrated and measured."""
