// The callback contract.
//
// No callback calls Go, and none blocks, but for memory. What Go has to know becomes an event,
// and Go is woken only if it sleeps.
//
// They run on whatever thread runs the task of an aio. With our libnng (patch N3) that is
// mostly one of Go's: nngo_events_take does what nng's poller thread would do for Go's
// sockets, and a call that starts an operation, or ends one, runs what comes of it before it
// returns. Otherwise it is one of nng's "nng:task" threads, which also get what is left over
// when tasks take long. Only what is made between nngo_gather and nngo_run, and what comes
// of that, is Go's; the callbacks of other C code in the process never run on Go's threads.
// nng holds no locks, and the functions below none of ours, when tasks run.
//
// nng promises one callback for each operation. Should one come that nothing was started for
// (ended_once), nothing is done but that Go is told, which logs it.
//
//   op_done     an aio of ours has completed. The op stays owned by Go; it is not freed
//               before this callback has returned (nng_aio_free waits). The event may be
//               taken after that: Go finds its side by a number and, if that is gone,
//               nothing. Errors travel as the aio's result.
//
//   handler_cb  a request has arrived. req and conn are borrowed until one of the
//               nngo_call functions is called (or owned by Go from nng_http_hijack on). Go
//               must call one of them exactly once, from any thread; after that it touches
//               neither the aio nor req nor conn. Errors travel as an HTTP response, or as
//               the aio's result, upon which nng drops the connection.
//
//   reader_done a read for Conn.OnData has ended. Go starts the next one; until then the
//               bytes are lent to it.
//
//   writer_done a write of an nngo_writer has ended. It starts the next one, and is an
//               event only if Go has asked.
//
//   reply_done  a response has been written. It stays in C, but for the last one when a
//               server drains, which is an event.

#include "http_cgo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

#ifdef NNGO_FAULT
// The allocator of internal/faults, for tests.
extern void *nngo_fault_malloc(size_t);
extern void *nngo_fault_calloc(size_t, size_t);
extern void *nngo_fault_realloc(void *, size_t);
extern void  nngo_fault_free(void *);
#define malloc nngo_fault_malloc
#define calloc nngo_fault_calloc
#define realloc nngo_fault_realloc
#define free nngo_fault_free
#endif

#if defined(__has_include)
#if __has_include(<nnghttp_build.h>)
#include <nnghttp_build.h>
#endif
#endif

// Patch N3 (internal/nngloop/loop.h): how Go has a loop of its own in nng. Bound weakly they
// are NULL in other libraries, and on systems without epoll.
extern int  nni_loop_take(int *) __attribute__((weak));
extern void nni_loop_give(void) __attribute__((weak));
extern void nni_loop_wake(void) __attribute__((weak));
extern int  nni_loop_poll(bool late) __attribute__((weak));
extern void nni_loop_enter(void) __attribute__((weak));
extern void nni_loop_leave(void) __attribute__((weak));

enum { LOOP_DONE, LOOP_MORE, LOOP_GONE }; // what nni_loop_poll returns

// Patch CL8: transactions with a bound on the body.
extern void nni_http_transact_conn_max(nng_http_conn *, nng_http_req *, nng_http_res *, size_t,
    nng_aio *) __attribute__((weak));
extern void nni_http_transact_max(nng_http_client *, nng_http_req *, nng_http_res *, size_t,
    nng_aio *) __attribute__((weak));

// The events that Go has not taken yet. Two lists change places when it takes them.
static struct {
	pthread_mutex_t mtx;
	nngo_event     *list;
	size_t          n;
	size_t          cap;
	nngo_event     *taken;
	size_t          taken_cap;
	bool            asleep; // Go waits for the descriptor
	int             wake[2]; // that it waits for, without a loop
} events = { .mtx = PTHREAD_MUTEX_INITIALIZER };

bool
nngo_has_loop(void)
{
	return (nni_loop_take != NULL);
}

// events_open makes the descriptor that wakes Go, without a loop.
static int
events_open(void)
{
#ifdef __linux__
	events.wake[0] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	events.wake[1] = events.wake[0];
	if (events.wake[0] < 0) {
		return ((errno == ENOMEM) ? NNG_ENOMEM : NNG_ENOFILES);
	}
#else
	if (pipe(events.wake) != 0) {
		return (NNG_ENOFILES);
	}
	for (int i = 0; i < 2; i++) {
		(void) fcntl(events.wake[i], F_SETFL, O_NONBLOCK);
		(void) fcntl(events.wake[i], F_SETFD, FD_CLOEXEC);
	}
#endif
	return (0);
}

int
nngo_events_begin(int *fd)
{
	static bool open;
	int         rv;

	if (nngo_has_loop()) {
		if ((rv = nni_loop_take(fd)) != 0) {
			return (rv);
		}
	} else {
		if (!open && ((rv = events_open()) != 0)) {
			return (rv);
		}
		open = true;
		if ((*fd = fcntl(events.wake[0], F_DUPFD_CLOEXEC, 0)) < 0) {
			return (NNG_ENOFILES);
		}
	}
	(void) fcntl(*fd, F_SETFL, O_NONBLOCK); // or Go would not poll it
	return (0);
}

void
nngo_events_end(void)
{
	if (nngo_has_loop()) {
		nni_loop_give();
	}
}

static void
events_wake(void)
{
	static const uint64_t one = 1;

	if (nngo_has_loop()) {
		nni_loop_wake();
	} else if (write(events.wake[1], &one, sizeof(one)) < 0) {
		return; // a counter or a pipe that is full has woken Go long since
	}
}

void
nngo_gather(void)
{
	if (nngo_has_loop()) {
		nni_loop_enter();
	}
}

void
nngo_run(void)
{
	if (nngo_has_loop()) {
		nni_loop_leave();
	}
}

nngo_events
nngo_events_take(bool late)
{
	nngo_events got  = { .gone = false };
	int         what = LOOP_DONE;
	size_t      cap;

	if (nngo_has_loop()) {
		// What comes of it need not wake Go, which is here.
		(void) pthread_mutex_lock(&events.mtx);
		events.asleep = false;
		(void) pthread_mutex_unlock(&events.mtx);
		what     = nni_loop_poll(late);
		got.gone = (what == LOOP_GONE);
	} else {
		char junk[256]; // what is not read would not wake Go any more

		while (read(events.wake[0], junk, sizeof(junk)) == sizeof(junk)) {
		}
	}
	(void) pthread_mutex_lock(&events.mtx);
	got.list = events.list;
	got.n    = events.n;
	// The next event of the loop makes the descriptor readable, so Go can sleep now.
	// Those of nng's threads come in bursts, and would wake it for each.
	got.more         = nngo_has_loop() ? (what == LOOP_MORE) : (got.n != 0);
	events.asleep    = !got.more;
	cap              = events.cap;
	events.list      = events.taken;
	events.cap       = events.taken_cap;
	events.n         = 0;
	events.taken     = got.list;
	events.taken_cap = cap;
	(void) pthread_mutex_unlock(&events.mtx);
	return (got);
}

