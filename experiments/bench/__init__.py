"""Benchmarks, each a program: engine, environment, grading, security, option_path, trees.

Figures are ratios within one run where they can be, printed and written as JSON.
"""
