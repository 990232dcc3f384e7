/*
 * tour.c: a program in C that uses every way of the SPI once, in one process. Prints "done" and nothing else if all went
 * well; otherwise the line that did not.
 */
#include "ws2_32.h"

#include <wsdirect/ws2san.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 20000

static WSPPROC_TABLE spi;

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            printf("line %d: %s (error %d)\n", __LINE__, #condition, error);        \
            return 1;                                                               \
        }                                                                           \
    } while (0)

static int error;

static SOCKET stream(void)
{
    return spi.lpWSPSocket(WS_AF_INET, WS_SOCK_STREAM, WS_IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED, &error);
}

static int CALLBACK yes(LPWSABUF caller, LPWSABUF caller_data, LPQOS qos, LPQOS group_qos, LPWSABUF callee,
                        LPWSABUF callee_data, GROUP *group, DWORD_PTR data)
{
    (void)caller_data, (void)qos, (void)group_qos, (void)callee_data, (void)group;
    return caller->len == sizeof(SOCKADDR_IN) && callee->len == sizeof(SOCKADDR_IN) ? (int)data : CF_REJECT;
}

static int routines;

static void CALLBACK routine(DWORD code, DWORD bytes, LPWSAOVERLAPPED request, DWORD flags)
{
    (void)request, (void)flags;
    if (code == 0 && bytes == 4)
        routines++;
}

/* A listener on a free port of 127.0.0.1, its name in *name. */
static SOCKET listener(SOCKADDR_IN *name)
{
    SOCKET s = stream();
    int length = sizeof(*name);

    memset(name, 0, sizeof(*name));
    name->sin_family = WS_AF_INET;
    name->sin_addr = htonl(0x7F000001);
    if (spi.lpWSPBind(s, (SOCKADDR *)name, sizeof(*name), &error) || spi.lpWSPListen(s, 5, &error)
        || spi.lpWSPGetSockName(s, (SOCKADDR *)name, &length, &error))
        return INVALID_SOCKET;
    return s;
}

/* Non-blocking connect with events, accept with a condition function. */
static int connect_and_accept(SOCKET *client, SOCKET *server)
{
    SOCKADDR_IN name, peer;
    int length = sizeof(peer);
    SOCKET l = listener(&name);
    WSAEVENT event = event_create();
    WSANETWORKEVENTS events;

    CHECK(l != INVALID_SOCKET);
    *client = stream();
    CHECK(*client != INVALID_SOCKET);
    CHECK(spi.lpWSPEventSelect(*client, event, FD_CONNECT, &error) == 0);
    CHECK(spi.lpWSPConnect(*client, (SOCKADDR *)&name, sizeof(name), NULL, NULL, NULL, NULL, &error) == 0
          || error == WSAEWOULDBLOCK);
    CHECK(event_wait(event, WAIT_MS));
    CHECK(spi.lpWSPEnumNetworkEvents(*client, event, &events, &error) == 0);
    CHECK(events.lNetworkEvents == FD_CONNECT && events.iErrorCode[FD_CONNECT_BIT] == 0);
    *server = spi.lpWSPAccept(l, (SOCKADDR *)&peer, &length, yes, CF_DEFER, &error);
    CHECK(*server == INVALID_SOCKET && error == WSATRY_AGAIN);
    *server = spi.lpWSPAccept(l, (SOCKADDR *)&peer, &length, yes, CF_ACCEPT, &error);
    CHECK(*server != INVALID_SOCKET && length == sizeof(peer) && peer.sin_addr == name.sin_addr);
    CHECK(spi.lpWSPEventSelect(*client, NULL, 0, &error) == 0);
    CHECK(spi.lpWSPCloseSocket(l, &error) == 0);
    event_close(event);
    return 0;
}

/* An overlapped receive with an event, one with a completion routine, and a select. */
static int receive(SOCKET client, SOCKET server)
{
    char data[8], text[] = "data";
    WSABUF into = {sizeof(data), data}, from = {4, text};
    WSAOVERLAPPED request = {0};
    DWORD bytes, flags = 0;
    WS_FD_SET set = {1, {server}};
    WS_TIMEVAL limit = {20, 0};
    int tries;

    request.hEvent = event_create();
    CHECK(spi.lpWSPRecv(server, &into, 1, &bytes, &flags, &request, NULL, NULL, &error) == SOCKET_ERROR
          && error == WSA_IO_PENDING);
    CHECK(spi.lpWSPSend(client, &from, 1, &bytes, 0, NULL, NULL, NULL, &error) == 0 && bytes == 4);
    CHECK(event_wait(request.hEvent, WAIT_MS));
    CHECK(spi.lpWSPGetOverlappedResult(server, &request, &bytes, FALSE, &flags, &error) && bytes == 4);
    CHECK(memcmp(data, "data", 4) == 0);
    CHECK(spi.lpWSPRecv(server, &into, 1, &bytes, &flags, &request, routine, &apc_thread, &error) == SOCKET_ERROR
          && error == WSA_IO_PENDING);
    CHECK(spi.lpWSPSend(client, &from, 1, &bytes, 0, NULL, NULL, NULL, &error) == 0);
    for (tries = 0; apcs_run() == 0 && tries < WAIT_MS; tries++)
        usleep(1000);
    CHECK(routines == 1);
    CHECK(spi.lpWSPSend(client, &from, 1, &bytes, 0, NULL, NULL, NULL, &error) == 0);
    CHECK(spi.lpWSPSelect(0, &set, NULL, NULL, &limit, &error) == 1);
    CHECK(set.fd_count == 1 && set.fd_array[0] == server);
    CHECK(spi.lpWSPRecv(server, &into, 1, &bytes, &flags, NULL, NULL, NULL, &error) == 0 && bytes == 4);
    event_close(request.hEvent);
    return 0;
}