// events_grow makes room for more. The lock is held.
static bool
events_grow(void)
{
	size_t      cap  = (events.cap == 0) ? 64 : events.cap * 2;
	nngo_event *list = realloc(events.list, cap * sizeof(*list));

	if (list == NULL) {
		return (false);
	}
	events.list = list;
	events.cap  = cap;
	return (true);
}

static void
event_add(nngo_event *e)
{
	bool wake;

	(void) pthread_mutex_lock(&events.mtx);
	while ((events.n == events.cap) && !events_grow()) {
		// No event may be lost; so this waits for memory.
		(void) pthread_mutex_unlock(&events.mtx);
		(void) usleep(1000);
		(void) pthread_mutex_lock(&events.mtx);
	}
	events.list[events.n++] = *e;
	wake                    = events.asleep;
	events.asleep           = false;
	(void) pthread_mutex_unlock(&events.mtx);
	if (wake) {
		events_wake();
	}
}

// aio_alloc makes an aio that is the loop's: its callback may run on Go's threads.
static int
aio_alloc(nng_aio **aiop, void (*cb)(void *), void *arg)
{
	int rv;

	nngo_gather();
	rv = nng_aio_alloc(aiop, cb, arg);
	nngo_run();
	return (rv);
}

int
nngo_server_hold(nng_http_server **srv, const nng_url *url)
{
	int rv;

	nngo_gather();
	rv = nng_http_server_hold(srv, url);
	nngo_run();
	return (rv);
}

int
nngo_server_start(nng_http_server *srv)
{
	int rv;

	nngo_gather();
	rv = nng_http_server_start(srv);
	nngo_run();
	return (rv);
}

int
nngo_client_alloc(nng_http_client **client, const nng_url *url)
{
	int rv;

	nngo_gather();
	rv = nng_http_client_alloc(client, url);
	nngo_run();
	return (rv);
}

int
nngo_static_alloc(nng_http_handler **h, const char *path, const void *data, size_t len,
    const char *type)
{
	int rv;

	nngo_gather();
	rv = nng_http_handler_alloc_static(h, path, data, len, type);
	nngo_run();
	return (rv);
}

int
nngo_redirect_alloc(nng_http_handler **h, const char *path, uint16_t status, const char *to)
{
	int rv;

	nngo_gather();
	rv = nng_http_handler_alloc_redirect(h, path, status, to);
	nngo_run();
	return (rv);
}

// ended_once takes back the note that an operation is under way. If there is none, nng has ended
// one twice: whoever waited for it has gone on long since, so that is nobody's result.
static bool
ended_once(bool *pending, uintptr_t handle)
{
	nngo_event e = { .kind = NNGO_TWICE, .handle = handle };

	if (__atomic_exchange_n(pending, false, __ATOMIC_ACQ_REL)) {
		return (true);
	}
	event_add(&e);
	return (false);
}

static void
begin_once(bool *pending)
{
	__atomic_store_n(pending, true, __ATOMIC_RELEASE);
}

// The operation that this thread is starting, or NULL if that has ended already.
static __thread nngo_op *starting;

static void
op_done(void *arg)
{
	nngo_op   *op = arg;
	nngo_event e  = {
		.kind   = NNGO_OP_DONE,
		.handle = op->handle,
		.result = nng_aio_result(op->aio),
		.count  = nng_aio_count(op->aio),
		.ptr    = { nng_aio_get_output(op->aio, 0) },
	};

	if (!ended_once(&op->pending, op->handle)) {
		return;
	}
	if (starting == op) {
		starting = NULL;
		return;
	}
	event_add(&e);
}

void
nngo_op_begin(nngo_op *op)
{
	begin_once(&op->pending);
	starting = op;
	nngo_gather();
}

nngo_started
nngo_op_started(nngo_op *op)
{
	nngo_started s = { .done = false };

	nngo_run();
	if (starting == NULL) {
		s.done   = true;
		s.result = nng_aio_result(op->aio);
		s.count  = nng_aio_count(op->aio);
		s.output = nng_aio_get_output(op->aio, 0);
	}
	starting = NULL;
	return (s);
}

int
nngo_op_alloc(nngo_op **opp, uintptr_t handle)
{
	nngo_op *op;
	int      rv;

	if ((op = nng_alloc(sizeof(*op))) == NULL) {
		return (NNG_ENOMEM);
	}
	op->handle  = handle;
	op->pending = false;
	if ((rv = aio_alloc(&op->aio, op_done, op)) != 0) {
		nng_free(op, sizeof(*op));
		return (rv);
	}
	*opp = op;
	return (0);
}

// nngo_op_stop cancels what is in flight and waits for its callback.
void
nngo_op_stop(nngo_op *op)
{
	nng_aio_stop(op->aio);
}

void
nngo_op_free(nngo_op *op)
{
	nng_aio_free(op->aio);
	nng_free(op, sizeof(*op));
}

static void
op_set_iov(nngo_op *op, void *buf, size_t len)
{
	nng_iov iov = { .iov_buf = buf, .iov_len = len };

	// One entry always fits, so this cannot fail.
	(void) nng_aio_set_iov(op->aio, 1, &iov);
}

nngo_started
nngo_conn_read(nng_http_conn *conn, nngo_op *op, void *buf, size_t len, bool all)
{
	op_set_iov(op, buf, len);
	nngo_op_begin(op);
	if (all) {
		nng_http_conn_read_all(conn, op->aio);
	} else {
		nng_http_conn_read(conn, op->aio);
	}
	return (nngo_op_started(op));
}

// Patch P31. Bound weakly it is NULL in other libraries.
extern int nni_http_conn_unread(nng_http_conn *, const void *, size_t) __attribute__((weak));

bool
nngo_can_unread(void)
{
	return (nni_http_conn_unread != NULL);
}

int
nngo_conn_unread(nng_http_conn *conn, const void *data, size_t len)
{
	return (nni_http_conn_unread(conn, data, len));
}

// Patch CL18. Bound weakly it is NULL in other libraries.
extern void nni_http_conn_await(nng_http_conn *, nng_aio *) __attribute__((weak));

bool
nngo_can_await(void)
{
	return (nni_http_conn_await != NULL);
}

nngo_started
nngo_conn_await(nng_http_conn *conn, nngo_op *op)
{
	nngo_op_begin(op);
	nni_http_conn_await(conn, op->aio);
	return (nngo_op_started(op));
}

nngo_started
nngo_conn_read_req(nng_http_conn *conn, nng_http_req *req, nngo_op *op)
{
	nngo_op_begin(op);
	nng_http_conn_read_req(conn, req, op->aio);
	return (nngo_op_started(op));
}

