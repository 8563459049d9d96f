"""A unit that adds pairs of numbers in lanes, with all that a unit needs: an example, and a test of the machinery.

A file for each role, where a unit of the house has a folder: facts, golden model, RTL, verification.
"""
