/*
 * routines.c: completion routines, which run as APCs of the thread that asked.
 */
#include "exerciser.h"

#define STREAM 500000

struct request {
    WSAOVERLAPPED overlapped; /* First. */
    DWORD bytes, error, thread;
    int calls;
};

static void CALLBACK completed(DWORD error, DWORD bytes, WSAOVERLAPPED *overlapped, DWORD flags)
{
    struct request *request = (struct request *)overlapped;

    (void)flags;
    request->error = error;
    request->bytes = bytes;
    request->thread = GetCurrentThreadId();
    request->calls++;
}

static void receive(SOCKET s, char *bytes, DWORD length, struct request *request)
{
    WSABUF buffer = {length, bytes};
    DWORD flags = 0;

    *request = (struct request){.calls = 0};
    if (WSARecv(s, &buffer, 1, NULL, &flags, &request->overlapped, completed) != 0)
        REQUIRE(WSAGetLastError() == WSA_IO_PENDING);
}

static void wait_for(struct request *request)
{
    while (request->calls == 0)
        REQUIRE(SleepEx(PATIENCE, TRUE) == WAIT_IO_COMPLETION);
    REQUIRE(request->calls == 1 && request->thread == GetCurrentThreadId());
}

static void sends_and_receives(SOCKET s)
{
    static char out[STREAM], in[STREAM];
    struct request receiving, sending = {.calls = 0};
    WSABUF buffer = {STREAM, out};
    DWORD done = 0;

    fill(out, STREAM, 110);
    receive(s, in, MESSAGE, &receiving);
    if (WSASend(s, &buffer, 1, NULL, 0, &sending.overlapped, completed) != 0)
        REQUIRE(WSAGetLastError() == WSA_IO_PENDING);
    Sleep(SHORT);
    fact("early", receiving.calls + sending.calls); /* Not before the thread waits for it. */
    wait_for(&sending);
    fact("sent", sending.bytes);
    for (;;) {
        wait_for(&receiving);
        REQUIRE(receiving.error == 0 && receiving.bytes > 0);
        done += receiving.bytes;
        if (done == STREAM)
            break;
        receive(s, in + done, STREAM - done, &receiving);
    }
    hash_fact("received", hash(in, STREAM));
    finish(s);
}

static void echo_stream(SOCKET s)
{
    static char bytes[STREAM];

    receive_all(s, bytes, STREAM);
    send_all(s, bytes, STREAM);
    finish(s);
}

/* In the alertable wait for events, too. */
static void while_waiting(SOCKET s)
{
    char bytes[16];
    struct request request;
    WSAEVENT event = WSACreateEvent();

    receive(s, bytes, sizeof(bytes), &request);
    fact("timeout", WSAWaitForMultipleEvents(1, &event, FALSE, SHORT, TRUE));
    say(s);
    fact("woken", WSAWaitForMultipleEvents(1, &event, FALSE, PATIENCE, TRUE));
    wait_for(&request);
    fact("bytes", request.bytes);
    receive(s, bytes, sizeof(bytes), &request);
    REQUIRE(CancelIoEx((HANDLE)s, &request.overlapped));
    wait_for(&request);
    fact("cancelled", request.error);
    say(s);
    receive_all(s, bytes, sizeof(bytes));
    WSACloseEvent(event);
    finish(s);
}

static void twice_sixteen(SOCKET s)
{
    hear(s);
    send_pattern(s, 16, 111);
    hear(s);
    send_pattern(s, 16, 112);
    finish(s);
}

const struct scenario routines[] = {
    {.name = "completion_routines", .tested = sends_and_receives, .partner = echo_stream},
    {.name = "completion_routines_while_waiting", .tested = while_waiting, .partner = twice_sixteen},
    {.name = NULL},
};
