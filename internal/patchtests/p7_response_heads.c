// P7. The head of a response has a limit, as that of a request.

#include "headutil.h"

static int
read_lines(size_t size, int times)
{
	nng_http_res *res;
	char         *line;
	size_t        used;
	int           rv;
	char          start[] = "HTTP/1.1 200 OK\r\n";

	MUST((line = malloc(size)) != NULL);
	MUST(nng_http_res_alloc(&res) == 0);
	rv = nni_http_res_parse(res, start, sizeof(start) - 1, &used);
	for (int i = 0; i < times && rv == NNG_EAGAIN; i++) {
		memset(line, 'b', size);
		memcpy(line, "A:", 2);
		memcpy(line + size - 2, "\r\n", 2);
		rv = nni_http_res_parse(res, line, size, &used);
	}
	if (rv == NNG_EAGAIN) {
		char end[] = "\r\n";
		rv         = nni_http_res_parse(res, end, 2, &used);
	}
	nng_http_res_free(res);
	free(line);
	return (rv);
}

int
main(void)
{
	int rv;

	test_init();
	MUST(nng_http_res_alloc(&(nng_http_res *) { NULL }) == 0);
	CHECK((rv = read_lines(10, 990)) == 0, "990 lines: %d", rv);
	CHECK((rv = read_lines(10, 1001)) == NNG_EMSGSIZE, "1001 lines: %d", rv);
	CHECK((rv = read_lines(32768, 31)) == 0, "31 large lines: %d", rv);
	CHECK((rv = read_lines(32768, 33)) == NNG_EMSGSIZE,
	    "33 large lines: %d", rv);
	return (test_ok("heads of responses end"));
}
