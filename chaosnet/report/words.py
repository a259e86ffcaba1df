"""What a run says in plain words: the verdict, the three answers that every reader wants, and how figures are written.

Shared by all formats, so that page, terminal and pull request say the same.  Only words; no markup, no colours.
"""

from dataclasses import dataclass, replace

from chaosnet.model.units import say_seconds
from chaosnet.report.record import EdgeRecord, FaultRecord, Json, RunRecord

VERDICTS = {"pass": "Passed", "fail": "Failed", "inconclusive": "Inconclusive"}

# So many items of a measured list are spelt out.
_MOST_LISTED = 16

# One letter a state, so that the picture reads in grey; open has none, for calm is the absence of marks.
LETTERS = {
    "open": "", "degraded": "D", "refused": "R", "reset": "X", "unresolved": "N", "timed out": "T", "unknown": "?",
}  # fmt: skip
STATES = tuple(LETTERS)

MOMENT_WORDS = {
    "inject": "injected", "effect": "effect seen", "detect": "noticed", "undo": "undone", "recover": "recovered",
    "clean": "clean",
}  # fmt: skip
MOMENT_MEANINGS = {
    "inject": "the fault was put in place",
    "effect": "its effect was measured for the first time",
    "detect": "a watched edge or probe noticed",
    "undo": "the fault was taken back",
    "recover": "every edge was as before the fault",
    "clean": "nothing of the fault was left, read back from the target",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One of the three questions, answered: ``answer`` in a word or two, then ``sentences``; ``good`` None is neither."""

    question: str
    answer: str
    sentences: tuple[str, ...]
    good: bool | None

    @property
    def sentence(self) -> str:
        """All the sentences in a row."""
        return " ".join(self.sentences)


def moment(seconds: float | None) -> str:
    """A moment of the run, as ``"5.012 s"``, or an en dash for one that never came."""
    return "–" if seconds is None else f"{seconds:.3f} s"


def count(number: int, one: str, many: str = "") -> str:
    """``count(1, "edge")`` is ``"1 edge"``, ``count(1200, "edge")`` is ``"1,200 edges"``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: tuple[str, ...] | list[str], most: int = 3) -> str:
    """``"a, b and c"``; beyond ``most`` the rest as a count.  Long names are shortened."""
    shown = [short(name, 48) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


def short(text: str, most: int) -> str:
    """At most ``most`` characters: the middle gives way, for names differ at both ends."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[len(text) - tail :]}"


def value(plain: Json) -> str:
    """A measured value as people read it: ``true`` is yes, mappings and lists in one line."""
    if plain is None:
        return "–"
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, float):
        return f"{plain:,.6g}"
    if isinstance(plain, int):
        return str(plain)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, list):
        more = f" and {len(plain) - _MOST_LISTED} more" if len(plain) > _MOST_LISTED else ""
        return ", ".join(value(item) for item in plain[:_MOST_LISTED]) + more or "none"
    return ", ".join(f"{name} {text}" for name, text in pairs(plain)) or "none"


def label(key: str) -> str:
    """A field's name as words: ``"largest_size"`` is ``"largest size"``."""
    return key.replace("_", " ")


def pairs(plain: Json) -> tuple[tuple[str, str], ...]:
    """A measured value as labelled figures; one that has no names of its own gets an empty label."""
    if plain is None or plain == {} or plain == "":
        return ()
    if isinstance(plain, dict):
        said = {key: item for key, item in plain.items() if key != "kind_" and item not in (None, "", [], {})}
        return tuple((label(key), value(item)) for key, item in said.items())
    return (("", value(plain)),)


def settings(fault: FaultRecord) -> tuple[tuple[str, str], ...]:
    """The fault's settings as labelled values, without its places, which stand in its name."""
    plain = {
        key: item for key, item in fault.settings.items() if not (isinstance(item, dict) and item.get("kind_") == "Place")
    }
    seconds = plain.get("duration")
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
        plain["duration"] = say_seconds(seconds)
    return pairs(plain)


def held(answer: Json) -> str:
    """A hypothesis' or probe's answer: held, did not hold, not asked, or the value it gave."""
    if answer is None:
        return "not asked"
    if isinstance(answer, bool):
        return "held" if answer else "did not hold"
    return value(answer)


def payload(edge: EdgeRecord) -> str:
    """How much the edge sends and receives: ``"sends 3,000 B"``, or empty."""
    parts = [f"{word} {size:,} B" for word, size in (("sends", edge.send), ("receives", edge.receive)) if size]
    return ", ".join(parts)


def route(edge: EdgeRecord) -> str:
    """Where the edge goes: ``"test/shop/client → svc:prod/prod-ns/prod-svc:8080/http"``."""
    port = f":{edge.port}" if edge.port else ""
    protocol = f"/{edge.protocol}" if edge.protocol else ""
    return f"{edge.source} → {edge.destination}{port}{protocol}" if edge.source or edge.destination else ""


def expectation(edge: EdgeRecord) -> str:
    """What the experiment expects of the edge: must break, may change or must hold."""
    words = {"break": "must break", "open": "must open", "shut": "must stay shut", "may": "may change"}
    return words.get(edge.expected, "must hold")


def hit(record: RunRecord) -> frozenset[str]:
    """Names of the edges that some fault hit without having said so."""
    return frozenset(name for fault in record.faults for name in fault.collateral)


def passes(state: str) -> bool:
    """Whether traffic gets through in this state, well or badly."""
    return state in ("open", "degraded")


def changed(edge: EdgeRecord) -> bool:
    """Whether the edge changed during the fault, as the run judged it."""
    return edge.changed_at is not None


def worth_telling(edge: EdgeRecord, record: RunRecord) -> bool:
    """Whether readers look for this edge: it is declared, or it changed."""
    return edge.declared or changed(edge) or any(edge.name in fault.collateral for fault in record.faults)


def table_edges(record: RunRecord) -> tuple[tuple[EdgeRecord, ...], tuple[EdgeRecord, ...]]:
    """The edges to put before the reader's eyes, those that had to change first, then collateral; and the rest.

    Three or more edges of one wildcard (``peering[a→b]``) that all held go as one, without a place; each is in the rest.
    """
    told = [edge for edge in record.edges if worth_telling(edge, record)]
    families: dict[tuple[str, ...], list[EdgeRecord]] = {}
    for edge in told:
        calm = edge.name.endswith("]") and not changed(edge) and edge.name not in hit(record)
        base = edge.name.partition("[")[0] if calm else ""
        alike = (base, edge.expected, edge.before, edge.during, edge.after)
        families.setdefault(alike if base else ("", str(id(edge))), []).append(edge)
    shown: list[EdgeRecord] = []
    for key, family in families.items():
        if key[0] and len(family) > 2:
            name = f"{key[0]} ({len(family)} edges, alike)"
            shown.append(replace(family[0], name=name, source="", destination=""))
        else:
            shown += family
    kept = {id(edge) for edge in shown}
    shown.sort(key=lambda edge: (edge.expected not in ("break", "open"), edge.name not in hit(record)))
    return tuple(shown), tuple(edge for edge in record.edges if id(edge) not in kept)


def edge_result(edge: EdgeRecord, collateral: frozenset[str]) -> tuple[str, str]:
    """What became of the edge, and how that is to be taken: good, bad or plain."""
    result, tone = _edge_result(edge, collateral)
    if changed(edge) and edge.recovered_at is None and edge.after:
        return f"{result}; not recovered", "bad"
    return result, tone


def _edge_result(edge: EdgeRecord, collateral: frozenset[str]) -> tuple[str, str]:
    if edge.name in collateral:
        return "collateral", "bad"
    if edge.before in ("", "unknown"):
        return "not steady before, so not judged" if edge.before else "not measured", "plain"
    if edge.expected in ("break", "open"):
        if changed(edge):
            return ("broke, as it must" if edge.expected == "break" else "opened, as it must"), "good"
        if passes(edge.before) == (edge.expected == "open"):
            return f"was {edge.before} before", "plain"
        return f"did not {edge.expected}", "bad"
    if edge.expected == "may":
        return ("changed, as it may" if changed(edge) else "held"), "plain"
    return ("changed", "bad") if changed(edge) else ("held", "good")


def numbered(record: RunRecord, fault: FaultRecord) -> str:
    """The fault's kind, with its number in front where there are several, as the timeline names it."""
    kind = fault.kind or "fault"
    return f"{record.faults.index(fault) + 1} {kind}" if len(record.faults) > 1 else kind


def fault_name(fault: FaultRecord) -> str:
    """The fault by the word users type, and where it sat."""
    return f"{fault.kind or 'fault'} at {listed(fault.at, 2)}" if fault.at else fault.kind or "fault"


def in_place(fault: FaultRecord) -> float | None:
    """Seconds from injection to undo, or None where one of them never came."""
    times = fault.times
    return None if times.inject is None or times.undo is None else max(0.0, times.undo - times.inject)


def replies(record: RunRecord) -> tuple[Reply, Reply, Reply]:
    """The three answers that a reader wants within ten seconds: what happened, was it proven, was it undone."""
    return _happened(record), _proven(record), _undone(record)


def _happened(record: RunRecord) -> Reply:
    question = "What happened?"
    injected = [fault for fault in record.faults if fault.times.inject is not None]
    if not injected:
        sentence = "No fault was put in place, so the network was not touched."
        return Reply(question, "Nothing was injected", (sentence,), None)
    if record.placebo:
        sentence = "This was a placebo run: everything was done but the fault itself, so it must not pass."
        return Reply(question, "A placebo was injected", (sentence,), None)
    parts = []
    for fault in injected[:3]:
        seconds = in_place(fault)
        parts.append(fault_name(fault) + (f", for {say_seconds(seconds)}" if seconds is not None else ""))
    if len(injected) > 3:
        parts.append(f"{len(injected) - 3} more faults")
    collateral = hit(record)
    results = [(edge.name, edge_result(edge, collateral)) for edge in record.edges]
    held_too = sum(result == ("held", "good") for _, result in results)
    seen = (
        ("Broke, as announced", listed([name for name, (word, _) in results if word.startswith("broke")])),
        ("Opened, as announced", listed([name for name, (word, _) in results if word.startswith("opened")])),
        ("Did not break", listed([name for name, (word, _) in results if word.startswith("did not break")])),
        ("Did not open", listed([name for name, (word, _) in results if word.startswith("did not open")])),
        ("Changed without being announced", listed(sorted(collateral))),
        ("Held", count(held_too, "other edge") if held_too else ""),
    )
    sentences = ("; ".join(parts) + ".", *(f"{word}: {names}." for word, names in seen if names))
    answer = "A fault was injected" if len(injected) == 1 else f"{len(injected)} faults were injected"
    if collateral:
        return Reply(question, "More was hit than announced", sentences, False)
    return Reply(question, answer, sentences, None)


def _proven(record: RunRecord) -> Reply:
    question = "Was it proven?"
    if not record.faults:
        return Reply(question, "Nothing to prove", ("No fault was injected.",), None)
    failed = [fault for fault in record.faults if not fault.proven]
    lost = [fault for fault in record.faults if fault.proven and not fault.held]
    if failed:
        sentence = f"The effect of {listed([fault_name(fault) for fault in failed], 2)} was not measured in time."
        return Reply(question, "No", (sentence,), False)
    waits = [
        fault.times.effect - fault.times.inject
        for fault in record.faults
        if fault.times.effect is not None and fault.times.inject is not None
    ]
    after = f" {say_seconds(max(0.0, max(waits)))} after injection" if waits else ""
    seen = f"{'Its effect was' if len(record.faults) == 1 else 'The last of their effects was'} measured{after}"
    if any(effect.ok is False for fault in lost for effect in fault.effects):
        return Reply(question, "Yes, then lost", (f"{seen}, but was gone before the undo.",), False)
    if lost:
        return Reply(question, "Only at first", (f"{seen}; whether it held until the undo was not measured.",), False)
    return Reply(question, "Yes", (f"{seen}, and again just before the undo.",), True)


def residue(record: RunRecord) -> tuple[str, ...]:
    """Everything that was left at the end, each once."""
    return tuple(dict.fromkeys([*record.residue, *(piece for fault in record.faults for piece in fault.residue)]))


def _undone(record: RunRecord) -> Reply:
    question = "Was it undone?"
    injected = [fault for fault in record.faults if fault.times.inject is not None]
    if not injected:
        return Reply(question, "Nothing to undo", ("The network was not touched.",), None)
    left = residue(record)
    if left:
        return Reply(question, "Not entirely", (f"Still there after the undo: {listed(left, 2)}.",), False)
    if any(fault.times.clean is None and fault.times.undo is None for fault in injected):
        return Reply(question, "Not known", ("The run ended before it could read back that everything is gone.",), False)
    away = [edge.name for edge in record.edges if changed(edge) and edge.recovered_at is None]
    if away:
        return Reply(question, "Yes, but no recovery", (f"Not seen to recover: {listed(away)}.",), False)
    recovered = _recovered(injected)
    if any(fault.times.clean is None for fault in injected):
        return Reply(question, "Yes", (f"{recovered}; the search for residue did not finish.",), None)
    return Reply(question, "Yes", (f"{recovered}, and nothing of the fault was left.",), True)


def _recovered(injected: list[FaultRecord]) -> str:
    recovers = [fault.times.recover for fault in injected if fault.times.recover is not None]
    undos = [fault.times.undo for fault in injected if fault.times.undo is not None]
    if not recovers:
        return "No edge had changed"
    if not undos or max(recovers) <= max(undos):
        return "The edges were back before the undo"
    return f"The edges recovered {say_seconds(max(recovers) - max(undos))} after the undo"


def headline(record: RunRecord) -> str:
    """The verdict in one sentence, from the gravest finding where there is no pass."""
    if record.verdict == "pass":
        return "The fault was proven, the hypothesis held, and everything was undone."
    grave = [finding.sentence for finding in record.findings if finding.outcome == record.verdict]
    if grave:
        return grave[0]
    return "The run wrote no reason; it may have been cut short." if record.verdict == "inconclusive" else "A check failed."


def declared(record: RunRecord) -> str:
    """How the verdict compares with the one the experiment declares, or empty where it declares none but pass."""
    if record.expect in ("", "pass"):
        return ""
    wanted, came = VERDICTS.get(record.expect, record.expect).lower(), VERDICTS[record.verdict].lower()
    if record.expect == record.verdict:
        return f"This experiment is a lesson: it declares that it ends {wanted}, and it did."
    return f"This experiment declares that it ends {wanted}, but it ended {came}."


def counters(fault: FaultRecord) -> str:
    """What the fault's own rules matched, or empty where nothing was counted."""
    if not fault.packets:
        return ""
    size = f" ({fault.bytes:,} bytes)" if fault.bytes else ""
    return f"{count(fault.packets, 'packet')}{size} met the fault's own rules"


def further_evidence(fault: FaultRecord) -> tuple[str, ...]:
    """Evidence beyond the effects' own sentences and the counters, which are shown as such."""
    said = {effect.sentence for effect in fault.effects}
    counted = f"matched {fault.packets} packets"
    return tuple(sentence for sentence in fault.evidence if sentence not in said and counted not in sentence)
