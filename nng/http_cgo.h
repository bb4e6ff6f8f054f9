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

// An nngo_op is one nng_aio together with the integer that names its Go side.
// It is allocated and freed by Go (op.go) and used for one operation at a time.
typedef struct {
	nng_aio  *aio;
	uintptr_t handle;
} nngo_op;

int  nngo_op_alloc(nngo_op **, uintptr_t);
void nngo_op_stop(nngo_op *);
void nngo_op_free(nngo_op *);

// Connection transfers. Each starts one operation and returns at once.
void nngo_conn_read(nng_http_conn *, nngo_op *, void *, size_t);
void nngo_conn_read_all(nng_http_conn *, nngo_op *, void *, size_t);
void nngo_conn_write(nng_http_conn *, nngo_op *, void *, size_t);
void nngo_conn_write_all(nng_http_conn *, nngo_op *, void *, size_t);

// nngo_conn_addr fills the local or the remote address of a connection.
// It answers NNG_ENOTSUP where the library does not tell.
int nngo_conn_addr(nng_http_conn *, bool remote, nng_sockaddr *);

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

int  nngo_server_alloc(nngo_server **, nng_http_server *, uintptr_t);
void nngo_server_free(nngo_server *);
void nngo_server_abort(nngo_server *);

// Handlers. Exactly one nngo_call function ends each call.
int  nngo_handler_alloc(nng_http_handler **, const char *, uintptr_t);
void nngo_call_end(nngo_server *, nng_aio *, int);
void nngo_call_reply(nngo_server *, nng_aio *, nng_http_res *, bool, bool);
void nngo_call_error(nngo_server *, nng_aio *, uint16_t);
bool nngo_req_has_te(nng_http_req *);

// nngo_req_head and nngo_res_head copy the head of a message into a buffer: method, URI
// and version (version and reason), then name and value of each header, each with its
// NUL. They return the size of it all, which may be more than there was room for, or 0
// when this library's headers cannot be listed.
size_t nngo_req_head(nng_http_req *, char *, size_t);
size_t nngo_res_head(nng_http_res *, char *, size_t);

// TLS functions that some builds of the library declare but do not contain.
void nngo_tls_config_hold(nng_tls_config *);
int nngo_tls_config_key(nng_tls_config *, const uint8_t *, size_t);
int nngo_tls_config_pass(nng_tls_config *, const char *);

// The patches in the library, comma-separated; empty where it does not say.
const char *nngo_patch_names(void);

#endif
