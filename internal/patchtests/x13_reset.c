// X13. Who reads gets the bytes that came before a reset, and learns that it was one, not an
// end; so does who has only learned of it by writing.

#include "testutil.h"

static int listener, port;

static nng_stream *
dial(int *peer)
{
	nng_stream_dialer *d;
	nng_stream        *s;
	char               url[64];
	op                 o;

	(void) snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	op_init(&o);
	nng_stream_dialer_dial(d, op_start(&o));
	MUST((*peer = accept(listener, NULL, NULL)) >= 0);
	MUST(op_wait(&o, 5000) == 0);
	s = nng_aio_get_output(o.aio, 0);
	nng_aio_free(o.aio);
	nng_stream_dialer_free(d);
	return (s);
}

static void
reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
	close(fd);
}

static void
end(nng_stream *s, op *o)
{
	nng_aio_free(o->aio);
	nng_stream_close(s);
	nng_stream_free(s);
}

int
main(void)
{
	static char big[1 << 22];
	char        buf[16];
	int         rv, peer;

	test_init();
	listener = tcp_listen(&port);

	test_step = "bytes and a reset, for who waits for them";
	for (int i = 0; i < 200; i++) {
		nng_stream *s = dial(&peer);
		op          o;

		op_init(&o);
		op_buf(&o, buf, sizeof(buf));
		nng_stream_recv(s, op_start(&o));
		MUST(write(peer, "abc", 3) == 3);
		reset(peer);
		rv = op_wait(&o, 5000);
		CHECK(rv == 0 && nng_aio_count(o.aio) == 3,
		    "the bytes of connection %d are lost: %s", i, nng_strerror(rv));
		for (int k = 0; k < 3; k++) {
			op_buf(&o, buf, sizeof(buf));
			nng_stream_recv(s, op_start(&o));
			rv = op_wait(&o, 5000);
			// Once it is noticed the connection may be closed here.
			CHECK(rv == NNG_ECONNRESET || (k > 0 && rv == NNG_ECLOSED),
			    "the reset looks like %d, %s", rv, nng_strerror(rv));
		}
		end(s, &o);
	}

	test_step = "a reset, while much is being sent";
	for (int i = 0; i < 20; i++) {
		nng_stream *s = dial(&peer);
		op          w, r;

		op_init(&w);
		op_init(&r);
		op_start(&w);
		do {
			w.done = false;
			op_buf(&w, big, sizeof(big));
			nng_stream_send(s, w.aio);
		} while (op_wait(&w, 100) == 0);
		MUST(write(peer, "abc", 3) == 3);
		reset(peer);
		rv = op_wait(&w, 5000);
		CHECK(rv != 0, "what nobody takes is sent");
		op_buf(&r, buf, sizeof(buf));
		nng_stream_recv(s, op_start(&r));
		rv = op_wait(&r, 5000);
		if (rv == 0) {
			op_buf(&r, buf, sizeof(buf));
			nng_stream_recv(s, op_start(&r));
			rv = op_wait(&r, 5000);
		}
		CHECK(rv == NNG_ECONNRESET || rv == NNG_ECLOSED,
		    "the reset looks like %d, %s", rv, nng_strerror(rv));
		nng_aio_free(w.aio);
		end(s, &r);
	}
	return (test_ok("nothing that came is lost, and a reset is a reset"));
}
