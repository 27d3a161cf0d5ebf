"""Compiled timing models. Modules here import only numpy, numba, math, typing and each other."""
