/*
 * A provider in C: one socket at a time, connected to itself. Messages go round; RDMA is copying.
 */
#include <stdlib.h>
#include <string.h>

#include <wsdirect/ws2san.h>

static WSPUPCALLTABLEEX upcalls;
static int references;
static SOCKET handle;
static LPWSAOVERLAPPED receive_request;
static WSABUF receive_buffer;
static char *exposed;

static int fail(LPINT error, int code)
{
    *error = code;
    return SOCKET_ERROR;
}

static void complete(LPWSAOVERLAPPED request, DWORD bytes, DWORD error)
{
    int ignored;
    request->Offset = 0;
    request->OffsetHigh = error;
    request->InternalHigh = bytes;
    if ((uintptr_t)request->hEvent & 1)
        __atomic_store_n(&request->Internal, 0, __ATOMIC_RELEASE);
    else
        upcalls.lpWPUCompleteOverlappedRequest(handle, request, error, bytes, &ignored);
}

static SOCKET WSPAPI my_socket(int af, int type, int protocol, LPWSAPROTOCOL_INFOW info, GROUP g, DWORD flags,
    LPINT error)
{
    (void)info, (void)g;
    if (af != WS_AF_INET || type != WS_SOCK_STREAM || protocol != WS_IPPROTO_TCP || flags != WSA_FLAG_OVERLAPPED) {
        *error = WSAEAFNOSUPPORT;
        return INVALID_SOCKET;
    }
    handle = upcalls.lpWPUCreateSocketHandle(0, 4711, error);
    return handle == INVALID_SOCKET ? INVALID_SOCKET : 1;
}

static int WSPAPI my_bind(SOCKET s, const SOCKADDR *name, int length, LPINT error)
{
    const SOCKADDR_IN *address = (const SOCKADDR_IN *)name;
    DWORD_PTR context = 0;
    if (s != 1 || length != (int)sizeof(*address) || address->sin_family != WS_AF_INET)
        return fail(error, WSAEFAULT);
    return upcalls.lpWPUQuerySocketHandleContext(handle, &context, error) == 0 && context == 4711
        ? 0 : fail(error, WSAEINVAL);
}

static int WSPAPI my_connect(SOCKET s, const SOCKADDR *name, int length, LPWSABUF caller, LPWSABUF callee, LPQOS sqos,
    LPQOS gqos, LPINT error)
{
    (void)s, (void)name, (void)length, (void)caller, (void)callee, (void)sqos, (void)gqos;
    return fail(error, WSAEHOSTUNREACH);
}

static SOCKET WSPAPI my_accept(SOCKET s, SOCKADDR *name, LPINT length, LPCONDITIONPROC condition, DWORD_PTR data,
    LPINT error)
{
    SOCKADDR_IN peer = {.sin_family = WS_AF_INET, .sin_port = 0x0100, .sin_addr = 0x0100007f};
    WSABUF id = {sizeof(peer), (char *)&peer};
    int answer = condition(&id, NULL, NULL, NULL, &id, NULL, NULL, data);
    /* A second question is one too many. */
    if (condition(&id, NULL, NULL, NULL, &id, NULL, NULL, data) != CF_REJECT)
        abort();
    (void)s;
    if (answer != CF_ACCEPT) {
        *error = answer == CF_DEFER ? WSATRY_AGAIN : WSAECONNREFUSED;
        return INVALID_SOCKET;
    }
    memcpy(name, &peer, sizeof(peer));
    *length = sizeof(peer);
    return 1;
}

static int WSPAPI my_send(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD bytes, DWORD flags, LPWSAOVERLAPPED request,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error)
{
    LPWSAOVERLAPPED receive = receive_request;
    DWORD length = buffers[0].len;
    (void)s, (void)bytes, (void)flags, (void)routine, (void)thread;
    if (count != 1 || receive == NULL || length > receive_buffer.len)
        return fail(error, WSAEINVAL);
    receive_request = NULL;
    request->Internal = WSS_OPERATION_IN_PROGRESS;
    memcpy(receive_buffer.buf, buffers[0].buf, length);
    complete(receive, length, 0);
    complete(request, length, 0);
    return fail(error, WSA_IO_PENDING);
}

