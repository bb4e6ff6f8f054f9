// W15. There is a bound on the WebSocket connections that nobody has accepted.

#include "wsutil.h"

#include <sys/resource.h>

#define CLIENTS 5000

// status asks for a WebSocket and returns the status of the answer. The client goes then,
// which the listener does not see.
static int
status(int port)
{
	char   buf[20];
	size_t n  = 0;
	int    fd = ws_ask(port);

	while (n < 12) {
		ssize_t got = recv(fd, buf + n, 12 - n, 0);

		MUST(got > 0);
		n += (size_t) got;
	}
	close(fd);
	buf[12] = '\0';
	return (atoi(buf + 9));
}

int
main(void)
{
	struct rlimit        lim;
	nng_stream_listener *l;
	op                   o;
	int                  port, n;

	test_init();
	MUST(getrlimit(RLIMIT_NOFILE, &lim) == 0);
	lim.rlim_cur = CLIENTS + 100;
	MUST(lim.rlim_max >= lim.rlim_cur && setrlimit(RLIMIT_NOFILE, &lim) == 0);
	l         = ws_listen(&port);
	test_step = "clients that nobody accepts";
	for (n = 0; n < CLIENTS; n++) {
		int got = status(port);

		if (got == 503) {
			break;
		}
		MUST(got == 101);
	}
	CHECK(n < CLIENTS, "%d connections wait", n);
	CHECK(n >= 1024, "%d connections only may wait", n);

	// An accept makes room for one.
	test_step = "accept";
	op_init(&o);
	nng_stream_listener_accept(l, op_start(&o));
	CHECK(op_wait(&o, 5000) == 0, "no connection is accepted");
	nng_stream_free(nng_aio_get_output(o.aio, 0));
	CHECK(status(port) == 101, "there is no room after an accept");
	CHECK(status(port) == 503, "there is room for more than one");
	nng_stream_listener_free(l);
	return (test_ok("what waits has a bound"));
}
