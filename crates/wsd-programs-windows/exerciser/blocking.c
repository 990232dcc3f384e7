/*
 * blocking.c: send, recv, WSASend, WSARecv, WSASendMsg, WSARecvMsg, on sockets that wait or not.
 */
#include "exerciser.h"

#include <stdlib.h>
#include <string.h>

static void exchange(SOCKET s)
{
    char *bytes = malloc(MEGABYTE);
    size_t done = 0;

    REQUIRE(bytes != NULL);
    fill(bytes, MEGABYTE, 1);
    for (size_t length = 1; done < MEGABYTE; length = length * 3 + 1) {
        length = length > MEGABYTE - done ? MEGABYTE - done : length;
        send_all(s, bytes + done, length);
        done += length;
    }
    for (done = 0; done < MEGABYTE;) {
        int got = recv(s, bytes + done, (int)(MEGABYTE - done > 7777 ? 7777 : MEGABYTE - done), 0);

        REQUIRE(got > 0);
        done += (size_t)got;
    }
    hash_fact("received", hash(bytes, MEGABYTE));
    finish(s);
    free(bytes);
}

static void answer_exchange(SOCKET s)
{
    receive_pattern(s, MEGABYTE, 1);
    send_pattern(s, MEGABYTE, 2);
    finish(s);
}

static void peek(SOCKET s)
{
    char bytes[16], more[2] = {0};
    int got;

    while ((got = recv(s, bytes, sizeof(bytes), MSG_PEEK)) > 0 && got < 9)
        Sleep(1);
    fact("peeked", got);
    hash_fact("data", hash(bytes, 9));
    REQUIRE(recv(s, more, 1, 0) == 1 && more[0] == bytes[0]);
    REQUIRE(recv(s, more, 2, MSG_PEEK) == 2 && memcmp(more, bytes + 1, 2) == 0);
    receive_all(s, bytes, 8);
    hash_fact("rest", hash(bytes, 8));
    say(s);
    finish(s);
}

static void nine_bytes(SOCKET s)
{
    send_pattern(s, 9, 9);
    hear(s);
    finish(s);
}

static void wait_for_all(SOCKET s)
{
    char *bytes = malloc(100000);

    int got;

    REQUIRE(bytes != NULL);
    got = recv(s, bytes, 100000, MSG_WAITALL);
    REQUIRE(got > 0);
    if (got < 100000) {
        lacks("MSG_WAITALL");
        receive_all(s, bytes + got, 100000 - (size_t)got);
    }
    hash_fact("data", hash(bytes, 100000));
    finish(s);
    free(bytes);
}

static void in_pieces(SOCKET s)
{
    char *bytes = malloc(100000);

    REQUIRE(bytes != NULL);
    fill(bytes, 100000, 10);
    for (int i = 0; i < 4; i++) {
        send_all(s, bytes + i * 25000, 25000);
        Sleep(10);
    }
    finish(s);
    free(bytes);
}

static void gather_and_scatter(SOCKET s)
{
    char bytes[3000], more[3000];
    WSABUF out[] = {{1000, bytes}, {0, NULL}, {500, bytes + 1000}, {1500, bytes + 1500}};
    DWORD done, flags = 0, total = 0;

    fill(bytes, sizeof(bytes), 11);
    REQUIRE(WSASend(s, out, 4, &done, 0, NULL, NULL) == 0);
    fact("sent", done);
    hear(s);
    REQUIRE(recv(s, more, 1, MSG_PEEK) == 1);
    while (total < sizeof(more)) {
        WSABUF in[] = {{total < 100 ? 100 - total : 0, more + total}, {0, NULL}, {0, NULL}};

        in[1].buf = more + total + in[0].len;
        in[1].len = (ULONG)(sizeof(more) - total - in[0].len);
        REQUIRE(WSARecv(s, in, 3, &done, &flags, NULL, NULL) == 0 && done > 0);
        total += done;
    }
    hash_fact("received", hash(more, sizeof(more)));
    finish(s);
}

static void return_3000(SOCKET s)
{
    receive_pattern(s, 3000, 11);
    say(s);
    send_pattern(s, 3000, 12);
    finish(s);
}

static void messages(SOCKET s)
{
    char bytes[MESSAGE], more[MESSAGE];
    WSABUF out = {sizeof(bytes), bytes}, in = {sizeof(more), more};
    WSAMSG message = {.lpBuffers = &out, .dwBufferCount = 1};
    LPFN_WSARECVMSG receive = (LPFN_WSARECVMSG)extension(s, (GUID)WSAID_WSARECVMSG);
    bool received = false;
    DWORD done;

    fill(bytes, sizeof(bytes), 13);
    if (WSASendMsg(s, &message, 0, &done, NULL, NULL) == 0) {
        fact("sent", done);
    } else {
        fact("send_error", WSAGetLastError());
        send_all(s, bytes, sizeof(bytes));
    }
    hear(s);
    message = (WSAMSG){.lpBuffers = &in, .dwBufferCount = 1};
    if (receive == NULL)
        lacks("WSARecvMsg");
    else if ((received = receive(s, &message, &done, NULL, NULL) == 0))
        fact("received", done);
    else
        fact("receive_error", WSAGetLastError());
    if (!received)
        receive_all(s, more, sizeof(more));
    REQUIRE(memcmp(more, bytes, sizeof(more)) == 0);
    finish(s);
}

