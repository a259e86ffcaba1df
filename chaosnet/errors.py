"""Every error chaosnet raises on purpose, in one tree; each says who must act.

::

    ChaosnetError            something chaosnet can name went wrong                 exit
      InputError             the author of a file or a command line must mend it      2
      Unsupported            this target or kernel cannot do it: choose another       2
      Refused                a safeguard said no; nothing was touched                 2
      NoSession              an activity ran without the chaosnet control             2
      TargetError            the kernel, a daemon or an API said no                   5
        TargetGone           the lab has ended: nothing of ours can be left in it     5
      NotProven              injected, but its effect was not seen in time            3
      BaselineNotMet         the network was not healthy before; nothing was injected 3
      ResidueLeft            something of ours is still there after undo              4

A message is one sentence that names the place, the value and what to do.  Errors cross layers unchanged;
only the command line turns them into an exit status.  This module does not format, log or print.
"""


class ChaosnetError(Exception):
    """Anything chaosnet can name; ``exit`` is the status the command line ends with."""

    exit = 5


class InputError(ChaosnetError):
    """A file, an argument or a value is wrong.

    ``place`` is where (a file and field, or an option), ``problem`` what is wrong with which value, and
    ``remedy`` what to do; the message joins them into one sentence.
    """

    exit = 2

    def __init__(self, place: str, problem: str, remedy: str = "") -> None:
        self.place, self.problem, self.remedy = place, problem, remedy
        # A value may be a whole file: its two ends say enough.
        shown = problem if len(problem) <= 400 else f"{problem[:250]} ... {problem[-100:]}"
        text = f"{place}: {shown}" if place else shown
        super().__init__(" ".join(f"{text}; {remedy}".split()) if remedy else " ".join(text.split()))


class Unsupported(ChaosnetError):
    """The target, or the kernel under it, cannot make this change or answer this question."""

    exit = 2


class Refused(ChaosnetError):
    """A safeguard refused before anything was touched."""

    exit = 2


class NoSession(ChaosnetError):
    """A chaosnet activity ran in an experiment whose ``controls`` do not list ``chaosnet.control``."""

    exit = 2


class TargetError(ChaosnetError):
    """The kernel, a daemon or an API refused what was asked of it."""

    exit = 5


class TargetGone(TargetError):
    """The target that a ticket names is there no more; a lab takes everything in it along when it ends."""


class NotProven(ChaosnetError):
    """The fault was put in place, but the effect it must have was not measured by its deadline."""

    exit = 3


class BaselineNotMet(ChaosnetError):
    """The network was not in its steady state before the fault, so nothing was injected."""

    exit = 3


class ResidueLeft(ChaosnetError):
    """After undo something of ours is still there; the message names it and the command that removes it."""

    exit = 4
