// CL17. A TLS read or write is cancelled, or times out, while the handshake
// waits for the peer. The operation must end, its buffer must never be touched
// again, nng_http_conn_close must return, and no thread of the library may stay
// blocked.

#include "testutil.h"

static volatile int hits;

static void
cb(nng_aio *aio)
{
	hits++;
	reply(aio, "x", 1);
}

#define NPAR 16

int
main(int argc, char **argv)
{
	server           s;
	relay *          r;
	nng_http_client *cli;
	nng_http_conn *  conn;
	op               o, o2, par[NPAR];
	char *           buf;
	const char *     text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	int              rv, port;

	test_init();
	op_init(&o);
	op_init(&o2);

	if ((argc > 1) && (argv[1][0] == 'D')) {
		goto part_d; // the use after free alone
	}

	// A: a silent peer; a write that times out, then close.
	port = sink_start();
	for (int i = 0; i < 3; i++) {
		cli  = client_open(port, true);
		conn = client_connect(cli);
		buf  = calloc(1, 1000);
		op_buf(&o, buf, 1000);
		nng_aio_set_timeout(o.aio, 200);
		test_step = "write to a silent TLS peer";
		if (i == 0) {
			nng_http_conn_write_all(conn, op_start(&o));
		} else if (i == 1) {
			nng_http_conn_read(conn, op_start(&o));
		} else {
			nng_http_conn_write_all(conn, op_start(&o));
			op_buf(&o2, buf, 1000);
			nng_http_conn_read(conn, op_start(&o2));
		}
		rv = op_wait(&o, 3000);
		CHECK(rv == NNG_ETIMEDOUT, "timeout reported as %d", rv);
		test_step = "nng_http_conn_close after a cancelled handshake";
		CHECK(conn_close_bounded(conn, 3000), "hangs: %s", test_step);
		if (i == 2) {
			rv = op_wait(&o2, 3000);
			CHECK(rv > 0, "the pending read ended with %d", rv);
		}
		free(buf);
		nng_http_client_free(cli);
	}

	// B: close with a write pending in the handshake, nothing cancelled.
	cli  = client_open(port, true);
	conn = client_connect(cli);
	nng_aio_set_timeout(o.aio, NNG_DURATION_INFINITE);
	buf = calloc(1, 1000);
	op_buf(&o, buf, 1000);
	nng_http_conn_write_all(conn, op_start(&o));
	sleep_ms(100);
	test_step = "nng_http_conn_close with a write in the handshake";
	CHECK(conn_close_bounded(conn, 3000), "hangs: %s", test_step);
	rv = op_wait(&o, 3000);
	CHECK(rv > 0, "the pending write ended with %d", rv);
	free(buf);
	nng_http_client_free(cli);

	// C: more transactions than the library has threads, all time out.
	cli = client_open(port, true);
	for (int i = 0; i < NPAR; i++) {
		nng_http_res *res;
		MUST(nng_http_res_alloc(&res) == 0);
		op_init(&par[i]);
		nng_aio_set_timeout(par[i].aio, 500);
		nng_http_client_transact(
		    client_open(port, true), make_req(port, "/"), res,
		    op_start(&par[i]));
	}
	for (int i = 0; i < NPAR; i++) {
		test_step = "transact with a silent TLS peer";
		rv        = op_wait(&par[i], 5000);
		CHECK(rv == NNG_ETIMEDOUT, "transact ended with %d", rv);
	}
	test_step = "sleep after the transactions (threads are stuck)";
	nng_sleep_aio(10, op_start(&o));
	CHECK(op_wait(&o, 3000) == 0, "hangs: %s", test_step);

	// D: the handshake ends after the write was cancelled and its buffer
	// freed: the buffer must not be read, and its bytes must not be sent.
part_d:
	server_open(&s, true);
	server_add(&s, "/", cb);
	server_start(&s);
	r            = relay_start(s.port);
	r->hold_down = true;
	cli          = client_open(r->port, true);
	conn         = client_connect(cli);
	buf          = strdup(text);
	op_buf(&o, buf, strlen(text));
	nng_http_conn_write_all(conn, op_start(&o));
	sleep_ms(100);
	nng_aio_cancel(o.aio);
	rv = op_wait(&o, 3000);
	CHECK(rv == NNG_ECANCELED, "cancel reported as %d", rv);
	memset(buf, 'Z', strlen(text));
	free(buf);
	r->hold_down = false; // the handshake goes on
	sleep_ms(500);
	CHECK(hits == 0, "bytes of a cancelled write were sent");
	CHECK(conn_close_bounded(conn, 3000), "hangs: nng_http_conn_close");
	return (test_ok("cancelled TLS operations end and leave nothing behind"));
}
