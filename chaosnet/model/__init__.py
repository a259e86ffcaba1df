"""The words every room shares: endpoints, edges, places, changes, questions, tickets, verdicts.

Pure values and pure functions.  Imports :mod:`chaosnet.errors` and the standard library, nothing else; touches no
file, clock, kernel or network.
"""
