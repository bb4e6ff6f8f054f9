// X4. A dial to a server that does not answer must not succeed. The poller looks at the
// socket before connect() is called and finds it hung up; connect() is held back here
// until it has.
// build: -Wl,--wrap=connect

#include "testutil.h"

int __real_connect(int, const struct sockaddr *, socklen_t);
int __wrap_connect(int, const struct sockaddr *, socklen_t);

static volatile bool hold;

int
__wrap_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	if (hold) {
		sleep_ms(20);
	}
	return (__real_connect(fd, sa, len));
}

// full_listener returns the port of a listener that has no room for a connection.
static int
full_listener(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t          len = sizeof(sin);
	int                lfd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(lfd, (void *) &sin, sizeof(sin)) == 0);
	MUST(listen(lfd, 0) == 0);
	MUST(getsockname(lfd, (void *) &sin, &len) == 0);
	for (int i = 0; i < 10; i++) {
		int           fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		struct pollfd p  = { fd, POLLOUT, 0 };

		(void) __real_connect(fd, (void *) &sin, sizeof(sin));
		if (poll(&p, 1, 200) == 0) {
			return (ntohs(sin.sin_port));
		}
	}
	MUST(!"the listener takes everything");
	return (-1);
}

int
main(void)
{
	nng_http_client *cli;
	op               o;
	int              rv;

	test_init();
	cli = client_open(full_listener(), false);
	op_init(&o);
	nng_aio_set_timeout(o.aio, 300);
	test_step = "dial";
	hold      = true;
	nng_http_client_connect(cli, op_start(&o));
	rv = op_wait(&o, 5000);
	CHECK(rv == NNG_ETIMEDOUT, "the dial ends with \"%s\"", nng_strerror(rv));
	return (test_ok("a dial waits for the server"));
}