nngo_started
nngo_conn_read_res(nng_http_conn *conn, nng_http_res *res, nngo_op *op)
{
	nngo_op_begin(op);
	nng_http_conn_read_res(conn, res, op->aio);
	return (nngo_op_started(op));
}

bool
nngo_can_transact(void)
{
	return ((nni_http_transact_conn_max != NULL) && (nni_http_transact_max != NULL));
}

nngo_started
nngo_conn_transact(nng_http_conn *conn, nng_http_req *req, nng_http_res *res, size_t max, nngo_op *op)
{
	nngo_op_begin(op);
	nni_http_transact_conn_max(conn, req, res, max, op->aio);
	return (nngo_op_started(op));
}

nngo_started
nngo_client_connect(nng_http_client *client, nngo_op *op)
{
	nngo_op_begin(op);
	nng_http_client_connect(client, op->aio);
	return (nngo_op_started(op));
}

nngo_started
nngo_client_transact(nng_http_client *client, nng_http_req *req, nng_http_res *res, size_t max, nngo_op *op)
{
	nngo_op_begin(op);
	nni_http_transact_max(client, req, res, max, op->aio);
	return (nngo_op_started(op));
}

// A writer holds WRITER_MAX bytes at the most that the system has no room for: in the write in
// flight, and behind it. That is what a response costs that nobody reads. What the system says
// that it will take at once (nngo_conn_queue) comes on top: it is gone in no time, and larger
// pieces make it faster. For these there are LARGE_MAX buffers of the size LARGE, no more: the
// system may be wrong.
#define WRITER_MAX (32 * 1024)
#define LARGE (512 * 1024)
#define LARGE_MAX 16

// Buffers up to WRITER_KEEP stay with the writer. Larger ones go when nothing is to be sent: to
// the pool, if they have one of its sizes, for whoever needs one next. Getting fresh memory costs
// more than filling it. Locks: the pool's own, inside a writer's.
#define WRITER_KEEP (4 * 1024)

static struct {
	pthread_mutex_t mtx;
	int             n; // of spare buffers of the size WRITER_MAX
	char           *spare[16];
	int             large_n; // of spare large ones
	char           *large[4];
	int             large_used;
} pool = { .mtx = PTHREAD_MUTEX_INITIALIZER };

static char *
buf_get(size_t cap)
{
	char *buf = NULL;

	(void) pthread_mutex_lock(&pool.mtx);
	if ((cap == WRITER_MAX) && (pool.n != 0)) {
		buf = pool.spare[--pool.n];
	} else if ((cap == LARGE) && (pool.large_used == LARGE_MAX)) {
		(void) pthread_mutex_unlock(&pool.mtx);
		return (NULL);
	} else if (cap == LARGE) {
		pool.large_used++;
		if (pool.large_n != 0) {
			buf = pool.large[--pool.large_n];
		}
	}
	(void) pthread_mutex_unlock(&pool.mtx);
	if ((buf == NULL) && ((buf = malloc(cap)) == NULL) && (cap == LARGE)) {
		(void) pthread_mutex_lock(&pool.mtx);
		pool.large_used--;
		(void) pthread_mutex_unlock(&pool.mtx);
	}
	return (buf);
}

static void
buf_put(char **buf, size_t *cap)
{
	(void) pthread_mutex_lock(&pool.mtx);
	if ((*cap == WRITER_MAX) && (pool.n != sizeof(pool.spare) / sizeof(pool.spare[0]))) {
		pool.spare[pool.n++] = *buf;
		*buf                 = NULL;
	} else if (*cap == LARGE) {
		pool.large_used--;
		if (pool.large_n != sizeof(pool.large) / sizeof(pool.large[0])) {
			pool.large[pool.large_n++] = *buf;
			*buf                       = NULL;
		}
	}
	(void) pthread_mutex_unlock(&pool.mtx);
	free(*buf);
	*buf = NULL;
	*cap = 0;
}

// reserve makes room for need bytes, LARGE at the most, of which used are kept. There may be none
// for more than WRITER_MAX.
static bool
reserve(char **buf, size_t *cap, size_t used, size_t need)
{
	size_t want = 1024;
	char  *more;

	if (need <= *cap) {
		return (true);
	}
	if (need > WRITER_MAX) {
		want = LARGE;
	} else if (need > WRITER_KEEP) {
		want = WRITER_MAX;
	}
	while (want < need) {
		want *= 2;
	}
	if ((more = buf_get(want)) == NULL) {
		return (false);
	}
	if (used != 0) {
		memcpy(more, *buf, used);
	}
	buf_put(buf, cap);
	*buf = more;
	*cap = want;
	return (true);
}

static void
writer_lock(nngo_writer *w)
{
	(void) pthread_mutex_lock(&w->mtx);
}

static void
writer_unlock(nngo_writer *w)
{
	(void) pthread_mutex_unlock(&w->mtx);
}

// writer_submit sends what is in flying. busy is set already, so nobody else does.
static void
writer_submit(nngo_writer *w, size_t len, bool all)
{
	nng_iov iov = { .iov_buf = w->flying, .iov_len = len };

	(void) nng_aio_set_iov(w->aio, 1, &iov);
	begin_once(&w->pending);
	nngo_gather();
	if (all) {
		nng_http_conn_write_all(w->conn, w->aio);
	} else {
		nng_http_conn_write(w->conn, w->aio);
	}
	nngo_run();
}

// writer_done is called when a write has ended, and starts the next.
static void
writer_done(void *arg)
{
	nngo_writer *w = arg;
	nngo_event   e = { .kind = NNGO_WRITTEN, .handle = w->handle };
	size_t       next = 0;
	bool         tell;

	if (!ended_once(&w->pending, w->handle)) {
		return;
	}
	writer_lock(w);
	w->busy  = false;
	w->count = nng_aio_count(w->aio);
	w->writes++;
	if ((w->err = nng_aio_result(w->aio)) != 0 || w->stopped) {
		// that was the last one
	} else if (w->queued != 0) {
		char  *buf = w->flying;
		size_t cap = w->flying_cap;

		next          = w->queued;
		w->flying     = w->queue;
		w->flying_cap = w->queue_cap;
		w->queue      = buf;
		w->queue_cap  = cap;
		w->queued     = 0;
		w->sending    = next;
		w->busy       = true;
		if (cap > WRITER_KEEP) { // this may take long
			buf_put(&w->queue, &w->queue_cap);
		}
	} else {
		if (w->flying_cap > WRITER_KEEP) {
			buf_put(&w->flying, &w->flying_cap);
		}
		if (w->queue_cap > WRITER_KEEP) {
			buf_put(&w->queue, &w->queue_cap);
		}
	}
	tell    = w->tell;
	w->tell = false;
	writer_unlock(w);
	if (next != 0) {
		writer_submit(w, next, true);
	}
	if (tell) {
		event_add(&e);
	}
}

