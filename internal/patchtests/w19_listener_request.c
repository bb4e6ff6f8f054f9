// W19. A listener that shares its server is freed while a request for it is on the way. When
// the rest of that comes, its handler still finds the listener, which is closed.

#include "wsutil.h"

int
main(void)
{
	static const char    head[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n";
	nng_stream_listener *l;
	nng_http_server *    s;
	nng_url *            url;
	char                 text[100], buf[4096] = "";
	int                  port, fd;

	test_init();
	l = ws_listen(&port);
	(void) snprintf(text, sizeof(text), "http://127.0.0.1:%d/", port);
	MUST(nng_url_parse(&url, text) == 0);
	MUST(nng_http_server_hold(&s, url) == 0);
	MUST(nng_http_server_start(s) == 0);
	nng_url_free(url);

	test_step = "the rest of a request comes after the listener has gone";
	fd        = tcp_connect(port, 0);
	MUST(send_all(fd, head, strlen(head)));
	sleep_ms(200);
	nng_stream_listener_free(l);
	MUST(send_all(fd, "hello", 5));
	for (size_t n = 0; strstr(buf, "\r\n") == NULL; n++) {
		CHECK((n + 1 < sizeof(buf)) && (recv(fd, buf + n, 1, 0) == 1),
		    "there is no answer");
		buf[n + 1] = '\0';
	}
	CHECK(strncmp(buf, "HTTP/1.1 503 ", 13) == 0, "the answer is %s", buf);
	close(fd);
	nng_http_server_stop(s);
	nng_http_server_release(s);
	return (test_ok("a request may outlive its listener"));
}
