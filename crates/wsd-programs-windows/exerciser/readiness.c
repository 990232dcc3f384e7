/*
 * readiness.c: select and WSAPoll.
 */
#include "exerciser.h"

#include <string.h>

#define STREAM 200000

/* What is ready of a connection: 1 to read, 2 to write, 4 exceptional. */
static int selected(SOCKET s, int wanted, int milliseconds)
{
    struct timeval limit = {milliseconds / 1000, milliseconds % 1000 * 1000};
    fd_set sets[3];
    int ready = 0;

    for (int i = 0; i < 3; i++) {
        FD_ZERO(&sets[i]);
        if ((wanted & 1 << i) != 0)
            FD_SET(s, &sets[i]);
    }
    REQUIRE(select(0, &sets[0], &sets[1], &sets[2], &limit) >= 0);
    for (int i = 0; i < 3; i++)
        ready |= FD_ISSET(s, &sets[i]) ? 1 << i : 0;
    return ready;
}

static void by_select(SOCKET s)
{
    char bytes[100];

    fact("writable", selected(s, 7, 0));
    fact("nothing", selected(s, 5, SHORT));
    say(s);
    fact("readable", selected(s, 5, PATIENCE));
    receive_all(s, bytes, 50);
    fact("still", selected(s, 5, 0)); /* Some is left. */
    receive_all(s, bytes, 50);
    fact("empty", selected(s, 5, 0));
    say(s);
    fact("ended", selected(s, 5, PATIENCE));
    REQUIRE(recv(s, bytes, 1, 0) == 0);
    fact("stays", selected(s, 5, 0));
    finish(s);
}

static void hundred_bytes(SOCKET s)
{
    hear(s);
    send_pattern(s, 100, 60);
    hear(s);
    finish(s);
}

static short polled(SOCKET s, short wanted, int milliseconds)
{
    WSAPOLLFD one = {s, wanted, 0};

    REQUIRE(WSAPoll(&one, 1, milliseconds) == (one.revents != 0));
    return one.revents;
}

static void by_poll(SOCKET s)
{
    char bytes[100];

    fact("writable", polled(s, POLLIN | POLLOUT, 0));
    fact("nothing", polled(s, POLLIN, SHORT));
    say(s);
    fact("readable", polled(s, POLLIN, PATIENCE));
    receive_all(s, bytes, 50);
    fact("still", polled(s, POLLIN, 0));
    receive_all(s, bytes, 50);
    fact("empty", polled(s, POLLIN, 0));
    say(s);
    fact("ended", polled(s, POLLIN, PATIENCE) != 0);
    REQUIRE(recv(s, bytes, 1, 0) == 0);
    finish(s);
}

/* A loop as servers have it: a socket that does not wait, driven by what is ready, both ways at a time. */
static void loop(SOCKET s)
{
    static char out[STREAM], in[STREAM];
    size_t sent = 0, received = 0;

    fill(out, STREAM, 61);
    set_blocking(s, false);
    while (sent < STREAM || received < STREAM) {
        int ready = selected(s, (received < STREAM ? 1 : 0) | (sent < STREAM ? 2 : 0), PATIENCE), done;

        REQUIRE(ready != 0);
        if ((ready & 2) != 0 && (done = send(s, out + sent, (int)(STREAM - sent), 0)) > 0)
            sent += (size_t)done;
        if ((ready & 1) != 0 && (done = recv(s, in + received, (int)(STREAM - received), 0)) > 0)
            received += (size_t)done;
    }
    hash_fact("received", hash(in, STREAM));
    set_blocking(s, true);
    finish(s);
}

static void echo_stream(SOCKET s)
{
    static char bytes[STREAM];

    receive_all(s, bytes, STREAM);
    send_all(s, bytes, STREAM);
    finish(s);
}

static DWORD WINAPI tell_late(void *s)
{
    Sleep(SHORT);
    say((SOCKET)s);
    return 0;
}

/* Of several sockets, one is ready: others are a listener and an unconnected datagram socket. */
static void among_others(SOCKET s)
{
    struct sockaddr_in address;
    SOCKET listener = listen_anywhere(&address), datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    WSAPOLLFD all[3] = {{s, POLLIN, 0}, {listener, POLLIN, 0}, {datagrams, POLLIN, 0}};
    fd_set readable;
    SOCKET client, accepted;

    REQUIRE(bind(datagrams, (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET}, sizeof(address)) == 0);
    say(s);
    fact("count", WSAPoll(all, 3, PATIENCE));
    REQUIRE(all[0].revents != 0 && all[1].revents == 0 && all[2].revents == 0);
    hear(s);
    client = connect_to(&address);
    fact("count", WSAPoll(all, 3, PATIENCE));
    REQUIRE(all[0].revents == 0 && all[1].revents != 0);
    accepted = accept_one(listener);
    FD_ZERO(&readable);
    FD_SET(s, &readable);
    FD_SET(listener, &readable);
    FD_SET(datagrams, &readable);
    FD_SET(accepted, &readable);
    CloseHandle(CreateThread(NULL, 0, tell_late, (void *)client, 0, NULL));
    fact("selected", select(0, &readable, NULL, NULL, &(struct timeval){.tv_sec = PATIENCE / 1000}));
    REQUIRE(FD_ISSET(accepted, &readable));
    hear(accepted);
    drop(accepted);
    drop(client);
    drop(listener);
    drop(datagrams);
    say(s);
    finish(s);
}

static void answer_once(SOCKET s)
{
    hear(s);
    say(s);
    hear(s);
    finish(s);
}

const struct scenario readiness[] = {
    {.name = "select", .tested = by_select, .partner = hundred_bytes},
    {.name = "wsapoll", .tested = by_poll, .partner = hundred_bytes},
    {.name = "select_loop", .tested = loop, .partner = echo_stream},
    {.name = "ready_among_others", .tested = among_others, .partner = answer_once},
    {.name = NULL},
};
