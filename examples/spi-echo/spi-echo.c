/*
 * spi-echo: an echo server and its client, written to the Windows Sockets SPI.
 *
 *     spi-echo serve PORT [CONNECTIONS]
 *     spi-echo ask PORT TEXT
 *
 * The server works with overlapped receives and events, one connection after the other; port 0 is any free one, which it
 * prints. The client blocks.
 */
#include "ws2_32.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000

static WSPPROC_TABLE spi;
static int error;

static int fail(const char *what)
{
    fprintf(stderr, "spi-echo: %s: error %d\n", what, error);
    return 1;
}

static SOCKADDR_IN loopback(const char *port)
{
    SOCKADDR_IN name = {0};

    name.sin_family = WS_AF_INET;
    name.sin_port = htons((uint16_t)atoi(port));
    name.sin_addr = htonl(0x7F000001);
    return name;
}

static SOCKET stream(void)
{
    return spi.lpWSPSocket(WS_AF_INET, WS_SOCK_STREAM, WS_IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED, &error);
}

/* Sends everything; 0 or SOCKET_ERROR. */
static int send_all(SOCKET s, char *data, DWORD length)
{
    WSABUF buffer = {length, data};
    DWORD sent;

    return spi.lpWSPSend(s, &buffer, 1, &sent, 0, NULL, NULL, NULL, &error);
}

/* Echoes one connection to its end. */
static int echo(SOCKET s)
{
    char data[4096];
    WSABUF buffer = {sizeof(data), data};
    WSAOVERLAPPED request = {0};
    DWORD received, flags;

    request.hEvent = event_create();
    for (;;) {
        flags = 0;
        event_reset(request.hEvent);
        if (spi.lpWSPRecv(s, &buffer, 1, &received, &flags, &request, NULL, NULL, &error) == SOCKET_ERROR
            && error != WSA_IO_PENDING)
            return fail("WSPRecv");
        if (!event_wait(request.hEvent, WAIT_MS))
            return fail("no data");
        if (!spi.lpWSPGetOverlappedResult(s, &request, &received, FALSE, &flags, &error))
            return fail("WSPGetOverlappedResult");
        if (received == 0)
            break;
        if (send_all(s, data, received) == SOCKET_ERROR)
            return fail("WSPSend");
    }
    event_close(request.hEvent);
    return spi.lpWSPCloseSocket(s, &error) == SOCKET_ERROR ? fail("WSPCloseSocket") : 0;
}

static int serve(const char *port, long connections)
{
    SOCKADDR_IN name = loopback(port);
    int length = sizeof(name);
    SOCKET listener = stream(), s;

    if (listener == INVALID_SOCKET)
        return fail("WSPSocket");
    if (spi.lpWSPBind(listener, (SOCKADDR *)&name, length, &error) == SOCKET_ERROR)
        return fail("WSPBind");
    if (spi.lpWSPListen(listener, WS_SOMAXCONN, &error) == SOCKET_ERROR)
        return fail("WSPListen");
    if (spi.lpWSPGetSockName(listener, (SOCKADDR *)&name, &length, &error) == SOCKET_ERROR)
        return fail("WSPGetSockName");
    printf("port %d\n", ntohs(name.sin_port));
    fflush(stdout);
    for (; connections != 0; connections--) {
        s = spi.lpWSPAccept(listener, NULL, NULL, NULL, 0, &error);
        if (s == INVALID_SOCKET)
            return fail("WSPAccept");
        if (echo(s) != 0)
            return 1;
    }
    return spi.lpWSPCloseSocket(listener, &error) == SOCKET_ERROR ? fail("WSPCloseSocket") : 0;
}

static int ask(const char *port, char *text)
{
    SOCKADDR_IN name = loopback(port);
    char answer[4096];
    WSABUF buffer = {sizeof(answer), answer};
    DWORD received, flags;
    SOCKET s = stream();

    if (s == INVALID_SOCKET)
        return fail("WSPSocket");
    if (spi.lpWSPConnect(s, (SOCKADDR *)&name, sizeof(name), NULL, NULL, NULL, NULL, &error) == SOCKET_ERROR)
        return fail("WSPConnect");
    if (send_all(s, text, (DWORD)strlen(text)) == SOCKET_ERROR)
        return fail("WSPSend");
    if (spi.lpWSPShutdown(s, SD_SEND, &error) == SOCKET_ERROR)
        return fail("WSPShutdown");
    for (;;) {
        flags = 0;
        if (spi.lpWSPRecv(s, &buffer, 1, &received, &flags, NULL, NULL, NULL, &error) == SOCKET_ERROR)
            return fail("WSPRecv");
        if (received == 0)
            break;
        fwrite(answer, 1, received, stdout);
    }
    putchar('\n');
    return spi.lpWSPCloseSocket(s, &error) == SOCKET_ERROR ? fail("WSPCloseSocket") : 0;
}

int main(int argc, char **argv)
{
    int status;

    error = spi_start(&spi);
    if (error != 0)
        return fail("WSPStartup");
    if (argc >= 3 && strcmp(argv[1], "serve") == 0) {
        status = serve(argv[2], argc > 3 ? atol(argv[3]) : -1);
    } else if (argc == 4 && strcmp(argv[1], "ask") == 0) {
        status = ask(argv[2], argv[3]);
    } else {
        fprintf(stderr, "usage: spi-echo serve PORT [CONNECTIONS] | spi-echo ask PORT TEXT\n");
        status = 2;
    }
    return spi.lpWSPCleanup(&error) == SOCKET_ERROR ? fail("WSPCleanup") : status;
}
