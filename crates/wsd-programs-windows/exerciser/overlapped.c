/*
 * overlapped.c: WSASend and WSARecv with events, WSAGetOverlappedResult, CancelIoEx.
 */
#include "exerciser.h"

#include <string.h>

#define STREAM 2000000

static void with_events(SOCKET s)
{
    static char out[STREAM], in[STREAM];
    WSAOVERLAPPED receive = with_event(), send;
    DWORD done = 0, bytes, flags;
    int code = start_receive(s, in, MESSAGE, &receive);

    fact("receive", code);
    REQUIRE(!WSAGetOverlappedResult(s, &receive, &bytes, FALSE, &flags));
    fact("incomplete", WSAGetLastError());
    REQUIRE(WaitForSingleObject(receive.hEvent, SHORT) == WAIT_TIMEOUT);
    fill(out, STREAM, 90);
    post_send(s, out, STREAM, &send);
    fact("sent", result_of(s, &send));
    done = result_of(s, &receive);
    REQUIRE(done > 0);
    while (done < STREAM) {
        WSAOVERLAPPED more = with_event();

        code = start_receive(s, in + done, STREAM - done, &more);
        REQUIRE(code == 0 || code == WSA_IO_PENDING);
        bytes = result_of(s, &more);
        REQUIRE(bytes > 0);
        done += bytes;
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

/* Several receives stand in line. */
static void in_order(SOCKET s)
{
    char bytes[4][100];
    WSAOVERLAPPED requests[4];
    DWORD total = 0;

    for (int i = 0; i < 4; i++)
        post_receive(s, bytes[i], 100, &requests[i]);
    for (int i = 0; i < 4; i++) {
        say(s); /* The partner sends the next hundred. */
        total += result_of(s, &requests[i]);
        for (int later = i + 1; later < 4; later++)
            REQUIRE(WaitForSingleObject(requests[later].hEvent, 0) == WAIT_TIMEOUT);
    }
    fact("bytes", total);
    hash_fact("data", hash(bytes[0], sizeof(bytes)));
    finish(s);
}

static void hundreds(SOCKET s)
{
    char bytes[400];

    fill(bytes, sizeof(bytes), 91);
    for (int i = 0; i < 4; i++) {
        hear(s);
        send_all(s, bytes + i * 100, 100);
    }
    finish(s);
}

/* Several sends at a time, more than there is room for. */
static void many_sends(SOCKET s)
{
    static char bytes[8][500000];
    WSAOVERLAPPED requests[8];
    DWORD total = 0;

    for (int i = 0; i < 8; i++) {
        fill(bytes[i], sizeof(bytes[i]), 92 + (unsigned)i);
        post_send(s, bytes[i], sizeof(bytes[i]), &requests[i]);
    }
    signal_partner(s);
    for (int i = 0; i < 8; i++)
        total += result_of(s, &requests[i]);
    fact("bytes", total);
    finish(s);
}

static void read_sends(SOCKET s)
{
    await_partner(s);
    for (unsigned i = 0; i < 8; i++)
        receive_pattern(s, 500000, 92 + i);
    finish(s);
}

static DWORD cancelled(SOCKET s, WSAOVERLAPPED *request)
{
    DWORD bytes, flags, code;

    REQUIRE(WaitForSingleObject(request->hEvent, PATIENCE) == WAIT_OBJECT_0);
    REQUIRE(!WSAGetOverlappedResult(s, request, &bytes, FALSE, &flags) && bytes == 0);
    code = (DWORD)WSAGetLastError();
    WSACloseEvent(request->hEvent);
    return code;
}

/* One of two receives is cancelled, then all; what comes afterwards goes to the others. */
static void cancel(SOCKET s)
{
    char bytes[3][16];
    WSAOVERLAPPED requests[3];

    for (int i = 0; i < 2; i++)
        post_receive(s, bytes[i], 16, &requests[i]);
    REQUIRE(CancelIoEx((HANDLE)s, &requests[0]));
    fact("cancelled", cancelled(s, &requests[0]));
    REQUIRE(WaitForSingleObject(requests[1].hEvent, SHORT) == WAIT_TIMEOUT);
    say(s);
    fact("bytes", result_of(s, &requests[1]));
    post_receive(s, bytes[2], 16, &requests[2]);
    REQUIRE(CancelIoEx((HANDLE)s, NULL));
    fact("all", cancelled(s, &requests[2]));
    say(s);
    hear(s);
    finish(s);
}

static void sixteen_and_one(SOCKET s)
{
    hear(s);
    send_pattern(s, 16, 93);
    hear(s);
    say(s);
    finish(s);
}

/* The end of the stream ends a receive with no bytes. */
static void end_of_stream(SOCKET s)
{
    char bytes[16];
    WSAOVERLAPPED request;

    post_receive(s, bytes, sizeof(bytes), &request);
    say(s);
    fact("bytes", result_of(s, &request));
    finish(s);
}

static void only_close(SOCKET s)
{
    hear(s);
    finish(s);
}

/* A reset ends it with an error. */
static void by_reset(SOCKET s)
{
    char bytes[16];
    WSAOVERLAPPED request;

    post_receive(s, bytes, sizeof(bytes), &request);
    say(s);
    fact("error", cancelled(s, &request));
    drop(s);
}

static void only_reset(SOCKET s)
{
    struct linger linger = {1, 0};

    hear(s);
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, sizeof(linger)) == 0);
    drop(s);
}

