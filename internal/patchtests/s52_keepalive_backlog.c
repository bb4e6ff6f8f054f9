// S52. A server that asks for it has keep-alive probes on what it accepts, and a longer
// backlog; one that does not is as published.

#include "testutil.h"

int nni_http_server_set(nng_http_server *, const char *, const void *, size_t, int);

static int
set(server *s, const char *name, int value)
{
	return (nni_http_server_set(s->srv, name, &value, sizeof(value), 0));
}

static int
port_of(int (*name)(int, struct sockaddr *, socklen_t *), int fd)
{
	struct sockaddr_in sa  = { 0 };
	socklen_t          len = sizeof(sa);

	if (name(fd, (void *) &sa, &len) != 0 || sa.sin_family != AF_INET) {
		return (-1);
	}
	return (ntohs(sa.sin_port));
}

static int
option(int fd, int level, int name)
{
	int       v   = -1;
	socklen_t len = sizeof(v);

	MUST(getsockopt(fd, level, name, &v, &len) == 0);
	return (v);
}

// accepted is the server's end of a connection.
static int
accepted(server *s, int fd)
{
	int port = port_of(getsockname, fd);

	for (int i = 0; i < 500; i++) {
		for (int e = 3; e < 256; e++) {
			if (port_of(getpeername, e) == port &&
			    port_of(getsockname, e) == s->port) {
				return (e);
			}
		}
		sleep_ms(10);
	}
	MUST(!"accepted");
	return (-1);
}

// backlog is what the kernel has taken.
static int
backlog(server *s)
{
	for (int e = 3; e < 256; e++) {
		struct tcp_info info;
		socklen_t       len = sizeof(info);
		if (port_of(getsockname, e) == s->port &&
		    option(e, SOL_SOCKET, SO_ACCEPTCONN) == 1) {
			MUST(getsockopt(
			         e, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
			return ((int) info.tcpi_sacked);
		}
	}
	MUST(!"backlog");
	return (-1);
}

static void
check(bool tls, bool asks)
{
	server s;
	int    want, fd, e;
	FILE * f = fopen("/proc/sys/net/core/somaxconn", "r");

	MUST(f != NULL && fscanf(f, "%d", &want) == 1);
	fclose(f);
	server_open(&s, tls);
	if (asks) {
		int rv = set(&s, "tcp-probe", 15);
		CHECK(rv == 0, "tcp-probe: %s", nng_strerror(rv));
		MUST(set(&s, "tcp-probe", -1) == NNG_EINVAL);
		MUST(set(&s, "tcp-backlog", 0) == NNG_EINVAL);
		MUST(set(&s, "tcp-backlog", 65536) == NNG_EINVAL);
		MUST(set(&s, "tcp-backlog", 65535) == 0);
	} else if (want > 128) {
		want = 128;
	}
	server_start(&s);
	CHECK(backlog(&s) == want, "the backlog is %d", backlog(&s));

	fd = tcp_connect(s.port, 0);
	e  = accepted(&s, fd);
	// The options come in the thread that accepts.
	for (int i = 0; i < 500; i++) {
		if (option(e, SOL_SOCKET, SO_KEEPALIVE) == asks &&
		    (!asks || option(e, IPPROTO_TCP, TCP_KEEPIDLE) == 15)) {
			break;
		}
		sleep_ms(10);
	}
	CHECK(option(e, SOL_SOCKET, SO_KEEPALIVE) == asks, "keep-alive is %d",
	    option(e, SOL_SOCKET, SO_KEEPALIVE));
	if (asks) {
		CHECK(option(e, IPPROTO_TCP, TCP_KEEPIDLE) == 15, "idle");
		CHECK(option(e, IPPROTO_TCP, TCP_KEEPINTVL) == 15, "interval");
		CHECK(option(e, IPPROTO_TCP, TCP_KEEPCNT) == 9, "count");
	}
	close(fd);
}

int
main(void)
{
	test_init();
	check(false, false);
	check(false, true);
	check(true, false);
	check(true, true);
	check(false, false); // what one asks for is not another's
	return (test_ok("keep-alive and backlog are what was asked for"));
}
