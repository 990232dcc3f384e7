/*
 * closing.c: shutdown, closesocket, and what the other end sees of them.
 */
#include "exerciser.h"

#include <string.h>

#define REST 300000

/* One direction ends, the other goes on. */
static void half_close(SOCKET s)
{
    char byte;

    send_pattern(s, REST, 30);
    REQUIRE(shutdown(s, SD_SEND) == 0);
    REQUIRE_ERROR(send(s, "x", 1, 0), WSAESHUTDOWN);
    fact("send_error", WSAGetLastError());
    receive_pattern(s, REST, 31);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    fact("bytes", REST);
    drop(s);
}

static void answer_half(SOCKET s)
{
    char byte;

    receive_pattern(s, REST, 30);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    send_pattern(s, REST, 31);
    finish(s);
}

static void no_more_receives(SOCKET s)
{
    char byte;
    int got;

    REQUIRE(shutdown(s, SD_RECEIVE) == 0);
    got = recv(s, &byte, 1, 0);
    fact("received", got == SOCKET_ERROR ? -WSAGetLastError() : got);
    send_pattern(s, 100, 32);
    await_partner(s);
    drop(s);
}

static void read_100(SOCKET s)
{
    receive_pattern(s, 100, 32);
    signal_partner(s);
    drop(s);
}

/* All that was sent arrives, though it is closed at once. */
static void close_with_data(SOCKET s)
{
    send_pattern(s, REST, 33);
    drop(s);
    fact("sent", REST);
    REQUIRE_ERROR(send(s, "x", 1, 0), WSAENOTSOCK);
    fact("error", WSAGetLastError());
}

static void read_to_the_end(SOCKET s)
{
    char byte;

    Sleep(SHORT);
    receive_pattern(s, REST, 33);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    drop(s);
}

static void see_reset(SOCKET s)
{
    char byte;
    int got = recv(s, &byte, 1, 0);

    /* Wine's closesocket ends the stream before it resets the connection: whoever is quick sees the end. */
    REQUIRE(got == 0 || (got == SOCKET_ERROR && WSAGetLastError() == WSAECONNRESET));
    drop(s);
}

static void reset(SOCKET s)
{
    struct linger linger = {1, 0};

    REQUIRE(setsockopt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, sizeof(linger)) == 0);
    drop(s);
}

/* Data that nobody read makes a reset of the end. */
static void unread(SOCKET s)
{
    say(s);
    see_reset(s);
}

static void close_unread(SOCKET s)
{
    u_long arrived = 0;

    while (arrived == 0)
        REQUIRE(ioctlsocket(s, FIONREAD, &arrived) == 0);
    drop(s);
}

static void linger(SOCKET s)
{
    struct linger patience = {1, 5};

    send_pattern(s, REST, 34);
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_LINGER, (char *)&patience, sizeof(patience)) == 0);
    drop(s);
    fact("sent", REST);
}

static void read_lingering(SOCKET s)
{
    char byte;

    receive_pattern(s, REST, 34);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    drop(s);
}

/* Who sends into a closed end learns of it. */
static void send_into_closed(SOCKET s)
{
    char bytes[1000];
    int rounds = 0;

    fill(bytes, sizeof(bytes), 35);
    await_partner(s);
    while (send(s, bytes, sizeof(bytes), 0) > 0 && rounds++ < 1000)
        Sleep(1);
    fact("error", WSAGetLastError());
    drop(s);
}

static void close_at_once(SOCKET s)
{
    signal_partner(s);
    drop(s);
}

const struct scenario closing[] = {
    {.name = "shutdown_send", .tested = half_close, .partner = answer_half},
    {.name = "shutdown_receive", .tested = no_more_receives, .partner = read_100},
    {.name = "closesocket_with_data", .tested = close_with_data, .partner = read_to_the_end},
    {.name = "closesocket_resets", .tested = see_reset, .partner = reset},
    {.name = "closesocket_unread", .tested = unread, .partner = close_unread},
    {.name = "closesocket_lingers", .tested = linger, .partner = read_lingering},
    {.name = "send_into_closed", .tested = send_into_closed, .partner = close_at_once},
    {.name = NULL},
};
