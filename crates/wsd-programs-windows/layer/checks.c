#include "host.h"

static SOCKET new_socket(const WSPPROC_TABLE *of, DWORD number, int kind, int protocol)
{
    return of->lpWSPSocket(AF_INET, kind, protocol, entry(number), 0, WSA_FLAG_OVERLAPPED, &error);
}

static void starts(void)
{
    WSPPROC_TABLE one, two, again;
    CHECK(start(CHAIN_TCP, 0x0101, &one) == WSAVERNOTSUPPORTED);
    CHECK(start(BASE_TCP, 0x0202, &one) == WSAEPROVIDERFAILEDINIT);
    CHECK(start(LAYER, 0x0202, &one) == WSAEPROVIDERFAILEDINIT);
    CHECK(start(CHAIN_TCP, 0x0202, &one) == 0);
    for (size_t place = 0; place < sizeof one / sizeof(void *); place++)
        CHECK(((void **)&one)[place] != NULL);
    CHECK(start(CHAIN_TCP, 0x0202, &two) == 0);
    CHECK(memcmp(&one, &two, sizeof one) == 0);
    CHECK(one.lpWSPCleanup(&error) == 0);
    SOCKET socket = new_socket(&one, CHAIN_TCP, SOCK_STREAM, IPPROTO_TCP);
    CHECK(socket != INVALID_SOCKET);
    CHECK(one.lpWSPCloseSocket(socket, &error) == 0);
    CHECK(one.lpWSPCleanup(&error) == 0);
    CHECK(one.lpWSPCleanup(&error) == SOCKET_ERROR && error == WSANOTINITIALISED);
    error = 0;
    CHECK(new_socket(&one, CHAIN_TCP, SOCK_STREAM, IPPROTO_TCP) == INVALID_SOCKET && error == WSANOTINITIALISED);
    CHECK(start(CHAIN_TCP, 0x0202, &again) == 0);
    CHECK(memcmp(&one, &again, sizeof one) == 0);
}

static void describes(void)
{
    WSAPROTOCOL_INFOW info;
    WSAPROTOCOL_INFOA narrow;
    int length = sizeof info;
    SOCKET socket = new_socket(&table, CHAIN_TCP, SOCK_STREAM, IPPROTO_TCP);
    CHECK(socket != INVALID_SOCKET && owner == CHAIN_TCP);
    CHECK(table.lpWSPGetSockOpt(socket, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &length, &error) == 0);
    CHECK(info.dwCatalogEntryId == CHAIN_TCP && info.ProtocolChain.ChainLen == 2);
    length = sizeof narrow;
    CHECK(table.lpWSPGetSockOpt(socket, SOL_SOCKET, SO_PROTOCOL_INFOA, (char *)&narrow, &length, &error) == 0);
    CHECK(narrow.dwCatalogEntryId == CHAIN_TCP && narrow.ProtocolChain.ChainLen == 2);
    CHECK(table.lpWSPDuplicateSocket(socket, GetCurrentProcessId(), &info, &error) == 0);
    CHECK(info.dwCatalogEntryId == CHAIN_TCP && info.dwProviderReserved != 0);
    owner = 0;
    SOCKET given = table.lpWSPSocket(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0,
                                     WSA_FLAG_OVERLAPPED, &error);
    CHECK(given != INVALID_SOCKET && owner == CHAIN_TCP);
    CHECK(table.lpWSPCloseSocket(given, &error) == 0);
    CHECK(table.lpWSPCloseSocket(socket, &error) == 0);
}

static void fails(void)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char byte = 1;
    WSABUF buffer = { 1, &byte };
    DWORD moved, flags = 0;
    SOCKET socket = new_socket(&table, CHAIN_TCP, SOCK_STREAM, IPPROTO_TCP);
    error = 0;
    CHECK(table.lpWSPRecv(socket, &buffer, 1, &moved, &flags, NULL, NULL, NULL, &error) == SOCKET_ERROR);
    CHECK(error == WSAENOTCONN);
    /* Nobody listens at a name that is only bound. */
    int length = sizeof name;
    SOCKET bound = new_socket(&table, CHAIN_TCP, SOCK_STREAM, IPPROTO_TCP);
    CHECK(table.lpWSPBind(bound, (struct sockaddr *)&name, sizeof name, &error) == 0);
    CHECK(table.lpWSPGetSockName(bound, (struct sockaddr *)&name, &length, &error) == 0);
    error = 0;
    CHECK(table.lpWSPConnect(socket, (struct sockaddr *)&name, sizeof name, NULL, NULL, NULL, NULL, &error) == SOCKET_ERROR);
    CHECK(error == WSAECONNREFUSED);
    CHECK(table.lpWSPCloseSocket(bound, &error) == 0);
    CHECK(table.lpWSPCloseSocket(socket, &error) == 0);
    error = 0;
    CHECK(table.lpWSPSend(socket, &buffer, 1, &moved, 0, NULL, NULL, NULL, &error) == SOCKET_ERROR);
    CHECK(error == WSAENOTSOCK);
}

/* Another chain is started by itself, and what is no TCP passes. */
static void passes(void)
{
    WSPPROC_TABLE other;
    char byte = 5;
    WSABUF buffer = { 1, &byte };
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int length = sizeof name;
    DWORD moved, flags = 0;
    struct timeval limit = { 60, 0 };
    fd_set set;
    CHECK(start(CHAIN_UDP, 0x0202, &other) == 0);
    CHECK(other.lpWSPSocket != table.lpWSPSocket);
    SOCKET socket = new_socket(&other, CHAIN_UDP, SOCK_DGRAM, IPPROTO_UDP);
    CHECK(socket != INVALID_SOCKET && owner == CHAIN_UDP);
    CHECK(other.lpWSPBind(socket, (struct sockaddr *)&name, sizeof name, &error) == 0);
    CHECK(other.lpWSPGetSockName(socket, (struct sockaddr *)&name, &length, &error) == 0);
    CHECK(other.lpWSPSendTo(socket, &buffer, 1, &moved, 0, (struct sockaddr *)&name, sizeof name, NULL, NULL, NULL,
                            &error) == 0);
    FD_ZERO(&set);
    FD_SET(socket, &set);
    CHECK(other.lpWSPSelect(0, &set, NULL, NULL, &limit, &error) == 1);
    byte = 0;
    CHECK(other.lpWSPRecvFrom(socket, &buffer, 1, &moved, &flags, NULL, NULL, NULL, NULL, NULL, &error) == 0);
    CHECK(moved == 1 && byte == 5);
    CHECK(other.lpWSPCloseSocket(socket, &error) == 0);
    CHECK(other.lpWSPCleanup(&error) == 0);
    /* The first goes on. */
    describes();
}

void check_all(void)
{
    starts();
    CHECK(start(CHAIN_TCP, 0x0202, &table) == 0);
    describes();
    fails();
    passes();
}
