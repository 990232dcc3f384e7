/*
 * link.c: a connection's packets, which come and go in order (SP-020, SP-022).
 *
 * A message is one packet. An RDMA write is a sequence of them, each of which the peer checks against what it has
 * registered and applies to its memory itself; after the last it confirms. So access ends exactly with the registration.
 * Nothing that a peer says is believed unchecked; what cannot be ends the connection.
 */
#include "provider.h"

#include <stdlib.h>
#include <string.h>

#define PACKETS_PER_TURN 32

static char body[MAX_MESSAGE];

/* A connection is over: everything pending ends with `error`, the operation that is to blame with WSAEFAULT; the peer has
 * no access any more. Messages that have arrived can still be received. */
void break_connection(struct socket *socket, int error, struct op *culprit)
{
    if (socket->state == CONNECTING) {
        not_connected(socket, WSAETIMEDOUT);
        return;
    }
    socket->state = BROKEN;
    socket->error = error;
    close_source(&socket->source);
    conceal_all(socket);
    fail_all(&socket->receives, error, culprit);
    fail_all(&socket->unconfirmed, error, culprit);
    fail_all(&socket->sends, error, culprit);
    if (HAS_DEFECT(RELEASES_EARLY))
        end_socket(socket);
}

/* Sends a message, or the next part of an RDMA write. */
static enum sent send_op(struct socket *socket, struct op *op)
{
    struct packet packet = {.kind = op->is_write ? WRITE : MESSAGE, .sequence = op->sequence};
    struct part parts[MAX_PARTS] = {{&packet, sizeof(packet)}};
    uint32_t skip = op->done, left = op->total - op->done;
    unsigned count = 1;
    enum sent sent;

    left = left > MAX_MESSAGE ? MAX_MESSAGE : left;
    packet.number = op->target.number;
    packet.key = op->target.key;
    packet.offset = op->offset + op->done;
    packet.flags = op->done + left == op->total; /* The last part. */
    op->done += left;
    for (unsigned i = 0; i < op->count && left != 0; i++) {
        uint32_t length = op->segments[i].len;
        uint32_t part = length > skip ? length - skip : 0;

        part = part > left ? left : part;
        if (part != 0)
            parts[count++] = (struct part){op->segments[i].buf + skip, part};
        skip -= skip > length ? length : skip;
        left -= part;
    }
    sent = send_packet(socket->source.fd, parts, count, -1);
    if (sent != SENT)
        op->done = packet.offset - op->offset;
    return sent;
}

static enum sent send_confirmation(struct socket *socket)
{
    struct packet packet = {.kind = CONFIRM, .sequence = socket->applied};
    enum sent sent = send_packet(socket->source.fd, &(struct part){&packet, sizeof(packet)}, 1, -1);

    socket->confirm = sent != SENT;
    return sent;
}

void flush(struct socket *socket)
{
    enum sent sent = socket->deaf ? NEVER : SENT;

    if (socket->state != CONNECTED)
        return;
    if (sent == SENT && socket->confirm)
        sent = send_confirmation(socket);
    while (sent == SENT && socket->sends.first != NULL) {
        struct op *op = socket->sends.first;

        sent = send_op(socket, op);
        if (sent == BAD_MEMORY) {
            break_connection(socket, WSAECONNABORTED, op);
            return;
        }
        if (sent == SENT && op->done == op->total) {
            pop(&socket->sends);
            if (op->is_write)
                push(&socket->unconfirmed, op);
            else
                complete(op, 0, op->total);
        }
    }
    /* The peer is gone: what it had sent before is read first, and its end then tells the rest. */
    socket->deaf = sent == NEVER;
    watch_for(&socket->source, READABLE | (sent == LATER ? WRITABLE : 0));
}

/* Keeps a message that came before a receive was posted (SP-021). */
bool keep_early(struct socket *socket, const char *bytes, uint32_t length)
{
    struct early *early;

    if (socket->early_count >= MAX_EARLY || length > MAX_EARLY_BYTES - socket->early_bytes)
        return false;
    early = malloc(sizeof(*early) + length);
    if (early == NULL)
        return false;
    early->next = NULL;
    early->length = length;
    memcpy(early->bytes, bytes, length);
    *socket->early_end = early;
    socket->early_end = &early->next;
    socket->early_count++;
    socket->early_bytes += length;
    return true;
}

