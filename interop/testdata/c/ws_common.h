#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>

static inline void
must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

static inline void
check(int rv, const char *what)
{
	if (rv != 0) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
		exit(1);
	}
}

// transfer sends or receives exactly so many bytes.
static inline int
transfer(void (*op)(nng_stream *, nng_aio *), nng_stream *s, nng_aio *aio,
    char *buf, size_t len)
{
	while (len > 0) {
		nng_iov iov = { .iov_buf = buf, .iov_len = len };
		int     rv;

		(void) nng_aio_set_iov(aio, 1, &iov);
		op(s, aio);
		nng_aio_wait(aio);
		if ((rv = nng_aio_result(aio)) != 0) {
			return (rv);
		}
		buf += nng_aio_count(aio);
		len -= nng_aio_count(aio);
	}
	return (0);
}
