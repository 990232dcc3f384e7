#include "exerciser.h"

#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static void over(const char *what, struct pair pair, int copy) {
    say("%s: %s", what, copy >= 0 ? "made" : strerrorname_np(errno));
    if (copy >= 0) {
        check(what, (struct pair){pair.a, copy});
        close(copy);
        check("after its close", pair);
    }
}

void copies(struct pair pair) {
    char data[8];
    over("dup", pair, dup(pair.b));
    over("dup2", pair, dup2(pair.b, 50));
    over("dup3", pair, dup3(pair.b, 51, O_CLOEXEC));
    over("F_DUPFD", pair, fcntl(pair.b, F_DUPFD, 60));
    over("F_DUPFD_CLOEXEC", pair, fcntl(pair.b, F_DUPFD_CLOEXEC, 60));
    show("dup2 onto itself", dup2(pair.b, pair.b) - pair.b);
    show("dup3 onto itself", dup3(pair.b, pair.b, 0));
    show("dup3 with wrong flags", dup3(pair.b, 52, 12345));
    show("dup2 of nothing", dup2(99, pair.b));
    show("dup2 to -1", dup2(pair.b, -1));
    show("dup of nothing", dup(99));
    show("F_DUPFD to too high", fcntl(pair.b, F_DUPFD, 1 << 30));
    check("still there", pair);

    /* Only the last close ends the stream. */
    int copy = dup(pair.b);
    close(pair.b);
    check("by the copy", (struct pair){pair.a, copy});
    show("nothing yet", recv(pair.a, data, 1, MSG_DONTWAIT));

    /* A connection that is replaced by another one is closed by that. */
    struct pair other = connected();
    warm(other);
    int number = copy;
    show("dup2 over a connection", dup2(other.b, copy) - number);
    show("end of the first", recv(pair.a, data, 1, 0));
    check("the second", (struct pair){other.a, copy});
    show("dup2 of a file over it", dup2(0, copy) - number);
    check("the second's first descriptor", other);
    show("dup3 of a file over that", dup3(copy, other.b, 0) - other.b);
    show("end of the second", recv(other.a, data, 1, 0));
    close(copy);
    close_pair(other);
    close(pair.a);
}

