/*
 * accepting.c: accept, WSAAccept, AcceptEx, at the server's end; the client is plain.
 */
#include "exerciser.h"

#include <string.h>

#define STREAM 50000
#define PLACE (sizeof(struct sockaddr_in) + 16)

static void answer(SOCKET s)
{
    make_small_talk(s, false);
    receive_pattern(s, STREAM, 50);
    send_pattern(s, STREAM, 51);
    finish(s);
}

static void talk(const struct sockaddr_in *server)
{
    SOCKET s = connect_to(server);

    make_small_talk(s, true);
    send_pattern(s, STREAM, 50);
    receive_pattern(s, STREAM, 51);
    finish(s);
}

static void with_address(SOCKET listener)
{
    struct sockaddr_in peer, name;
    int length = sizeof(peer);
    SOCKET s = accept(listener, (struct sockaddr *)&peer, &length);

    REQUIRE(s != INVALID_SOCKET);
    fact("length", length);
    REQUIRE(getpeername(s, (struct sockaddr *)&name, &length) == 0 && name.sin_port == peer.sin_port);
    answer(s);
}

static void without_waiting(SOCKET listener)
{
    fd_set readable;
    SOCKET s;

    set_blocking(listener, false);
    REQUIRE(accept(listener, NULL, NULL) == INVALID_SOCKET);
    fact("error", WSAGetLastError());
    signal_partner(listener);
    FD_ZERO(&readable);
    FD_SET(listener, &readable);
    REQUIRE(select(0, &readable, NULL, NULL, &(struct timeval){.tv_sec = PATIENCE / 1000}) == 1);
    s = accept_one(listener);
    set_blocking(s, true); /* It does not wait either. */
    answer(s);
}

/* The client comes when the server says so. */
static void talk_later(const struct sockaddr_in *server)
{
    await_listener(server);
    talk(server);
}

static int CALLBACK decide(LPWSABUF caller, LPWSABUF data, LPQOS qos, LPQOS group_qos, LPWSABUF callee,
    LPWSABUF answered, GROUP *group, DWORD_PTR rounds)
{
    int *left = (int *)rounds;

    (void)data, (void)qos, (void)group_qos, (void)answered, (void)group;
    REQUIRE(caller->len >= sizeof(struct sockaddr_in) && callee->len >= sizeof(struct sockaddr_in));
    return (*left)-- > 0 ? CF_DEFER : CF_ACCEPT;
}

/* The condition function puts it off once. */
static void by_wsaaccept(SOCKET listener)
{
    int rounds = 1;
    SOCKET s = WSAAccept(listener, NULL, NULL, decide, (DWORD_PTR)&rounds);

    fact("deferred", s == INVALID_SOCKET ? WSAGetLastError() : 0);
    if (s == INVALID_SOCKET)
        s = WSAAccept(listener, NULL, NULL, decide, (DWORD_PTR)&rounds);
    REQUIRE(s != INVALID_SOCKET);
    answer(s);
}

static int CALLBACK reject(LPWSABUF caller, LPWSABUF data, LPQOS qos, LPQOS group_qos, LPWSABUF callee,
    LPWSABUF answered, GROUP *group, DWORD_PTR context)
{
    (void)caller, (void)data, (void)qos, (void)group_qos, (void)callee, (void)answered, (void)group, (void)context;
    return CF_REJECT;
}

static void by_rejecting(SOCKET listener)
{
    REQUIRE(WSAAccept(listener, NULL, NULL, reject, 0) == INVALID_SOCKET);
    fact("error", WSAGetLastError());
    answer(accept_one(listener));
}

/* Connected first, and reset then. */
static void be_rejected(const struct sockaddr_in *server)
{
    SOCKET s = connect_to(server);
    char byte;

    REQUIRE(recv(s, &byte, 1, 0) <= 0);
    drop(s);
    talk(server);
}

static SOCKET accept_ex(SOCKET listener, DWORD first, char *bytes)
{
    LPFN_ACCEPTEX accept_ex = (LPFN_ACCEPTEX)extension(listener, (GUID)WSAID_ACCEPTEX);
    LPFN_GETACCEPTEXSOCKADDRS names = (LPFN_GETACCEPTEXSOCKADDRS)extension(listener, (GUID)WSAID_GETACCEPTEXSOCKADDRS);
    WSAOVERLAPPED request = with_event();
    SOCKET s = new_socket();
    struct sockaddr *own, *peer;
    struct sockaddr_in name;
    int own_length, peer_length, length = sizeof(name);
    DWORD done;

    REQUIRE(accept_ex != NULL && names != NULL);
    if (!accept_ex(listener, s, bytes, first, PLACE, PLACE, &done, &request))
        REQUIRE(WSAGetLastError() == ERROR_IO_PENDING);
    signal_partner(listener);
    fact("first", result_of(listener, &request));
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (char *)&listener, sizeof(listener)) == 0);
    names(bytes, first, PLACE, PLACE, &own, &own_length, &peer, &peer_length);
    fact("own", own_length);
    fact("peer", peer_length);
    REQUIRE(getpeername(s, (struct sockaddr *)&name, &length) == 0);
    REQUIRE(name.sin_port == ((struct sockaddr_in *)peer)->sin_port);
    return s;
}

static void by_acceptex(SOCKET listener)
{
    char bytes[2 * PLACE];

    answer(accept_ex(listener, 0, bytes));
}

static void acceptex_with_data(SOCKET listener)
{
    char bytes[MESSAGE + 2 * PLACE];
    SOCKET s = accept_ex(listener, MESSAGE, bytes);

    hash_fact("data", hash(bytes, MESSAGE));
    REQUIRE(hash(bytes, MESSAGE) == hash_of(MESSAGE, 52));
    answer(s);
}

static void talk_with_data(const struct sockaddr_in *server)
{
    SOCKET s;

    await_listener(server);
    s = connect_to(server);
    send_pattern(s, MESSAGE, 52);
    make_small_talk(s, true);
    send_pattern(s, STREAM, 50);
    receive_pattern(s, STREAM, 51);
    finish(s);
}

const struct scenario accepting[] = {
    {.name = "accept", .client = talk, .server = with_address},
    {.name = "accept_nonblocking", .client = talk_later, .server = without_waiting},
    {.name = "wsaaccept_defers", .client = talk, .server = by_wsaaccept},
    {.name = "wsaaccept_rejects", .client = be_rejected, .server = by_rejecting},
    {.name = "acceptex", .client = talk_later, .server = by_acceptex},
    {.name = "acceptex_with_data", .client = talk_with_data, .server = acceptex_with_data},
    {.name = NULL},
};
