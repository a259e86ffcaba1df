"""JUnit XML: the verdict for a CI server; one test case for each aspect that the verdict rests on.

A run that ends as its experiment declares is green, also one declared ``inconclusive``; otherwise a failed check is a
``failure`` and one that could not be shown an ``error``.  The dialect is what Jenkins' JUnit plug-in and GitLab read.
"""

from xml.etree import ElementTree as ET

from chaosnet.report import words
from chaosnet.report.record import FindingRecord, RunRecord

FILE = "junit.xml"

_ASPECTS = ("baseline", "run", "effect", "scope", "hypothesis", "recovery", "residue", "expectation")
_NAMES = {
    "baseline": "the network was steady before", "run": "the run was complete", "effect": "the fault was proven and held",
    "scope": "the announced edges changed and no other", "hypothesis": "the steady-state hypothesis held",
    "recovery": "everything recovered", "residue": "nothing was left behind", "expectation": "it ended as declared",
}  # fmt: skip


def render(record: RunRecord) -> str:
    """One document: a suite for the run, a case for the verdict and for each aspect with findings."""
    as_declared = record.verdict == (record.expect or "pass")
    cases: list[tuple[str, list[FindingRecord]]] = []
    for aspect in (*_ASPECTS, *sorted({f.about for f in record.findings} - set(_ASPECTS))):
        found = [finding for finding in record.findings if finding.about == aspect]
        if found:
            cases.append((_NAMES.get(aspect, words.short(aspect, 120) or "other"), found))
    suite = ET.Element("testsuite", {"name": f"chaosnet: {words.short(record.title, 200)}"})
    seconds = f"{record.duration or 0:.3f}"
    verdict = _case(suite, record, f"verdict {record.verdict}, declared {record.expect or 'pass'}", seconds)
    if not as_declared:
        _problem(verdict, record.verdict, words.headline(record), [words.headline(record)])
    for name, found in cases:
        case = _case(suite, record, name, "0")
        bad = [finding for finding in found if finding.outcome != "pass"]
        if bad and not as_declared:
            _problem(case, bad[0].outcome, bad[0].sentence, [finding.sentence for finding in bad])
        else:
            ET.SubElement(case, "system-out").text = "\n".join(words.short(f.sentence, 2000) for f in found)
    suite.set("tests", str(len(cases) + 1))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", "0")
    suite.set("time", seconds)
    if record.started:
        suite.set("timestamp", words.short(record.started, 40))
    root = ET.Element("testsuites")
    root.append(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, record: RunRecord, name: str, seconds: str) -> ET.Element:
    group = words.short(record.file or "chaosnet", 200).removesuffix(".yaml")
    return ET.SubElement(suite, "testcase", {"classname": group, "name": name, "time": seconds})


def _problem(case: ET.Element, outcome: str, message: str, sentences: list[str]) -> None:
    tag = "failure" if outcome == "fail" else "error"
    problem = ET.SubElement(case, tag, {"message": words.short(message, 400), "type": words.short(outcome, 40)})
    problem.text = "\n".join(words.short(sentence, 2000) for sentence in sentences)
