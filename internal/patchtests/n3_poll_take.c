// N3. A program must be able to do the work of nng's poller thread: to wait for its
// descriptor, and to run on its own thread what comes of it. And nobody may wait for a task
// that such a thread has gathered and cannot run.

#include "testutil.h"

#include <sys/stat.h>

extern int  nni_plat_poll_take(int *) __attribute__((weak));
extern void nni_plat_poll_give(void) __attribute__((weak));
extern bool nni_plat_poll(void) __attribute__((weak));
extern void nni_plat_poll_wake(void) __attribute__((weak));
extern void nni_task_gather(void) __attribute__((weak));
extern void nni_task_run(void) __attribute__((weak));

static pthread_t self;
static int       here, elsewhere; // handlers and callbacks that ran on this thread, or not

static void
note(void)
{
	__atomic_add_fetch(pthread_equal(pthread_self(), self) ? &here : &elsewhere, 1,
	    __ATOMIC_SEQ_CST);
}

static void
hello(nng_aio *aio)
{
	note();
	reply(aio, "hello", 5);
}

static void
slow(void *arg)
{
	sleep_ms(*(int *) arg);
	note();
}

static int
noted(int *what)
{
	return (__atomic_load_n(what, __ATOMIC_SEQ_CST));
}

// ask sends a request and says whether there is a reply. Where it has to wait it polls.
static bool
ask(int fd, int epfd)
{
	struct pollfd fds[2] = { { fd, POLLIN, 0 }, { epfd, POLLIN, 0 } };
	char          buf[4096];

	MUST(send_all(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27));
	for (uint64_t end = now_ms() + 5000; now_ms() < end;) {
		MUST(poll(fds, epfd < 0 ? 1 : 2, 100) >= 0);
		if ((fds[0].revents & POLLIN) != 0) {
			return (recv(fd, buf, sizeof(buf), 0) > 0);
		}
		if ((epfd >= 0) && ((fds[1].revents & POLLIN) != 0)) {
			while (!nni_plat_poll()) {
			}
		}
	}
	return (false);
}

static void *
free_aio(void *arg)
{
	nng_aio_free(arg);
	return (NULL);
}

