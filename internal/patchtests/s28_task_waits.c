// S28. A callback may stop another operation, and waits then for its callback. If all of
// nng's threads do that at once, nobody is left to run what they wait for.

#include "testutil.h"

#define MANY 48

static nng_aio     *outer[MANY], *inner[MANY], *third[MANY];
static volatile int done, arrived, need;

static void
third_cb(void *arg)
{
	(void) arg;
	__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
}

// inner_cb makes what somebody waits for depend on another task that is queued.
static void
inner_cb(void *arg)
{
	int i = (int) (intptr_t) arg;

	if (third[i] != NULL) {
		nng_aio_finish(third[i], 0);
		nng_aio_wait(third[i]);
	} else {
		third_cb(NULL);
	}
}

// together returns when as many callbacks run as nng has threads.
static void
together(void)
{
	__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2000 && arrived < need; i++) {
		sleep_ms(1);
	}
}

static void
outer_cb(void *arg)
{
	int i = (int) (intptr_t) arg;

	together();
	nng_aio_finish(inner[i], 0);
	nng_aio_stop(inner[i]);
}

// A wait for something that a task must do that is in nobody's hands.
static nng_aio *last[MANY];

static void
middle_cb(void *arg)
{
	nng_aio_finish(last[(intptr_t) arg], 0);
}

static void
indirect_cb(void *arg)
{
	int i = (int) (intptr_t) arg;

	together();
	nng_aio_finish(inner[i], 0);
	nng_aio_wait(last[i]);
	third_cb(NULL);
}

static void
run(const char *what, void (*out)(void *), void (*in)(void *), bool three)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN) * 2;

	test_step = what;
	need      = (n > 16) ? 16 : (int) n; // of nng's threads
	done = arrived = 0;
	for (intptr_t i = 0; i < MANY; i++) {
		MUST(nng_aio_alloc(&outer[i], out, (void *) i) == 0);
		MUST(nng_aio_alloc(&inner[i], in, (void *) i) == 0);
		MUST(nng_aio_alloc(&last[i], NULL, NULL) == 0);
		third[i] = NULL;
		if (three) {
			MUST(nng_aio_alloc(&third[i], third_cb, NULL) == 0);
			MUST(nng_aio_begin(third[i]));
		}
		MUST(nng_aio_begin(inner[i]));
		MUST(nng_aio_begin(last[i]));
		MUST(nng_aio_begin(outer[i]));
	}
	for (int i = 0; i < MANY; i++) {
		nng_aio_finish(outer[i], 0);
	}
	for (int i = 0; i < 600 && done < MANY; i++) {
		sleep_ms(10);
	}
	CHECK(done == MANY, "%s: %d of %d callbacks ran, the others wait for each other", what, done,
	    MANY);
	for (int i = 0; i < MANY; i++) {
		nng_aio_free(outer[i]);
		nng_aio_free(inner[i]);
		nng_aio_free(third[i]);
		if (out == outer_cb) {
			nng_aio_finish(last[i], 0);
		}
		nng_aio_free(last[i]);
	}
}

int
main(void)
{
	test_init();
	run("callbacks that stop what is queued", outer_cb, inner_cb, false);
	run("callbacks that stop what waits in turn", outer_cb, inner_cb, true);
	run("callbacks that wait for what a queued task does", indirect_cb, middle_cb, false);
	return (test_ok("a task that waits for a task makes progress"));
}
