// CL23 (part). A peer that ends a TLS connection properly, with close_notify,
// is an ordinary end of stream: readers get NNG_ECONNSHUT, and a second read
// must not wait forever while the peer keeps its TCP side open.

#include "testutil.h"

static void
cb(nng_aio *aio)
{
	nng_http_res *res;
	MUST(nng_http_res_alloc(&res) == 0);
	MUST(nng_http_res_set_header(res, "Connection", "close") == 0);
	MUST(nng_http_res_copy_data(res, "hello", 5) == 0);
	nng_aio_set_output(aio, 0, res);
	nng_aio_finish(aio, 0);
}

int
main(void)
{
	server           s;
	relay *          r;
	nng_http_client *cli;
	nng_http_conn *  conn;
	nng_http_req *   req;
	nng_http_res *   res;
	op               o;
	char             buf[64];
	int              rv;

	test_init();
	op_init(&o);
	server_open(&s, true);
	server_add(&s, "/", cb);
	server_start(&s);
	r    = relay_start(s.port);
	cli  = client_open(r->port, true);
	conn = client_connect(cli);
	req  = make_req(s.port, "/");
	MUST(nng_http_res_alloc(&res) == 0);
	nng_http_conn_write_req(conn, req, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	nng_http_conn_read_res(conn, res, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	op_buf(&o, buf, 5);
	nng_http_conn_read_all(conn, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	sleep_ms(300); // close_notify and FIN have come
	for (int i = 0; i < 2; i++) {
		test_step = "read after close_notify";
		op_buf(&o, buf, sizeof(buf));
		nng_http_conn_read(conn, op_start(&o));
		rv = op_wait(&o, 3000);
		CHECK(rv != -1, "hangs: %s", test_step);
		CHECK((rv == NNG_ECONNSHUT) || (i == 1 && rv == NNG_ECLOSED),
		    "end of stream read as: %s", nng_strerror(rv));
	}
	CHECK(conn_close_bounded(conn, 3000), "hangs: nng_http_conn_close");
	return (test_ok("close_notify reads as NNG_ECONNSHUT"));
}
