// S53. When the library cannot start, since there is no descriptor, thread or memory for
// it, whoever asked first is told; nothing stays, and it can be tried again.
// build: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=pthread_create -Wl,--wrap=epoll_create1 -Wl,--wrap=eventfd

#include <dirent.h>
#include <stdatomic.h>
#include <errno.h>

#include "testutil.h"

#include <nng/supplemental/util/platform.h>

enum { MEMORY, THREAD, EPOLL, EVENTFD, KINDS };

static const char *kinds[] = { "memory", "threads", "epoll", "eventfd" };

static atomic_int  kind;    // what fails
static atomic_int  failing; // the first call that fails, from 1 on, or 0
static atomic_bool failed;

// fails says whether a call is the one, or comes after it.
static bool
fails(int which)
{
	if (atomic_load(&kind) != which || atomic_load(&failing) == 0) {
		return (false);
	}
	if (atomic_load(&failing) > 1) {
		atomic_fetch_sub(&failing, 1);
		return (false);
	}
	atomic_store(&failed, true);
	return (true);
}

extern void *__real_malloc(size_t);
extern void *__real_calloc(size_t, size_t);
extern int   __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);
extern int   __real_epoll_create1(int);
extern int   __real_eventfd(unsigned, int);

void *
__wrap_malloc(size_t n)
{
	return (fails(MEMORY) ? NULL : __real_malloc(n));
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return (fails(MEMORY) ? NULL : __real_calloc(n, size));
}

int
__wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg)
{
	return (fails(THREAD) ? EAGAIN : __real_pthread_create(t, a, f, arg));
}

int
__wrap_epoll_create1(int flags)
{
	errno = EMFILE;
	return (fails(EPOLL) ? -1 : __real_epoll_create1(flags));
}

int
__wrap_eventfd(unsigned n, int flags)
{
	errno = EMFILE;
	return (fails(EVENTFD) ? -1 : __real_eventfd(n, flags));
}

static int
count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	int  n   = 0;

	while (readdir(dir) != NULL) {
		n++;
	}
	closedir(dir);
	return (n);
}

static nng_url *url;

static int
hold(void)
{
	nng_http_server *s;
	int              rv = nng_http_server_hold(&s, url);

	if (rv == 0) {
		nng_http_server_release(s);
	}
	return (rv);
}

static int
client(void)
{
	nng_http_client *c;
	int              rv = nng_http_client_alloc(&c, url);

	if (rv == 0) {
		nng_http_client_free(c);
	}
	return (rv);
}

static int
handler(void)
{
	nng_http_handler *h;
	int               rv = nng_http_handler_alloc(&h, "/", NULL);

	if (rv == 0) {
		nng_http_handler_free(h);
	}
	return (rv);
}

static int
request(void)
{
	nng_http_req *req;
	int           rv = nng_http_req_alloc(&req, NULL);

	if (rv == 0) {
		nng_http_req_free(req);
	}
	return (rv);
}

static int
response(void)
{
	nng_http_res *res;
	int           rv = nng_http_res_alloc(&res);

	if (rv == 0) {
		nng_http_res_free(res);
	}
	return (rv);
}

static int
error_response(void)
{
	nng_http_res *res;
	int           rv = nng_http_res_alloc_error(&res, 404);

	if (rv == 0) {
		nng_http_res_free(res);
	}
	return (rv);
}

static int
mutex(void)
{
	nng_mtx *m;
	int      rv = nng_mtx_alloc(&m);

	if (rv == 0) {
		nng_mtx_free(m);
	}
	return (rv);
}

static void
nothing(void *arg)
{
	(void) arg;
}

static int
thread(void)
{
	nng_thread *t;
	int         rv = nng_thread_create(&t, nothing, NULL);

	if (rv == 0) {
		nng_thread_destroy(t);
	}
	return (rv);
}

// first calls a function on a library that has not been started, with failures from the
// n-th on, or without any for 0. It returns the function's result.
static int
first(int (*f)(void), int which, int n)
{
	int rv;

	atomic_store(&failed, false);
	atomic_store(&kind, which);
	atomic_store(&failing, n);
	rv = f();
	atomic_store(&failing, 0);
	return (rv);
}

int
main(void)
{
	static int (*functions[])(void) = { hold, client, handler, request, response, error_response,
		mutex, thread };
	int threads, fds;

	test_init();
	MUST(nng_url_parse(&url, "http://127.0.0.1:8") == 0);
	threads = count_threads();
	fds     = count_fds();

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		test_step = "every function says that there is no poller";
		MUST(first(functions[i], EPOLL, 1) == NNG_ENOFILES);
		MUST(count_threads() == threads && count_fds() == fds);
		test_step = "and works when there is one again";
		MUST(first(functions[i], EPOLL, 0) == 0);
		nng_fini();
	}
	for (int which = 0; which < KINDS; which++) {
		test_step = kinds[which];
		for (int n = 1;; n++) {
			int rv = first(hold, which, n);

			if (!atomic_load(&failed)) {
				MUST(rv == 0);
				nng_fini();
				break;
			}
			MUST(rv == (which == EPOLL || which == EVENTFD ? NNG_ENOFILES : NNG_ENOMEM));
			nng_fini();
			MUST(count_threads() == threads && count_fds() == fds);
		}
	}
	nng_url_free(url);
	return (test_ok("what cannot start says so"));
}
