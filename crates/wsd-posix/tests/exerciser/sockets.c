#include "exerciser.h"

#include <linux/filter.h>
#include <linux/sockios.h>

static void option(const char *what, int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    int result = getsockopt(fd, level, name, &value, &length);
    if (result < 0)
        show(what, result);
    else
        say("%s: %d %u", what, value, length);
}

static int set(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value);
}

void options(struct pair pair) {
    char data[8];
    struct sockaddr_in name, peer;
    socklen_t length = sizeof name;
    show("getsockname", getsockname(pair.a, (struct sockaddr *)&name, &length));
    show("getpeername", getpeername(pair.b, (struct sockaddr *)&peer, &length));
    say("same name %d", memcmp(&name, &peer, sizeof name) == 0);
    option("error", pair.a, SOL_SOCKET, SO_ERROR);
    option("type", pair.a, SOL_SOCKET, SO_TYPE);
    option("domain", pair.a, SOL_SOCKET, SO_DOMAIN);
    option("accepting", pair.a, SOL_SOCKET, SO_ACCEPTCONN);
    option("no delay", pair.b, IPPROTO_TCP, TCP_NODELAY);
    show("no delay", set(pair.b, IPPROTO_TCP, TCP_NODELAY, 0));
    option("no delay", pair.b, IPPROTO_TCP, TCP_NODELAY);
    show("keep alive", set(pair.b, SOL_SOCKET, SO_KEEPALIVE, 1));
    show("buffers", set(pair.b, SOL_SOCKET, SO_RCVBUF, 50000) + set(pair.b, SOL_SOCKET, SO_SNDBUF, 50000));
    option("receive buffer", pair.b, SOL_SOCKET, SO_RCVBUF);
    show("unknown", set(pair.b, SOL_SOCKET, 9999, 1));
    option("unknown", pair.b, SOL_SOCKET, 9999);
    show("null", setsockopt(pair.b, SOL_SOCKET, SO_KEEPALIVE, NULL, 4));
    length = sizeof(int);
    show("null", getsockopt(pair.b, SOL_SOCKET, SO_ERROR, NULL, &length));
    show("null", getsockopt(pair.b, SOL_SOCKET, SO_ERROR, data, NULL));
    length = -1;
    show("negative", getsockopt(pair.b, SOL_SOCKET, SO_ERROR, data, &length));
    length = 2;
    show("short", getsockopt(pair.b, SOL_SOCKET, SO_ERROR, data, &length));
    say("length %u", length);

    struct timeval limit = {0, 30000};
    show("time-out", setsockopt(pair.b, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    show("recv times out", recv(pair.b, data, 1, 0));
    limit.tv_usec = 0;
    show("no time-out", setsockopt(pair.b, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    show("low water", set(pair.b, SOL_SOCKET, SO_RCVLOWAT, 4));
    put(pair.a, "ab", 2);
    pause_ms(20);
    struct pollfd entry = {pair.b, POLLIN, 0};
    show("below", poll(&entry, 1, 0));
    put(pair.a, "cd", 2);
    show("reached", poll(&entry, 1, 10000));
    show("read", recv(pair.b, data, 8, 0));
    show("low water", set(pair.b, SOL_SOCKET, SO_RCVLOWAT, 1));
    check("before kernel options", pair);

    struct sock_filter accept_all = {BPF_RET | BPF_K, 0, 0, 0xffffffff};
    struct sock_fprog filter = {1, &accept_all};
    show("filter", setsockopt(pair.b, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter));
    check("with a filter", pair);
    show("zero copy", set(pair.a, SOL_SOCKET, SO_ZEROCOPY, 1));
    check("with zero copy", pair);
    show("layer", setsockopt(pair.b, IPPROTO_TCP, TCP_ULP, "nonesuch", 8));
    show("time stamps", set(pair.b, SOL_SOCKET, SO_TIMESTAMP, 1));
    check("with time stamps", pair);
    close_pair(pair);
}

void requests(struct pair pair) {
    char data[8];
    int value = -1;
    show("FIONREAD", ioctl(pair.b, FIONREAD, &value));
    say("readable %d", value);
    put(pair.a, "12345", 5);
    until_readable(pair.b);
    show("FIONREAD", ioctl(pair.b, FIONREAD, &value));
    say("readable %d", value);
    get(pair.b, data, 5);
    for (int i = 0; i < 1000 && ioctl(pair.a, SIOCOUTQ, &value) == 0 && value != 0; i++)
        pause_ms(10);
    show("SIOCOUTQ", ioctl(pair.a, SIOCOUTQ, &value));
    say("unsent %d", value);
    show("TIOCOUTQ", ioctl(pair.a, TIOCOUTQ, &value));
    say("unsent %d", value);
    show("SIOCOUTQNSD", ioctl(pair.a, SIOCOUTQNSD, &value));
    say("unsent %d", value);
    value = 1;
    show("FIONBIO", ioctl(pair.b, FIONBIO, &value));
    show("read", read(pair.b, data, 1));
    show("flags", fcntl(pair.b, F_GETFL) & O_NONBLOCK);
    value = 0;
    show("FIONBIO", ioctl(pair.b, FIONBIO, &value));
    show("flags", fcntl(pair.b, F_GETFL) & O_NONBLOCK);
    show("F_SETFL", fcntl(pair.b, F_SETFL, O_NONBLOCK));
    show("read", read(pair.b, data, 1));
    show("recv all", recv(pair.b, data, 5, MSG_WAITALL));
    show("F_SETFL", fcntl(pair.b, F_SETFL, 0));
    show("F_SETFD", fcntl(pair.b, F_SETFD, FD_CLOEXEC));
    show("F_GETFD", fcntl(pair.b, F_GETFD));
    show("FIONCLEX", ioctl(pair.b, FIONCLEX));
    show("F_GETFD", fcntl(pair.b, F_GETFD));
    show("unknown", ioctl(pair.b, 0x12345678, &value));
    show("unknown", fcntl(pair.b, 9999, 0));
    show("null", ioctl(pair.b, FIONREAD, NULL));
    check("before signals", pair);

    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGIO);
    sigaddset(&mask, SIGURG);
    sigprocmask(SIG_BLOCK, &mask, &before);
    show("F_SETOWN", fcntl(pair.b, F_SETOWN, getpid()));
    show("F_GETOWN", fcntl(pair.b, F_GETOWN) - getpid());
    show("O_ASYNC", fcntl(pair.b, F_SETFL, O_ASYNC));
    put(pair.a, "x", 1);
    struct timespec limit = {2, 0};
    show("signal", sigtimedwait(&mask, NULL, &limit));
    get(pair.b, data, 1);
    send(pair.a, "!", 1, MSG_OOB);
    while (sigtimedwait(&mask, NULL, &limit) == SIGIO)
        ;
    show("async off", fcntl(pair.b, F_SETFL, 0));
    while (sigtimedwait(&mask, NULL, &(struct timespec){0, 0}) > 0)
        ;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close_pair(pair);
}

void connecting(struct pair pair) {
    struct sockaddr_in name, peer;
    socklen_t length = sizeof peer;
    int from = listener(&name);
    show("listen again", listen(from, 5));
    show("connect a listener", connect(from, (struct sockaddr *)&name, sizeof name));
    show("connect again", connect(pair.a, (struct sockaddr *)&name, sizeof name));
    int fresh = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int result = connect(fresh, (struct sockaddr *)&name, sizeof name);
    say("connecting %d", result == 0 || errno == EINPROGRESS);
    struct pollfd entry = {fresh, POLLOUT, 0};
    show("connected", poll(&entry, 1, 1000));
    option("error", fresh, SOL_SOCKET, SO_ERROR);
    int accepted = accept4(from, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    say("accepted %d name %u family %d", accepted >= 0, length, peer.sin_family);
    show("flags", fcntl(accepted, F_GETFL) & O_NONBLOCK);
    show("flags", fcntl(accepted, F_GETFD));
    fcntl(accepted, F_SETFL, 0);
    fcntl(fresh, F_SETFL, 0);
    struct pair other = {fresh, accepted};
    warm(other);
    check("other", other);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    show("dissolve", connect(fresh, &nobody, sizeof nobody));
    show("no longer connected", send(fresh, "x", 1, MSG_NOSIGNAL));
    close(accepted);
    close(fresh);
    show("accept without waiting", (fcntl(from, F_SETFL, O_NONBLOCK), accept(from, NULL, NULL)));
    show("accept on a connection", accept(pair.a, NULL, NULL));
    show("accept on nothing", accept4(-1, NULL, NULL, 0));
    close(from);

    fresh = socket(AF_INET, SOCK_STREAM, 0);
    show("refused", connect(fresh, (struct sockaddr *)&name, sizeof name));
    close(fresh);
    fresh = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    result = connect(fresh, (struct sockaddr *)&name, sizeof name);
    entry.fd = fresh;
    show("refused later", poll(&entry, 1, 1000));
    option("error", fresh, SOL_SOCKET, SO_ERROR);
    option("error taken", fresh, SOL_SOCKET, SO_ERROR);
    close(fresh);
    show("connect to null", connect(pair.a, NULL, 0));
    show("no such socket", socket(12345, SOCK_STREAM, 0));
    show("bad shutdown", shutdown(-1, SHUT_WR));

    /* IPv6 and both families. */
    struct sockaddr_in6 name6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    length = sizeof name6;
    from = socket(AF_INET6, SOCK_STREAM, 0);
    if (bind(from, (struct sockaddr *)&name6, sizeof name6) == 0 && listen(from, 1) == 0) {
        getsockname(from, (struct sockaddr *)&name6, &length);
        other.a = socket(AF_INET6, SOCK_STREAM, 0);
        show("connect by IPv6", connect(other.a, (struct sockaddr *)&name6, sizeof name6));
        other.b = accept(from, NULL, NULL);
        warm(other);
        check("IPv6", other);
        close_pair(other);
    }
    close(from);
    check("first", pair);
    close_pair(pair);
}

void endings(struct pair pair) {
    char data[8];
    show("wrong shutdown", shutdown(pair.a, 77));
    put(pair.a, "last", 4);
    show("shutdown", shutdown(pair.a, SHUT_WR));
    show("send after", send(pair.a, "x", 1, MSG_NOSIGNAL));
    show("the rest", recv(pair.b, data, 8, MSG_WAITALL));
    show("end", recv(pair.b, data, 8, 0));
    show("end again", read(pair.b, data, 8));
    put(pair.b, "back", 4);
    show("half closed", recv(pair.a, data, 8, 0));
    show("shutdown", shutdown(pair.b, SHUT_RDWR));
    show("end", recv(pair.a, data, 8, 0));
    close_pair(pair);
    show("shutdown of nothing", shutdown(pair.b, SHUT_WR));

    pair = connected();
    warm(pair);
    show("stop reading", shutdown(pair.b, SHUT_RD));
    show("end at once", recv(pair.b, data, 8, 0));
    close_pair(pair);

    pair = connected();
    warm(pair);
    close(pair.b);
    pause_ms(20);
    show("first send", send(pair.a, "x", 1, MSG_NOSIGNAL));
    until_broken(pair.a);
    show("another send", send(pair.a, "x", 1, MSG_NOSIGNAL));
    signal(SIGPIPE, SIG_IGN);
    show("write", write(pair.a, "x", 1));
    show("writev", writev(pair.a, &(struct iovec){"x", 1}, 1));
    signal(SIGPIPE, SIG_DFL);
    show("end", read(pair.a, data, 1));
    close(pair.a);
    show("shutdown of a new socket", shutdown((pair.a = socket(AF_INET, SOCK_STREAM, 0)), SHUT_WR));
    close(pair.a);
}
