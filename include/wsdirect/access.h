/* One-sided access: a program lets its peer read and write a buffer over an ordinary connected TCP socket, without taking part in
 * the transfer. See docs/one-sided.md.
 *
 * Nothing is to be linked: the functions look for the switch in the running process, where `wsdirect run` has preloaded it.
 * Without it, or while the connection is on TCP, they fail with EOPNOTSUPP, and wsdirect_why() says why.
 *
 * All functions may be called by any thread, not by signal handlers. Those with a time-out, in milliseconds, wait at most for
 * so long; 0 does not wait. Failures are told by -1 and errno; wsdirect_code() gives the code of Winsock for it. */
#ifndef WSDIRECT_ACCESS_H
#define WSDIRECT_ACCESS_H

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WSDIRECT_ACCESS_VERSION 1u
/* What the peer may do. */
#define WSDIRECT_READ 1u
#define WSDIRECT_WRITE 2u
/* Bytes of a window. */
#define WSDIRECT_WINDOW 256

/* What the peer needs to know of exposed memory; to be sent to it as it is. */
typedef struct wsdirect_window {
    unsigned char bytes[WSDIRECT_WINDOW];
} wsdirect_window;

/* What the switch exports. Failures are negative values of errno. */
typedef struct wsdirect_access_table {
    unsigned version;
    int (*ready)(int fd, int timeout);
    size_t (*why)(int fd, char *text, size_t size);
    int64_t (*expose)(int fd, void *memory, size_t length, unsigned rights, wsdirect_window *window);
    int (*withdraw)(int64_t exposure, int timeout);
    int64_t (*read)(int fd, void *memory, size_t length, const wsdirect_window *window, uint64_t offset);
    int64_t (*write)(int fd, const void *memory, size_t length, const wsdirect_window *window, uint64_t offset);
    int (*wait)(int64_t number, int timeout);
} wsdirect_access_table;

/* The switch's table; NULL if the program does not run under wsdirect. */
static inline const wsdirect_access_table *wsdirect_table(void)
{
    static const wsdirect_access_table *found;
    const wsdirect_access_table *table = __atomic_load_n(&found, __ATOMIC_ACQUIRE);
    if (!table) {
        void *program = dlopen(NULL, RTLD_LAZY);
        void *symbol = program ? dlsym(program, "wsdirect_access") : NULL;
        const wsdirect_access_table *(*lookup)(unsigned) = NULL;
        if (symbol) {
            memcpy(&lookup, &symbol, sizeof lookup);
            table = lookup(WSDIRECT_ACCESS_VERSION);
            __atomic_store_n(&found, table, __ATOMIC_RELEASE);
        }
        if (program)
            dlclose(program);
    }
    return table;
}

static inline int64_t wsdirect_result(int64_t result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* Waits until the connection can be accessed one-sidedly. Both ends have to call it. 0, or -1: ENOTCONN, EBADF, or EOPNOTSUPP
 * when it stays on TCP. */
static inline int wsdirect_ready(int fd, int timeout)
{
    const wsdirect_access_table *table = wsdirect_table();
    return (int)wsdirect_result(table ? table->ready(fd, timeout) : -EOPNOTSUPP);
}

/* Writes into `text`, of `size` bytes, whether the connection can be accessed one-sidedly, or why not. Gives the length of the
 * whole text, as snprintf does. */
static inline size_t wsdirect_why(int fd, char *text, size_t size)
{
    static const char none[] = "the program does not run under wsdirect";
    const wsdirect_access_table *table = wsdirect_table();
    if (table)
        return table->why(fd, text, size);
    if (size) {
        size_t length = sizeof none - 1 < size - 1 ? sizeof none - 1 : size - 1;
        memcpy(text, none, length);
        text[length] = 0;
    }
    return sizeof none - 1;
}

/* Lets the peer use `length` bytes (at most 2^32 - 1) at `memory`, as `rights` say. Gives the exposure's number and fills in the
 * window for the peer. The memory must stay mapped, and not be freed, until wsdirect_withdraw() or wsdirect_wait() says that the
 * exposure has ended. */
static inline int64_t wsdirect_expose(int fd, void *memory, size_t length, unsigned rights, wsdirect_window *window)
{
    const wsdirect_access_table *table = wsdirect_table();
    return wsdirect_result(table ? table->expose(fd, memory, length, rights, window) : -EOPNOTSUPP);
}

/* Ends an exposure. 0: the peer has no access any more, and the memory is the program's. -1 with ETIMEDOUT: not yet; with EINVAL:
 * there is no such exposure in this process. */
static inline int wsdirect_withdraw(int64_t exposure, int timeout)
{
    const wsdirect_access_table *table = wsdirect_table();
    return (int)wsdirect_result(table ? table->withdraw(exposure, timeout) : -EINVAL);
}

/* Begins to read `length` bytes of the peer's memory, at `offset` of its window, into `memory`. Gives the operation's number.
 * The memory must stay mapped, and not be freed, until wsdirect_wait() says anything but ETIMEDOUT. */
static inline int64_t wsdirect_read(int fd, void *memory, size_t length, const wsdirect_window *window, uint64_t offset)
{
    const wsdirect_access_table *table = wsdirect_table();
    return wsdirect_result(table ? table->read(fd, memory, length, window, offset) : -EOPNOTSUPP);
}

/* Begins to write `length` bytes at `memory` into the peer's memory, at `offset` of its window. As wsdirect_read(). */
static inline int64_t wsdirect_write(int fd, const void *memory, size_t length, const wsdirect_window *window,
                                     uint64_t offset)
{
    const wsdirect_access_table *table = wsdirect_table();
    return wsdirect_result(table ? table->write(fd, memory, length, window, offset) : -EOPNOTSUPP);
}

/* The result of an operation, told once: 0 or -1. ETIMEDOUT: it goes on; anything else: it has ended. Of an exposure: ETIMEDOUT
 * while it stands, ECONNABORTED when it has ended by itself. */
static inline int wsdirect_wait(int64_t number, int timeout)
{
    const wsdirect_access_table *table = wsdirect_table();
    return (int)wsdirect_result(table ? table->wait(number, timeout) : -EINVAL);
}

/* The code of Winsock that says the same as an errno value; WSASYSCALLFAILURE for others than these functions give. */
static inline int wsdirect_code(int error)
{
    switch (error) {
    case 0: return 0;
    case EBADF: return 10009;
    case EACCES: return 10013;
    case EFAULT: return 10014;
    case EAGAIN: return 10035;
    case EINVAL: return 10022;
    case EMSGSIZE: return 10040;
    case EOPNOTSUPP: return 10045;
    case ECONNABORTED: return 10053;
    case ENOBUFS: return 10055;
    case ENOTCONN: return 10057;
    case ETIMEDOUT: return 10060;
    case ESTALE: return 10070;
    default: return 10107;
    }
}

#ifdef __cplusplus
}
#endif

#endif
