// Part of nng's taskq.c: tasks of the loop (loop.h).
//
// A thread between nni_loop_enter and nni_loop_leave keeps the loop's tasks that it
// dispatches in a list of its own, and runs them when it leaves. Lists are under the lock of
// the queue, so whoever waits for a task can take it out of any of them and run it.
//
// Tasks of the loop that other threads dispatch (for time-outs, say), and those that were
// left over, are in a list of the queue, apart from all other tasks: those may block all of
// nng's threads for as long as they like. If so the loop is woken and takes its tasks back.

// For so many ms nni_loop_leave runs tasks, looked at once in so many tasks.
#define NNI_LOOP_RUN_MS 1
#define NNI_LOOP_RUN_LOOK 2

static __thread struct {
	nni_list tasks;  // to be run by nni_loop_leave
	unsigned count;  // how many it has put there
	int      depth;  // of nni_loop_enter
	bool     running; // a task, in nni_loop_leave
	bool     loop;   // what is done is done for the loop
	bool     before; // ditto, before the outermost nni_loop_enter
} nni_loop_self;

// What loop_poll.c has for this file, where there is epoll: what wakes whoever has taken the
// loop (NULL if nobody has), and what ends it with nng_fini.
static void (*nni_loop_waker)(void);
static void (*nni_loop_ender)(void);

void
nni_loop_set(void (*waker)(void), void (*ender)(void))
{
	__atomic_store_n(&nni_loop_waker, waker, __ATOMIC_RELEASE);
	nni_loop_ender = ender;
}

bool
nni_loop_here(void)
{
	return (nni_loop_self.loop);
}

// nni_loop_call runs a task.
static void
nni_loop_call(nni_task *task)
{
	bool loop = nni_loop_self.loop;

	nni_loop_self.loop = task->task_loop;
	task->task_cb(task->task_arg);
	nni_loop_self.loop = loop;
}

// nni_loop_look wakes the loop for tasks that no thread of the queue is free to run. The
// queue is locked here, and in the next three functions.
static void
nni_loop_look(nni_taskq *tq)
{
	void (*waker)(void) = __atomic_load_n(&nni_loop_waker, __ATOMIC_ACQUIRE);

	if ((tq->tq_idle == 0) && (!tq->tq_called) && (waker != NULL) &&
	    (!nni_list_empty(&tq->tq_loop))) {
		tq->tq_called = true;
		waker();
	}
}

// nni_loop_busy says whether there are tasks of the loop, which is locked out as nng's
// threads are: in the queue, kept by a thread, or being run by one in nni_loop_leave.
static bool
nni_loop_busy(nni_taskq *tq)
{
	return ((tq->tq_keepers != 0) || (!nni_list_empty(&tq->tq_loop)));
}

// nni_loop_keep and nni_loop_kept count the threads that keep tasks, or run what they kept.
static void
nni_loop_keep(nni_taskq *tq)
{
	if (nni_loop_self.count++ == 0) {
		tq->tq_keepers++;
	}
}

static void
nni_loop_kept(nni_taskq *tq)
{
	if (--tq->tq_keepers == 0) {
		nni_cv_wake(&tq->tq_wait_cv);
	}
}

// nni_loop_append adds a task to the queue.
static void
nni_loop_append(nni_taskq *tq, nni_task *task)
{
	nni_list_append(task->task_loop ? &tq->tq_loop : &tq->tq_tasks, task);
	nni_cv_wake1(&tq->tq_sched_cv);
	nni_loop_look(tq);
}

// nni_loop_next takes a task out of the queue, for one of its threads.
static nni_task *
nni_loop_next(nni_taskq *tq)
{
	nni_task *task;

	if (((task = nni_list_first(&tq->tq_tasks)) != NULL) ||
	    ((task = nni_list_first(&tq->tq_loop)) != NULL)) {
		nni_list_node_remove(&task->task_node);
		nni_loop_look(tq);
	}
	return (task);
}

