/* A base provider for the layer to stand on: Winsock's own functions, in the shape of the interface for providers. */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <ws2spi.h>

static WSPUPCALLTABLE upcalls;

/* What WSADuplicateSocket writes beside the documented members, under Wine; a provider has one member for it. */
#define MAGIC 0xff00ff00

static int told(int result, LPINT error)
{
    if (result == SOCKET_ERROR)
        *error = WSAGetLastError();
    return result;
}

static BOOL succeeded(BOOL result, LPINT error)
{
    if (!result)
        *error = WSAGetLastError();
    return result;
}

static SOCKET made(SOCKET socket, DWORD entry, LPINT error)
{
    if (socket == INVALID_SOCKET) {
        *error = WSAGetLastError();
        return socket;
    }
    return upcalls.lpWPUModifyIFSHandle(entry, socket, error);
}

static SOCKET WSPAPI base_socket(int family, int kind, int protocol, LPWSAPROTOCOL_INFOW info, GROUP group,
                                 DWORD flags, LPINT error)
{
    WSAPROTOCOL_INFOW given = *info;
    if (info->dwProviderReserved == 0)
        return made(WSASocketW(family, kind, protocol, NULL, group, flags), info->dwCatalogEntryId, error);
    given.dwServiceFlags3 = info->dwProviderReserved;
    given.dwServiceFlags4 = MAGIC;
    return made(WSASocketW(family, kind, protocol, &given, group, flags), info->dwCatalogEntryId, error);
}

static int WSPAPI base_duplicate(SOCKET socket, DWORD process, LPWSAPROTOCOL_INFOW info, LPINT error)
{
    int result = told(WSADuplicateSocketW(socket, process, info), error);
    info->dwProviderReserved = info->dwServiceFlags3;
    return result;
}

static SOCKET WSPAPI base_accept(SOCKET socket, struct sockaddr *name, LPINT length, LPCONDITIONPROC condition,
                                 DWORD_PTR context, LPINT error)
{
    return made(WSAAccept(socket, name, length, condition, context), 1001, error);
}

static int WSPAPI base_address_to_string(LPSOCKADDR name, DWORD length, LPWSAPROTOCOL_INFOW info, LPWSTR text,
                                         LPDWORD text_length, LPINT error)
{
    return told(WSAAddressToStringW(name, length, info, text, text_length), error);
}

static int WSPAPI base_string_to_address(LPWSTR text, INT family, LPWSAPROTOCOL_INFOW info, LPSOCKADDR name,
                                         LPINT length, LPINT error)
{
    return told(WSAStringToAddressW(text, family, info, name, length), error);
}

static int WSPAPI base_async_select(SOCKET socket, HWND window, unsigned message, long events, LPINT error)
{
    return told(WSAAsyncSelect(socket, window, message, events), error);
}

static int WSPAPI base_bind(SOCKET socket, const struct sockaddr *name, int length, LPINT error)
{
    return told(bind(socket, name, length), error);
}

static int WSPAPI base_cancel(LPINT error)
{
    *error = WSAEOPNOTSUPP;
    return SOCKET_ERROR;
}

static int WSPAPI base_cleanup(LPINT error)
{
    return told(WSACleanup(), error);
}

static int WSPAPI base_close(SOCKET socket, LPINT error)
{
    return told(closesocket(socket), error);
}

static int WSPAPI base_connect(SOCKET socket, const struct sockaddr *name, int length, LPWSABUF caller,
                               LPWSABUF callee, LPQOS sqos, LPQOS gqos, LPINT error)
{
    return told(WSAConnect(socket, name, length, caller, callee, sqos, gqos), error);
}

static int WSPAPI base_enum_events(SOCKET socket, WSAEVENT event, LPWSANETWORKEVENTS events, LPINT error)
{
    return told(WSAEnumNetworkEvents(socket, event, events), error);
}

static int WSPAPI base_event_select(SOCKET socket, WSAEVENT event, long events, LPINT error)
{
    return told(WSAEventSelect(socket, event, events), error);
}

static BOOL WSPAPI base_result(SOCKET socket, LPWSAOVERLAPPED overlapped, LPDWORD bytes, BOOL wait, LPDWORD flags,
                               LPINT error)
{
    return succeeded(WSAGetOverlappedResult(socket, overlapped, bytes, wait, flags), error);
}

static int WSPAPI base_peer_name(SOCKET socket, struct sockaddr *name, LPINT length, LPINT error)
{
    return told(getpeername(socket, name, length), error);
}

static int WSPAPI base_own_name(SOCKET socket, struct sockaddr *name, LPINT length, LPINT error)
{
    return told(getsockname(socket, name, length), error);
}

