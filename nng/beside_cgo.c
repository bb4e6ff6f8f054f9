//go:build nng_beside

// C code that uses libnng in the same process, as a test of what Go's loop does to it
// (beside_test.go). It knows nothing of Go.

#define _GNU_SOURCE // RTLD_NEXT

#include "beside_cgo.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/http/http.h>

static volatile int blocked; // handlers that block
static volatile int release;

static void
block(nng_aio *aio)
{
	nng_http_res *res;

	__atomic_add_fetch(&blocked, 1, __ATOMIC_SEQ_CST);
	while (!release) {
		usleep(1000);
	}
	__atomic_sub_fetch(&blocked, 1, __ATOMIC_SEQ_CST);
	if (nng_http_res_alloc(&res) != 0) {
		nng_aio_finish(aio, NNG_ENOMEM);
		return;
	}
	(void) nng_http_res_copy_data(res, "c", 1);
	(void) nng_aio_set_output(aio, 0, res);
	nng_aio_finish(aio, 0);
}

int
beside_block(const char *url, const char *path)
{
	nng_url          *u;
	nng_http_server  *srv; // stays until the process ends
	nng_http_handler *h;
	int               rv;

	if ((rv = nng_url_parse(&u, url)) != 0) {
		return (rv);
	}
	if (((rv = nng_http_server_hold(&srv, u)) == 0) &&
	    ((rv = nng_http_handler_alloc(&h, path, block)) == 0)) {
		rv = nng_http_server_add_handler(srv, h);
	}
	nng_url_free(u);
	return (rv);
}

int
beside_blocked(void)
{
	return (blocked);
}

void
beside_release(void)
{
	release = 1;
}

static nng_socket asks, answers;
static nng_aio   *told;
static volatile int outcome = -1;

static void *
answer(void *arg)
{
	nng_msg *msg;

	(void) arg;
	while (nng_recvmsg(answers, &msg, 0) == 0) {
		if (nng_sendmsg(answers, msg, 0) != 0) {
			nng_msg_free(msg);
		}
	}
	return (NULL);
}

// ask is a callback that sends a request and waits for the reply.
static void
ask(void *arg)
{
	char   buf[16];
	size_t len = sizeof(buf);
	int    rv;

	(void) arg;
	if ((rv = nng_send(asks, "q", 2, 0)) == 0) {
		rv = nng_recv(asks, buf, &len, 0);
	}
	outcome = rv;
}

// join connects two sockets over TCP.
static int
join(nng_socket listens, nng_socket dials)
{
	nng_listener l;
	nng_sockaddr sa;
	char         url[64];
	int          rv, port;

	if (((rv = nng_listen(listens, "tcp://127.0.0.1:0", &l, 0)) != 0) ||
	    ((rv = nng_listener_get_addr(l, NNG_OPT_LOCADDR, &sa)) != 0)) {
		return (rv);
	}
	port = ((sa.s_in.sa_port & 0xff) << 8) | (sa.s_in.sa_port >> 8);
	(void) snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	return (nng_dial(dials, url, NULL, 0));
}

int
beside_callback(void)
{
	nng_socket in, out;
	pthread_t  t;
	int        rv;

	if (((rv = nng_rep0_open(&answers)) != 0) || ((rv = nng_req0_open(&asks)) != 0) ||
	    ((rv = nng_pair0_open(&in)) != 0) || ((rv = nng_pair0_open(&out)) != 0) ||
	    ((rv = join(answers, asks)) != 0) || ((rv = join(in, out)) != 0) ||
	    ((rv = nng_socket_set_ms(asks, NNG_OPT_RECVTIMEO, 10000)) != 0) ||
	    ((rv = pthread_create(&t, NULL, answer, NULL)) != 0) ||
	    ((rv = nng_aio_alloc(&told, ask, NULL)) != 0)) {
		return (rv);
	}
	nng_recv_aio(in, told); // its callback comes with the message
	usleep(50000);
	if ((rv = nng_send(out, "go", 3, 0)) != 0) {
		return (rv);
	}
	for (int i = 0; i < 15000 && outcome < 0; i++) {
		usleep(1000);
	}
	if (outcome >= 0) {
		nng_msg_free(nng_aio_get_msg(told));
		nng_aio_free(told);
	}
	nng_close(in);
	nng_close(out);
	nng_close(answers);
	nng_close(asks);
	(void) pthread_join(t, NULL);
	return (outcome);
}

// Signals of condition variables get lost in some glibcs (bug 25847).
static volatile int lose;

int
pthread_cond_signal(pthread_cond_t *cv)
{
	static int (*real)(pthread_cond_t *);

	if (__atomic_exchange_n(&lose, 0, __ATOMIC_SEQ_CST)) {
		return (0);
	}
	if (real == NULL) {
		*(void **) &real = dlsym(RTLD_NEXT, "pthread_cond_signal");
	}
	return (real(cv));
}

static volatile int ran;

static void
run(void *arg)
{
	(void) arg;
	__atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
}

int
beside_lost_signal(int n)
{
	nng_aio **aios  = calloc((size_t) n, sizeof(*aios));
	int       first = 0;

	for (int i = 0; i < n; i++) {
		if (nng_aio_alloc(&aios[i], run, NULL) != 0) {
			return (0);
		}
		nng_aio_begin(aios[i]);
	}
	usleep(100000); // until nng's threads wait
	lose = 1;
	for (int i = 0; i < n; i++) {
		nng_aio_finish(aios[i], 0);
		usleep(20000);
		if ((first == 0) && (ran != 0)) {
			first = i + 1;
		}
	}
	for (int i = 0; i < n; i++) {
		nng_aio_free(aios[i]); // waits
	}
	free(aios);
	return ((ran == n) ? first : 0);
}

static nng_socket ping, pong;

static void *
ponger(void *arg)
{
	nng_msg *msg;

	(void) arg;
	while (nng_recvmsg(pong, &msg, 0) == 0) {
		if (nng_sendmsg(pong, msg, 0) != 0) {
			nng_msg_free(msg);
		}
	}
	return (NULL);
}

int
beside_pings(int n, int *us)
{
	pthread_t       t;
	char            buf[4];
	struct timespec a, b;
	int             rv;

	if (((rv = nng_pair0_open(&ping)) != 0) || ((rv = nng_pair0_open(&pong)) != 0) ||
	    ((rv = join(pong, ping)) != 0) ||
	    ((rv = pthread_create(&t, NULL, ponger, NULL)) != 0)) {
		return (rv);
	}
	for (int i = 0; i < n && rv == 0; i++) {
		size_t len = sizeof(buf);

		(void) clock_gettime(CLOCK_MONOTONIC, &a);
		if ((rv = nng_send(ping, "ping", 4, 0)) == 0) {
			rv = nng_recv(ping, buf, &len, 0);
		}
		(void) clock_gettime(CLOCK_MONOTONIC, &b);
		us[i] = (int) ((b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000);
	}
	nng_close(ping);
	nng_close(pong);
	(void) pthread_join(t, NULL);
	return (rv);
}
