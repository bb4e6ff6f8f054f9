// The limits of an HTTP server, private functions of the library that are bound
// weakly: a library without them fails the test, but links.
#ifndef LIMITS_H
#define LIMITS_H

#include "testutil.h"

extern void nni_http_server_set_limits(nng_http_server *, nng_duration head,
    nng_duration idle, nng_duration handshake, nng_duration write, int conns)
    __attribute__((weak));
extern int nni_http_server_stats(nng_http_server *, uint64_t *, int)
    __attribute__((weak));

enum {
	STAT_CONNS,
	STAT_HEAD,
	STAT_IDLE,
	STAT_HANDSHAKE,
	STAT_BODY,
	STAT_WRITE,
	STAT_REFUSED,
	STAT_NO_FILES,
	STAT_HEAD_TOO_LARGE,
	STAT_BODY_TOO_LARGE,
	STAT_BAD_REQUEST,
	STAT_N,
};

static inline void
set_limits(server *s, nng_duration head, nng_duration idle,
    nng_duration handshake, nng_duration write, int conns)
{
	CHECK(nni_http_server_set_limits != NULL, "no limits can be set");
	nni_http_server_set_limits(s->srv, head, idle, handshake, write, conns);
}

static inline uint64_t
stat_of(server *s, int which)
{
	uint64_t counts[STAT_N];

	MUST(nni_http_server_stats(s->srv, counts, STAT_N) >= STAT_N); // later patches add some
	return (counts[which]);
}

static inline void
say(int fd, const char *text)
{
	MUST(send_all(fd, text, strlen(text)));
}

static inline void
hello_cb(nng_aio *aio)
{
	reply(aio, "hello", 5);
}

// get asks for a path and reads the whole answer, which ends with "hello".
static inline void
get_hello(int fd)
{
	char    buf[1000];
	size_t  n = 0;
	ssize_t got;

	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	while (n < 5 || memcmp(buf + n - 5, "hello", 5) != 0) {
		got = recv(fd, buf + n, sizeof(buf) - n, 0);
		CHECK(got > 0, "%s: no answer", test_step);
		n += (size_t) got;
	}
	CHECK(memcmp(buf, "HTTP/1.1 200", 12) == 0, "no 200");
}

// wait_end waits until the server closes, and returns when that was, in ms
// from now; and counts the bytes that come before.
static inline uint64_t
wait_end(int fd, size_t *bytes)
{
	char     buf[4096];
	uint64_t start = now_ms();
	ssize_t  n;

	*bytes = 0;
	for (;;) {
		struct pollfd p = { fd, POLLIN, 0 };
		CHECK(poll(&p, 1, 10000) == 1, "%s: the connection stays", test_step);
		if ((n = recv(fd, buf, sizeof(buf), 0)) <= 0) {
			return (now_ms() - start);
		}
		*bytes += (size_t) n;
	}
}

// silent_end checks that the server closes without a word, and not too early.
static inline void
silent_end(int fd, uint64_t limit)
{
	size_t   bytes;
	uint64_t took = wait_end(fd, &bytes);

	CHECK(bytes == 0, "%s: %zu bytes came", test_step, bytes);
	CHECK(took + 50 >= limit, "%s: closed after %d ms", test_step, (int) took);
	close(fd);
}

#endif
