/*
 * A host of wsd_shm.dll, written to Windows' own headers: loads it, and drives it through the 25 functions of a SAN
 * provider. Both ends of a connection are in this process.
 *
 *     host LIBRARY
 */
#define _WIN32_WINNT 0x0601
#define IN
#define OUT
#define OPTIONAL
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <ws2spi.h>
#include <ddk/ws2san.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 20000
#define SIZE 4096

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "line %d: %s: error %d\n", __LINE__, #what, error);                                        \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static int error;
static WSPPROC_TABLE spi;
static LPFN_WSPREGISTERMEMORY register_memory;
static LPFN_WSPDEREGISTERMEMORY deregister_memory;
static LPFN_WSPREGISTERRDMAMEMORY register_rdma_memory;
static LPFN_WSPDEREGISTERRDMAMEMORY deregister_rdma_memory;
static LPFN_WSPRDMAWRITE rdma_write;
static LPFN_WSPRDMAREAD rdma_read;
static LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK cache_callback;

/* Up-calls. */

static DWORD_PTR contexts[64];
static volatile LONG handles_made, handles_closed, completions;

static SOCKET WSPAPI create_handle(DWORD entry, DWORD_PTR context, LPINT code)
{
    LONG number = InterlockedIncrement(&handles_made);

    (void)entry;
    (void)code;
    contexts[number] = context;
    return (SOCKET)number;
}

static int WSPAPI close_handle(SOCKET s, LPINT code)
{
    (void)s;
    (void)code;
    InterlockedIncrement(&handles_closed);
    return 0;
}

static int WSPAPI query_context(SOCKET s, PDWORD_PTR context, LPINT code)
{
    (void)code;
    *context = contexts[s];
    return 0;
}

static int WSPAPI complete(SOCKET s, LPWSAOVERLAPPED request, DWORD status, DWORD bytes, LPINT code)
{
    (void)s;
    (void)code;
    request->InternalHigh = bytes;
    InterlockedExchangePointer((PVOID *)&request->Internal, (PVOID)(ULONG_PTR)status);
    InterlockedIncrement(&completions);
    return 0;
}

/* Events are Windows': the provider sets them itself. */
static WSPUPCALLTABLEEX upcalls = {
    .lpWPUCloseSocketHandle = close_handle,
    .lpWPUCreateSocketHandle = create_handle,
    .lpWPUQuerySocketHandleContext = query_context,
    .lpWPUCompleteOverlappedRequest = complete,
};

/* What the parts below have in common. */

static struct sockaddr_in name(unsigned short port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return name;
}

static SOCKET bound(unsigned short port)
{
    struct sockaddr_in own = name(port);
    SOCKET s = spi.lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED, &error);

    CHECK(s != INVALID_SOCKET);
    CHECK(spi.lpWSPBind(s, (struct sockaddr *)&own, sizeof(own), &error) == 0);
    return s;
}

static void *extension(SOCKET s, GUID identifier)
{
    void *function = NULL;
    DWORD bytes = 0;

    CHECK(spi.lpWSPIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &identifier, sizeof(identifier), &function,
                         sizeof(function), &bytes, NULL, NULL, NULL, &error) == 0);
    CHECK(function != NULL && bytes == sizeof(function));
    return function;
}

/* Waits for the result of a polled request: how many bytes. */
static DWORD result(SOCKET s, LPWSAOVERLAPPED request)
{
    ULONGLONG start = GetTickCount64();
    DWORD bytes = 0, flags = 0;

    while (!spi.lpWSPGetOverlappedResult(s, request, &bytes, FALSE, &flags, &error)) {
        CHECK(error == WSA_IO_INCOMPLETE && GetTickCount64() - start < WAIT_MS);
        Sleep(0);
    }
    return bytes;
}

/* A request that is polled (SP-180). */
static WSAOVERLAPPED polled(void)
{
    return (WSAOVERLAPPED){.Internal = WSS_OPERATION_IN_PROGRESS, .hEvent = (WSAEVENT)1};
}

static void start_receive(SOCKET s, char *memory, LPWSAOVERLAPPED request)
{
    WSABUF buffer = {SIZE, memory};
    DWORD bytes = 0, flags = 0;

    CHECK(spi.lpWSPRecv(s, &buffer, 1, &bytes, &flags, request, NULL, NULL, &error) == SOCKET_ERROR);
    CHECK(error == WSA_IO_PENDING);
}

static void send_message(SOCKET s, char *memory, DWORD length)
{
    WSABUF buffer = {length, memory};
    WSAOVERLAPPED request = polled();
    DWORD bytes = 0;

    CHECK(spi.lpWSPSend(s, &buffer, 1, &bytes, 0, &request, NULL, NULL, &error) == SOCKET_ERROR);
    CHECK(error == WSA_IO_PENDING && result(s, &request) == length);
}

