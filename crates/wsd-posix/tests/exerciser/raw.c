#include "exerciser.h"

/* The same by number. */

void raw_data(struct pair pair) {
    char data[32];
    memset(data, 0, sizeof data);
    struct iovec out[] = {{"abc", 3}, {"de", 2}}, in[] = {{data, 3}, {data + 3, 20}};
    struct msghdr to = {.msg_iov = out, .msg_iovlen = 2}, message = {.msg_iov = in, .msg_iovlen = 2};
    struct mmsghdr many_to = {.msg_hdr = to}, many = {.msg_hdr = message};
    for (int i = 0; i < 6; i++) {
        memset(data, 0, sizeof data);
        long result = i == 0   ? syscall(SYS_write, pair.a, "abcde", 5)
                      : i == 1 ? syscall(SYS_writev, pair.a, out, 2)
                      : i == 2 ? syscall(SYS_sendto, pair.a, "abcde", 5, 0, NULL, 0)
                      : i == 3 ? syscall(SYS_sendmsg, pair.a, &to, 0)
                      : i == 4 ? syscall(SYS_sendmmsg, pair.a, &many_to, 1, 0)
                               : syscall(SYS_pwritev2, pair.a, out, 2, -1L, 0L, 0);
        show("out", result);
        until_readable(pair.b);
        result = i == 0   ? syscall(SYS_read, pair.b, data, 20)
                 : i == 1 ? syscall(SYS_readv, pair.b, in, 2)
                 : i == 2 ? syscall(SYS_recvfrom, pair.b, data, 20, 0, NULL, NULL)
                 : i == 3 ? syscall(SYS_recvmsg, pair.b, &message, 0)
                 : i == 4 ? syscall(SYS_recvmmsg, pair.b, &many, 1, 0, NULL)
                          : syscall(SYS_preadv2, pair.b, in, 2, -1L, 0L, 0);
        show("in", result);
        say("%s", data);
    }
    show("nothing", syscall(SYS_recvfrom, pair.b, data, 20, MSG_DONTWAIT, NULL, NULL));
    int file = open("/proc/self/exe", O_RDONLY), ends[2];
    off_t offset = 1;
    show("sendfile", syscall(SYS_sendfile, pair.a, file, &offset, 3));
    show("offset", offset);
    get(pair.b, data, 3);
    say("%.3s", data);
    close(file);
    show("pipe2", syscall(SYS_pipe2, ends, 0));
    show("setsockopt", syscall(SYS_setsockopt, pair.a, IPPROTO_TCP, TCP_NODELAY, &(int){1}, 4));
    int value = -1;
    socklen_t length = 4;
    show("getsockopt", syscall(SYS_getsockopt, pair.a, SOL_SOCKET, SO_ERROR, &value, &length));
    say("%d", value);
    show("ioctl", syscall(SYS_ioctl, pair.b, FIONREAD, &value));
    say("%d", value);
    check("before", pair);
    put(ends[1], "spliced", 7);
    show("splice", syscall(SYS_splice, ends[0], NULL, pair.a, NULL, 7, 0));
    get(pair.b, data, 7);
    say("%.7s", data);
    close(ends[0]);
    close(ends[1]);
    show("unknown call", syscall(9999));
    show("getpid", syscall(SYS_getpid) - getpid());
    int word = 0;
    show("futex", syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 1, NULL, NULL, 0));
    show("shutdown", syscall(SYS_shutdown, pair.a, SHUT_WR));
    show("end", syscall(SYS_read, pair.b, data, 1));
    close_pair(pair);
}

