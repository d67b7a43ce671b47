"""The parts of a tree search: nodes, selection, expansion, merging, evaluation, backup, answering."""
