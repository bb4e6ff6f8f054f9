// P26. A redirect leads where its server wants, and its page is its server's.

#include "testutil.h"

static void
add_redirect(server *s, const char *path, const char *where)
{
	nng_http_handler *h;
	MUST(nng_http_handler_alloc_redirect(&h, path, 301, where) == 0);
	MUST(nng_http_handler_set_tree(h) == 0);
	MUST(nng_http_server_add_handler(s->srv, h) == 0);
}

static void
check(const char *path, const char *where, const char *target, const char *want)
{
	char          buf[8000];
	char          line[500];
	char         *body;
	ssize_t       got;
	size_t        n = 0;
	server        s;
	int           fd;
	struct pollfd p = { .events = POLLIN };

	test_step = target;
	server_open(&s, false);
	add_redirect(&s, path, where);
	server_start(&s);
	p.fd = fd = tcp_connect(s.port, 0);
	snprintf(line, sizeof(line), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
	MUST(send_all(fd, line, strlen(line)));
	do {
		CHECK(poll(&p, 1, 5000) == 1, "no answer");
		got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);
		n += got > 0 ? (size_t) got : 0;
	} while (got > 0);
	buf[n] = '\0';
	close(fd);
	snprintf(line, sizeof(line), "\r\nLocation: %s\r\n", want);
	CHECK(strstr(buf, line) != NULL, "%s to %s, %s: not%s in\n%s", path,
	    where, target, line, buf);
	MUST((body = strstr(buf, "\r\n\r\n")) != NULL);
	CHECK(strstr(body, "<script>") == NULL, "the target is HTML");
	CHECK(strstr(body, "\"onclick") == NULL, "the target is an attribute");
	nng_http_server_release(s.srv);
}

int
main(void)
{
	const char *good = "http://good.example";

	test_init();
	// The host does not go on with the target.
	check("/", good, "/.evil.example/", "http://good.example/.evil.example/");
	check("/", good, "/@evil.example/", "http://good.example/@evil.example/");
	check("/", good, "/:80@evil/", "http://good.example/:80@evil/");
	check("/", good, "/a/b?c", "http://good.example/a/b?c");
	check("/", good, "/", good);
	check("/", good, "/?q", "http://good.example?q");
	check("/", "http://good.example/", "/a", "http://good.example/a");
	check("/", "http://good.example/x?u=", "/a", "http://good.example/x?u=a");
	check("/old", good, "/old%2f.evil.example/",
	    "http://good.example/%2f.evil.example/");
	check("/old", good, "/old/a", "http://good.example/a");
	check("/old", good, "/old", good);
	check("/old", good, "/old/", "http://good.example/");
	check("/old", "http://good.example/new", "/old/a?b",
	    "http://good.example/new/a?b");
	// A path does not become a host.
	check("/", "/", "//evil.example/", "/evil.example/");
	check("/", "/", "/\\evil.example/", "/evil.example/");
	check("/", "/", "///evil.example/", "/evil.example/");
	check("/old", "/", "/old/evil.example/", "/evil.example/");
	check("/old", "/", "/old//evil.example/", "/evil.example/");
	check("/old", "/new", "/old//evil.example/", "/new/evil.example/");
	// Nor HTML.
	check("/", good, "/<script>alert(1)</script>",
	    "http://good.example/<script>alert(1)</script>");
	check("/", good, "/\"onclick='x'&amp;",
	    "http://good.example/\"onclick='x'&amp;");
	return (test_ok("redirects lead where they should"));
}
