/*
 * transfer.c: requests of the switch, from submission to their one completion (section 9).
 */
#include "provider.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

void push(struct queue *queue, struct op *op)
{
    op->next = NULL;
    if (queue->last != NULL)
        queue->last->next = op;
    else
        queue->first = op;
    queue->last = op;
    queue->length++;
}

struct op *pop(struct queue *queue)
{
    struct op *op = queue->first;

    queue->first = op->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->length--;
    return op;
}

/* Ends an operation that is in no queue any more. Its up-call follows; the memory is released before (SP-170). */
void complete(struct op *op, int error, uint32_t bytes)
{
    for (unsigned i = 0; i < op->count; i++) {
        if (op->used[i] != NULL)
            op->used[i]->users--;
    }
    op->due.error = (DWORD)error;
    op->due.bytes = bytes;
    queue_up_call(&op->due);
}

void fail_all(struct queue *queue, int error, struct op *culprit)
{
    while (queue->first != NULL) {
        struct op *op = pop(queue);
        complete(op, op == culprit ? WSAEFAULT : error, 0);
    }
}

/* What a transfer answers in the state of its socket; 0 if it may go on. */
static int may_transfer(const struct socket *socket)
{
    if (socket == NULL)
        return WSAENOTSOCK;
    return socket->state == CONNECTED ? 0 : socket->state == BROKEN ? socket->error : WSAENOTCONN;
}

/* Takes a request: the array of buffers is captured (SP-087), the memory is registered. Returns the code. */
static int capture(struct socket *socket, const WSABUF *plain, const WSABUFEX *registered, DWORD count,
    LPWSAOVERLAPPED request, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, DWORD access, uint64_t limit, struct op **taken)
{
    struct op *op;
    uint64_t total = 0;
    int code = 0;

    if (request == NULL || (count != 0 && plain == NULL && registered == NULL))
        return WSAEFAULT;
    if (routine != NULL)
        return WSAEOPNOTSUPP;
    if (count > MAX_SEGMENTS)
        return WSAEINVAL;
    op = calloc(1, sizeof(*op));
    if (op == NULL)
        return WSAENOBUFS;
    for (op->count = 0; op->count < count && code == 0; op->count++) {
        unsigned i = op->count;
        WSABUF segment = plain != NULL ? plain[i] : (WSABUF){registered[i].len, registered[i].buf};

        op->segments[i] = segment;
        total += segment.len;
        if (segment.len == 0)
            continue;
        op->used[i] = plain != NULL
            ? registration_at(socket, segment.buf, segment.len, access)
            : registration_of(socket, registered[i].handle, segment.buf, segment.len, access);
        if (op->used[i] == NULL)
            code = WSAEFAULT; /* SP-085, SP-133 */
    }
    if (code == 0 && total > limit)
        code = WSAEMSGSIZE;
    if (code != 0) {
        free(op);
        return code;
    }
    for (unsigned i = 0; i < op->count; i++) {
        if (op->used[i] != NULL)
            op->used[i]->users++;
    }
    op->total = (uint32_t)total;
    op->due = (struct due){
        .handle = socket->handle, .request = request, .polled = ((uintptr_t)request->hEvent & 1) != 0, /* SP-182 */
    };
    request->InternalHigh = 0;
    __atomic_store_n(&request->Internal, WSS_OPERATION_IN_PROGRESS, __ATOMIC_RELAXED); /* SP-086 */
    *taken = op;
    return 0;
}

int WSPAPI wsp_send(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags, LPWSAOVERLAPPED request,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error)
{
    struct socket *socket;
    struct op *op;
    int code;

    (void)sent, (void)flags, (void)thread;
    enter();
    socket = find_socket(s);
    code = may_transfer(socket);
    if (code == 0 && socket->sends.length >= MAX_PENDING)
        code = WSAENOBUFS;
    if (code == 0)
        code = capture(socket, buffers, NULL, count, request, routine, MEM_READ, MAX_MESSAGE, &op);
    if (code == 0) {
        push(&socket->sends, op);
        flush(socket);
        code = WSA_IO_PENDING;
    }
    return leave(code, error);
}

