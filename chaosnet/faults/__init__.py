"""SHELF: the faults, one file each: its settings, its pure plan, the effect it must be seen to have, and its chaostoolkit action.

A new fault is a new file here; nothing lists it.  Faults do not know each other: what several of them need to find their
spots, their witnesses and their judges is in ``chaosnet.model.flow``, ``wire`` and ``effect``.
"""
