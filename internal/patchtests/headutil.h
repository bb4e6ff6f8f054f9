// For tests of how heads are parsed: they call the parser as a connection does.

#ifndef HEADUTIL_H
#define HEADUTIL_H

#include "testutil.h"

extern int nni_http_req_parse(nng_http_req *, void *, size_t, size_t *);
extern int nni_http_res_parse(nng_http_res *, void *, size_t, size_t *);

// feed gives a head to the parser in two parts, or in pieces of one byte if the
// first part is empty.  What the parser leaves it gets again, in front of what
// follows; each time in memory of exactly that size.
static inline int
feed(int (*parse)(void *, void *, size_t, size_t *), void *msg,
    const char *head, size_t len, size_t first)
{
	size_t from = 0;
	size_t to   = 0;
	int    rv   = NNG_EAGAIN;

	while (rv == NNG_EAGAIN && to < len) {
		size_t used = 0;
		char  *buf;

		if (first == 0) {
			to++;
		} else {
			to = (to == 0) ? first : len;
		}
		MUST((buf = malloc(to - from)) != NULL);
		memcpy(buf, head + from, to - from);
		rv = parse(msg, buf, to - from, &used);
		from += used;
		free(buf);
	}
	return (rv);
}

static inline int
parse_req(void *msg, void *buf, size_t n, size_t *used)
{
	return (nni_http_req_parse(msg, buf, n, used));
}

static inline int
parse_res(void *msg, void *buf, size_t n, size_t *used)
{
	return (nni_http_res_parse(msg, buf, n, used));
}

// each_req parses a head whole, cut at each place, and byte by byte.  look, if
// it is not NULL, is called behind each success.
static inline void
each_req(const char *head, size_t len, int want, void (*look)(nng_http_req *))
{
	for (size_t first = 0; first <= len; first++) {
		nng_http_req *req;
		int           rv;

		MUST(nng_http_req_alloc(&req, NULL) == 0);
		rv = feed(parse_req, req, head, len, first);
		CHECK(rv == want, "%.*s: cut at %zu: %s, not %s", (int) len,
		    head, first, nng_strerror(rv), nng_strerror(want));
		if (rv == 0 && look != NULL) {
			look(req);
		}
		nng_http_req_free(req);
	}
	// What follows is left alone.
	if (want == 0) {
		nng_http_req *req;
		size_t        used;
		char          buf[1000];

		MUST(len + 4 <= sizeof(buf));
		memcpy(buf, head, len);
		memcpy(buf + len, "GET ", 4);
		MUST(nng_http_req_alloc(&req, NULL) == 0);
		CHECK(nni_http_req_parse(req, buf, len + 4, &used) == 0 &&
		        used == len,
		    "%.*s: %zu bytes used", (int) len, head, used);
		nng_http_req_free(req);
	}
}

static inline void
each_res(const char *head, size_t len, int want, void (*look)(nng_http_res *))
{
	for (size_t first = 0; first <= len; first++) {
		nng_http_res *res;
		int           rv;

		MUST(nng_http_res_alloc(&res) == 0);
		rv = feed(parse_res, res, head, len, first);
		CHECK(rv == want, "%.*s: cut at %zu: %s, not %s", (int) len,
		    head, first, nng_strerror(rv), nng_strerror(want));
		if (rv == 0 && look != NULL) {
			look(res);
		}
		nng_http_res_free(res);
	}
}

#endif
