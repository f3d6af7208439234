"""Messages between the server and this process: four bytes of length, big-endian, and that much JSON in UTF-8."""

import fcntl
import json
import os
import struct
import threading

# The server refuses a longer one, and ends this process for it.
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
_HEAD = struct.Struct(">I")


class Channel:
    def __init__(self, descriptor, interrupts):
        # A high number, which code is unlikely to meet, and one that no child inherits.
        self._fd = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 200)
        os.close(descriptor)
        self._interrupts = interrupts
        self._lock = threading.RLock()
        self._owner = os.getpid()
        # Nobody hears what is said meanwhile.
        self.muted = False

    @property
    def in_owner(self):
        """Whether this is the process of the context, not a fork of it."""
        return os.getpid() == self._owner

    def send(self, message):
        """Returns False, and sends nothing, if the message is too long. A forked child sends nothing either."""
        body = json.dumps(message, separators=(",", ":")).encode("utf-8", "backslashreplace")
        if len(body) > MAX_MESSAGE_BYTES:
            return False
        if self.muted or not self.in_owner:
            return True
        with self._interrupts.held(), self._lock:
            left = memoryview(_HEAD.pack(len(body)) + body)
            while left:
                left = left[os.write(self._fd, left) :]
        return True

    def receive(self):
        """The next message, or None if there will be none."""
        head = self._read(_HEAD.size)
        body = head and self._read(_HEAD.unpack(head)[0])
        return json.loads(body) if body else None

    def _read(self, size):
        parts = []
        while size:
            part = os.read(self._fd, min(size, 1024 * 1024))
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
