// What all parts of the reference server use.

#ifndef CONFORMANCE_COMMON_H
#define CONFORMANCE_COMMON_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>

static inline void
must(int rv, const char *what)
{
	if (rv != 0) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
		exit(1);
	}
}

static inline nng_http_res *
response(uint16_t status, const void *data, size_t len)
{
	nng_http_res *res;

	must(nng_http_res_alloc(&res), "res_alloc");
	must(nng_http_res_set_status(res, status), "set_status");
	if (data != NULL) {
		must(nng_http_res_copy_data(res, data, len), "copy_data");
	}
	return (res);
}

static inline void
answer(nng_aio *aio, nng_http_res *res)
{
	nng_aio_set_output(aio, 0, res);
	nng_aio_finish(aio, 0);
}

// number returns the number of a parameter of the target, as in "?ms=200".
static inline long
number(nng_aio *aio, const char *name, long most)
{
	const char *p = strstr(nng_http_req_get_uri(nng_aio_get_input(aio, 0)), name);
	long        n = (p == NULL) ? 0 : strtol(p + strlen(name), NULL, 10);

	return ((n < 0) ? 0 : (n > most) ? most : n);
}

#endif
