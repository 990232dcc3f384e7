/*
 * options.c: options, names and control codes.
 */
#include "exerciser.h"

#include <string.h>

static long long option(SOCKET s, int level, int name)
{
    DWORD value = 0;
    int length = sizeof(value);

    if (getsockopt(s, level, name, (char *)&value, &length) != 0)
        return -WSAGetLastError();
    return length == 1 ? (unsigned char)value : value;
}

static long long set_option(SOCKET s, int level, int name, DWORD value)
{
    return setsockopt(s, level, name, (char *)&value, sizeof(value)) == 0 ? option(s, level, name) : -WSAGetLastError();
}

static void read_and_set(SOCKET s)
{
    struct linger linger = {1, 7};
    int length = sizeof(linger);

    fact("type", option(s, SOL_SOCKET, SO_TYPE));
    fact("accepts", option(s, SOL_SOCKET, SO_ACCEPTCONN));
    fact("error", option(s, SOL_SOCKET, SO_ERROR));
    fact("nodelay", option(s, IPPROTO_TCP, TCP_NODELAY));
    fact("nodelay_set", set_option(s, IPPROTO_TCP, TCP_NODELAY, 1));
    fact("keepalive_set", set_option(s, SOL_SOCKET, SO_KEEPALIVE, 1));
    fact("oobinline_set", set_option(s, SOL_SOCKET, SO_OOBINLINE, 1));
    fact("sndtimeo_set", set_option(s, SOL_SOCKET, SO_SNDTIMEO, 4000));
    fact("rcvtimeo_set", set_option(s, SOL_SOCKET, SO_RCVTIMEO, 5000));
    REQUIRE(set_option(s, SOL_SOCKET, SO_SNDBUF, 100000) >= 100000);
    REQUIRE(set_option(s, SOL_SOCKET, SO_RCVBUF, 100000) >= 100000);
    fact("unknown", option(s, SOL_SOCKET, 0x7777));
    fact("unknown_level", option(s, 0x7777, 1));
    REQUIRE(setsockopt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, sizeof(linger)) == 0);
    linger = (struct linger){0, 0};
    REQUIRE(getsockopt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, &length) == 0);
    fact("linger", linger.l_onoff * 1000 + linger.l_linger);
    say(s);
    hear(s);
    finish(s);
}

static void answer_once(SOCKET s)
{
    hear(s);
    say(s);
    finish(s);
}

static void names(SOCKET s)
{
    struct sockaddr_in own, peer, again;
    WSAPROTOCOL_INFOW info;
    int length = sizeof(own);

    REQUIRE(getsockname(s, (struct sockaddr *)&own, &length) == 0);
    fact("length", length);
    REQUIRE(getpeername(s, (struct sockaddr *)&peer, &length) == 0);
    fact("own", ntohl(own.sin_addr.s_addr));
    fact("peer", ntohl(peer.sin_addr.s_addr));
    REQUIRE(own.sin_port != peer.sin_port && own.sin_port != 0 && peer.sin_port != 0);
    REQUIRE(getsockname(s, (struct sockaddr *)&again, &length) == 0 && memcmp(&own, &again, sizeof(own)) == 0);
    length = 3;
    REQUIRE_ERROR(getsockname(s, (struct sockaddr *)&again, &length), WSAEFAULT);
    length = sizeof(info);
    REQUIRE(getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &length) == 0);
    fact("family", info.iAddressFamily);
    fact("protocol", info.iProtocol);
    say(s);
    hear(s);
    finish(s);
    REQUIRE_ERROR(getpeername(s, (struct sockaddr *)&peer, &length), WSAENOTSOCK);
}

static void controls(SOCKET s)
{
    struct tcp_keepalive keepalive = {1, 60000, 1000};
    u_long number = 0;
    DWORD length;
    char bytes[8];

    REQUIRE(ioctlsocket(s, FIONREAD, &number) == 0);
    fact("unread", number);
    say(s);
    while (number < sizeof(bytes)) {
        REQUIRE(ioctlsocket(s, FIONREAD, &number) == 0);
        Sleep(1);
    }
    fact("unread", number);
    receive_all(s, bytes, 3);
    REQUIRE(WSAIoctl(s, FIONREAD, NULL, 0, &number, sizeof(number), &length, NULL, NULL) == 0);
    fact("unread", number);
    receive_all(s, bytes, 5);
    REQUIRE(ioctlsocket(s, SIOCATMARK, &number) == 0);
    fact("mark", number);
    fact("keepalive", WSAIoctl(s, SIO_KEEPALIVE_VALS, &keepalive, sizeof(keepalive), NULL, 0, &length, NULL, NULL) == 0
            ? 0 : WSAGetLastError());
    REQUIRE_ERROR(WSAIoctl(s, 0x7777, NULL, 0, NULL, 0, &length, NULL, NULL), WSAEOPNOTSUPP);
    finish(s);
}

static void eight_bytes(SOCKET s)
{
    hear(s);
    send_pattern(s, 8, 20);
    finish(s);
}

static void extensions(SOCKET s)
{
    static const struct {
        const char *name;
        GUID id;
    } all[] = {
        {"AcceptEx", WSAID_ACCEPTEX}, {"ConnectEx", WSAID_CONNECTEX}, {"DisconnectEx", WSAID_DISCONNECTEX},
        {"TransmitFile", WSAID_TRANSMITFILE}, {"GetAcceptExSockaddrs", WSAID_GETACCEPTEXSOCKADDRS},
        {"WSARecvMsg", WSAID_WSARECVMSG}, {"TransmitPackets", WSAID_TRANSMITPACKETS}, {"WSASendMsg", WSAID_WSASENDMSG},
    };
    GUID unknown = {1, 2, 3, {4}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        fact(all[i].name, extension(s, all[i].id) != NULL);
    REQUIRE(extension(s, unknown) == NULL);
    fact("unknown", WSAGetLastError());
    say(s);
    hear(s);
    finish(s);
}

/* Urgent data stands beside the stream. */
static void urgent(SOCKET s)
{
    fd_set exceptional;
    char bytes[8];

    FD_ZERO(&exceptional);
    FD_SET(s, &exceptional);
    REQUIRE(select(0, NULL, NULL, &exceptional, &(struct timeval){.tv_sec = PATIENCE / 1000}) == 1);
    REQUIRE(recv(s, bytes, 1, MSG_OOB) == 1);
    fact("urgent", bytes[0]);
    receive_all(s, bytes, 8);
    hash_fact("data", hash(bytes, 8));
    REQUIRE(send(s, "u", 1, MSG_OOB) == 1);
    hear(s);
    finish(s);
}

static void answer_urgent(SOCKET s)
{
    fd_set exceptional;
    char byte;

    send_pattern(s, 4, 21);
    REQUIRE(send(s, "U", 1, MSG_OOB) == 1);
    send_pattern(s, 4, 22);
    FD_ZERO(&exceptional);
    FD_SET(s, &exceptional);
    REQUIRE(select(0, NULL, NULL, &exceptional, &(struct timeval){.tv_sec = PATIENCE / 1000}) == 1);
    REQUIRE(recv(s, &byte, 1, MSG_OOB) == 1 && byte == 'u');
    say(s);
    finish(s);
}

const struct scenario options[] = {
    {.name = "options", .tested = read_and_set, .partner = answer_once},
    {.name = "names", .tested = names, .partner = answer_once},
    {.name = "controls", .tested = controls, .partner = eight_bytes},
    {.name = "extension_functions", .tested = extensions, .partner = answer_once},
    {.name = "urgent_data", .tested = urgent, .partner = answer_urgent},
    {.name = NULL},
};
