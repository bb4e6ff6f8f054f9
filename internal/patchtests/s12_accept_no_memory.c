// build: -Wl,--wrap=malloc -Wl,--wrap=calloc
// S12. When memory runs out at any point of accepting a connection, that connection
// is closed, nothing leaks, and the next one is served.

#include <stdatomic.h>

#include "limits.h"

// The allocation of nng's threads that fails, from 1 on, or 0.
static atomic_int  failing;
static atomic_bool failed;
static __thread bool ours; // a thread of the test

extern void *__real_malloc(size_t);
extern void *__real_calloc(size_t, size_t);

static bool
fails(void)
{
	if (ours || atomic_load(&failing) == 0 || atomic_fetch_sub(&failing, 1) != 1) {
		return (false);
	}
	atomic_store(&failed, true);
	return (true);
}

void *
__wrap_malloc(size_t n)
{
	return (fails() ? NULL : __real_malloc(n));
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return (fails() ? NULL : __real_calloc(n, size));
}

int
main(void)
{
	server        s;
	int           fd, fds, n = 1;
	struct pollfd p;

	ours = true;
	test_init();
	server_open(&s, false);
	server_add(&s, "/", hello_cb);
	server_start(&s);
	fd = tcp_connect(s.port, 0);
	get_hello(fd);
	close(fd);
	sleep_ms(200);
	fds = count_fds();

	test_step = "memory runs out";
	do {
		atomic_store(&failed, false);
		atomic_store(&failing, n);
		// Nothing is sent, so there are no allocations but for accepting it.
		fd = tcp_connect(s.port, 0);
		p  = (struct pollfd){ fd, POLLIN, 0 };
		(void) poll(&p, 1, 200);
		atomic_store(&failing, 0);
		close(fd);
		fd = tcp_connect(s.port, 0);
		get_hello(fd);
		close(fd);
		while (count_fds() > fds) {
			sleep_ms(5); // ended by the alarm
		}
		n++;
	} while (atomic_load(&failed));
	MUST(n > 8);
	return (test_ok("no memory is an error like others"));
}
