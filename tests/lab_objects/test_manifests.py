"""Reading manifests: everything kubectl writes, and one sentence for everything malformed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnet.errors import InputError
from chaosnet.lab import manifests
from chaosnet.lab.objects import Store

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: x}\nspec: {containers: [{name: c}]}\n"


def names(text: str | bytes) -> list[str]:
    return [item["metadata"]["name"] for item, _ in manifests.parse(text, "f.yaml")]


def test_documents_lists_and_typed_lists() -> None:
    assert names(POD + "---\n---\n" + POD.replace("name: a", "name: b")) == ["a", "b"]
    items = [yaml.safe_load(POD), yaml.safe_load(POD.replace("name: a", "name: b"))]
    assert names(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})) == ["a", "b"]
    bare = [{key: value for key, value in item.items() if key not in ("apiVersion", "kind")} for item in items]
    typed = manifests.parse(yaml.safe_dump({"apiVersion": "v1", "kind": "PodList", "items": bare}), "f.yaml")
    assert [(item["kind"], item["apiVersion"]) for item, _ in typed] == [("Pod", "v1")] * 2
    assert names(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": None})) == []
    assert names("") == []
    assert names('{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "json"}}') == ["json"]


def test_what_kubectl_exports_loads() -> None:
    exported = """
apiVersion: v1
items:
- apiVersion: v1
  kind: Pod
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {"apiVersion":"v1","kind":"Pod"}
    creationTimestamp: 2026-03-01T08:00:00Z
    generateName: web-7d9f8c6b5d-
    labels: {app: web, pod-template-hash: 7d9f8c6b5d}
    name: web-7d9f8c6b5d-x2lqz
    namespace: shop
    ownerReferences:
    - {apiVersion: apps/v1, blockOwnerDeletion: true, controller: true, kind: ReplicaSet, name: web-7d9f8c6b5d, uid: 1f}
    resourceVersion: "812"
    uid: 0c1e
    managedFields: [{apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:labels": {".": {}}}}}]
  spec:
    containers:
    - {image: "web:1", name: web, ports: [{containerPort: 8080, name: http, protocol: TCP}], resources: {}}
    nodeName: worker-1
    tolerations: [{effect: NoExecute, key: node.kubernetes.io/not-ready, operator: Exists, tolerationSeconds: 300}]
  status:
    conditions: [{lastProbeTime: null, lastTransitionTime: "2026-03-01T08:00:02Z", status: "True", type: Ready}]
    phase: Running
    podIP: 10.244.1.7
    podIPs: [{ip: 10.244.1.7}]
kind: List
metadata: {resourceVersion: ""}
"""
    loaded = manifests.parse(exported, "pods.yaml")
    assert loaded[0][0]["metadata"]["creationTimestamp"] == "2026-03-01T08:00:00Z", "dates stay text"
    store = Store()
    store.load("c", loaded)
    text = store.text("c", "Pod", "shop", "web-7d9f8c6b5d-x2lqz")
    assert '"resourceVersion"' not in text
    assert "managedFields" not in text


def test_y_is_a_name_and_not_a_boolean() -> None:
    assert names(POD.replace("name: a", "name: y")) == ["y"]


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.yaml").write_text(POD.replace("name: a", "name: b"))
    (tmp_path / "sub" / "a.yml").write_text(POD)
    (tmp_path / "notes.txt").write_text("not: a manifest")
    (tmp_path / ".hidden.yaml").write_text("{{{")
    found = manifests.load([tmp_path])
    assert [item["metadata"]["name"] for item, _ in found] == ["b", "a"]
    assert found[1][1].endswith("sub/a.yml")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, said in ((empty, "no manifest"), (tmp_path / "missing.yaml", "cannot be read")):
        with pytest.raises(InputError, match=said) as caught:
            manifests.load([path])
        assert str(path) in str(caught.value)


def test_kinds_nobody_acts_on_are_kept_and_listed_once() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: x}\n---\n"
    other = "apiVersion: crd.projectcalico.org/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: x}\n"
    loaded = manifests.parse(text + text.replace("name: a", "name: b") + other + "---\n" + POD, "f.yaml")
    store = Store()
    store.load("c", loaded)
    assert store.unread == ("ConfigMap", "NetworkPolicy.crd.projectcalico.org")
    assert store.get("c", "ConfigMap", "x", "b") is not None
    assert store.list("c", "NetworkPolicy") == (), "Calico's kind of the same name is another kind"


# --- malformed -------------------------------------------------------------------------------------------------------------


def deployment(**spec: Any) -> str:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c"}]}}
    body = {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": template} | spec
    return yaml.safe_dump(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "x"}, "spec": body}
    )


def service(**spec: Any) -> str:
    body = {"selector": {"app": "a"}, "ports": [{"port": 80}]} | spec
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "x"}, "spec": body})


def pod(**spec: Any) -> str:
    body = {"containers": [{"name": "c"}]} | spec
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "x"}, "spec": body})


def slice_(**body: Any) -> str:
    head = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "a", "namespace": "x"}}
    return yaml.safe_dump(head | {"addressType": "IPv4", "endpoints": [], "ports": []} | body)


def policy(**spec: Any) -> str:
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a", "namespace": "x"}}
    return yaml.safe_dump(head | {"spec": {"podSelector": {}} | spec})


def ported(port: Any) -> str:
    return pod(containers=[{"name": "c", "ports": [port]}])


MALFORMED: dict[str, str | bytes] = {
    "not yaml": "a: [b",
    "a tab": "a:\n\t- b",
    "not utf-8": b"\xff\xfe\x00\x00\x80",
    "a control character": "a: \x07",
    "an unknown tag": "!!python/object/apply:os.system ['true']",
    "an undefined alias": "a: *b",
    "a recursive alias": "&a [*a]",
    "a duplicate key": POD + "kind: Service\n",
    "a duplicate label": POD.replace("namespace: x", "namespace: x, labels: {a: b, a: c}"),
    "a boolean key": POD.replace("namespace: x", "namespace: x, labels: {on: b}"),
    "a boolean key in a list": "- {no: x}",
    "a list as a key": "? [a, b]\n: c",
    "a number as a key": "1: 2",
    "text": "hello",
    "a number": "42",
    "a list of objects": "- " + POD.replace("\n", "\n  "),
    "no kind": POD.replace("kind: Pod\n", ""),
    "no apiVersion": POD.replace("apiVersion: v1\n", ""),
    "no metadata": "apiVersion: v1\nkind: Pod\n",
    "no name": POD.replace("name: a, ", ""),
    "a list as metadata": POD.replace("{name: a, namespace: x}", "[a]"),
    "a boolean name": POD.replace("name: a", "name: true"),
    "a number as a name": POD.replace("name: a", "name: 7"),
    "a capital in a name": POD.replace("name: a", "name: A"),
    "a slash in a name": POD.replace("name: a", "name: a/b"),
    "a dot in a namespace": POD.replace("namespace: x", "namespace: x.y"),
    "a boolean namespace": POD.replace("namespace: x", "namespace: off"),
    "a hostile kind": POD.replace("kind: Pod", "kind: 'Pod; reboot'"),
    "kind is a list": POD.replace("kind: Pod", "kind: [Pod]"),
    "items is text": "apiVersion: v1\nkind: List\nitems: none\n",
    "an item is text": "apiVersion: v1\nkind: List\nitems: [none]\n",
    "an old group": deployment().replace("apps/v1", "extensions/v1beta1"),
    "an old version": deployment().replace("apps/v1", "apps/v1beta1"),
    "a label with a space": POD.replace("namespace: x", "namespace: x, labels: {a: 'b c'}"),
    "a boolean label": POD.replace("namespace: x", "namespace: x, labels: {a: yes}"),
    "a number as a label": POD.replace("namespace: x", "namespace: x, labels: {a: 1}"),
    "a hostile label": POD.replace("namespace: x", "namespace: x, labels: {a: '\"; flush ruleset'}"),
    "labels is a list": POD.replace("namespace: x", "namespace: x, labels: [a]"),
    "an annotation that is no text": POD.replace("namespace: x", "namespace: x, annotations: {a: 1}"),
    "a fixed address that is none": POD.replace("namespace: x", "namespace: x, annotations: {chaosnet.io/address: 10.0.0}"),
    "a proxy to nowhere": POD.replace("namespace: x", "namespace: x, annotations: {chaosnet.io/proxy: shop}"),
    "no containers": pod(containers=[]),
    "containers is a mapping": pod(containers={"name": "c"}),
    "hostNetwork is text": pod(hostNetwork="yes"),
    "nodeSelector is a list": pod(nodeSelector=["a"]),
    "port zero": ported({"containerPort": 0}),
    "a port too far": ported({"containerPort": 65536}),
    "a port as text": ported({"containerPort": "80"}),
    "no containerPort": ported({"name": "http"}),
    "a port's name in capitals": ported({"containerPort": 80, "name": "HTTP"}),
    "an unknown protocol": ported({"containerPort": 80, "protocol": "ICMP"}),
    "a pod address that is none": POD + "status: {podIP: nowhere}\n",
    "replicas as text": deployment(replicas="two"),
    "replicas below zero": deployment(replicas=-1),
    "replicas without end": deployment(replicas=10**9),
    "replicas is a boolean": deployment(replicas=True),
    "no selector": deployment(selector=None),
    "a selector beside the template": deployment(selector={"matchLabels": {"app": "b"}}),
    "an empty selector": deployment(selector={}),
    "no template": deployment(template=None),
    "one address for two": deployment(
        replicas=2,
        template={"metadata": {"labels": {"app": "a"}, "annotations": {"chaosnet.io/address": "10.0.0.5"}},
                  "spec": {"containers": [{"name": "c"}]}},
    ),
    "a Service without ports": service(ports=[]),
    "a Service's port as text": service(ports=[{"port": "http"}]),
    "a targetPort in quotes": service(ports=[{"port": 80, "targetPort": "8080"}]),
    "two ports without names": service(ports=[{"port": 80}, {"port": 81}]),
    "the same port twice": service(ports=[{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]),
    "a clusterIP that is none": service(clusterIP="10.96.0"),
    "an IPv6 clusterIP": service(clusterIP="fd00::1"),
    "an unknown type": service(type="ClusterIp"),
    "a Service's name that is no DNS label": service().replace("name: a", "name: a.b"),
    "an unknown affinity": service(sessionAffinity="Cookie"),
    "a slice of no type": slice_(addressType=None),
    "a slice's address": slice_(endpoints=[{"addresses": ["10.0.0.300"]}]),
    "a slice's readiness": slice_(endpoints=[{"addresses": ["10.0.0.3"], "conditions": {"ready": "no"}}]),
    "a slice's port": slice_(ports=[{"port": 0}]),
    "a policy's unknown field": policy(ingres=[]),
    "a policy's unknown type": policy(policyTypes=["ingress"]),
    "a policy's empty peer": policy(ingress=[{"from": [{}]}]),
    "a policy's block": policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}}]}]),
    "a policy's port": policy(ingress=[{"ports": [{"port": "80"}]}]),
    "nested too deeply": "a: " + "[" * 5000 + "]" * 5000,
    "a bomb of aliases": "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)) + POD,
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_manifests_get_one_sentence(name: str) -> None:
    with pytest.raises(InputError) as caught:
        Store().load("c", manifests.parse(MALFORMED[name], "shop.yaml"))
    message = str(caught.value)
    assert message.startswith("shop.yaml"), message
    assert "\n" not in message
    assert len(message) < 400, message
    assert "Traceback" not in message


def test_there_are_enough_malformed_manifests() -> None:
    assert len(MALFORMED) >= 50


def test_the_object_is_named() -> None:
    with pytest.raises(InputError, match=r"^shop\.yaml: Deployment x/a: spec\.replicas: 'two' is not a whole number"):
        Store().load("c", manifests.parse(deployment(replicas="two"), "shop.yaml"))
    with pytest.raises(InputError, match=r"^shop\.yaml document 2: Service x/a: spec\.ports"):
        Store().load("c", manifests.parse(POD + "---\n" + service(ports=[]), "shop.yaml"))
    with pytest.raises(InputError, match=r"Pod c/x/a is also in one\.yaml"):
        Store().load("c", [*manifests.parse(POD, "one.yaml"), *manifests.parse(POD, "two.yaml")])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SEEDS = [yaml.safe_load(text) for text in (POD, deployment(), service(), slice_(), policy(policyTypes=["Ingress"], ingress=[{}]))]


def said(load: Callable[[], object]) -> str:
    """The sentence of the InputError, or empty; any other exception is the test's failure."""
    try:
        load()
    except InputError as error:
        return str(error)
    return ""


@settings(max_examples=300)
@given(st.data())
def test_any_broken_field_is_an_input_error_or_fine(data: st.DataObject) -> None:
    """One value somewhere in a good manifest becomes anything at all: never another exception."""
    broken = yaml.safe_load(yaml.safe_dump(data.draw(st.sampled_from(SEEDS))))
    here: Any = broken
    while isinstance(here, dict | list) and here:
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if not isinstance(here[key], dict | list) or not here[key] or data.draw(st.booleans()):
            here[key] = data.draw(JSON)
            break
        here = here[key]
    assert "\n" not in said(lambda: Store().load("c", [(broken, "f.yaml")]))


@settings(max_examples=150)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_are_an_input_error_or_fine(text: str | bytes) -> None:
    assert "\n" not in said(lambda: manifests.parse(text, "f.yaml"))
