// W14. A WebSocket peer that sends pings and does not read costs no memory.

#include "wsutil.h"

size_t __sanitizer_get_current_allocated_bytes(void);

#define PINGS 100000

// flood sends pings of 125 bytes as far as they are taken.
static void *
flood(void *arg)
{
	int     fd       = (int) (intptr_t) arg;
	uint8_t ping[131] = { 0x89, 0x80 | 125 };

	for (int i = 0; i < PINGS; i++) {
		memset(ping + 6, i, 125);
		if (!send_all(fd, ping, sizeof(ping))) {
			break;
		}
	}
	return (NULL);
}

int
main(void)
{
	static const uint8_t message[] = { 0x82, 0x81, 0, 0, 0, 0, 'x' };
	nng_stream_listener *l;
	nng_stream *         s;
	op                   o, r;
	int                  port, fd, last = -1, pongs = 0;
	char                 head[1000], buf[10];
	uint8_t              frame[127];
	size_t               before, after, more;
	pthread_t            t;

	test_init();
	op_init(&o);
	op_init(&r);
	l = ws_listen(&port);
	nng_stream_listener_accept(l, op_start(&o));
	fd = ws_ask(port);
	ws_answer(fd, head, sizeof(head));
	MUST(op_wait(&o, 5000) == 0);
	s = nng_aio_get_output(o.aio, 0);
	op_buf(&r, buf, sizeof(buf));
	nng_stream_recv(s, op_start(&r));
	before = __sanitizer_get_current_allocated_bytes();

	test_step = "pings";
	MUST(pthread_create(&t, NULL, flood, (void *) (intptr_t) fd) == 0);
	pthread_join(t, NULL);
	MUST(send_all(fd, message, sizeof(message)));
	CHECK(op_wait(&r, 15000) == 0, "the message behind the pings does not come");
	after = __sanitizer_get_current_allocated_bytes();
	more  = (after > before) ? (after - before) : 0; // others free in the background
	CHECK(more < 1000000, "%zu bytes more for %d pings", more, PINGS);

	// When the peer reads, the last ping has an answer.
	test_step = "pongs";
	op_buf(&r, buf, sizeof(buf));
	nng_stream_recv(s, op_start(&r)); // so that the stream goes on
	while (last != (uint8_t) (PINGS - 1)) {
		size_t n = 0;

		while (n < sizeof(frame)) {
			ssize_t got = recv(fd, frame + n, sizeof(frame) - n, 0);

			CHECK(got > 0, "the connection ends after %d pongs", pongs);
			n += (size_t) got;
		}
		CHECK(frame[0] == 0x8a && frame[1] == 125, "that is no pong");
		last = frame[2];
		if (++pongs > PINGS) {
			break;
		}
	}
	printf("%d pongs for %d pings, %zu bytes\n", pongs, PINGS, more);
	return (test_ok("one pong waits"));
}
