"""Slow files first: of several workers none should begin the longest file when the others are done.

The order within a file, and between files of one kind, stays random.
"""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that have a test marked ``slow`` come first."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
