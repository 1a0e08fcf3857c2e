"""A program on a terminal of our own: a pseudo-terminal, and what its screen would show.

The screen knows what evalsweep writes and no more; anything else is an error.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

DEADLINE_S = 60
SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Screen:
    """Lines of cells. What must not happen is counted: a line that wraps, a screen that scrolls."""

    def __init__(self, columns, lines):
        self.columns, self.lines = columns, lines
        self.cells = [[" "] * columns for _ in range(lines)]
        self.row = self.column = 0
        self.n_wrapped = self.n_scrolled = 0
        self.has_cursor = self.wraps = True
        self.colours = set()
        self.pending = ""

    def resize(self, columns, lines):
        self.cells = [(row + [" "] * columns)[:columns] for row in self.cells[:lines]]
        self.cells += [[" "] * columns for _ in range(lines - len(self.cells))]
        self.columns, self.lines = columns, lines
        self.row, self.column = min(self.row, lines - 1), min(self.column, columns - 1)

    def text(self):
        return ["".join(row).rstrip() for row in self.cells]

    def feed(self, text):
        text = self.pending + text
        self.pending = ""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = SEQUENCE.match(text, at)
                if not found:
                    assert len(text) - at < 20, f"what is {text[at : at + 20]!r}?"
                    self.pending = text[at:]
                    return
                self._sequence(*found.groups())
                at = found.end()
            else:
                self._character(text[at])
                at += 1

    def _sequence(self, private, numbers, letter):
        if private:
            modes = {
                ("25", "l"): ("has_cursor", False),
                ("25", "h"): ("has_cursor", True),
                ("7", "l"): ("wraps", False),
                ("7", "h"): ("wraps", True),
            }
            setattr(self, *modes[numbers, letter])
        elif letter == "H":
            assert numbers == ""
            self.row = self.column = 0
        elif letter == "K":
            self.cells[self.row][self.column :] = [" "] * (self.columns - self.column)
        elif letter == "J":
            assert numbers == ""
            self._sequence("", "", "K")
            for row in range(self.row + 1, self.lines):
                self.cells[row] = [" "] * self.columns
        elif letter == "m":
            self.colours.add(numbers)
        else:
            raise AssertionError(f"unknown sequence {numbers}{letter}")

    def _character(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            if self.row == self.lines - 1:
                self.cells = [*self.cells[1:], [" "] * self.columns]
                self.n_scrolled += 1
            else:
                self.row += 1
        else:
            assert character >= " ", repr(character)
            if self.column == self.columns:  # the last column was filled: it is full now
                self.n_wrapped += 1
                self.column = 0
                self._character("\n")
            self.cells[self.row][self.column] = character
            self.column += 1


class Terminal:
    """A command on a pseudo-terminal: of all three descriptors, or of stderr alone."""

    def __init__(self, command, columns, lines, env=None, only_stderr=False):
        self.screen = Screen(columns, lines)
        self.master, slave = pty.openpty()
        self._set_size(columns, lines)
        environment = {
            k: v
            for k, v in os.environ.items()
            if k not in ("COLUMNS", "LINES", "NO_COLOR", "LC_ALL", "LC_CTYPE")
        }
        environment.update({"TERM": "xterm-256color", "LANG": "C.UTF-8"}, **(env or {}))
        self.status = None
        self.output = ""
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in (2,) if only_stderr else (0, 1, 2):
                os.dup2(slave, fd)
            os.closerange(3, 100)
            os.execvpe(command[0], command, environment)
        os.close(slave)

    def _set_size(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        self.read(0)
        self.screen.resize(columns, lines)
        self._set_size(columns, lines)  # sends SIGWINCH

    def read(self, timeout_s):
        """Takes in what there is; False at the end."""
        while select.select([self.master], [], [], timeout_s)[0]:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                return False
            if not part:
                return False
            text = part.decode()
            self.output += text
            self.screen.feed(text)
            timeout_s = 0
        return True

    def wait_for(self, condition, what=""):
        """Of a frame, all has come when it has cleared what is below it."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not condition(self.screen) or ("\x1b[H" in self.output.rpartition("\x1b[J")[2]):
            if not self.read(0.05) or time.monotonic() > deadline_s:
                raise AssertionError(f"{what} did not come:\n" + "\n".join(self.screen.text()))

    def wait_for_text(self, text):
        self.wait_for(lambda screen: any(text in line for line in screen.text()), text)

    def kill(self, number=signal.SIGTERM):
        os.kill(self.pid, number)

    def wait(self):
        """The exit code, or minus the signal, once all output is taken in."""
        deadline_s = time.monotonic() + DEADLINE_S
        while self.read(0.05):
            if time.monotonic() > deadline_s:
                raise AssertionError("it does not end:\n" + "\n".join(self.screen.text()))
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)
