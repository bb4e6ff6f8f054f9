// The allocator that libnng gets in build/VARIANT-fault; see README.md.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAMES 24

// What is shared with the test, all of it 64 bit wide.
static struct shared {
	_Atomic uint64_t armed;   // count, and fail
	_Atomic uint64_t count;   // allocations while armed
	_Atomic uint64_t fail_at; // the one to fail, from 1; 0: none
	_Atomic uint64_t failed;  // how many have
	_Atomic int64_t  live;    // blocks that are allocated
	uint64_t         nframes;
	uint64_t         frames[FRAMES]; // of the one that failed
} *shared;

__attribute__((constructor)) static void
fault_init(void)
{
	static struct shared none;
	const char          *file = getenv("NNGO_FAULT_FILE");
	void                *p;
	int                  fd;

	shared = &none;
	if ((file == NULL) || ((fd = open(file, O_RDWR | O_CLOEXEC)) < 0)) {
		return;
	}
	p = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void) close(fd);
	if (p != MAP_FAILED) {
		shared = p;
	}
}

// fails tells whether this allocation is the one. Frame pointers lead to who asked for it:
// backtrace would allocate.
static int
fails(void)
{
	void   **fp;
	uint64_t n = 0;

	if ((shared == NULL) || !atomic_load(&shared->armed) ||
	    (atomic_fetch_add(&shared->count, 1) + 1 != atomic_load(&shared->fail_at))) {
		return (0);
	}
	fp = __builtin_frame_address(0);
	while ((n < FRAMES) && (fp != NULL) && (((uintptr_t) fp & 7) == 0)) {
		void **up = fp[0];
		if (fp[1] == NULL) {
			break;
		}
		shared->frames[n++] = (uint64_t) (uintptr_t) fp[1];
		if ((up <= fp) || ((char *) up - (char *) fp > (1 << 20))) {
			break;
		}
		fp = up;
	}
	shared->nframes = n;
	atomic_fetch_add(&shared->failed, 1);
	return (1);
}

static void *
counted(void *p)
{
	if (p != NULL) {
		atomic_fetch_add(&shared->live, 1);
	}
	return (p);
}

void *
nngo_fault_malloc(size_t n)
{
	return (fails() ? NULL : counted(malloc(n)));
}

void *
nngo_fault_calloc(size_t n, size_t size)
{
	return (fails() ? NULL : counted(calloc(n, size)));
}

void *
nngo_fault_realloc(void *p, size_t n)
{
	void *q;

	if (fails()) {
		return (NULL);
	}
	q = realloc(p, n);
	return ((p == NULL) ? counted(q) : q);
}

void
nngo_fault_free(void *p)
{
	if (p != NULL) {
		atomic_fetch_sub(&shared->live, 1);
	}
	free(p);
}
