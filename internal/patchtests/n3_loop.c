// N3. A program with an event loop can do the work of nng's threads for what is its own, and
// only for that: what other C code makes, its sockets, callbacks and handlers, stay with nng's
// poller and threads; nobody waits for a task that cannot run; and what the loop is late for
// is only late.
// build: -Wl,--wrap=read

#include "testutil.h"

#include <sys/stat.h>

// internal/nngloop/loop.h
extern int  nni_loop_take(int *) __attribute__((weak));
extern void nni_loop_give(void) __attribute__((weak));
extern int  nni_loop_poll(bool) __attribute__((weak));
extern void nni_loop_wake(void) __attribute__((weak));
extern void nni_loop_enter(void) __attribute__((weak));
extern void nni_loop_leave(void) __attribute__((weak));
enum { DONE, MORE, GONE };

#define MANY 64

static pthread_t    self;
static volatile int here, elsewhere; // handlers and callbacks that ran on this thread, or not
static volatile int held;            // callbacks that are being held
static volatile bool hold;

static void
note(void)
{
	__atomic_add_fetch(
	    pthread_equal(pthread_self(), self) ? &here : &elsewhere, 1, __ATOMIC_SEQ_CST);
}

static void
noted(int want_here, int want_elsewhere, const char *what)
{
	for (int i = 0; i < 500 && here + elsewhere < want_here + want_elsewhere; i++) {
		sleep_ms(1);
	}
	CHECK(here == want_here && elsewhere == want_elsewhere,
	    "%s: %d ran on the loop's thread and %d elsewhere, not %d and %d", what, here, elsewhere,
	    want_here, want_elsewhere);
	here = elsewhere = 0;
}

static void
hello(nng_aio *aio)
{
	note();
	reply(aio, "hello", 5);
}

static void
note_cb(void *arg)
{
	if (arg != NULL) {
		sleep_ms(*(int *) arg);
	}
	note();
}

static void
hold_cb(void *arg)
{
	(void) arg;
	__atomic_add_fetch(&held, 1, __ATOMIC_SEQ_CST);
	while (hold) {
		sleep_ms(1);
	}
	__atomic_sub_fetch(&held, 1, __ATOMIC_SEQ_CST);
}

static void
poll_all(void)
{
	while (nni_loop_poll(false) == MORE) {
	}
}

// get sends a request and waits for the reply. Where it has to wait it polls, if loop is set.
static bool
get(int fd, const char *path, bool loop)
{
	struct pollfd p = { fd, POLLIN, 0 };
	char          buf[4096];

	(void) snprintf(buf, sizeof(buf), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
	MUST(send_all(fd, buf, strlen(buf)));
	for (uint64_t end = now_ms() + 5000; now_ms() < end;) {
		if (loop) {
			poll_all();
		}
		if (poll(&p, 1, loop ? 1 : 100) == 1) {
			return (recv(fd, buf, sizeof(buf), 0) > 0);
		}
	}
	return (false);
}

// aio_of allocates an aio, of the loop or not, whose operation has begun.
static nng_aio *
aio_of(bool loop, void (*cb)(void *), void *arg)
{
	nng_aio *aio;

	if (loop) {
		nni_loop_enter();
	}
	MUST(nng_aio_alloc(&aio, cb, arg) == 0);
	if (loop) {
		nni_loop_leave();
	}
	MUST(nng_aio_begin(aio));
	return (aio);
}

// hold_threads keeps all of nng's threads in callbacks, until hold is false.
static int
hold_threads(nng_aio **aios)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN) * 2;

	n    = (n > 16) ? 16 : n;
	hold = true;
	for (int i = 0; i < n; i++) {
		aios[i] = aio_of(false, hold_cb, NULL);
		nng_aio_finish(aios[i], 0);
	}
	while (held < n) {
		sleep_ms(1);
	}
	return ((int) n);
}

