"""Tries to reach targets, all at once, and prints what came of each as JSON.

The argument is a JSON list of [kind, host, port]. Kinds: http, greeting (the server speaks first), udp, dns (host is a
name). An answer is {"ok": true, "text": ...} or {"ok": false, "error": ...}.
"""

import concurrent.futures
import json
import socket
import sys
import time

# Seconds. What is refused in silence costs all of it, so that it is short; datagrams are sent again meanwhile.
TIMEOUT = 2
RESEND = 0.4


def http(host, port):
    with socket.create_connection((host, port), TIMEOUT) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\nHost: probe\r\n\r\n")
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
        if not data:
            raise ConnectionError("closed without an answer")
        return data.decode("latin1")


def greeting(host, port):
    with socket.create_connection((host, port), TIMEOUT) as connection:
        data = connection.recv(1024)
        if not data:
            raise ConnectionError("closed without a greeting")
        return data.decode("latin1")


def udp(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(RESEND)
        end = time.monotonic() + TIMEOUT
        while True:
            datagrams.sendto(b"probe", (host, port))
            try:
                return datagrams.recv(1024).decode("latin1")
            except TimeoutError:
                if time.monotonic() > end:
                    raise


def dns(host, _port):
    return socket.gethostbyname(host)


def attempt(target):
    kind, host, port = target
    try:
        probe = {"http": http, "greeting": greeting, "udp": udp, "dns": dns}[kind]
        return {"ok": True, "text": probe(host, port)}
    except OSError as error:
        return {"ok": False, "error": str(error)}


targets = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(max(1, len(targets))) as pool:
    print(json.dumps(list(pool.map(attempt, targets))))