int
nngo_writer_alloc(nngo_writer **wp, nng_http_conn *conn, uintptr_t handle)
{
	nngo_writer *w;
	int          rv;

	if ((w = calloc(1, sizeof(*w))) == NULL) {
		return (NNG_ENOMEM);
	}
	if ((rv = aio_alloc(&w->aio, writer_done, w)) != 0) {
		free(w);
		return (rv);
	}
	(void) pthread_mutex_init(&w->mtx, NULL);
	w->conn   = conn;
	w->handle = handle;
	*wp       = w;
	return (0);
}

// writer_send sends data. No write is in flight, so the buffer is ours; it has room.
static void
writer_send(nngo_writer *w, const void *data, size_t len, bool all)
{
	memcpy(w->flying, data, len);
	writer_lock(w);
	w->busy    = true;
	w->sending = len;
	writer_unlock(w);
	writer_submit(w, len, all);
}

// writer_room says how much the writer takes now. The lock is held.
static size_t
writer_room(nngo_writer *w)
{
	size_t held = w->busy ? w->sending + w->queued : 0;
	size_t room = (held < WRITER_MAX) ? WRITER_MAX - held : 0;
	size_t most = LARGE - (w->busy ? w->queued : 0);

	if (room < w->budget) {
		room = w->budget;
	}
	return ((room < most) ? room : most);
}

// writer_ask asks the system how much it would take now, and makes that the budget, but for
// what is there already. The budget stays true: the system's buffer only empties meanwhile.
static void
writer_ask(nngo_writer *w)
{
	uint64_t room = nngo_conn_queue(w->conn).room;
	size_t   held;

	writer_lock(w);
	held      = w->busy ? w->sending + w->queued : 0;
	w->budget = (room > held) ? (size_t) (room - held) : 0;
	writer_unlock(w);
}

// writer_take takes some of the data, or nothing if there is no room.
static int
writer_take(nngo_writer *w, const char *data, size_t *len)
{
	char  **buf;
	size_t *cap;
	size_t  used;
	size_t  room;

	writer_lock(w);
	if (w->err != 0) {
		writer_unlock(w);
		return (w->err);
	}
	buf  = w->busy ? &w->queue : &w->flying;
	cap  = w->busy ? &w->queue_cap : &w->flying_cap;
	used = w->busy ? w->queued : 0;
	if (*len > (room = writer_room(w))) {
		*len = room;
	}
	if (!reserve(buf, cap, used, used + *len)) {
		// Perhaps all large buffers are in use.
		w->budget = 0;
		if (*len > (room = writer_room(w))) {
			*len = room;
		}
		if ((used + *len > WRITER_MAX) || !reserve(buf, cap, used, used + *len)) {
			*len = 0;
		}
		if ((*len == 0) && !w->busy) {
			writer_unlock(w);
			return (NNG_ENOMEM);
		}
	}
	w->budget -= (w->budget < *len) ? w->budget : *len;
	if (!w->busy) {
		writer_unlock(w);
		writer_send(w, data, *len, true);
		return (0);
	}
	if (*len == 0) {
		w->tell = true;
	} else {
		memcpy(w->queue + w->queued, data, *len);
		w->queued += *len;
	}
	writer_unlock(w);
	return (0);
}

nngo_added
nngo_writer_add(nngo_writer *w, const void *data, size_t len)
{
	nngo_added  added = { .taken = 0 };
	const char *from  = data;

	while (added.taken < len) {
		size_t n = len - added.taken;
		bool   ask;

		writer_lock(w);
		ask = n > writer_room(w);
		writer_unlock(w);
		if (ask) {
			writer_ask(w);
		}
		added.err = writer_take(w, from + added.taken, &n);
		if ((added.err != 0) || (n == 0)) {
			break;
		}
		added.taken += n;
	}
	return (added);
}

nngo_writer_state
nngo_writer_look(nngo_writer *w, bool tell)
{
	nngo_writer_state state;

	writer_lock(w);
	state.busy   = w->busy;
	state.err    = w->err;
	state.count  = w->count;
	state.writes = w->writes;
	if (tell && w->busy) {
		w->tell = true;
	}
	writer_unlock(w);
	return (state);
}

int
nngo_writer_start(nngo_writer *w, const void *data, size_t len, bool all)
{
	char *buf;

	// These are the caller's sizes, not LARGE, of which there are not many.
	buf_put(&w->flying, &w->flying_cap);
	if ((buf = malloc(len + 1)) == NULL) {
		return (NNG_ENOMEM);
	}
	w->flying     = buf;
	w->flying_cap = len + 1;
	w->budget     = 0; // of which this is no part
	writer_send(w, data, len, all);
	return (0);
}

static void
writer_begin(nngo_writer *w)
{
	writer_lock(w);
	w->busy   = true;
	w->budget = 0;
	writer_unlock(w);
	begin_once(&w->pending);
	nngo_gather();
}

void
nngo_writer_req(nngo_writer *w, nng_http_req *req)
{
	writer_begin(w);
	nng_http_conn_write_req(w->conn, req, w->aio);
	nngo_run();
}

void
nngo_writer_res(nngo_writer *w, nng_http_res *res)
{
	writer_begin(w);
	nng_http_conn_write_res(w->conn, res, w->aio);
	nngo_run();
}

// nngo_writer_stop cancels what is in flight and waits for its callback.
void
nngo_writer_stop(nngo_writer *w)
{
	writer_lock(w);
	w->stopped = true;
	writer_unlock(w);
	nng_aio_stop(w->aio);
}

void
nngo_writer_free(nngo_writer *w)
{
	nng_aio_free(w->aio);
	(void) pthread_mutex_destroy(&w->mtx);
	buf_put(&w->flying, &w->flying_cap);
	buf_put(&w->queue, &w->queue_cap);
	free(w);
}

// The public API of 1.x does not tell the addresses of a connection. Static libraries
// contain a function that does; shared ones hide it. Bound weakly it is NULL where it
// is missing.
extern int nni_http_conn_getopt(nng_http_conn *, const char *, void *, size_t *,
    int) __attribute__((weak));

// Another one ends the sending side, if the connection is plain TCP (patch 0081).
extern int nni_http_conn_setopt(nng_http_conn *, const char *, const void *, size_t,
    int) __attribute__((weak));

// The values of NNI_TYPE_OPAQUE and NNI_TYPE_SOCKADDR, the same in every 1.x release.
#define TYPE_OPAQUE 0
#define TYPE_SOCKADDR 9

int
nngo_conn_addr(nng_http_conn *conn, bool remote, nng_sockaddr *sa)
{
	size_t sz = sizeof(*sa);

	memset(sa, 0, sizeof(*sa));
	if (nni_http_conn_getopt == NULL) {
		return (NNG_ENOTSUP);
	}
	return (nni_http_conn_getopt(conn,
	    remote ? NNG_OPT_REMADDR : NNG_OPT_LOCADDR, sa, &sz,
	    TYPE_SOCKADDR));
}