static void
release_threads(nng_aio **aios, int n)
{
	hold = false;
	for (int i = 0; i < n; i++) {
		nng_aio_free(aios[i]);
	}
}

static void *
free_aio(void *arg)
{
	nng_aio_free(arg);
	return (NULL);
}

static void
loop_server(server *s)
{
	nni_loop_enter();
	server_open(s, false);
	(void) server_add(s, "/", hello);
	server_start(s);
	nni_loop_leave();
}

static void
test_places(server *s, int fd, int ofd)
{
	nng_aio *aio, *aios[MANY];

	test_step = "a handler of the loop's runs where it is polled";
	for (int i = 0; i < 100; i++) {
		CHECK(get(fd, "/", true), "no reply to whoever polls");
	}
	CHECK(here + elsewhere == 100 && here > 80, "%d of 100 handlers ran on the loop's thread", here);
	here = elsewhere = 0;

	test_step = "other C code's server is not the loop's";
	CHECK(get(ofd, "/", false), "no reply while nobody polls");
	noted(0, 1, "another server's handler");

	test_step = "other C code's handler on the loop's server runs elsewhere";
	(void) server_add(s, "/other", hello);
	CHECK(get(fd, "/other", true), "no reply from it");
	noted(0, 1, "another's handler");

	test_step = "other C code's callbacks run elsewhere, whoever sets them off";
	nni_loop_enter();
	aio = aio_of(true, note_cb, NULL); // nested: it is the loop's
	nng_aio_finish(aio, 0);
	nni_loop_leave();
	noted(1, 0, "the loop's callback");
	nng_aio_free(aio);
	aio = aio_of(false, note_cb, NULL);
	nni_loop_enter();
	nng_aio_finish(aio, 0);
	nni_loop_leave();
	noted(0, 1, "another's callback");
	nng_aio_free(aio);

	test_step = "nothing of the loop's happens while nobody polls";
	MUST(send_all(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27));
	sleep_ms(50);
	CHECK(here + elsewhere == 0, "somebody else polls");
	while (here + elsewhere == 0) {
		poll_all();
	}
	char buf[4096];
	MUST(recv(fd, buf, sizeof(buf), 0) > 0);
	here = elsewhere = 0;

	test_step = "callbacks that block all of nng's threads do not hold the loop up";
	int n = hold_threads(aios);
	for (int i = 0; i < 20; i++) {
		CHECK(get(fd, "/", true), "no reply while nng's threads are blocked");
	}
	CHECK(held == n, "they are not blocked");
	here = elsewhere = 0;
	release_threads(aios, n);
}

ssize_t __real_read(int, void *, size_t);
ssize_t __wrap_read(int, void *, size_t);

static volatile int reads_here, reads_elsewhere; // of files

ssize_t
__wrap_read(int fd, void *buf, size_t len)
{
	struct stat st;

	if ((fstat(fd, &st) == 0) && S_ISREG(st.st_mode)) {
		__atomic_add_fetch(pthread_equal(pthread_self(), self) ? &reads_here : &reads_elsewhere,
		    1, __ATOMIC_SEQ_CST);
	}
	return (__real_read(fd, buf, len));
}

