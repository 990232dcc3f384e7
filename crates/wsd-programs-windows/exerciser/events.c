/*
 * events.c: WSAEventSelect and WSAEnumNetworkEvents.
 */
#include "exerciser.h"

#define STREAM 3000000

/* Waits for the event and collects what has happened, until the wanted event is among it. */
static WSANETWORKEVENTS wait_for(SOCKET s, WSAEVENT event, long wanted)
{
    WSANETWORKEVENTS record;

    do {
        REQUIRE(WSAWaitForMultipleEvents(1, &event, FALSE, PATIENCE, FALSE) == WSA_WAIT_EVENT_0);
        REQUIRE(WSAEnumNetworkEvents(s, event, &record) == 0);
    } while ((record.lNetworkEvents & wanted) == 0);
    return record;
}

static bool is_quiet(WSAEVENT event)
{
    return WSAWaitForMultipleEvents(1, &event, FALSE, SHORT, FALSE) == WSA_WAIT_TIMEOUT;
}

static void read_and_close(SOCKET s)
{
    WSAEVENT event = WSACreateEvent();
    WSANETWORKEVENTS record;
    char bytes[100];
    u_long value = 0;

    REQUIRE(WSAEventSelect(s, event, FD_READ | FD_WRITE | FD_CLOSE) == 0);
    record = wait_for(s, event, FD_WRITE); /* At once, since there is room. */
    fact("first", record.lNetworkEvents);
    REQUIRE_ERROR(recv(s, bytes, 1, 0), WSAEWOULDBLOCK);
    REQUIRE_ERROR(ioctlsocket(s, FIONBIO, &value), WSAEINVAL);
    REQUIRE(is_quiet(event));
    say(s);
    record = wait_for(s, event, FD_READ);
    fact("data", record.lNetworkEvents);
    fact("error", record.iErrorCode[FD_READ_BIT]);
    REQUIRE(is_quiet(event)); /* Told once. */
    REQUIRE(recv(s, bytes, 50, 0) == 50);
    fact("rest", wait_for(s, event, FD_READ).lNetworkEvents); /* Told again after a receive, since some is left. */
    REQUIRE(recv(s, bytes, 50, 0) == 50);
    REQUIRE(is_quiet(event));
    say(s);
    record = wait_for(s, event, FD_CLOSE);
    fact("end", record.lNetworkEvents);
    fact("error", record.iErrorCode[FD_CLOSE_BIT]);
    REQUIRE(WSAEventSelect(s, NULL, 0) == 0);
    set_blocking(s, true);
    WSACloseEvent(event);
    finish(s);
}

static void hundred_bytes(SOCKET s)
{
    hear(s);
    send_pattern(s, 100, 70);
    hear(s);
    finish(s);
}

/* FD_WRITE comes again after a send found no room. */
static void write_again(SOCKET s)
{
    static char bytes[STREAM];
    WSAEVENT event = WSACreateEvent();
    size_t sent = 0;
    bool was_full = false;

    fill(bytes, STREAM, 71);
    REQUIRE(WSAEventSelect(s, event, FD_WRITE) == 0);
    for (int round = 0; !was_full || sent % STREAM != 0; round++) {
        int done = send(s, bytes + sent % STREAM, (int)(STREAM - sent % STREAM), 0);

        if (done > 0) {
            sent += (size_t)done;
            continue;
        }
        REQUIRE(WSAGetLastError() == WSAEWOULDBLOCK);
        if (!was_full)
            signal_partner(s);
        was_full = true;
        wait_for(s, event, FD_WRITE);
    }
    REQUIRE(WSAEventSelect(s, NULL, 0) == 0);
    set_blocking(s, true);
    REQUIRE(shutdown(s, SD_SEND) == 0);
    hear(s);
    WSACloseEvent(event);
    finish(s);
}

static void read_repeated(SOCKET s)
{
    static char bytes[STREAM];
    size_t total = 0;
    int got;

    await_partner(s);
    while ((got = recv(s, bytes + total % STREAM, (int)(STREAM - total % STREAM), 0)) > 0) {
        total += (size_t)got;
        if (total % STREAM == 0)
            REQUIRE(hash(bytes, STREAM) == hash_of(STREAM, 71));
    }
    REQUIRE(got == 0 && total % STREAM == 0);
    say(s);
    finish(s);
}

/* The client's connect and the server's accept. */
static void connect_event(const struct sockaddr_in *server)
{
    SOCKET s = new_socket();
    WSAEVENT event = WSACreateEvent();
    WSANETWORKEVENTS record;

    REQUIRE(WSAEventSelect(s, event, FD_CONNECT) == 0);
    REQUIRE_ERROR(connect(s, (const struct sockaddr *)server, sizeof(*server)), WSAEWOULDBLOCK);
    record = wait_for(s, event, FD_CONNECT);
    fact("events", record.lNetworkEvents);
    fact("error", record.iErrorCode[FD_CONNECT_BIT]);
    REQUIRE(WSAEventSelect(s, NULL, 0) == 0);
    set_blocking(s, true);
    make_small_talk(s, true);
    WSACloseEvent(event);
    finish(s);
}

static void accept_event(SOCKET listener)
{
    WSAEVENT event = WSACreateEvent();
    WSANETWORKEVENTS record;
    SOCKET s;

    REQUIRE(WSAEventSelect(listener, event, FD_ACCEPT | FD_CLOSE) == 0);
    record = wait_for(listener, event, FD_ACCEPT);
    fact("events", record.lNetworkEvents);
    fact("error", record.iErrorCode[FD_ACCEPT_BIT]);
    s = accept_one(listener);
    REQUIRE(WSAEventSelect(s, NULL, 0) == 0); /* It had the listener's event. */
    set_blocking(s, true);
    make_small_talk(s, false);
    WSACloseEvent(event);
    finish(s);
}

const struct scenario events[] = {
    {.name = "wsaeventselect", .tested = read_and_close, .partner = hundred_bytes},
    {.name = "wsaeventselect_write", .tested = write_again, .partner = read_repeated},
    {.name = "wsaeventselect_connect_accept", .client = connect_event, .server = accept_event},
    {.name = NULL},
};
