/*
 * engine.c: the lock, the up-calls that are made without it, and the thread that waits for peers.
 *
 * A switch that asks for notification sleeps until the provider calls up, so the provider needs a thread of its own,
 * from the first WSPListen or WSPConnect to the last WSPCleanup (SP-212). Polling calls do the same work (SP-095).
 */
#include "provider.h"

#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

WSPUPCALLTABLEEX upcalls;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t settled = PTHREAD_COND_INITIALIZER;
static struct due *first_due, **last_due = &first_due;
static bool settling;
static pthread_t settler;

static int set = -1; /* epoll */
static int kick = -1; /* Wakes the thread, and only the thread takes it. */
static struct source *sources;
static unsigned limits; /* Sources with a deadline. */
static bool driven, started;
static pthread_t driver;
static uintptr_t generation; /* Of the engine: a thread of an earlier one ends. */

int fail(int code, LPINT error)
{
    if (code == 0)
        return 0;
    if (error != NULL)
        *error = code;
    return SOCKET_ERROR;
}

void enter(void)
{
    pthread_mutex_lock(&lock);
}

void queue_up_call(struct due *due)
{
    due->next = NULL;
    *last_due = due;
    last_due = &due->next;
}

/* Calls up, without the lock. The request is not touched afterwards (SP-185). */
static void call_up(struct due *due)
{
    LPWSAOVERLAPPED request = due->request;
    int ignored;

    if (request == NULL) {
        if (!HAS_DEFECT(LEAKS_HANDLE))
            upcalls.lpWPUCloseSocketHandle(due->handle, &ignored);
    } else {
        request->Offset = 0;
        request->OffsetHigh = due->error;
        request->InternalHigh = due->bytes;
        if (!due->polled || HAS_DEFECT(NOTIFIES_POLLED))
            upcalls.lpWPUCompleteOverlappedRequest(due->handle, request, due->error, due->bytes, &ignored);
        if (due->polled)
            __atomic_store_n(&request->Internal, 0, __ATOMIC_RELEASE);
    }
    free(due);
}

static void make_up_calls(void)
{
    while (first_due != NULL) {
        struct due *due = first_due;
        first_due = due->next;
        if (first_due == NULL)
            last_due = &first_due;
        pthread_mutex_unlock(&lock);
        call_up(due);
        pthread_mutex_lock(&lock);
    }
}

/* Makes the up-calls in the order in which they became due (SP-187), so one thread at a time does it. A call from inside
 * an up-call, or beside one, leaves its own to that thread. */
static void settle(void)
{
    if (settling || first_due == NULL)
        return;
    settling = true;
    settler = pthread_self();
    make_up_calls();
    settling = false;
    pthread_cond_broadcast(&settled);
}

int leave(int code, LPINT error)
{
    settle();
    pthread_mutex_unlock(&lock);
    return fail(code, error);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void wake(void)
{
    if (kick >= 0)
        eventfd_write(kick, 1);
}

bool watch(struct source *source, int fd, uint32_t events, void (*ready)(struct source *))
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0)
        return false;
    source->fd = fd;
    source->events = events;
    source->ready = ready;
    source->deadline = 0;
    source->previous = NULL;
    source->next = sources;
    if (sources != NULL)
        sources->previous = source;
    sources = source;
    return true;
}

void watch_for(struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (source->fd < 0 || source->events == events)
        return;
    source->events = events;
    epoll_ctl(set, EPOLL_CTL_MOD, source->fd, &event);
}

void unwatch(struct source *source)
{
    if (source->fd < 0)
        return;
    no_limit(source);
    /* Closing is not enough: another process may have inherited the descriptor. */
    epoll_ctl(set, EPOLL_CTL_DEL, source->fd, NULL);
    if (source->previous != NULL)
        source->previous->next = source->next;
    else
        sources = source->next;
    if (source->next != NULL)
        source->next->previous = source->previous;
    source->fd = -1;
}

void close_source(struct source *source)
{
    int fd = source->fd;

    unwatch(source);
    if (fd >= 0)
        close(fd);
}

