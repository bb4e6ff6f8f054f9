"""A client of the conformance kit with Python's http.client.

    nngconform run --client-cmd 'python3 conformance/adapters/python-client/client.py'
"""

import http.client
import json
import sys
from urllib.parse import urlsplit

kept = None  # the connection
kept_for = None


def drop():
    global kept
    if kept is not None:
        kept.close()
        kept = None


def request(method, url):
    """Makes a request, on the connection that is kept if there is one."""
    global kept, kept_for
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if kept is not None and kept_for != host:
        drop()
    again = kept is not None
    body = b"hello" if method in ("POST", "PUT") else None
    target = (parts.path or "/") + ("?" + parts.query if "?" in url.partition("#")[0] else "")
    while True:
        if kept is None:
            kept, kept_for = http.client.HTTPConnection(host), host
        try:
            kept.request(method, target, body)
            response = kept.getresponse()
            data = response.read()
            break
        except (http.client.HTTPException, OSError):
            drop()
            if not again or method == "POST":
                raise
            again = False  # the connection that was kept had ended
    fields = {}
    for name, value in response.getheaders():
        fields.setdefault(name.title(), []).append(value)
    if response.will_close:
        drop()
    return {"status": response.status, "fields": fields, "body": data.decode("latin-1")}


for line in sys.stdin:
    method, _, url = line.strip().partition(" ")
    try:
        reply = request(method, url)
    except Exception as e:
        drop()
        reply = {"error": repr(e)}
    print(json.dumps(reply), flush=True)
