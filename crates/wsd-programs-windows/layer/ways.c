#include "host.h"

static void blocking_send(SOCKET socket, char *data, int length)
{
    while (length) {
        WSABUF buffer = { length, data };
        DWORD moved;
        CHECK(table.lpWSPSend(socket, &buffer, 1, &moved, 0, NULL, NULL, NULL, &error) == 0);
        data += moved, length -= moved;
    }
}

static int blocking_receive(SOCKET socket, char *data, int length)
{
    int got = 0;
    while (got < length) {
        WSABUF buffer = { length - got, data + got };
        DWORD moved, flags = 0;
        CHECK(table.lpWSPRecv(socket, &buffer, 1, &moved, &flags, NULL, NULL, NULL, &error) == 0);
        if (moved == 0)
            break;
        got += moved;
    }
    return got;
}

static void nothing(SOCKET socket)
{
    (void)socket;
}

static void nonblocking(SOCKET socket)
{
    u_long on = 1;
    DWORD written;
    CHECK(table.lpWSPIoctl(socket, FIONBIO, &on, sizeof on, &on, sizeof on, &written, NULL, NULL, NULL, &error) == 0);
}

static void wait_for(SOCKET socket, int reads)
{
    struct timeval limit = { 60, 0 };
    fd_set set;
    FD_ZERO(&set);
    FD_SET(socket, &set);
    CHECK(table.lpWSPSelect(0, reads ? &set : NULL, reads ? NULL : &set, NULL, &limit, &error) == 1);
    CHECK(set.fd_count == 1 && set.fd_array[0] == socket);
}

static void select_send(SOCKET socket, char *data, int length)
{
    while (length) {
        WSABUF buffer = { length, data };
        DWORD moved = 0;
        if (table.lpWSPSend(socket, &buffer, 1, &moved, 0, NULL, NULL, NULL, &error) != 0) {
            CHECK(error == WSAEWOULDBLOCK);
            wait_for(socket, 0);
            continue;
        }
        data += moved, length -= moved;
    }
}

static int select_receive(SOCKET socket, char *data, int length)
{
    int got = 0;
    while (got < length) {
        WSABUF buffer = { length - got, data + got };
        DWORD moved = 0, flags = 0;
        if (table.lpWSPRecv(socket, &buffer, 1, &moved, &flags, NULL, NULL, NULL, &error) != 0) {
            CHECK(error == WSAEWOULDBLOCK);
            wait_for(socket, 1);
            continue;
        }
        if (moved == 0)
            break;
        got += moved;
    }
    return got;
}

static HANDLE event(void)
{
    static HANDLE one;
    if (!one)
        one = CreateEventA(NULL, TRUE, FALSE, NULL);
    return one;
}

static DWORD over(SOCKET socket, OVERLAPPED *overlapped)
{
    DWORD moved, flags;
    CHECK(WaitForSingleObject(overlapped->hEvent, 60000) == WAIT_OBJECT_0);
    CHECK(table.lpWSPGetOverlappedResult(socket, overlapped, &moved, FALSE, &flags, &error));
    return moved;
}

static void overlapped_send(SOCKET socket, char *data, int length)
{
    WSABUF buffer = { length, data };
    OVERLAPPED overlapped = { .hEvent = event() };
    int begun = table.lpWSPSend(socket, &buffer, 1, NULL, 0, &overlapped, NULL, NULL, &error);
    CHECK(begun == 0 || error == WSA_IO_PENDING);
    CHECK(over(socket, &overlapped) == (DWORD)length);
}

static int overlapped_receive(SOCKET socket, char *data, int length)
{
    int got = 0;
    while (got < length) {
        WSABUF buffer = { length - got, data + got };
        OVERLAPPED overlapped = { .hEvent = event() };
        DWORD flags = 0;
        int begun = table.lpWSPRecv(socket, &buffer, 1, NULL, &flags, &overlapped, NULL, NULL, &error);
        CHECK(begun == 0 || error == WSA_IO_PENDING);
        int moved = over(socket, &overlapped);
        if (moved == 0)
            break;
        got += moved;
    }
    return got;
}

/* No function of the table is called: the handle is the system's. */
static void file_send(SOCKET socket, char *data, int length)
{
    OVERLAPPED overlapped = { .hEvent = event() };
    CHECK(WriteFile((HANDLE)socket, data, length, NULL, &overlapped) || GetLastError() == ERROR_IO_PENDING);
    CHECK(over(socket, &overlapped) == (DWORD)length);
}

static int file_receive(SOCKET socket, char *data, int length)
{
    int got = 0;
    while (got < length) {
        OVERLAPPED overlapped = { .hEvent = event() };
        BOOL begun = ReadFile((HANDLE)socket, data + got, length - got, NULL, &overlapped);
        CHECK(begun || GetLastError() == ERROR_IO_PENDING);
        int moved = over(socket, &overlapped);
        if (moved == 0)
            break;
        got += moved;
    }
    return got;
}

static HANDLE port;

static void bind_to_port(SOCKET socket)
{
    port = CreateIoCompletionPort((HANDLE)socket, port, 7, 0);
    CHECK(port != NULL);
}

static DWORD packet(OVERLAPPED *overlapped)
{
    DWORD moved;
    ULONG_PTR key;
    OVERLAPPED *told;
    CHECK(GetQueuedCompletionStatus(port, &moved, &key, &told, 60000));
    CHECK(told == overlapped && key == 7);
    return moved;
}

static void port_send(SOCKET socket, char *data, int length)
{
    WSABUF buffer = { length, data };
    OVERLAPPED overlapped = { 0 };
    int begun = table.lpWSPSend(socket, &buffer, 1, NULL, 0, &overlapped, NULL, NULL, &error);
    CHECK(begun == 0 || error == WSA_IO_PENDING);
    CHECK(packet(&overlapped) == (DWORD)length);
}

static int port_receive(SOCKET socket, char *data, int length)
{
    int got = 0;
    while (got < length) {
        WSABUF buffer = { length - got, data + got };
        OVERLAPPED overlapped = { 0 };
        DWORD flags = 0;
        int begun = table.lpWSPRecv(socket, &buffer, 1, NULL, &flags, &overlapped, NULL, NULL, &error);
        CHECK(begun == 0 || error == WSA_IO_PENDING);
        int moved = packet(&overlapped);
        if (moved == 0)
            break;
        got += moved;
    }
    return got;
}

/* Who gets the base provider's handle may go around the layer. */
static void ask_for_the_handle(SOCKET socket)
{
    SOCKET base = 0;
    DWORD written;
    CHECK(table.lpWSPIoctl(socket, SIO_BASE_HANDLE, NULL, 0, &base, sizeof base, &written, NULL, NULL, NULL, &error) == 0);
    CHECK(base == socket);
}

/* In the middle of a stream, before the large buffer. */
static void ask_and_send(SOCKET socket, char *data, int length)
{
    if (length > 64)
        ask_for_the_handle(socket);
    blocking_send(socket, data, length);
}

const struct way *way(const char *name)
{
    static const struct way ways[] = {
        { "blocking", blocking_send, blocking_receive, nothing },
        { "select", select_send, select_receive, nonblocking },
        { "overlapped", overlapped_send, overlapped_receive, nothing },
        { "files", file_send, file_receive, nothing },
        { "port", port_send, port_receive, bind_to_port },
        { "around", blocking_send, blocking_receive, ask_for_the_handle },
        { "around_later", ask_and_send, blocking_receive, nothing },
    };
    for (size_t place = 0; place < sizeof ways / sizeof *ways; place++)
        if (strcmp(ways[place].name, name) == 0)
            return &ways[place];
    return NULL;
}
