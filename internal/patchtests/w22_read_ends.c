// W22. A receive from a WebSocket ends when a send has failed, also if a frame that completes no
// receive has just been read.
// build: -Wl,--wrap=nni_aio_alloc -Wl,--wrap=nni_http_read_full

#include "wsutil.h"

int  __real_nni_aio_alloc(nng_aio **, void (*)(void *), void *);
int  __wrap_nni_aio_alloc(nng_aio **, void (*)(void *), void *);
void __real_nni_http_read_full(nng_http_conn *, nng_aio *);
void __wrap_nni_http_read_full(nng_http_conn *, nng_aio *);

// A call stands between an aio of the library and its callback.
typedef struct {
	nng_aio *aio;
	void (*cb)(void *);
	void *arg;
} call;

static nng_aio *volatile reading; // what a WebSocket reads with
static volatile int  hold;        // which of its callbacks is to be held, from 1 on
static volatile bool held;

static void
call_cb(void *arg)
{
	call *c = arg;

	if (c->aio == reading && hold > 0 && --hold == 0) {
		held = true;
		while (held) {
			sleep_ms(1);
		}
	}
	if (c->cb != NULL) {
		c->cb(c->arg);
	}
}

int
__wrap_nni_aio_alloc(nng_aio **aio, void (*cb)(void *), void *arg)
{
	call *c = calloc(1, sizeof(*c)); // as long as the process
	int   rv;

	c->cb  = cb;
	c->arg = arg;
	if ((rv = __real_nni_aio_alloc(aio, call_cb, c)) == 0) {
		c->aio = *aio;
	}
	return (rv);
}

void
__wrap_nni_http_read_full(nng_http_conn *conn, nng_aio *aio)
{
	reading = aio;
	__real_nni_http_read_full(conn, aio);
}

int
main(void)
{
	static char          big[1 << 22];
	nng_stream_listener *l;
	nng_stream *         s;
	char                 head[1000];
	int                  port, fd, rv;
	op                   o, w, r;

	test_init();
	l = ws_listen(&port);
	op_init(&o);
	op_init(&w);
	op_init(&r);
	nng_stream_listener_accept(l, op_start(&o));
	fd = ws_ask(port);
	ws_answer(fd, head, sizeof(head));
	MUST(op_wait(&o, 5000) == 0);
	s = nng_aio_get_output(o.aio, 0);

	op_buf(&r, head, sizeof(head));
	nng_stream_recv(s, op_start(&r));
	do {
		op_buf(&w, big, sizeof(big));
		nng_stream_send(s, op_start(&w));
	} while ((rv = op_wait(&w, 500)) == 0);
	MUST(rv == -1); // the peer takes no more

	test_step = "a ping is read, and a reset comes";
	hold      = 2; // its first two bytes, and its mask
	MUST(send_all(fd, "\x89\x80\0\0\0\0", 6));
	while (!held) {
		sleep_ms(1);
	}
	close_rst(fd);
	MUST(op_wait(&w, 5000) > 0);
	held = false;
	rv   = op_wait(&r, 5000);
	CHECK(rv > 0, "the receive ends with %d, though the connection has ended", rv);
	nng_stream_free(s);
	nng_stream_listener_free(l);
	return (test_ok("the receive ends with the connection"));
}