nngo_queue
nngo_conn_queue(nng_http_conn *conn)
{
	uint64_t q[2] = { 0, 0 };
	size_t   sz   = sizeof(q);

	if ((nni_http_conn_getopt == NULL) ||
	    (nni_http_conn_getopt(conn, "tcp-send-queue", q, &sz, TYPE_OPAQUE) != 0)) {
		return ((nngo_queue){ 0, 0 });
	}
	return ((nngo_queue){ .unsent = q[0], .room = q[1] });
}

int
nngo_conn_fin(nng_http_conn *conn)
{
	return (nni_http_conn_setopt == NULL
	        ? NNG_ENOTSUP
	        : nni_http_conn_setopt(conn, "private:fin", NULL, 0, TYPE_OPAQUE));
}

// Nor does it list the headers of a message. Both kinds of message start with that
// list, the same in every 1.x release. headers_known makes sure of it once, with a
// message of ours; where something else is found headers cannot be listed.
typedef struct list_node {
	struct list_node *next;
	struct list_node *prev;
} list_node;

typedef struct {
	list_node head;
	size_t    offset; // of the node in an entry
} list;

typedef struct {
	char     *name;
	char     *value;
	list_node node;
} header;

#define NODE_HEADER(n) ((header *) (void *) ((char *) (n) - offsetof(header, node)))

static bool           headers_known;
static pthread_once_t headers_once = PTHREAD_ONCE_INIT;

static bool
header_is(list_node *n, const char *name, const char *value)
{
	return ((strcmp(NODE_HEADER(n)->name, name) == 0) &&
	    (strcmp(NODE_HEADER(n)->value, value) == 0));
}

static void
headers_check(void)
{
	nng_http_res *res;
	list         *l;
	list_node    *n;

	if (nng_http_res_alloc(&res) != 0) {
		return;
	}
	l = (void *) res;
	if ((nng_http_res_set_header(res, "A", "1") == 0) &&
	    (nng_http_res_set_header(res, "Bb", "") == 0) &&
	    (l->offset == offsetof(header, node))) {
		n = l->head.next;
		headers_known = (n != &l->head) && (n->prev == &l->head) &&
		    header_is(n, "A", "1") && ((n = n->next) != &l->head) &&
		    header_is(n, "Bb", "") && (n->next == &l->head) &&
		    (l->head.prev == n);
	}
	nng_http_res_free(res);
}

// A pack takes strings one behind the other, with the NUL of each, as far as there is
// room. size counts all of them.
typedef struct {
	char  *buf;
	size_t cap;
	size_t size;
} pack;

static void
pack_string(pack *p, const char *s)
{
	size_t len = ((s == NULL) ? 0 : strlen(s)) + 1;

	if ((p->size <= p->cap) && (len <= p->cap - p->size)) {
		memcpy(p->buf + p->size, ((s == NULL) ? "" : s), len);
	}
	p->size += len;
}

static bool
pack_headers(pack *p, void *message)
{
	list *l = message;

	(void) pthread_once(&headers_once, headers_check);
	if (!headers_known) {
		return (false);
	}
	for (list_node *n = l->head.next; n != &l->head; n = n->next) {
		pack_string(p, NODE_HEADER(n)->name);
		pack_string(p, NODE_HEADER(n)->value);
	}
	return (true);
}

static void
pack_peer(pack *p, nng_http_conn *conn)
{
	nng_sockaddr sa;

	if ((conn == NULL) || (nngo_conn_addr(conn, true, &sa) != 0)) {
		memset(&sa, 0, sizeof(sa));
	}
	if (sizeof(sa) <= p->cap) {
		memcpy(p->buf, &sa, sizeof(sa));
	}
	p->size += sizeof(sa);
}

size_t
nngo_req_head(nng_http_req *req, nng_http_conn *conn, char *buf, size_t cap)
{
	pack p = { .buf = buf, .cap = cap };

	pack_peer(&p, conn);
	pack_string(&p, nng_http_req_get_method(req));
	pack_string(&p, nng_http_req_get_uri(req));
	pack_string(&p, nng_http_req_get_version(req));
	return (pack_headers(&p, req) ? p.size : 0);
}

size_t
nngo_res_head(nng_http_res *res, char *buf, size_t cap)
{
	pack p = { .buf = buf, .cap = cap };

	pack_peer(&p, NULL);
	pack_string(&p, nng_http_res_get_version(res));
	pack_string(&p, nng_http_res_get_reason(res));
	return (pack_headers(&p, res) ? p.size : 0);
}

static void
handler_cb(nng_aio *aio)
{
	nng_http_handler *h    = nng_aio_get_input(aio, 1);
	nng_http_req     *req  = nng_aio_get_input(aio, 0);
	uintptr_t         data = (uintptr_t) nng_http_handler_get_data(h);
	nngo_event        e    = {
		.kind   = NNGO_REQUEST,
		.handle = data >> 1,
		.ptr    = { aio, req, nng_aio_get_input(aio, 2) },
	};

	if (((data & NNGO_COLLECT) != 0) && (nng_http_req_get_header(req, "Transfer-Encoding") != NULL)) {
		e.result = NNG_HTTP_STATUS_NOT_IMPLEMENTED; // defect P3
	}
	event_add(&e);
}

// reader_done is called when a read of an nngo_reader has ended.
static void
reader_done(void *arg)
{
	nngo_reader *r = arg;
	nngo_event   e = {
		.kind   = NNGO_DATA,
		.handle = r->handle,
		.result = nng_aio_result(r->aio),
		.count  = nng_aio_count(r->aio),
		.ptr    = { r->buf },
	};

	if (ended_once(&r->pending, r->handle)) {
		event_add(&e);
	}
}

int
nngo_reader_alloc(nngo_reader **rp, nng_http_conn *conn, uintptr_t handle, size_t cap)
{
	nngo_reader *r;
	int          rv;

	if ((r = malloc(sizeof(*r) + cap)) == NULL) {
		return (NNG_ENOMEM);
	}
	if ((rv = aio_alloc(&r->aio, reader_done, r)) != 0) {
		free(r);
		return (rv);
	}
	r->conn    = conn;
	r->handle  = handle;
	r->cap     = cap;
	r->pending = false;
	*rp        = r;
	return (0);
}

void
nngo_reader_next(nngo_reader *r)
{
	nng_iov iov = { .iov_buf = r->buf, .iov_len = r->cap };

	(void) nng_aio_set_iov(r->aio, 1, &iov);
	begin_once(&r->pending);
	nngo_gather();
	nng_http_conn_read(r->conn, r->aio);
	nngo_run();
}

void
nngo_reader_stop(nngo_reader *r)
{
	nng_aio_stop(r->aio);
}

void
nngo_reader_free(nngo_reader *r)
{
	nng_aio_free(r->aio);
	free(r);
}

