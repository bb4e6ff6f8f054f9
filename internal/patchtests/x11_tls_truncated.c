// X11. A body that ends with the connection is complete only if TLS says that this is the
// end. If the connection just ends, as anybody on the way can make it, that is an error; so
// it is for who reads, also before the handshake.

#include "testutil.h"

static const char   answer[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf";
static volatile int written;

// half_cb sends a part of a body.  For /all the server closes after it.
static void
half_cb(nng_aio *aio)
{
	nng_http_req * req  = nng_aio_get_input(aio, 0);
	nng_http_conn *conn = nng_aio_get_input(aio, 2);
	op             o;

	op_init(&o);
	op_buf(&o, (void *) answer, strlen(answer));
	nng_http_conn_write_all(conn, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	nng_aio_free(o.aio);
	written++;
	if (strcmp(nng_http_req_get_uri(req), "/all") == 0) {
		nng_aio_finish(aio, NNG_ECLOSED);
	}
}

// transact returns the result of a transaction, through a relay that is cut in the middle.
static int
transact(int port, const char *path, bool cut)
{
	relay *          r   = relay_start(port);
	nng_http_client *cli = client_open(r->port, true);
	nng_http_req *   req = make_req(r->port, path);
	nng_http_res *   res;
	op               o;
	void *           data;
	size_t           size;
	int              rv, before = written;

	MUST(nng_http_res_alloc(&res) == 0);
	op_init(&o);
	nng_http_client_transact(cli, req, res, op_start(&o));
	while (written == before) {
		sleep_ms(1);
	}
	if (cut) {
		sleep_ms(300); // until that has gone through
		relay_cut(r, 1);
	}
	rv = op_wait(&o, 5000);
	if (rv == 0) {
		nng_http_res_get_data(res, &data, &size);
		CHECK(size == 4 && memcmp(data, "half", 4) == 0, "another body");
	}
	nng_aio_free(o.aio);
	nng_http_res_free(res);
	nng_http_req_free(req);
	nng_http_client_free(cli);
	return (rv);
}

// handshake_cut returns what a read says when TCP ends in the handshake.
static int
handshake_cut(void)
{
	nng_stream_dialer *d;
	nng_stream *       s;
	char               url[64];
	char               buf[4096];
	int                port, lfd = tcp_listen(&port), fd, rv;
	op                 o;

	(void) snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%d", port);
	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	op_init(&o);
	nng_stream_dialer_dial(d, op_start(&o));
	MUST((fd = accept(lfd, NULL, NULL)) >= 0);
	MUST(op_wait(&o, 5000) == 0);
	s = nng_aio_get_output(o.aio, 0);
	op_buf(&o, buf, 8);
	o.done = false;
	nng_stream_recv(s, o.aio);
	MUST(recv(fd, buf + 8, sizeof(buf) - 8, 0) > 0); // ClientHello
	close(fd);
	rv = op_wait(&o, 5000);
	nng_aio_free(o.aio);
	nng_stream_free(s);
	nng_stream_dialer_free(d);
	close(lfd);
	return (rv);
}

int
main(void)
{
	server s;
	int    rv;

	test_init();
	server_open(&s, true);
	server_add(&s, "/half", half_cb);
	server_add(&s, "/all", half_cb);
	server_start(&s);
	test_step = "a body whose end TLS tells";
	rv        = transact(s.port, "/all", false);
	CHECK(rv == 0, "the transaction ends with %s", nng_strerror(rv));
	test_step = "a body that is cut";
	rv        = transact(s.port, "/half", true);
	CHECK(rv == NNG_ECONNRESET, "the transaction ends with %d, %s", rv, nng_strerror(rv));
	test_step = "a handshake that is cut";
	rv        = handshake_cut();
	CHECK(rv == NNG_ECONNRESET, "a read ends with %d, %s", rv, nng_strerror(rv));
	return (test_ok("half a body is an error"));
}
