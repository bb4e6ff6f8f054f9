// The C side of package nng. See http_cgo.c for the callback contract.
#ifndef NNGHTTP_HTTP_CGO_H
#define NNGHTTP_HTTP_CGO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>
#include <nng/supplemental/tls/tls.h>
#include <nng/supplemental/util/platform.h>

// An nngo_event tells Go of something that has happened. Events gather in a queue; Go
// takes all of them with one call and sleeps when there are none (events.go).
typedef enum {
	NNGO_OP_DONE,     // an operation has completed: result, count, ptr[0] is output 0
	NNGO_REQUEST,     // a request has arrived: ptr is aio, request, connection; result the
	                  // status to refuse it with, or 0
	NNGO_DATA,        // a reader has bytes, or has ended: result, count, ptr[0] the bytes
	NNGO_WRITTEN,     // a writer that was asked to tell has completed a write
	NNGO_SERVER_IDLE, // a server that drains has nothing in hand any more
	NNGO_TWICE,       // nng has ended an operation that was not under way
} nngo_event_kind;

typedef struct {
	uintptr_t       handle; // of the Go side
	nngo_event_kind kind;
	int             result;
	size_t          count;
	void           *ptr[3];
} nngo_event;

typedef struct {
	nngo_event *list;
	size_t      n;
	bool        more; // there may be more; Go does not sleep
	bool        gone; // nng_fini was called: begin again
} nngo_events;

// nngo_events_begin gives a descriptor, for Go to close, and until nngo_events_end one
// goroutine takes the events: it calls nngo_events_take, and again as long as there may be
// more, then waits until the descriptor is readable. What was taken stays until the next
// call. late is for a look that comes without need, in case that something was lost.
bool        nngo_has_loop(void);
int         nngo_events_begin(int *fd);
void        nngo_events_end(void);
nngo_events nngo_events_take(bool late);

// nngo_gather and nngo_run are put around calls that make something of Go's, and around those
// that start or end operations: what they make is the loop's, and the tasks that come of them
// run in nngo_run, instead of waking one of nng's threads. They may be nested. The caller of
// nngo_run holds no locks.
void nngo_gather(void);
void nngo_run(void);

// The functions of nng that make what belongs to the loop.
int  nngo_server_hold(nng_http_server **, const nng_url *);
int  nngo_server_start(nng_http_server *);
int  nngo_client_alloc(nng_http_client **, const nng_url *);
int  nngo_static_alloc(nng_http_handler **, const char *, const void *, size_t, const char *);
int  nngo_redirect_alloc(nng_http_handler **, const char *, uint16_t, const char *);

// An nngo_op is one nng_aio together with the integer that names its Go side.
// It is allocated and freed by Go (op.go) and used for one operation at a time.
typedef struct {
	nng_aio  *aio;
	uintptr_t handle;
	bool      pending; // an operation is under way; atomic
} nngo_op;

int  nngo_op_alloc(nngo_op **, uintptr_t);
void nngo_op_stop(nngo_op *);
void nngo_op_free(nngo_op *);

// What starts an operation tells whether that has ended already, and how; then no event comes.
// It begins with nngo_op_begin, and ends with nngo_op_started.
typedef struct {
	bool   done;
	int    result;
	size_t count;
	void  *output;
} nngo_started;

void         nngo_op_begin(nngo_op *);
nngo_started nngo_op_started(nngo_op *);

nngo_started nngo_conn_read(nng_http_conn *, nngo_op *, void *, size_t, bool all);
nngo_started nngo_conn_read_req(nng_http_conn *, nng_http_req *, nngo_op *);
nngo_started nngo_conn_read_res(nng_http_conn *, nng_http_res *, nngo_op *);
// nngo_conn_unread may be called if nngo_can_unread (patch P31).
bool nngo_can_unread(void);
int  nngo_conn_unread(nng_http_conn *, const void *, size_t);
nngo_started nngo_conn_await(nng_http_conn *, nngo_op *); // if nngo_can_await
bool         nngo_can_await(void);
nngo_started nngo_conn_transact(nng_http_conn *, nng_http_req *, nng_http_res *, size_t max, nngo_op *);
nngo_started nngo_client_connect(nng_http_client *, nngo_op *);
nngo_started nngo_client_transact(nng_http_client *, nng_http_req *, nng_http_res *, size_t max, nngo_op *);

