"""The frame that every command hangs in: names, help, and what becomes of an error.

A command's module is imported when it is called, not before, so that ``chaosnet --help`` stays quick.  Here alone errors turn
into an exit status: one sentence on standard error, never a traceback.  What a command does is in the file of its name.
"""

import errno
import importlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from chaosnet import __version__
from chaosnet.errors import ChaosnetError
from chaosnet.model.verdict import EXIT_INTERNAL, EXIT_USAGE

# Name → module under chaosnet.cli and one line of help, here so that help and completion import no command.
SECTIONS: dict[str, dict[str, str]] = {
    "Break the network and get it back": {
        "run": "Run experiments: inject, prove, undo, judge, report.",
        "plan": "What an experiment would change; touches nothing.",
        "validate": "Find mistakes in experiment and topology files.",
        "status": "Runs, open faults and labs on this machine.",
        "halt": "Stop runs now: undo first, then end them.",
        "undo": "Take faults back, from the ledger.",
        "panic": "Remove everything of ours, everywhere, without the ledger.",
        "report": "Write or read the report of a run.",
    },
    "A lab to look around in": {
        "lab": "Bring a lab up, look into it, take it down.",
    },
    "Learn": {
        "faults": "The faults, with their arguments and examples.",
        "probes": "The probes, with their arguments and examples.",
        "doctor": "What this machine can run, what not, and the mend.",
        "completion": "Tab completion for bash, zsh and fish.",
    },
}
# Errors that say something of a place the user named, by an option or the environment, and nothing of us.
_PLACES = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT,
    errno.ELOOP, errno.ENAMETOOLONG,
}  # fmt: skip
COMMANDS = {name: text for section in SECTIONS.values() for name, text in section.items()}

HELP = """Break your own network on purpose: proof that it broke, who noticed, and everything back as it was.

\b
First steps:
  chaosnet doctor                                               what this machine can run
  chaosnet plan experiments/incidents/mtu-black-hole.yaml       what would happen
  chaosnet run experiments/incidents/mtu-black-hole.yaml        make it happen, in the embedded lab
  chaosnet faults                                               what else can be broken

\b
Exit status: 0 pass · 1 fail · 2 bad input or refused, nothing touched · 3 inconclusive · 4 residue · 5 internal error
"""


class LazyGroup(click.Group):
    """A group whose commands are files beside this one; each holds a click command called ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the sections."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module now."""
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(f"chaosnet.cli.{cmd_name}").command
        assert isinstance(found, click.Command)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name in the sentence."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command {args[0]!r}; {_nearest(args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section."""
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(entries.items()), col_max=12)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names that begin so."""
        return [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]


def _nearest(word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, list(COMMANDS), 1)
    return f"did you mean {near[0]!r}?" if near else "see chaosnet --help"


@click.command(cls=LazyGroup, help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="%(prog)s %(version)s")
def chaosnet() -> None:
    """The group itself; its help is HELP."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; every error ends here as one sentence."""
    try:
        # click completes by itself only in standalone mode, where it would also print errors in its own words.
        if instruction := os.environ.get("_CHAOSNET_COMPLETE"):
            from click.shell_completion import shell_complete

            return shell_complete(chaosnet, {}, "chaosnet", "_CHAOSNET_COMPLETE", instruction)
        status = chaosnet.main(arguments, prog_name="chaosnet", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except ChaosnetError as error:
        return _say(str(error), error.exit)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_USAGE
    except click.ClickException as error:
        return _say(_usage(error), EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted", 130)
    except BrokenPipeError:
        # Whoever read us has gone (chaosnet faults | head): what Python flushes at exit must not complain.
        for descriptor in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        return 0
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # what write(2) says has no name of a file
            return _say(f"{error.strerror}; make room, or name another folder by --out or XDG_STATE_HOME", EXIT_INTERNAL)
        if error.filename is None or error.errno not in _PLACES:
            return _say(_crash(error), EXIT_INTERNAL)
        return _say(f"{error.filename}: {error.strerror}; choose another place, or make room or permit it there", EXIT_USAGE)
    except Exception as error:  # noqa: BLE001  the last line of defence: nobody sees a traceback
        return _say(_crash(error), EXIT_INTERNAL)


def printable(sentence: str) -> str:
    """In one line, and nothing that a terminal would act on: names from files end up in sentences."""
    return "".join(char if char.isprintable() else "�" for char in " ".join(sentence.split()))


def _say(sentence: str, status: int) -> int:
    try:
        click.echo(f"chaosnet: {printable(sentence)}", err=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return status


def _usage(error: click.ClickException) -> str:
    sentence = error.format_message().rstrip(".")
    sentence = sentence[:1].lower() + sentence[1:]
    context = getattr(error, "ctx", None)
    if context is None or "see chaosnet" in sentence:
        return sentence
    return f"{sentence} (see {context.command_path} --help)"


def _crash(error: Exception) -> str:
    """Write the traceback to a file; the sentence that names it."""
    summary = f"internal error, {type(error).__name__}: {error}"[:500]
    state = Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")) / "chaosnet"
    name = f"crash-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    for folder in (state, Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.writelines(traceback.format_exception(error))
        except OSError:
            continue
        return f"{summary}; what is known about it is in {path}"
    return f"{summary}; no file could be written to say more"
