/*
 * handover.c: a socket moves to another process (WSPDuplicateSocket, SP-150..156).
 *
 * The value for the next process is random, and names a door at which that process, and no other, is given the very
 * descriptor of the connection or of the listener. So the peer notices nothing (SP-154).
 */
#include "provider.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADOPT_ROUNDS 500 /* Of 10 milliseconds. */

enum { IS_LISTENER = 1, HAS_DEBUG = 2 };

struct handover {
    struct source source; /* The door. */
    struct handover *next;
    DWORD process;
    struct packet parcel;
    struct socket goods; /* The descriptor, early messages, requests; in no table. */
    int fd;
};

static struct handover *handovers;

static void end_handover(struct handover *handover)
{
    struct handover **place = &handovers;

    while (*place != handover)
        place = &(*place)->next;
    *place = handover->next;
    close_source(&handover->source);
    while (handover->goods.requests != NULL) {
        struct request *request = handover->goods.requests;
        handover->goods.requests = request->next;
        refuse(request);
    }
    drop_early(&handover->goods);
    close(handover->fd);
    free(handover);
}

static void handover_late(struct source *source)
{
    end_handover(OWNER(source, struct handover, source));
}

void drop_handovers(void)
{
    while (handovers != NULL)
        end_handover(handovers);
}

/* One packet, with a body or a descriptor. */
static bool give(int to, struct packet *packet, void *body, size_t length, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec parts[] = {{packet, sizeof(*packet)}, {body, length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    return sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)(sizeof(*packet) + length);
}

static bool give_all(int to, struct handover *handover)
{
    bool done = give(to, &handover->parcel, NULL, 0, handover->fd);

    for (struct early *early = handover->goods.early; early != NULL && done; early = early->next)
        done = give(to, &(struct packet){.kind = MESSAGE}, early->bytes, early->length, -1);
    for (struct request *one = handover->goods.requests; one != NULL && done; one = one->next) {
        struct packet packet = {.kind = WAITING, .caller = one->caller, .callee = one->callee};
        done = !one->greeted || give(to, &packet, NULL, 0, one->source.fd);
    }
    return done && give(to, &(struct packet){.kind = END}, NULL, 0, -1);
}

/* Somebody is at the door. */
static void claimed(struct source *source)
{
    struct handover *handover = OWNER(source, struct handover, source);
    struct ucred who = {0};
    socklen_t length = sizeof(who);
    int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && (DWORD)who.pid == handover->process) {
        if (give_all(fd, handover)) {
            /* Requests are the next process's now: no word to their peers. */
            while (handover->goods.requests != NULL) {
                struct request *request = handover->goods.requests;
                handover->goods.requests = request->next;
                close_source(&request->source);
                free(request);
            }
        }
        end_handover(handover); /* Used once (SP-151). */
    }
    close(fd);
}

static void door_name(char name[64], DWORD value)
{
    snprintf(name, 64, "provider-c-handover-%08x", value);
}

int WSPAPI wsp_duplicate_socket(SOCKET s, DWORD process, LPWSAPROTOCOL_INFOW info, LPINT error)
{
    struct socket *socket;
    struct handover *handover;
    struct request *request;
    char name[64];
    DWORD value = 0;
    int door, code = 0;

    if (info == NULL)
        return fail(WSAEFAULT, error);
    enter();
    socket = find_socket(s);
    if (socket == NULL)
        return leave(WSAENOTSOCK, error);
    if (socket->state != CONNECTED && socket->state != LISTENING)
        return leave(WSAENOTCONN, error);
    if (socket->sends.first != NULL || socket->unconfirmed.first != NULL)
        return leave(WSAEINVAL, error); /* The switch waits for them first. */
    flush(socket);
    handover = calloc(1, sizeof(*handover));
    if (handover == NULL || socket->confirm || getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value)) {
        free(handover);
        return leave(WSAENOBUFS, error);
    }
    value |= value == 0;
    door_name(name, value);
    door = open_door(name, &code);
    if (door < 0 || !watch(&handover->source, door, EPOLLIN, claimed)) {
        if (door >= 0)
            close(door);
        free(handover);
        return leave(WSAENOBUFS, error);
    }
    limit_time(&handover->source, handover_late);
    handover->process = process;
    handover->fd = socket->source.fd;
    unwatch(&socket->source);
    handover->parcel = (struct packet){
        .kind = PARCEL, .caller = socket->local, .callee = socket->peer, .sequence = socket->sequence,
        .offset = (DWORD)socket->backlog,
        .flags = (socket->state == LISTENING ? IS_LISTENER : 0) | (socket->debug ? HAS_DEBUG : 0),
    };
    handover->goods.early = socket->early;
    handover->goods.requests = socket->requests;
    handover->goods.backlog = socket->backlog;
    for (request = socket->requests; request != NULL; request = request->next) {
        no_limit(&request->source);
        request->listener = &handover->goods;
    }
    socket->requests = NULL;
    socket->early = NULL;
    drop_early(socket);
    handover->next = handovers;
    handovers = handover;
    fail_all(&socket->receives, 0, NULL); /* Success, no bytes (SP-150). */
    conceal_all(socket);
    socket->state = SWAPPED_OUT;
    info->dwProviderReserved = value;
    return leave(0, error);
}

