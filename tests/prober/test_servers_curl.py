"""The servers, spoken to by programs that are not ours: curl, and plain sockets."""

import asyncio
import socket

import pytest

from chaosnet.errors import ChaosnetError
from chaosnet.targets.lab.servers import Serving

pytestmark = pytest.mark.lab
WEB, CLIENT = "prod/prod-ns/web", "test/shop/client"
URL = "http://10.1.1.5:8080"


@pytest.fixture
def curl(live):
    """Run curl in the client pod: exit status and output."""

    def run(*arguments):
        async def scenario(world):
            return await world.start(CLIENT, "curl", "-sS", "-m", "5", *arguments)

        return live(scenario)

    return run


def test_get(curl):
    assert curl(URL + "/") == (0, "prod/prod-ns/web answers; 0 bytes received\n")


def test_keep_alive_and_head(curl):
    status, out = curl("-I", URL + "/", URL + "/x?bytes=70")
    assert status == 0
    assert out.count("200 OK") == 2
    assert "Content-Length: 70" in out


def test_answer_of_so_many_bytes(curl):
    status, out = curl("-o", "/dev/null", "-w", "%{http_code} %{size_download}", URL + "/?bytes=3000000")
    assert (status, out) == (0, "200 3000000")


def test_post_counts_what_came(curl, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(b"x" * 2_500_000)  # above the size at which curl expects 100-continue first
    assert curl("--data-binary", f"@{big}", URL) == (0, f"{WEB} answers; 2500000 bytes received\n")
    assert curl("-d", "a=b", URL) == (0, f"{WEB} answers; 3 bytes received\n")


def test_who_asks_first_is_told_to_go_on(live):
    async def scenario(world):
        loop = asyncio.get_running_loop()
        with world.spaces.inside(CLIENT):
            sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, ("10.1.1.5", 8080))
        await loop.sock_sendall(sock, b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        async with asyncio.timeout(2):
            first = await loop.sock_recv(sock, 1000)
            await loop.sock_sendall(sock, b"abc")
            second = await loop.sock_recv(sock, 1000)
        sock.close()
        return first, second

    first, second = live(scenario)
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert second.startswith(b"HTTP/1.1 200 OK")


def test_what_we_do_not_speak_is_said_so(curl, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"x" * 10)
    status, out = curl("-o", "/dev/null", "-w", "%{http_code}", "-H", "Transfer-Encoding: chunked", "-T", str(body), URL)
    assert (status, out) == (0, "411")


def test_many_requests_on_one_connection_and_pipelined(live):
    async def scenario(world):
        with world.spaces.inside(CLIENT):
            sock = socket.socket()
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("10.1.1.5", 8080))
        one = b"GET /?bytes=9000 HTTP/1.1\r\nHost: x\r\n\r\n"
        two = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd"
        last = b"GET /?bytes=10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        whole = one + two + one + last
        for at in range(0, len(whole), 7):  # in crumbs
            await loop.sock_sendall(sock, whole[at : at + 7])
        seen = b""
        while data := await loop.sock_recv(sock, 65536):
            seen += data
        sock.close()
        return seen

    seen = live(scenario)
    assert seen.count(b"HTTP/1.1 200 OK") == 4
    lengths = [9000, len(b"prod/prod-ns/web answers; 4 bytes received\n"), 9000, 10]
    for length in lengths:
        head, _, seen = seen.partition(b"\r\n\r\n")
        assert f"Content-Length: {length}".encode() in head
        seen = seen[length:]
    assert seen == b""


def test_a_tcp_port_echoes_what_is_not_our_line(live):
    async def scenario(world):
        with world.spaces.inside(CLIENT):
            sock = socket.socket()
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("10.1.1.5", 9000))
        sent = b"CHAOS reigns\n" + bytes(range(256)) * 8000
        await loop.sock_sendall(sock, b"CHAO")
        await asyncio.sleep(0.05)

        async def pour():
            await loop.sock_sendall(sock, sent[4:])
            sock.shutdown(socket.SHUT_WR)

        pouring = asyncio.create_task(pour())
        seen = b""
        while data := await loop.sock_recv(sock, 1 << 20):
            seen += data
        await pouring
        sock.close()
        return len(seen), seen == sent

    assert live(scenario) == (2_048_013, True)


def test_a_pod_that_is_not_ready_refuses_and_drops_its_connections(live):
    async def scenario(world):
        loop = asyncio.get_running_loop()
        with world.spaces.inside(CLIENT):
            sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, ("10.1.1.5", 9000))
        await loop.sock_sendall(sock, b"hello")
        first = await loop.sock_recv(sock, 100)
        before = world.servers.serving(WEB)
        world.servers.serve(WEB, (Serving(8080, "http"),))
        part = await world.reach(world.edge("tcp", 9000), world.edge("http", 8080))
        world.servers.serve(WEB, ())
        none = await world.reach(world.edge("tcp", 9000), world.edge("http", 8080))
        ended = await asyncio.wait_for(loop.sock_recv(sock, 100), 1)
        sock.close()
        world.servers.serve(WEB, before)
        again = await world.reach(world.edge("tcp", 9000), world.edge("http", 8080))
        return first, [[one.state.value for one in seen] for seen in (part, none, again)], ended

    assert live(scenario) == (b"hello", [["refused", "open"], ["refused", "refused"], ["open", "open"]], b"")


def test_a_port_in_use_is_said_by_name(live):
    async def scenario(world):
        with world.spaces.inside(WEB):
            other = socket.create_server(("0.0.0.0", 7000))
        with other, pytest.raises(ChaosnetError, match="prod/prod-ns/web cannot serve tcp port 7000: Address already in use"):
            world.servers.serve(WEB, (Serving(7000, "tcp"),))

    live(scenario)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\0\1\2\3" * 3000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999\r\n\r\n", b"A" * 40000, b"CHAOSNET a b c\n",
        b"CHAOSNET " + b"9" * 200, b"GET /?bytes=zzz HTTP/1.1\r\nConnection: close\r\n\r\n",
    ],
)  # fmt: skip
def test_rubbish_is_answered_or_closed_and_harms_nobody(live, rubbish):
    async def scenario(world):
        loop = asyncio.get_running_loop()
        with world.spaces.inside(CLIENT):
            sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, ("10.1.1.5", 8080))
        await loop.sock_sendall(sock, rubbish)
        sock.shutdown(socket.SHUT_WR)
        try:
            async with asyncio.timeout(2):
                while await loop.sock_recv(sock, 65536):
                    pass
        except ConnectionError:
            pass
        sock.close()
        return [one.state.value for one in await world.reach(world.edge("http", 8080))]

    assert live(scenario) == ["open"]
