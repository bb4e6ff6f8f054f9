// W21. A message of several fragments ends when its connection is closed, or it is cancelled,
// as one of them has been written and the next has not begun.
// build: -Wl,--wrap=nni_aio_alloc -Wl,--wrap=nni_http_write_full

#include "callutil.h"
#include "wsutil.h"

void __real_nni_http_write_full(nng_http_conn *, nng_aio *);
void __wrap_nni_http_write_full(nng_http_conn *, nng_aio *);

static nng_aio *volatile writing; // what a WebSocket writes with
static volatile int hold;         // how many of its callbacks are to be held
static volatile int held;
static volatile int let;

static void
before_callback(nng_aio *aio)
{
	if (aio == writing && held < hold) {
		int n = ++held;
		while (let < n) {
			sleep_ms(1);
		}
	}
}

void
__wrap_nni_http_write_full(nng_http_conn *conn, nng_aio *aio)
{
	writing = aio;
	__real_nni_http_write_full(conn, aio);
}

static nng_stream_listener *l;
static int                  port;

static nng_stream *
ws_open(int *fd, int n)
{
	struct timeval tv = { .tv_sec = 5 };
	char           head[1000];
	op             o;

	op_init(&o);
	nng_stream_listener_accept(l, op_start(&o));
	*fd = ws_ask(port);
	MUST(setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	ws_answer(*fd, head, sizeof(head));
	MUST(op_wait(&o, 5000) == 0);
	let  = 0;
	held = 0;
	hold = n;
	return (nng_aio_get_output(o.aio, 0));
}

static void
ws_send(nng_stream *s, op *o, size_t n)
{
	nng_msg *m;

	MUST(nng_msg_alloc(&m, n) == 0);
	nng_aio_set_msg(o->aio, m);
	nng_stream_send(s, op_start(o));
}

static void
await_held(int n)
{
	for (int i = 0; held < n; i++) {
		MUST(i < 5000);
		sleep_ms(1);
	}
}

// ends says whether the connection does, whatever comes before.
static bool
ends(int fd)
{
	char buf[4096];

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0) {
			return (n == 0 || errno == ECONNRESET);
		}
	}
}

int
main(void)
{
	nng_stream * s;
	nng_sockaddr sa;
	op           a, b;
	int          fd, rv;

	test_init();
	op_init(&a);
	op_init(&b);
	MUST(nng_stream_listener_alloc(&l, "ws://127.0.0.1:0/ws") == 0);
	MUST(nng_stream_listener_set_bool(l, "ws:msgmode", true) == 0);
	MUST(nng_stream_listener_set_size(l, NNG_OPT_WS_SENDMAXFRAME, 1000) == 0);
	MUST(nng_stream_listener_listen(l) == 0);
	MUST(nng_stream_listener_get_addr(l, NNG_OPT_LOCADDR, &sa) == 0);
	port = ntohs(sa.s_in.sa_port);

	// The close frame waits for the fragment, in vain: after 100 ms the end comes without.
	test_step = "a close";
	s         = ws_open(&fd, 1);
	ws_send(s, &a, 3000);
	await_held(1);
	ws_send(s, &b, 10);
	nng_stream_close(s);
	MUST(ends(fd));
	CHECK(op_wait(&b, 5000) == NNG_ECLOSED, "a message behind that does not end");
	let = 1;
	CHECK((rv = op_wait(&a, 5000)) == NNG_ECLOSED, "the message ends with %d", rv);
	nng_stream_free(s);
	close(fd);

	// As before, but freed at once.
	test_step = "a free";
	s         = ws_open(&fd, 1);
	ws_send(s, &a, 3000);
	await_held(1);
	nng_stream_free(s);
	MUST(ends(fd));
	let = 1;
	CHECK((rv = op_wait(&a, 5000)) == NNG_ECLOSED, "the message ends with %d", rv);
	close(fd);

	test_step = "a cancel between two fragments";
	s         = ws_open(&fd, 1);
	ws_send(s, &a, 3000);
	await_held(1);
	nng_aio_cancel(a.aio);
	let = 1;
	CHECK((rv = op_wait(&a, 5000)) == NNG_ECANCELED, "the message ends with %d", rv);
	CHECK(ends(fd), "the connection goes on with a part of a message");
	nng_stream_free(s);
	close(fd);

	test_step = "a cancel while another message is written";
	s         = ws_open(&fd, 2);
	ws_send(s, &a, 3000);
	await_held(1);
	ws_send(s, &b, 10);
	let = 1;
	await_held(2);
	nng_aio_cancel(a.aio);
	CHECK((rv = op_wait(&a, 5000)) == NNG_ECANCELED, "the message ends with %d", rv);
	CHECK(ends(fd), "the connection goes on with a part of a message");
	let = 2;
	CHECK(op_wait(&b, 5000) >= 0, "the other message does not end");
	nng_stream_free(s);
	nng_stream_listener_free(l);
	nng_fini();
	return (test_ok("every message ends"));
}
