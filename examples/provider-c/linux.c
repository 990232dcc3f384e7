/*
 * linux.c: platform.h on Linux. Links are AF_UNIX sequenced-packet sockets; doors have abstract addresses, which belong to
 * a network namespace and end with their process.
 */
#include "provider.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int set = -1; /* epoll */
static int kick = -1; /* Wakes the thread, and only the thread takes it. */

static socklen_t encode(struct sockaddr_un *address, const char *name)
{
    size_t length = strlen(name);

    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path + 1, name, length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

/* The same descriptor with a high number: programs use low ones, some only those below 1,024. */
static int out_of_reach(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 600);

    if (high >= 0)
        close(fd);
    return high >= 0 ? high : fd;
}

static int unix_socket(void)
{
    return out_of_reach(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

enum opened open_door(const char *name, int *door)
{
    struct sockaddr_un address;
    socklen_t length = encode(&address, name);
    int fd = unix_socket();
    bool taken;

    if (fd < 0)
        return NO_RESOURCES;
    if (bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, MAX_BACKLOG) == 0) {
        *door = fd;
        return OPENED;
    }
    taken = errno == EADDRINUSE;
    close(fd);
    return taken ? NAME_IN_USE : NO_RESOURCES;
}

enum opened knock(const char *name, int *link)
{
    struct sockaddr_un address;
    socklen_t length = encode(&address, name);
    int fd = unix_socket();

    if (fd < 0)
        return NO_RESOURCES;
    if (connect(fd, (struct sockaddr *)&address, length) == 0) {
        *link = fd;
        return OPENED;
    }
    close(fd);
    return NOBODY;
}

int admit(int door)
{
    return out_of_reach(accept4(door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

uint32_t process_of_peer(int link)
{
    struct ucred who = {0};
    socklen_t length = sizeof(who);

    return getsockopt(link, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 ? (uint32_t)who.pid : 0;
}

void close_descriptor(int fd)
{
    if (fd >= 0)
        close(fd);
}

union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
};

/* The parts as the kernel wants them. */
static void describe(struct iovec *vectors, const struct part *parts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        vectors[i] = (struct iovec){parts[i].start, parts[i].length};
}

enum sent send_packet(int link, const struct part *parts, unsigned count, int passed)
{
    union control control = {0};
    struct iovec vectors[MAX_PARTS];
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};

    describe(vectors, parts, count);
    if (passed >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
    }
    if (sendmsg(link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return SENT;
    return errno == EAGAIN || errno == EINTR ? LATER : errno == EFAULT ? BAD_MEMORY : NEVER;
}

long receive_packet(int link, const struct part *parts, unsigned count, int *passed)
{
    union control control;
    struct iovec vectors[MAX_PARTS];
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    struct cmsghdr *header;
    ssize_t got;

    describe(vectors, parts, count);
    do {
        message.msg_control = passed != NULL ? &control : NULL;
        message.msg_controllen = passed != NULL ? sizeof(control) : 0;
        got = recvmsg(link, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == ECONNRESET); /* Told once; what had arrived before follows. */
    if (passed != NULL) {
        header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
        *passed = -1;
        if (header != NULL && header->cmsg_type == SCM_RIGHTS)
            memcpy(passed, CMSG_DATA(header), sizeof(*passed));
        *passed = out_of_reach(*passed);
    }
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR) ? NOTHING_YET : ENDED;
    return (message.msg_flags & MSG_TRUNC) != 0 ? TOO_LONG : got;
}

void wait_readable(int link, int milliseconds)
{
    poll(&(struct pollfd){link, POLLIN, 0}, 1, milliseconds);
}

bool start_waiting(void)
{
    set = out_of_reach(epoll_create1(EPOLL_CLOEXEC));
    kick = out_of_reach(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (set >= 0 && kick >= 0)
        return true;
    stop_waiting();
    return false;
}

void stop_waiting(void)
{
    close_descriptor(kick);
    close_descriptor(set);
    kick = set = -1;
}

static struct epoll_event wanted(struct source *source, uint32_t events)
{
    uint32_t in = (events & READABLE) != 0 ? EPOLLIN : 0, out = (events & WRITABLE) != 0 ? EPOLLOUT : 0;

    return (struct epoll_event){.events = in | out, .data.ptr = source};
}

bool add_to_set(struct source *source, int fd, uint32_t events)
{
    struct epoll_event event = wanted(source, events);

    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
}

void change_in_set(struct source *source, int fd, uint32_t events)
{
    struct epoll_event event = wanted(source, events);

    epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}

/* Closing is not enough: another process may have inherited the descriptor. */
void remove_from_set(int fd)
{
    epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
}

struct source *ready_source(void)
{
    struct epoll_event event;

    return epoll_wait(set, &event, 1, 0) == 1 ? event.data.ptr : NULL;
}

void wait_for_sources(int milliseconds)
{
    struct pollfd fds[] = {{.fd = set, .events = POLLIN}, {.fd = kick, .events = POLLIN}};

    /* An up-call of this very thread may have closed everything. */
    if (fds[0].fd >= 0)
        poll(fds, 2, milliseconds);
}

void take_wakes(void)
{
    eventfd_t ignored;

    eventfd_read(kick, &ignored);
}

void wake(void)
{
    if (kick >= 0)
        eventfd_write(kick, 1);
}

bool start_thread(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(thread, NULL, run, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

bool notice_forks(void (*before)(void), void (*after_in_parent)(void), void (*after_in_child)(void))
{
    return pthread_atfork(before, after_in_parent, after_in_child) == 0;
}

bool random_bytes(void *start, size_t length)
{
    return getrandom(start, length, 0) == (ssize_t)length;
}

uint32_t *own_addresses(size_t *count)
{
    struct ifaddrs *all;
    uint32_t *addresses;
    size_t room = 1; /* Not even the loopback device has to have one. */

    if (getifaddrs(&all) != 0)
        return NULL;
    for (struct ifaddrs *one = all; one != NULL; one = one->ifa_next)
        room++;
    addresses = calloc(room, sizeof(*addresses));
    *count = 0;
    for (struct ifaddrs *one = all; one != NULL && addresses != NULL; one = one->ifa_next) {
        if (one->ifa_addr != NULL && one->ifa_addr->sa_family == AF_INET)
            addresses[(*count)++] = ((struct sockaddr_in *)(void *)one->ifa_addr)->sin_addr.s_addr;
    }
    freeifaddrs(all);
    return addresses;
}
