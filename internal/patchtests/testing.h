// Small helpers for the C tests of the patches. Each test is one program that
// is compiled with one libnng; status 0 means the library behaves.
#ifndef NNGHTTP_TESTING_H
#define NNGHTTP_TESTING_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>

#define FAIL(...)                                               \
	do {                                                    \
		fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
		fprintf(stderr, __VA_ARGS__);                   \
		fputc('\n', stderr);                            \
		exit(1);                                        \
	} while (0)

#define OK(call)                                                  \
	do {                                                      \
		int rv_ = (call);                                 \
		if (rv_ != 0) {                                   \
			FAIL("%s: %s", #call, nng_strerror(rv_)); \
		}                                                 \
	} while (0)

// Starts a server on a free port; the port comes back in network byte order.
static inline nng_http_server *
start_server(nng_http_handler *handler, uint16_t *port)
{
	nng_url         *url;
	nng_http_server *server;
	nng_sockaddr     addr;

	OK(nng_url_parse(&url, "http://127.0.0.1:0"));
	OK(nng_http_server_hold(&server, url));
	nng_url_free(url);
	if (handler != NULL) {
		OK(nng_http_server_add_handler(server, handler));
	}
	OK(nng_http_server_start(server));
	OK(nng_http_server_get_addr(server, &addr));
	*port = addr.s_in.sa_port;
	return (server);
}

static inline int
connect_to(uint16_t port)
{
	struct sockaddr_in sin = { 0 };
	struct timeval     tv  = { .tv_sec = 5 };
	int                fd  = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_family      = AF_INET;
	sin.sin_port        = port;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *) &sin, sizeof(sin)) != 0) {
		FAIL("can't connect to the server: %s", strerror(errno));
	}
	// A server that forgets us must not hang the test.
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return (fd);
}

static inline void
send_text(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t) strlen(text)) {
		FAIL("can't send the request: %s", strerror(errno));
	}
}

// Reads into buf until `want` is seen (may be NULL) or the peer is done with
// the connection. False when the peer neither answers nor closes.
static inline bool
receive(int fd, char *buf, size_t size, const char *want)
{
	size_t  have = 0;
	ssize_t n;

	buf[0] = '\0';
	while (have + 1 < size) {
		n = recv(fd, buf + have, size - 1 - have, 0);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			return (false);
		}
		if (n <= 0) {
			break; // closed or reset
		}
		have += (size_t) n;
		buf[have] = '\0';
		if (want != NULL && strstr(buf, want) != NULL) {
			break;
		}
	}
	return (true);
}

#endif
