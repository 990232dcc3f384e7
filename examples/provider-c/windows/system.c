/*
 * system.c: processes, their events, and the rest of platform.h on Windows.
 */
#include "system.h"

#include <winsock2.h>
#include <iphlpapi.h>
#include <ntsecapi.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t name;
static HANDLE event; /* The thread of the engine waits for it. */

static void name_event(char full[64], uint64_t process)
{
    snprintf(full, 64, "Local\\provider-c-wake-%016llx", (unsigned long long)process);
}

uint64_t own_name(void)
{
    return name;
}

bool start_waiting(void)
{
    char full[64];
    uint32_t chance;

    if (!random_bytes(&chance, sizeof(chance)))
        return false;
    name = (uint64_t)GetCurrentProcessId() << 32 | chance;
    name_event(full, name);
    event = CreateEventA(NULL, FALSE, FALSE, full);
    return event != NULL;
}

void stop_waiting(void)
{
    if (event != NULL)
        CloseHandle(event);
    event = NULL;
    name = 0;
}

void wait_for_sources(int milliseconds)
{
    WaitForSingleObject(event, milliseconds < 0 ? INFINITE : (DWORD)milliseconds);
}

/* The wait has reset the event. */
void take_wakes(void)
{
}

void wake(void)
{
    if (event != NULL)
        SetEvent(event);
}

static HANDLE event_of(uint64_t process)
{
    char full[64];

    name_event(full, process);
    return OpenEventA(EVENT_MODIFY_STATE, FALSE, full);
}

void wake_process(uint64_t process)
{
    HANDLE theirs = event_of(process);

    if (theirs == NULL)
        return;
    SetEvent(theirs);
    CloseHandle(theirs);
}

static VOID CALLBACK process_ended(PVOID ignored, BOOLEAN late)
{
    (void)ignored, (void)late;
    wake();
}

static void meet(struct peer *peer, uint64_t process)
{
    if (peer->name == process)
        return;
    forget_peer(peer);
    peer->name = process;
    peer->event = event_of(process);
    if (process == name || peer->event == NULL)
        return;
    peer->process = OpenProcess(SYNCHRONIZE, FALSE, (DWORD)(process >> 32));
    if (peer->process != NULL
        && !RegisterWaitForSingleObject(&peer->wait, peer->process, process_ended, NULL, INFINITE, WT_EXECUTEONLYONCE))
        peer->wait = NULL;
}

void wake_peer(struct peer *peer, uint64_t process)
{
    meet(peer, process);
    if (peer->event != NULL)
        SetEvent(peer->event);
}

/* Whose event is not there has ended before we met. */
bool has_ended(struct peer *peer, uint64_t process)
{
    meet(peer, process);
    if (process == name)
        return false;
    return peer->event == NULL || peer->process == NULL || WaitForSingleObject(peer->process, 0) == WAIT_OBJECT_0;
}

void forget_peer(struct peer *peer)
{
    if (peer->wait != NULL)
        UnregisterWaitEx(peer->wait, INVALID_HANDLE_VALUE);
    if (peer->process != NULL)
        CloseHandle(peer->process);
    if (peer->event != NULL)
        CloseHandle(peer->event);
    *peer = (struct peer){0};
}

bool start_thread(pthread_t *thread, void *(*run)(void *), void *argument)
{
    return pthread_create(thread, NULL, run, argument) == 0;
}

/* Windows has none. */
bool notice_forks(void (*before)(void), void (*after_in_parent)(void), void (*after_in_child)(void))
{
    (void)before, (void)after_in_parent, (void)after_in_child;
    return true;
}

bool random_bytes(void *start, size_t length)
{
    return RtlGenRandom(start, (ULONG)length);
}

uint32_t *own_addresses(size_t *count)
{
    ULONG length = 0, skip = GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST | GAA_FLAG_SKIP_DNS_SERVER;
    IP_ADAPTER_ADDRESSES *adapters = NULL;
    uint32_t *addresses = NULL;
    ULONG result = ERROR_BUFFER_OVERFLOW;

    *count = 0;
    while (result == ERROR_BUFFER_OVERFLOW) { /* It grows while we look. */
        free(adapters);
        adapters = length != 0 ? malloc(length) : NULL;
        if (length != 0 && adapters == NULL)
            return NULL;
        result = GetAdaptersAddresses(AF_INET, skip, NULL, adapters, &length);
    }
    /* An address takes less room here than there. */
    if (result == NO_ERROR || result == ERROR_NO_DATA)
        addresses = calloc(1, length + sizeof(*addresses));
    for (IP_ADAPTER_ADDRESSES *one = result == NO_ERROR ? adapters : NULL; one != NULL; one = one->Next) {
        for (IP_ADAPTER_UNICAST_ADDRESS *each = one->FirstUnicastAddress; each != NULL && addresses != NULL;
             each = each->Next)
            addresses[(*count)++] = ((struct sockaddr_in *)(void *)each->Address.lpSockaddr)->sin_addr.s_addr;
    }
    free(adapters);
    return addresses;
}
