// CL8. A transaction has a bound on the body, and costs memory and time in proportion to
// its bytes.

#include "answerutil.h"

size_t __sanitizer_get_current_allocated_bytes(void);

extern void nni_http_transact_conn_max(nng_http_conn *, nng_http_req *, nng_http_res *, size_t,
    nng_aio *) __attribute__((weak));
extern void nni_http_transact_max(nng_http_client *, nng_http_req *, nng_http_res *, size_t,
    nng_aio *) __attribute__((weak));

#define HEAD "HTTP/1.1 200 OK\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define TEN "0123456789"
#define MAX 100000

static const struct {
	const char *answer;
	const char *more;
	int         times;
	int         rv;
	size_t      size;
} tests[] = {
	{ HEAD "Content-Length: 100001\r\n\r\n", "", 0, NNG_EMSGSIZE, 0 },
	{ HEAD "Content-Length: 100000\r\n\r\n", TEN, 10000, 0, 100000 },
	{ HEAD "Content-Length: 4611686018427387904\r\n\r\n", "", 0, NNG_EMSGSIZE, 0 },
	{ HEAD "\r\n", TEN, 10000, 0, 100000 },
	{ HEAD "\r\nx", TEN, 10000, NNG_EMSGSIZE, 0 },
	{ HEAD "\r\nx", TEN, 1000000000, NNG_EMSGSIZE, 0 },
	{ CHUNKED "186a1\r\n", TEN, 10000, NNG_EMSGSIZE, 0 },
	{ CHUNKED "4000000000000000\r\n", "", 0, NNG_EMSGSIZE, 0 },
	{ CHUNKED, "a\r\n" TEN "\r\n", 1000000000, NNG_EMSGSIZE, 0 },
	{ CHUNKED, "0", 1000000000, NNG_EMSGSIZE, 0 },
	{ CHUNKED "5;", "x", 1000000000, NNG_EMSGSIZE, 0 },
	{ CHUNKED "0\r\n", "A: b\r\n", 1000000000, NNG_EMSGSIZE, 0 },
	{ HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "", 0, NNG_EPROTO, 0 },
};

static double
cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ((double) ts.tv_sec + (double) ts.tv_nsec / 1e9);
}

int
main(void)
{
	int              port   = answer_start();
	nng_http_client *client = client_open(port, false);
	nng_http_req *   req;
	nng_http_res *   res;
	void *           data;
	size_t           len, before, memory = 0;
	int              rv;
	double           cpu;
	op               o;

	test_init();
	op_init(&o);
	CHECK(nni_http_transact_max != NULL, "there is no bound");
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		for (int on_conn = 0; on_conn < 2; on_conn++) {
			nng_http_conn *conn = NULL;

			MUST(nng_http_res_alloc(&res) == 0);
			req        = make_req(port, "/");
			answer     = tests[i].answer;
			more       = tests[i].more;
			more_times = tests[i].times;
			test_step  = answer;
			if (on_conn) {
				conn = client_connect(client);
				nni_http_transact_conn_max(conn, req, res, MAX, op_start(&o));
			} else {
				nni_http_transact_max(client, req, res, MAX, op_start(&o));
			}
			rv = op_wait(&o, 10000);
			CHECK(rv == tests[i].rv, "the result is %d, with %zu: %s", rv, i, answer);
			nng_http_res_get_data(res, &data, &len);
			CHECK(len == tests[i].size, "%zu bytes with %s", len, answer);
			if (conn != NULL) {
				nng_http_conn_close(conn);
			}
			nng_http_res_free(res);
			nng_http_req_free(req);
		}
	}

	// Half a million chunks of one byte, of which the last is still to come, without a
	// bound. A buffer for each, of a hundred bytes, would be fifty millions.
	test_step  = "small chunks";
	answer     = CHUNKED;
	more       = "1\r\nx\r\n";
	more_times = 500000;
	stay       = true;
	req        = make_req(port, "/");
	MUST(nng_http_res_alloc(&res) == 0);
	before = __sanitizer_get_current_allocated_bytes();
	cpu    = cpu_s();
	nng_http_client_transact(client, req, res, op_start(&o));
	for (int still = 0; still < 10; still++) { // until it grows no more
		size_t now;

		MUST(op_wait(&o, 100) == -1);
		if ((now = __sanitizer_get_current_allocated_bytes() - before) > memory) {
			memory = now;
			still  = 0;
		}
	}
	cpu = cpu_s() - cpu;
	printf("500000 small chunks: %zu bytes, %.2f s of CPU\n", memory, cpu);
	CHECK(memory > 500000, "%zu bytes have come", memory);
	CHECK(memory < 10000000, "%zu bytes of memory for a body of 500000", memory);
	return (test_ok("bodies have a bound"));
}