// A file handler may wait for a disk, with the first piece of a file and with later ones.
static void
test_files(server *s)
{
	char              path[] = "/tmp/n3-XXXXXX";
	char              buf[65536];
	size_t            got = 0;
	nng_http_handler *h;
	int               fd = mkstemp(path);
	int               c;

	test_step = "files are read by nng's threads";
	MUST(fd >= 0);
	memset(buf, 'x', sizeof(buf));
	for (int i = 0; i < 100; i++) {
		MUST(write(fd, buf, sizeof(buf)) == sizeof(buf));
	}
	close(fd);
	MUST(nng_http_handler_alloc_file(&h, "/file", path) == 0);
	MUST(nng_http_server_add_handler(s->srv, h) == 0);
	c = tcp_connect(s->port, 4096);
	MUST(send_all(c, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n", 31));
	for (uint64_t end = now_ms() + 10000; got < 100 * sizeof(buf);) {
		ssize_t n = recv(c, buf, sizeof(buf), MSG_DONTWAIT);

		got += (n > 0) ? (size_t) n : 0;
		poll_all();
		CHECK(now_ms() < end, "only %zu bytes of the file came", got);
	}
	CHECK(reads_here == 0 && reads_elsewhere >= 100, "the loop's thread read a file %d times, others %d",
	    reads_here, reads_elsewhere);
	close(c);
	(void) unlink(path);
}

static nng_aio *volatile asked;

static void
asked_cb(nng_aio *aio)
{
	asked = aio;
}

static void
note_dtor(void *arg)
{
	(void) arg;
	note();
}

// test_dtor removes a handler of other C code's that serves a request, so that the loop has the
// last reference to it: a long reply ends where it is polled.
static void
test_dtor(server *s)
{
	static char       big[8 << 20];
	nng_http_handler *h;
	int               fd = tcp_connect(s->port, 0);

	test_step = "the destructor of other C code's handler runs elsewhere";
	MUST(nng_http_handler_alloc(&h, "/asked", asked_cb) == 0);
	MUST(nng_http_handler_set_data(h, big, note_dtor) == 0);
	MUST(nng_http_server_add_handler(s->srv, h) == 0);
	MUST(send_all(fd, "GET /asked HTTP/1.1\r\nHost: x\r\n\r\n", 32));
	while (asked == NULL) {
		poll_all();
	}
	MUST(nng_http_server_del_handler(s->srv, h) == 0);
	nng_http_handler_free(h);
	reply(asked, big, sizeof(big));
	sleep_ms(50);
	for (size_t n = 0; n < sizeof(big);) {
		ssize_t got = recv(fd, big, sizeof(big), MSG_DONTWAIT);
		n += (got > 0) ? (size_t) got : 0;
		poll_all();
	}
	for (int i = 0; i < 500 && here + elsewhere == 0; i++) {
		poll_all();
		sleep_ms(1);
	}
	noted(0, 1, "another's destructor");
	close(fd);
}

static void
test_rescue(int epfd)
{
	nng_aio *     aio, *aios[MANY];
	struct pollfd p = { epfd, POLLIN, 0 };

	test_step = "a task of the loop's that no thread can run comes back";
	poll_all();
	while (poll(&p, 1, 0) == 1) {
		poll_all();
	}
	int n = hold_threads(aios);
	aio   = aio_of(true, note_cb, NULL);
	nng_aio_finish(aio, 0); // on no loop's account
	CHECK(poll(&p, 1, 1000) == 1, "the loop is not woken");
	poll_all();
	noted(1, 0, "the rescued task");
	nng_aio_free(aio);

	// And one that comes as the last thread is about to be blocked.
	release_threads(aios, n);
	n   = hold_threads(aios);
	aio = aio_of(true, note_cb, NULL);
	nni_loop_give();
	nng_aio_finish(aio, 0);
	sleep_ms(20);
	MUST(here + elsewhere == 0);
	int fd;
	MUST(nni_loop_take(&fd) == 0);
	(void) nni_loop_poll(true);
	noted(1, 0, "a task that was late");
	close(fd);
	nng_aio_free(aio);
	release_threads(aios, n);
}

static void
test_waits(void)
{
	nng_aio * aios[20];
	pthread_t t;
	int       ms = 50;

	test_step = "a task that was gathered is waited for";
	nni_loop_enter();
	for (int i = 0; i < 3; i++) {
		aios[i] = aio_of(true, note_cb, NULL);
		nng_aio_finish(aios[i], 0);
	}
	CHECK(here + elsewhere == 0, "tasks ran too early");
	nng_aio_wait(aios[1]); // by the thread that has it
	CHECK(here == 1, "the wait did not run its task");
	MUST(pthread_create(&t, NULL, free_aio, aios[2]) == 0);
	MUST(pthread_join(t, NULL) == 0); // by another thread
	CHECK(elsewhere == 1, "the free did not take its task");
	nni_loop_leave();
	noted(2, 1, "gathered tasks");
	nng_aio_free(aios[0]);
	nng_aio_free(aios[1]);

	test_step = "what takes long is given to the threads";
	nni_loop_enter();
	for (int i = 0; i < 20; i++) {
		aios[i] = aio_of(true, note_cb, &ms);
		nng_aio_finish(aios[i], 0);
	}
	nni_loop_leave();
	CHECK(here < 10, "%d tasks of %d ms ran in one call", here, ms);
	for (int i = 0; i < 20; i++) {
		nng_aio_free(aios[i]);
	}
	CHECK(here + elsewhere == 20, "a task was lost");
	here = elsewhere = 0;
}

int
main(void)
{
	server        s, other;
	int           epfd, fd, ofd;
	struct pollfd p;

	test_init();
	self = pthread_self();
	CHECK(nni_loop_take != NULL, "a program cannot do the work of nng's threads");
	server_open(&other, false);
	(void) server_add(&other, "/", hello);
	server_start(&other);
	ofd = tcp_connect(other.port, 0);
	CHECK(get(ofd, "/", false), "no reply");
	here = elsewhere = 0;

	MUST(nni_loop_take(&epfd) == 0);
	loop_server(&s);
	fd = tcp_connect(s.port, 0);
	test_places(&s, fd, ofd);

	test_step = "connections end";
	int before = count_fds();
	for (int i = 0; i < 50; i++) {
		int c = tcp_connect(s.port, 0);
		CHECK(get(c, "/", true), "no reply");
		close(c);
	}
	for (int i = 0; i < 200 && count_fds() > before; i++) {
		poll_all();
		sleep_ms(5);
	}
	CHECK(count_fds() <= before, "%d descriptors stay open", count_fds() - before);
	here = elsewhere = 0;

	test_step = "the descriptor can be woken";
	p         = (struct pollfd){ epfd, POLLIN, 0 };
	poll_all();
	nni_loop_wake();
	CHECK(poll(&p, 1, 1000) == 1, "a wake does not make the descriptor readable");
	poll_all();
	CHECK(poll(&p, 1, 0) == 0, "the descriptor stays readable");

	test_files(&s);
	here = elsewhere = 0;
	test_waits();
	test_dtor(&s);
	test_rescue(epfd);

	test_step = "the loop is given back";
	close(epfd);
	nni_loop_give();
	CHECK(nni_loop_poll(false) == GONE, "it can be polled by whoever has not taken it");
	for (int i = 0; i < 10; i++) {
		CHECK(get(fd, "/", false), "no reply when the loop was given back");
	}
	noted(0, 10, "handlers when nobody has the loop");
	for (int i = 0; i < 100; i++) {
		MUST(nni_loop_take(&epfd) == 0);
		CHECK(get(fd, "/", true), "no reply after the loop was taken %d times", i);
		nni_loop_give();
		close(epfd);
		CHECK(get(fd, "/", false), "no reply after it was given back %d times", i);
	}

	test_step = "nng_fini ends the loop, and it can be taken again";
	close(fd);
	close(ofd);
	nng_http_server_release(s.srv);
	nng_http_server_release(other.srv);
	MUST(nni_loop_take(&epfd) == 0);
	nng_fini();
	CHECK(nni_loop_poll(false) == GONE, "it is still there after nng_fini");
	nni_loop_wake();
	close(epfd);
	MUST(nni_loop_take(&epfd) == 0);
	loop_server(&s);
	fd   = tcp_connect(s.port, 0);
	here = elsewhere = 0;
	CHECK(get(fd, "/", true), "no reply after nng_fini");
	CHECK(here == 1, "the handler ran on no loop after nng_fini");
	return (test_ok("the loop has what is its own, and no more"));
}