int
nngo_handler_alloc(nng_http_handler **hp, const char *path, uintptr_t data)
{
	nng_http_handler *h;
	int               rv;

	nngo_gather();
	rv = nng_http_handler_alloc(&h, path, handler_cb);
	nngo_run();
	if (rv != 0) {
		return (rv);
	}
	// No destructor: nng does not promise to run it (defect S13).
	if ((rv = nng_http_handler_set_data(h, (void *) data, NULL)) != 0) {
		nng_http_handler_free(h);
		return (rv);
	}
	*hp = h;
	return (0);
}

static bool
contains_word(const char *s, const char *word)
{
	size_t len = strlen(word);

	for (; *s != '\0'; s++) {
		if (strncasecmp(s, word, len) == 0) {
			return (true);
		}
	}
	return (false);
}

// An nngo_reply is a response on its way to the client. nng's server would write it
// too, from the output of the handler's aio, but would not tell when it has: a stop
// would cut replies off. So they are written here, and counted until they are out.
struct nngo_reply {
	nngo_reply   *next;
	nngo_reply   *prev;
	nngo_server  *srv;
	nng_aio      *tx;   // writes the response
	nng_aio      *call; // the handler's, finished behind that
	nng_http_res *res;  // what is written, or NULL:
	char         *buf;  // bytes
	size_t        cap;
	bool          close;
	bool          pending; // tx is at it; atomic
	bool          unread;  // the client may be sending a body that nobody has read
	nng_time      linger;  // tx reads until then, when the response is out
};

// REPLY_KEEP is the largest buffer that a spare reply keeps.
#define REPLY_KEEP 8192

// How long, in milliseconds, a connection is read on after a response that ends it, and how
// much at a time.
#define LINGER_TIME 500
#define LINGER_SIZE 4096

static void
reply_free_buf(nngo_reply *r)
{
	free(r->buf);
	r->buf = NULL;
	r->cap = 0;
}

static void
server_lock(nngo_server *srv)
{
	(void) pthread_mutex_lock(&srv->mtx);
}

static void
server_unlock(nngo_server *srv)
{
	(void) pthread_mutex_unlock(&srv->mtx);
}

// Patches S16 and P7. Bound weakly they are NULL in other libraries.
extern void nni_http_server_set_limits(nng_http_server *, nng_duration, nng_duration,
    nng_duration, nng_duration, int) __attribute__((weak));
extern int nni_http_server_stats(nng_http_server *, uint64_t *, int) __attribute__((weak));
extern void nni_http_server_set_head_limits(nng_http_server *, size_t, size_t)
    __attribute__((weak));

bool
nngo_have_limits(void)
{
	return ((nni_http_server_set_limits != NULL) && (nni_http_server_stats != NULL) &&
	    (nni_http_server_set_head_limits != NULL));
}

void
nngo_server_limits(nng_http_server *server, nngo_limits l)
{
	if (nngo_have_limits()) {
		nni_http_server_set_limits(
		    server, l.header, l.idle, l.handshake, l.write, l.conns);
		nni_http_server_set_head_limits(server, l.head_bytes, l.head_fields);
	}
}

void
nngo_server_stats(nng_http_server *server, uint64_t counts[NNGO_STATS])
{
	memset(counts, 0, NNGO_STATS * sizeof(counts[0]));
	if (nngo_have_limits()) {
		(void) nni_http_server_stats(server, counts, NNGO_STATS);
	}
}

int
nngo_server_alloc(nngo_server **sp, nng_http_server *server, uintptr_t handle)
{
	nngo_server *srv;

	if ((srv = nng_alloc(sizeof(*srv))) == NULL) {
		return (NNG_ENOMEM);
	}
	memset(srv, 0, sizeof(*srv));
	(void) pthread_mutex_init(&srv->mtx, NULL);
	srv->server = server;
	srv->handle = handle;
	*sp         = srv;
	return (0);
}

// An option of the listener that a server has. Bound weakly it is NULL in shared libraries,
// which hide it.
extern int nni_http_server_set(
    nng_http_server *, const char *, const void *, size_t, int) __attribute__((weak));

void
nngo_server_tcp(nng_http_server *server, int probe, int backlog)
{
	bool on = true;

	if (nni_http_server_set == NULL) {
		return;
	}
	// 0 is NNI_TYPE_OPAQUE: the size tells the type.
	if (nni_http_server_set(server, "tcp-probe", &probe, sizeof(probe), 0) != 0) {
		(void) nni_http_server_set(
		    server, NNG_OPT_TCP_KEEPALIVE, &on, sizeof(on), 0);
	}
	(void) nni_http_server_set(server, "tcp-backlog", &backlog, sizeof(backlog), 0);
}

// Patch 0047. Bound weakly it is NULL in other libraries.
extern void nni_http_server_set_lenient(nng_http_server *, bool)
    __attribute__((weak));

int
nngo_server_set_lenient(nng_http_server *server, bool lenient)
{
	if (nni_http_server_set_lenient == NULL) {
		return (NNG_ENOTSUP);
	}
	nni_http_server_set_lenient(server, lenient);
	return (0);
}

// nngo_server_free frees what replies have left. No call may be running.
void
nngo_server_free(nngo_server *srv)
{
	nngo_reply *r;

	while ((r = srv->spare) != NULL) {
		srv->spare = r->next;
		nng_aio_free(r->tx);
		reply_free_buf(r);
		nng_free(r, sizeof(*r));
	}
	(void) pthread_mutex_destroy(&srv->mtx);
	nng_free(srv, sizeof(*srv));
}

static void
abort_replies(nngo_server *srv)
{
	server_lock(srv);
	for (nngo_reply *r = srv->active; r != NULL; r = r->next) {
		nng_aio_cancel(r->tx);
	}
	server_unlock(srv);
}

// nngo_server_abort makes the replies that are on their way fail, and those to come.
void
nngo_server_abort(nngo_server *srv)
{
	__atomic_store_n(&srv->aborted, 1, __ATOMIC_SEQ_CST);
	abort_replies(srv);
}

// server_leave takes one from the count. Then srv may be gone at once, so nothing of
// it is read behind that.
static void
server_leave(nngo_server *srv)
{
	nngo_event e = { .kind = NNGO_SERVER_IDLE, .handle = srv->handle };

	if (__atomic_sub_fetch(&srv->running, 1, __ATOMIC_SEQ_CST) ==
	    NNGO_DRAINING) {
		event_add(&e);
	}
}

// nngo_call_end completes a handler: with 0 the server goes on with the next
// request, else it drops the connection. srv may be NULL for a call that was never
// counted.
void
nngo_call_end(nngo_server *srv, nng_aio *call, int rv)
{
	(void) nng_aio_set_output(call, 0, NULL);
	nngo_gather();
	nng_aio_finish(call, rv);
	nngo_run();
	if (srv != NULL) {
		server_leave(srv);
	}
}

