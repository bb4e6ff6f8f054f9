// A helper for tests that hold the library's callbacks. They are linked with
// -Wl,--wrap=nni_aio_alloc.

#ifndef CALLUTIL_H
#define CALLUTIL_H

#include "testutil.h"

int __real_nni_aio_alloc(nng_aio **, void (*)(void *), void *);
int __wrap_nni_aio_alloc(nng_aio **, void (*)(void *), void *);

// before_callback is the test's: it is called before the callback of each aio.
static void before_callback(nng_aio *);

// A call stands between an aio of the library and its callback.
typedef struct {
	nng_aio *aio;
	void (*cb)(void *);
	void *arg;
} call;

static void
call_cb(void *arg)
{
	call *c = arg;

	before_callback(c->aio);
	if (c->cb != NULL) {
		c->cb(c->arg);
	}
}

int
__wrap_nni_aio_alloc(nng_aio **aio, void (*cb)(void *), void *arg)
{
	call *c = calloc(1, sizeof(*c)); // as long as the process
	int   rv;

	c->cb  = cb;
	c->arg = arg;
	if ((rv = __real_nni_aio_alloc(aio, call_cb, c)) == 0) {
		c->aio = *aio;
	}
	return (rv);
}

#endif
