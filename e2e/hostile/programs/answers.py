"""Answers HTTP requests on a port with what fools or floods a proxy, by the request's path.

    answers.py 8000

    /both       a length and chunks; what is behind the length is an answer of its own
    /short      less than its length, and the end of the connection
    /behind     an answer, and one that no one asked for
    /interim    interim answers without end
    /head       a head without end, a byte at a time
    /crumbs     chunks of one byte without end
    /body       a body without end
    /deaf       takes no more of the request than its head

Everything else is answered with `here`.
"""
import socket
import sys
import threading

EVIL = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
OK = b'HTTP/1.1 200 OK\r\n'
CHUNKED = OK + b'Transfer-Encoding: chunked\r\n\r\n'


def forever(connection, begin, piece):
    connection.sendall(begin)
    while True:
        connection.sendall(piece)


def drip(connection, begin):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(begin)
    while True:
        connection.sendall(b'a')


def both(connection):
    chunk = b'x' + EVIL
    connection.sendall(OK + b'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'
                       + b'%x\r\n%s\r\n0\r\n\r\n' % (len(chunk), chunk))


ANSWERS = {
    '/both': both,
    '/short': lambda connection: connection.sendall(OK + b'Content-Length: 1000\r\n\r\nx'),
    '/behind': lambda connection: connection.sendall(OK + b'Content-Length: 1\r\n\r\nx' + EVIL),
    '/interim': lambda connection: forever(connection, b'', b'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' * 500),
    '/head': lambda connection: drip(connection, OK + b'X: '),
    '/crumbs': lambda connection: forever(connection, CHUNKED, b'1\r\na\r\n' * 10000),
    '/body': lambda connection: forever(connection, OK + b'\r\n', b'a' * 65536),
    '/deaf': lambda connection: threading.Event().wait(),
}


def serve(connection):
    with connection:
        try:
            request = b''
            while b'\r\n\r\n' not in request:
                received = connection.recv(4096)
                if not received:
                    return
                request += received
            path = request.split(b' ')[1].decode()
            answer = ANSWERS.get(path)
            if answer:
                answer(connection)
            else:
                connection.sendall(OK + b'Content-Length: 4\r\n\r\nhere')
        except OSError:
            pass


listener = socket.create_server(('0.0.0.0', int(sys.argv[1])), backlog=512)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
