// W2. Closing a listener must end the accepts that wait, and freeing it must give back
// the connections that nobody has accepted.

#include "wsutil.h"

#include <sanitizer/lsan_interface.h>

#define CLIENTS 20

int
main(void)
{
	nng_stream_listener *l;
	op                   o;
	int                  port, fd[CLIENTS], before;
	char                 head[1000];

	test_init();
	op_init(&o);
	l = ws_listen(&port);
	test_step = "close with an accept";
	nng_stream_listener_accept(l, op_start(&o));
	nng_stream_listener_close(l);
	CHECK(op_wait(&o, 3000) == NNG_ECLOSED, "the accept does not end");
	nng_stream_listener_free(l);

	l         = ws_listen(&port);
	test_step = "free with connections";
	before    = count_fds();
	for (int i = 0; i < CLIENTS; i++) {
		fd[i] = ws_ask(port);
		ws_answer(fd[i], head, sizeof(head));
	}
	nng_stream_listener_free(l);
	l = NULL;
	for (int i = 0; i < CLIENTS; i++) {
		// The end of the connection, with or without a close frame.
		while (recv(fd[i], head, sizeof(head), 0) > 0) {
		}
		close(fd[i]);
	}
	for (int i = 0; i < 500 && count_fds() >= before; i++) {
		sleep_ms(10);
	}
	CHECK(count_fds() < before, "connections stay open");
	nng_aio_free(o.aio);
	nng_fini(); // waits for what is freed in the background
	CHECK(__lsan_do_recoverable_leak_check() == 0, "memory is lost");
	return (test_ok("the listener leaves nothing behind"));
}
