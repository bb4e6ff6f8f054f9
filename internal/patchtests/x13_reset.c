// X13. Who reads gets the bytes that came before a reset, and learns that it was one, not an
// end; so does who has only learned of it by writing, over TLS and with HTTP, too.

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

#define BODY 40000

static char body[BODY];

// early_cb answers before it has read the body of the request.
static void
early_cb(nng_aio *aio)
{
	static const char head[] = "HTTP/1.1 413 Too much\r\nContent-Length: 40000\r\n\r\n";
	nng_http_conn *   conn   = nng_aio_get_input(aio, 2);
	op                o;

	op_init(&o);
	op_buf(&o, (void *) head, strlen(head));
	nng_http_conn_write_all(conn, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	o.done = false;
	op_buf(&o, body, sizeof(body));
	nng_http_conn_write_all(conn, o.aio);
	(void) op_wait(&o, 5000);
	nng_aio_free(o.aio);
	nng_aio_finish(aio, NNG_ECLOSED);
}

// early has a response of which the head has been read when a write meets the reset.
static void
early(server *s, bool secure)
{
	relay *          rl  = relay_start(s->port);
	nng_http_client *cli = client_open(rl->port, secure);
	nng_http_req *   req = make_req(rl->port, "/early");
	nng_http_conn *  conn;
	nng_http_res *   res;
	op               w, r;
	int              rv;

	MUST(nng_http_res_alloc(&res) == 0);
	op_init(&w);
	op_init(&r);
	conn = client_connect(cli);
	nng_http_conn_write_req(conn, req, op_start(&w));
	MUST(op_wait(&w, 5000) == 0);
	nng_http_conn_read_res(conn, res, op_start(&r));
	MUST(op_wait(&r, 5000) == 0);
	sleep_ms(100); // until the body has come
	relay_cut(rl, 2);
	do {
		w.done = false;
		op_buf(&w, body, 1000);
		nng_http_conn_write_all(conn, w.aio);
		rv = op_wait(&w, 5000);
		sleep_ms(10);
	} while (rv == 0);
	CHECK(rv == NNG_ECONNRESET || rv == NNG_ECONNSHUT || rv == NNG_ECLOSED,
	    "the write ends with %d, %s", rv, nng_strerror(rv));
	r.done = false;
	op_buf(&r, body, sizeof(body));
	nng_http_conn_read_all(conn, r.aio);
	rv = op_wait(&r, 5000);
	CHECK(rv == 0, "the body is lost: %d, %s", rv, nng_strerror(rv));
	r.done = false;
	op_buf(&r, body, 1);
	nng_http_conn_read(conn, r.aio);
	rv = op_wait(&r, 5000);
	// The server has ended it, too.
	CHECK(rv == NNG_ECONNRESET || rv == NNG_ECONNSHUT, "then reading ends with %d, %s", rv,
	    nng_strerror(rv));
	nng_http_conn_close(conn);
	nng_aio_free(w.aio);
	nng_aio_free(r.aio);
	nng_http_res_free(res);
	nng_http_req_free(req);
	nng_http_client_free(cli);
}

// handshake_reset says what a read makes of a peer that ends its side and resets the connection
// before it has said anything of TLS: -1 if the dial noticed first.
static int
handshake_reset(void)
{
	nng_stream_dialer *d;
	nng_stream *       stream;
	char               url[64], buf[16];
	int                own, lfd = tcp_listen(&own), fd, rv;
	op                 o;

	(void) snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%d", own);
	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	op_init(&o);
	nng_stream_dialer_dial(d, op_start(&o));
	MUST((fd = accept(lfd, NULL, NULL)) >= 0);
	(void) shutdown(fd, SHUT_WR);
	close_rst(fd);
	close(lfd);
	if ((rv = op_wait(&o, 5000)) != 0) {
		MUST(rv != -1);
		rv = -1;
	} else {
		stream = nng_aio_get_output(o.aio, 0);
		op_buf(&o, buf, sizeof(buf));
		nng_stream_recv(stream, op_start(&o));
		MUST((rv = op_wait(&o, 5000)) != -1);
		nng_stream_free(stream);
	}
	nng_stream_dialer_free(d);
	nng_aio_free(o.aio);
	return (rv);
}

int
main(void)
{
	static char big[1 << 22];
	server      s;
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
			CHECK(rv == NNG_ECONNRESET,
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
		CHECK(rv == NNG_ECONNRESET,
		    "the reset looks like %d, %s", rv, nng_strerror(rv));
		nng_aio_free(w.aio);
		end(s, &r);
	}
	test_step = "a reset in the handshake of TLS";
	for (int i = 0; i < 40; i++) {
		rv = handshake_reset();
		CHECK(rv == -1 || rv == NNG_ECONNRESET, "the reset looks like %d, %s", rv, nng_strerror(rv));
	}
	for (int secure = 0; secure < 2; secure++) {
		test_step = secure ? "an early answer, over TLS" : "an early answer";
		server_open(&s, secure);
		server_add(&s, "/early", early_cb);
		server_start(&s);
		for (int i = 0; i < 5; i++) {
			early(&s, secure);
		}
	}
	return (test_ok("nothing that came is lost, and a reset is a reset"));
}
