"""BIRD on every node and router: its file, its process, and what it says over its own socket.

A round of questions to every speaker a few times a second keeps :attr:`Routing.sessions` fresh, so that whoever needs the state
of a session has it without waiting.  Which routes there should be is :mod:`chaosnet.lab.bird`; stopping and starting as a
fault is :mod:`chaosnet.targets.lab.daemons`.
"""

import asyncio
import os
import re
import signal
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from time import time

from chaosnet.errors import TargetError
from chaosnet.lab import bird
from chaosnet.lab.topology import Topology
from chaosnet.model.question import BgpSession
from chaosnet.targets.lab import netlink
from chaosnet.targets.lab.namespaces import Namespaces
from chaosnet.targets.lab.processes import Processes, program

_HOME = Path("/run/chaosnet/bird")
_PERIOD = 0.25
# BIRD's replies: four digits, then a space at the end of an answer or a hyphen before more (birdc's own protocol).
_CODE = re.compile(r"(\d{4})([ -])(.*)")
_ERROR_CODES = ("8", "9")


class Routing:
    """The BGP speakers of a lab.  ``sessions`` is speaker → its sessions as last seen (none while it does not run)."""

    def __init__(self, topology: Topology, namespaces: Namespaces, processes: Processes) -> None:
        self._topology = topology
        self._namespaces = namespaces
        self._processes = processes
        self._running: dict[str, int] = {}
        self._services: dict[str, tuple[str, ...]] = {}
        self._peers = {speaker: bird.peers(topology, speaker) for speaker in bird.speakers(topology)}
        self.sessions: dict[str, tuple[BgpSession, ...]] = dict.fromkeys(self._peers, ())

    @property
    def speakers(self) -> tuple[str, ...]:
        """Every speaker's namespace."""
        return tuple(self._peers)

    def running(self, speaker: str) -> bool:
        """Whether the speaker's BIRD runs."""
        return speaker in self._running

    def start(self, speaker: str) -> None:
        """Start the speaker's BIRD; nothing happens where it runs."""
        if speaker in self._running:
            return
        path = self._write(speaker)
        _HOME.mkdir(parents=True, exist_ok=True)
        argv = [program("bird"), "-f", "-c", str(path), "-s", str(self._socket(speaker)), "-P", str(path.with_suffix(".pid"))]
        child = self._processes.start(speaker, argv, lambda status: self._over(speaker, child), str(path.with_suffix(".log")))
        self._running[speaker] = child

    def stop(self, speaker: str, *, crash: bool = False) -> None:
        """Stop the speaker's BIRD: with a goodbye to its peers and its routes withdrawn, or (``crash``) without either."""
        child = self._running.pop(speaker, None)
        self.sessions[speaker] = ()
        if child is not None:
            self._processes.kill(child, signal.SIGKILL if crash else signal.SIGTERM)

    def announce(self, services: Mapping[str, tuple[str, ...]]) -> None:
        """Announce these ClusterIPs (speaker → addresses), and no others; only speakers for whom that is news hear of it."""
        for speaker in self._peers:
            addresses = services.get(speaker, ())
            if self._services.get(speaker, ()) != addresses:
                self._services[speaker] = addresses
                if speaker in self._running:
                    self._write(speaker)
                    self._processes.kill(self._running[speaker], signal.SIGHUP)  # bird(8): reconfigure

    def _over(self, speaker: str, child: int) -> None:
        if self._running.get(speaker) == child:
            del self._running[speaker]
            self.sessions[speaker] = ()

    def _file(self, speaker: str) -> Path:
        return _HOME / f"{speaker.replace('/', '.')}.conf"

    def _socket(self, speaker: str) -> Path:
        return self._file(speaker).with_suffix(".ctl")

    def _write(self, speaker: str) -> Path:
        path = self._file(speaker)
        _HOME.mkdir(parents=True, exist_ok=True)
        path.write_text(bird.render(self._topology, speaker, self._services.get(speaker, ())))
        return path

    async def say(self, speaker: str, command: str) -> str:
        """BIRD's answer to a command, without its codes.

        Raises TargetError where BIRD does not run, does not answer within 2 s, or answers with an error.
        """
        try:
            async with asyncio.timeout(2.0):
                reader, writer = await asyncio.open_unix_connection(str(self._socket(speaker)))
                try:
                    await _answer(reader)
                    writer.write(command.encode("ascii") + b"\n")
                    return await _answer(reader)
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            raise TargetError(f"BIRD at {speaker} does not answer") from None

    async def look(self, speaker: str) -> tuple[BgpSession, ...]:
        """The speaker's sessions now; none where BIRD does not run."""
        if speaker not in self._running:
            return ()
        try:
            text = await self.say(speaker, "show protocols all")
        except TargetError:
            return () if speaker not in self._running else self.sessions[speaker]
        return tuple(_read(text, speaker, self._topology, self._peers[speaker]))

    async def refresh(self) -> None:
        """Look at every speaker now."""
        seen = await asyncio.gather(*(self.look(speaker) for speaker in self._peers))
        for speaker, sessions in zip(self._peers, seen, strict=True):
            if speaker in self._running:
                self.sessions[speaker] = sessions

    async def keep_fresh(self) -> None:
        """Look at every speaker again and again, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(_PERIOD)

    def unsettled(self) -> str:
        """What is not yet as it must be, in words, or empty: every session Established, every expected route in place."""
        for speaker, peers in self._peers.items():
            if speaker not in self._running:
                return f"BIRD at {speaker} does not run{self._last_words(speaker)}"
            up = {session.neighbor for session in self.sessions[speaker] if session.established}
            for peer in peers:
                if peer.name not in up:
                    return f"the BGP session of {speaker} with {peer.name} is not Established"
        for speaker, wanted in bird.expected(self._topology, self._services).items():
            there = {
                route.destination: frozenset(via for via, _ in route.hops)
                for route in self._namespaces.netlink(speaker).routes()
                if route.protocol == netlink.PROTOCOL_BIRD
            }
            for prefix in sorted(wanted.keys() | there.keys()):
                if prefix not in there:
                    return f"{speaker} has not learned {prefix}"
                if prefix not in wanted:
                    return f"{speaker} still has a route to {prefix}"
                if wanted[prefix] != there[prefix]:
                    ways = " and ".join(sorted(there[prefix])), " and ".join(sorted(wanted[prefix]))
                    return f"{speaker} reaches {prefix} by {ways[0]} and not yet by {ways[1]}"
        return ""

    def _last_words(self, speaker: str) -> str:
        try:
            lines = self._file(speaker).with_suffix(".log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return f" ({lines[-1]})" if lines else ""

    def forget(self) -> None:
        """Remove what BIRDs left behind."""
        for path in _HOME.glob("*"):
            os.unlink(path)


async def _answer(reader: asyncio.StreamReader) -> str:
    lines = []
    while True:
        line = (await reader.readuntil(b"\n")).decode(errors="replace").rstrip("\n")
        match = _CODE.match(line)
        lines.append(match.group(3) if match else line[1:])
        if match and match.group(2) == " ":
            if match.group(1)[0] in _ERROR_CODES:
                raise TargetError(f"BIRD refused: {match.group(3)}")
            return "\n".join(lines)


def _read(text: str, speaker: str, topology: Topology, peers: tuple[bird.Peer, ...]) -> list[BgpSession]:
    """BIRD's ``show protocols all`` as sessions."""
    blocks: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line and not line[0].isspace():
            current = blocks.setdefault(line.split()[0], [line])
        else:
            current.append(line.strip())
    found = []
    for peer in peers:
        lines = blocks.get(bird.session_name(peer.name))
        if lines is None:
            continue
        words = lines[0].split()
        values = dict(line.split(":", 1) for line in lines[1:] if ":" in line)
        imported = re.search(r"(\d+) imported", values.get("Routes", ""))
        found.append(
            BgpSession(
                speaker=speaker,
                neighbor=peer.name,
                address=peer.address,
                state=values.get("BGP state", "Idle").strip(),
                since=_since(" ".join(words[4:6])),
                imported=int(imported.group(1)) if imported else 0,
                hold_time=_seconds(values.get("Hold timer"), topology.bgp.hold),
                keepalive=_seconds(values.get("Keepalive timer"), topology.bgp.keepalive),
                last_error=values.get("Last error", "").strip(),
            )
        )
    return found


def _since(text: str) -> float:
    try:
        return max(0.0, time() - datetime.fromisoformat(text).timestamp())
    except ValueError:
        return 0.0


def _seconds(text: str | None, configured: int) -> float:
    """The timer as negotiated (``7.4/9``: left of the slash what remains), else as configured."""
    match = re.search(r"/(\d+)", text or "")
    return float(match.group(1)) if match else float(configured)
