// W9. The work for a WebSocket message is in proportion to its bytes, and it has a bound
// on its fragments.

#include "wsutil.h"

size_t __sanitizer_get_current_allocated_bytes(void);

static double
cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ((double) ts.tv_sec + (double) ts.tv_nsec / 1e9);
}

static nng_stream_listener *
msg_listen(int *port)
{
	nng_stream_listener *l;
	nng_sockaddr         sa;

	MUST(nng_stream_listener_alloc(&l, "ws://127.0.0.1:0/ws") == 0);
	MUST(nng_stream_listener_set_bool(l, "ws:msgmode", true) == 0);
	MUST(nng_stream_listener_listen(l) == 0);
	MUST(nng_stream_listener_get_addr(l, NNG_OPT_LOCADDR, &sa) == 0);
	*port = ntohs(sa.s_in.sa_port);
	return (l);
}

static nng_stream *
msg_accept(nng_stream_listener *l, int port, int *fd)
{
	char head[1000];
	op   o;

	op_init(&o);
	nng_stream_listener_accept(l, op_start(&o));
	*fd = ws_ask(port);
	ws_answer(*fd, head, sizeof(head));
	MUST(op_wait(&o, 5000) == 0);
	return (nng_aio_get_output(o.aio, 0));
}

// A writer sends first, then n times each, then last.
typedef struct {
	int         fd, n;
	const char *first, *each, *last;
	size_t      first_len, each_len, last_len;
} writer;

static void *
writer_main(void *arg)
{
	writer *w = arg;
	char    buf[60000];
	size_t  have = 0;

	send_all(w->fd, w->first, w->first_len);
	for (int i = 0; i < w->n; i++) {
		memcpy(buf + have, w->each, w->each_len);
		have += w->each_len;
		if ((have + w->each_len > sizeof(buf)) || (i == w->n - 1)) {
			if (!send_all(w->fd, buf, have)) {
				return (NULL);
			}
			have = 0;
		}
	}
	send_all(w->fd, w->last, w->last_len);
	return (NULL);
}

// close_code reads to the close frame.
static int
close_code(int fd)
{
	uint8_t f[4];

	for (size_t n = 0; n < sizeof(f);) {
		ssize_t got = recv(fd, f + n, sizeof(f) - n, 0);

		if (got <= 0) {
			return (-1);
		}
		n += (size_t) got;
	}
	return (f[0] == 0x88 ? (f[2] << 8) | f[3] : 0);
}

#define BYTES(b) b, sizeof(b) - 1

int
main(void)
{
	nng_stream_listener *l;
	nng_stream *         s;
	op                   r;
	int                  port, fd, rv;
	pthread_t            t;
	nng_msg *            msg;
	size_t               before, more;
	double               cpu;
	writer               w;

	test_init();
	op_init(&r);
	l = msg_listen(&port);

	test_step = "empty fragments without end";
	s         = msg_accept(l, port, &fd);
	nng_stream_recv(s, op_start(&r));
	cpu = cpu_s();
	w   = (writer){ .fd = fd, .n = 250000 };
	w.first = "\x02\x80\0\0\0\0", w.first_len = 6;
	w.each = "\x00\x80\0\0\0\0", w.each_len = 6;
	w.last = "", w.last_len = 0;
	MUST(pthread_create(&t, NULL, writer_main, &w) == 0);
	rv = op_wait(&r, 18000);
	cpu = cpu_s() - cpu;
	CHECK(rv != -1, "the message goes on forever");
	CHECK(rv != 0, "the message is delivered");
	CHECK(close_code(fd) == 1009, "the close code is another");
	printf("empty fragments: %.2f s of CPU\n", cpu);
	CHECK(cpu < 10, "%.1f s of CPU for the fragments", cpu);
	pthread_join(t, NULL);
	nng_stream_free(s);
	close(fd);

	// Many small ones are allowed, and are bytes, no more.
	test_step = "a message of small fragments";
	s         = msg_accept(l, port, &fd);
	nng_stream_recv(s, op_start(&r));
	before = __sanitizer_get_current_allocated_bytes();
	w      = (writer){ .fd = fd, .n = 60000 };
	w.first = "\x02\x80\0\0\0\0", w.first_len = 6;
	w.each = "\x00\x83\0\0\0\0abc", w.each_len = 9;
	w.last = "\x89\x80\0\0\0\0", w.last_len = 6; // a ping, whose pong tells how far it got
	MUST(pthread_create(&t, NULL, writer_main, &w) == 0);
	{
		uint8_t pong[2];

		MUST(recv(fd, pong, 2, MSG_WAITALL) == 2);
		MUST(pong[0] == 0x8a);
	}
	pthread_join(t, NULL);
	more = __sanitizer_get_current_allocated_bytes() - before;
	printf("180000 bytes in fragments of 3: %zu bytes of memory\n", more);
	CHECK(more < 1000000, "%zu bytes of memory for a message of 180000", more);
	MUST(send_all(fd, "\x80\x83\0\0\0\0xyz", 9));
	CHECK(op_wait(&r, 5000) == 0, "the message does not come");
	msg = nng_aio_get_msg(r.aio);
	CHECK(nng_msg_len(msg) == 180003, "the message has %zu bytes", nng_msg_len(msg));
	for (size_t i = 0; i < 180000; i++) {
		CHECK(((char *) nng_msg_body(msg))[i] == "abc"[i % 3], "byte %zu is another", i);
	}
	CHECK(memcmp((char *) nng_msg_body(msg) + 180000, "xyz", 3) == 0, "the end is another");
	nng_msg_free(msg);

	test_step = "the limit for messages";
	nng_stream_recv(s, op_start(&r));
	w       = (writer){ .fd = fd, .n = 40 };
	char *big = calloc(1, 65536 + 14);
	memcpy(big, "\x00\xff\0\0\0\0\0\1\0\0\0\0\0\0", 14); // 65536 bytes
	w.first = "\x02\x80\0\0\0\0", w.first_len = 6;
	w.each = big, w.each_len = 65536 + 14;
	w.last = "", w.last_len = 0;
	w.n    = 0;
	send_all(fd, w.first, w.first_len);
	for (int i = 0; i < 17; i++) {
		if (!send_all(fd, big, w.each_len)) {
			break;
		}
	}
	CHECK(close_code(fd) == 1009, "more than the limit is taken");
	CHECK(op_wait(&r, 5000) > 0, "more than the limit is delivered");
	nng_stream_free(s);
	close(fd);

	test_step = "control frames";
	for (int i = 0; i < 2; i++) {
		s = msg_accept(l, port, &fd);
		nng_stream_recv(s, op_start(&r));
		if (i == 0) { // a ping of 126 bytes, of which only the head is sent
			MUST(send_all(fd, "\x89\xfe\0\x7e\0\0\0\0", 8));
		} else { // a ping that is a fragment
			MUST(send_all(fd, "\x09\x80\0\0\0\0", 6));
		}
		CHECK(close_code(fd) == 1002, "a wrong control frame is taken");
		MUST(op_wait(&r, 5000) > 0);
		nng_stream_free(s);
		close(fd);
	}
	nng_stream_listener_free(l);
	return (test_ok("fragments cost what their bytes do"));
}