static int CALLBACK condition(LPWSABUF caller, LPWSABUF caller_data, LPQOS qos, LPQOS group_qos, LPWSABUF callee,
                              LPWSABUF callee_data, GROUP *group, DWORD_PTR data)
{
    (void)caller_data, (void)qos, (void)group_qos, (void)callee_data, (void)group;
    CHECK(((struct sockaddr_in *)caller->buf)->sin_port == htons(7502));
    CHECK(((struct sockaddr_in *)callee->buf)->sin_port == htons(7501) && data == 7);
    return CF_ACCEPT;
}

/* WSPListen, WSPEventSelect, WSPConnect, WSPAccept, WSPEnumNetworkEvents. */
static void connect_both(SOCKET listener, SOCKET client, SOCKET *server)
{
    struct sockaddr_in to = name(7501), from;
    WSAEVENT came = CreateEventA(NULL, TRUE, FALSE, NULL), done = CreateEventA(NULL, TRUE, FALSE, NULL);
    WSANETWORKEVENTS events;
    int length = sizeof(from);

    CHECK(spi.lpWSPListen(listener, 5, &error) == 0);
    CHECK(spi.lpWSPEventSelect(listener, came, FD_ACCEPT, &error) == 0);
    CHECK(spi.lpWSPEventSelect(client, done, FD_CONNECT, &error) == 0);
    CHECK(spi.lpWSPConnect(client, (struct sockaddr *)&to, sizeof(to), NULL, NULL, NULL, NULL, &error) == SOCKET_ERROR);
    CHECK(error == WSAEWOULDBLOCK && WaitForSingleObject(came, WAIT_MS) == WAIT_OBJECT_0);
    CHECK(spi.lpWSPEnumNetworkEvents(listener, came, &events, &error) == 0);
    CHECK((events.lNetworkEvents & FD_ACCEPT) && events.iErrorCode[FD_ACCEPT_BIT] == 0);
    CHECK(WaitForSingleObject(came, 0) == WAIT_TIMEOUT);
    *server = spi.lpWSPAccept(listener, (struct sockaddr *)&from, &length, condition, 7, &error);
    CHECK(*server != INVALID_SOCKET && from.sin_port == htons(7502));
    CHECK(WaitForSingleObject(done, WAIT_MS) == WAIT_OBJECT_0);
    CHECK(spi.lpWSPEnumNetworkEvents(client, done, &events, &error) == 0);
    CHECK((events.lNetworkEvents & FD_CONNECT) && events.iErrorCode[FD_CONNECT_BIT] == 0);
    CHECK(spi.lpWSPAccept(listener, NULL, NULL, condition, 7, &error) == INVALID_SOCKET && error == WSAEWOULDBLOCK);
}

/* WSPRdmaWrite, WSPRdmaRead and the registration of what they reach. */
static void rdma(SOCKET owner, SOCKET user, char *exposed, char *local, HANDLE registered)
{
    char descriptor[256];
    DWORD length = 0, bytes = 0;
    WSABUFEX buffer = {100, local, registered};
    WSAOVERLAPPED writing = polled(), reading = polled();

    CHECK(register_rdma_memory(owner, exposed, SIZE, MEM_READWRITE, NULL, &length, &error) == SOCKET_ERROR);
    CHECK(error == WSAEFAULT && length > 0 && length <= sizeof(descriptor));
    CHECK(register_rdma_memory(owner, exposed, SIZE, MEM_READWRITE, descriptor, &length, &error) == 0);
    memset(local, 'w', 100);
    CHECK(rdma_write(user, &buffer, 1, descriptor, length, 50, &bytes, 0, &writing, NULL, NULL, &error) == SOCKET_ERROR);
    CHECK(error == WSA_IO_PENDING && result(user, &writing) == 100);
    CHECK(exposed[49] == 0 && exposed[50] == 'w' && exposed[149] == 'w' && exposed[150] == 0);
    exposed[50] = 'r';
    CHECK(rdma_read(user, &buffer, 1, descriptor, length, 50, &bytes, 0, &reading, NULL, NULL, &error) == SOCKET_ERROR);
    CHECK(error == WSA_IO_PENDING && result(user, &reading) == 100 && local[0] == 'r' && local[1] == 'w');
    CHECK(deregister_rdma_memory(owner, descriptor, length, &error) == 0);
}

/* WSPDuplicateSocket, to this process itself: the new socket. */
static SOCKET duplicate(SOCKET s)
{
    WSAPROTOCOL_INFOW info = {0};
    SOCKET adopted;

    CHECK(spi.lpWSPDuplicateSocket(s, GetCurrentProcessId(), &info, &error) == 0 && info.dwProviderReserved != 0);
    adopted = spi.lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, &info, 0, WSA_FLAG_OVERLAPPED, &error);
    CHECK(adopted != INVALID_SOCKET);
    CHECK(spi.lpWSPCloseSocket(s, &error) == 0);
    return adopted;
}

static void start(const char *library)
{
    WSPDATA data = {0};
    WSAPROTOCOL_INFOW info = {.iAddressFamily = AF_INET, .iSocketType = SOCK_STREAM, .iProtocol = IPPROTO_TCP};
    HMODULE module = LoadLibraryA(library);
    LPWSPSTARTUPEX startup;

    error = (int)GetLastError();
    CHECK(module != NULL);
    startup = (LPWSPSTARTUPEX)(void *)GetProcAddress(module, "WSPStartupEx");
    CHECK(startup != NULL);
    error = startup(MAKEWORD(2, 2), &data, &info, &upcalls, &spi);
    CHECK(error == 0 && data.wVersion == MAKEWORD(2, 2) && data.szDescription[0] != 0);
}

