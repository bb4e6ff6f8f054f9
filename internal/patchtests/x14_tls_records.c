// X14. The warning no_renegotiation, over TLS, says nothing to a server. What has come with it
// in the same segment is read all the same, be it the next request or the end of the
// connection, wherever a segment ends; and so it is with other records that have no data.

#include "testutil.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>

// Not in the public headers of every release, but in the library.
int mbedtls_ssl_send_alert_message(
    mbedtls_ssl_context *ssl, unsigned char level, unsigned char message);

enum {
	warning          = 1,
	close_notify     = 0,
	user_canceled    = 90,
	no_renegotiation = 100,
};

typedef struct {
	int                      fd;
	bool                     gather; // keep what would be sent
	char                     out[100000];
	size_t                   len;
	mbedtls_ssl_context      ssl;
	mbedtls_ssl_config       conf;
	mbedtls_entropy_context  entropy;
	mbedtls_ctr_drbg_context rng;
} peer;

static const char    ask[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
static volatile long served, body_size;
static int           port;

static void
served_cb(nng_aio *aio)
{
	nng_http_req *req = nng_aio_get_input(aio, 0);
	void *        data;
	size_t        size;

	nng_http_req_get_data(req, &data, &size);
	body_size = (long) size;
	served++;
	reply(aio, "served", 6);
}

static int
bio_send(void *arg, const unsigned char *buf, size_t len)
{
	peer *p = arg;

	if (p->gather) {
		MUST(p->len + len <= sizeof(p->out));
		memcpy(p->out + p->len, buf, len);
		p->len += len;
		return ((int) len);
	}
	return (send_all(p->fd, buf, len) ? (int) len : MBEDTLS_ERR_NET_SEND_FAILED);
}

static int
bio_recv(void *arg, unsigned char *buf, size_t len)
{
	ssize_t n = recv(((peer *) arg)->fd, buf, len, 0);

	if (n < 0) {
		return (errno == EAGAIN ? MBEDTLS_ERR_SSL_TIMEOUT : MBEDTLS_ERR_NET_RECV_FAILED);
	}
	return ((int) n);
}

static void peer_served(peer *p);
static void peer_write(peer *p, const char *text);

// peer_open connects and has one request served, so that nothing of the handshake is on its
// way any more. What is sent from then on is gathered.
static peer *
peer_open(void)
{
	peer *         p  = calloc(1, sizeof(*p));
	struct timeval tv = { .tv_sec = 4 };

	p->fd = tcp_connect(port, 0);
	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	mbedtls_ssl_init(&p->ssl);
	mbedtls_ssl_config_init(&p->conf);
	mbedtls_entropy_init(&p->entropy);
	mbedtls_ctr_drbg_init(&p->rng);
	MUST(mbedtls_ctr_drbg_seed(&p->rng, mbedtls_entropy_func, &p->entropy, NULL, 0) == 0);
	MUST(mbedtls_ssl_config_defaults(&p->conf, MBEDTLS_SSL_IS_CLIENT,
	         MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) == 0);
	mbedtls_ssl_conf_authmode(&p->conf, MBEDTLS_SSL_VERIFY_NONE);
	mbedtls_ssl_conf_rng(&p->conf, mbedtls_ctr_drbg_random, &p->rng);
	MUST(mbedtls_ssl_setup(&p->ssl, &p->conf) == 0);
	mbedtls_ssl_set_bio(&p->ssl, p, bio_send, bio_recv, NULL);
	MUST(mbedtls_ssl_handshake(&p->ssl) == 0);
	peer_write(p, ask);
	peer_served(p);
	p->gather = true;
	return (p);
}

static void
peer_close(peer *p)
{
	close(p->fd);
	mbedtls_ssl_free(&p->ssl);
	mbedtls_ssl_config_free(&p->conf);
	mbedtls_ctr_drbg_free(&p->rng);
	mbedtls_entropy_free(&p->entropy);
	free(p);
}

static void
peer_write(peer *p, const char *text)
{
	int n = (int) strlen(text);

	MUST(mbedtls_ssl_write(&p->ssl, (const void *) text, (size_t) n) == n);
}

static void
peer_alert(peer *p, int alert)
{
	MUST(mbedtls_ssl_send_alert_message(&p->ssl, warning, (unsigned char) alert) == 0);
}

// peer_flush sends that many of the gathered bytes at once, or all.
static void
peer_flush(peer *p, size_t len)
{
	if (len > p->len) {
		len = p->len;
	}
	MUST(send_all(p->fd, p->out, len));
	p->len -= len;
	memmove(p->out, p->out + len, p->len);
}

// peer_served reads one answer.
static void
peer_served(peer *p)
{
	char   buf[2048];
	char * body;
	size_t len = 0;
	int    rv;

	do {
		rv = mbedtls_ssl_read(&p->ssl, (void *) (buf + len), sizeof(buf) - 1 - len);
		CHECK(rv > 0, "%s: the request is not served: -0x%04x", test_step,
		    (unsigned) -rv);
		len += (size_t) rv;
		buf[len] = '\0';
		body     = strstr(buf, "\r\n\r\n");
	} while (body == NULL || strlen(body + 4) < 6);
	CHECK(strcmp(body + 4, "served") == 0, "%s: the answer is %s", test_step, buf);
}

// peer_ended waits for the server to end the connection.
static void
peer_ended(peer *p)
{
	unsigned char b[16];
	int           rv = mbedtls_ssl_read(&p->ssl, b, sizeof(b));

	CHECK(rv == 0 || rv == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ||
	        rv == MBEDTLS_ERR_NET_RECV_FAILED,
	    "%s: the server does not see the end: -0x%04x", test_step, (unsigned) -rv);
}

// one sends alerts and a request at once, twice.
static void
one(const char *step, int alert, int count)
{
	peer *p = peer_open();

	test_step = step;
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < count; i++) {
			peer_alert(p, alert);
		}
		peer_write(p, ask);
		peer_flush(p, SIZE_MAX);
		peer_served(p);
	}
	peer_close(p);
}