void drop_early(struct socket *socket)
{
    while (socket->early != NULL) {
        struct early *early = socket->early;
        socket->early = early->next;
        free(early);
    }
    socket->early_end = &socket->early;
    socket->early_count = socket->early_bytes = 0;
}

/* Fills a receive. False if the message is too long (SP-092). */
bool deliver(struct socket *socket, struct op *receive, const char *bytes, uint32_t length)
{
    uint32_t done = 0;

    (void)socket;
    for (unsigned i = 0; i < receive->count && done < length; i++) {
        uint32_t part = receive->segments[i].len;

        part = part > length - done ? length - done : part;
        memcpy(receive->segments[i].buf, bytes + done, part);
        done += part;
    }
    complete(receive, done < length ? WSAEMSGSIZE : 0, done);
    return done == length;
}

static bool hear_message(struct socket *socket, uint32_t length)
{
    struct queue *receives = &socket->receives;

    if (receives->first == NULL)
        return HAS_DEFECT(DROPS_EARLY_MESSAGE) || keep_early(socket, body, length);
    for (unsigned left = HAS_DEFECT(OUT_OF_ORDER) ? receives->length : 1; left > 1; left--)
        push(receives, pop(receives));
    return deliver(socket, pop(receives), body, length);
}

static bool hear_write(struct socket *socket, const struct packet *packet, uint32_t length)
{
    if (!write_exposed(socket, packet->number, packet->key, packet->offset, body, length)) {
        say(socket->source.fd, &(struct packet){.kind = FAILED, .sequence = packet->sequence});
        return false;
    }
    if (packet->flags != 0) {
        socket->applied = packet->sequence;
        socket->confirm = true;
    }
    return true;
}

static bool hear_confirmation(struct socket *socket, uint32_t sequence)
{
    struct op *op = socket->unconfirmed.first;

    while (op != NULL && op->sequence != sequence)
        op = op->next;
    if (op == NULL)
        return false;
    do {
        op = pop(&socket->unconfirmed);
        complete(op, 0, op->total);
    } while (op->sequence != sequence);
    return true;
}

/* The peer says that an RDMA write broke the rules (SP-132). */
static void hear_failed(struct socket *socket, uint32_t sequence)
{
    struct op *op = socket->unconfirmed.first;

    while (op != NULL && op->sequence != sequence)
        op = op->next;
    if (op == NULL && socket->sends.first != NULL && socket->sends.first->sequence == sequence)
        op = socket->sends.first;
    break_connection(socket, WSAECONNABORTED, op);
}

/* False if the peer has broken the rules. */
static bool hear(struct socket *socket, const struct packet *packet, uint32_t length)
{
    if (socket->state == CONNECTING)
        return hear_answer(socket, packet);
    switch (packet->kind) {
    case MESSAGE: return hear_message(socket, length);
    case WRITE: return hear_write(socket, packet, length);
    case CONFIRM: return hear_confirmation(socket, packet->sequence);
    case FAILED: hear_failed(socket, packet->sequence); return true;
    default: return false;
    }
}

void link_readable(struct source *source)
{
    struct socket *socket = OWNER(source, struct socket, source);
    struct packet packet;
    const struct part parts[] = {{&packet, sizeof(packet)}, {body, sizeof(body)}};

    for (int turn = 0; turn < PACKETS_PER_TURN && source->fd >= 0; turn++) {
        long got = receive_packet(source->fd, parts, 2, NULL);

        if (got == NOTHING_YET)
            break;
        if (got == ENDED) {
            break_connection(socket, WSAECONNRESET, NULL);
            return;
        }
        if (got < (long)sizeof(packet) || !hear(socket, &packet, (uint32_t)(got - (long)sizeof(packet)))) {
            break_connection(socket, WSAECONNABORTED, NULL);
            return;
        }
    }
    flush(socket);
}
