"""What a run shows on a terminal: `status --watch`, and `run`'s own progress bar.

Usage: test_terminal.py EVALSWEEP FAKE_EVALUATOR [unittest options].
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from screen import Terminal

EVALSWEEP, FAKE = (os.path.abspath(path) for path in (sys.argv.pop(1) for _ in range(2)))
MPIRUN = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../tools/mpirun.sh"))
for name in list(os.environ):
    if name == "RUN_ID" or name.startswith("SLURM_"):
        del os.environ[name]
REASON = "out of memory: \x1b[31m日本語\n2 GiB"


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.chdir(self.folder.name)

    def on_terminal(self, command, columns=100, lines=30, **options):
        terminal = Terminal(command, columns, lines, **options)
        self.addCleanup(terminal.close)
        return terminal

    def watch(self, *arguments, columns=100, lines=30, **options):
        return self.on_terminal(
            [EVALSWEEP, "status", "--watch", "--interval=0.1", *arguments],
            columns,
            lines,
            **options,
        )

    def write_job(self, *arguments):
        job = {
            "run": {"root": os.path.join(os.getcwd(), "runs"), "id": "demo"},
            "grid": {
                "checkpoints": ["step0", "step1", "step2"],
                "layers": "1-4",
                "tasks": ["A", "B"],
            },
            "evaluator": {
                "mode": "persistent",
                "retries": 0,
                "command": [FAKE, "--persistent", *arguments],
            },
        }
        with open("job.json", "w") as file:
            json.dump(job, file)


def status(n_checkpoints=154, n_workers=512, n_done=5000, **changes):
    """A status.json as a driver of a big run writes it, on a host whose clock is ahead."""
    checkpoints = []
    for i in range(n_checkpoints):
        done = max(0, min(128, n_done - i * 128))
        checkpoints.append(
            {"checkpoint": f"step{i}000", "done": done, "pending": 128 - done, "failed": 0}
        )
    checkpoints[6].update(done=125, failed=3)
    workers = []
    for i in range(n_workers):
        worker = {"worker": i, "host": f"node{i // 4}", "device": f"cuda:{i % 4}", "out": i == 9}
        if i not in (9, 11):
            worker.update(checkpoint=f"step{i}000", layer=22, task="STS12", running_s=i * 7.5)
        workers.append(worker)
    done = sum(c["done"] for c in checkpoints)
    document = {
        "schema": 1,
        "updated_s": time.time() + 50,
        "alive": True,
        "host": "node7",
        "total": n_checkpoints * 128,
        "done": done,
        "failed": 3,
        "pending": n_checkpoints * 128 - done - 3,
        "excluded": 0,
        "running": n_workers - 2,
        "rate_per_s": 12.3,
        "eta_s": 3723,
        "evaluated": done,
        "skipped": 0,
        "retries": 7,
        "workers": workers,
        "checkpoints": checkpoints,
        "failures": [
            {"reason": REASON, "units": 2, "log": "outputs/step6000/log.txt"},
            {"reason": "unknown", "units": 1, "log": None},
        ],
    }
    document.update(changes)
    return document


def write_status(document):
    os.makedirs("run", exist_ok=True)
    with open("run/.new", "w") as file:
        json.dump(document, file)
    os.rename("run/.new", "run/status.json")


class Watch(Folder):
    def test_all_there_is(self):
        """In a window that has room for it."""
        write_status(status(n_workers=16))
        terminal = self.watch("run", columns=160, lines=60)
        terminal.wait_for_text("node3")
        text = terminal.screen.text()
        whole = "\n".join(text)
        self.assertRegex(text[1], r"^\[#+\.+\] 4997/19712 \(25 %\)$")
        self.assertIn("4997 done, 14712 pending, 3 failed; 7 failed attempts", whole)
        self.assertIn("driver  alive on node7: 14 running, 12.3 units/s, ETA 1:02:03", whole)
        self.assertIn("checkpoints  38 done, 2 begun, 114 to begin; step0000 to step153000", whole)
        strip = text.index("█" * 6 + "▇" + "█" * 32 + "▁" + "·" * 114)
        self.assertEqual(text[strip + 1], " " * 6 + "!")
        self.assertIn("       2  out of memory: ?[31m日本語?2 GiB", whole)
        self.assertIn("          outputs/step6000/log.txt", whole)
        self.assertIn("workers  16: 14 running, 1 out", whole)
        lines = [line for line in text if "node" in line and "cuda" in line]
        self.assertRegex(lines[0], r"^ +9  node2  cuda:1 +OUT$")
        self.assertRegex(lines[1], r"^ +15  node3  cuda:3 +1:5\d  step15000, layer 22, STS12$")
        self.assertRegex(lines[-1], r"^ +11  node2  cuda:3 +waits$")
        self.assertEqual(len(lines), 16)

    def test_any_window(self):
        """No line wraps, nothing scrolls, and what does not fit is counted."""
        write_status(status())
        terminal = self.watch("run", columns=100, lines=30)
        terminal.wait_for_text("lines more)")
        n_scrolled = terminal.screen.n_scrolled
        for columns, lines in ((40, 10), (200, 50), (1, 1), (3, 100), (500, 2), (80, 24)):
            terminal.resize(columns, lines)
            n_output = len(terminal.output)
            terminal.wait_for(lambda screen, n=n_output: terminal.output.count("\x1b[J", n) >= 3)
            screen = terminal.screen
            self.assertEqual((screen.n_wrapped, screen.n_scrolled), (0, n_scrolled))
            text = screen.text()
            if columns > 20:
                self.assertRegex(text[-1], r"^\(\d+ lines more\)$")
                n_more = int(re.search(r"\d+", text[-1])[0])
                self.assertEqual(n_more + len(text) - 1, 527)
            if columns == 80:
                self.assertTrue(any(line.startswith("███▇███") for line in text), text)
        self.assertFalse(terminal.screen.has_cursor)
        self.assertNotIn("\x1b[2J", terminal.output)

    def test_it_follows(self):
        write_status(status(n_workers=2))
        terminal = self.watch("run")
        terminal.wait_for_text("4997/19712")
        write_status(status(n_workers=1, n_done=10000))
        terminal.wait_for_text("/19712 (50 %)")
        self.assertFalse(any("cuda:1" in line for line in terminal.screen.text()))
        write_status(status(updated_s=time.time() - 100))
        terminal.wait_for_text("driver  not running: killed, perhaps (last seen ")
        text = "\n".join(terminal.screen.text())
        self.assertNotIn("units/s", text)
        self.assertNotIn("cuda", text)
        write_status(status(n_workers=1))
        terminal.wait_for_text("driver  alive on node7")
        os.rename("run/status.json", "run/gone")
        os.mkdir("run/status.json")
        terminal.wait_for_text("status.json: ")
        os.rmdir("run/status.json")
        write_status(status(alive=False, ended="the time limit is 60 s away"))
        self.assertEqual(terminal.wait(), 0)
        self.assertIn("ended: the time limit is 60 s away", terminal.screen.text())
        self.assertTrue(terminal.screen.has_cursor and terminal.screen.wraps)

    def test_signals_give_the_terminal_back(self):
        write_status(status())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            terminal = self.watch("run")
            terminal.wait_for_text("lines more)")
            self.assertFalse(terminal.screen.has_cursor)
            terminal.kill(number)
            self.assertEqual(terminal.wait(), -number)
            self.assertTrue(terminal.screen.has_cursor and terminal.screen.wraps)
            self.assertEqual(terminal.screen.column, 0)

    def test_stopped_it_gives_the_terminal_back(self):
        write_status(status())
        terminal = self.watch("run")
        terminal.wait_for_text("lines more)")
        terminal.kill(signal.SIGTSTP)
        os.waitpid(terminal.pid, os.WUNTRACED)
        terminal.wait_for(lambda screen: screen.has_cursor and screen.wraps)
        terminal.kill(signal.SIGCONT)
        terminal.wait_for(lambda screen: not screen.has_cursor)

    def test_colours_only_where_they_are_wanted(self):
        write_status(status(n_workers=4))
        terminal = self.watch("run")
        terminal.wait_for_text("cuda:3")
        self.assertTrue(terminal.screen.colours)
        terminal = self.watch("run", env={"NO_COLOR": "1", "LC_ALL": "C"}, columns=80)
        terminal.wait_for_text("cuda:3")
        self.assertFalse(terminal.screen.colours)
        text = terminal.screen.text()
        strip = text.index("###7" + "#" * 15 + "4" + "." * 57)
        self.assertEqual(text[strip + 1], "   !")

    def test_without_a_terminal(self):
        """A line each time, and a reader that goes away ends it, quietly."""
        write_status(status())
        command = [EVALSWEEP, "status", "--watch", "--interval=0.1", "run"]
        line = (
            r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  4997/19712 done, 3 failed; driver alive on node7: "
            r"510 running, 12.3 units/s, ETA 1:02:03\n$"
        )
        for ignored in (False, True):
            with subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                restore_signals=not ignored,
            ) as process:
                self.assertRegex(process.stdout.readline(), line)
                self.assertRegex(process.stdout.readline(), line)
                process.stdout.close()
                self.assertEqual(process.stderr.read(), "")
                self.assertEqual(process.wait(), 0)
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        dumb = self.watch("run", env={"TERM": "dumb"}, columns=120)
        dumb.wait_for_text("driver alive on node7")
        self.assertNotIn("\x1b", dumb.output)

    def test_a_run_from_its_start_to_its_end(self):
        """Before the first unit, at work, killed, and through; the same on paper."""
        self.write_job("--sleep-ms", "100", "--fail-unit", "step1/2/", "--error")
        terminal = self.watch("job.json", columns=120)
        terminal.wait_for_text("every marker is looked at")
        self.assertIn("driver  none has run here yet", terminal.screen.text())
        run = [EVALSWEEP, "run", "--quiet", "job.json"]
        driver = subprocess.Popen(run, stderr=subprocess.DEVNULL)
        terminal.wait_for_text("driver  alive on ")
        terminal.wait_for_text("workers  1: 1 running, 0 out")
        driver.kill()
        driver.wait()
        terminal.wait_for_text("driver  not running: killed, perhaps")
        self.assertEqual(subprocess.run(run, stderr=subprocess.DEVNULL).returncode, 1)
        self.assertEqual(terminal.wait(), 0)
        text = terminal.screen.text()
        self.assertIn("ended: 2 units failed, the others are done", text)
        self.assertIn("22 done, 0 pending, 2 failed", text)
        self.assertIn("checkpoints  2 done, 1 begun, 0 to begin; step0 to step2", text)
        self.assertIn("█▆█", text)
        paper = subprocess.run(
            [EVALSWEEP, "status", "--watch", "runs/demo"], text=True, capture_output=True
        )
        self.assertEqual((paper.returncode, paper.stderr), (0, ""))
        self.assertRegex(
            paper.stdout,
            r"Z  22/24 done, 2 failed; driver not running \(.*\)\n"
            r"ended: 2 units failed, the others are done\n$",
        )


class Bar(Folder):
    """`run` on a terminal: one line, which is not there any more when something else is."""

    def run_in_windows(self, command, **options):
        """A run whose window changes until it ends; no line wraps."""
        bars = {
            200: r"^\[[#.]{60}\] \d+/24 \(\d+ %\)  .* ETA ",
            50: r"^\[[#.]{8,}\] \d+/24 ",
            30: r"^\d+/24 \(\d+ %\)",
            10: r"^\d+/24 \(\d",
        }
        terminal = self.on_terminal(command, columns=200, lines=60, **options)
        for columns in (200, 50, 30, 10, 200):
            terminal.resize(columns, 60)
            n_output = len(terminal.output)
            bar = re.compile(bars[columns])
            terminal.wait_for(
                lambda screen, n=n_output, bar=bar: (
                    len(terminal.output) > n and any(bar.search(line) for line in screen.text())
                ),
                bar,
            )
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(terminal.screen.n_wrapped, 0)
        self.check(terminal)

    def check(self, terminal):
        text = terminal.screen.text()
        self.assertTrue(any(" of 24 units done" in line for line in text), text)
        self.assertTrue(terminal.output.endswith("\n"))
        for line in text:
            self.assertFalse("ETA" in line or line.startswith("["), text)

    def test_follows_the_window(self):
        self.write_job("--sleep-ms", "150")
        self.run_in_windows([EVALSWEEP, "run", "job.json"])

    def test_follows_the_window_under_mpirun(self):
        versions = subprocess.run([EVALSWEEP, "--version"], text=True, capture_output=True).stdout
        if "Open MPI v4" not in versions:
            self.skipTest("the ranks of later Open MPIs cannot open the terminal: " + versions)
        self.write_job("--sleep-ms", "300")
        self.run_in_windows([MPIRUN, "2", EVALSWEEP, "run", "--progress=bar", "job.json"])

    def test_messages_have_their_lines(self):
        self.write_job("--sleep-ms", "50", "--fail-unit", "/2/", "--error")
        terminal = self.on_terminal([EVALSWEEP, "run", "job.json"], columns=200, lines=100)
        self.assertEqual(terminal.wait(), 1)
        self.check(terminal)
        self.assertEqual(sum("(attempt 1): " in line for line in terminal.screen.text()), 1)
        self.assertIn("\r\x1b[Kevalsweep: ", terminal.output)


if __name__ == "__main__":
    unittest.main()
