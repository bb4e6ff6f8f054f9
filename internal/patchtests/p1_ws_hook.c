// P1 and P20. A WebSocket listener whose hook answers a handshake with something else closes the
// connection, as it does with its own refusals: no second request is answered on it, and a
// client that is still sending gets the answer, and no reset.

#include "wsutil.h"

// Private: the hook is of nng's own users of the listener.
extern void nni_ws_listener_hook(
    void *, int (*)(void *, nng_http_req *, nng_http_res *), void *);

static int
hook(void *arg, nng_http_req *req, nng_http_res *res)
{
	(void) arg;
	(void) req;
	return (nng_http_res_set_status(res, NNG_HTTP_STATUS_UNAUTHORIZED));
}

static int
count(const char *text, const char *what)
{
	int n = 0;

	while ((text = strstr(text, what)) != NULL) {
		n++;
		text++;
	}
	return (n);
}

// sends_on says whether a client that sends much after a bad handshake can do so, and gets its
// answer.
static bool
sends_on(int port)
{
	static char more[1000000];
	char        ask[200], got[4096];
	size_t      n  = 0;
	ssize_t     k;
	int         fd = tcp_connect(port, 0);
	bool        sent;

	(void) snprintf(ask, sizeof(ask),
	    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\n\r\n",
	    port); // there is no version
	MUST(send_all(fd, ask, strlen(ask)));
	sent = send_all(fd, more, sizeof(more));
	sleep_ms(20);
	while ((k = recv(fd, got + n, sizeof(got) - 1 - n, 0)) > 0) {
		n += (size_t) k;
	}
	got[n] = '\0';
	close(fd);
	return (sent && (strncmp(got, "HTTP/1.1 400 ", 13) == 0));
}

int
main(void)
{
	nng_stream_listener *l;
	int                  good = 0;
	char                 got[8192];
	size_t               n = 0;
	ssize_t              k;
	struct pollfd        p;
	int                  port, fd;

	test_init();
	l = ws_listen(&port);
	nni_ws_listener_hook(l, hook, NULL);
	test_step = "a hook refuses a handshake";
	fd        = ws_ask(port);
	p         = (struct pollfd){ fd, POLLIN, 0 };
	// What follows comes when the answer is there, so that it cannot be lost.
	while ((n < 4 || strstr(got, "\r\n\r\n") == NULL)) {
		MUST(poll(&p, 1, 5000) == 1);
		MUST((k = recv(fd, got + n, sizeof(got) - 1 - n, 0)) > 0);
		n += (size_t) k;
		got[n] = '\0';
	}
	MUST(strncmp(got, "HTTP/1.1 401 ", 13) == 0);
	CHECK(strstr(got, "\r\nConnection: close\r\n") != NULL, "the refusal does not say that it closes");
	(void) send(fd, "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 30, MSG_NOSIGNAL);
	while (n + 1 < sizeof(got)) {
		CHECK(poll(&p, 1, 5000) == 1, "the connection stays open");
		if ((k = recv(fd, got + n, sizeof(got) - 1 - n, 0)) <= 0) {
			break; // the end, or a reset because of what came too late
		}
		n += (size_t) k;
		got[n] = '\0';
	}
	CHECK(count(got, "HTTP/1.1 ") == 1, "what follows a refused handshake is answered");
	close(fd);
	nni_ws_listener_hook(l, NULL, NULL);
	test_step = "clients that send on";
	for (int i = 0; i < 30; i++) {
		good += sends_on(port);
	}
	// A client that stands still for half a second on a busy machine is left behind.
	CHECK(good >= 28, "%d of 30 clients could send on", good);
	nng_stream_listener_free(l);
	nng_fini();
	return (test_ok("a hook's refusal ends the connection"));
}
