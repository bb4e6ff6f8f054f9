"""The contract of the conformance kit (docs/conformance-contract.md) on Python's http.server.

    nngconform run --cmd 'python3 conformance/adapters/python/server.py {port}'

http.server leaves bodies to the handler. This one reads a body with a Content-Length; it knows
no chunks, as http.server has nothing for them.
"""

import http.server
import json
import os
import re
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 2  # for what a client does not send, so that a run does not wait for it

    def __getattr__(self, name):
        # http.server calls do_METHOD.
        if name.startswith("do_"):
            return self.serve
        raise AttributeError(name)

    def serve(self):
        path = self.path.partition("?")[0]
        if path == "/unread":
            self.respond(200)
            return
        if path == "/hijack":
            self.hijack()
            return
        body = self.body()
        if body is None:
            return
        status = re.fullmatch(r"/status/([2-5][0-9][0-9])", path)
        if status:
            self.respond(int(status[1]), b"status\n")
        elif path == "/empty":
            self.respond(200)
        elif path == "/last":
            self.close_connection = True
            self.respond(200, b"last\n", Connection="close")
        elif path == "/static":
            self.respond(200, b"static\n", Content_Type="text/plain")
        else:
            self.echo(body)

    def body(self):
        """Returns the body, or None if there was an error and it has been responded to."""
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self.send_error(501, "Transfer-Encoding")
            return None
        length = self.headers.get("Content-Length", "0").strip(" \t")
        if not re.fullmatch("[0-9]+", length):
            self.close_connection = True
            self.send_error(400, "Bad Content-Length")
            return None
        if int(length) > 4 << 20:
            self.close_connection = True
            self.send_error(413)
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        return body

    def echo(self, body):
        names = []
        for parameter in self.path.partition("?")[2].split("&"):
            if parameter.startswith("f="):
                names += parameter[2:].split(",")
        fields = {n: self.headers.get_all(n) for n in names if n in self.headers}
        text = json.dumps({
            "method": self.command,
            "target": self.path,
            "fields": fields,
            "body": body.decode("latin-1"),
        })
        self.respond(200, text.encode(), Conformance="echo", Content_Type="application/json")

    def respond(self, status, body=b"", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status not in (204, 304) and self.command != "HEAD":
            self.wfile.write(body)

    def hijack(self):
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := self.rfile.read1():
            self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_):
        pass  # a client has gone


def main():
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)

    def end_with_input():
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=end_with_input, daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
