// The loop: how a program that has an event loop of its own, as Go has, does the work of
// nng's threads for what belongs to it, and for nothing else.
//
// What belongs to the loop comes into being between nni_loop_enter and nni_loop_leave, or
// while one of the loop's tasks runs, on whatever thread: tasks (and so aios), sockets, and
// HTTP handlers. So a connection is the loop's if the listener is, and that is because the
// program made the listener so. All else stays with nng's threads and poller, and does not
// notice.
//
// The files beside this one are part of nng's taskq.c and posix_pollq_epoll.c, which
// include them. They need epoll; without it nni_loop_take is not there.
#ifndef NNI_LOOP_H
#define NNI_LOOP_H

#include <stdbool.h>

// nni_loop_enter and nni_loop_leave go together, on one thread, and may be nested. Tasks of
// the loop that are dispatched in between run in the last nni_loop_leave, whose caller
// holds no lock. If that takes long, nng's threads get the rest.
extern void nni_loop_enter(void);
extern void nni_loop_leave(void);

// nni_loop_here tells whether what this thread does now is done for the loop.
extern bool nni_loop_here(void);

// nni_loop_take gives a descriptor, for the caller to close, that is readable when the loop
// has work. From then to nni_loop_give one thread at a time calls nni_loop_poll when it is,
// until that returns NNI_LOOP_DONE. While nobody has taken the loop, nng's poller does its
// work. nni_loop_wake makes the descriptor readable.
extern int  nni_loop_take(int *);
extern void nni_loop_give(void);
extern void nni_loop_wake(void);

// nni_loop_poll handles what the sockets have, and runs the tasks that come of it. With
// late, it also takes back tasks that nng's threads have and did not begin.
extern int nni_loop_poll(bool late);

#define NNI_LOOP_DONE 0
#define NNI_LOOP_MORE 1
#define NNI_LOOP_GONE 2 // nng_fini was called: take it again

#endif
