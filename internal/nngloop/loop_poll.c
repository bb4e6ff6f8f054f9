// Part of nng's posix_pollq_epoll.c: the sockets of the loop (loop.h). They have a pollq of
// their own, without a thread.

extern void nni_loop_set(void (*waker)(void), void (*ender)(void));
extern void nni_loop_rescue(bool);

static void nni_loop_fini(void);

static int nni_posix_pollq_add_eventfd(nni_posix_pollq *);

static struct {
	pthread_mutex_t running; // held in nni_loop_poll
	pthread_mutex_t polling; // held while events are handled; guards what follows
	pthread_mutex_t waking;  // held while the descriptor is woken, or closed
	bool            open;
	bool            taken;
	nni_posix_pollq pq;
	nni_posix_pfd * left; // pq's epfd, among the sockets of nng's own poller
} nni_loop = {
	.running = PTHREAD_MUTEX_INITIALIZER,
	.polling = PTHREAD_MUTEX_INITIALIZER,
	.waking  = PTHREAD_MUTEX_INITIALIZER,
};

// nni_loop_pollq is where a new socket goes.
static nni_posix_pollq *
nni_loop_pollq(nni_posix_pollq *global)
{
	if (nni_loop_here() &&
	    __atomic_load_n(&nni_loop.taken, __ATOMIC_ACQUIRE)) {
		return (&nni_loop.pq);
	}
	return (global);
}

// nni_loop_quiet is called for a socket that is out of its pollq. If that is the loop's, it
// waits until the events that are being handled have been, and returns true.
static bool
nni_loop_quiet(nni_posix_pollq *pq)
{
	if (pq != &nni_loop.pq) {
		return (false);
	}
	(void) pthread_mutex_lock(&nni_loop.polling);
	(void) pthread_mutex_unlock(&nni_loop.polling);
	return (true);
}

// nni_loop_events handles the events that there are. It returns whether there may be more.
static bool
nni_loop_events(void)
{
	struct epoll_event events[NNI_MAX_EPOLL_EVENTS];
	uint64_t           junk;
	int                n;

	n = epoll_wait(nni_loop.pq.epfd, events, NNI_MAX_EPOLL_EVENTS, 0);
	for (int i = 0; i < n; i++) {
		nni_posix_pfd *  pfd = events[i].data.ptr;
		nni_posix_pfd_cb cb;
		void *           arg;
		unsigned         mask;

		if (pfd == NULL) {
			// It does not block, and may be empty.
			(void) !read(nni_loop.pq.evfd, &junk, sizeof(junk));
			continue;
		}
		mask = events[i].events &
		    ((unsigned) EPOLLIN | (unsigned) EPOLLOUT |
		        (unsigned) EPOLLERR);
		nni_mtx_lock(&pfd->mtx);
		pfd->events &= ~mask;
		cb  = pfd->cb;
		arg = pfd->arg;
		nni_mtx_unlock(&pfd->mtx);
		if (cb != NULL) {
			cb(pfd, mask, arg);
		}
	}
	return ((n == NNI_MAX_EPOLL_EVENTS) || ((n < 0) && (errno == EINTR)));
}

// nni_loop_left_cb is called by nng's own poller. If nobody has taken the loop it handles
// what is left there; else nni_loop_give arms it again.
static void
nni_loop_left_cb(nni_posix_pfd *pfd, unsigned events, void *arg)
{
	NNI_ARG_UNUSED(events);
	NNI_ARG_UNUSED(arg);
	(void) pthread_mutex_lock(&nni_loop.polling);
	if (nni_loop.open && (!nni_loop.taken)) {
		(void) nni_loop_events();
		(void) nni_posix_pfd_arm(pfd, NNI_POLL_IN);
	}
	(void) pthread_mutex_unlock(&nni_loop.polling);
}

