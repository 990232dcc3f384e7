/*
 * first_data.c: AcceptEx that waits for data, and what can become of it meanwhile.
 */
#include "exerciser.h"

#include <stdio.h>
#include <stdlib.h>

#define STREAM 50000
#define PLACE (sizeof(struct sockaddr_in) + 16)
#define KEY 9

/* One AcceptEx. */
struct accepting {
    SOCKET listener, s;
    char bytes[MESSAGE + 2 * PLACE];
    WSAOVERLAPPED request;
};

/* 0, or the code. */
static int start(struct accepting *one, SOCKET listener, DWORD length)
{
    LPFN_ACCEPTEX accept_ex = (LPFN_ACCEPTEX)extension(listener, (GUID)WSAID_ACCEPTEX);
    DWORD done;

    REQUIRE(accept_ex != NULL);
    one->listener = listener;
    one->s = new_socket();
    return accept_ex(listener, one->s, one->bytes, length, PLACE, PLACE, &done, &one->request) ? 0 : WSAGetLastError();
}

static void update(const struct accepting *one)
{
    REQUIRE(setsockopt(one->s, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (char *)&one->listener, sizeof(SOCKET)) == 0);
}

static void check(const struct accepting *one)
{
    REQUIRE(hash(one->bytes, MESSAGE) == hash_of(MESSAGE, 152));
}

static void go_on(const struct accepting *one)
{
    check(one);
    update(one);
    answer_to_the_end(one->s);
}

/* Seconds; -1: not connected. */
static int connected_for(SOCKET s)
{
    int seconds, length = sizeof(seconds);

    REQUIRE(getsockopt(s, SOL_SOCKET, SO_CONNECT_TIME, (char *)&seconds, &length) == 0);
    return seconds;
}

static void await_connection(SOCKET s)
{
    for (int left = PATIENCE; connected_for(s) == -1; left--) {
        REQUIRE(left != 0);
        Sleep(1);
    }
}

/* Steps of a case that the server takes, known by its port. */
static HANDLE step(const struct sockaddr_in *server, int number)
{
    struct sockaddr_in name = *server;
    char text[64];
    HANDLE event;

    snprintf(text, sizeof(text), "Local\\exerciser-%d-%d", ntohs(name.sin_port), number);
    event = CreateEventA(NULL, TRUE, FALSE, text);
    REQUIRE(event != NULL);
    return event;
}

static void tell(SOCKET listener, int number)
{
    struct sockaddr_in name;
    int length = sizeof(name);

    REQUIRE(getsockname(listener, (struct sockaddr *)&name, &length) == 0);
    REQUIRE(SetEvent(step(&name, number)));
}

static void await(const struct sockaddr_in *server, int number)
{
    HANDLE event = step(server, number);

    REQUIRE(WaitForSingleObject(event, PATIENCE) == WAIT_OBJECT_0);
    CloseHandle(event);
}

/* How it ended: 0, or the code. */
static int end_of(SOCKET s, WSAOVERLAPPED *request, DWORD *bytes)
{
    DWORD flags;

    REQUIRE(WaitForSingleObject(request->hEvent, PATIENCE) == WAIT_OBJECT_0);
    REQUIRE(WSACloseEvent(request->hEvent));
    return WSAGetOverlappedResult(s, request, bytes, FALSE, &flags) ? 0 : WSAGetLastError();
}

static int code_of(const struct accepting *one)
{
    REQUIRE(WaitForSingleObject(one->request.hEvent, PATIENCE) == WAIT_OBJECT_0);
    return (int)one->request.Internal;
}

static void speak(SOCKET s)
{
    send_pattern(s, MESSAGE, 152);
    talk_to_the_end(s);
}

static void connect_and_speak(const struct sockaddr_in *server)
{
    speak(connect_to(server));
}

/* The client comes when the server says so. */
static void speak_when_told(const struct sockaddr_in *server)
{
    await(server, 1);
    connect_and_speak(server);
}

/* Pending until the peer says something, though it is connected. */
static void silent_peer(SOCKET listener)
{
    struct accepting one = {.request = with_event()};

    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    fact("before", connected_for(one.s));
    tell(listener, 1);
    await_connection(one.s);
    REQUIRE(WaitForSingleObject(one.request.hEvent, SHORT) == WAIT_TIMEOUT);
    fact("completed", HasOverlappedIoCompleted(&one.request));
    tell(listener, 2);
    fact("bytes", result_of(listener, &one.request));
    go_on(&one);
}