// reply_drop makes a reply a spare one.
static void
reply_drop(nngo_server *srv, nngo_reply *r)
{
	if (r->cap > REPLY_KEEP) {
		reply_free_buf(r);
	}
	server_lock(srv);
	if (r->prev != NULL) {
		r->prev->next = r->next;
	} else {
		srv->active = r->next;
	}
	if (r->next != NULL) {
		r->next->prev = r->prev;
	}
	r->next    = srv->spare;
	srv->spare = r;
	server_unlock(srv);
}

static bool
reply_reserve(nngo_reply *r, size_t need)
{
	if (r->cap < need) {
		reply_free_buf(r);
		if ((r->buf = malloc(need)) != NULL) {
			r->cap = need;
		}
	}
	return (r->cap >= need);
}

// reply_linger reads what the client still sends, for a short while, and says whether it does.
// The system resets a connection that is closed with unread bytes, and the client may lose the
// response by that, or never look for it because it cannot send the rest. (Without our patches a
// read that times out may outlive the connection, defect S23.)
static bool
reply_linger(nngo_reply *r)
{
	nng_http_conn *conn = nng_aio_get_input(r->call, 2);
	nng_time       now  = nng_clock();
	nng_iov        iov;

	if (r->linger == 0) {
		r->linger = now + LINGER_TIME;
		(void) nngo_conn_fin(conn);
		if (!reply_reserve(r, LINGER_SIZE)) {
			return (false);
		}
	}
	if ((now >= r->linger) || !nngo_have_limits() ||
	    __atomic_load_n(&r->srv->aborted, __ATOMIC_SEQ_CST)) {
		return (false);
	}
	iov = (nng_iov){ .iov_buf = r->buf, .iov_len = LINGER_SIZE };
	(void) nng_aio_set_iov(r->tx, 1, &iov);
	nng_aio_set_timeout(r->tx, (nng_duration) (r->linger - now));
	begin_once(&r->pending);
	nngo_gather();
	nng_http_conn_read(conn, r->tx);
	nngo_run();
	return (true);
}

// reply_done is called when a response is out or failed, and when the read after it has ended.
static void
reply_done(void *arg)
{
	nngo_reply  *r    = arg;
	nngo_server *srv  = r->srv;
	nng_aio     *call = r->call;
	int          rv   = nng_aio_result(r->tx);

	if (!ended_once(&r->pending, srv->handle)) {
		return;
	}
	if ((rv == 0) && r->close) {
		if (r->unread && reply_linger(r)) {
			return;
		}
		rv = NNG_ECLOSED;
	}
	if (r->linger != 0) {
		r->linger = 0;
		nng_aio_set_timeout(r->tx, NNG_DURATION_DEFAULT);
	}
	nng_http_res_free(r->res);
	reply_drop(srv, r);
	nngo_call_end(srv, call, rv);
}

// reply_alloc takes a spare reply or makes one, and notes it as active.
static nngo_reply *
reply_alloc(nngo_server *srv)
{
	nngo_reply *r;

	server_lock(srv);
	if ((r = srv->spare) != NULL) {
		srv->spare = r->next;
	} else if ((r = nng_alloc(sizeof(*r))) != NULL) {
		memset(r, 0, sizeof(*r));
		if (aio_alloc(&r->tx, reply_done, r) != 0) {
			nng_free(r, sizeof(*r));
			r = NULL;
		} else {
			// The server's limit for clients that do not read.
			nng_aio_set_timeout(r->tx, NNG_DURATION_DEFAULT);
		}
	}
	if (r != NULL) {
		r->srv  = srv;
		r->prev = NULL;
		r->next = srv->active;
		if (r->next != NULL) {
			r->next->prev = r;
		}
		srv->active = r;
	}
	server_unlock(srv);
	return (r);
}

// says_close reports whether a message asks for the connection to be closed.
static bool
says_close(const char *connection)
{
	return ((connection != NULL) && contains_word(connection, "close"));
}

// frame_response gives a response the framing that keep-alive needs. nng sends
// what it is given: a response without Content-Length leaves the client waiting
// (P13), a body behind 1xx, 204 or 304 is taken for the next response (P12).
static int
frame_response(nng_http_req *req, nng_http_res *res)
{
	uint16_t status = nng_http_res_get_status(res);
	void    *data;
	size_t   size;
	int      rv;

	nng_http_res_get_data(res, &data, &size);
	if ((status < 200) || (status == NNG_HTTP_STATUS_NO_CONTENT) ||
	    (status == NNG_HTTP_STATUS_NOT_MODIFIED)) {
		if (size != 0) {
			if ((rv = nng_http_res_set_data(res, NULL, 0)) != 0) {
				return (rv);
			}
			(void) nng_http_res_del_header(res, "Content-Length");
		}
		return (0);
	}
	if (size == 0) {
		if ((nng_http_res_get_header(res, "Content-Length") != NULL) ||
		    (nng_http_res_get_header(res, "Transfer-Encoding") !=
		        NULL)) {
			return (0); // the handler knows what it does, as for HEAD
		}
		return (nng_http_res_set_data(res, NULL, 0));
	}
	if (strcmp(nng_http_req_get_method(req), "HEAD") == 0) {
		// A size without data keeps Content-Length and sends no body.
		return (nng_http_res_set_data(res, NULL, size));
	}
	return (0);
}

// must_close says whether the connection ends with the answer to a request, whatever
// that says.
static bool
must_close(nngo_server *srv, nng_http_req *req)
{
	return (says_close(nng_http_req_get_header(req, "Connection")) ||
	    (strcmp(nng_http_req_get_version(req), "HTTP/1.1") != 0) ||
	    ((__atomic_load_n(&srv->running, __ATOMIC_SEQ_CST) &
	         NNGO_DRAINING) != 0));
}

// has_more says whether the client may be sending a body that nng does not collect.
static bool
has_more(nng_aio *call)
{
	nng_http_req *req  = nng_aio_get_input(call, 0);
	uintptr_t     data = (uintptr_t) nng_http_handler_get_data(nng_aio_get_input(call, 1));
	const char   *size = nng_http_req_get_header(req, "Content-Length");

	return ((nng_http_req_get_header(req, "Transfer-Encoding") != NULL) ||
	    ((size != NULL) && (strcmp(size, "0") != 0) && ((data & NNGO_COLLECT) == 0)));
}

// reply_start writes r, the bytes in its buffer unless it has a response.
static void
reply_start(nngo_server *srv, nng_aio *call, nngo_reply *r, size_t len)
{
	nng_http_conn *conn = nng_aio_get_input(call, 2);
	nng_iov        iov  = { .iov_buf = r->buf, .iov_len = len };

	r->call = call;
	// The reply can be out before the next line, and the server gone with it: so
	// count ourselves too. An abort that came before C knew of the write has had
	// no effect on it.
	(void) __atomic_add_fetch(&srv->running, 1, __ATOMIC_SEQ_CST);
	begin_once(&r->pending);
	nngo_gather();
	if (r->res != NULL) {
		nng_http_conn_write_res(conn, r->res, r->tx);
	} else {
		(void) nng_aio_set_iov(r->tx, 1, &iov);
		nng_http_conn_write_all(conn, r->tx);
	}
	nngo_run();
	if (__atomic_load_n(&srv->aborted, __ATOMIC_SEQ_CST)) {
		abort_replies(srv);
	}
	server_leave(srv);
}

