"""Trainings of the weights that ship: what uses the library and is no part of it."""
