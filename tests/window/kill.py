"""Kills the program at random points while it is being used, and looks at what it had saved.

    python3 tests/window/kill.py target/release/dens [--rounds 20] [--seed 1]

Needs Xvfb, xdotool, a window manager (openbox) and a Vulkan driver (Mesa's lavapipe will do). Each round opens the same
synthetic study in a real window, draws lines, gives verdicts and changes settings, waits for each line and verdict to stand in
its file, and ends by SIGKILL at a moment drawn by chance. What must hold: a line or verdict stands in its file within two
seconds, whatever stood there stands there after the kill, every file is whole, and the next round begins with all of it.
Prints a line for each round; ends with status 1 at the first loss.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from display import Window

SAVED_AFTER_S = 2.0
# Of the picture in a window of 1280 x 720, clear of panels.
LEFT, TOP, RIGHT, BOTTOM = 330, 150, 760, 560
# Text on the image, style of the heatmap: keys whose effect the settings file holds.
SETTINGS_KEYS = ["o", "g"]


VERDICTS = [("y", "agree"), ("u", "unsure"), ("j", "disagree")]


def files_of(home):
    return sorted(p for p in home.rglob("*.json") if p.is_file())


def lines_in(home):
    """Ids of all measurements that are kept."""
    found = []
    for path in home.rglob("measure*/*.json"):
        found += [entry.get("id", index) for index, entry in enumerate(json.loads(path.read_text())["measurements"])]
    return found


def verdict_in(home):
    """The opinion that is kept of the study, where there is one."""
    said = [json.loads(path.read_text())["said"] for path in home.rglob("readings/*.json")]
    return next((one["opinion"] for one in said if one), None)


def round_of(number, program, study, home, window, chance, slices):
    before = len(lines_in(home))
    environment = {**window.env, "DENS_MODEL": "nano", "XDG_CONFIG_HOME": str(home / "config"),
                   "XDG_DATA_HOME": str(home / "data"), "XDG_CACHE_HOME": str(home / "cache")}
    child = subprocess.Popen([program, str(study)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not window.found(child.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    # The first round is ready when its scores are kept.
    while number == 0 and not list(home.rglob("results/*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(5.0)
    end = time.monotonic() + chance.uniform(0.3, 9.0)

    def alive():
        if child.returncode is None and time.monotonic() >= end:
            child.send_signal(signal.SIGKILL)
            child.wait()
        return child.poll() is None

    done, slowest, verdict = 0, 0.0, verdict_in(home)
    while alive():
        what = chance.choice(["line", "line", "line", "verdict", "settings"])
        if what == "settings":
            window.act("key", chance.choice(SETTINGS_KEYS))
            continue
        if what == "line":
            wanted = len(lines_in(home)) + 1
            draw(window, chance, slices.pop(), alive)
            stands = lambda: len(lines_in(home)) >= wanted
        else:
            key, wanted = chance.choice([pair for pair in VERDICTS if pair[1] != verdict])
            window.act("key", "Escape", "key", key)
            stands = lambda: verdict_in(home) == wanted
        since = time.monotonic()
        while alive() and not stands():
            if time.monotonic() - since > SAVED_AFTER_S:
                window.picture("kill.png")
                sys.exit(f"round {number + 1} (kill.png): {what} {wanted} does not stand in its file after {SAVED_AFTER_S:.0f} s")
            time.sleep(0.02)
        if not alive():
            break
        slowest = max(slowest, time.monotonic() - since)
        done += 1
        before, verdict = len(lines_in(home)), verdict_in(home)
        time.sleep(chance.uniform(0.0, 0.4))
    window.act("mouseup", 1)
    for path in files_of(home):
        json.loads(path.read_text())  # whole, or this is the end
    lines, told = len(lines_in(home)), verdict_in(home)
    print(f"round {number + 1:2d}: {done} things saved, the slowest after {slowest:.2f} s; {lines} measurements, verdict {told}",
          flush=True)
    # The last thing may just have come through.
    if not before <= lines <= before + 1:
        sys.exit(f"round {number + 1}: {lines} measurements are kept of {before}")
    if verdict is not None and told is None:
        sys.exit(f"round {number + 1}: the verdict {verdict} is lost")
    if damaged := list(home.rglob("*.damaged*")):
        sys.exit(f"round {number + 1}: damaged files {damaged}")
    return done


def draw(window, chance, slice_number, alive):
    """A line on a slice where none lies yet: the drag would take hold of an end of it."""
    x, y = chance.randrange(LEFT, RIGHT - 130), chance.randrange(TOP, BOTTOM - 110)
    to_x, to_y = x + chance.randrange(60, 130), y + chance.randrange(40, 110)
    way = ["key", "Home"] + ["key", "shift+Down"] * (slice_number // 10) + ["key", "Down"] * (slice_number % 10)
    window.act("key", "Escape", *way, "key", "d", "sleep", 0.2)
    window.drag((x, y), (to_x, to_y), alive)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    window = Window()
    try:
        with tempfile.TemporaryDirectory() as folder:
            home, study = Path(folder) / "home", Path(folder) / "study"
            home.mkdir()
            command = [arguments.program, "phantom", "--out", str(study), "--cases", "1", "--seed", "5", "--matrix", "256"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            slices = list(range(len(list(study.rglob("*.dcm")))))
            chance.shuffle(slices)
            things = [round_of(n, arguments.program, study, home, window, chance, slices) for n in range(arguments.rounds)]
            total = sum(things)
            print(f"{arguments.rounds} rounds, {total} things saved, none lost, every file whole; "
                  f"{len(lines_in(home))} measurements at the end")
    finally:
        window.close()


main()
