/*
 * sockets.c: the life of a socket, its name, its events.
 */
#include "provider.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024

static struct socket *buckets[BUCKETS];
static SOCKET last_id;

/* A value is never used again (SP-012). */
SOCKET new_id(void)
{
    return ++last_id;
}

struct socket *find_socket(SOCKET s)
{
    struct socket *socket = buckets[s % BUCKETS];

    while (socket != NULL && socket->id != s)
        socket = socket->next;
    return socket;
}

struct socket *any_socket(void)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        if (buckets[i] != NULL)
            return buckets[i];
    }
    return NULL;
}

struct socket *new_socket(void)
{
    struct socket *socket = calloc(1, sizeof(*socket));

    if (socket != NULL) {
        socket->source.fd = -1;
        socket->early_end = &socket->early;
    }
    return socket;
}

void add_socket(struct socket *socket, SOCKET id, SOCKET handle)
{
    struct socket **bucket = &buckets[id % BUCKETS];

    socket->id = id;
    socket->handle = HAS_DEFECT(FOREIGN_HANDLE) ? id : handle;
    socket->next = *bucket;
    *bucket = socket;
}

static void remove_socket(struct socket *socket)
{
    struct socket **place = &buckets[socket->id % BUCKETS];

    while (*place != socket)
        place = &(*place)->next;
    *place = socket->next;
}

void forget_sockets(void)
{
    memset(buckets, 0, sizeof(buckets));
}

/* WSPCloseSocket: pending operations first, the switch's handle last (SP-170). */
void end_socket(struct socket *socket)
{
    remove_socket(socket);
    while (socket->requests != NULL) {
        struct request *request = socket->requests;
        socket->requests = request->next;
        refuse(request);
    }
    close_source(&socket->source);
    fail_all(&socket->receives, WSA_OPERATION_ABORTED, NULL);
    fail_all(&socket->unconfirmed, WSA_OPERATION_ABORTED, NULL);
    fail_all(&socket->sends, WSA_OPERATION_ABORTED, NULL);
    deregister_all(socket);
    drop_early(socket);
    socket->due = (struct due){.handle = socket->handle};
    queue_up_call(&socket->due);
}

int WSPAPI wsp_close_socket(SOCKET s, LPINT error)
{
    struct socket *socket;

    enter();
    socket = find_socket(s);
    if (socket == NULL)
        return leave(WSAENOTSOCK, error);
    end_socket(socket);
    return leave(0, error);
}

SOCKET WSPAPI wsp_socket(
    int family, int type, int protocol, LPWSAPROTOCOL_INFOW info, GROUP group, DWORD flags, LPINT error)
{
    struct socket *socket;
    SOCKET id, handle;
    bool ready;
    int code = 0;

    (void)group;
    if (family != WS_AF_INET)
        code = WSAEAFNOSUPPORT;
    else if (type != WS_SOCK_STREAM)
        code = WSAESOCKTNOSUPPORT;
    else if (protocol != WS_IPPROTO_TCP)
        code = WSAEPROTONOSUPPORT;
    else if (info != NULL && info->dwProviderReserved != 0)
        return adopt(info->dwProviderReserved, error); /* SP-041 */
    else if (flags != WSA_FLAG_OVERLAPPED)
        code = WSAEINVAL;
    if (code != 0) {
        fail(code, error);
        return INVALID_SOCKET;
    }
    enter();
    ready = is_started();
    id = new_id();
    leave(0, NULL);
    socket = ready ? new_socket() : NULL;
    if (socket == NULL) {
        fail(ready ? WSAENOBUFS : WSANOTINITIALISED, error);
        return INVALID_SOCKET;
    }
    handle = upcalls.lpWPUCreateSocketHandle(0, id, error);
    if (handle == INVALID_SOCKET) {
        free(socket);
        return INVALID_SOCKET;
    }
    enter();
    add_socket(socket, id, handle);
    leave(0, NULL);
    return id;
}

/* All of 127.0.0.0/8 is this host's. */
bool is_own_address(uint32_t address)
{
    bool found = address == 0 || swap_ip(address) >> 24 == 127;
    size_t count = 0;
    uint32_t *all = found ? NULL : own_addresses(&count);

    for (size_t i = 0; all != NULL && i < count; i++)
        found |= all[i] == address;
    free(all);
    return found;
}

int WSPAPI wsp_bind(SOCKET s, const SOCKADDR *name, int length, LPINT error)
{
    struct socket *socket;
    SOCKADDR_IN address;
    int code = 0;

    if (name == NULL || length != (int)sizeof(address))
        memset(&address, 0, sizeof(address));
    else
        memcpy(&address, name, sizeof(address));
    enter();
    socket = find_socket(s);
    if (socket == NULL)
        code = WSAENOTSOCK;
    else if (address.sin_family != WS_AF_INET)
        code = WSAEFAULT;
    else if (socket->state != FRESH)
        code = WSAEINVAL;
    else if (!is_own_address(address.sin_addr)) /* Conflicts are TCP/IP's business (SP-045). */
        code = HAS_DEFECT(WRONG_ERROR_CODE) ? WSAEADDRINUSE : WSAEADDRNOTAVAIL;
    if (code == 0) {
        socket->local = address;
        socket->state = BOUND;
    }
    return leave(code, error);
}

/* The switch's functions for events do not call back, so they may be called under the lock. */
void signal_event(struct socket *socket, LONG event)
{
    int ignored;

    socket->occurred |= event;
    if ((socket->mask & event) != 0)
        upcalls.lpWPUSetEvent(socket->event, &ignored);
}

void reset_event(WSAEVENT event)
{
    int ignored;

    if (event != WSA_INVALID_EVENT)
        upcalls.lpWPUResetEvent(event, &ignored);
}

int WSPAPI wsp_event_select(SOCKET s, WSAEVENT event, LONG mask, LPINT error)
{
    struct socket *socket;
    int code = 0;

    enter();
    socket = find_socket(s);
    if (socket == NULL)
        code = WSAENOTSOCK;
    else if ((mask & ~(FD_ACCEPT | FD_CONNECT)) != 0 || (mask != 0 && event == WSA_INVALID_EVENT))
        code = WSAEINVAL;
    if (code == 0) {
        socket->event = mask != 0 ? event : WSA_INVALID_EVENT;
        socket->mask = mask;
        signal_event(socket, socket->occurred); /* What has happened before is not lost (SP-057). */
    }
    return leave(code, error);
}

int WSPAPI wsp_enum_network_events(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS record, LPINT error)
{
    struct socket *socket;
    int code = 0;

    enter();
    socket = find_socket(s);
    if (socket == NULL)
        code = WSAENOTSOCK;
    else if (record == NULL)
        code = WSAEFAULT;
    if (code == 0) {
        reset_event(event); /* Before the record is taken (SP-060). */
        record->lNetworkEvents = socket->occurred;
        if ((socket->occurred & FD_ACCEPT) != 0)
            record->iErrorCode[FD_ACCEPT_BIT] = 0;
        if ((socket->occurred & FD_CONNECT) != 0)
            record->iErrorCode[FD_CONNECT_BIT] = socket->connect_result;
        socket->occurred = 0;
    }
    return leave(code, error);
}
