"""A reading session in a real window, by keys and a few drags, with pictures to look at.

    python3 tests/window/session.py target/release/dens OUT [--size 1500x950]

What it needs stands in display.py. It opens a synthetic neck, looks at three planes, measures, takes the line back and puts it
there again, goes from the peak to its evidence; then it opens five necks as a worklist and reads them blind-first with the
keyboard alone, and exports the table. After each step a picture is left in OUT, and what the program keeps on disk is compared
with what was done. Ends with status 1 at the first difference.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from display import Window

# Verdict, level and note of each study, and the opinion once its result is shown.
READ = [
    ("y", "finding", "5", "C5", "body", "y", "agree"),
    ("j", "no finding above my threshold", None, "", "", "u", "unsure"),
    ("u", "unsure", "2", "C2", "", "j", "disagree"),
    ("j", "no finding above my threshold", None, "", "", "y", "agree"),
    ("y", "finding", "7", "C7", "process", "j", "disagree"),
]


class Session:
    def __init__(self, program, home, out, size):
        self.program, self.homes, self.out = program, home, out
        self.window = Window(size)
        self.width, self.height = map(int, size.split("x"))
        self.shots, self.child = 0, None

    def live_in(self, name, **settings):
        """A reader's own folder, with settings as he left them."""
        self.home = self.homes / name
        self.env = {**self.window.env, "DENS_MODEL": "nano"}
        self.env |= {f"XDG_{kind.upper()}_HOME": str(self.home / kind) for kind in ("config", "data", "cache")}
        file = self.home / "config" / "dens" / "settings.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"acknowledged": True, "reader": "R1", **settings}))

    def open(self, *arguments):
        command = [self.program, *map(str, arguments)]
        self.child = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.until("the window", lambda: self.window.found(self.child.pid))
        time.sleep(2.0)

    def quit(self):
        self.window.act("key", "alt+F4")
        try:
            status = self.child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.fail("the window does not close")
        if status != 0:
            self.fail(f"the program ended with status {status}")

    def settle(self, seconds=60):
        """Until the picture stands still: a busy machine may draw late what was pressed long ago."""
        before, deadline = None, time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(1.0)
            now = self.window.pixels()
            if now == before:
                return
            before = now

    def shot(self, name):
        self.settle()
        self.shots += 1
        self.window.picture(self.out / f"{self.shots:02d}-{name}.png")
        print(f"{self.shots:02d} {name}", flush=True)

    def until(self, what, there, seconds=180):
        deadline = time.monotonic() + seconds
        while not there():
            if self.child.poll() is not None:
                self.fail(f"the program ended while waiting for {what}")
            if time.monotonic() > deadline:
                self.fail(f"{what}: not there after {seconds} s")
            time.sleep(0.1)

    def fail(self, why):
        self.window.picture(self.out / "failed.png")
        sys.exit(f"{why} (failed.png)")

    def kept(self, pattern):
        return [json.loads(path.read_text()) for path in sorted(self.home.rglob(pattern))]

    def measurements(self):
        return sum(len(one["measurements"]) for one in self.kept("measurements/*.json"))

    def results(self):
        return len(list(self.home.rglob("results/*")))


def look_and_measure(session, study):
    window = session.window
    session.live_in("look")
    session.open(study)
    session.until("the scores", lambda: session.results() == 1)
    session.shot("opened")
    window.keys("m")
    session.shot("planes")
    # On the axial pane, which is the largest or the left one.
    x, y = session.width * 3 // 10, session.height * 4 // 10
    window.keys("d")
    session.settle()
    window.drag((x, y), (x + 70, y + 40))
    session.until("the line on disk", lambda: session.measurements() == 1, 60)
    session.shot("measured")
    window.keys("ctrl+z")
    session.until("the line taken back on disk", lambda: session.measurements() == 0, 60)
    session.shot("undone")
    window.keys("ctrl+shift+z")
    session.until("the line again on disk", lambda: session.measurements() == 1, 60)
    window.keys("e")
    session.shot("evidence")
    session.quit()


def read_blind(session, studies):
    window = session.window
    table = session.out / "worklist.csv"
    table.unlink(missing_ok=True)
    # Switched on only now, results that stand in the list already would count as seen.
    session.live_in("blind", blind_first=True)
    session.open(studies)
    session.until("the queue", lambda: session.results() == len(READ), 600)
    session.shot("list-blind")
    window.keys("Home", "Return")
    session.settle()
    for number, (verdict, _, level, _, note, opinion, _) in enumerate(READ):
        if number == 0:
            session.shot("study-blind")
        window.keys(verdict, *([f"alt+{level}"] if level else []))
        if note:
            window.keys("shift+y")
            window.act("type", "--delay", 40, note)
            window.keys("Return")
        if number == 0:
            session.shot("verdict")
        window.keys("Return")
        session.settle()
        if number == 0:
            session.shot("revealed")
        window.keys(opinion)
        if number + 1 < len(READ):
            window.keys("ctrl+Down")
            session.settle()
    window.keys("F8")
    session.shot("list-read")
    window.keys("ctrl+shift+e")
    session.settle()
    window.keys("ctrl+a")
    window.act("type", "--delay", 15, table)
    session.shot("export")
    window.keys("Return")
    session.until("the table", table.exists, 20)
    session.quit()
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    if len(rows) != len(READ):
        sys.exit(f"the table has {len(rows)} rows")
    rows.sort(key=lambda row: int(row["order"] or 99))
    for number, (row, (_, verdict, _, level, note, _, opinion)) in enumerate(zip(rows, READ), 1):
        wanted = {"order": str(number), "reader": "R1", "blind": "yes", "own_verdict": verdict, "own_level": level,
                  "own_note": note, "opinion": opinion, "results": "shown"}
        if found := {name: row[name] for name in wanted if row[name] != wanted[name]}:
            sys.exit(f"study {number}: {found} instead of {wanted}")
        if not 0 < float(row["seconds_to_verdict"]) <= float(row["seconds_on_screen"]):
            sys.exit(f"study {number}: {row['seconds_to_verdict']} s to the verdict, {row['seconds_on_screen']} s on the screen")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="1500x950")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        studies = Path(folder) / "studies"
        command = [arguments.program, "phantom", "--out", studies, "--cases", len(READ), "--seed", 40, "--spacing", 2,
                   "--positive-fraction", 0.6]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        images = studies / "train_images"
        session = Session(arguments.program, Path(folder) / "home", arguments.out.resolve(), arguments.size)
        try:
            look_and_measure(session, sorted(images.iterdir())[0])
            read_blind(session, images)
        finally:
            if session.child and session.child.poll() is None:
                session.child.kill()
            session.window.close()
    print(f"{session.shots} pictures in {arguments.out}; what is kept is what was done")


main()
