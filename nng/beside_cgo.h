// C code beside Go, for tests (beside_cgo.c).
#ifndef NNGHTTP_BESIDE_CGO_H
#define NNGHTTP_BESIDE_CGO_H

// beside_block adds a handler that blocks until beside_release to the server at url.
int  beside_block(const char *url, const char *path);
int  beside_blocked(void); // how many do
void beside_release(void);

// beside_callback has a callback send a request and wait for the reply, 10 s at most. It
// returns what came of it, or -1.
int beside_callback(void);

// beside_lost_signal loses the signal that would wake a thread for the first of n callbacks,
// and returns how many callbacks were set off until the first ran, 0 if not all of them ran.
int beside_lost_signal(int n);

// beside_pings sends n messages to and fro over TCP, and says how long each took.
int beside_pings(int n, int *us);

#endif