void limit_time(struct source *source, void (*late)(struct source *))
{
    source->deadline = now() + PATIENCE_MS;
    source->late = late;
    if (limits++ == 0)
        wake();
}

void no_limit(struct source *source)
{
    if (source->deadline != 0)
        limits--;
    source->deadline = 0;
}

/* One source is late. It may end others, hence only one. */
static bool expire_one(uint64_t time)
{
    for (struct source *source = limits != 0 ? sources : NULL; source != NULL; source = source->next) {
        if (source->deadline != 0 && source->deadline <= time) {
            no_limit(source);
            source->late(source);
            return true;
        }
    }
    return false;
}

void pump(void)
{
    struct epoll_event event;
    uint64_t time = limits != 0 ? now() : 0;

    /* One event at a time, since each may end the source of another. */
    for (int round = 0; round < 64 && epoll_wait(set, &event, 1, 0) == 1; round++) {
        struct source *source = event.data.ptr;
        source->ready(source);
    }
    while (expire_one(time))
        continue;
}

static void *run(void *mine)
{
    enter();
    while (generation == (uintptr_t)mine) {
        struct pollfd fds[] = {{.fd = set, .events = POLLIN}, {.fd = kick, .events = POLLIN}};
        int patience = limits != 0 ? 250 : -1;
        eventfd_t ignored;

        leave(0, NULL);
        poll(fds, 2, patience);
        enter();
        if (generation != (uintptr_t)mine)
            break;
        eventfd_read(kick, &ignored);
        pump();
    }
    leave(0, NULL);
    return NULL;
}

bool drive(void)
{
    sigset_t all, before;

    if (driven || !started)
        return driven;
    /* Signals are the program's: none may interrupt this thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    driven = pthread_create(&driver, NULL, run, (void *)(uintptr_t)generation) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return driven;
}

static void before_fork(void)
{
    enter();
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

/* State is not inherited (SP-213): the child closes its copies, so that peers notice the end of the parent, and begins
 * anew with its own WSPStartupEx. Memory of the parent's sockets is not given back. */
static void after_fork_in_child(void)
{
    static const pthread_mutex_t new_lock = PTHREAD_MUTEX_INITIALIZER;
    static const pthread_cond_t new_condition = PTHREAD_COND_INITIALIZER;

    for (struct source *source = sources; source != NULL; source = source->next)
        close(source->fd);
    if (started) {
        close(set);
        close(kick);
    }
    lock = new_lock;
    settled = new_condition;
    first_due = NULL;
    last_due = &first_due;
    sources = NULL;
    kick = set = -1;
    limits = 0;
    settling = driven = started = false;
    forget_sockets();
    forget_start();
}

bool start_engine(void)
{
    static bool forks_noticed;

    if (!forks_noticed && pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0)
        return false;
    forks_noticed = true;
    set = out_of_reach(epoll_create1(EPOLL_CLOEXEC));
    kick = out_of_reach(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    started = set >= 0 && kick >= 0;
    if (!started && set >= 0)
        close(set);
    if (!started && kick >= 0)
        close(kick);
    return started;
}

bool is_started(void)
{
    return started;
}

/* Ends everything (SP-035): sockets, up-calls, thread. */
void stop_engine(void)
{
    struct socket *socket;

    enter();
    generation++;
    started = false;
    wake();
    drop_handovers();
    while ((socket = any_socket()) != NULL)
        end_socket(socket);
    if (driven) {
        leave(0, NULL);
        /* The last clean-up may come from inside an up-call of that thread. */
        if (pthread_equal(driver, pthread_self()))
            pthread_detach(driver);
        else
            pthread_join(driver, NULL);
        enter();
    }
    settle();
    while (settling && !pthread_equal(settler, pthread_self()))
        pthread_cond_wait(&settled, &lock);
    /* From inside an up-call: what is left has to be made now. */
    make_up_calls();
    close(kick);
    close(set);
    kick = set = -1;
    driven = false;
    leave(0, NULL);
}