int WSPAPI wsp_recv(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD received, LPDWORD flags, LPWSAOVERLAPPED request,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error)
{
    struct socket *socket;
    struct early *early;
    struct op *op;
    int code;

    (void)received, (void)thread;
    enter();
    socket = find_socket(s);
    code = may_transfer(socket);
    /* What had arrived when the peer closed can still be taken. */
    if (code != 0 && socket != NULL && socket->state == BROKEN && socket->early != NULL)
        code = 0;
    if (code == 0 && flags == NULL)
        code = WSAEFAULT;
    if (code == 0 && socket->receives.length >= MAX_PENDING)
        code = WSAENOBUFS;
    if (code == 0)
        code = capture(socket, buffers, NULL, count, request, routine, MEM_WRITE, UINT32_MAX, &op);
    if (code != 0)
        return leave(code, error);
    early = socket->early;
    if (early == NULL) {
        push(&socket->receives, op);
        return leave(WSA_IO_PENDING, error);
    }
    socket->early = early->next;
    if (early->next == NULL)
        socket->early_end = &socket->early;
    socket->early_count--;
    socket->early_bytes -= early->length;
    if (!deliver(socket, op, early->bytes, early->length) && socket->state == CONNECTED)
        break_connection(socket, WSAECONNABORTED, NULL);
    free(early);
    return leave(WSA_IO_PENDING, error);
}

int WSPAPI wsp_rdma_write(SOCKET s, LPWSABUFEX buffers, DWORD count, LPVOID descriptor, DWORD descriptor_length,
    DWORD offset, LPDWORD written, DWORD flags, LPWSAOVERLAPPED request, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
    LPWSATHREADID thread, LPINT error)
{
    struct socket *socket;
    struct descriptor target = {0};
    struct op *op;
    uint64_t total = 0;
    int code;

    (void)written, (void)flags, (void)thread;
    enter();
    socket = find_socket(s);
    code = may_transfer(socket);
    if (code == 0 && descriptor_length != sizeof(target))
        code = WSAEINVAL;
    if (code == 0 && descriptor == NULL)
        code = WSAEFAULT;
    if (code == 0 && socket->sends.length + socket->unconfirmed.length >= MAX_PENDING)
        code = WSAENOBUFS;
    /* What can be told here; the owner of the memory checks everything again (SP-132). */
    if (code == 0) {
        memcpy(&target, descriptor, sizeof(target));
        for (DWORD i = 0; buffers != NULL && i < count && i < MAX_SEGMENTS; i++)
            total += buffers[i].len;
        if (total <= MAX_RDMA && (!allows(target.access, MEM_WRITE) || offset + total > target.length))
            code = WSAEFAULT;
    }
    if (code == 0)
        code = capture(socket, NULL, buffers, count, request, routine, MEM_READ, MAX_RDMA, &op);
    if (code != 0)
        return leave(code, error);
    op->is_write = true;
    op->target = target;
    op->offset = offset;
    op->sequence = ++socket->sequence;
    push(&socket->sends, op);
    flush(socket);
    return leave(WSA_IO_PENDING, error);
}

static bool is_pending(LPWSAOVERLAPPED request)
{
    return __atomic_load_n(&request->Internal, __ATOMIC_ACQUIRE) == WSS_OPERATION_IN_PROGRESS;
}

BOOL WSPAPI wsp_get_overlapped_result(
    SOCKET s, LPWSAOVERLAPPED request, LPDWORD bytes, BOOL wait, LPDWORD flags, LPINT error)
{
    struct socket *socket;
    int code;

    if (request == NULL || bytes == NULL || flags == NULL) {
        fail(WSAEFAULT, error);
        return FALSE;
    }
    for (;;) {
        enter();
        socket = find_socket(s);
        code = socket == NULL ? WSAENOTSOCK : 0;
        if (code == 0 && socket->state != CONNECTED && socket->state != BROKEN && socket->state != SWAPPED_OUT)
            code = WSAEINVAL;
        if (code == 0 && is_pending(request))
            pump(); /* SP-095 */
        leave(code, error);
        if (code != 0)
            return FALSE;
        if (!is_pending(request))
            break;
        if (!wait) {
            fail(WSA_IO_INCOMPLETE, error);
            return FALSE;
        }
        sched_yield(); /* The event of a polled request cannot be waited for (SP-097). */
    }
    *bytes = (DWORD)request->InternalHigh;
    *flags = request->Offset;
    return fail((int)request->OffsetHigh, error) == 0;
}
