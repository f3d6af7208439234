"""Reads requests as Python's http.server does. One JSON list of base64 texts a line in, one list of readings a line out."""
import base64
import io
import json
import sys
from http.server import BaseHTTPRequestHandler


class Incomplete(Exception):
    pass


class Reader(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        self.rfile = self.request
        self.wfile = io.BytesIO()

    def finish(self):
        pass

    def log_message(self, *_):
        pass

    def send_error(self, code, message=None, explain=None):
        self.server.append({"error": code})
        self.close_connection = True

    def handle_expect_100(self):
        return True

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.take
        raise AttributeError(name)

    def exactly(self, size):
        data = self.rfile.read(size)
        if len(data) < size:
            raise Incomplete()
        return data

    def chunks(self):
        body = b""
        while True:
            line = self.rfile.readline()
            if not line.endswith(b"\r\n"):
                raise Incomplete()
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            body += self.exactly(size)
            if self.exactly(2) != b"\r\n":
                raise ValueError("a chunk that is longer than it says")
        while True:
            line = self.rfile.readline()
            if line == b"\r\n":
                return body
            if not line.endswith(b"\r\n"):
                raise Incomplete()

    def take(self):
        codings = self.headers.get_all("Transfer-Encoding", [])
        lengths = self.headers.get_all("Content-Length", [])
        try:
            body = b""
            if codings:
                body = self.chunks()
            elif lengths:
                body = self.exactly(int(lengths[0]))
        except Incomplete:
            self.close_connection = True
            return
        except ValueError as error:
            self.server.append({"error": str(error)})
            self.close_connection = True
            return
        self.server.append(
            {
                "method": self.command,
                "target": self.requestline.split(" ")[1],
                "fields": [[name.lower(), value.strip(" \t")] for name, value in self.headers.items()],
                "body": body.decode("latin1"),
            }
        )
        self.close_connection = False


def read(data):
    found = []
    stream = io.BytesIO(data)
    # It ends when a line is empty, which is so at the end.
    Reader(stream, ("", 0), found)
    return found


for line in sys.stdin:
    print(json.dumps([read(base64.b64decode(text)) for text in json.loads(line)]), flush=True)
