"""A server whose answers cost whoever forwards them.

    flood.py PORT

The request's path says how it answers: /interim (1xx without end), /heads (60 kB of headers), /body (without end),
/chunks (of one byte, without end), /drip (a head byte by byte), /frames (of one byte, in another protocol), and / as
others do. Prints `serving` when it listens.
"""
import socket
import sys
import threading
import time

INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 500
HEADERS = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 100) for i in range(500))
OK = b"HTTP/1.1 200 OK\r\n"


def answer(connection, path):
    """True where another request may follow."""
    if path == b"/interim":
        forever(connection, INTERIM)
    elif path == b"/heads":
        connection.sendall(OK + HEADERS + b"Content-Length: 0\r\n\r\n")
        return True
    elif path == b"/body":
        connection.sendall(OK + b"\r\n")
        forever(connection, b"z" * 65536)
    elif path == b"/chunks":
        connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        forever(connection, b"1\r\nz\r\n" * 5000)
    elif path == b"/drip":
        for byte in OK + HEADERS + b"\r\n":
            connection.sendall(bytes([byte]))
            time.sleep(0.0005)
    elif path == b"/frames":
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        threading.Thread(target=swallow, args=(connection,), daemon=True).start()
        forever(connection, b"\x82\x01z" * 5000)
    else:
        connection.sendall(OK + b"Content-Length: 2\r\n\r\nok")
        return True


def forever(connection, data):
    while True:
        connection.sendall(data)


def swallow(connection):
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass


def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    try:
        while True:
            while b"\r\n\r\n" not in received:
                more = connection.recv(65536)
                if not more:
                    return
                received += more
            head, received = received.split(b"\r\n\r\n", 1)
            if head.startswith(b"POST"):
                swallow(connection)
            if not answer(connection, head.split(b" ")[1]):
                return
    except OSError:
        pass
    finally:
        connection.close()


server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("0.0.0.0", int(sys.argv[1])))
server.listen(4096)
print("serving", flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
