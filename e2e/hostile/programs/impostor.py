"""Takes envd's place: root attaches to process 1, closes its listening socket and answers on its port as it likes.

    impostor.py '{"/metrics": {"body": "null"}, "*": {"hang": true}}'

Each path has an answer; "*" is for the paths that are not named. What has no answer is answered as envd would. An answer:

    status, headers, body     as they are sent; a body of text
    times                     the body that many times over, 0: without end
    drip                      seconds between two bytes of the body
    chunked                   the body in chunks, without Content-Length
    raw                       sent in the place of all this; with `times` and `drip` likewise
    hang                      reads the request and says nothing
    close                     true: ends the connection after the answer

Prints `taken` when it serves. Envd itself goes on with the connections that it has, but gets no new ones.
"""
import ctypes
import json
import os
import re
import socket
import struct
import sys
import threading
import time

PORT = 49983
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
ATTACH, DETACH, CONT, GETREGS, SETREGS, PEEK, POKE = 16, 17, 7, 12, 13, 1, 4
WALL = 0x40000000
SYS_DUP2 = 33
# Places in struct user_regs_struct of x86-64, in words.
RDI, RSI, RAX, ORIG_RAX, RIP = 14, 13, 10, 15, 16
SYSCALL_THEN_TRAP = 0xCC050F


def ptrace(request, address=0, data=0):
    ctypes.set_errno(0)
    result = libc.ptrace(request, 1, address, data)
    if ctypes.get_errno() != 0:
        raise OSError(ctypes.get_errno(), f"ptrace request {request}: {os.strerror(ctypes.get_errno())}")
    return result


def listening_descriptor():
    """The descriptor of process 1 that listens on envd's port."""
    inodes = set()
    for table in ("/proc/1/net/tcp", "/proc/1/net/tcp6"):
        for line in open(table).read().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == PORT:
                inodes.add(fields[9])
    for fd in os.listdir("/proc/1/fd"):
        found = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/1/fd/{fd}"))
        if found and found.group(1) in inodes:
            return int(fd)
    raise SystemExit(f"process 1 listens nowhere: {inodes}")


def syscall_in_init(number, first, second):
    """Has process 1 make a system call where it stands. It is attached to and stopped."""
    before = (ctypes.c_ulonglong * 27)()
    ptrace(GETREGS, 0, ctypes.addressof(before))
    rip = before[RIP]
    code = ptrace(PEEK, rip) & 0xFFFFFFFFFFFFFFFF
    ptrace(POKE, rip, (code & ~0xFFFFFF) | SYSCALL_THEN_TRAP)
    regs = (ctypes.c_ulonglong * 27)(*before)
    regs[RAX], regs[RDI], regs[RSI], regs[ORIG_RAX] = number, first, second, 0xFFFFFFFFFFFFFFFF
    ptrace(SETREGS, 0, ctypes.addressof(regs))
    ptrace(CONT)
    os.waitpid(1, WALL)
    after = (ctypes.c_ulonglong * 27)()
    ptrace(GETREGS, 0, ctypes.addressof(after))
    ptrace(POKE, rip, code)
    ptrace(SETREGS, 0, ctypes.addressof(before))
    return ctypes.c_longlong(after[RAX]).value


def close_listener():
    """Puts another of its files in the listener's place: the number is not given out again, which would confuse it."""
    fd = listening_descriptor()
    ptrace(ATTACH)
    os.waitpid(1, WALL)
    result = syscall_in_init(SYS_DUP2, 0, fd)
    ptrace(DETACH)
    if result != fd:
        raise SystemExit(f"dup2 in process 1: {result}")


def listen():
    server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deadline = time.time() + 30
    while True:
        try:
            server.bind(("::", PORT))
            server.listen(512)
            return server
        except OSError:
            if time.time() > deadline:
                raise
            time.sleep(0.05)


def honest(path):
    """What envd would answer."""
    metrics = {"ts": int(time.time()), "cpu_count": 2, "cpu_used_pct": 1.5, "mem_total": 1 << 29, "mem_used": 1 << 27}
    metrics.update(mem_cache=1 << 25, mem_total_mib=512, mem_used_mib=128, disk_used=1 << 30, disk_total=1 << 32)
    if path == "/metrics":
        return {"headers": {"X-Journal-Head": "0"}, "body": json.dumps(metrics)}
    if path == "/journal":
        return {"body": '{"records":[],"next":0}'}
    if path == "/volumes/removed":
        return {"body": "[]"}
    if path in ("/health", "/init"):
        return {"status": 204, "headers": {"X-Clock": str(int(time.time() * 1000))}}
    return {"status": 404, "body": '{"code":404,"message":"not found"}'}


def send_times(connection, text, times, drip):
    data = text.encode("utf-8", "surrogateescape")
    if drip:
        sent = 0
        while times == 0 or sent < times:
            for byte in data:
                connection.sendall(bytes([byte]))
                time.sleep(drip)
            sent += 1
        return
    block = max(1, 262144 // max(1, len(data)))
    left = times
    while times == 0 or left > 0:
        count = block if times == 0 else min(block, left)
        connection.sendall(data * count)
        left -= count


def answer(connection, lie):
    times, drip = lie.get("times", 1), lie.get("drip", 0)
    if lie.get("hang"):
        while connection.recv(65536):
            pass
        return False
    if "raw" in lie:
        send_times(connection, lie["raw"], times, drip)
        return False
    status, body = lie.get("status", 200), lie.get("body", "")
    headers = {"X-Impostor": "yes", "Content-Type": "application/json", **lie.get("headers", {})}
    length = len(body.encode()) * times
    if lie.get("chunked"):
        headers["Transfer-Encoding"] = "chunked"
    elif times != 0 and status != 204:
        headers.setdefault("Content-Length", str(length))
    head = f"HTTP/1.1 {status} It is\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection.sendall(head.encode() + b"\r\n")
    if lie.get("chunked"):
        send_times(connection, f"{len(body.encode()):x}\r\n{body}\r\n", times, drip)
        connection.sendall(b"0\r\n\r\n")
    elif body:
        send_times(connection, body, times, drip)
    return times != 0 and not lie.get("close")


def serve(connection, lies):
    pending = b""
    try:
        while True:
            while b"\r\n\r\n" not in pending:
                data = connection.recv(65536)
                if not data:
                    return
                pending += data
            head, pending = pending.split(b"\r\n\r\n", 1)
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            missing = int(length.group(1)) - len(pending) if length else 0
            while missing > 0:
                missing -= len(connection.recv(65536))
            pending = b""
            path = head.split(b" ")[1].decode().split("?")[0]
            if not answer(connection, lies.get(path) or lies.get("*") or honest(path)):
                return
    except (OSError, IndexError):
        pass
    finally:
        connection.close()


def main():
    lies = json.loads(sys.argv[1])
    close_listener()
    server = listen()
    if os.fork() != 0:
        print("taken", flush=True)
        os._exit(0)
    # It outlives the command that began it.
    os.setsid()
    for fd in (0, 1, 2):
        os.dup2(os.open("/dev/null", os.O_RDWR), fd)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection, lies), daemon=True).start()


main()
