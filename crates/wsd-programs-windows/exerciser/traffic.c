/*
 * traffic.c: data, plain sends and receives, and sockets.
 */
#include "exerciser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fill(char *bytes, size_t length, unsigned seed)
{
    uint32_t state = seed * 2654435761u + 1;

    for (size_t i = 0; i < length; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (char)(state >> 24);
    }
}

uint64_t hash(const char *bytes, size_t length)
{
    uint64_t value = 0xcbf29ce484222325u;

    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return value;
}

uint64_t hash_of(size_t length, unsigned seed)
{
    char *bytes = malloc(length);
    uint64_t value;

    REQUIRE(bytes != NULL);
    fill(bytes, length, seed);
    value = hash(bytes, length);
    free(bytes);
    return value;
}

void send_all(SOCKET s, const char *bytes, size_t length)
{
    while (length != 0) {
        int sent = send(s, bytes, (int)length, 0);

        REQUIRE(sent > 0);
        bytes += sent;
        length -= (size_t)sent;
    }
}

void receive_all(SOCKET s, char *bytes, size_t length)
{
    while (length != 0) {
        int got = recv(s, bytes, (int)length, 0);

        REQUIRE(got > 0);
        bytes += got;
        length -= (size_t)got;
    }
}

void send_pattern(SOCKET s, size_t length, unsigned seed)
{
    char *bytes = malloc(length);

    REQUIRE(bytes != NULL);
    fill(bytes, length, seed);
    send_all(s, bytes, length);
    free(bytes);
}

void receive_pattern(SOCKET s, size_t length, unsigned seed)
{
    char *bytes = malloc(length);

    REQUIRE(bytes != NULL);
    receive_all(s, bytes, length);
    REQUIRE(hash(bytes, length) == hash_of(length, seed));
    free(bytes);
}

void say(SOCKET s)
{
    send_all(s, "!", 1);
}

void hear(SOCKET s)
{
    char byte;

    receive_all(s, &byte, 1);
    REQUIRE(byte == '!');
}

/* An event that both ends know by the port of who sets it. */
HANDLE event_of(const struct sockaddr_in *name)
{
    char text[64];
    HANDLE event;

    snprintf(text, sizeof(text), "Local\\exerciser-%d", ntohs(name->sin_port));
    event = CreateEventA(NULL, TRUE, FALSE, text);
    REQUIRE(event != NULL);
    return event;
}

void signal_partner(SOCKET s)
{
    struct sockaddr_in name;
    int length = sizeof(name);

    REQUIRE(getsockname(s, (struct sockaddr *)&name, &length) == 0);
    REQUIRE(SetEvent(event_of(&name)));
}

void await_listener(const struct sockaddr_in *address)
{
    HANDLE event = event_of(address);

    REQUIRE(WaitForSingleObject(event, PATIENCE) == WAIT_OBJECT_0);
    CloseHandle(event);
}

void await_partner(SOCKET s)
{
    struct sockaddr_in name;
    int length = sizeof(name);

    REQUIRE(getpeername(s, (struct sockaddr *)&name, &length) == 0);
    await_listener(&name);
}

void finish(SOCKET s)
{
    char byte;

    REQUIRE(shutdown(s, SD_SEND) == 0);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    drop(s);
}

void drop(SOCKET s)
{
    REQUIRE(closesocket(s) == 0);
}

SOCKET new_socket(void)
{
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

    REQUIRE(s != INVALID_SOCKET);
    return s;
}

SOCKET listen_anywhere(struct sockaddr_in *address)
{
    SOCKET s = new_socket();
    int length = sizeof(*address);

    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(s, (struct sockaddr *)address, sizeof(*address)) == 0);
    REQUIRE(listen(s, SOMAXCONN) == 0);
    REQUIRE(getsockname(s, (struct sockaddr *)address, &length) == 0);
    return s;
}

SOCKET connect_to(const struct sockaddr_in *server)
{
    SOCKET s = new_socket();

    REQUIRE(connect(s, (const struct sockaddr *)server, sizeof(*server)) == 0);
    return s;
}

SOCKET accept_one(SOCKET listener)
{
    SOCKET s = accept(listener, NULL, NULL);

    REQUIRE(s != INVALID_SOCKET);
    return s;
}

void set_blocking(SOCKET s, bool is_blocking)
{
    u_long value = !is_blocking;

    REQUIRE(ioctlsocket(s, FIONBIO, &value) == 0);
}

void *extension(SOCKET s, GUID id)
{
    void *function = NULL;
    DWORD length;
    int answer = WSAIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), &function, sizeof(function), &length,
        NULL, NULL);

    return answer == 0 ? function : NULL;
}

WSAOVERLAPPED with_event(void)
{
    WSAOVERLAPPED request = {.hEvent = WSACreateEvent()};

    REQUIRE(request.hEvent != WSA_INVALID_EVENT);
    return request;
}

DWORD result_of(SOCKET s, WSAOVERLAPPED *request)
{
    DWORD bytes, flags;

    REQUIRE(WaitForSingleObject(request->hEvent, PATIENCE) == WAIT_OBJECT_0);
    REQUIRE(WSAGetOverlappedResult(s, request, &bytes, FALSE, &flags));
    REQUIRE(WSACloseEvent(request->hEvent));
    return bytes;
}

int start_receive(SOCKET s, char *bytes, DWORD length, WSAOVERLAPPED *request)
{
    WSABUF buffer = {length, bytes};
    DWORD flags = 0;

    return WSARecv(s, &buffer, 1, NULL, &flags, request, NULL) == 0 ? 0 : WSAGetLastError();
}

int start_send(SOCKET s, char *bytes, DWORD length, WSAOVERLAPPED *request)
{
    WSABUF buffer = {length, bytes};

    return WSASend(s, &buffer, 1, NULL, 0, request, NULL) == 0 ? 0 : WSAGetLastError();
}

void post_receive(SOCKET s, char *bytes, DWORD length, WSAOVERLAPPED *request)
{
    *request = with_event();
    REQUIRE(start_receive(s, bytes, length, request) == WSA_IO_PENDING);
}

void post_send(SOCKET s, char *bytes, DWORD length, WSAOVERLAPPED *request)
{
    int code;

    *request = with_event();
    code = start_send(s, bytes, length, request);
    REQUIRE(code == 0 || code == WSA_IO_PENDING);
}
