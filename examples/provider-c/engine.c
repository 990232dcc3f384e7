/*
 * engine.c: the lock, the up-calls that are made without it, and the thread that waits for peers.
 *
 * A switch that asks for notification sleeps until the provider calls up, so the provider needs a thread of its own,
 * from the first WSPListen or WSPConnect to the last WSPCleanup (SP-212). Polling calls do the same work (SP-095).
 */
#include "provider.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 64

WSPUPCALLTABLEEX upcalls;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t settled = PTHREAD_COND_INITIALIZER;
static struct due *first_due, **last_due = &first_due;
static bool settling;
static pthread_t settler;

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

bool watch(struct source *source, int fd, uint32_t events, void (*ready)(struct source *))
{
    if (!add_to_set(source, fd, events))
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
    if (source->fd < 0 || source->events == events)
        return;
    source->events = events;
    change_in_set(source, source->fd, events);
}

void unwatch(struct source *source)
{
    if (source->fd < 0)
        return;
    no_limit(source);
    remove_from_set(source->fd);
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
    close_descriptor(fd);
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
    struct source *source;
    uint64_t time = limits != 0 ? now() : 0;

    /* One event at a time, since each may end the source of another. */
    for (int round = 0; round < ROUNDS && (source = ready_source()) != NULL; round++) {
        source->ready(source);
        if (round == ROUNDS - 1)
            wake(); /* There may be more. */
    }
    while (expire_one(time))
        continue;
}

static void *run(void *mine)
{
    enter();
    while (generation == (uintptr_t)mine) {
        int patience = limits != 0 ? 250 : -1;

        leave(0, NULL);
        wait_for_sources(patience);
        enter();
        if (generation == (uintptr_t)mine) {
            take_wakes();
            pump();
        }
    }
    leave(0, NULL);
    return NULL;
}

bool drive(void)
{
    if (!driven && started)
        driven = start_thread(&driver, run, (void *)generation);
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
        close_descriptor(source->fd);
    stop_waiting();
    lock = new_lock;
    settled = new_condition;
    first_due = NULL;
    last_due = &first_due;
    sources = NULL;
    limits = 0;
    settling = driven = started = false;
    forget_sockets();
    forget_start();
}

bool start_engine(void)
{
    static bool forks_noticed;

    if (!forks_noticed && !notice_forks(before_fork, after_fork_in_parent, after_fork_in_child))
        return false;
    forks_noticed = true;
    started = start_waiting();
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
    stop_waiting();
    driven = false;
    leave(0, NULL);
}
