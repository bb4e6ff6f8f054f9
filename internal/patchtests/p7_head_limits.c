// P7. The limits of heads that a server has set hold while the head is read, for
// that server.

#include "headutil.h"

extern void nni_http_server_set_head_limits(nng_http_server *, size_t, size_t)
    __attribute__((weak));

static void
hello_cb(nng_aio *aio)
{
	reply(aio, "hello", 5);
}

// ask sends what it is given, and returns the status of the answer and whether
// the connection ends behind it.
static int
ask(int port, const char *text, size_t len, bool *closed)
{
	char          buf[4000];
	size_t        n  = 0;
	int           fd = tcp_connect(port, 0);
	struct pollfd p  = { fd, POLLIN, 0 };
	int           status;

	MUST(send_all(fd, text, len));
	do {
		ssize_t got;
		CHECK(poll(&p, 1, 5000) == 1, "no answer: %s, %.60s",
		    test_step, text);
		got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);
		CHECK(got > 0, "no answer, but an end");
		n += (size_t) got;
		buf[n] = '\0';
	} while (strstr(buf, "\r\n\r\n") == NULL);
	MUST(sscanf(buf, "HTTP/1.1 %d", &status) == 1);
	*closed = strstr(buf, "\r\nConnection: close\r\n") != NULL;
	close(fd);
	return (status);
}

static void
check(int port, const char *line, int times, const char *end, int want)
{
	static char text[100000];
	size_t      n = 0;
	int         got;
	bool        closed;

	n = (size_t) sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < times; i++) {
		n += (size_t) sprintf(text + n, "%s", line);
	}
	n += (size_t) sprintf(text + n, "%s", end);
	got = ask(port, text, n, &closed);
	CHECK(got == want, "%d times %.20s: %d, not %d", times, line, got, want);
	CHECK(closed == (want != 200), "%d: closed is %d", want, closed);
}

int
main(void)
{
	server s, other;
	char   line[3000];

	test_init();
	CHECK(nni_http_server_set_head_limits != NULL, "no such function");
	server_open(&s, false);
	server_add(&s, "/", hello_cb);
	nni_http_server_set_head_limits(s.srv, 2000, 20);
	server_start(&s);
	server_open(&other, false);
	server_add(&other, "/", hello_cb);
	server_start(&other);

	test_step = "fields";
	check(s.port, "A: b\r\n", 19, "\r\n", 200);
	check(s.port, "A: b\r\n", 20, "\r\n", 431);
	check(s.port, "A: b\r\n", 20, "", 431); // without waiting for the end
	check(other.port, "A: b\r\n", 20, "\r\n", 200);

	test_step = "bytes";
	memset(line, 'x', sizeof(line));
	line[0] = 'A';
	line[1] = ':';
	strcpy(line + 998, "\r\n");
	check(s.port, line, 1, "\r\n", 200);
	check(s.port, line, 2, "\r\n", 431);
	check(other.port, line, 2, "\r\n", 200);
	memset(line + 998, 'x', 3);
	strcpy(line + 2500, "\r\n");
	check(s.port, line, 1, "\r\n", 431);
	strcpy(line + 2000, ""); // a line that has no end yet
	check(s.port, line, 1, "", 431);

	test_step = "the request line";
	{
		bool closed;
		char get[3000];
		int  status;

		memset(get, 'a', sizeof(get));
		memcpy(get, "GET /", 5);
		status = ask(s.port, get, sizeof(get), &closed);
		CHECK(status == 414 && closed, "status %d", status);
	}

	test_step = "the next request on a connection";
	{
		int           fd = tcp_connect(s.port, 0);
		struct pollfd p  = { fd, POLLIN, 0 };
		char          buf[2000];
		char          text[1000];
		size_t        n = 0;

		n = (size_t) sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\n");
		for (int i = 0; i < 18; i++) {
			n += (size_t) sprintf(text + n, "A: b\r\n");
		}
		n += (size_t) sprintf(text + n, "\r\n");
		for (int i = 0; i < 200; i++) {
			ssize_t got;
			MUST(send_all(fd, text, n));
			CHECK(poll(&p, 1, 5000) == 1, "no answer");
			got = recv(fd, buf, sizeof(buf), 0);
			CHECK(got > 12 && memcmp(buf, "HTTP/1.1 200", 12) == 0,
			    "request %d", i);
		}
		close(fd);
	}
	return (test_ok("the limits hold"));
}
