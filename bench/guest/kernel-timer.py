"""Times a Jupyter server with ipykernel: `1 + 1` so many times over its WebSocket, then the memory of both. Prints a line of JSON."""

import json
import subprocess
import sys
import time
import urllib.request
import uuid

import websocket

PORT = 8889
ARGS = ["--no-browser", "--allow-root", f"--port={PORT}", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
server = subprocess.Popen(["jupyter-server", *ARGS], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


for _ in range(600):
    try:
        call("/api/status")
        break
    except OSError:
        time.sleep(0.1)
kernel = call("/api/kernels", {"name": "python3"})["id"]
channel = websocket.create_connection(f"ws://127.0.0.1:{PORT}/api/kernels/{kernel}/channels", timeout=60)


def run(code):
    message = uuid.uuid4().hex
    header = {"msg_id": message, "msg_type": "execute_request", "username": "", "session": "s", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "user_expressions": {}}
    channel.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}))
    while True:
        heard = json.loads(channel.recv())
        if heard["parent_header"].get("msg_id") != message or heard["msg_type"] != "status":
            continue
        if heard["content"]["execution_state"] == "idle":
            return


def resident(pid):
    return next(int(line.split()[1]) for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS")) / 1024


run("1 + 1")
samples = []
for _ in range(int(sys.argv[1])):
    start = time.perf_counter()
    run("1 + 1")
    samples.append((time.perf_counter() - start) * 1000)
kernels = subprocess.run(["pgrep", "-f", "ipykernel_launcher"], capture_output=True, text=True).stdout.split()
print(json.dumps({"samples": samples, "resident": resident(server.pid) + sum(resident(pid) for pid in kernels)}))
server.terminate()
