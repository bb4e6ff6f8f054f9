// CL25. A connection can be closed while a transaction is under way on it, at each of its steps.
#include "answerutil.h"

static nng_http_conn *volatile told;
static volatile bool           over;
static nng_aio *               aio;

static void
close_cb(void *arg)
{
	(void) arg;
	nng_http_conn_close(told);
	over = true;
}

// close_when_told closes the connection in the callback of a transaction that has no time at all.
static void
close_when_told(nng_http_client *client, nng_http_req *req)
{
	nng_http_res *res;

	MUST(nng_http_res_alloc(&res) == 0);
	MUST(nng_aio_alloc(&aio, close_cb, NULL) == 0);
	nng_aio_set_timeout(aio, 0);
	told = client_connect(client);
	over = false;
	nng_http_conn_transact(told, req, res, aio);
	while (!over) {
		sleep_us(50);
	}
	nng_aio_free(aio);
	nng_http_res_free(res);
}

int
main(void)
{
	int              port   = answer_start();
	nng_http_client *client = client_open(port, false);
	op               o;

	test_init();
	op_init(&o);
	stay      = true;
	test_step = "a close during a transaction";
	for (int i = 0; i < 2000; i++) {
		nng_http_conn *conn = client_connect(client);
		nng_http_req * req  = make_req(port, "/");
		nng_http_res * res;
		int            rv;

		MUST(nng_http_res_alloc(&res) == 0);
		// Neither comes to an end, so that something is always under way.
		answer = (i % 2) ? "HTTP/1.1 103 Early Hints\r\n\r\n"
		                 : "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
		nng_http_conn_transact(conn, req, res, op_start(&o));
		sleep_us(i % 300);
		nng_http_conn_close(conn);
		rv = op_wait(&o, 5000);
		CHECK(rv > 0, "the transaction ends with %d", rv);
		nng_http_res_free(res);
		nng_http_req_free(req);
	}
	test_step = "a close by who is told that there was no time";
	{
		int              sink = sink_start();
		nng_http_client *deaf = client_open(sink, false);
		nng_http_req *   req  = make_req(sink, "/");

		for (int i = 0; i < 1000; i++) {
			close_when_told(deaf, req);
		}
		nng_http_req_free(req);
		nng_http_client_free(deaf);
	}
	nng_http_client_free(client);
	return (test_ok("a close ends the transaction"));
}
