// Handlers that take their time, and long responses.

#include <stdatomic.h>

#include "common.h"

typedef struct {
	nng_aio *timer;
	nng_aio *handler;
} slow_one;

static atomic_int slow_running;

static void
slow_cb(void *arg)
{
	slow_one *s = arg;

	atomic_fetch_sub(&slow_running, 1);
	answer(s->handler, response(200, "slow\n", 5));
}

// slow responds after the time that the parameter ms says.
static void
slow(nng_aio *aio)
{
	slow_one *s = calloc(1, sizeof(*s));

	s->handler = aio;
	must(nng_aio_alloc(&s->timer, slow_cb, s), "aio_alloc");
	atomic_fetch_add(&slow_running, 1);
	nng_sleep_aio((nng_duration) number(aio, "ms=", 5000), s->timer);
}

// running says how many of them there are.
static void
running(nng_aio *aio)
{
	char text[16];

	snprintf(text, sizeof(text), "%d\n", atomic_load(&slow_running));
	answer(aio, response(200, text, strlen(text)));
}

// big responds with as many bytes as the parameter n says.
static void
big(nng_aio *aio)
{
	size_t        n    = (size_t) number(aio, "n=", 16 << 20);
	char *        data = malloc(n + 1);
	nng_http_res *res;

	if (data == NULL) {
		abort();
	}
	memset(data, 'b', n);
	res = response(200, data, n);
	free(data);
	answer(aio, res);
}
