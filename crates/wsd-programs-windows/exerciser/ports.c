/*
 * ports.c: completion ports, and what a socket tells them.
 */
#include "exerciser.h"

#include <string.h>

#define STREAM 1000000
#define KEY 4711

struct told {
    DWORD error, bytes;
    ULONG_PTR key;
    WSAOVERLAPPED *request;
};

static HANDLE port_of(SOCKET s)
{
    HANDLE port = CreateIoCompletionPort((HANDLE)s, NULL, KEY, 0);

    REQUIRE(port != NULL);
    return port;
}

static struct told next(HANDLE port)
{
    struct told told = {0};

    if (!GetQueuedCompletionStatus(port, &told.bytes, &told.key, &told.request, PATIENCE))
        told.error = GetLastError();
    REQUIRE(told.request != NULL);
    return told;
}

static bool is_quiet(HANDLE port)
{
    DWORD bytes;
    ULONG_PTR key;
    OVERLAPPED *request = NULL;

    return !GetQueuedCompletionStatus(port, &bytes, &key, &request, SHORT) && request == NULL
        && GetLastError() == WAIT_TIMEOUT;
}

/* Sends and receives, each told once, also if it was done at once. */
static void exchange(SOCKET s, HANDLE port)
{
    static char out[STREAM], in[STREAM];
    WSAOVERLAPPED sending = {0}, receiving = {0};
    DWORD received = 0;
    bool is_sent = false;
    int code;

    fill(out, STREAM, 100);
    REQUIRE(start_receive(s, in, STREAM, &receiving) == WSA_IO_PENDING);
    REQUIRE(is_quiet(port));
    code = start_send(s, out, STREAM, &sending);
    REQUIRE(code == 0 || code == WSA_IO_PENDING);
    while (!is_sent || received < STREAM) {
        struct told told = next(port);

        REQUIRE(told.error == 0 && told.key == KEY);
        if (told.request == &sending) {
            REQUIRE(!is_sent && told.bytes == STREAM);
            is_sent = true;
            continue;
        }
        REQUIRE(told.request == &receiving && told.bytes > 0);
        received += told.bytes;
        if (received == STREAM)
            break;
        receiving = (WSAOVERLAPPED){0};
        code = start_receive(s, in + received, STREAM - received, &receiving);
        REQUIRE(code == 0 || code == WSA_IO_PENDING);
    }
    hash_fact("received", hash(in, STREAM));
    if (!is_sent)
        REQUIRE(next(port).request == &sending);
    REQUIRE(is_quiet(port));
    finish(s);
    CloseHandle(port);
}

static void statuses(SOCKET s)
{
    exchange(s, port_of(s));
}

static void echo_stream(SOCKET s)
{
    static char bytes[STREAM];

    receive_all(s, bytes, STREAM);
    send_all(s, bytes, STREAM);
    finish(s);
}

/* Several at a time, in order, with a packet of the program's own among them. */
static void several(SOCKET s)
{
    char bytes[4][100];
    WSAOVERLAPPED requests[4], own;
    OVERLAPPED_ENTRY entries[8];
    HANDLE port = port_of(s);
    ULONG count, total = 0, data = 0;

    memset(requests, 0, sizeof(requests));
    for (int i = 0; i < 4; i++)
        REQUIRE(start_receive(s, bytes[i], 100, &requests[i]) == WSA_IO_PENDING);
    REQUIRE(!GetQueuedCompletionStatusEx(port, entries, 8, &count, SHORT, FALSE));
    fact("timeout", GetLastError());
    REQUIRE(PostQueuedCompletionStatus(port, 5, 6, &own));
    for (int i = 0; i < 4; i++)
        say(s);
    while (total < 5) {
        REQUIRE(GetQueuedCompletionStatusEx(port, entries, 8, &count, PATIENCE, FALSE));
        for (ULONG i = 0; i < count; i++) {
            if (entries[i].lpOverlapped == &own) {
                REQUIRE(entries[i].dwNumberOfBytesTransferred == 5 && entries[i].lpCompletionKey == 6);
                continue;
            }
            REQUIRE(entries[i].lpCompletionKey == KEY && entries[i].lpOverlapped == &requests[data]);
            REQUIRE(entries[i].dwNumberOfBytesTransferred == 100);
            data++;
        }
        total += count;
    }
    fact("packets", total);
    hash_fact("data", hash(bytes[0], sizeof(bytes)));
    finish(s);
    CloseHandle(port);
}

static void hundreds(SOCKET s)
{
    char bytes[400];

    fill(bytes, sizeof(bytes), 101);
    for (int i = 0; i < 4; i++) {
        hear(s);
        send_all(s, bytes + i * 100, 100);
        Sleep(SHORT); /* One receive each. */
    }
    finish(s);
}

/* What is done at once is not told. */
static void silent_success(SOCKET s)
{
    char bytes[16];
    WSAOVERLAPPED request = {0};
    HANDLE port = port_of(s);
    WSABUF buffer = {sizeof(bytes), bytes};
    DWORD done, flags = 0;
    u_long arrived = 0;

    if (!SetFileCompletionNotificationModes((HANDLE)s, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS)) {
        lacks("SetFileCompletionNotificationModes");
        say(s);
        hear(s);
        finish(s);
        return;
    }
    say(s);
    while (arrived < sizeof(bytes))
        REQUIRE(ioctlsocket(s, FIONREAD, &arrived) == 0);
    REQUIRE(WSARecv(s, &buffer, 1, &done, &flags, &request, NULL) == 0);
    fact("bytes", done);
    REQUIRE(is_quiet(port));
    request = (WSAOVERLAPPED){0};
    REQUIRE(WSARecv(s, &buffer, 1, NULL, &flags, &request, NULL) == SOCKET_ERROR);
    fact("pending", WSAGetLastError());
    say(s);
    fact("told", next(port).bytes);
    finish(s);
    CloseHandle(port);
}

