"""Connects to an address over and over and asks for a name there, on many threads: connect.py <address> <threads>."""

import socket
import sys
import threading

ADDRESS, THREADS = sys.argv[1], int(sys.argv[2])
REQUEST = b"GET / HTTP/1.1\r\nHost: denied.test\r\n\r\n"


def connect_again():
    while True:
        try:
            with socket.create_connection((ADDRESS, 80), timeout=5) as connection:
                connection.sendall(REQUEST)
                while connection.recv(4096):
                    pass
        except OSError:
            pass


threads = [threading.Thread(target=connect_again) for _ in range(THREADS)]
for thread in threads:
    thread.start()