// nngo_call_reply sends a response, which it frees, and completes the handler. An
// error response gets the server's page for its status, if there is one.
void
nngo_call_reply(nngo_server *srv, nng_aio *call, nng_http_res *res,
    bool is_error, bool close)
{
	nng_http_req *req = nng_aio_get_input(call, 0);
	nngo_reply   *r;
	int           rv = 0;

	close = close || must_close(srv, req) ||
	    says_close(nng_http_res_get_header(res, "Connection"));
	if (is_error) {
		rv = nng_http_server_res_error(srv->server, res);
	}
	if (rv == 0) {
		rv = frame_response(req, res);
	}
	if ((rv == 0) && close) {
		rv = nng_http_res_set_header(res, "Connection", "close");
	}
	if ((rv == 0) && ((r = reply_alloc(srv)) == NULL)) {
		rv = NNG_ENOMEM;
	}
	if (rv != 0) {
		nng_http_res_free(res);
		nngo_call_end(srv, call, rv);
		return;
	}
	r->res    = res;
	r->close  = close;
	r->unread = close && has_more(call);
	reply_start(srv, call, r, 0);
}

static char *
put(char *to, const void *from, size_t len)
{
	if (len != 0) {
		memcpy(to, from, len);
	}
	return (to + len);
}

// nngo_call_send sends a response that was never an nng_http_res, and completes the
// handler: a first line and fields, the Content-Length of the body, and the body; or, whole,
// just bytes. All is copied.
void
nngo_call_send(nngo_server *srv, nng_aio *call, bool whole, bool close,
    const void *head, size_t head_len, const void *body, size_t body_len)
{
	static const char closing[] = "Connection: close\r\n";
	nng_http_req     *req       = nng_aio_get_input(call, 0);
	char              length[64];
	size_t            length_len = 0;
	size_t            need;
	nngo_reply       *r;
	char             *to;

	if (!whole) {
		close      = close || must_close(srv, req);
		length_len = (size_t) snprintf(length, sizeof(length),
		    "Content-Length: %zu\r\n%s\r\n", body_len, close ? closing : "");
		if (strcmp(nng_http_req_get_method(req), "HEAD") == 0) {
			body_len = 0;
		}
	}
	need = head_len + length_len + body_len;
	if ((r = reply_alloc(srv)) == NULL) {
		nngo_call_end(srv, call, NNG_ENOMEM);
		return;
	}
	r->res    = NULL;
	r->close  = close;
	r->unread = close && !whole && has_more(call); // a whole one comes when all is read
	if (!reply_reserve(r, need)) {
		reply_drop(srv, r);
		nngo_call_end(srv, call, NNG_ENOMEM);
		return;
	}
	to = put(r->buf, head, head_len);
	to = put(to, length, length_len);
	(void) put(to, body, body_len);
	reply_start(srv, call, r, need);
}

int
nngo_res_make(nng_http_res **resp, uint16_t status, const char *reason, char *head,
    size_t skip, size_t len, void *body, size_t body_len, bool borrow)
{
	nng_http_res *res;
	char         *fields = head + skip;
	char         *end    = head + len;
	int           rv;

	if ((rv = nng_http_res_alloc(&res)) != 0) {
		return (rv);
	}
	rv = nng_http_res_set_status(res, status);
	if ((rv == 0) && (reason != NULL)) {
		rv = nng_http_res_set_reason(res, reason);
	}
	while ((rv == 0) && (fields < end)) {
		char *value = memchr(fields, ':', (size_t) (end - fields));
		char *next  = memchr(value, '\r', (size_t) (end - value));

		*value = '\0';
		*next  = '\0';
		rv     = nng_http_res_set_header(res, fields, value + 2);
		fields = next + 2;
	}
	if ((rv == 0) && (body_len != 0)) {
		rv = borrow ? nng_http_res_set_data(res, body, body_len)
		            : nng_http_res_copy_data(res, body, body_len);
	}
	if (rv != 0) {
		nng_http_res_free(res);
		return (rv);
	}
	*resp = res;
	return (0);
}

// nngo_call_error sends nng's own error page and closes the connection.
void
nngo_call_error(nngo_server *srv, nng_aio *call, uint16_t status)
{
	nng_http_res *res;
	int           rv;

	if ((rv = nng_http_res_alloc_error(&res, status)) != 0) {
		nngo_call_end(srv, call, rv);
		return;
	}
	if (status == NNG_HTTP_STATUS_SERVICE_UNAVAILABLE) {
		// The server is stopping; its successor may be there soon. A hint
		// only, so it does not matter if it cannot be given.
		(void) nng_http_res_set_header(res, "Retry-After", "1");
	}
	nngo_call_reply(srv, call, res, true, true);
}

// tls.h declares these for every build, but libraries with TLS contain only the
// first, and libraries without only the others.
extern void nng_tls_config_hold(nng_tls_config *) __attribute__((weak));
extern int nng_tls_config_key(nng_tls_config *, const uint8_t *, size_t)
    __attribute__((weak));
extern int nng_tls_config_pass(nng_tls_config *, const char *)
    __attribute__((weak));

void
nngo_tls_config_hold(nng_tls_config *cfg)
{
	if (nng_tls_config_hold != NULL) {
		nng_tls_config_hold(cfg);
	}
}

int
nngo_tls_config_key(nng_tls_config *cfg, const uint8_t *key, size_t len)
{
	return (nng_tls_config_key == NULL
	        ? NNG_ENOTSUP
	        : nng_tls_config_key(cfg, key, len));
}

int
nngo_tls_config_pass(nng_tls_config *cfg, const char *pass)
{
	return (nng_tls_config_pass == NULL ? NNG_ENOTSUP
	                                    : nng_tls_config_pass(cfg, pass));
}

#if defined(__GLIBC__) && ((__GLIBC__ > 2) || (__GLIBC_MINOR__ >= 33))
void
nngo_heap_sizes(size_t *used, size_t *unused)
{
	struct mallinfo2 m = mallinfo2();

	*used   = m.uordblks + m.hblkhd;
	*unused = m.fordblks;
}

void
nngo_heap_trim(void)
{
	(void) malloc_trim(0);
}
#else
void
nngo_heap_sizes(size_t *used, size_t *unused)
{
	*used   = SIZE_MAX / 2;
	*unused = 0;
}

void
nngo_heap_trim(void)
{
}
#endif

const char *
nngo_patch_names(void)
{
#ifdef NNGHTTP_NNG_PATCH_NAMES
	return (NNGHTTP_NNG_PATCH_NAMES);
#else
	return ("");
#endif
}