static int WSPAPI base_get_option(SOCKET socket, int level, int name, char *value, LPINT length, LPINT error)
{
    return told(getsockopt(socket, level, name, value, length), error);
}

static BOOL WSPAPI base_qos(SOCKET socket, LPWSABUF name, LPQOS qos, LPINT error)
{
    (void)socket, (void)name, (void)qos;
    *error = WSAEOPNOTSUPP;
    return FALSE;
}

static int WSPAPI base_ioctl(SOCKET socket, DWORD code, LPVOID in, DWORD in_length, LPVOID out, DWORD out_length,
                             LPDWORD written, LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                             LPWSATHREADID thread, LPINT error)
{
    (void)thread;
    return told(WSAIoctl(socket, code, in, in_length, out, out_length, written, overlapped, routine), error);
}

static SOCKET WSPAPI base_join(SOCKET socket, const struct sockaddr *name, int length, LPWSABUF caller,
                               LPWSABUF callee, LPQOS sqos, LPQOS gqos, DWORD flags, LPINT error)
{
    (void)socket, (void)name, (void)length, (void)caller, (void)callee, (void)sqos, (void)gqos, (void)flags;
    *error = WSAEOPNOTSUPP;
    return INVALID_SOCKET;
}

static int WSPAPI base_listen(SOCKET socket, int backlog, LPINT error)
{
    return told(listen(socket, backlog), error);
}

static int WSPAPI base_recv(SOCKET socket, LPWSABUF buffers, DWORD count, LPDWORD received, LPDWORD flags,
                            LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                            LPWSATHREADID thread, LPINT error)
{
    (void)thread;
    return told(WSARecv(socket, buffers, count, received, flags, overlapped, routine), error);
}

static int WSPAPI base_recv_disconnect(SOCKET socket, LPWSABUF data, LPINT error)
{
    return told(WSARecvDisconnect(socket, data), error);
}

static int WSPAPI base_recv_from(SOCKET socket, LPWSABUF buffers, DWORD count, LPDWORD received, LPDWORD flags,
                                 struct sockaddr *name, LPINT length, LPWSAOVERLAPPED overlapped,
                                 LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error)
{
    (void)thread;
    return told(WSARecvFrom(socket, buffers, count, received, flags, name, length, overlapped, routine), error);
}

static int WSPAPI base_select(int count, fd_set *reads, fd_set *writes, fd_set *errors, const PTIMEVAL limit,
                              LPINT error)
{
    return told(select(count, reads, writes, errors, limit), error);
}

static int WSPAPI base_send(SOCKET socket, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags,
                            LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                            LPWSATHREADID thread, LPINT error)
{
    (void)thread;
    return told(WSASend(socket, buffers, count, sent, flags, overlapped, routine), error);
}

static int WSPAPI base_send_disconnect(SOCKET socket, LPWSABUF data, LPINT error)
{
    return told(WSASendDisconnect(socket, data), error);
}

static int WSPAPI base_send_to(SOCKET socket, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags,
                               const struct sockaddr *name, int length, LPWSAOVERLAPPED overlapped,
                               LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error)
{
    (void)thread;
    return told(WSASendTo(socket, buffers, count, sent, flags, name, length, overlapped, routine), error);
}

static int WSPAPI base_set_option(SOCKET socket, int level, int name, const char *value, int length, LPINT error)
{
    return told(setsockopt(socket, level, name, value, length), error);
}

static int WSPAPI base_shutdown(SOCKET socket, int how, LPINT error)
{
    return told(shutdown(socket, how), error);
}

__declspec(dllexport) int WSPAPI WSPStartup(WORD version, LPWSPDATA data, LPWSAPROTOCOL_INFOW info,
                                            WSPUPCALLTABLE given, LPWSPPROC_TABLE table)
{
    static const WSPPROC_TABLE functions = {
        base_accept, base_address_to_string, base_async_select, base_bind, base_cancel, base_cleanup, base_close,
        base_connect, base_duplicate, base_enum_events, base_event_select, base_result, base_peer_name,
        base_own_name, base_get_option, base_qos, base_ioctl, base_join, base_listen, base_recv,
        base_recv_disconnect, base_recv_from, base_select, base_send, base_send_disconnect, base_send_to,
        base_set_option, base_shutdown, base_socket, base_string_to_address,
    };
    WSADATA facts;
    /* A base provider is started with its own entry. */
    if (info->ProtocolChain.ChainLen != BASE_PROTOCOL)
        return WSAEPROVIDERFAILEDINIT;
    upcalls = given;
    data->wVersion = data->wHighVersion = version;
    lstrcpyW(data->szDescription, L"base");
    *table = functions;
    return WSAStartup(version, &facts);
}