// nni_loop_give_all hands what this thread has kept to the queue. It stays a keeper while it
// is in a task, which is not over when it has told its result.
static void
nni_loop_give_all(nni_taskq *tq)
{
	nni_task *task;

	while ((nni_loop_self.count != 0) &&
	    ((task = nni_list_first(&nni_loop_self.tasks)) != NULL)) {
		nni_list_remove(&nni_loop_self.tasks, task);
		nni_loop_append(tq, task);
	}
	if ((nni_loop_self.count != 0) && (!nni_loop_self.running)) {
		nni_loop_self.count = 0;
		nni_loop_kept(tq);
	}
}

// nni_loop_join waits until nobody is in a task of the loop, as nni_taskq_fini does for the
// queue's own threads: who is comes back to the queue.
static void
nni_loop_join(nni_taskq *tq)
{
	nni_mtx_lock(&tq->tq_mtx);
	nni_loop_give_all(tq);
	while (tq->tq_keepers != 0) {
		nni_cv_wait(&tq->tq_wait_cv);
	}
	nni_mtx_unlock(&tq->tq_mtx);
}

// nni_loop_put puts a task that is dispatched, and locked, where it is to run. If somebody
// waits for it that is the queue, where he finds it.
static void
nni_loop_put(nni_taskq *tq, nni_task *task)
{
	nni_mtx_lock(&tq->tq_mtx);
	if (task->task_loop && nni_loop_self.loop && (nni_loop_self.depth != 0) &&
	    (task->task_waiters == 0)) {
		nni_list_append(&nni_loop_self.tasks, task);
		nni_loop_keep(tq);
	} else {
		nni_loop_append(tq, task);
	}
	nni_mtx_unlock(&tq->tq_mtx);
}

void
nni_loop_enter(void)
{
	if (nni_loop_self.depth++ == 0) {
		NNI_LIST_INIT(&nni_loop_self.tasks, nni_task, task_node);
		nni_loop_self.count  = 0;
		nni_loop_self.before = nni_loop_self.loop;
		nni_loop_self.loop   = true;
	}
}

void
nni_loop_leave(void)
{
	nni_taskq *tq  = nni_taskq_systq;
	nni_time   end = 0;
	unsigned   n   = 0;
	nni_task * task;

	if (nni_loop_self.depth > 1) {
		nni_loop_self.depth--;
		return;
	}
	while (nni_loop_self.count != 0) {
		nni_mtx_lock(&tq->tq_mtx);
		if ((end != 0) && (n % NNI_LOOP_RUN_LOOK == 0) &&
		    (nni_clock() > end)) {
			nni_loop_give_all(tq);
		}
		if ((task = nni_list_first(&nni_loop_self.tasks)) != NULL) {
			nni_list_remove(&nni_loop_self.tasks, task);
			tq->tq_count++;
		} else if (nni_loop_self.count != 0) {
			nni_loop_self.count = 0; // they have been run, or taken
			nni_loop_kept(tq);
		}
		nni_mtx_unlock(&tq->tq_mtx);
		if (task == NULL) {
			break;
		}
		nni_loop_self.running = true;
		nni_loop_call(task);
		nni_loop_self.running = false;
		nni_mtx_lock(&task->task_mtx);
		nni_task_done(task);
		nni_mtx_unlock(&task->task_mtx);
		if (++n == NNI_LOOP_RUN_LOOK) {
			end = nni_clock() + NNI_LOOP_RUN_MS;
		}
	}
	nni_loop_self.depth = 0;
	nni_loop_self.loop  = nni_loop_self.before;
}

// nni_loop_rescue takes back tasks that are in the queue, between nni_loop_enter and
// nni_loop_leave: if no thread is free to run them, or if it is late.
void
nni_loop_rescue(bool late)
{
	nni_taskq *tq = nni_taskq_systq;
	nni_task * task;

	nni_mtx_lock(&tq->tq_mtx);
	tq->tq_called = false;
	while ((late || (tq->tq_idle == 0)) &&
	    ((task = nni_list_first(&tq->tq_loop)) != NULL)) {
		nni_list_remove(&tq->tq_loop, task);
		nni_list_append(&nni_loop_self.tasks, task);
		nni_loop_keep(tq);
	}
	nni_mtx_unlock(&tq->tq_mtx);
}
