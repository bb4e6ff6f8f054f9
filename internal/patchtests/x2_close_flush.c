// Bytes of a completed write must reach the peer when nng_http_conn_close
// follows at once, over plain TCP and over TLS, also with a slow reader. Over
// TLS the end must be a close_notify. The same for a response of the server
// with "Connection: close".

#include "testutil.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>

static char *         data;
static size_t         data_len;
static nng_http_conn *hijacked;
static nng_http_req * hijacked_req;
static volatile bool  have_conn;

static void
hijack_cb(nng_aio *aio)
{
	hijacked_req = nng_aio_get_input(aio, 0);
	hijacked     = nng_aio_get_input(aio, 2);
	MUST(nng_http_hijack(hijacked) == 0);
	nng_aio_finish(aio, 0);
	have_conn = true;
}

static void
plain_cb(nng_aio *aio)
{
	nng_http_res *res;
	MUST(nng_http_res_alloc(&res) == 0);
	MUST(nng_http_res_set_header(res, "Connection", "close") == 0);
	MUST(nng_http_res_copy_data(res, data, data_len) == 0);
	nng_aio_set_output(aio, 0, res);
	nng_aio_finish(aio, 0);
}

typedef struct {
	bool                     tls;
	int                      slow; // us to sleep for each 16 KiB
	volatile bool            hold; // do not read at all
	int                      port;
	const char *             path;
	int                      fd;
	mbedtls_ssl_context      ssl;
	mbedtls_ssl_config       conf;
	mbedtls_entropy_context  entropy;
	mbedtls_ctr_drbg_context rng;
	char *                   got;
	size_t                   len;
	int                      end; // 1: FIN, 2: close_notify, else an error
} peer;

static int
peer_bio_send(void *arg, const unsigned char *buf, size_t len)
{
	ssize_t n = send(*(int *) arg, buf, len, MSG_NOSIGNAL);
	return (n < 0 ? MBEDTLS_ERR_NET_SEND_FAILED : (int) n);
}

static int
peer_bio_recv(void *arg, unsigned char *buf, size_t len)
{
	ssize_t n = recv(*(int *) arg, buf, len, 0);
	return (n < 0 ? MBEDTLS_ERR_NET_RECV_FAILED : (int) n);
}

static void *
peer_main(void *arg)
{
	peer * p = arg;
	char   head[100];
	int    rv;
	size_t cap = data_len + 4096;

	p->fd = tcp_connect(p->port, p->slow || p->hold ? 32768 : 0);
	snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
	    p->path);
	p->got = calloc(1, cap);
	if (p->tls) {
		mbedtls_ssl_init(&p->ssl);
		mbedtls_ssl_config_init(&p->conf);
		mbedtls_entropy_init(&p->entropy);
		mbedtls_ctr_drbg_init(&p->rng);
		MUST(mbedtls_ctr_drbg_seed(&p->rng, mbedtls_entropy_func,
		         &p->entropy, NULL, 0) == 0);
		MUST(mbedtls_ssl_config_defaults(&p->conf,
		         MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
		         MBEDTLS_SSL_PRESET_DEFAULT) == 0);
		mbedtls_ssl_conf_authmode(&p->conf, MBEDTLS_SSL_VERIFY_NONE);
		mbedtls_ssl_conf_rng(
		    &p->conf, mbedtls_ctr_drbg_random, &p->rng);
		MUST(mbedtls_ssl_setup(&p->ssl, &p->conf) == 0);
		mbedtls_ssl_set_bio(
		    &p->ssl, &p->fd, peer_bio_send, peer_bio_recv, NULL);
		MUST(mbedtls_ssl_handshake(&p->ssl) == 0);
		MUST(mbedtls_ssl_write(&p->ssl, (void *) head, strlen(head)) ==
		    (int) strlen(head));
	} else {
		MUST(send_all(p->fd, head, strlen(head)));
	}
	for (;;) {
		size_t n = cap - p->len < 16384 ? cap - p->len : 16384;
		if (p->slow) {
			sleep_us(p->slow);
		}
		while (p->hold) {
			sleep_ms(1);
		}
		if (p->tls) {
			rv = mbedtls_ssl_read(
			    &p->ssl, (void *) (p->got + p->len), n);
		} else {
			rv = (int) recv(p->fd, p->got + p->len, n, 0);
		}
		if (rv <= 0) {
			break;
		}
		p->len += (size_t) rv;
	}
	p->end = rv == 0 ? 1
	                 : (rv == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ? 2 : rv);
	close(p->fd);
	return (NULL);
}

