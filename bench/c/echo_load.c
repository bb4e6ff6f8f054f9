// echo_load PORT CONNECTIONS SECONDS: sends 64 bytes on each connection and sends the next
// when they are back. One thread.

#include <sys/epoll.h>

#include "load.h"

#define SIZE 64
#define LONGEST 1000000 // microseconds; what takes longer counts as this

typedef struct {
	int     fd;
	int     got;
	int64_t sent;
} peer;

static unsigned took[LONGEST + 1]; // how many round trips took so many microseconds

static void
ping(peer *p)
{
	static const char message[SIZE];

	p->got  = 0;
	p->sent = now();
	if (write(p->fd, message, SIZE) != SIZE) {
		die("write");
	}
}

static int
percentile(uint64_t count, double share)
{
	uint64_t seen = 0;
	int      us   = 0;

	while ((us < LONGEST) && ((seen += took[us]) < (uint64_t) (share * (double) count))) {
		us++;
	}
	return (us);
}

int
main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: echo_load PORT CONNECTIONS SECONDS\n");
		return (2);
	}
	int      conns = atoi(argv[2]);
	peer *   peers = calloc(conns, sizeof(*peers));
	int      ep    = epoll_create1(0);
	uint64_t count = 0;

	for (int i = 0; i < conns; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &peers[i] };

		peers[i].fd = upgrade(atoi(argv[1]));
		if (epoll_ctl(ep, EPOLL_CTL_ADD, peers[i].fd, &ev) != 0) {
			die("epoll_ctl");
		}
	}
	int64_t start = now();
	int64_t end   = start + (int64_t) (atof(argv[3]) * 1e6);
	int64_t t     = start;
	for (int i = 0; i < conns; i++) {
		ping(&peers[i]);
	}
	while (t < end) {
		struct epoll_event ready[64];
		int                n = epoll_wait(ep, ready, 64, 100);

		t = now();
		for (int i = 0; i < n; i++) {
			peer *  p = ready[i].data.ptr;
			char    buf[SIZE];
			ssize_t got = read(p->fd, buf, SIZE - p->got);

			if (got <= 0) {
				die("read");
			}
			if ((p->got += got) == SIZE) {
				int64_t us = now() - p->sent;
				took[us < LONGEST ? us : LONGEST]++;
				count++;
				ping(p);
			}
		}
	}
	printf("count=%llu seconds=%.6f p50=%d p99=%d\n", (unsigned long long) count,
	    (double) (t - start) / 1e6, percentile(count, 0.5), percentile(count, 0.99));
	return (0);
}
