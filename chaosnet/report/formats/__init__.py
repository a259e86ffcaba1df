"""A shelf: one file per report format, found by walking it.

A format is a module with ``FILE`` (the name of the file it writes) and ``render(record) -> str``.  To add one, add a
file; nothing lists them by hand.  Formats do not read or write files: :mod:`chaosnet.report.shelf` does.
"""
