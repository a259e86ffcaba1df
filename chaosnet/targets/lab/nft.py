"""nftables in this process, through libnftables: transactions in well under a millisecond.

A context keeps the namespace it was made in; it is nevertheless only used inside that namespace, because the library
opens its socket again after an interrupted dump.  What the text says is the caller's business: addresses, numbers and
names we generate, never what a user wrote.
"""

import ctypes
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from chaosnet.errors import TargetError

# <nftables/libnftables.h>
_OUTPUT_HANDLE, _OUTPUT_JSON, _OUTPUT_NUMERIC = 1 << 3, 1 << 4, (1 << 6) | (1 << 7) | (1 << 8) | (1 << 9)


@cache
def library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        raise TargetError("libnftables is not installed; run: apt-get install nftables") from None
    library.nft_ctx_new.argtypes, library.nft_ctx_new.restype = (ctypes.c_uint32,), ctypes.c_void_p
    for function in (library.nft_ctx_buffer_output, library.nft_ctx_buffer_error):
        function.argtypes, function.restype = (ctypes.c_void_p,), ctypes.c_int
    for function in (library.nft_ctx_get_output_buffer, library.nft_ctx_get_error_buffer):
        function.argtypes, function.restype = (ctypes.c_void_p,), ctypes.c_char_p
    library.nft_ctx_output_set_flags.argtypes = (ctypes.c_void_p, ctypes.c_uint)
    library.nft_ctx_output_set_flags.restype = None
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    library.nft_run_cmd_from_buffer.restype = ctypes.c_int
    library.nft_ctx_free.argtypes, library.nft_ctx_free.restype = (ctypes.c_void_p,), None
    return library


class Nft:
    """The nftables of one network namespace; ``enter`` gives the context manager that is inside it."""

    def __init__(self, enter: Callable[[], AbstractContextManager[None]]) -> None:
        self._enter = enter
        self._library = library()
        with enter():
            self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise TargetError("libnftables makes no context: is the kernel built with nf_tables?")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, text: str) -> None:
        """Apply ``text`` as one transaction: all of it or, with TargetError and nft's first line, nothing."""
        self._run(text, 0)

    def list(self, text: str) -> dict[str, Any]:
        """What a ``list ...`` command shows, as nft's JSON schema has it (libnftables-json(5)); handles included."""
        output = self._run(text, _OUTPUT_JSON | _OUTPUT_HANDLE)
        found: dict[str, Any] = json.loads(output) if output.strip() else {"nftables": []}
        return found

    def show(self, text: str) -> str:
        """What a ``list ...`` command shows, as text with numbers instead of names."""
        return self._run(text, _OUTPUT_NUMERIC)

    def tables(self) -> tuple[tuple[str, str], ...]:
        """Family and name of every table."""
        entries = self.list("list tables")["nftables"]
        return tuple((entry["table"]["family"], entry["table"]["name"]) for entry in entries if "table" in entry)

    def _run(self, text: str, flags: int) -> str:
        if not self._context:
            raise TargetError("this namespace is gone")
        library = self._library
        library.nft_ctx_output_set_flags(self._context, flags)
        with self._enter():
            status = library.nft_run_cmd_from_buffer(self._context, text.encode())
        output: str = (library.nft_ctx_get_output_buffer(self._context) or b"").decode(errors="replace")
        # Reading a buffer also empties it: both are read after every run.
        said = (library.nft_ctx_get_error_buffer(self._context) or b"").decode(errors="replace").splitlines()
        if status != 0:
            raise TargetError(f"nftables refused: {said[0] if said else 'no reason given'}")
        return output

    def close(self) -> None:
        """Free the context."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None
