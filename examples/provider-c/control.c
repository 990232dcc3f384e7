/*
 * control.c: options, control codes, and the quality of service that there is not.
 */
#include "provider.h"

#include <stdlib.h>
#include <string.h>

static int check_level(int level)
{
    return level == WS_SOL_SOCKET ? 0 : level == WS_IPPROTO_TCP ? WSAENOPROTOOPT : WSAEINVAL;
}

int WSPAPI wsp_set_sock_opt(SOCKET s, int level, int name, LPCSTR value, int length, LPINT error)
{
    struct socket *socket;
    int code = check_level(level);
    uint32_t number;

    enter();
    socket = find_socket(s);
    if (socket == NULL)
        code = WSAENOTSOCK;
    else if (code == 0 && name != WS_SO_DEBUG)
        code = WSAENOPROTOOPT; /* The others can only be read (SP-052). */
    else if (code == 0 && (value == NULL || length != (int)sizeof(number)))
        code = WSAEFAULT;
    if (code == 0) {
        memcpy(&number, value, sizeof(number));
        socket->debug = number != 0;
    }
    return leave(code, error);
}

int WSPAPI wsp_get_sock_opt(SOCKET s, int level, int name, char *value, LPINT length, LPINT error)
{
    struct socket *socket;
    int code = check_level(level);
    uint32_t number = 0;

    enter();
    socket = find_socket(s);
    if (socket == NULL)
        return leave(WSAENOTSOCK, error);
    switch (name) {
    case WS_SO_DEBUG: number = socket->debug; break;
    case SO_MAX_MSG_SIZE: number = MAX_MESSAGE; break;
    case SO_MAX_RDMA_SIZE: number = MAX_RDMA; break;
    case SO_RDMA_THRESHOLD_SIZE: number = RDMA_THRESHOLD; break;
    default: code = code != 0 ? code : WSAENOPROTOOPT; break;
    }
    if (code == 0 && length == NULL)
        code = WSAEFAULT;
    if (code == 0) {
        if (value == NULL || *length < (int)sizeof(number))
            code = WSAEFAULT; /* With the size that it takes (SP-051). */
        else
            memcpy(value, &number, sizeof(number));
        *length = sizeof(number);
    }
    return leave(code, error);
}

BOOL WSPAPI wsp_get_qos_by_name(SOCKET s, LPWSABUF name, LPQOS qos, LPINT error)
{
    (void)name, (void)qos;
    enter();
    leave(find_socket(s) == NULL ? WSAENOTSOCK : WSAEOPNOTSUPP, error);
    return FALSE;
}

static int answer(const void *value, size_t length, LPVOID out, DWORD room, LPDWORD written)
{
    *written = (DWORD)length;
    if (out == NULL || room < length)
        return WSAEFAULT;
    memcpy(out, value, length);
    return 0;
}

static int extension(const void *in, DWORD in_length, LPVOID out, DWORD room, LPDWORD written)
{
    typedef void (*function)(void);
    static const struct {
        GUID id;
        function function; /* NULL: known, and not there (SP-101). */
    } known[] = {
        {WSAID_REGISTERMEMORY, (function)wsp_register_memory},
        {WSAID_DEREGISTERMEMORY, (function)wsp_deregister_memory},
        {WSAID_REGISTERRDMAMEMORY, (function)wsp_register_rdma_memory},
        {WSAID_DEREGISTERRDMAMEMORY, (function)wsp_deregister_rdma_memory},
        {WSAID_RDMAWRITE, (function)wsp_rdma_write},
        {WSAID_RDMAREAD, NULL},
        {WSAID_MEMORYREGISTRATIONCACHECALLBACK, NULL},
        {WSAID_WSDALLOCATE, NULL},
        {WSAID_WSDFREE, NULL},
        {WSAID_WSDMAP, NULL},
        {WSAID_WSDUNMAP, NULL},
        {WSAID_WSDARM, NULL},
        {WSAID_WSDPROGRESS, NULL},
    };

    if (in == NULL || in_length < sizeof(GUID))
        return WSAEFAULT;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (memcmp(&known[i].id, in, sizeof(GUID)) == 0) {
            return known[i].function == NULL
                ? WSAEOPNOTSUPP : answer(&known[i].function, sizeof(function), out, room, written);
        }
    }
    return WSAEINVAL;
}

/* Every IPv4 address of the host, read anew each time (SP-103): count, entries, then the addresses (SP-102). */
static int address_list(LPVOID out, DWORD room, LPDWORD written)
{
    size_t count = 0, entries = offsetof(SOCKET_ADDRESS_LIST, Address), needed;
    uint32_t *all = own_addresses(&count);
    SOCKET_ADDRESS_LIST *list = out;
    SOCKADDR_IN *addresses;

    if (all == NULL)
        return WSAENETDOWN;
    needed = entries + count * (sizeof(SOCKET_ADDRESS) + sizeof(SOCKADDR_IN));
    *written = (DWORD)needed;
    if (out == NULL || room < needed) {
        free(all);
        return WSAEFAULT;
    }
    addresses = (SOCKADDR_IN *)(void *)((char *)out + entries + count * sizeof(SOCKET_ADDRESS));
    list->iAddressCount = (INT)count;
    for (size_t i = 0; i < count; i++) {
        SOCKET_ADDRESS entry = {.lpSockaddr = (SOCKADDR *)&addresses[i], .iSockaddrLength = sizeof(SOCKADDR_IN)};

        addresses[i] = (SOCKADDR_IN){.sin_family = WS_AF_INET, .sin_addr = all[i]};
        memcpy((char *)out + entries + i * sizeof(entry), &entry, sizeof(entry));
    }
    free(all);
    return 0;
}

int WSPAPI wsp_ioctl(SOCKET s, DWORD control, LPVOID in, DWORD in_length, LPVOID out, DWORD out_length, LPDWORD written,
    LPWSAOVERLAPPED request, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error)
{
    int code;

    (void)request, (void)routine, (void)thread; /* All is done at once. */
    if (written == NULL)
        return fail(WSAEFAULT, error);
    if (control == SIO_GET_EXTENSION_FUNCTION_POINTER) /* With any socket (SP-100). */
        return fail(extension(in, in_length, out, out_length, written), error);
    enter();
    code = find_socket(s) == NULL ? WSAENOTSOCK : 0;
    leave(0, NULL);
    if (code != 0)
        return fail(code, error);
    switch (control) {
    case SIO_ADDRESS_LIST_QUERY: return fail(address_list(out, out_length, written), error);
    case SIO_GET_QOS:
    case SIO_GET_GROUP_QOS:
    case SIO_SET_QOS:
    case SIO_SET_GROUP_QOS: return fail(WSAEOPNOTSUPP, error); /* SP-190 */
    default: return fail(WSAEINVAL, error);
    }
}
