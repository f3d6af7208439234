"""Runs the cells of one context. Started by the server, which speaks to it over descriptor 3: see islet_host/channel.py."""

import os
import sys

# Behind everything else: a module of the code's own must not be shadowed by one of ours.
sys.path[0] = ""
sys.path.append(os.path.dirname(os.path.abspath(__file__)))
# A file to run before the first cell, where memory is saved for later: what it imports is imported then.
warm = sys.argv[1] if len(sys.argv) > 1 else None
sys.argv = [""]

from islet_host.serve import serve  # noqa: E402

serve(descriptor=3, warm=warm)