static int WSPAPI my_recv(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD bytes, LPDWORD flags,
    LPWSAOVERLAPPED request, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error)
{
    (void)s, (void)bytes, (void)flags, (void)routine, (void)thread;
    if (count != 1 || receive_request != NULL)
        return fail(error, WSAENOBUFS);
    request->Internal = WSS_OPERATION_IN_PROGRESS;
    receive_request = request;
    receive_buffer = buffers[0];
    return fail(error, WSA_IO_PENDING);
}

static BOOL WSPAPI my_result(SOCKET s, LPWSAOVERLAPPED request, LPDWORD bytes, BOOL wait, LPDWORD flags, LPINT error)
{
    (void)s, (void)wait;
    if (__atomic_load_n(&request->Internal, __ATOMIC_ACQUIRE) == WSS_OPERATION_IN_PROGRESS) {
        *error = WSA_IO_INCOMPLETE;
        return FALSE;
    }
    *bytes = (DWORD)request->InternalHigh;
    *flags = request->Offset;
    *error = (int)request->OffsetHigh;
    return request->OffsetHigh == 0;
}

static HANDLE WSPAPI my_register(SOCKET s, void *start, DWORD length, DWORD flags, LPINT error)
{
    (void)s, (void)length, (void)flags, (void)error;
    return start;
}

static int WSPAPI my_deregister(SOCKET s, HANDLE registration, LPINT error)
{
    (void)s;
    return registration != NULL ? 0 : fail(error, WSAEINVAL);
}

static int WSPAPI my_register_rdma(SOCKET s, void *start, DWORD length, DWORD flags, LPVOID descriptor,
    LPDWORD descriptor_length, LPINT error)
{
    (void)s, (void)length, (void)flags;
    if (*descriptor_length < 300) {
        *descriptor_length = 300;
        return fail(error, WSAEFAULT);
    }
    *descriptor_length = 300;
    memset(descriptor, 0x5a, 300);
    exposed = start;
    return 0;
}

static int WSPAPI my_deregister_rdma(SOCKET s, LPVOID descriptor, DWORD length, LPINT error)
{
    (void)s;
    return length == 300 && *(char *)descriptor == 0x5a ? 0 : fail(error, WSAEINVAL);
}

static int WSPAPI my_rdma_write(SOCKET s, LPWSABUFEX buffers, DWORD count, LPVOID descriptor, DWORD length,
    DWORD offset, LPDWORD bytes, DWORD flags, LPWSAOVERLAPPED request, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
    LPWSATHREADID thread, LPINT error)
{
    (void)s, (void)descriptor, (void)bytes, (void)flags, (void)routine, (void)thread;
    if (count != 1 || length != 300 || buffers[0].handle == NULL)
        return fail(error, WSAEINVAL);
    request->Internal = WSS_OPERATION_IN_PROGRESS;
    memcpy(exposed + offset, buffers[0].buf, buffers[0].len);
    complete(request, buffers[0].len, 0);
    return fail(error, WSA_IO_PENDING);
}

static int WSPAPI my_ioctl(SOCKET s, DWORD code, LPVOID in, DWORD in_length, LPVOID out, DWORD out_length,
    LPDWORD written, LPWSAOVERLAPPED request, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread,
    LPINT error)
{
    static const struct {
        GUID id;
        void (*function)(void);
    } functions[] = {
        {WSAID_REGISTERMEMORY, (void (*)(void))my_register},
        {WSAID_DEREGISTERMEMORY, (void (*)(void))my_deregister},
        {WSAID_REGISTERRDMAMEMORY, (void (*)(void))my_register_rdma},
        {WSAID_DEREGISTERRDMAMEMORY, (void (*)(void))my_deregister_rdma},
        {WSAID_RDMAWRITE, (void (*)(void))my_rdma_write},
    };
    (void)s, (void)request, (void)routine, (void)thread;
    if (code != SIO_GET_EXTENSION_FUNCTION_POINTER)
        return fail(error, WSAEINVAL);
    if (in_length < sizeof(GUID) || out_length < sizeof(functions[0].function))
        return fail(error, WSAEFAULT);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (memcmp(&functions[i].id, in, sizeof(GUID)) == 0) {
            memcpy(out, &functions[i].function, sizeof(functions[0].function));
            *written = sizeof(functions[0].function);
            return 0;
        }
    }
    return fail(error, WSAEOPNOTSUPP);
}