int
main(void)
{
	server        s;
	int           epfd, fd;
	nng_aio *     aios[20];
	int           ms = 50, none = 0;
	struct pollfd p;
	pthread_t     t;

	test_init();
	self = pthread_self();
	CHECK(nni_plat_poll_take != NULL, "the poller's work cannot be taken");
	server_open(&s, false);
	(void) server_add(&s, "/", hello);
	server_start(&s);
	fd = tcp_connect(s.port, 0);
	CHECK(ask(fd, -1), "no reply");
	CHECK(noted(&elsewhere) == 1, "the handler ran on no thread of nng's");

	test_step = "the work is taken";
	MUST(nni_plat_poll_take(&epfd) == 0);
	for (int i = 0; i < 100; i++) {
		CHECK(ask(fd, epfd), "no reply to whoever polls");
	}
	// What a busy machine makes slow is given to the threads.
	CHECK(noted(&here) > 80, "%d of 100 handlers ran where they were polled", here);

	test_step = "nothing comes of it when nobody polls";
	MUST(send_all(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27));
	sleep_ms(50);
	CHECK(noted(&here) + noted(&elsewhere) == 101, "somebody else polls");
	while (noted(&here) + noted(&elsewhere) == 101) {
		(void) nni_plat_poll();
	}
	char buf[4096];
	MUST(recv(fd, buf, sizeof(buf), 0) > 0);

	test_step = "connections end without a poll";
	for (int i = 0; i < 20; i++) {
		int c = tcp_connect(s.port, 0);
		CHECK(ask(c, epfd), "no reply");
		close(c);
	}
	while (!nni_plat_poll()) {
	}
	sleep_ms(50);
	CHECK(count_fds() < 20, "%d descriptors are open", count_fds());

	test_step = "a file that blocks holds nobody up";
	char path[] = "/tmp/n3-XXXXXX", fifo[64];
	MUST(mkdtemp(path) != NULL);
	(void) snprintf(fifo, sizeof(fifo), "%s/fifo", path);
	MUST(mkfifo(fifo, 0600) == 0);
	nng_http_handler *h;
	MUST(nng_http_handler_alloc_file(&h, "/file", fifo) == 0);
	MUST(nng_http_server_add_handler(s.srv, h) == 0);
	int waits = tcp_connect(s.port, 0);
	MUST(send_all(waits, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n", 31));
	for (int i = 0; i < 50; i++) { // it is read in the middle of this
		CHECK(ask(fd, epfd), "no reply while a file is waited for");
	}
	int w = open(fifo, O_WRONLY); // waits until somebody opens it for reading
	MUST(w >= 0);
	close(w);
	close(waits);
	(void) unlink(fifo);
	(void) rmdir(path);

	test_step = "the descriptor can be woken";
	p = (struct pollfd){ epfd, POLLIN, 0 };
	while (!nni_plat_poll() || poll(&p, 1, 0) != 0) {
	}
	nni_plat_poll_wake();
	CHECK(poll(&p, 1, 1000) == 1, "a wake does not make the descriptor readable");
	(void) nni_plat_poll();
	CHECK(poll(&p, 1, 0) == 0, "the descriptor stays readable");

	test_step = "a task that was gathered is waited for";
	here = elsewhere = 0;
	nni_task_gather();
	nni_task_gather();
	for (int i = 0; i < 3; i++) {
		MUST(nng_aio_alloc(&aios[i], slow, &none) == 0);
		MUST(nng_aio_begin(aios[i]));
		nng_aio_finish(aios[i], 0);
	}
	nni_task_run();
	CHECK(noted(&here) + noted(&elsewhere) == 0, "tasks ran too early");
	nng_aio_wait(aios[1]); // by the thread that has it
	CHECK(noted(&elsewhere) == 1 && noted(&here) == 0, "the wait did not give its task away");
	MUST(pthread_create(&t, NULL, free_aio, aios[2]) == 0);
	MUST(pthread_join(t, NULL) == 0); // by another thread
	CHECK(noted(&elsewhere) == 2 && noted(&here) == 0, "the free did not take its task");
	nni_task_run();
	CHECK(noted(&here) == 1, "the last of them did not run here");
	nng_aio_free(aios[0]);
	nng_aio_free(aios[1]);

	test_step = "what takes long is given to the threads";
	here = elsewhere = 0;
	nni_task_gather();
	for (int i = 0; i < 20; i++) {
		MUST(nng_aio_alloc(&aios[i], slow, &ms) == 0);
		MUST(nng_aio_begin(aios[i]));
		nng_aio_finish(aios[i], 0);
	}
	nni_task_run();
	CHECK(noted(&here) < 10, "%d tasks of %d ms ran in one call", here, ms);
	for (int i = 0; i < 20; i++) {
		nng_aio_free(aios[i]);
	}
	CHECK(noted(&here) + noted(&elsewhere) == 20, "a task was lost");

	test_step = "the work is given back";
	elsewhere = 0;
	nni_plat_poll_give();
	for (int i = 0; i < 10; i++) {
		CHECK(ask(fd, -1), "no reply when the work was given back");
	}
	CHECK(noted(&elsewhere) == 10, "the poller's thread does not work");
	for (int i = 0; i < 100; i++) {
		MUST(nni_plat_poll_take(&epfd) == 0);
		if (i % 2 == 0) {
			CHECK(ask(fd, epfd), "no reply after the work was taken %d times", i);
		}
		nni_plat_poll_give();
		if (i % 3 == 0) {
			CHECK(ask(fd, -1), "no reply after the work was given back %d times", i);
		}
	}
	close(fd);
	nng_http_server_release(s.srv);
	return (test_ok("the poller's work can be taken"));
}