// cut sends an alert and a request with a pause after that many bytes.
static void
cut(peer *p, size_t at)
{
	peer_alert(p, no_renegotiation);
	peer_write(p, ask);
	peer_flush(p, at);
	sleep_ms(30);
	peer_flush(p, SIZE_MAX);
	peer_served(p);
}

int
main(void)
{
	server s;
	peer * p;
	size_t len;
	char   head[100], piece[1001];
	long   before;

	test_init();
	server_open(&s, true);
	nng_http_handler_collect_body(server_add(&s, "/", served_cb), true, 100000);
	server_start(&s);
	port = s.port;

	one("no alert", no_renegotiation, 0);
	one("user_canceled and a request", user_canceled, 1);
	one("no_renegotiation and a request", no_renegotiation, 1);
	one("100 alerts and a request", no_renegotiation, 100);
	one("2000 alerts and a request", no_renegotiation, 2000); // more than nng reads at once

	test_step = "alerts between empty records and a request";
	p         = peer_open();
	peer_alert(p, no_renegotiation);
	MUST(mbedtls_ssl_write(&p->ssl, (const void *) "", 0) == 0);
	peer_alert(p, no_renegotiation);
	peer_alert(p, user_canceled);
	MUST(mbedtls_ssl_write(&p->ssl, (const void *) "", 0) == 0);
	peer_write(p, ask);
	peer_flush(p, SIZE_MAX);
	peer_served(p);

	test_step = "a segment that ends in an alert or in the request";
	peer_alert(p, no_renegotiation);
	len = p->len;
	peer_flush(p, SIZE_MAX);
	for (size_t at = 1; at < len + 8; at += at == 1 || at == len - 1 ? 1 : 3) {
		cut(p, at);
	}
	cut(p, len);
	cut(p, len + 1);

	test_step = "alerts and a request, with the alerts before it alone";
	peer_alert(p, no_renegotiation);
	peer_flush(p, SIZE_MAX);
	sleep_ms(30);
	cut(p, SIZE_MAX);
	peer_close(p);

	test_step = "a body with an alert before each record";
	p         = peer_open();
	memset(piece, 'x', 1000);
	piece[1000] = '\0';
	(void) snprintf(head, sizeof(head),
	    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 60 * 1000);
	peer_write(p, head);
	for (int i = 0; i < 60; i++) {
		peer_alert(p, no_renegotiation);
		peer_write(p, piece);
	}
	peer_flush(p, SIZE_MAX);
	peer_served(p);
	CHECK(body_size == 60 * 1000, "%s: its size is %ld", test_step, body_size);
	peer_close(p);

	test_step = "an alert and close_notify";
	p         = peer_open();
	peer_alert(p, no_renegotiation);
	peer_alert(p, close_notify);
	peer_flush(p, SIZE_MAX);
	peer_ended(p);
	peer_close(p);

	test_step = "an alert, a request and the end of TCP";
	p         = peer_open();
	before    = served; // an answer may come too late, since TLS was cut
	peer_alert(p, no_renegotiation);
	peer_write(p, ask);
	peer_flush(p, SIZE_MAX);
	shutdown(p->fd, SHUT_WR);
	for (int i = 0; i < 4000 && served == before; i++) {
		sleep_ms(1);
	}
	CHECK(served == before + 1, "%s: the request is not served", test_step);
	peer_close(p);

	test_step = "only alerts and a reset";
	for (int i = 0; i < 10; i++) {
		p = peer_open();
		for (int n = 0; n < 1000; n++) {
			peer_alert(p, no_renegotiation);
		}
		peer_flush(p, SIZE_MAX);
		sleep_us(i * 100);
		close_rst(p->fd);
		p->fd = -1;
		peer_close(p);
	}

	test_step = "a request after all that";
	before    = served;
	one("a request after all that", no_renegotiation, 1);
	CHECK(served == before + 3, "%ld requests served, and not 3", served - before);

	test_step = "closing with the connection open and data behind an alert";
	p         = peer_open();
	peer_alert(p, no_renegotiation);
	peer_write(p, ask);
	peer_flush(p, SIZE_MAX);
	nng_http_server_stop(s.srv);
	nng_http_server_release(s.srv);
	nng_fini();
	peer_close(p);
	return (test_ok("what came with an alert is read"));
}
