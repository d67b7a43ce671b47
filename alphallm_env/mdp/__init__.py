"""The semi-Markov decision process as pure functions: options, dynamics, rewards."""