static void speak_later(const struct sockaddr_in *server)
{
    SOCKET s;

    await(server, 1);
    s = connect_to(server);
    await(server, 2);
    speak(s);
}

/* Somebody who never speaks, and somebody who does. */
static void be_given_up(const struct sockaddr_in *server)
{
    SOCKET s;
    char byte;

    await(server, 1);
    s = connect_to(server);
    REQUIRE(recv(s, &byte, 1, 0) <= 0);
    drop(s);
    await(server, 2);
    connect_and_speak(server);
}

static void accept_and_go_on(SOCKET listener, int number)
{
    struct accepting one = {.request = with_event()};

    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    tell(listener, number);
    fact("bytes", result_of(listener, &one.request));
    go_on(&one);
}

/* Taken back before anybody has come, twice, and while somebody is silent. */
static void taken_back(SOCKET listener)
{
    struct accepting one = {.request = with_event()};
    DWORD bytes;

    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    REQUIRE(CancelIoEx((HANDLE)listener, &one.request));
    fact("first", end_of(listener, &one.request, &bytes));
    drop(one.s);
    one.request = with_event();
    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    REQUIRE(CancelIo((HANDLE)listener));
    fact("second", end_of(listener, &one.request, &bytes));
    drop(one.s);
    one.request = with_event();
    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    tell(listener, 1);
    await_connection(one.s);
    REQUIRE(CancelIoEx((HANDLE)listener, NULL));
    fact("third", end_of(listener, &one.request, &bytes));
    REQUIRE(!CancelIoEx((HANDLE)listener, &one.request));
    fact("again", GetLastError());
    drop(one.s);
    accept_and_go_on(listener, 2);
}

/* The listener is closed before anybody comes, and while somebody is silent. */
static void listener_closed(SOCKET listener)
{
    struct accepting one = {.request = with_event()};
    SOCKET s = accept_one(listener);

    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    drop(listener);
    fact("status", code_of(&one));
    drop(one.s);
    answer_to_the_end(s);
}

static void just_talk(const struct sockaddr_in *server)
{
    talk_to_the_end(connect_to(server));
}

static void listener_closed_later(SOCKET listener)
{
    struct accepting one = {.request = with_event()};
    SOCKET s = accept_one(listener);

    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    tell(listener, 1);
    await_connection(one.s);
    drop(listener);
    fact("status", code_of(&one));
    drop(one.s);
    answer_to_the_end(s);
}

static void talk_beside_silence(const struct sockaddr_in *server)
{
    SOCKET s = connect_to(server), silent;
    char byte;

    await(server, 1);
    silent = connect_to(server);
    REQUIRE(recv(silent, &byte, 1, 0) <= 0);
    drop(silent);
    talk_to_the_end(s);
}

/* The accepting socket is closed while somebody is silent. */
static void socket_closed(SOCKET listener)
{
    struct accepting one = {.request = with_event()};

    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    tell(listener, 1);
    await_connection(one.s);
    drop(one.s);
    fact("status", code_of(&one));
    accept_and_go_on(listener, 2);
}

/* And before anybody has come. */
static void socket_closed_first(SOCKET listener)
{
    struct accepting one = {.request = with_event()};

    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    drop(one.s);
    CancelIoEx((HANDLE)listener, &one.request);
    fact("status", code_of(&one));
    accept_and_go_on(listener, 1);
}

static void by_a_port(SOCKET listener)
{
    HANDLE port = CreateIoCompletionPort((HANDLE)listener, NULL, KEY, 0);
    struct accepting one = {.request = {0}};
    OVERLAPPED *told = NULL;
    ULONG_PTR key;
    DWORD bytes;

    REQUIRE(SetFileCompletionNotificationModes((HANDLE)listener, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS));
    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    tell(listener, 1);
    REQUIRE(GetQueuedCompletionStatus(port, &bytes, &key, &told, PATIENCE) && told == &one.request && key == KEY);
    fact("bytes", bytes);
    REQUIRE(!GetQueuedCompletionStatus(port, &bytes, &key, &told, SHORT) && told == NULL);
    go_on(&one);
    CloseHandle(port);
}

