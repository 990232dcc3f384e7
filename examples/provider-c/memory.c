/*
 * memory.c: registered memory, for own operations and for the peer (sections 6.16, 6.17).
 *
 * Registering costs nothing here, so nothing is cached: every registration has a number of its own, and ends for good.
 */
#include "provider.h"

#include <stdlib.h>
#include <string.h>

static uint64_t last_number;

bool allows(DWORD access, DWORD wanted)
{
    return HAS_DEFECT(IGNORES_RIGHTS) || (access & wanted) == wanted;
}

static bool covers(const struct registration *registration, const char *start, uint32_t length, DWORD access)
{
    uintptr_t first = (uintptr_t)registration->start, wanted = (uintptr_t)start;

    return !registration->exposed && allows(registration->access, access) && wanted >= first
        && wanted - first <= registration->length && length <= registration->length - (wanted - first);
}

/* The registration of a message buffer (SP-085). */
struct registration *registration_at(struct socket *socket, const char *start, uint32_t length, DWORD access)
{
    struct registration *registration = socket->registrations;

    while (registration != NULL && !covers(registration, start, length, access))
        registration = registration->next;
    return registration;
}

/* The registration that a segment names. Handles are numbers, so a stale one is found out (SP-133). */
struct registration *registration_of(
    struct socket *socket, HANDLE handle, const char *start, uint32_t length, DWORD access)
{
    struct registration *registration = socket->registrations;

    while (registration != NULL && registration->number != (uintptr_t)handle)
        registration = registration->next;
    return registration != NULL && covers(registration, start, length, access) ? registration : NULL;
}

/* The peer writes: only while the memory is exposed on this socket, for writing, within it (SP-123, SP-132). */
bool write_exposed(
    struct socket *socket, uint64_t number, uint64_t key, uint32_t offset, const char *bytes, uint32_t length)
{
    for (struct registration *one = socket->registrations; one != NULL; one = one->next) {
        if (!one->exposed || one->number != number || one->key != key)
            continue;
        if (!allows(one->access, MEM_WRITE) || offset > one->length || length > one->length - offset)
            return false;
        memcpy(one->start + offset, bytes, length);
        return true;
    }
    return false;
}

static int add(struct socket *socket, void *start, DWORD length, DWORD access, struct registration **made)
{
    struct registration *registration;

    if (socket == NULL)
        return WSAENOTSOCK;
    if (access < MEM_READ || access > MEM_READWRITE)
        return WSAEINVAL;
    if (start == NULL || (uintptr_t)start + length < (uintptr_t)start)
        return WSAEFAULT;
    if (socket->state != CONNECTED)
        return WSAENOTCONN; /* SP-112 */
    registration = calloc(1, sizeof(*registration));
    if (registration == NULL)
        return WSAENOBUFS;
    *registration = (struct registration){
        .next = socket->registrations, .number = ++last_number, .start = start, .length = length, .access = access,
    };
    socket->registrations = registration;
    *made = registration;
    return 0;
}

static void take_out(struct socket *socket, struct registration *registration)
{
    struct registration **place = &socket->registrations;

    while (*place != registration)
        place = &(*place)->next;
    *place = registration->next;
    free(registration);
}

void conceal_all(struct socket *socket)
{
    struct registration *next;

    for (struct registration *one = socket->registrations; one != NULL; one = next) {
        next = one->next;
        if (one->exposed)
            take_out(socket, one);
    }
}

void deregister_all(struct socket *socket)
{
    while (socket->registrations != NULL)
        take_out(socket, socket->registrations);
}

HANDLE WSPAPI wsp_register_memory(SOCKET s, void *start, DWORD length, DWORD access, LPINT error)
{
    struct registration *registration = NULL;
    HANDLE handle = NULL;
    int code;

    enter();
    code = add(find_socket(s), start, length, access, &registration);
    if (code == 0)
        handle = (HANDLE)(uintptr_t)registration->number;
    leave(code, error);
    return handle;
}

int WSPAPI wsp_deregister_memory(SOCKET s, HANDLE handle, LPINT error)
{
    struct socket *socket;
    struct registration *one;

    enter();
    socket = find_socket(s);
    if (socket == NULL)
        return leave(WSAENOTSOCK, error);
    one = socket->registrations;
    while (one != NULL && (one->exposed || one->number != (uintptr_t)handle))
        one = one->next;
    if (one == NULL || one->users != 0)
        return leave(WSAEINVAL, error); /* SP-114 */
    take_out(socket, one);
    return leave(0, error);
}

int WSPAPI wsp_register_rdma_memory(
    SOCKET s, void *start, DWORD length, DWORD access, LPVOID descriptor, LPDWORD descriptor_length, LPINT error)
{
    struct registration *registration = NULL;
    struct descriptor told;
    uint64_t key;
    int code;

    if (descriptor_length == NULL)
        return fail(WSAEFAULT, error);
    if (*descriptor_length < sizeof(told)) { /* Before anything else (SP-120). */
        *descriptor_length = sizeof(told);
        return fail(WSAEFAULT, error);
    }
    if (descriptor == NULL)
        return fail(WSAEFAULT, error);
    if (!random_bytes(&key, sizeof(key)))
        return fail(WSAENOBUFS, error);
    enter();
    code = add(find_socket(s), start, length, access, &registration);
    if (code == 0) {
        registration->exposed = true;
        registration->key = key;
        told = (struct descriptor){registration->number, key, length, access};
        memcpy(descriptor, &told, sizeof(told));
        *descriptor_length = sizeof(told);
    }
    return leave(code, error);
}

int WSPAPI wsp_deregister_rdma_memory(SOCKET s, LPVOID descriptor, DWORD length, LPINT error)
{
    struct socket *socket;
    struct descriptor told;
    struct registration *one = NULL;
    int code = 0;

    if (descriptor == NULL || length != sizeof(told))
        return fail(descriptor == NULL ? WSAEFAULT : WSAEINVAL, error);
    memcpy(&told, descriptor, sizeof(told));
    enter();
    socket = find_socket(s);
    if (socket == NULL)
        code = WSAENOTSOCK;
    else
        one = socket->registrations;
    while (one != NULL && !(one->exposed && one->number == told.number && one->key == told.key))
        one = one->next;
    if (one != NULL && !HAS_DEFECT(ACCESS_AFTER_DEREGISTRATION))
        take_out(socket, one); /* The peer's access ends here (SP-123). */
    else if (one == NULL && code == 0)
        code = WSAEINVAL;
    return leave(code, error);
}
