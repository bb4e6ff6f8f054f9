// CL25. A connection can be closed while a transaction is under way on it, at each of its steps.
#include "answerutil.h"

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
	nng_http_client_free(client);
	return (test_ok("a close ends the transaction"));
}