void raw_waits(struct pair pair) {
    char data[8];
    put(pair.a, "x", 1);
    until_readable(pair.b);
    struct pollfd entry = {pair.b, POLLIN, 0};
    struct timespec limit = {1, 0};
    sigset_t mask;
    sigfillset(&mask);
    show("ppoll", syscall(SYS_ppoll, &entry, 1, &limit, &mask, 8));
    show("ppoll", syscall(SYS_ppoll, &entry, 1, NULL, NULL, 0));
    show("ppoll with a wrong mask", syscall(SYS_ppoll, &entry, 1, NULL, &mask, 128));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pair.b, &set);
    const void *both[] = {&mask, (void *)8};
    show("pselect6", syscall(SYS_pselect6, pair.b + 1, &set, NULL, NULL, &limit, both));
    show("pselect6", syscall(SYS_pselect6, pair.b + 1, &set, NULL, NULL, NULL, NULL));
    int epoll = syscall(SYS_epoll_create1, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 77};
    show("epoll_ctl", syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, pair.b, &event));
    memset(&event, 0, sizeof event);
    show("epoll_pwait", syscall(SYS_epoll_pwait, epoll, &event, 1, 1000, &mask, 8));
    say("%u", event.data.u32);
    show("epoll_pwait", syscall(SYS_epoll_pwait, epoll, &event, 1, 1000, NULL, 0));
    show("epoll_pwait2", syscall(SYS_epoll_pwait2, epoll, &event, 1, &limit, NULL, 0));
#ifdef SYS_poll
    struct timeval time = {1, 0};
    show("poll", syscall(SYS_poll, &entry, 1, 1000));
    show("select", syscall(SYS_select, pair.b + 1, &set, NULL, NULL, &time));
    show("epoll_wait", syscall(SYS_epoll_wait, epoll, &event, 1, 1000));
    get(pair.b, data, 1);
    show("poll", syscall(SYS_poll, &entry, 1, 0));
    show("epoll_wait", syscall(SYS_epoll_wait, epoll, &event, 1, 0));
#else
    get(pair.b, data, 1);
#endif
    close(epoll);
    check("after", pair);
    close_pair(pair);
}

void raw_descriptors(struct pair pair) {
    struct sockaddr_in name;
    int from = listener(&name);
    char data[8];
    struct pair other = {syscall(SYS_socket, AF_INET, SOCK_STREAM, 0), -1};
    show("connect", syscall(SYS_connect, other.a, &name, sizeof name));
    other.b = syscall(SYS_accept4, from, NULL, NULL, SOCK_CLOEXEC);
    warm(other);
    check("made by number", other);
    int copy = syscall(SYS_dup, other.b);
    show("close", syscall(SYS_close, other.b));
    other.b = syscall(SYS_dup3, copy, 70, 0);
    show("close", syscall(SYS_close, copy));
    check("copied by number", other);
    copy = syscall(SYS_fcntl, other.b, F_DUPFD, 80);
    show("close", syscall(SYS_close_range, 70, 70, 0));
    other.b = copy;
    check("copied by number", other);
    show("flags", syscall(SYS_fcntl, other.b, F_SETFL, O_NONBLOCK));
    show("read", read(other.b, data, 1));
    show("flags", syscall(SYS_fcntl, other.b, F_SETFL, 0));
    int file = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
#ifdef SYS_dup2
    show("replace", syscall(SYS_dup2, file, other.b) - other.b);
#else
    show("replace", syscall(SYS_dup3, file, other.b, 0) - other.b);
#endif
    show("end", recv(other.a, data, 1, 0));
    show("write", syscall(SYS_write, other.b, "x", 1));
    close_pair(other);
    close(file);
    int link[2];
    show("socketpair", syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, link));
    close(link[0]);
    close(link[1]);
    show("no program", syscall(SYS_execve, "/nonexistent", NULL, NULL));
    check("goes on", pair);
    int process = syscall(SYS_pidfd_open, getpid(), 0);
    copy = syscall(SYS_pidfd_getfd, process, pair.b, 0);
    say("taken %d", copy >= 0);
    if (copy >= 0)
        close(copy);
    close(process);
    check("after", pair);
    close(from);
    close_pair(pair);
}