static int
nni_loop_open(void)
{
	nni_posix_pollq *pq = &nni_loop.pq;
	int              fd;
	int              rv;

	if ((pq->epfd = epoll_create1(EPOLL_CLOEXEC)) < 0) {
		return (nni_plat_errno(errno));
	}
	if ((rv = nni_posix_pollq_add_eventfd(pq)) != 0) {
		(void) close(pq->epfd);
		return (rv);
	}
	if ((fd = fcntl(pq->epfd, F_DUPFD_CLOEXEC, 0)) < 0) {
		rv = nni_plat_errno(errno);
	} else if ((rv = nni_posix_pfd_init(&nni_loop.left, fd)) != 0) {
		(void) close(fd);
	}
	if (rv != 0) {
		(void) close(pq->evfd);
		(void) close(pq->epfd);
		return (rv);
	}
	nni_mtx_init(&pq->mtx);
	nni_posix_pfd_set_cb(nni_loop.left, nni_loop_left_cb, NULL);
	(void) pthread_mutex_lock(&nni_loop.waking);
	nni_loop.open = true;
	(void) pthread_mutex_unlock(&nni_loop.waking);
	return (0);
}

int
nni_loop_take(int *fdp)
{
	int rv;

	if ((rv = nni_init()) != 0) {
		return (rv);
	}
	(void) pthread_mutex_lock(&nni_loop.polling);
	if ((nni_loop.open) || ((rv = nni_loop_open()) == 0)) {
		if ((*fdp = fcntl(nni_loop.pq.epfd, F_DUPFD_CLOEXEC, 0)) < 0) {
			rv = nni_plat_errno(errno);
		} else {
			__atomic_store_n(&nni_loop.taken, true, __ATOMIC_RELEASE);
			nni_loop_set(nni_loop_wake, nni_loop_fini);
		}
	}
	(void) pthread_mutex_unlock(&nni_loop.polling);
	return (rv);
}

void
nni_loop_give(void)
{
	(void) pthread_mutex_lock(&nni_loop.polling);
	if (nni_loop.open && nni_loop.taken) {
		__atomic_store_n(&nni_loop.taken, false, __ATOMIC_RELEASE);
		nni_loop_set(NULL, nni_loop_fini);
		(void) nni_posix_pfd_arm(nni_loop.left, NNI_POLL_IN);
	}
	(void) pthread_mutex_unlock(&nni_loop.polling);
}

int
nni_loop_poll(bool late)
{
	int what = NNI_LOOP_GONE;

	(void) pthread_mutex_lock(&nni_loop.running);
	(void) pthread_mutex_lock(&nni_loop.polling);
	if (nni_loop.open && nni_loop.taken) {
		nni_loop_enter();
		what = nni_loop_events() ? NNI_LOOP_MORE : NNI_LOOP_DONE;
		(void) pthread_mutex_unlock(&nni_loop.polling);
		nni_loop_rescue(late);
		nni_loop_leave();
	} else {
		(void) pthread_mutex_unlock(&nni_loop.polling);
	}
	(void) pthread_mutex_unlock(&nni_loop.running);
	return (what);
}

void
nni_loop_wake(void)
{
	uint64_t one = 1;

	(void) pthread_mutex_lock(&nni_loop.waking);
	// It fails if the counter is full, and then whoever waits has been woken.
	if (nni_loop.open &&
	    (write(nni_loop.pq.evfd, &one, sizeof(one)) < 0)) {
		one = 0;
	}
	(void) pthread_mutex_unlock(&nni_loop.waking);
}

// nni_loop_fini is called by nng_fini, while nng's poller and its tasks still work.
static void
nni_loop_fini(void)
{
	(void) pthread_mutex_lock(&nni_loop.running);
	(void) pthread_mutex_lock(&nni_loop.polling);
	if (!nni_loop.open) {
		(void) pthread_mutex_unlock(&nni_loop.polling);
		(void) pthread_mutex_unlock(&nni_loop.running);
		return;
	}
	nni_loop_set(NULL, nni_loop_fini);
	__atomic_store_n(&nni_loop.taken, false, __ATOMIC_RELEASE);
	(void) pthread_mutex_lock(&nni_loop.waking);
	nni_loop.open = false;
	(void) pthread_mutex_unlock(&nni_loop.waking);
	(void) pthread_mutex_unlock(&nni_loop.polling);
	nni_posix_pfd_fini(nni_loop.left);
	(void) close(nni_loop.pq.evfd);
	(void) close(nni_loop.pq.epfd);
	nni_mtx_fini(&nni_loop.pq.mtx);
	(void) pthread_mutex_unlock(&nni_loop.running);
}
