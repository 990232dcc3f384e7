#include "ws2_32.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Events: one lock for all, since they are few. */
struct event {
    int set;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

WSAEVENT event_create(void)
{
    return calloc(1, sizeof(struct event));
}

static BOOL event_change(WSAEVENT event, int set)
{
    pthread_mutex_lock(&lock);
    ((struct event *)event)->set = set;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return TRUE;
}

void event_reset(WSAEVENT event)
{
    event_change(event, 0);
}

int event_wait(WSAEVENT event, int milliseconds)
{
    struct timespec limit;
    int set, late = 0;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += milliseconds / 1000;
    limit.tv_nsec += milliseconds % 1000 * 1000000L;
    if (limit.tv_nsec >= 1000000000L) {
        limit.tv_sec++;
        limit.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&lock);
    while (!((struct event *)event)->set && !late)
        late = pthread_cond_timedwait(&changed, &lock, &limit) != 0;
    set = ((struct event *)event)->set;
    pthread_mutex_unlock(&lock);
    return set;
}

void event_close(WSAEVENT event)
{
    free(event);
}

static BOOL WSPAPI set_event(WSAEVENT event, LPINT error)
{
    (void)error;
    return event_change(event, 1);
}

static BOOL WSPAPI reset_event(WSAEVENT event, LPINT error)
{
    (void)error;
    return event_change(event, 0);
}

/* Descriptors are numbers; one that was given back is not used again. */
static SOCKET WSPAPI create_socket_handle(DWORD entry, DWORD_PTR context, LPINT error)
{
    static SOCKET last = 0x100;
    SOCKET handle;

    (void)entry, (void)context, (void)error;
    pthread_mutex_lock(&lock);
    handle = last += 4;
    pthread_mutex_unlock(&lock);
    return handle;
}

static int WSPAPI close_socket_handle(SOCKET s, LPINT error)
{
    (void)s, (void)error;
    return 0;
}

/* APCs: a list, run by whoever calls apcs_run. */
struct apc {
    LPWSAUSERAPC function;
    DWORD_PTR context;
    struct apc *next;
};

static struct apc *first;
WSATHREADID apc_thread;

static int WSPAPI queue_apc(LPWSATHREADID thread, LPWSAUSERAPC function, DWORD_PTR context, LPINT error)
{
    struct apc *apc = malloc(sizeof(*apc)), **end;

    (void)thread;
    if (!apc) {
        *error = WSAENOBUFS;
        return SOCKET_ERROR;
    }
    apc->function = function;
    apc->context = context;
    apc->next = NULL;
    pthread_mutex_lock(&lock);
    for (end = &first; *end; end = &(*end)->next)
        ;
    *end = apc;
    pthread_mutex_unlock(&lock);
    return 0;
}

int apcs_run(void)
{
    struct apc *apc;
    int count = 0;

    for (;;) {
        pthread_mutex_lock(&lock);
        apc = first;
        if (apc)
            first = apc->next;
        pthread_mutex_unlock(&lock);
        if (!apc)
            return count;
        apc->function(apc->context);
        free(apc);
        count++;
    }
}

int spi_start(WSPPROC_TABLE *table)
{
    WSPDATA data;
    WSAPROTOCOL_INFOW info = {0};
    WSPUPCALLTABLE upcalls = {0};

    upcalls.lpWPUCreateSocketHandle = create_socket_handle;
    upcalls.lpWPUCloseSocketHandle = close_socket_handle;
    upcalls.lpWPUSetEvent = set_event;
    upcalls.lpWPUResetEvent = reset_event;
    upcalls.lpWPUQueueApc = queue_apc;
    return WSPStartup(0x0202, &data, &info, upcalls, table);
}