// nngo_can_transact reports whether the library has transactions that bound the body. Only
// then may the two above be called.
bool nngo_can_transact(void);

// An nngo_reader reads for Conn.OnData, again and again. Each time Go gets an event, and calls
// nngo_reader_next for the next. stop waits for the callback that is running, if there is one.
typedef struct {
	nng_aio       *aio;
	nng_http_conn *conn;
	uintptr_t      handle;
	size_t         cap;
	bool           pending; // a read is under way; atomic
	char           buf[];
} nngo_reader;

int  nngo_reader_alloc(nngo_reader **, nng_http_conn *, uintptr_t, size_t cap);
void nngo_reader_next(nngo_reader *);
void nngo_reader_stop(nngo_reader *);
void nngo_reader_free(nngo_reader *);

// An nngo_writer sends what Go gives it over a connection: one write is in flight, and
// bytes that come meanwhile gather behind it, for the next. Go hears of what becomes of
// them only when it asks to.
typedef struct {
	nng_aio        *aio;
	nng_http_conn  *conn;
	uintptr_t       handle;
	bool            pending; // aio is at it; atomic
	pthread_mutex_t mtx;     // guards what follows
	char           *flying; // is being sent
	size_t          flying_cap;
	char           *queue; // waits behind it
	size_t          queue_cap;
	size_t          queued;
	size_t          sending; // bytes of the write in flight
	size_t          budget;  // how much Go may add, whatever is held
	bool            busy;    // there is one
	bool            stopped; // no further one is started
	bool            tell;    // Go wants to know when it has ended
	int             err;     // why nothing can be sent any more
	size_t          count;   // bytes of the last write
	uint64_t        writes;  // that have completed
} nngo_writer;

typedef struct {
	bool     busy;
	int      err;
	size_t   count;
	uint64_t writes;
} nngo_writer_state;

typedef struct {
	size_t taken;
	int    err;
} nngo_added;

// nngo_writer_add copies as much as there is room for. If that is not all, or tell is set in
// nngo_writer_look while a write is in flight, an event comes when a write has ended. The
// three below are for idle writers.
int               nngo_writer_alloc(nngo_writer **, nng_http_conn *, uintptr_t);
nngo_added        nngo_writer_add(nngo_writer *, const void *, size_t);
nngo_writer_state nngo_writer_look(nngo_writer *, bool tell);
int               nngo_writer_start(nngo_writer *, const void *, size_t, bool all);
void              nngo_writer_req(nngo_writer *, nng_http_req *);
void              nngo_writer_res(nngo_writer *, nng_http_res *);
void              nngo_writer_stop(nngo_writer *);
void              nngo_writer_free(nngo_writer *);

// nngo_conn_addr fills the local or the remote address of a connection.
// It answers NNG_ENOTSUP where the library does not tell.
int nngo_conn_addr(nng_http_conn *, bool remote, nng_sockaddr *);

// nngo_conn_queue tells how many bytes of what was sent the peer's system has not confirmed, and
// how many more ours would take at once: 0 for both where libnng does not tell (patch X10).
typedef struct {
	uint64_t unsent;
	uint64_t room;
} nngo_queue;

nngo_queue nngo_conn_queue(nng_http_conn *);

// nngo_conn_fin ends the sending side. It returns NNG_ENOTSUP over TLS, and where the library
// cannot (patch 0081).
int nngo_conn_fin(nng_http_conn *);

