/*
 * driver.c: programs that ask the driver behind Winsock what is ready, as the event loops of others do.
 */
#include "exerciser.h"

#include <winternl.h>

#define LENGTH 16
#define TRIPS 400 /* Enough to be promoted again. */
#define POLL 0x12024
#define RECEIVE 0x1

#ifndef SIO_BASE_HANDLE
#define SIO_BASE_HANDLE _WSAIOR(IOC_WS2, 34)
#endif

typedef NTSTATUS(NTAPI *create_file)(HANDLE *, ACCESS_MASK, OBJECT_ATTRIBUTES *, IO_STATUS_BLOCK *, LARGE_INTEGER *, ULONG,
    ULONG, ULONG, ULONG, void *, ULONG);
typedef NTSTATUS(NTAPI *control)(HANDLE, HANDLE, void *, void *, IO_STATUS_BLOCK *, ULONG, void *, ULONG, void *, ULONG);

struct question {
    LARGE_INTEGER timeout;
    ULONG count, exclusive;
    HANDLE socket;
    ULONG events, status;
};

static void *function(const char *name)
{
    void *found = (void *)GetProcAddress(GetModuleHandleA("ntdll.dll"), name);

    REQUIRE(found != NULL);
    return found;
}

static HANDLE driver(void)
{
    static WCHAR text[] = L"\\Device\\Afd\\exerciser";
    UNICODE_STRING name = {sizeof(text) - sizeof(WCHAR), sizeof(text) - sizeof(WCHAR), text};
    OBJECT_ATTRIBUTES attributes = {.Length = sizeof(attributes), .ObjectName = &name};
    create_file create = (create_file)function("NtCreateFile");
    IO_STATUS_BLOCK status;
    HANDLE opened;

    REQUIRE(create(&opened, SYNCHRONIZE, &attributes, &status, NULL, 0, FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0,
                NULL, 0)
        == 0);
    return opened;
}

static SOCKET base_of(SOCKET s, DWORD code)
{
    SOCKET base = INVALID_SOCKET;
    DWORD length;

    if (WSAIoctl(s, code, NULL, 0, &base, sizeof(base), &length, NULL, NULL) != 0)
        return INVALID_SOCKET;
    return base;
}

/* The driver says that something can be received when the partner has heard that it is asked. */
static void await_bytes(SOCKET base, SOCKET s)
{
    struct question question = {.timeout = {.QuadPart = INT64_MAX}, .count = 1, .socket = (HANDLE)base, .events = RECEIVE};
    control ask = (control)function("NtDeviceIoControlFile");
    HANDLE event = CreateEventA(NULL, TRUE, FALSE, NULL), opened = driver();
    IO_STATUS_BLOCK status = {.Status = STATUS_PENDING};

    REQUIRE(ask(opened, event, NULL, NULL, &status, POLL, &question, sizeof(question), &question, sizeof(question))
        == STATUS_PENDING);
    REQUIRE(WaitForSingleObject(event, SHORT) == WAIT_TIMEOUT);
    say(s);
    REQUIRE(WaitForSingleObject(event, PATIENCE) == WAIT_OBJECT_0);
    fact("count", question.count);
    fact("events", question.events);
    CloseHandle(event);
    CloseHandle(opened);
}

static void by_driver(SOCKET s)
{
    SOCKET base = base_of(s, SIO_BASE_HANDLE);

    fact("same", base == s);
    await_bytes(base, s);
    receive_pattern(s, LENGTH, 160);
    for (unsigned i = 0; i < TRIPS; i++) {
        send_pattern(s, MESSAGE, i);
        receive_pattern(s, MESSAGE, i);
    }
    await_bytes(base, s);
    receive_pattern(s, LENGTH, 160);
    finish(s);
}

static void send_when_told(SOCKET s)
{
    hear(s);
    send_pattern(s, LENGTH, 160);
    for (unsigned i = 0; i < TRIPS; i++) {
        receive_pattern(s, MESSAGE, i);
        send_pattern(s, MESSAGE, i);
    }
    hear(s);
    send_pattern(s, LENGTH, 160);
    finish(s);
}

const struct scenario driver_asked[] = {
    {.name = "base_handle", .tested = by_driver, .partner = send_when_told},
    {.name = NULL},
};
