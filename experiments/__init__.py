"""Programs, one a file; each folder has what a group of them needs, and `runs` what all share."""

from alphallm_env.runtime.openmp import limit_openmp_spinning

limit_openmp_spinning()  # before a program loads torch