// An nngo_server counts what is going on in one nng_http_server.
// NNGO_DRAINING in running makes C tell Go when the count comes to 0.
#define NNGO_DRAINING (((int64_t) 1) << 62)

typedef struct nngo_reply nngo_reply;
typedef struct {
	int64_t          running; // requests in hand, until their reply is out; atomic
	int32_t          aborted; // replies are to fail; atomic
	nng_http_server *server;
	uintptr_t        handle;
	pthread_mutex_t  mtx; // guards the lists
	nngo_reply      *active;
	nngo_reply      *spare;
} nngo_server;

// Limits of a server: milliseconds and numbers, 0 is none; for heads, 0 is the default. A library
// without our patches has no limits and no counts, which nngo_have_limits tells; then the others
// do nothing. The counts are in the order of ServerStats.
typedef struct {
	int32_t header, idle, handshake, write;
	int     conns;
	size_t  head_bytes, head_fields;
} nngo_limits;
#define NNGO_STATS 12
bool nngo_have_limits(void);
void nngo_server_limits(nng_http_server *, nngo_limits);
void nngo_server_stats(nng_http_server *, uint64_t[NNGO_STATS]);

// nngo_server_set_lenient answers NNG_ENOTSUP where the library has no such thing (patch 0047).
int nngo_server_set_lenient(nng_http_server *, bool);

int  nngo_server_alloc(nngo_server **, nng_http_server *, uintptr_t);
void nngo_server_free(nngo_server *);

// nngo_server_tcp has the connections that a server will accept probed when they have been
// idle for so many seconds, and asks for a backlog when the server starts. A library
// without patch 0055 probes when the system does, after two hours, or never.
void nngo_server_tcp(nng_http_server *, int probe, int backlog);

void nngo_server_abort(nngo_server *);

// Handlers. What travels with one is twice the handle of its Go side, and NNGO_COLLECT. Exactly
// one nngo_call function ends each call.
#define NNGO_COLLECT ((uintptr_t) 1) // nng collects the body, so it must not be in chunks
int  nngo_handler_alloc(nng_http_handler **, const char *, uintptr_t);

void nngo_call_end(nngo_server *, nng_aio *, int);
void nngo_call_reply(nngo_server *, nng_aio *, nng_http_res *, bool, bool);
void nngo_call_send(nngo_server *, nng_aio *, bool whole, bool close, const void *head,
    size_t, const void *body, size_t);
void nngo_call_error(nngo_server *, nng_aio *, uint16_t);

// nngo_res_make makes a response of what Go has gathered for it: lines "NAME: VALUE\r\n" in
// head, behind what is to be skipped, which it spoils, and a body, which is borrowed or copied.
int nngo_res_make(nng_http_res **, uint16_t, const char *reason, char *head, size_t skip,
    size_t len, void *body, size_t, bool borrow);

// nngo_req_head and nngo_res_head copy the head of a message into a buffer: the socket
// address of the connection's peer if there is a connection and libnng tells it, method, URI
// and version (version and reason), then name and value of each header, each with its
// NUL. They return the size of it all, which may be more than there was room for, or 0
// when this library's headers cannot be listed.
size_t nngo_req_head(nng_http_req *, nng_http_conn *, char *, size_t);
size_t nngo_res_head(nng_http_res *, char *, size_t);

// TLS functions that some builds of the library declare but do not contain.
void nngo_tls_config_hold(nng_tls_config *);
int nngo_tls_config_key(nng_tls_config *, const uint8_t *, size_t);
int nngo_tls_config_pass(nng_tls_config *, const char *);

// nngo_heap_sizes is how many bytes of C's heap are in use, and how many are not, of which
// nngo_heap_trim gives back to the system what it can. Without glibc's allocator the first
// number is more than there are, and there is nothing to give back.
void nngo_heap_sizes(size_t *used, size_t *unused);
void nngo_heap_trim(void);

// The patches in the library, comma-separated; empty where it does not say.
const char *nngo_patch_names(void);

#endif
