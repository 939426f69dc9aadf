"""A UM-Bridge server for tests, of protocol 1.0 as its documentation has it; made with the standard library."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SIZES = {"inputSizes": [2, 1], "outputSizes": [3]}
INFO = {"protocolVersion": 1.0, "models": ["forward", "other"]}


class Handler(BaseHTTPRequestHandler):
    """Answers with the sum of the first input vector, its product with the second, and a number of its config."""

    def do_GET(self):
        self.answer(self.server.changed.get(self.path, INFO))

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, question))
        known = {
            "/ModelInfo": {"support": {"Evaluate": True, "Gradient": False}},
            "/InputSizes": {"inputSizes": SIZES["inputSizes"]},
            "/OutputSizes": {"outputSizes": SIZES["outputSizes"]},
        }
        if self.path in self.server.changed:
            answer = self.server.changed[self.path]
            self.answer(answer(question) if callable(answer) else answer)
        else:
            self.answer(known[self.path] if self.path in known else evaluated(question))

    def answer(self, content):
        if content is None:  # break off
            self.close_connection = True
            return
        text = content if isinstance(content, str) else json.dumps(content)
        self.send_response(400 if isinstance(content, dict) and "error" in content else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def evaluated(question):
    (a, b), (c,) = question["input"]
    return {"output": [[a + b, (a + b) * c, question["config"].get("level", 0.0)]]}


def slowly(question):
    time.sleep(2.0)
    return evaluated(question)


@contextlib.contextmanager
def serving(port=0, **changed):
    """A server whose answers ``changed`` says, by path; it has ``url`` and the questions that it was ``asked``."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.changed = {f"/{path}": answer for path, answer in changed.items()}
    server.asked = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
