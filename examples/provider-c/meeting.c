/*
 * meeting.c: how two sockets find each other.
 *
 * 127.0.0.1:8080 listens at the door "provider-c-7f000001-1f90". A connection is one link: CONNECT goes one way with both
 * names, ACCEPT or REFUSE comes back.
 */
#include "provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t swap_ip(uint32_t address)
{
    const unsigned char *bytes = (const unsigned char *)&address;

    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

bool say(int fd, const struct packet *packet)
{
    struct part part = {(void *)packet, sizeof(*packet)};

    return send_packet(fd, &part, 1, -1) == SENT;
}

static void name_of(char name[64], const SOCKADDR_IN *address, bool any)
{
    const unsigned char *port = (const unsigned char *)&address->sin_port;

    snprintf(name, 64, "provider-c-%08x-%x", any ? 0 : swap_ip(address->sin_addr), port[0] << 8 | port[1]);
}

int WSPAPI wsp_listen(SOCKET s, int backlog, LPINT error)
{
    struct socket *socket;
    struct request **place;
    char name[64];
    enum opened opened;
    int fd = -1;

    enter();
    socket = find_socket(s);
    if (socket == NULL)
        return leave(WSAENOTSOCK, error);
    if (socket->state == CONNECTED || socket->state == BROKEN)
        return leave(WSAEISCONN, error);
    if ((socket->state != BOUND && socket->state != LISTENING) || socket->local.sin_port == 0)
        return leave(WSAEINVAL, error);
    socket->backlog = backlog < 1 ? 1 : backlog > MAX_BACKLOG ? MAX_BACKLOG : backlog;
    if (socket->state == LISTENING) { /* SP-072 */
        int left = socket->backlog;
        for (place = &socket->requests; *place != NULL;) {
            struct request *request = *place;
            if (!request->greeted || left-- > 0) {
                place = &request->next;
                continue;
            }
            *place = request->next;
            refuse(request);
        }
        return leave(0, error);
    }
    name_of(name, &socket->local, false);
    opened = drive() ? open_door(name, &fd) : NO_RESOURCES;
    if (opened == OPENED && watch(&socket->source, fd, READABLE, requests_waiting)) {
        socket->state = LISTENING;
        return leave(0, error);
    }
    close_descriptor(fd);
    return leave(opened == NAME_IN_USE ? WSAEADDRINUSE : WSAENOBUFS, error);
}

static void forget_request(struct request *request)
{
    struct request **place = request->listener != NULL ? &request->listener->requests : NULL;

    if (place == NULL) {
        /* WSPAccept has it. */
        request->gone = true;
        close_source(&request->source);
        return;
    }
    while (*place != request)
        place = &(*place)->next;
    *place = request->next;
    close_source(&request->source);
    free(request);
}

/* Tells the peer that it is not wanted. The request is in no list any more. */
void refuse(struct request *request)
{
    if (request->greeted)
        say(request->source.fd, &(struct packet){.kind = REFUSE});
    close_source(&request->source);
    free(request);
}

static void request_late(struct source *source)
{
    forget_request(OWNER(source, struct request, source));
}

/* The peer says what it wants, or goes. */
static void request_readable(struct source *source)
{
    struct request *request = OWNER(source, struct request, source);
    struct socket *listener = request->listener;
    struct packet packet;
    struct part part = {&packet, sizeof(packet)};
    long got = receive_packet(source->fd, &part, 1, NULL);
    int waiting = 0;

    if (got == NOTHING_YET)
        return;
    if (request->greeted || got != (long)sizeof(packet) || packet.kind != CONNECT
        || packet.caller.sin_family != WS_AF_INET || packet.callee.sin_family != WS_AF_INET) {
        forget_request(request);
        return;
    }
    for (struct request *other = listener->requests; other != NULL; other = other->next)
        waiting += other->greeted;
    request->greeted = true;
    if (waiting >= listener->backlog) { /* SP-071 */
        say(source->fd, &(struct packet){.kind = REFUSE});
        forget_request(request);
        return;
    }
    request->caller = packet.caller;
    request->callee = packet.callee;
    no_limit(source);
    signal_event(listener, FD_ACCEPT);
}

/* A peer at a listener. Without a greeting it has to say what it wants. */
bool add_request(struct socket *listener, int fd, const struct packet *greeting)
{
    struct request *request = calloc(1, sizeof(*request)), **place = &listener->requests;

    if (request == NULL || !watch(&request->source, fd, READABLE, request_readable)) {
        free(request);
        close_descriptor(fd);
        return false;
    }
    while (*place != NULL)
        place = &(*place)->next;
    *place = request;
    request->listener = listener;
    if (greeting != NULL) {
        request->greeted = true;
        request->caller = greeting->caller;
        request->callee = greeting->callee;
        signal_event(listener, FD_ACCEPT);
    } else {
        limit_time(&request->source, request_late);
    }
    return true;
}

void requests_waiting(struct source *source)
{
    struct socket *listener = OWNER(source, struct socket, source);
    unsigned silent = 0;
    int fd = admit(source->fd);

    if (fd < 0)
        return;
    for (struct request *request = listener->requests; request != NULL; request = request->next)
        silent += !request->greeted;
    if (silent >= MAX_SILENT)
        close_descriptor(fd);
    else
        add_request(listener, fd, NULL);
}

void not_connected(struct socket *socket, int error)
{
    close_source(&socket->source);
    socket->state = BOUND;
    socket->connect_result = error;
    signal_event(socket, FD_CONNECT);
}

static void connect_late(struct source *source)
{
    not_connected(OWNER(source, struct socket, source), WSAETIMEDOUT);
}

int WSPAPI wsp_connect(SOCKET s, const SOCKADDR *name, int length, LPWSABUF caller, LPWSABUF callee, LPQOS sqos,
    LPQOS gqos, LPINT error)
{
    struct socket *socket;
    SOCKADDR_IN peer;
    char door[64];
    enum opened opened;
    int fd = -1, code = 0;

    (void)gqos; /* Reserved. */
    if (name == NULL || length < (int)sizeof(peer))
        return fail(WSAEFAULT, error);
    memcpy(&peer, name, sizeof(peer));
    enter();
    socket = find_socket(s);
    if (socket == NULL)
        code = WSAENOTSOCK;
    else if (peer.sin_family != WS_AF_INET)
        code = WSAEAFNOSUPPORT;
    else if (caller != NULL && caller->len != 0)
        code = WSAEPROTONOSUPPORT;
    else if (sqos != NULL)
        code = WSAEOPNOTSUPP;
    else if (socket->state == CONNECTING)
        code = WSAEALREADY;
    else if (socket->state == CONNECTED || socket->state == BROKEN)
        code = WSAEISCONN;
    else if (socket->state != BOUND)
        code = WSAEINVAL;
    else if (peer.sin_port == 0 || peer.sin_addr == 0)
        code = WSAEADDRNOTAVAIL;
    else if (!drive())
        code = WSAENOBUFS;
    if (code != 0)
        return leave(code, error);
    if (callee != NULL)
        callee->len = 0;
    name_of(door, &peer, false);
    opened = knock(door, &fd);
    if (opened == NOBODY) {
        name_of(door, &peer, true);
        opened = knock(door, &fd);
    }
    /* That nobody listens here does not mean that nobody listens by TCP (SP-067). */
    if (opened != OPENED)
        return leave(opened == NOBODY ? WSAETIMEDOUT : WSAENOBUFS, error);
    if (socket->local.sin_addr == 0)
        socket->local.sin_addr = peer.sin_addr; /* By which this host reaches itself. */
    socket->peer = peer;
    if (!say(fd, &(struct packet){.kind = CONNECT, .caller = socket->local, .callee = peer})
        || !watch(&socket->source, fd, READABLE, link_readable)) {
        close_descriptor(fd);
        return leave(WSAETIMEDOUT, error);
    }
    socket->state = CONNECTING;
    limit_time(&socket->source, connect_late);
    return leave(WSAEWOULDBLOCK, error);
}

/* The first packet that a connecting socket hears. */
bool hear_answer(struct socket *socket, const struct packet *packet)
{
    if (packet->kind == REFUSE) {
        not_connected(socket, WSAECONNREFUSED);
    } else if (packet->kind == ACCEPT) {
        no_limit(&socket->source);
        socket->state = CONNECTED;
        socket->connect_result = 0;
        signal_event(socket, FD_CONNECT);
    } else {
        return false;
    }
    return true;
}

/* Makes the event ready for the next request (SP-080). */
static void rearm(struct socket *listener)
{
    bool more = false;

    for (struct request *request = listener->requests; request != NULL; request = request->next)
        more |= request->greeted;
    listener->occurred &= ~FD_ACCEPT;
    if ((listener->mask & FD_ACCEPT) != 0)
        reset_event(listener->event);
    if (more)
        signal_event(listener, FD_ACCEPT);
}

/* Takes the oldest request (SP-075). */
static struct request *take_request(struct socket *listener)
{
    struct request **place = &listener->requests, *request;

    while (*place != NULL && !(*place)->greeted)
        place = &(*place)->next;
    request = *place;
    if (request != NULL) {
        *place = request->next;
        request->listener = NULL;
    }
    return request;
}

/* After CF_ACCEPT: the new socket takes the place of the request. Returns the code. */
static int take_over(struct socket *listener, struct request *request, struct socket *socket, SOCKET id, SOCKET handle)
{
    int fd = request->source.fd;

    if (listener == NULL)
        return WSAENOTSOCK;
    if (request->gone || !say(fd, &(struct packet){.kind = ACCEPT}))
        return WSAECONNRESET;
    unwatch(&request->source);
    if (!watch(&socket->source, fd, READABLE, link_readable)) {
        close_descriptor(fd);
        return WSAENOBUFS;
    }
    socket->state = CONNECTED;
    socket->debug = listener->debug;
    socket->local = request->callee;
    socket->peer = request->caller;
    add_socket(socket, id, handle);
    return 0;
}

SOCKET WSPAPI wsp_accept(
    SOCKET s, SOCKADDR *name, LPINT length, LPCONDITIONPROC condition, DWORD_PTR data, LPINT error)
{
    SOCKADDR_IN caller, callee;
    WSABUF caller_id = {sizeof(caller), (char *)&caller}, callee_id = {sizeof(callee), (char *)&callee};
    struct socket *listener, *socket;
    struct request *request = NULL;
    SOCKET id = INVALID_SOCKET, handle = INVALID_SOCKET;
    int answer, code = 0, ignored;

    enter();
    listener = find_socket(s);
    if (listener == NULL)
        code = WSAENOTSOCK;
    else if (condition == NULL || (name != NULL && (length == NULL || *length < (int)sizeof(caller))))
        code = WSAEFAULT;
    else if (listener->state != LISTENING)
        code = WSAEINVAL;
    if (code == 0 && (request = take_request(listener)) == NULL) {
        pump(); /* Perhaps it has arrived and nobody has looked. */
        if ((request = take_request(listener)) == NULL)
            code = WSAEWOULDBLOCK;
    }
    if (code == 0) {
        caller = request->caller;
        callee = request->callee;
        id = new_id();
    }
    leave(code, error);
    if (code != 0)
        return INVALID_SOCKET;

    /* Once, and without the lock: the listener may be closed meanwhile (SP-076, SP-211). */
    answer = condition(&caller_id, NULL, NULL, NULL, &callee_id, NULL, NULL, data);
    socket = answer == CF_ACCEPT ? new_socket() : NULL;
    if (answer == CF_ACCEPT && socket == NULL)
        code = WSAENOBUFS;
    else if (answer == CF_ACCEPT && (handle = upcalls.lpWPUCreateSocketHandle(0, id, &code)) == INVALID_SOCKET)
        code = code != 0 ? code : WSAENOBUFS;

    enter();
    listener = find_socket(s);
    if (answer == CF_DEFER && listener != NULL && !request->gone) { /* SP-079 */
        request->listener = listener;
        request->next = listener->requests;
        listener->requests = request;
        request = NULL;
        code = WSATRY_AGAIN;
    } else if (answer != CF_ACCEPT) {
        code = answer == CF_DEFER ? WSATRY_AGAIN : WSAECONNREFUSED;
    } else if (code == 0) {
        code = take_over(listener, request, socket, id, handle);
    }
    if (request != NULL && code != 0)
        refuse(request);
    else
        free(request);
    if (listener != NULL)
        rearm(listener);
    leave(code, error);
    if (code != 0) {
        free(socket);
        if (handle != INVALID_SOCKET)
            upcalls.lpWPUCloseSocketHandle(handle, &ignored);
        return INVALID_SOCKET;
    }
    if (name != NULL) {
        memcpy(name, &caller, sizeof(caller));
        *length = sizeof(caller);
    }
    return id;
}
