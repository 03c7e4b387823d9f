"""Matrices here are small: the threads of BLAS would only wait for each other, above all below pytest-xdist."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