/* The next packet of a parcel: its length, or -1. */
static ssize_t take(int from, struct packet *packet, char *body, size_t room, int *fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec parts[] = {{packet, sizeof(*packet)}, {body, room}};

    *fd = -1;
    for (int round = 0; round < ADOPT_ROUNDS; round++) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = &control,
            .msg_controllen = sizeof(control)};
        ssize_t got = recvmsg(from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct cmsghdr *header;

        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            enter();
            pump(); /* The giver may be this very process. */
            leave(0, NULL);
            poll(&(struct pollfd){from, POLLIN, 0}, 1, 10);
            continue;
        }
        header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
        if (header != NULL && header->cmsg_type == SCM_RIGHTS)
            memcpy(fd, CMSG_DATA(header), sizeof(*fd));
        return got < (ssize_t)sizeof(*packet) ? -1 : got - (ssize_t)sizeof(*packet);
    }
    return -1;
}

/* Fills `socket` with what the giver says. */
static bool unpack(int from, struct socket *socket, char *body)
{
    struct packet packet;
    ssize_t length = take(from, &packet, body, MAX_MESSAGE, &socket->source.fd);
    int fd = socket->source.fd;
    bool sound = length >= 0 && packet.kind == PARCEL && fd >= 0;

    socket->source.fd = -1;
    enter();
    sound = sound && drive();
    fd = out_of_reach(fd);
    socket->local = packet.caller;
    socket->peer = packet.callee;
    socket->sequence = packet.sequence;
    socket->backlog = (int)packet.offset;
    socket->debug = (packet.flags & HAS_DEBUG) != 0;
    socket->state = (packet.flags & IS_LISTENER) != 0 ? LISTENING : CONNECTED;
    leave(0, NULL);
    while (sound) {
        int request;

        length = take(from, &packet, body, MAX_MESSAGE, &request);
        if (length >= 0 && packet.kind == END)
            break;
        enter();
        if (length >= 0 && packet.kind == MESSAGE)
            sound = keep_early(socket, body, (uint32_t)length);
        else if (length >= 0 && packet.kind == WAITING && request >= 0)
            sound = add_request(socket, out_of_reach(request), &packet);
        else
            sound = false;
        leave(0, NULL);
    }
    enter();
    sound = sound && watch(&socket->source, fd, EPOLLIN, socket->state == LISTENING ? requests_waiting : link_readable);
    leave(0, NULL);
    if (!sound && fd >= 0)
        close(fd);
    return sound;
}

SOCKET adopt(DWORD value, LPINT error)
{
    struct socket *socket = new_socket();
    char name[64], *body = malloc(MAX_MESSAGE);
    SOCKET id = INVALID_SOCKET, handle = INVALID_SOCKET;
    int from, code = WSAENOBUFS, ignored;

    door_name(name, value);
    enter();
    from = is_started() && socket != NULL && body != NULL ? knock(name, &ignored) : -1;
    id = new_id();
    leave(0, NULL);
    if (from >= 0 && (handle = upcalls.lpWPUCreateSocketHandle(0, id, &code)) != INVALID_SOCKET)
        code = unpack(from, socket, body) ? 0 : WSAENETDOWN;
    else if (from < 0 && socket != NULL && body != NULL)
        code = WSAENETDOWN;
    if (from >= 0)
        close(from);
    free(body);
    enter();
    if (code == 0) {
        add_socket(socket, id, handle);
    } else if (socket != NULL) {
        while (socket->requests != NULL) {
            struct request *request = socket->requests;
            socket->requests = request->next;
            refuse(request);
        }
        drop_early(socket);
        free(socket);
    }
    leave(code, error);
    if (code != 0 && handle != INVALID_SOCKET)
        upcalls.lpWPUCloseSocketHandle(handle, &ignored);
    return code == 0 ? id : INVALID_SOCKET;
}
