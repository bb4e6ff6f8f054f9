// X20: the wall clock is set forward by an hour, and back. No time-out may end because of
// it, and each must still end in its own time.
//
// This program's clock_gettime stands before the C library's, and gives libnng a wall clock
// that the test sets.
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "testing.h"

static _Atomic long step; // seconds that the wall clock is ahead

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int rv = (int) syscall(SYS_clock_gettime, id, ts);

	if ((rv == 0) && (id == CLOCK_REALTIME)) {
		ts->tv_sec += step;
	}
	return (rv);
}

static double
now(void)
{
	struct timespec ts;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double) ts.tv_sec + (double) ts.tv_nsec / 1e9);
}

// A sleep of 100 ms sees to it that libnng looks at all time-outs.
static void
nap(void)
{
	nng_aio *aio;
	double   start = now(), took;

	OK(nng_aio_alloc(&aio, NULL, NULL));
	nng_sleep_aio(100, aio);
	nng_aio_wait(aio);
	OK(nng_aio_result(aio));
	nng_aio_free(aio);
	if ((took = now() - start) < 0.09) {
		FAIL("a sleep of 100 ms took %.0f ms", took * 1000);
	}
}

int
main(void)
{
	nng_aio *aio;
	double   start, took;

	alarm(60); // a sleep that does not end
	nap();
	start = now();
	OK(nng_aio_alloc(&aio, NULL, NULL));
	nng_sleep_aio(2000, aio);
	for (int i = 0; i < 3; i++) {
		step = 3600;
		nap();
		step = 0;
		nap();
		step = -3600;
		nap();
	}
	nng_aio_wait(aio);
	OK(nng_aio_result(aio));
	if ((took = now() - start) < 1.95) {
		FAIL("a sleep of 2 s ended after %.2f s, when the clock was set", took);
	}
	nng_aio_free(aio);
	return (0);
}
