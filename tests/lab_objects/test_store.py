"""The store: create, replace, merge patch, delete, take back; and what counts as a difference."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosnet.errors import InputError
from chaosnet.lab.objects import Key, Store, canonical, merge
from chaosnet.model.change import Object


def pod(name: str = "a", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "x", "labels": labels},
        "spec": {"containers": [{"name": "c"}]},
    }  # fmt: skip


@pytest.fixture
def store() -> Store:
    made = Store()
    made.apply("c", pod(app="web"))
    return made


# RFC 7386, Appendix A: all of its examples.
RFC7386 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC7386)
def test_the_examples_of_rfc_7386(target: object, patch: object, result: object) -> None:
    assert merge(target, patch) == result


def test_revisions_count_differences_only(store: Store) -> None:
    before = store.revision
    store.apply("c", pod(app="web"))
    assert store.revision == before
    store.apply("c", pod(app="db"))
    assert store.revision == before + 1
    assert store.want("c", "Pod", "x", "a")["metadata"]["resourceVersion"] == str(store.revision)


def test_a_patch_changes_what_it_names(store: Store) -> None:
    store.patch("c", "Pod", "x", "a", {"metadata": {"labels": {"tier": "front", "app": None}}})
    found = store.want("c", "Pod", "x", "a")
    assert found["metadata"]["labels"] == {"tier": "front"}
    assert found["spec"] == pod()["spec"]


def test_what_is_handed_in_is_copied(store: Store) -> None:
    mine = pod("b", app="web")
    store.apply("c", mine)
    mine["metadata"]["labels"]["app"] = "changed"
    assert store.want("c", "Pod", "x", "b")["metadata"]["labels"] == {"app": "web"}


@pytest.mark.parametrize(
    "change",
    [
        Object("c", "patch", "Pod", "x", "a", '{"metadata": {"labels": {"app": "db"}}}'),
        Object("c", "delete", "Pod", "x", "a"),
        Object("c", "apply", "Pod", "x", "a", json.dumps(pod(app="other"))),
        Object("c", "apply", "Pod", "x", "new", json.dumps(pod("new"))),
        Object("d", "apply", "Pod", "x", "a", json.dumps(pod())),
    ],
)
def test_the_inverse_restores_every_text(store: Store, change: Object) -> None:
    before = store.snapshot()
    inverse = store.inverse(change)
    store.make(change)
    assert store.snapshot() != before
    store.make(inverse)
    assert store.snapshot() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Object("c", "patch", "Pod", "x", "zzz", "{}"), "there is no such object; there are c/x/a"),
        (Object("c", "delete", "Pod", "y", "a"), "there is no such object"),
        (Object("c", "delete", "Namespace", "", "x"), "deletes everything in it"),
        (Object("c", "apply", "Pod", "x", "a", "{"), "not JSON"),
        (Object("c", "apply", "Pod", "x", "a", json.dumps(pod("b"))), "Pod c/x/b"),
        (Object("c", "apply", "Pod", "x", "a", "[]"), "not a mapping"),
        (Object("c", "patch", "Pod", "x", "a", '{"metadata": {"name": "b"}}'), "another name"),
        (Object("c", "patch", "Pod", "x", "a", '{"kind": null}'), "kind is missing"),
        (Object("c", "patch", "Pod", "x", "a", "[]"), "another name or kind"),
        (Object("c", "patch", "Pod", "x", "a", '{"metadata": {"annotations": {"a": "\\ud800"}}}'), "half a character"),
        (Object("c", "patch", "Pod", "x", "a", '{"spec": {"weight": NaN}}'), "not a JSON value"),
        (Object("c", "patch", "Pod", "x", "a", '{"metadata": {"labels": {"app": "a b"}}}'), "not a label's value"),
        (Object("c", "patch", "Pod", "x", "a", '{"spec": {"containers": []}}'), "no container"),
    ],
)
def test_what_cannot_be_done_changes_nothing(store: Store, change: Object, said: str) -> None:
    before, revision = store.snapshot(), store.revision
    with pytest.raises(InputError) as caught:
        store.make(change)
    assert said in str(caught.value)
    assert (store.snapshot(), store.revision) == (before, revision)


def test_texts_are_readable_and_free_of_what_moves() -> None:
    item = pod() | {"metadata": {"name": "a", "resourceVersion": "7", "managedFields": [], "generation": 3, "labels": {"ä": "b"}}}
    assert canonical(item) == (
        '{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"ä":"b"},"name":"a"},"spec":{"containers":[{"name":"c"}]}}'
    )


def test_listing_by_cluster_kind_and_namespace(store: Store) -> None:
    store.apply("d", pod("b"))
    store.apply("c", pod("c") | {"metadata": {"name": "c", "namespace": "y"}})
    assert [item["metadata"]["name"] for item in store.list("", "Pod")] == ["a", "c", "b"]
    assert [item["metadata"]["name"] for item in store.list("c", "Pod", "y")] == ["c"]
    assert store.list("c", "Service") == ()
    store.discard(Key("c", "Pod", "y", "c"))
    assert store.list("c", "Pod", "y") == ()
    assert store.clusters == ("c", "d")


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_loading_leaves_no_trace(names: list[str]) -> None:
    one, other = Store(), Store()
    for name in "abcd":
        one.apply("c", pod(name))
    for name in names:
        other.apply("c", pod(name))
    assert list(one.snapshot().items()) == list(other.snapshot().items())


def test_deleted_is_remembered_and_discarded_is_not(store: Store) -> None:
    store.apply("c", pod("b"))
    store.delete("c", "Pod", "x", "a")
    store.discard(Key("c", "Pod", "x", "b"))
    assert [item["metadata"]["name"] for item in store.gone("c", "Pod")] == ["a"]
    store.apply("c", pod("a"))
    assert store.gone("c", "Pod") == ()
