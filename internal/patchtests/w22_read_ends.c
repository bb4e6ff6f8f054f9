// W22. A receive from a WebSocket ends when a send has failed, also if a frame that completes no
// receive has just been read.
// build: -Wl,--wrap=nni_aio_alloc -Wl,--wrap=nni_http_read_full

#include "callutil.h"
#include "wsutil.h"

void __real_nni_http_read_full(nng_http_conn *, nng_aio *);
void __wrap_nni_http_read_full(nng_http_conn *, nng_aio *);

static nng_aio *volatile reading; // what a WebSocket reads with
static volatile int  hold;        // which of its callbacks is to be held, from 1 on
static volatile bool held;

static void
before_callback(nng_aio *aio)
{
	if (aio == reading && hold > 0 && --hold == 0) {
		held = true;
		while (held) {
			sleep_ms(1);
		}
	}
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