void closing(struct pair pair) {
    char data[8];
    show("close nothing", close(-1));
    show("close nothing", close(99999));
    show("close_range backwards", close_range(9, 3, 0));
    show("close_range with wrong flags", close_range(pair.b, pair.b, 12345));
    show("close_range on exec", close_range(pair.b, pair.b, CLOSE_RANGE_CLOEXEC));
    show("flag", fcntl(pair.b, F_GETFD));
    check("still there", pair);
    show("close_range", close_range(pair.b, pair.b, 0));
    show("end", recv(pair.a, data, 1, 0));
    show("closed", fcntl(pair.b, F_GETFD));
    close(pair.a);

    pair = connected();
    warm(pair);
    int high = fcntl(pair.b, F_DUPFD, 700);
    close(pair.b);
    closefrom(600);
    show("end", recv(pair.a, data, 1, 0));
    show("closed", fcntl(high, F_GETFD));
    close(pair.a);

    /* Everything above a descriptor, though other descriptors than the program's may be there. */
    pair = connected();
    warm(pair);
    int top = pair.a > pair.b ? pair.a : pair.b;
    show("close_range of the rest", close_range(top + 1, ~0U, 0));
    check("after", pair);
    warm(pair);
    for (int fd = top + 1; fd < 5000; fd++)
        close(fd);
    closefrom(top + 1);
    check("after", pair);
    warm(pair);
    check("after", pair);
    close_pair(pair);

    /* Bytes that nobody read turn the close into a reset. */
    pair = connected();
    warm(pair);
    put(pair.a, "unread", 6);
    until_readable(pair.b);
    show("close", close(pair.b));
    pause_ms(20);
    show("reset", recv(pair.a, data, 1, 0));
    show("then the end", recv(pair.a, data, 1, 0));
    close(pair.a);

    /* Lingering. */
    pair = connected();
    warm(pair);
    struct linger linger = {1, 0};
    show("linger", setsockopt(pair.b, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    show("close", close(pair.b));
    pause_ms(20);
    show("reset", recv(pair.a, data, 1, 0));
    close(pair.a);

    /* What was sent before the close arrives. */
    pair = connected();
    warm(pair);
    put(pair.b, "last", 4);
    show("close", close(pair.b));
    pause_ms(20);
    show("last words", recv(pair.a, data, sizeof data, 0));
    show("end", recv(pair.a, data, sizeof data, 0));
    close(pair.a);
}

/* The number of a closed connection comes back as something else: `fd` must behave as what it is. */
static void reused(const char *what, int number, int fd) {
    char data[64];
    say("%s: same number %d", what, number == fd);
    ssize_t result = send(fd, "x", 1, MSG_NOSIGNAL);
    show("send", result);
    if (result < 0 && errno == ENOTSOCK)
        show("write", write(fd, "12345678", 8));
    struct pollfd entry = {fd, POLLOUT, 0};
    show("poll", poll(&entry, 1, 0));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    show("read", read(fd, data, sizeof data));
    close(fd);
}

void numbers(struct pair pair) {
    int ends[2];
    sigset_t mask;
    sigemptyset(&mask);
    int number = pair.b;
    close(pair.b);
/* In a process with threads another one may take the number first: then once more. */
#define REUSED(call)                             \
    for (int tries = 20; tries > 0; tries--) {   \
        struct pair fresh = connected();         \
        number = fresh.b;                        \
        close(fresh.b);                          \
        int fd = (call);                         \
        if (fd == number || tries == 1) {        \
            reused(#call, number, fd);           \
            tries = 0;                           \
        } else {                                 \
            close(fd);                           \
        }                                        \
        close(fresh.a);                          \
    }
    REUSED(open("/dev/null", O_RDWR));
    REUSED(openat(AT_FDCWD, "/dev/null", O_RDWR));
    REUSED(open64("/dev/null", O_RDWR));
    REUSED(openat64(AT_FDCWD, "/dev/null", O_RDWR));
    REUSED(creat("/dev/null", 0600));
    REUSED(eventfd(3, 0));
    REUSED(timerfd_create(CLOCK_MONOTONIC, 0));
    REUSED(signalfd(-1, &mask, 0));
    REUSED(inotify_init());
    REUSED(inotify_init1(0));
    REUSED(memfd_create("x", 0));
    REUSED(epoll_create(1));
    REUSED(epoll_create1(EPOLL_CLOEXEC));
    REUSED(socket(AF_UNIX, SOCK_STREAM, 0));
    REUSED(socket(AF_INET, SOCK_DGRAM, 0));
    REUSED(socket(AF_INET, SOCK_STREAM, 0));
    REUSED((pipe(ends), close(ends[1]), ends[0]));
    REUSED((pipe2(ends, 0), close(ends[1]), ends[0]));
    REUSED((socketpair(AF_UNIX, SOCK_STREAM, 0, ends), close(ends[1]), ends[0]));
    REUSED(dup(0));
    REUSED(fcntl(0, F_DUPFD, 3));
    REUSED((int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR));
    REUSED((int)syscall(SYS_eventfd2, 0, 0));
    show("epoll_create of 0", epoll_create(0));
    show("open of nothing", open("/nonexistent", O_RDONLY));
    char name[] = "/tmp/exerciser-mode-XXXXXX";
    close(mkstemp(name));
    unlink(name);
    umask(022);
    int file = open(name, O_CREAT | O_WRONLY, 0640);
    struct stat status;
    fstat(file, &status);
    say("mode %o", status.st_mode & 0777);
    close(file);
    unlink(name);
    close(pair.a);
}
