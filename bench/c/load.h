// What the load generators have in common.

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

// now is a time in microseconds.
static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

// upgrade connects, asks for another protocol, and reads the head of the answer, not a
// byte more. Whatever waits for the peer on the socket ends after five seconds.
static int
upgrade(int port)
{
	static const char  ask[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	                           "Connection: Upgrade\r\nUpgrade: bench\r\n\r\n";
	struct sockaddr_in sin   = {
		.sin_family      = AF_INET,
		.sin_port        = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval limit = { .tv_sec = 5 };
	char           head[512];
	size_t         n  = 0;
	int            on = 1;
	int            fd = socket(AF_INET, SOCK_STREAM, 0);

	if ((fd < 0) || (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) != 0)) {
		die("connect");
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (write(fd, ask, sizeof(ask) - 1) != sizeof(ask) - 1) {
		die("write");
	}
	while ((n < 4) || (memcmp(head + n - 4, "\r\n\r\n", 4) != 0)) {
		if ((n == sizeof(head)) || (read(fd, head + n, 1) != 1)) {
			die("reading the answer to the upgrade");
		}
		n++;
	}
	if (memcmp(head, "HTTP/1.1 101", 12) != 0) {
		fprintf(stderr, "the upgrade was refused: %.*s\n", (int) n, head);
		exit(1);
	}
	return (fd);
}