static void await_end(const WSAOVERLAPPED *request)
{
    for (int left = PATIENCE; !HasOverlappedIoCompleted(request); left--) {
        REQUIRE(left != 0);
        Sleep(1);
    }
}

static void by_asking(SOCKET listener)
{
    struct accepting one = {.request = {0}};
    DWORD bytes;

    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    tell(listener, 1);
    await_end(&one.request);
    REQUIRE(GetOverlappedResult((HANDLE)listener, &one.request, &bytes, FALSE));
    fact("bytes", bytes);
    go_on(&one);
}

/* Without an event. */
static void by_waiting(SOCKET listener)
{
    struct accepting one = {.request = {0}};
    DWORD bytes;

    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    tell(listener, 1);
    REQUIRE(GetOverlappedResult((HANDLE)listener, &one.request, &bytes, TRUE));
    if (!HasOverlappedIoCompleted(&one.request)) {
        lacks("GetOverlappedResult");
        await_end(&one.request);
        REQUIRE(GetOverlappedResult((HANDLE)listener, &one.request, &bytes, FALSE));
    }
    fact("bytes", bytes);
    go_on(&one);
}

static void speak_slowly(const struct sockaddr_in *server)
{
    SOCKET s;

    await(server, 1);
    s = connect_to(server);
    Sleep(SHORT);
    speak(s);
}

/* A peer that ends its stream at once. */
static void ended(SOCKET listener)
{
    struct accepting one = {.request = with_event()};

    REQUIRE(start(&one, listener, MESSAGE) == ERROR_IO_PENDING);
    tell(listener, 1);
    fact("bytes", result_of(listener, &one.request));
    update(&one);
    send_pattern(one.s, STREAM, 153);
    drop(one.s);
    answer_to_the_end(accept_one(listener));
}

static void end_at_once(const struct sockaddr_in *server)
{
    SOCKET s;

    await(server, 1);
    s = connect_to(server);
    REQUIRE(shutdown(s, SD_SEND) == 0);
    receive_pattern(s, STREAM, 153);
    drop(s);
    just_talk(server);
}

/* A connection is used before it is given its listener's properties, and an operation is pending then. */
static void used_before(SOCKET listener)
{
    struct accepting one = {.request = with_event()};
    WSAOVERLAPPED request;
    char bytes[MESSAGE];
    int code = start(&one, listener, 0);

    REQUIRE(code == 0 || code == ERROR_IO_PENDING);
    tell(listener, 1);
    fact("first", result_of(listener, &one.request));
    receive_pattern(one.s, 1000, 154);
    send_pattern(one.s, 2000, 155);
    post_receive(one.s, bytes, MESSAGE, &request);
    update(&one);
    tell(listener, 2);
    fact("bytes", result_of(one.s, &request));
    hash_fact("data", hash(bytes, MESSAGE));
    answer_to_the_end(one.s);
}

static void use_before(const struct sockaddr_in *server)
{
    SOCKET s;

    await(server, 1);
    s = connect_to(server);
    send_pattern(s, 1000, 154);
    receive_pattern(s, 2000, 155);
    await(server, 2);
    speak(s);
}

const struct scenario first_data[] = {
    {.name = "acceptex_silent_peer", .client = speak_later, .server = silent_peer},
    {.name = "acceptex_cancelled", .client = be_given_up, .server = taken_back},
    {.name = "acceptex_listener_closed", .client = just_talk, .server = listener_closed},
    {.name = "acceptex_listener_closed_later", .client = talk_beside_silence, .server = listener_closed_later},
    {.name = "acceptex_socket_closed", .client = speak_when_told, .server = socket_closed_first},
    {.name = "acceptex_socket_closed_later", .client = be_given_up, .server = socket_closed},
    {.name = "acceptex_by_port", .client = speak_when_told, .server = by_a_port},
    {.name = "acceptex_by_asking", .client = speak_when_told, .server = by_asking},
    {.name = "acceptex_by_waiting", .client = speak_slowly, .server = by_waiting},
    {.name = "acceptex_peer_ends", .client = end_at_once, .server = ended},
    {.name = "acceptex_used_before_update", .client = use_before, .server = used_before},
    {.name = NULL},
};
