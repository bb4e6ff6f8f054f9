// S15. A server that can't accept, because the process has no file descriptor
// left, must not keep a CPU busy, and must go on when there is one again.

#include "testutil.h"

#include <sys/resource.h>

static void
hello_cb(nng_aio *aio)
{
	reply(aio, "hello", 5);
}

static long
cpu_ms(void)
{
	struct timespec ts;
	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == 0);
	return ((long) ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

// get asks over a connection that is open already.
static void
get(int fd)
{
	static const char ask[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	char              buf[1000];
	struct pollfd     p = { fd, POLLIN, 0 };
	ssize_t           n;

	MUST(send_all(fd, ask, sizeof(ask) - 1));
	CHECK(poll(&p, 1, 5000) == 1, "no answer");
	n = recv(fd, buf, sizeof(buf), 0);
	CHECK(n > 12 && memcmp(buf, "HTTP/1.1 200", 12) == 0, "no 200");
}

int
main(void)
{
	server        s;
	int           fd, fill[64], n = 0;
	long          used;
	struct rlimit lim;

	test_init();
	server_open(&s, false);
	server_add(&s, "/", hello_cb);
	server_start(&s);

	MUST(getrlimit(RLIMIT_NOFILE, &lim) == 0);
	lim.rlim_cur = 64;
	MUST(setrlimit(RLIMIT_NOFILE, &lim) == 0);
	while (n < 64 && (fill[n] = dup(0)) >= 0) {
		n++;
	}
	MUST(n > 1 && n < 64 && errno == EMFILE);
	close(fill[--n]);
	fd = tcp_connect(s.port, 0); // takes the last one

	test_step = "waiting without file descriptors";
	used      = cpu_ms();
	sleep_ms(500);
	used = cpu_ms() - used;

	while (n > 0) {
		close(fill[--n]);
	}
	CHECK(used < 100, "%ld ms of CPU in half a second", used);

	test_step = "accepting again";
	get(fd);
	for (int i = 0; i < 3; i++) {
		get(tcp_connect(s.port, 0));
	}
	return (test_ok("the server waits, and then accepts"));
}
