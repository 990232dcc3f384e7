/*
 * connecting.c: connect, WSAConnect, ConnectEx and DisconnectEx, at the client's end; the server's answers.
 */
#include "exerciser.h"

#define STREAM 50000
#define REST 300000

static void talk(SOCKET s)
{
    make_small_talk(s, true);
    send_pattern(s, STREAM, 40);
    receive_pattern(s, STREAM, 41);
}

static void answer(SOCKET listener)
{
    SOCKET s = accept_one(listener);

    make_small_talk(s, false);
    receive_pattern(s, STREAM, 40);
    send_pattern(s, STREAM, 41);
    finish(s);
}

static const struct sockaddr *general(const struct sockaddr_in *address)
{
    return (const struct sockaddr *)address;
}

static void by_wsaconnect(const struct sockaddr_in *server)
{
    SOCKET s = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED);

    REQUIRE(s != INVALID_SOCKET);
    REQUIRE(WSAConnect(s, general(server), sizeof(*server), NULL, NULL, NULL, NULL) == 0);
    REQUIRE_ERROR(connect(s, general(server), sizeof(*server)), WSAEISCONN);
    fact("again", WSAGetLastError());
    talk(s);
    finish(s);
}

/* A socket that does not wait: connected when it can be written. */
static void without_waiting(const struct sockaddr_in *server)
{
    SOCKET s = new_socket();
    int error = -1, length = sizeof(error);
    fd_set writable;

    set_blocking(s, false);
    REQUIRE_ERROR(connect(s, general(server), sizeof(*server)), WSAEWOULDBLOCK);
    fact("error", WSAGetLastError());
    FD_ZERO(&writable);
    FD_SET(s, &writable);
    REQUIRE(select(0, NULL, &writable, NULL, &(struct timeval){.tv_sec = PATIENCE / 1000}) == 1);
    REQUIRE(getsockopt(s, SOL_SOCKET, SO_ERROR, (char *)&error, &length) == 0);
    fact("so_error", error);
    set_blocking(s, true);
    talk(s);
    finish(s);
}

static void bound_before(const struct sockaddr_in *server)
{
    struct sockaddr_in own = {.sin_family = AF_INET}, name;
    SOCKET s = new_socket();
    int length = sizeof(name);

    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(s, general(&own), sizeof(own)) == 0);
    REQUIRE(getsockname(s, (struct sockaddr *)&own, &length) == 0 && own.sin_port != 0);
    REQUIRE_ERROR(bind(s, general(&own), sizeof(own)), WSAEINVAL);
    REQUIRE(connect(s, general(server), sizeof(*server)) == 0);
    REQUIRE(getsockname(s, (struct sockaddr *)&name, &length) == 0 && name.sin_port == own.sin_port);
    talk(s);
    finish(s);
}

/* Nobody is there. */
static void refused(const struct sockaddr_in *server)
{
    struct sockaddr_in nobody;
    SOCKET s = new_socket();

    drop(listen_anywhere(&nobody));
    REQUIRE_ERROR(connect(s, general(&nobody), sizeof(nobody)), WSAECONNREFUSED);
    fact("error", WSAGetLastError());
    REQUIRE(send(s, "x", 1, 0) == SOCKET_ERROR);
    fact("send_error", WSAGetLastError());
    drop(s);
    s = connect_to(server);
    talk(s);
    finish(s);
}

static int start_connect(SOCKET s, const struct sockaddr_in *server, char *bytes, DWORD length, WSAOVERLAPPED *request)
{
    LPFN_CONNECTEX connect_ex = (LPFN_CONNECTEX)extension(s, (GUID)WSAID_CONNECTEX);
    DWORD sent;

    REQUIRE(connect_ex != NULL);
    return connect_ex(s, general(server), sizeof(*server), bytes, length, &sent, request) ? 0 : WSAGetLastError();
}

static SOCKET connect_ex(SOCKET s, const struct sockaddr_in *server, char *bytes, DWORD length)
{
    WSAOVERLAPPED request = with_event();
    int code = start_connect(s, server, bytes, length, &request);

    REQUIRE(code == 0 || code == ERROR_IO_PENDING);
    fact("sent", result_of(s, &request));
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0) == 0);
    return s;
}

static SOCKET bound(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    SOCKET s = new_socket();

    REQUIRE(bind(s, general(&own), sizeof(own)) == 0);
    return s;
}

static void by_connectex(const struct sockaddr_in *server)
{
    SOCKET s = connect_ex(bound(), server, NULL, 0);
    struct sockaddr_in peer;
    int length = sizeof(peer);

    REQUIRE(getpeername(s, (struct sockaddr *)&peer, &length) == 0 && peer.sin_port == server->sin_port);
    talk(s);
    finish(s);
}