static int WSPAPI my_close(SOCKET s, LPINT error)
{
    if (s != 1)
        return fail(error, WSAENOTSOCK);
    if (receive_request != NULL) {
        LPWSAOVERLAPPED request = receive_request;
        receive_request = NULL;
        complete(request, 0, WSA_OPERATION_ABORTED);
    }
    return upcalls.lpWPUCloseSocketHandle(handle, error);
}

static int WSPAPI my_cleanup(LPINT error)
{
    return references-- > 0 ? 0 : fail(error, WSANOTINITIALISED);
}

static int WSPAPI my_duplicate(SOCKET s, DWORD process, LPWSAPROTOCOL_INFOW info, LPINT error)
{
    (void)s, (void)process, (void)info;
    return fail(error, WSAENOTCONN);
}

static int WSPAPI my_enum(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS record, LPINT error)
{
    (void)s;
    record->lNetworkEvents = FD_CONNECT | FD_ACCEPT;
    record->iErrorCode[FD_CONNECT_BIT] = WSAECONNREFUSED;
    record->iErrorCode[FD_ACCEPT_BIT] = 0;
    return upcalls.lpWPUResetEvent(event, error) ? 0 : SOCKET_ERROR;
}

static int WSPAPI my_select(SOCKET s, WSAEVENT event, LONG events, LPINT error)
{
    (void)s, (void)events;
    return upcalls.lpWPUSetEvent(event, error) ? 0 : SOCKET_ERROR;
}

static int WSPAPI my_getsockopt(SOCKET s, int level, int name, char *value, LPINT length, LPINT error)
{
    uint32_t size = 4096;
    (void)s;
    if (level != WS_SOL_SOCKET || name != SO_MAX_MSG_SIZE)
        return fail(error, WSAENOPROTOOPT);
    memcpy(value, &size, sizeof(size));
    *length = sizeof(size);
    return 0;
}

static int WSPAPI my_setsockopt(SOCKET s, int level, int name, const char *value, int length, LPINT error)
{
    (void)s, (void)level, (void)name, (void)value, (void)length;
    return fail(error, WSAENOPROTOOPT);
}

static BOOL WSPAPI my_qos(SOCKET s, LPWSABUF name, LPQOS qos, LPINT error)
{
    (void)s, (void)name, (void)qos;
    *error = WSAEOPNOTSUPP;
    return FALSE;
}

static int WSPAPI my_listen(SOCKET s, int backlog, LPINT error)
{
    (void)s;
    return backlog == WS_SOMAXCONN ? 0 : fail(error, WSAEINVAL);
}

int WSPAPI WSPStartupEx(WORD version, LPWSPDATA data, LPWSAPROTOCOL_INFOW info, LPWSPUPCALLTABLEEX table,
    LPWSPPROC_TABLE procs)
{
    if (version != 0x0202 || info->iProtocol != WS_IPPROTO_TCP)
        return WSAVERNOTSUPPORTED;
    memset(data, 0, sizeof(*data));
    data->wVersion = data->wHighVersion = 0x0202;
    data->szDescription[0] = 'C';
    upcalls = *table;
    references++;
    *procs = (WSPPROC_TABLE){
        .lpWSPAccept = my_accept,
        .lpWSPBind = my_bind,
        .lpWSPCleanup = my_cleanup,
        .lpWSPCloseSocket = my_close,
        .lpWSPConnect = my_connect,
        .lpWSPDuplicateSocket = my_duplicate,
        .lpWSPEnumNetworkEvents = my_enum,
        .lpWSPEventSelect = my_select,
        .lpWSPGetOverlappedResult = my_result,
        .lpWSPGetSockOpt = my_getsockopt,
        .lpWSPGetQOSByName = my_qos,
        .lpWSPIoctl = my_ioctl,
        .lpWSPListen = my_listen,
        .lpWSPRecv = my_recv,
        .lpWSPSend = my_send,
        .lpWSPSetSockOpt = my_setsockopt,
        .lpWSPSocket = my_socket,
    };
    return 0;
}