static int defects;

// Fills the connection to a reader that pauses, with writes of 1000 bytes each
// that complete, until one does not, or until max of them are done.
static int
fill(op *o, int max)
{
	int n;
	for (n = 0; n < max; n++) {
		op_buf(o, data + (size_t) n * 1000, 1000);
		nng_http_conn_write_all(hijacked, op_start(o));
		if (op_wait(o, 400) != 0) {
			break;
		}
	}
	return (n);
}

static int
run(server *s, bool tls, bool hijack, size_t len, int slow, int pieces)
{
	peer *    p = calloc(1, sizeof(*p));
	pthread_t t;
	op        o;
	char *    b;
	bool      bad;
	size_t    body;
	int       n = 0;

	p->tls    = tls;
	p->slow   = slow;
	p->port   = s->port;
	p->path   = hijack ? "/hijack" : "/plain";
	p->hold   = pieces != 0;
	data_len  = len;
	have_conn = false;
	op_init(&o);
	MUST(pthread_create(&t, NULL, peer_main, p) == 0);
	if (hijack) {
		while (!have_conn) {
			sleep_ms(1);
		}
		test_step = "write";
		if (pieces == 0) {
			op_buf(&o, data, len);
			nng_http_conn_write_all(hijacked, op_start(&o));
			MUST(op_wait(&o, 15000) == 0);
		} else {
			n   = fill(&o, pieces);
			len = (size_t) n * 1000;
		}
		CHECK(conn_close_bounded(hijacked, 3000), "close hangs");
		nng_http_req_free(hijacked_req);
	}
	p->hold   = false;
	test_step = "reading";
	pthread_join(t, NULL);
	b    = p->got;
	body = p->len;
	if (!hijack && (b = strstr(p->got, "\r\n\r\n")) != NULL) {
		b += 4;
		body -= (size_t) (b - p->got);
	}
	bad = (body != len) || (b == NULL) || (memcmp(b, data, len) != 0) ||
	    (p->end != (tls ? 2 : 1));
	if (n < pieces) {
		// a write was pending at the close: only the count is of use
		MUST(op_wait(&o, 3000) != -1);
	} else if (bad) {
		defects++;
		printf("%s %s, %zu bytes, %s reader: %zu bytes came, end: %s\n",
		    tls ? "tls" : "tcp", hijack ? "hijacked" : "response", len,
		    slow ? "slow" : (pieces ? "stalled" : "fast"), body,
		    p->end == 2       ? "close_notify"
		        : p->end == 1 ? "FIN"
		                      : "error or FIN without close_notify");
	}
	free(p->got);
	free(p);
	nng_aio_free(o.aio);
	return (n);
}

int
main(void)
{
	server s[2];
	int    n;

	test_init();
	alarm(40); // it waits much, and a busy machine makes it wait more
	data = malloc(16u << 20);
	for (size_t i = 0; i < 16u << 20; i++) {
		data[i] = (char) ('a' + i % 23);
	}
	for (int tls = 0; tls < 2; tls++) {
		server_open(&s[tls], tls);
		server_add(&s[tls], "/hijack", hijack_cb);
		server_add(&s[tls], "/plain", plain_cb);
		server_start(&s[tls]);
		for (int hij = 0; hij < 2; hij++) {
			for (int i = 0; i < 5; i++) {
				run(&s[tls], tls, hij, 100, 0, 0);
			}
			run(&s[tls], tls, hij, 1u << 20, 0, 0);
			run(&s[tls], tls, hij, 8u << 20, 1000, 0);
		}
		// How much fits while the peer does not read? Then the same a
		// little less, so that no write is pending at the close.
		n = run(&s[tls], tls, true, 16u << 20, 0, 16000);
		for (int less = 2; less <= 14 && less < n; less += 3) {
			run(&s[tls], tls, true, 16u << 20, 0, n - less);
		}
	}
	CHECK(defects == 0, "%d of the closes lost bytes or the end", defects);
	return (test_ok("nothing is lost when a connection is closed"));
}