/* closesocket here ends it, too. */
static void by_close(SOCKET s)
{
    char bytes[16];
    WSAOVERLAPPED request;

    post_receive(s, bytes, sizeof(bytes), &request);
    drop(s);
    REQUIRE(WaitForSingleObject(request.hEvent, PATIENCE) == WAIT_OBJECT_0);
    fact("status", (long)request.Internal);
    WSACloseEvent(request.hEvent);
}

static void see_end(SOCKET s)
{
    char byte;

    REQUIRE(recv(s, &byte, 1, 0) == 0);
    drop(s);
}

/* A receive of no bytes says when there are some. */
static void zero_bytes(SOCKET s)
{
    char bytes[16];
    WSAOVERLAPPED request;

    post_receive(s, NULL, 0, &request);
    REQUIRE(WaitForSingleObject(request.hEvent, SHORT) == WAIT_TIMEOUT);
    say(s);
    fact("bytes", result_of(s, &request));
    receive_all(s, bytes, 16);
    hash_fact("data", hash(bytes, 16));
    say(s);
    hear(s);
    finish(s);
}

/* WSAGetOverlappedResult waits itself, and several buffers are filled in turn. */
static void waiting(SOCKET s)
{
    char bytes[16] = {0};
    WSABUF parts[] = {{5, bytes}, {0, NULL}, {11, bytes + 5}};
    WSAOVERLAPPED request = with_event();
    DWORD done, flags = 0;

    REQUIRE(WSARecv(s, parts, 3, NULL, &flags, &request, NULL) != 0 && WSAGetLastError() == WSA_IO_PENDING);
    parts[0].buf = parts[2].buf = NULL; /* The array is the program's again. */
    say(s);
    REQUIRE(WSAGetOverlappedResult(s, &request, &done, TRUE, &flags));
    fact("bytes", done);
    hash_fact("data", hash(bytes, sizeof(bytes)));
    WSACloseEvent(request.hEvent);
    say(s);
    hear(s);
    finish(s);
}

const struct scenario overlapped[] = {
    {.name = "overlapped_events", .tested = with_events, .partner = echo_stream},
    {.name = "overlapped_receives_in_order", .tested = in_order, .partner = hundreds},
    {.name = "overlapped_many_sends", .tested = many_sends, .partner = read_sends},
    {.name = "cancelioex", .tested = cancel, .partner = sixteen_and_one},
    {.name = "overlapped_end_of_stream", .tested = end_of_stream, .partner = only_close},
    {.name = "overlapped_reset", .tested = by_reset, .partner = only_reset},
    {.name = "overlapped_closesocket", .tested = by_close, .partner = see_end},
    {.name = "overlapped_zero_bytes", .tested = zero_bytes, .partner = sixteen_and_one},
    {.name = "overlapped_waiting", .tested = waiting, .partner = sixteen_and_one},
    {.name = NULL},
};
