"""The environments: text in or a choice among options, alone or many side by side."""
