"""What `experiments.baselines` is made of: cached offers, simple rules, training of agents, the report."""
