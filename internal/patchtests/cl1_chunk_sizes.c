// CL1. The size of a chunk that does not fit into a size_t is an error.

#include "answerutil.h"

// Where memory for a chunk that is just too large is asked for, there is none.
const char *
__asan_default_options(void)
{
	return ("allocator_may_return_null=1");
}

#define HEAD "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static const struct {
	const char *body;
	const char *want; // NULL: an error
} tests[] = {
	{ HEAD "5\r\nhello\r\n0\r\n\r\n", "hello" },
	{ HEAD "0000000000000000000005;x=y\r\nhello\r\n0\r\nT: x\r\n\r\n", "hello" },
	{ HEAD "ffffffffffffffff\r\n\n0\r\n\r\n", NULL },
	{ HEAD "fffffffffffffffe\r\n\r\n0\r\n\r\n", NULL },
	{ HEAD "fffffffffffffffd\r\nhello\r\n0\r\n\r\n", NULL },
	{ HEAD "FFFFFFFFFFFFFFFF\r\nhello\r\n", NULL },
	{ HEAD "7fffffffffffffff\r\nhello\r\n", NULL },
	{ HEAD "10000000000000005\r\nhello\r\n0\r\n\r\n", NULL },
	{ HEAD "100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n", NULL },
	{ HEAD "5\r\nhello\r\nffffffffffffffff\r\n\n0\r\n\r\n", NULL },
	{ HEAD "5\r\nhelloXX0\r\n\r\n", NULL },
	{ HEAD "\xe9\r\nhello\r\n", NULL },
	{ HEAD "5;\xe9\x7f\r\nhello\r\n", NULL },
	{ HEAD "-5\r\nhello\r\n", NULL },
};

int
main(void)
{
	int              port = answer_start();
	nng_http_client *client;
	op               o;

	test_init();
	op_init(&o);
	client = client_open(port, false);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		nng_http_req *req = make_req(port, "/");
		nng_http_res *res;
		void *        data;
		size_t        len;
		int           rv;

		MUST(nng_http_res_alloc(&res) == 0);
		answer    = tests[i].body;
		test_step = answer;
		nng_http_client_transact(client, req, res, op_start(&o));
		rv = op_wait(&o, 5000);
		if (tests[i].want == NULL) {
			CHECK((rv == NNG_EPROTO) || (rv == NNG_EMSGSIZE) || (rv == NNG_ENOMEM),
			    "the result is %d for %s", rv, answer + strlen(HEAD));
		} else {
			CHECK(rv == 0, "the result is %d for %s", rv, answer + strlen(HEAD));
			nng_http_res_get_data(res, &data, &len);
			CHECK((len == strlen(tests[i].want)) && (memcmp(data, tests[i].want, len) == 0),
			    "another body for %s", answer + strlen(HEAD));
		}
		nng_http_res_free(res);
		nng_http_req_free(req);
	}
	return (test_ok("no size of a chunk reaches outside"));
}
