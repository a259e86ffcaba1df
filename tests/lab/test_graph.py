"""The drawing of a lab: well formed, complete, nothing drawn over anything else, nothing unescaped."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from chaosnet.lab import census, graph, topology
from chaosnet.lab.furnish import furnish
from chaosnet.model.inventory import Pod
from chaosnet.shipped import experiments

LABS = sorted((experiments() / "labs").glob("*.yaml"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_every_lab_is_drawn_whole(path: object) -> None:
    found = topology.load(str(path))
    root = ElementTree.fromstring(graph.draw(found, census.pods(furnish(found))))
    said = {text.text for text in root.iter(f"{SVG}text")}
    assert {node.name for node in found.nodes} <= said
    assert {router.name for router in found.routers} <= said
    boxes = [
        tuple(float(box.get(key, "0")) for key in ("x", "y", "width", "height"))
        for box in root.iter(f"{SVG}rect")
        if (box.get("class") or "").split(" ")[0] in ("node", "router")
    ]
    assert len(boxes) == len(found.nodes) + len(found.routers)
    for number, (x, y, width, height) in enumerate(boxes):
        for x2, y2, width2, height2 in boxes[number + 1 :]:
            assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y
    whole = (float(root.get("width", "0")), float(root.get("height", "0")))
    assert all(x >= 0 and y >= 0 and x + width <= whole[0] and y + height <= whole[1] for x, y, width, height in boxes)


def test_hostile_names_stay_text() -> None:
    found = topology.load(experiments() / "labs" / "two-clusters.yaml")
    hostile = Pod("test", "shop", '<script>alert("&")</script>', "test-1", ("10.0.1.9",))
    root = ElementTree.fromstring(graph.draw(replace(found, name="<b>&"), [hostile]))
    assert not list(root.iter(f"{SVG}script"))
    assert any((text.text or "").startswith("shop/<script>") for text in root.iter(f"{SVG}text"))


def test_a_node_with_many_pods_says_how_many_more() -> None:
    found = topology.load(experiments() / "labs" / "two-clusters.yaml")
    pods = [Pod("test", "shop", f"p-{n}", "test-1", (f"10.0.1.{n + 2}",)) for n in range(40)]
    assert "and 26 more" in graph.draw(found, pods)


def test_it_fetches_nothing() -> None:
    found = topology.load(experiments() / "labs" / "two-clusters.yaml")
    text = graph.draw(found, ())
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