/* WSPGetSockOpt, WSPSetSockOpt, WSPGetQOSByName, and the list of addresses. */
static void ask(SOCKET s)
{
    DWORD number = 0, bytes = 0;
    int length = sizeof(number);
    union {
        SOCKET_ADDRESS_LIST list;
        char room[SIZE];
    } addresses;
    QOS qos;
    WSABUF template = {0, NULL};

    CHECK(spi.lpWSPGetSockOpt(s, SOL_SOCKET, SO_MAX_MSG_SIZE, (char *)&number, &length, &error) == 0 && number >= SIZE);
    number = 1;
    CHECK(spi.lpWSPSetSockOpt(s, SOL_SOCKET, SO_DEBUG, (char *)&number, sizeof(number), &error) == 0);
    CHECK(spi.lpWSPIoctl(s, SIO_ADDRESS_LIST_QUERY, NULL, 0, &addresses, sizeof(addresses), &bytes, NULL, NULL, NULL,
                         &error) == 0);
    CHECK(addresses.list.iAddressCount > 0);
    CHECK(!spi.lpWSPGetQOSByName(s, &template, &qos, &error) && error == WSAEOPNOTSUPP);
}

static void extensions(SOCKET s)
{
    register_memory = (LPFN_WSPREGISTERMEMORY)extension(s, (GUID)WSAID_REGISTERMEMORY);
    deregister_memory = (LPFN_WSPDEREGISTERMEMORY)extension(s, (GUID)WSAID_DEREGISTERMEMORY);
    register_rdma_memory = (LPFN_WSPREGISTERRDMAMEMORY)extension(s, (GUID)WSAID_REGISTERRDMAMEMORY);
    deregister_rdma_memory = (LPFN_WSPDEREGISTERRDMAMEMORY)extension(s, (GUID)WSAID_DEREGISTERRDMAMEMORY);
    rdma_write = (LPFN_WSPRDMAWRITE)extension(s, (GUID)WSAID_RDMAWRITE);
    rdma_read = (LPFN_WSPRDMAREAD)extension(s, (GUID)WSAID_RDMAREAD);
    cache_callback = (LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK)extension(
        s, (GUID)WSAID_MEMORYREGISTRATIONCACHECALLBACK);
}

int main(int count, char **arguments)
{
    static char mine[SIZE], theirs[SIZE], unused[SIZE];
    SOCKET listener, client, server;
    HANDLE of_client, of_server;
    WSAOVERLAPPED receiving = polled(), notified = {.Internal = WSS_OPERATION_IN_PROGRESS};
    ULONGLONG begin;

    CHECK(count == 2);
    start(arguments[1]);
    listener = bound(7501);
    client = bound(7502);
    ask(client);
    extensions(client);
    connect_both(listener, client, &server);
    of_client = register_memory(client, mine, SIZE, MEM_READWRITE, &error);
    of_server = register_memory(server, theirs, SIZE, MEM_READWRITE, &error);
    CHECK(of_client != NULL && of_server != NULL);

    start_receive(server, theirs, &receiving);
    memcpy(mine, "hello", 5);
    send_message(client, mine, 5);
    CHECK(result(server, &receiving) == 5 && memcmp(theirs, "hello", 5) == 0);

    rdma(server, client, memset(unused, 0, SIZE), mine, of_client);

    /* The connection goes on with the new socket. */
    server = duplicate(server);
    of_server = register_memory(server, theirs, SIZE, MEM_READWRITE, &error);
    CHECK(of_server != NULL);
    memcpy(theirs, "moved", 5);
    receiving = polled();
    start_receive(client, mine, &receiving);
    send_message(server, theirs, 5);
    CHECK(result(client, &receiving) == 5 && memcmp(mine, "moved", 5) == 0);

    /* A notified request (SP-181), ended by the close of the other end. */
    start_receive(client, mine, &notified);
    CHECK(deregister_memory(server, of_server, &error) == 0);
    CHECK(cache_callback(unused, SIZE, &error) == SOCKET_ERROR && error == WSAEINVAL);
    CHECK(spi.lpWSPCloseSocket(server, &error) == 0);
    for (begin = GetTickCount64(); completions == 0; Sleep(1))
        CHECK(GetTickCount64() - begin < WAIT_MS);
    CHECK(completions == 1 && notified.OffsetHigh == WSAECONNRESET);

    CHECK(spi.lpWSPCloseSocket(client, &error) == 0 && spi.lpWSPCloseSocket(listener, &error) == 0);
    for (begin = GetTickCount64(); handles_closed < handles_made; Sleep(1))
        CHECK(GetTickCount64() - begin < WAIT_MS);
    CHECK(handles_made == 4);
    CHECK(spi.lpWSPCleanup(&error) == 0);
    puts("all 25 functions");
    return 0;
}
