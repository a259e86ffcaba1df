"""The grammar of endpoints: whatever can be written reads back as itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosnet.errors import InputError
from chaosnet.model.endpoint import Endpoint, parse_endpoint

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
PATTERNS = st.one_of(NAMES, st.just("*"), st.builds("{}*".format, NAMES), st.builds("*-{}".format, NAMES))
WORDS = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?", fullmatch=True)
PREFIXES = st.one_of(st.just(""), st.builds("{}.{}/".format, NAMES, NAMES), st.builds("{}/".format, NAMES))
VALUES = st.one_of(st.just(""), WORDS)
# A key's prefix without a dot reads as part of the path, so it cannot come first.
DOTTED = st.one_of(st.just(""), st.builds("{}.{}/".format, NAMES, NAMES))
LABELS = st.builds(
    lambda first, others: [first, *others],
    st.tuples(st.builds("{}{}".format, DOTTED, WORDS), VALUES),
    st.lists(st.tuples(st.builds("{}{}".format, PREFIXES, WORDS), VALUES), max_size=3),
)
CLUSTERS = st.one_of(st.just(""), PATTERNS)

TEXTS = st.one_of(
    st.builds("{}/{}".format, PATTERNS, PATTERNS),
    st.builds("{}/{}/{}".format, PATTERNS, PATTERNS, PATTERNS),
    st.builds("svc:{}/{}".format, PATTERNS, PATTERNS),
    st.builds("svc:{}/{}/{}".format, PATTERNS, PATTERNS, PATTERNS),
    st.builds("node:{}/{}".format, PATTERNS, PATTERNS),
    st.builds("ip:{}".format, st.ip_addresses()),
    st.builds("entity:{}".format, NAMES),
    st.builds(
        lambda path, labels: f"{path}/{','.join(f'{key}={value}' for key, value in labels)}",
        st.one_of(NAMES, st.builds("{}/{}".format, NAMES, NAMES)),
        LABELS,
    ),
)


@given(TEXTS)
def test_what_is_written_reads_back_as_itself(text: str) -> None:
    """Parsed, said and parsed again: the same endpoint, in the same words."""
    first = parse_endpoint(text, "place")
    assert parse_endpoint(str(first), "place") == first
    assert str(parse_endpoint(str(first), "place")) == str(first)


@given(
    st.one_of(
        st.builds(Endpoint, st.sampled_from(["pod", "service"]), CLUSTERS, PATTERNS, PATTERNS),
        st.builds(Endpoint, st.just("node"), PATTERNS, st.just(""), PATTERNS),
        st.builds(lambda address: Endpoint("ip", name=str(address)), st.ip_addresses()),
        st.builds(lambda name: Endpoint("entity", name=name), NAMES),
    )
)
def test_every_value_can_be_written(endpoint: Endpoint) -> None:
    assert parse_endpoint(str(endpoint), "place") == endpoint


def test_labels_are_a_set_in_order() -> None:
    one = parse_endpoint("test/shop/app=client,tier=web", "place")
    other = parse_endpoint("test/shop/tier=web,app=client", "place")
    assert one == other
    assert one.labels == (("app", "client"), ("tier", "web"))
    assert one.name == "*"


def test_a_label_key_keeps_its_prefix() -> None:
    found = parse_endpoint("shop/app.kubernetes.io/name=web,zone=1", "place")
    assert (found.cluster, found.namespace) == ("", "shop")
    assert dict(found.labels) == {"app.kubernetes.io/name": "web", "zone": "1"}


@given(st.one_of(st.text(max_size=60), st.text(alphabet="ab/:*=.,-", max_size=20), st.integers(), st.none()))
def test_any_text_is_an_endpoint_or_a_sentence(text: object) -> None:
    try:
        found = parse_endpoint(text, "edge.from")
    except InputError as error:
        _one_sentence(error)
    else:
        assert parse_endpoint(str(found), "place") == found


def _one_sentence(error: InputError) -> None:
    assert str(error).startswith("edge.from: ")
    assert "\n" not in str(error)
    assert error.remedy


@pytest.mark.parametrize("text", ["ip:fe80::1%eth0", "ip:fe80::1%;drop", "ip:10.0.0.0/8", "ip:010.0.0.1", "ip:"])
def test_an_address_is_only_an_address(text: str) -> None:
    with pytest.raises(InputError, match="not an IP address"):
        parse_endpoint(text, "place")
