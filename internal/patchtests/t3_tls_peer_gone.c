// T3. A TLS peer goes away (FIN or RST, no close_notify) while nothing is
// queued on the connection. Later operations must still complete, with an
// error; bytes that were already decrypted must still be readable;
// nng_http_conn_close must return; the server must free its socket.

#include "testutil.h"

static char          body[12000];
static volatile bool in_slow, go_slow;

static void
fast_cb(nng_aio *aio)
{
	reply(aio, body, sizeof(body));
}

static void *
slow_main(void *arg)
{
	static char big[100000];
	while (!go_slow) {
		sleep_ms(1);
	}
	reply(arg, big, sizeof(big));
	return (NULL);
}

static void
slow_cb(nng_aio *aio)
{
	pthread_t t;
	in_slow = true;
	MUST(pthread_create(&t, NULL, slow_main, aio) == 0);
	pthread_detach(t);
}

static void
get(nng_http_conn *conn, int port, bool read_body, const char *path)
{
	op            o;
	nng_http_res *res;
	nng_http_req *req = make_req(port, path);
	char *        buf = malloc(sizeof(body));
	op_init(&o);
	MUST(nng_http_res_alloc(&res) == 0);
	nng_http_conn_write_req(conn, req, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	nng_http_conn_read_res(conn, res, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	MUST(nng_http_res_get_status(res) == 200);
	if (read_body) {
		op_buf(&o, buf, sizeof(body));
		nng_http_conn_read_all(conn, op_start(&o));
		MUST(op_wait(&o, 5000) == 0);
	}
	nng_aio_free(o.aio);
	nng_http_res_free(res);
	nng_http_req_free(req);
	free(buf);
}

static void
client_case(nng_http_client *cli, server *s, relay *r, int how, bool write)
{
	char *         buf  = calloc(1, 200000);
	nng_http_conn *conn = client_connect(cli);
	op             o;
	int            rv;
	op_init(&o);
	get(conn, s->port, true, "/fast");
	sleep_ms(50); // the read-ahead is waiting now
	relay_cut(r, how);
	sleep_ms(200); // the read-ahead saw the end
	if (write) {
		test_step = "write after the TLS peer has gone";
		op_buf(&o, buf, 200000);
		nng_http_conn_write_all(conn, op_start(&o));
		rv = op_wait(&o, 3000);
		CHECK(rv != -1, "%s (cut %d)", test_step, how);
		CHECK(rv != 0, "write reported as done after the peer has gone");
	} else {
		test_step = "read after the TLS peer has gone";
		op_buf(&o, buf, 100);
		nng_http_conn_read(conn, op_start(&o));
		rv = op_wait(&o, 3000);
		CHECK(rv != -1, "%s (cut %d)", test_step, how);
		CHECK(rv != 0, "read succeeded after the peer has gone");
		if (how == 1) {
			CHECK(rv == NNG_ECONNRESET, // see X11
			    "plain end of stream read as: %s",
			    nng_strerror(rv));
		}
	}
	test_step = "nng_http_conn_close after the TLS peer has gone";
	CHECK(conn_close_bounded(conn, 3000), "hangs: %s", test_step);
	nng_aio_free(o.aio);
	free(buf);
}

int
main(void)
{
	server           s;
	relay *          r;
	nng_http_client *cli;
	nng_http_conn *  conn;
	op               o;
	char *           buf = malloc(sizeof(body));
	int              rv, fds;

	test_init();
	for (size_t i = 0; i < sizeof(body); i++) {
		body[i] = (char) (i * 7 + i / 251);
	}
	server_open(&s, true);
	server_add(&s, "/fast", fast_cb);
	server_add(&s, "/slow", slow_cb);
	server_start(&s);

	for (int i = 0; i < 4; i++) {
		r   = relay_start(s.port);
		cli = client_open(r->port, true);
		client_case(cli, &s, r, 1 + i % 2, i >= 2);
		nng_http_client_free(cli);
	}

	// The end must not hide bytes that the engine has already decrypted.
	r    = relay_start(s.port);
	cli  = client_open(r->port, true);
	conn = client_connect(cli);
	op_init(&o);
	get(conn, s.port, false, "/fast");
	test_step = "read of the first bytes";
	op_buf(&o, buf, 10);
	nng_http_conn_read_all(conn, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	sleep_ms(50);
	relay_cut(r, 1);
	sleep_ms(200);
	test_step = "read of decrypted bytes after the end";
	op_buf(&o, buf + 10, sizeof(body) - 10);
	nng_http_conn_read_all(conn, op_start(&o));
	rv = op_wait(&o, 3000);
	CHECK(rv == 0, "bytes before the end are lost: %d", rv);
	CHECK(memcmp(buf, body, sizeof(body)) == 0, "bytes differ");
	op_buf(&o, buf, 10);
	nng_http_conn_read(conn, op_start(&o));
	rv = op_wait(&o, 3000);
	CHECK(rv == NNG_ECONNRESET, "end after the bytes read as: %d", rv);
	CHECK(conn_close_bounded(conn, 3000), "hangs: nng_http_conn_close");
	nng_http_client_free(cli);

	// Server side: the peer resets the connection while the handler runs.
	sleep_ms(300);
	fds  = count_fds();
	r    = relay_start(s.port);
	cli  = client_open(r->port, true);
	conn = client_connect(cli);
	nng_http_req *req = make_req(s.port, "/slow");
	nng_http_conn_write_req(conn, req, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	while (!in_slow) {
		sleep_ms(1);
	}
	relay_cut(r, 2);
	close(r->lfd);
	sleep_ms(200);
	go_slow = true;
	CHECK(conn_close_bounded(conn, 3000), "hangs: nng_http_conn_close");
	nng_http_client_free(cli);
	for (int i = 0; i < 300 && count_fds() > fds; i++) {
		sleep_ms(10);
	}
	CHECK(count_fds() <= fds,
	    "the server keeps the socket of a TLS client that has gone");
	return (test_ok("operations after the end of a TLS peer complete"));
}