static void connectex_with_data(const struct sockaddr_in *server)
{
    char bytes[1000];
    SOCKET s;

    fill(bytes, sizeof(bytes), 42);
    s = connect_ex(bound(), server, bytes, sizeof(bytes));
    talk(s);
    finish(s);
}

static void answer_with_data(SOCKET listener)
{
    SOCKET s = accept_one(listener);

    receive_pattern(s, 1000, 42);
    make_small_talk(s, false);
    receive_pattern(s, STREAM, 40);
    send_pattern(s, STREAM, 41);
    finish(s);
}

/* The socket is used a second time after it was disconnected. */
static void by_disconnectex(const struct sockaddr_in *server)
{
    SOCKET s = connect_ex(bound(), server, NULL, 0);
    LPFN_DISCONNECTEX disconnect_ex = (LPFN_DISCONNECTEX)extension(s, (GUID)WSAID_DISCONNECTEX);
    WSAOVERLAPPED request = with_event();
    char byte;

    talk(s);
    if (disconnect_ex == NULL) {
        lacks("DisconnectEx");
        finish(s);
        return;
    }
    if (!disconnect_ex(s, &request, 0, 0))
        REQUIRE(WSAGetLastError() == ERROR_IO_PENDING);
    fact("bytes", result_of(s, &request));
    REQUIRE_ERROR(send(s, "x", 1, 0), WSAESHUTDOWN);
    fact("send_error", WSAGetLastError());
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    drop(s);
}

/* What was sent before is read to its end, though nobody has read it yet. */
static void disconnected_unread(const struct sockaddr_in *server)
{
    SOCKET s = connect_to(server);
    LPFN_DISCONNECTEX disconnect_ex = (LPFN_DISCONNECTEX)extension(s, (GUID)WSAID_DISCONNECTEX);
    WSAOVERLAPPED request = with_event();

    REQUIRE(disconnect_ex != NULL);
    make_small_talk(s, true);
    send_pattern(s, REST, 43);
    if (!disconnect_ex(s, &request, 0, 0))
        REQUIRE(WSAGetLastError() == ERROR_IO_PENDING);
    signal_partner(s);
    fact("bytes", result_of(s, &request));
    REQUIRE_ERROR(send(s, "x", 1, 0), WSAESHUTDOWN);
    receive_pattern(s, STREAM, 44);
    drop(s);
}

static void read_after(SOCKET listener)
{
    SOCKET s = accept_one(listener);
    char byte;

    make_small_talk(s, false);
    await_partner(s);
    receive_pattern(s, REST, 43);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    send_pattern(s, STREAM, 44);
    drop(s);
}

/* The same socket is connected a second time. */
static void used_again(const struct sockaddr_in *server)
{
    SOCKET s = connect_ex(bound(), server, NULL, 0);
    LPFN_DISCONNECTEX disconnect_ex = (LPFN_DISCONNECTEX)extension(s, (GUID)WSAID_DISCONNECTEX);
    WSAOVERLAPPED request = with_event();
    int code;

    talk(s);
    REQUIRE(disconnect_ex(s, NULL, TF_REUSE_SOCKET, 0));
    code = start_connect(s, server, NULL, 0, &request);
    if (code == WSAEISCONN) {
        lacks("TF_REUSE_SOCKET");
        drop(s);
        s = bound();
        code = start_connect(s, server, NULL, 0, &request);
    }
    REQUIRE(code == 0 || code == ERROR_IO_PENDING);
    fact("sent", result_of(s, &request));
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0) == 0);
    talk(s);
    finish(s);
}

static void answer_twice(SOCKET listener)
{
    answer(listener);
    answer(listener);
}

const struct scenario connecting[] = {
    {.name = "wsaconnect", .client = by_wsaconnect, .server = answer},
    {.name = "connect_nonblocking", .client = without_waiting, .server = answer},
    {.name = "connect_bound", .client = bound_before, .server = answer},
    {.name = "connect_refused", .client = refused, .server = answer},
    {.name = "connectex", .client = by_connectex, .server = answer},
    {.name = "connectex_with_data", .client = connectex_with_data, .server = answer_with_data},
    {.name = "disconnectex", .client = by_disconnectex, .server = answer},
    {.name = "disconnectex_unread", .client = disconnected_unread, .server = read_after},
    {.name = "disconnectex_reuse", .client = used_again, .server = answer_twice},
    {.name = NULL},
};
