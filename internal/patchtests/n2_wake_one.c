// N2. Dispatching a task must not wake a thread when none waits, or when one has been
// woken and has not come yet. And one wake at a time must still bring up all threads.
// build: -Wl,--wrap=pthread_cond_signal

#include "testutil.h"

int __real_pthread_cond_signal(pthread_cond_t *);
int __wrap_pthread_cond_signal(pthread_cond_t *);

static int wakes; // only the queue of tasks wakes one thread of several

int
__wrap_pthread_cond_signal(pthread_cond_t *cv)
{
	__atomic_add_fetch(&wakes, 1, __ATOMIC_SEQ_CST);
	return (__real_pthread_cond_signal(cv));
}

#define MANY 200

static pthread_mutex_t mtx = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  cv  = PTHREAD_COND_INITIALIZER;
static int             inside, most, ended;
static bool            release;

static void
hold(void *arg)
{
	(void) arg;
	(void) pthread_mutex_lock(&mtx);
	if (++inside > most) {
		most = inside;
	}
	while (!release) {
		(void) pthread_cond_wait(&cv, &mtx);
	}
	inside--;
	ended++;
	(void) pthread_mutex_unlock(&mtx);
}

static int
seen(int *what)
{
	int n;

	(void) pthread_mutex_lock(&mtx);
	n = *what;
	(void) pthread_mutex_unlock(&mtx);
	return (n);
}

int
main(void)
{
	nng_aio *aios[MANY];
	int      threads = 2 * (int) sysconf(_SC_NPROCESSORS_ONLN);
	int      before;

	if (threads > 16) {
		threads = 16; // NNG_MAX_TASKQ_THREADS
	}
	test_init();
	for (int i = 0; i < MANY; i++) {
		MUST(nng_aio_alloc(&aios[i], hold, NULL) == 0);
		MUST(nng_aio_begin(aios[i]));
	}
	sleep_ms(50); // all threads sleep

	test_step = "all threads come up";
	for (int i = 0; i < threads; i++) {
		nng_aio_finish(aios[i], 0);
	}
	while (seen(&most) < threads) {
		sleep_ms(1);
	}

	test_step = "all threads are busy";
	before    = __atomic_load_n(&wakes, __ATOMIC_SEQ_CST);
	for (int i = threads; i < MANY; i++) {
		nng_aio_finish(aios[i], 0);
	}
	CHECK(__atomic_load_n(&wakes, __ATOMIC_SEQ_CST) == before,
	    "%d wakes for %d tasks when no thread waits",
	    __atomic_load_n(&wakes, __ATOMIC_SEQ_CST) - before, MANY - threads);

	test_step = "what was dispatched runs";
	(void) pthread_mutex_lock(&mtx);
	release = true;
	(void) pthread_cond_broadcast(&cv);
	(void) pthread_mutex_unlock(&mtx);
	while (seen(&ended) < MANY) {
		sleep_ms(1);
	}
	for (int i = 0; i < MANY; i++) {
		nng_aio_free(aios[i]);
	}
	return (test_ok("threads are woken when they are needed"));
}
