// W23. A connection that nobody accepts ends when the time of the listener is over, and not
// before; without such a time it waits, as in nng as published.

#include "wsutil.h"

#define PENDING_TIME "ws:pending-time"
#define TIME 600
#define GONE 50

static void
set_time(nng_stream_listener *l, nng_duration ms)
{
	int rv = nng_stream_listener_set_ms(l, PENDING_TIME, ms);

	CHECK(rv == 0, "a listener has no time for what waits: %s", nng_strerror(rv));
}

// join makes a connection that waits for an accept.
static int
join(int port)
{
	char head[1000];
	int  fd = ws_ask(port);

	ws_answer(fd, head, sizeof(head));
	sleep_ms(20); // the listener has yet to see that the answer is out
	return (fd);
}

static bool
readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return (poll(&p, 1, ms) == 1);
}

// closed waits for a close frame and the end.
static void
closed(int fd, int ms)
{
	uint8_t buf[4];

	CHECK(readable(fd, ms), "a connection that nobody accepts stays");
	CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4 && memcmp(buf, "\x88\x02\x03\xe9", 4) == 0,
	    "a connection ends without a close frame");
	CHECK(readable(fd, 1000) && recv(fd, buf, 1, 0) == 0, "a connection stays after its close");
	close(fd);
}

// talks sends a message to a peer.
static void
talks(nng_stream *s, int fd)
{
	char msg[2] = "hi", got[4];
	op   o;

	op_init(&o);
	op_buf(&o, msg, 2);
	nng_stream_send(s, op_start(&o));
	CHECK(op_wait(&o, 2000) == 0, "an accepted connection does not work");
	CHECK(recv(fd, got, 4, MSG_WAITALL) == 4 && memcmp(got, "\x82\x02hi", 4) == 0,
	    "an accepted connection gets something else");
	nng_aio_free(o.aio);
}

static nng_stream *
accepted(nng_stream_listener *l)
{
	nng_stream *s;
	op          o;

	op_init(&o);
	nng_stream_listener_accept(l, op_start(&o));
	CHECK(op_wait(&o, 2000) == 0, "no connection is accepted");
	s = nng_aio_get_output(o.aio, 0);
	nng_aio_free(o.aio);
	return (s);
}

int
main(void)
{
	nng_stream_listener *l;
	nng_stream *         s;
	int                  port, other, fds, a, b, c;
	op                   o;

	test_init();
	test_step = "what waits";
	l         = ws_listen(&port);
	set_time(l, TIME);
	a = join(port);
	sleep_ms(TIME / 2);
	b = join(port);
	c = join(port);
	closed(a, TIME);
	CHECK(!readable(b, 0), "a connection ends before its time");
	s = accepted(l);
	closed(c, TIME);
	talks(s, b);
	nng_stream_free(s);
	close(b);

	test_step = "an accept waits";
	op_init(&o);
	nng_stream_listener_accept(l, op_start(&o));
	a = join(port);
	CHECK(op_wait(&o, 2000) == 0, "an accept that waits gets nothing");
	s = nng_aio_get_output(o.aio, 0);
	sleep_ms(TIME + 200);
	talks(s, a);
	nng_stream_free(s);
	close(a);

	test_step = "peers that have left";
	sleep_ms(200);
	fds = count_fds();
	for (int i = 0; i < GONE; i++) {
		char head[1000];

		a = ws_ask(port);
		ws_answer(a, head, sizeof(head));
		close(a);
	}
	sleep_ms(50);
	CHECK(count_fds() >= fds + GONE, "connections end before their time");
	sleep_ms(TIME + 400);
	CHECK(count_fds() <= fds, "%d descriptors of peers that have left stay",
	    count_fds() - fds);

	// As published, forever; and a time that is set later holds for those that wait.
	test_step = "no time";
	set_time(l, NNG_DURATION_INFINITE);
	a = join(port);
	set_time(l, 60000);
	b = join(port);
	set_time(l, 0);
	sleep_ms(TIME + 200);
	CHECK(!readable(a, 0) && !readable(b, 0), "without a time a connection ends");
	s = accepted(l);
	talks(s, a);
	nng_stream_free(s);
	close(a);
	set_time(l, TIME);
	closed(b, 300);
	nng_stream_listener_free(l);

	test_step = "a listener without a time";
	l = ws_listen(&port);
	a = join(port);
	sleep_ms(TIME + 200);
	CHECK(!readable(a, 0), "as published, what waits stays");
	s = accepted(l);
	talks(s, a);
	nng_stream_free(s);
	close(a);
	nng_stream_listener_free(l);

	test_step = "an accept, a close, a free or a change when the time is over";
	for (int i = 0; i < 60; i++) {
		l = ws_listen(&other);
		set_time(l, 30);
		for (int k = 0; k < 5; k++) {
			close(ws_ask(other));
		}
		a = join(other);
		spin_us(8000 + i / 4 * 250);
		if (i % 4 == 0) {
			nng_stream_listener_accept(l, op_start(&o));
			sleep_us(i * 10);
			nng_aio_cancel(o.aio);
			if (op_wait(&o, 2000) == 0) {
				nng_stream_free(nng_aio_get_output(o.aio, 0));
			}
		} else if (i % 4 == 1) {
			nng_stream_listener_close(l);
			set_time(l, 1);
		} else if (i % 4 == 2) {
			set_time(l, 1 + i % 8);
		}
		nng_stream_listener_free(l);
		close(a);
	}
	nng_aio_free(o.aio);
	sleep_ms(300);
	return (test_ok("what waits has its time"));
}
