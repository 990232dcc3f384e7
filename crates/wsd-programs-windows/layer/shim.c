/* Winsock's functions on top of the layer's table. */
#define SHIM_ITSELF
#include "shim.h"
#include "host.h"

/* Calls a function of a table; its error is that of the thread then. */
#define CALL(table, failure, function, ...)                                                                            \
    ({                                                                                                                 \
        int cause = 0;                                                                                                 \
        __auto_type result = table.function(__VA_ARGS__, &cause);                                                      \
        if (result == (failure))                                                                                       \
            WSASetLastError(cause);                                                                                    \
        result;                                                                                                        \
    })

/* The chain of datagrams has a table of its own, with the same functions behind it but for making sockets. */
static WSPPROC_TABLE datagrams;

/* The thread, as far as a provider has to know it. */
#define THREAD (&(WSATHREADID){ GetCurrentThread(), 0 })

int shim_WSAStartup(WORD version, WSADATA *data)
{
    static char layer[MAX_PATH], base[MAX_PATH];
    HMODULE own;
    const char *command = getenv("WSD_WINDOWS_COMMAND");
    CHECK(command != NULL && strrchr(command, '/') != NULL);
    snprintf(layer, sizeof layer, "Z:%.*s/wsd_winsock.dll", (int)(strrchr(command, '/') - command), command);
    CHECK(GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (char *)shim_WSAStartup, &own));
    CHECK(GetModuleFileNameA(own, base, sizeof base) < sizeof base);
    strcpy(strrchr(base, '\\') + 1, "base.dll");
    load(layer, base);
    CHECK(start(CHAIN_TCP, 0x0202, &table) == 0 && start(CHAIN_UDP, 0x0202, &datagrams) == 0);
    return WSAStartup(version, data);
}

SOCKET shim_socket(int family, int kind, int protocol)
{
    return shim_WSASocketW(family, kind, protocol, NULL, 0, WSA_FLAG_OVERLAPPED);
}

SOCKET shim_WSASocketW(int family, int kind, int protocol, WSAPROTOCOL_INFOW *info, GROUP group, DWORD flags)
{
    if (kind == SOCK_DGRAM)
        return CALL(datagrams, INVALID_SOCKET, lpWSPSocket, family, kind, protocol, entry(CHAIN_UDP), group, flags);
    return CALL(table, INVALID_SOCKET, lpWSPSocket, family, kind, protocol, info ? info : entry(CHAIN_TCP), group, flags);
}

int shim_closesocket(SOCKET s)
{
    return CALL(table, SOCKET_ERROR, lpWSPCloseSocket, s);
}

int shim_connect(SOCKET s, const struct sockaddr *name, int length)
{
    return shim_WSAConnect(s, name, length, NULL, NULL, NULL, NULL);
}

int shim_WSAConnect(SOCKET s, const struct sockaddr *name, int length, WSABUF *caller, WSABUF *callee, QOS *sqos, QOS *gqos)
{
    return CALL(table, SOCKET_ERROR, lpWSPConnect, s, name, length, caller, callee, sqos, gqos);
}

SOCKET shim_accept(SOCKET s, struct sockaddr *name, int *length)
{
    return shim_WSAAccept(s, name, length, NULL, 0);
}

SOCKET shim_WSAAccept(SOCKET s, struct sockaddr *name, int *length, LPCONDITIONPROC condition, DWORD_PTR context)
{
    return CALL(table, INVALID_SOCKET, lpWSPAccept, s, name, length, condition, context);
}

int shim_bind(SOCKET s, const struct sockaddr *name, int length)
{
    return CALL(table, SOCKET_ERROR, lpWSPBind, s, name, length);
}

int shim_listen(SOCKET s, int backlog)
{
    return CALL(table, SOCKET_ERROR, lpWSPListen, s, backlog);
}

int shim_getsockname(SOCKET s, struct sockaddr *name, int *length)
{
    return CALL(table, SOCKET_ERROR, lpWSPGetSockName, s, name, length);
}

int shim_getpeername(SOCKET s, struct sockaddr *name, int *length)
{
    return CALL(table, SOCKET_ERROR, lpWSPGetPeerName, s, name, length);
}

int shim_send(SOCKET s, const char *data, int length, int flags)
{
    WSABUF buffer = { length, (char *)data };
    DWORD sent;
    int result = CALL(table, SOCKET_ERROR, lpWSPSend, s, &buffer, 1, &sent, flags, NULL, NULL, THREAD);
    return result == 0 ? (int)sent : result;
}

