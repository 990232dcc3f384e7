/*
 * handover.c: a socket moves to another process (WSPDuplicateSocket, SP-150..156).
 *
 * The value for the next process is random, and names a door at which that process, and no other, is given the very
 * descriptor of the connection or of the listener. So the peer notices nothing (SP-154).
 */
#include "provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    close_descriptor(handover->fd);
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
    const struct part parts[] = {{packet, sizeof(*packet)}, {body, length}};

    return send_packet(to, parts, 2, fd) == SENT;
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
    int fd = admit(source->fd);

    if (fd < 0)
        return;
    if (process_of_peer(fd) == handover->process) {
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
    close_descriptor(fd);
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
    int door = -1;

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
    if (handover == NULL || socket->confirm || !random_bytes(&value, sizeof(value))) {
        free(handover);
        return leave(WSAENOBUFS, error);
    }
    value |= value == 0;
    door_name(name, value);
    if (open_door(name, &door) != OPENED || !watch(&handover->source, door, READABLE, claimed)) {
        close_descriptor(door);
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
static long take(int from, struct packet *packet, char *body, size_t room, int *fd)
{
    const struct part parts[] = {{packet, sizeof(*packet)}, {body, room}};

    for (int round = 0; round < ADOPT_ROUNDS; round++) {
        long got = receive_packet(from, parts, 2, fd);

        if (got != NOTHING_YET)
            return got < (long)sizeof(*packet) ? -1 : got - (long)sizeof(*packet);
        enter();
        pump(); /* The giver may be this very process. */
        leave(0, NULL);
        wait_readable(from, 10);
    }
    return -1;
}

/* Fills `socket` with what the giver says. */
static bool unpack(int from, struct socket *socket, char *body)
{
    struct packet packet;
    long length = take(from, &packet, body, MAX_MESSAGE, &socket->source.fd);
    int fd = socket->source.fd;
    bool sound = length >= 0 && packet.kind == PARCEL && fd >= 0;

    socket->source.fd = -1;
    enter();
    sound = sound && drive();
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
            sound = add_request(socket, request, &packet);
        else
            sound = false;
        leave(0, NULL);
    }
    enter();
    sound = sound && watch(&socket->source, fd, READABLE, socket->state == LISTENING ? requests_waiting : link_readable);
    if (!sound)
        close_descriptor(fd);
    leave(0, NULL);
    return sound;
}

SOCKET adopt(DWORD value, LPINT error)
{
    struct socket *socket = new_socket();
    char name[64], *body = malloc(MAX_MESSAGE);
    SOCKET id = INVALID_SOCKET, handle = INVALID_SOCKET;
    int from = -1, code = WSAENOBUFS, ignored;

    door_name(name, value);
    enter();
    if (is_started() && socket != NULL && body != NULL)
        knock(name, &from);
    id = new_id();
    leave(0, NULL);
    if (from >= 0 && (handle = upcalls.lpWPUCreateSocketHandle(0, id, &code)) != INVALID_SOCKET)
        code = unpack(from, socket, body) ? 0 : WSAENETDOWN;
    else if (from < 0 && socket != NULL && body != NULL)
        code = WSAENETDOWN;
    free(body);
    enter();
    close_descriptor(from);
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