static void twice_sixteen(SOCKET s)
{
    hear(s);
    send_pattern(s, 16, 102);
    hear(s);
    send_pattern(s, 16, 103);
    finish(s);
}

/* An event whose lowest bit is set keeps a request out of the port. */
static void kept_out(SOCKET s)
{
    char bytes[16];
    WSAOVERLAPPED request = with_event();
    HANDLE port = port_of(s), event = request.hEvent;
    DWORD done, flags;

    request.hEvent = (HANDLE)((ULONG_PTR)event | 1);
    REQUIRE(start_receive(s, bytes, sizeof(bytes), &request) == WSA_IO_PENDING);
    say(s);
    REQUIRE(WaitForSingleObject(event, PATIENCE) == WAIT_OBJECT_0);
    REQUIRE(WSAGetOverlappedResult(s, &request, &done, FALSE, &flags));
    fact("bytes", done);
    REQUIRE(is_quiet(port));
    say(s);
    receive_all(s, bytes, sizeof(bytes));
    finish(s);
    CloseHandle(port);
}

/* A reset, a cancellation and a close are told with their errors. */
static void errors(SOCKET s)
{
    char bytes[16];
    WSAOVERLAPPED requests[2] = {{0}};
    HANDLE port = port_of(s);

    REQUIRE(start_receive(s, bytes, sizeof(bytes), &requests[0]) == WSA_IO_PENDING);
    REQUIRE(CancelIoEx((HANDLE)s, &requests[0]));
    fact("cancelled", next(port).error);
    REQUIRE(start_receive(s, bytes, sizeof(bytes), &requests[1]) == WSA_IO_PENDING);
    say(s);
    fact("reset", next(port).error);
    drop(s);
    CloseHandle(port);
}

static void only_reset(SOCKET s)
{
    struct linger linger = {1, 0};

    hear(s);
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, sizeof(linger)) == 0);
    drop(s);
}

static void close_pending(SOCKET s)
{
    char bytes[16];
    WSAOVERLAPPED request = {0};
    HANDLE port = port_of(s);

    REQUIRE(start_receive(s, bytes, sizeof(bytes), &request) == WSA_IO_PENDING);
    drop(s);
    fact("closed", next(port).error);
    CloseHandle(port);
}

static void see_end(SOCKET s)
{
    char byte;

    REQUIRE(recv(s, &byte, 1, 0) == 0);
    drop(s);
}

static const struct sockaddr *general(const struct sockaddr_in *address)
{
    return (const struct sockaddr *)address;
}

/* ConnectEx and AcceptEx, as event-driven programs call them. */
static void connect_by_port(const struct sockaddr_in *server)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    SOCKET s = new_socket();
    LPFN_CONNECTEX connect_ex = (LPFN_CONNECTEX)extension(s, (GUID)WSAID_CONNECTEX);
    WSAOVERLAPPED request = {0};
    HANDLE port = port_of(s);
    struct told told;

    REQUIRE(bind(s, general(&own), sizeof(own)) == 0);
    if (!connect_ex(s, general(server), sizeof(*server), NULL, 0, NULL, &request))
        REQUIRE(WSAGetLastError() == ERROR_IO_PENDING);
    told = next(port);
    REQUIRE(told.error == 0 && told.request == &request && told.key == KEY);
    fact("bytes", told.bytes);
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0) == 0);
    make_small_talk(s, true);
    exchange(s, port);
}

static void accept_by_port(SOCKET listener)
{
    char names[2 * (sizeof(struct sockaddr_in) + 16)];
    LPFN_ACCEPTEX accept_ex = (LPFN_ACCEPTEX)extension(listener, (GUID)WSAID_ACCEPTEX);
    SOCKET s = new_socket();
    WSAOVERLAPPED request = {0};
    HANDLE port = port_of(listener);
    struct told told;
    DWORD done;

    if (!accept_ex(listener, s, names, 0, sizeof(names) / 2, sizeof(names) / 2, &done, &request))
        REQUIRE(WSAGetLastError() == ERROR_IO_PENDING);
    told = next(port);
    REQUIRE(told.error == 0 && told.request == &request && told.key == KEY);
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (char *)&listener, sizeof(listener)) == 0);
    make_small_talk(s, false);
    echo_stream(s);
    CloseHandle(port);
}

const struct scenario ports[] = {
    {.name = "completion_port", .tested = statuses, .partner = echo_stream},
    {.name = "completion_port_ex", .tested = several, .partner = hundreds},
    {.name = "completion_port_skips_success", .tested = silent_success, .partner = twice_sixteen},
    {.name = "completion_port_kept_out", .tested = kept_out, .partner = twice_sixteen},
    {.name = "completion_port_errors", .tested = errors, .partner = only_reset},
    {.name = "completion_port_connectex_acceptex", .client = connect_by_port, .server = accept_by_port},
    {.name = "completion_port_closesocket", .tested = close_pending, .partner = see_end},
    {.name = NULL},
};
