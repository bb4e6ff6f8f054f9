// X5. When the system can poll no more sockets a dial fails, and leaves no socket open; a
// server that cannot poll what it has accepted goes on.
// build: -Wl,--wrap=epoll_ctl

#include "testutil.h"

#include <sys/epoll.h>

int __real_epoll_ctl(int, int, int, struct epoll_event *);
int __wrap_epoll_ctl(int, int, int, struct epoll_event *);

static volatile bool full;

int
__wrap_epoll_ctl(int ep, int what, int fd, struct epoll_event *ev)
{
	if (full && (what == EPOLL_CTL_ADD)) {
		errno = ENOSPC;
		return (-1);
	}
	return (__real_epoll_ctl(ep, what, fd, ev));
}

static void
hello(nng_aio *aio)
{
	reply(aio, "hello", 5);
}

// dial starts a dial with a stream dialer and returns its result.
static int
dial(const char *url)
{
	nng_stream_dialer *d;
	op                 o;
	int                rv;

	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	op_init(&o);
	nng_stream_dialer_dial(d, op_start(&o));
	rv = op_wait(&o, 5000);
	nng_aio_free(o.aio);
	nng_stream_dialer_free(d);
	return (rv);
}

int
main(void)
{
	server s;
	char   url[64], buf[256];
	int    before, fd;

	test_init();
	server_open(&s, false);
	(void) server_add(&s, "/", hello);
	server_start(&s);
	(void) snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", s.port);

	before = count_fds();
	full   = true;
	for (int i = 0; i < 3; i++) {
		test_step = "dial";
		int rv    = dial(url);
		CHECK((rv != 0) && (rv != -1), "the dial ends with %d", rv);
		test_step = "dial ipc";
		rv        = dial("ipc:///nowhere/at/all");
		CHECK((rv != 0) && (rv != -1), "the dial ends with %d", rv);
	}
	CHECK(count_fds() == before, "%d sockets stay open", count_fds() - before);

	test_step = "accept";
	fd        = tcp_connect(s.port, 0);
	sleep_ms(50);
	full = false;
	close(fd);
	for (int i = 0;; i++) {
		fd = tcp_connect(s.port, 0);
		MUST(send_all(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27));
		struct pollfd p = { fd, POLLIN, 0 };
		if ((poll(&p, 1, 1000) == 1) && (recv(fd, buf, sizeof(buf), 0) > 0)) {
			break;
		}
		close(fd);
		CHECK(i < 5, "the server accepts nothing any more");
	}
	nng_http_server_release(s.srv);
	return (test_ok("a socket that cannot be polled is an error"));
}
