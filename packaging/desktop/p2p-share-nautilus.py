"""Nautilus: "Share with p2p" in the menu of files and folders (needs python3-nautilus)."""

import subprocess

from gi.repository import GObject, Nautilus

HELPER = "/usr/share/p2p/p2p-share"


class P2pShare(GObject.GObject, Nautilus.MenuProvider):
    def get_file_items(self, *args):  # (files) since Nautilus 43, (window, files) before
        paths = [file.get_location().get_path() for file in args[-1]]
        if not paths or None in paths:
            return []
        item = Nautilus.MenuItem(name="P2p::share", label="Share with p2p", icon="p2p")
        item.connect("activate", lambda _item: subprocess.Popen([HELPER, *paths]))
        return [item]
