// A server that answers each connection's request with what the test has set, and then
// closes its direction.

#ifndef ANSWERUTIL_H
#define ANSWERUTIL_H

#include "testutil.h"

static const char *volatile answer;    // what comes first
static const char *volatile more;      // and then comes again and again
static volatile int         more_times;
static volatile bool        stay;      // do not close then

static void *
answer_main(void *arg)
{
	int  fd = (int) (intptr_t) arg;
	char buf[4096];

	for (;;) {
		int         a = accept(fd, NULL, NULL);
		const char *first;
		char *      block;
		size_t      len;

		MUST(a >= 0);
		if (recv(a, buf, sizeof(buf), 0) <= 0) { // closed before its request came
			close(a);
			continue;
		}
		first = answer; // once: the test sets it for the next while this one is served
		send_all(a, first, strlen(first));
		if (more_times != 0) {
			len   = strlen(more);
			block = malloc(len * 1000);
			for (int i = 0; i < 1000; i++) {
				memcpy(block + len * (size_t) i, more, len);
			}
			for (int i = 0; i < more_times; i += 1000) {
				if (!send_all(a, block, len * 1000)) {
					break;
				}
			}
			free(block);
		}
		if (!stay) {
			shutdown(a, SHUT_WR);
		}
		while (recv(a, buf, sizeof(buf), 0) > 0) {
		}
		close(a);
	}
	return (NULL);
}

static inline int
answer_start(void)
{
	int       port;
	int       fd = tcp_listen(&port);
	pthread_t t;

	MUST(pthread_create(&t, NULL, answer_main, (void *) (intptr_t) fd) == 0);
	return (port);
}

#endif