static void return_message(SOCKET s)
{
    receive_pattern(s, MESSAGE, 13);
    say(s);
    send_pattern(s, MESSAGE, 13);
    finish(s);
}

static void time_out(SOCKET s)
{
    DWORD limit = SHORT;
    char byte;

    REQUIRE(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&limit, sizeof(limit)) == 0);
    REQUIRE_ERROR(recv(s, &byte, 1, 0), WSAETIMEDOUT);
    fact("error", WSAGetLastError());
    limit = 0;
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&limit, sizeof(limit)) == 0);
    say(s);
    hear(s);
    finish(s);
}

static void answer_once(SOCKET s)
{
    hear(s);
    say(s);
    finish(s);
}

/* Sends until there is no room, and waits for some. */
static void without_waiting(SOCKET s)
{
    char *bytes = malloc(MEGABYTE), byte;
    uint32_t sent = 0, received;
    fd_set writable;
    int got;

    REQUIRE(bytes != NULL);
    set_blocking(s, false);
    REQUIRE_ERROR(recv(s, &byte, 1, 0), WSAEWOULDBLOCK);
    fact("receive_error", WSAGetLastError());
    fill(bytes, MEGABYTE, 14);
    do { /* Data on its way makes room for a moment. */
        while ((got = send(s, bytes, MEGABYTE, 0)) > 0)
            sent += (uint32_t)got;
        REQUIRE(got == SOCKET_ERROR && WSAGetLastError() == WSAEWOULDBLOCK);
        FD_ZERO(&writable);
        FD_SET(s, &writable);
    } while (select(0, NULL, &writable, NULL, &(struct timeval){.tv_usec = SHORT * 1000}) == 1);
    signal_partner(s);
    FD_SET(s, &writable);
    REQUIRE(select(0, NULL, &writable, NULL, &(struct timeval){.tv_sec = PATIENCE / 1000}) == 1);
    set_blocking(s, true);
    REQUIRE(shutdown(s, SD_SEND) == 0);
    receive_all(s, (char *)&received, sizeof(received));
    REQUIRE(received == sent);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    drop(s);
    free(bytes);
}

static void read_late(SOCKET s)
{
    char *bytes = malloc(MEGABYTE);
    uint32_t total = 0;
    int got;

    REQUIRE(bytes != NULL);
    await_partner(s);
    while ((got = recv(s, bytes, MEGABYTE, 0)) > 0)
        total += (uint32_t)got;
    REQUIRE(got == 0);
    send_all(s, (char *)&total, sizeof(total));
    drop(s);
    free(bytes);
}

/* A send that waits for room too long. How much of it went is not known. */
static void send_time_out(SOCKET s)
{
    char *bytes = calloc(1, MEGABYTE);
    DWORD limit = SHORT;
    int sent;

    REQUIRE(bytes != NULL);
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, (char *)&limit, sizeof(limit)) == 0);
    while ((sent = send(s, bytes, MEGABYTE, 0)) > 0)
        continue;
    REQUIRE(WSAGetLastError() == WSAETIMEDOUT);
    fact("error", WSAETIMEDOUT);
    signal_partner(s);
    drop(s);
    free(bytes);
}

static void read_whatever(SOCKET s)
{
    char bytes[10000];
    int got;

    await_partner(s);
    while ((got = recv(s, bytes, sizeof(bytes), 0)) > 0)
        continue;
    drop(s);
}

struct other_direction {
    SOCKET s;
    unsigned seed;
};

static DWORD WINAPI send_beside(void *own)
{
    struct other_direction *mine = own;

    send_pattern(mine->s, 4 * MEGABYTE, mine->seed);
    return 0;
}

static void both_directions(SOCKET s, unsigned sends, unsigned receives)
{
    struct other_direction other = {s, sends};
    HANDLE thread = CreateThread(NULL, 0, send_beside, &other, 0, NULL);

    REQUIRE(thread != NULL);
    receive_pattern(s, 4 * MEGABYTE, receives);
    REQUIRE(WaitForSingleObject(thread, PATIENCE) == WAIT_OBJECT_0);
    CloseHandle(thread);
    finish(s);
}

static void duplex(SOCKET s)
{
    both_directions(s, 15, 16);
    hash_fact("received", hash_of(4 * MEGABYTE, 16));
}

static void answer_duplex(SOCKET s)
{
    both_directions(s, 16, 15);
}

const struct scenario blocking[] = {
    {.name = "send_recv", .tested = exchange, .partner = answer_exchange},
    {.name = "recv_peek", .tested = peek, .partner = nine_bytes},
    {.name = "recv_waitall", .tested = wait_for_all, .partner = in_pieces},
    {.name = "wsasend_wsarecv", .tested = gather_and_scatter, .partner = return_3000},
    {.name = "wsasendmsg_wsarecvmsg", .tested = messages, .partner = return_message},
    {.name = "recv_timeout", .tested = time_out, .partner = answer_once},
    {.name = "send_timeout", .tested = send_time_out, .partner = read_whatever},
    {.name = "nonblocking", .tested = without_waiting, .partner = read_late},
    {.name = "threads_both_directions", .tested = duplex, .partner = answer_duplex},
    {.name = NULL},
};