/* Options, control codes, text, and the extension functions. */
static int control(SOCKET client, SOCKET server)
{
    GUID guid = WSAID_TRANSMITFILE;
    LPFN_TRANSMITFILE transmit;
    TRANSMIT_FILE_BUFFERS parts = {"head", 4, "tail", 4};
    WCHAR text[32];
    SOCKADDR_IN name, same;
    DWORD bytes, flags = WS_MSG_WAITALL, characters = 32;
    int on = 1, length = sizeof(on);
    char data[8];
    WSABUF into = {sizeof(data), data};

    CHECK(spi.lpWSPSetSockOpt(client, WS_IPPROTO_TCP, WS_TCP_NODELAY, (char *)&on, sizeof(on), &error) == 0);
    on = 0;
    CHECK(spi.lpWSPGetSockOpt(client, WS_IPPROTO_TCP, WS_TCP_NODELAY, (char *)&on, &length, &error) == 0 && on);
    CHECK(spi.lpWSPIoctl(client, SIO_GET_EXTENSION_FUNCTION_POINTER, &guid, sizeof(guid), &transmit,
                         sizeof(transmit), &bytes, NULL, NULL, NULL, &error) == 0
          && bytes == sizeof(transmit));
    CHECK(transmit(client, NULL, 0, 0, NULL, &parts, 0));
    CHECK(spi.lpWSPRecv(server, &into, 1, &bytes, &flags, NULL, NULL, NULL, &error) == 0 && bytes == 8);
    CHECK(memcmp(data, "headtail", 8) == 0);
    CHECK(!transmit(INVALID_SOCKET, NULL, 0, 0, NULL, &parts, 0) && WSAGetLastError() == WSAENOTSOCK);
    length = sizeof(name);
    CHECK(spi.lpWSPGetPeerName(client, (SOCKADDR *)&name, &length, &error) == 0);
    CHECK(spi.lpWSPAddressToString((SOCKADDR *)&name, sizeof(name), NULL, text, &characters, &error) == 0);
    length = sizeof(same);
    CHECK(spi.lpWSPStringToAddress(text, WS_AF_INET, NULL, (SOCKADDR *)&same, &length, &error) == 0);
    CHECK(same.sin_port == name.sin_port && same.sin_addr == name.sin_addr);
    return 0;
}

/* Datagrams: what no SAN ever sees. */
static int datagrams(void)
{
    SOCKADDR_IN name = {0};
    int length = sizeof(name);
    char data[4], text[] = "hi";
    WSABUF into = {sizeof(data), data}, from = {2, text};
    DWORD bytes, flags = 0;
    SOCKET a = spi.lpWSPSocket(WS_AF_INET, WS_SOCK_DGRAM, 0, NULL, 0, WSA_FLAG_OVERLAPPED, &error);

    name.sin_family = WS_AF_INET;
    name.sin_addr = htonl(0x7F000001);
    CHECK(spi.lpWSPBind(a, (SOCKADDR *)&name, sizeof(name), &error) == 0);
    CHECK(spi.lpWSPGetSockName(a, (SOCKADDR *)&name, &length, &error) == 0);
    CHECK(spi.lpWSPSendTo(a, &from, 1, &bytes, 0, (SOCKADDR *)&name, sizeof(name), NULL, NULL, NULL, &error) == 0);
    CHECK(spi.lpWSPRecvFrom(a, &into, 1, &bytes, &flags, NULL, NULL, NULL, NULL, NULL, &error) == 0 && bytes == 2);
    CHECK(spi.lpWSPCloseSocket(a, &error) == 0);
    return 0;
}

int main(void)
{
    SOCKET client, server;
    char byte;
    WSABUF into = {1, &byte};
    DWORD bytes, flags = 0;

    error = spi_start(&spi);
    CHECK(error == 0);
    if (connect_and_accept(&client, &server) || receive(client, server) || control(client, server) || datagrams())
        return 1;
    CHECK(spi.lpWSPSendDisconnect(client, NULL, &error) == 0);
    CHECK(spi.lpWSPRecv(server, &into, 1, &bytes, &flags, NULL, NULL, NULL, &error) == 0 && bytes == 0);
    CHECK(spi.lpWSPCloseSocket(client, &error) == 0);
    CHECK(spi.lpWSPCloseSocket(client, &error) == SOCKET_ERROR && error == WSAENOTSOCK);
    CHECK(spi.lpWSPCloseSocket(server, &error) == 0);
    CHECK(spi.lpWSPCleanup(&error) == 0);
    CHECK(spi.lpWSPCleanup(&error) == SOCKET_ERROR && error == WSANOTINITIALISED);
    puts("done");
    return 0;
}
