"""One file, one experiment; `runs` holds what programs share: records, monitor, report, statistics."""

from alphallm_env.runtime.openmp import limit_openmp_spinning

limit_openmp_spinning()  # before a program loads torch
