"""Reports of a run: the run record in, a picture and readable documents out.

Reads ``run.json`` and nothing else: a report never asks a target, judges anew or changes a verdict.  Formats are a
shelf (:mod:`chaosnet.report.formats`); each is imported only when asked for, so that importing this package is cheap.
"""
