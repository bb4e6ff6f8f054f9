"""An HTTP client for the tests: http_client.py LIBRARY URL. It ends with status 0 when the server
has done what each library's user expects. LIBRARY is requests, httpx or http.client."""

import hashlib
import http.client
import os
import sys
import threading
import urllib.parse

library, url = sys.argv[1:]
every_byte = bytes(range(256)) * 40
many = os.urandom(3 << 20)


def parts():
    for i in range(0, len(many), 1 << 16):
        yield many[i : i + (1 << 16)]


class HttpClient:
    """http.client dressed up like the others."""

    def __init__(self):
        self.conn = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=20)

    def __call__(self, method, path, body=None, headers={}, **how):
        self.conn.request(method, path, body, headers, **how)
        r = self.conn.getresponse()
        r.content = r.read()
        r.status_code = r.status
        return r


def open_client():
    if library == "http.client":
        return HttpClient()
    if library == "requests":
        import requests

        session = requests.Session()
        session.trust_env = False

        def send(method, path, body=None, headers={}, **_):
            return session.request(method, url + path, data=body, headers=headers, timeout=20, allow_redirects=False)

        send.session = session
        return send
    import httpx

    client = httpx.Client(base_url=url, trust_env=False, timeout=20)

    def send(method, path, body=None, headers={}, **_):
        return client.request(method, path, content=body, headers=headers)

    return send


def check(response, status, body=None, **headers):
    assert response.status_code == status, (response.status_code, response.content[:200])
    if body is not None:
        assert response.content == body, (len(response.content), len(body))
    for name, want in headers.items():
        got = response.headers.get(name.replace("_", "-"))
        assert got == want, (name, got, want)


send = open_client()
check(send("GET", "/hello"), 200, b"hello\n", Content_Length="6", Content_Type="text/plain; charset=utf-8")
check(send("HEAD", "/hello"), 200, b"", Content_Length="6")
check(send("POST", "/echo?a=1&b=%20", every_byte), 200, every_byte, X_Method="POST", X_Length="10240", X_Query="a=1&b=%20")
check(send("POST", "/echo", b""), 200, b"", X_Length="0")
for method in "PUT", "PATCH", "DELETE":
    check(send(method, "/echo", b"some"), 200, b"some", X_Method=method)
check(send("POST", "/sum", many), 200, f"{len(many)} {hashlib.sha256(many).hexdigest()}".encode(), X_Length=str(len(many)))
check(send("POST", "/sum", parts()), 200, f"{len(many)} {hashlib.sha256(many).hexdigest()}".encode(), X_Length="-1")
check(send("GET", "/parts"), 200, b"".join(b"part %d\n" % i for i in range(5)), Transfer_Encoding="chunked")
check(send("GET", "/text", headers={"Range": "bytes=3-7"}), 206, b"defgh", Content_Range="bytes 3-7/26")
check(send("GET", "/text", headers={"If-None-Match": '"letters"'}), 304, b"", ETag='"letters"')
check(send("GET", "/status/204"), 204, b"", Content_Length=None)
check(send("GET", "/status/404"), 404, b"")
check(send("GET", "/moved"), 302, Location="/hello")
check(send("GET", "/nowhere"), 404, b"404 page not found\n")
check(send("GET", "/hello"), 200, b"hello\n")
if library != "http.client":  # these unpack, and keep cookies
    r = send("GET", "/gzip")
    check(r, 200, Content_Encoding="gzip")
    assert len(r.content) == 100_000 and r.content.startswith(b"line 0 of a large body\r\nline 1 "), r.content[:100]
    assert dict(send("GET", "/cookie").cookies) == {"first": "1", "second": "2"}
    check(send("GET", "/cookie"), 200, b"[first=1; second=2]")
check(send("GET", "/close"), 200, b"bye\n", Connection="close")

failed = []


def many_times(i):
    try:
        mine = open_client()
        for n in range(20):
            body = f"message {n} of {i} ".encode() * 50
            check(mine("POST", "/echo", body), 200, body)
    except BaseException as e:
        failed.append(e)
        raise


threads = [threading.Thread(target=many_times, args=(i,)) for i in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
assert not failed, failed
