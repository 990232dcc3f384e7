/*
 * sent_first.c: ConnectEx that sends data, and what can become of it meanwhile.
 */
#include "exerciser.h"

#include <stdio.h>
#include <stdlib.h>

#define MUCH MEGABYTE /* Wine 8 does not end one that does not fit into its buffers. */
#define KEY 9

/* How it ended: 0, or the code. */
static int end_of(SOCKET s, WSAOVERLAPPED *request, DWORD *bytes)
{
    DWORD flags;

    REQUIRE(WaitForSingleObject(request->hEvent, PATIENCE) == WAIT_OBJECT_0);
    REQUIRE(WSACloseEvent(request->hEvent));
    return WSAGetOverlappedResult(s, request, bytes, FALSE, &flags) ? 0 : WSAGetLastError();
}

static void just_talk(const struct sockaddr_in *server)
{
    talk_to_the_end(connect_to(server));
}

static SOCKET bound(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    SOCKET s = new_socket();

    REQUIRE(bind(s, (struct sockaddr *)&own, sizeof(own)) == 0);
    return s;
}

static int start_connect(SOCKET s, const struct sockaddr_in *server, char *bytes, DWORD length, WSAOVERLAPPED *request)
{
    LPFN_CONNECTEX connect_ex = (LPFN_CONNECTEX)extension(s, (GUID)WSAID_CONNECTEX);
    DWORD sent;

    REQUIRE(connect_ex != NULL);
    if (connect_ex(s, (const struct sockaddr *)server, sizeof(*server), bytes, length, &sent, request))
        return 0;
    return WSAGetLastError() == ERROR_IO_PENDING ? 0 : WSAGetLastError();
}

static void connected(SOCKET s)
{
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0) == 0);
    talk_to_the_end(s);
}

static void refused(const struct sockaddr_in *server)
{
    WSAOVERLAPPED request = with_event();
    SOCKET s = bound();
    struct sockaddr_in nobody;
    DWORD bytes;
    int code;

    drop(listen_anywhere(&nobody));
    code = start_connect(s, &nobody, "abc", 3, &request);
    fact("code", code != 0 ? code : end_of(s, &request, &bytes));
    drop(s);
    just_talk(server);
}

static void answer_one(SOCKET listener)
{
    answer_to_the_end(accept_one(listener));
}

/* Much; the server reads later. */
static void much(const struct sockaddr_in *server)
{
    WSAOVERLAPPED request = with_event();
    SOCKET s = bound();
    char *bytes = malloc(MUCH);

    REQUIRE(bytes != NULL);
    fill(bytes, MUCH, 156);
    REQUIRE(start_connect(s, server, bytes, MUCH, &request) == 0);
    fact("bytes", result_of(s, &request));
    free(bytes);
    connected(s);
}

static void read_much(SOCKET listener)
{
    SOCKET s = accept_one(listener);

    Sleep(SHORT);
    receive_pattern(s, MUCH, 156);
    answer_to_the_end(s);
}

static void connected_by_a_port(const struct sockaddr_in *server)
{
    SOCKET s = bound();
    HANDLE port = CreateIoCompletionPort((HANDLE)s, NULL, KEY, 0);
    WSAOVERLAPPED request = {0}, *told = NULL;
    char bytes[MESSAGE];
    ULONG_PTR key;
    DWORD sent;

    fill(bytes, MESSAGE, 152);
    REQUIRE(start_connect(s, server, bytes, MESSAGE, &request) == 0);
    REQUIRE(GetQueuedCompletionStatus(port, &sent, &key, &told, PATIENCE) && told == &request && key == KEY);
    fact("sent", sent);
    REQUIRE(!GetQueuedCompletionStatus(port, &sent, &key, &told, SHORT) && told == NULL);
    connected(s);
    CloseHandle(port);
}

static void hear_first(SOCKET listener)
{
    SOCKET s = accept_one(listener);

    receive_pattern(s, MESSAGE, 152);
    answer_to_the_end(s);
}

/* What is sent is taken back while nobody reads. */
static void sending_taken_back(const struct sockaddr_in *server)
{
    WSAOVERLAPPED request = with_event();
    SOCKET s = bound();
    char *bytes = malloc(16 * MUCH);
    DWORD sent;

    REQUIRE(bytes != NULL);
    fill(bytes, 16 * MUCH, 157);
    await_listener(server);
    REQUIRE(start_connect(s, server, bytes, 16 * MUCH, &request) == 0);
    REQUIRE(WaitForSingleObject(request.hEvent, SHORT) == WAIT_TIMEOUT);
    REQUIRE(CancelIoEx((HANDLE)s, &request));
    fact("code", end_of(s, &request, &sent));
    signal_partner(s);
    free(bytes);
    drop(s);
    just_talk(server);
}

static void read_until_the_end(SOCKET listener)
{
    char *bytes = malloc(MEGABYTE);
    int got = 1, room = 65536;
    SOCKET s;

    REQUIRE(bytes != NULL);
    REQUIRE(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, (char *)&room, sizeof(room)) == 0);
    signal_partner(listener);
    s = accept_one(listener);
    receive_all(s, bytes, MESSAGE);
    await_partner(s);
    while (got > 0)
        got = recv(s, bytes, MEGABYTE, 0);
    free(bytes);
    drop(s);
    answer_to_the_end(accept_one(listener));
}

const struct scenario sent_first[] = {
    {.name = "connectex_refused", .client = refused, .server = answer_one},
    {.name = "connectex_with_much", .client = much, .server = read_much},
    {.name = "connectex_by_port", .client = connected_by_a_port, .server = hear_first},
    {.name = "connectex_cancelled", .client = sending_taken_back, .server = read_until_the_end},
    {.name = NULL},
};
