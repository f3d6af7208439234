"""Runs the cells of one context. Started by the server, which speaks to it over descriptor 3: see islet_host/channel.py."""

import os
import sys

# Behind everything else: a module of the code's own must not be shadowed by one of ours.
sys.path[0] = ""
sys.path.append(os.path.dirname(os.path.abspath(__file__)))
sys.argv = [""]

from islet_host.serve import serve  # noqa: E402

serve(descriptor=3)