int shim_recv(SOCKET s, char *data, int length, int flags)
{
    WSABUF buffer = { length, data };
    DWORD received, both = flags;
    int result = CALL(table, SOCKET_ERROR, lpWSPRecv, s, &buffer, 1, &received, &both, NULL, NULL, THREAD);
    return result == 0 ? (int)received : result;
}

int shim_WSASend(SOCKET s, WSABUF *buffers, DWORD count, DWORD *sent, DWORD flags, WSAOVERLAPPED *request,
                 LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    return CALL(table, SOCKET_ERROR, lpWSPSend, s, buffers, count, sent, flags, request, routine, THREAD);
}

int shim_WSARecv(SOCKET s, WSABUF *buffers, DWORD count, DWORD *received, DWORD *flags, WSAOVERLAPPED *request,
                 LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    return CALL(table, SOCKET_ERROR, lpWSPRecv, s, buffers, count, received, flags, request, routine, THREAD);
}

/* What Winsock does itself begins with the base provider's handle. */
static void ask_for_handle(SOCKET s, DWORD code)
{
    SOCKET base;
    DWORD written;
    int unknown;
    table.lpWSPIoctl(s, code, NULL, 0, &base, sizeof base, &written, NULL, NULL, THREAD, &unknown);
}

int shim_WSASendMsg(SOCKET s, WSAMSG *message, DWORD flags, DWORD *sent, WSAOVERLAPPED *request,
                    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    ask_for_handle(s, SIO_BSP_HANDLE);
    return WSASendMsg(s, message, flags, sent, request, routine);
}

int shim_shutdown(SOCKET s, int how)
{
    return CALL(table, SOCKET_ERROR, lpWSPShutdown, s, how);
}

int shim_select(int count, fd_set *reads, fd_set *writes, fd_set *errors, const struct timeval *limit)
{
    return CALL(table, SOCKET_ERROR, lpWSPSelect, count, reads, writes, errors, (PTIMEVAL)limit);
}

int shim_WSAPoll(WSAPOLLFD *sockets, ULONG count, int limit)
{
    for (ULONG place = 0; place < count; place++)
        ask_for_handle(sockets[place].fd, SIO_BSP_HANDLE_POLL);
    return WSAPoll(sockets, count, limit);
}

int shim_setsockopt(SOCKET s, int level, int name, const char *value, int length)
{
    return CALL(table, SOCKET_ERROR, lpWSPSetSockOpt, s, level, name, value, length);
}

int shim_getsockopt(SOCKET s, int level, int name, char *value, int *length)
{
    return CALL(table, SOCKET_ERROR, lpWSPGetSockOpt, s, level, name, value, length);
}

int shim_ioctlsocket(SOCKET s, long command, u_long *argument)
{
    DWORD written, length = sizeof *argument;
    return shim_WSAIoctl(s, command, argument, length, argument, length, &written, NULL, NULL);
}

int shim_WSAIoctl(SOCKET s, DWORD code, void *in, DWORD in_length, void *out, DWORD out_length, DWORD *written,
                  WSAOVERLAPPED *request, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    return CALL(table, SOCKET_ERROR, lpWSPIoctl, s, code, in, in_length, out, out_length, written, request, routine, THREAD);
}

int shim_WSAEventSelect(SOCKET s, WSAEVENT event, long events)
{
    return CALL(table, SOCKET_ERROR, lpWSPEventSelect, s, event, events);
}

int shim_WSAEnumNetworkEvents(SOCKET s, WSAEVENT event, WSANETWORKEVENTS *events)
{
    return CALL(table, SOCKET_ERROR, lpWSPEnumNetworkEvents, s, event, events);
}

int shim_WSAAsyncSelect(SOCKET s, HWND window, u_int message, long events)
{
    return CALL(table, SOCKET_ERROR, lpWSPAsyncSelect, s, window, message, events);
}

BOOL shim_WSAGetOverlappedResult(SOCKET s, WSAOVERLAPPED *request, DWORD *bytes, BOOL wait, DWORD *flags)
{
    return CALL(table, FALSE, lpWSPGetOverlappedResult, s, request, bytes, wait, flags);
}

int shim_WSADuplicateSocketW(SOCKET s, DWORD process, WSAPROTOCOL_INFOW *info)
{
    return CALL(table, SOCKET_ERROR, lpWSPDuplicateSocket, s, process, info);
}
