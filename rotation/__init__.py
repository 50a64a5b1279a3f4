"""Whose day it is: rotations, shifts, swaps. Still an empty room: it is furnished with the rotation."""
