// Small writes on the HTTP connections of a server and of a client, plain and
// TLS, must not wait for the peer's acknowledgement of the ones before.

#include "testutil.h"

static void
hello_cb(nng_aio *aio)
{
	reply(aio, "hello", 5);
}

// nodelays counts the connected TCP sockets of this process, and those of them
// that have the option.
static void
nodelays(int *with, int *all)
{
	*with = *all = 0;
	for (int fd = 0; fd < 256; fd++) {
		struct sockaddr_storage ss;
		socklen_t               len = sizeof(ss);
		int                     on  = 0;
		if (getpeername(fd, (void *) &ss, &len) != 0 ||
		    ss.ss_family != AF_INET) {
			continue;
		}
		len = sizeof(on);
		MUST(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0);
		*all += 1;
		*with += (on != 0);
	}
}

int
main(void)
{
	test_init();
	for (int tls = 0; tls <= 1; tls++) {
		server           s;
		nng_http_client *cli;
		nng_http_conn *  conn;
		nng_http_req *   req;
		nng_http_res *   res;
		op               o;
		int              with, all;

		server_open(&s, tls);
		server_add(&s, "/", hello_cb);
		server_start(&s);
		cli  = client_open(s.port, tls);
		conn = client_connect(cli);
		req  = make_req(s.port, "/");
		MUST(nng_http_res_alloc(&res) == 0);
		op_init(&o);
		nng_http_conn_transact(conn, req, res, op_start(&o));
		MUST(op_wait(&o, 5000) == 0);
		MUST(nng_http_res_get_status(res) == 200);

		nodelays(&with, &all);
		MUST(all == 2 * (tls + 1)); // both ends are in this process
		CHECK(with == all, "only %d of %d sockets have TCP_NODELAY",
		    with, all);
	}
	return (test_ok("server and client have TCP_NODELAY"));
}
