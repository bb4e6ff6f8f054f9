// S16. Who reads slowly, but steadily, gets the whole answer, although the system
// has so much room for it that it takes no more for a long time.

#include "limits.h"

#define LIMIT 600
#define SIZE (16 << 20)

static char large[SIZE];

static void
large_cb(nng_aio *aio)
{
	reply(aio, large, sizeof(large));
}

int
main(void)
{
	server   s;
	int      fd;
	char     buf[65536];
	size_t   n = 0;
	uint64_t start;

	test_init();
	alarm(60);
	server_open(&s, false);
	server_add(&s, "/", large_cb);
	set_limits(&s, LIMIT, LIMIT, LIMIT, LIMIT, 0);
	server_start(&s);

	test_step = "a slow reader";
	fd        = tcp_connect(s.port, 65536);
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	// For ten times the limit at most 64 KiB at a time; then all that is left.
	start = now_ms();
	while (n < SIZE) {
		ssize_t got = recv(fd, buf, sizeof(buf), 0);
		CHECK(got > 0, "cut after %zu bytes and %d ms", n, (int) (now_ms() - start));
		n += (size_t) got;
		if (now_ms() - start < 10 * LIMIT) {
			sleep_ms(200);
		}
	}
	CHECK(now_ms() - start > 5 * LIMIT, "BROKEN TEST: the answer did not wait");
	CHECK(stat_of(&s, STAT_WRITE) == 0, "counted as not reading");
	return (test_ok("all of it has come"));
}
