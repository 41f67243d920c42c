"""A display without a screen, with a window manager, for sessions with the real program.

Needs Xvfb, xdotool, openbox, ImageMagick's `import` and a Vulkan driver (Mesa's lavapipe will do).
"""

import os
import subprocess
import tempfile
import time

# Windows fill the display and have no frame.
OPENBOX = """<?xml version="1.0"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
<keyboard><keybind key="A-F4"><action name="Close"/></keybind></keyboard>
<applications><application class="*"><decor>no</decor><maximized>yes</maximized></application></applications>
</openbox_config>
"""


class Window:
    """A display with a window manager, alive until `close`."""

    def __init__(self, size="1280x720"):
        read, write = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size}x24", "-nolisten", "tcp"],
            pass_fds=[write], stderr=subprocess.DEVNULL,
        )
        os.close(write)
        self.display = ":" + os.read(read, 16).decode().strip()
        self.env = {**os.environ, "DISPLAY": self.display}
        self.env.pop("WAYLAND_DISPLAY", None)
        time.sleep(0.5)
        self.folder = tempfile.TemporaryDirectory()
        settings = os.path.join(self.folder.name, "rc.xml")
        with open(settings, "w", encoding="utf-8") as file:
            file.write(OPENBOX)
        self.manager = subprocess.Popen(
            ["openbox", "--config-file", settings], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def act(self, *arguments):
        subprocess.run(["xdotool", *map(str, arguments)], env=self.env, check=False, stderr=subprocess.DEVNULL)

    def keys(self, *keys, pause=0.15):
        """Presses keys one after the other, each in a moment of its own."""
        for key in keys:
            self.act("key", key, "sleep", pause)

    def drag(self, start, end, alive=lambda: True):
        """With the left button, in steps that the program sees as a hand's."""
        (x, y), (to_x, to_y) = start, end
        self.act("mousemove", x, y, "sleep", 0.3, "mousedown", 1, "sleep", 0.2)
        for i in range(1, 7):
            if not alive():
                return
            self.act("mousemove", x + (to_x - x) * i // 6, y + (to_y - y) * i // 6, "sleep", 0.1)
        self.act("sleep", 0.2, "mouseup", 1)

    def found(self, pid):
        search = ["xdotool", "search", "--onlyvisible", "--pid", str(pid)]
        return subprocess.run(search, env=self.env, capture_output=True, text=True).stdout.split()

    def picture(self, path):
        subprocess.run(["import", "-window", "root", str(path)], env=self.env, check=False)

    def pixels(self):
        return subprocess.run(["import", "-window", "root", "ppm:-"], env=self.env, capture_output=True).stdout

    def close(self):
        self.manager.terminate()
        self.server.terminate()
        self.folder.cleanup()
