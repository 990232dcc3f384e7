#include "exerciser.h"

static volatile int one = 1;

static void poll_one(const char *what, int fd, short events) {
    struct pollfd entry[2] = {{fd, events, 0}, {-1, POLLIN, 7}};
    int result = poll(entry, one + 1, 0);
    say("%s: %d %x %x", what, result, entry[0].revents, entry[1].revents);
}

void polling(struct pair pair) {
    char data[16];
    poll_one("idle", pair.b, POLLIN | POLLOUT | POLLPRI | POLLRDHUP);
    put(pair.a, "x", 1);
    until_readable(pair.b);
    poll_one("readable", pair.b, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
    poll_one("only writable", pair.b, POLLOUT);
    poll_one("nothing asked", pair.b, 0);
    get(pair.b, data, 1);
    poll_one("empty", pair.b, POLLIN);
    poll_one("not open", 99999, POLLIN);
    struct pollfd entry = {pair.b, POLLIN, 0};
    struct timespec began, after, limit = {0, 30000000};
    clock_gettime(CLOCK_MONOTONIC, &began);
    show("time-out", poll(&entry, 1, 30));
    show("ppoll time-out", ppoll(&entry, 1, &limit, NULL));
    clock_gettime(CLOCK_MONOTONIC, &after);
    long passed = (after.tv_sec - began.tv_sec) * 1000 + (after.tv_nsec - began.tv_nsec) / 1000000;
    say("waited %d, time unchanged %d", passed >= 59, limit.tv_nsec == 30000000);
    sigset_t mask;
    sigfillset(&mask);
    put(pair.a, "x", 1);
    show("ppoll with a mask", ppoll(&entry, one, NULL, &mask));
    limit.tv_nsec = -1;
    show("ppoll with a wrong time", ppoll(&entry, 1, &limit, NULL));
    show("poll of nothing", poll(NULL, 0, 0));
    int (*volatile plain)(struct pollfd *, nfds_t, int) = poll;
    show("poll of too many", plain(&entry, (nfds_t)-1, 0));
    get(pair.b, data, 1);

    shutdown(pair.a, SHUT_WR);
    until_told(pair.b, POLLRDHUP);
    poll_one("peer shut down", pair.b, POLLIN | POLLRDHUP | POLLOUT);
    show("end", recv(pair.b, data, 1, 0));
    shutdown(pair.b, SHUT_WR);
    poll_one("both shut down", pair.b, POLLIN | POLLRDHUP | POLLOUT);
    poll_one("hang-up unasked", pair.b, 0);
    until_told(pair.a, 0);
    poll_one("other side", pair.a, POLLIN | POLLRDHUP | POLLOUT);

    struct pair other = connected();
    warm(other);
    /* Full of bytes that nobody takes: not writable. */
    stop_relay();
    fcntl(other.a, F_SETFL, O_NONBLOCK);
    static char block[65536];
    long total = 0, some;
    entry = (struct pollfd){other.a, POLLOUT, 0};
    do {
        while ((some = write(other.a, block, sizeof block)) > 0)
            total += some;
    } while (poll(&entry, 1, 500) == 1);
    show("full", some);
    poll_one("full", other.a, POLLIN | POLLOUT);
    continue_relay();
    for (long taken = 0; taken < total; taken += some)
        some = read(other.b, block, sizeof block);
    show("writable again", poll(&entry, 1, 5000));
    close_pair(other);
    close_pair(pair);
}

static void select_three(const char *what, int fd, int in, int out, int except, long time) {
    fd_set sets[3];
    for (int i = 0; i < 3; i++)
        FD_ZERO(&sets[i]);
    if (in)
        FD_SET(fd, &sets[0]);
    if (out)
        FD_SET(fd, &sets[1]);
    if (except)
        FD_SET(fd, &sets[2]);
    struct timeval limit = {time / 1000, time % 1000 * 1000};
    int result = select(fd + 1, &sets[0], &sets[1], &sets[2], time < 0 ? NULL : &limit);
    if (result < 0)
        show(what, result);
    else
        say("%s: %d: %d %d %d", what, result, !!FD_ISSET(fd, &sets[0]), !!FD_ISSET(fd, &sets[1]),
            !!FD_ISSET(fd, &sets[2]));
    if (time > 0)
        say("time left %d", limit.tv_sec * 1000 + limit.tv_usec / 1000 > 0);
}

void selecting(struct pair pair) {
    char data[8];
    select_three("idle", pair.b, 1, 1, 1, 0);
    select_three("time-out", pair.b, 1, 0, 1, 20);
    put(pair.a, "x", 1);
    until_readable(pair.b);
    select_three("readable", pair.b, 1, 1, 1, 5000);
    select_three("without limit", pair.b, 1, 1, 1, -1);
    select_three("write only", pair.b, 0, 1, 0, 0);
    select_three("read only", pair.b, 1, 0, 0, 0);
    get(pair.b, data, 1);
    select_three("not open", 300, 1, 0, 0, 0);
    send(pair.a, "!", 1, MSG_OOB);
    pause_ms(20);
    select_three("urgent", pair.b, 0, 0, 1, 1000);
    recv(pair.b, data, 1, MSG_OOB);

    fd_set set;
    FD_ZERO(&set);
    struct timeval wrong = {-1, 0}, large = {0, 1500000};
    show("wrong time", select(0, NULL, NULL, NULL, &wrong));
    show("negative", select(-1, &set, NULL, NULL, NULL));
    FD_SET(pair.a, &set);
    FD_SET(pair.b, &set);
    put(pair.a, "x", 1);
    until_readable(pair.b);
    show("odd time", select(FD_SETSIZE, &set, NULL, NULL, &large));
    say("first %d second %d", !!FD_ISSET(pair.a, &set), !!FD_ISSET(pair.b, &set));
    struct timespec limit = {1, 0};
    sigset_t mask;
    sigfillset(&mask);
    FD_SET(pair.a, &set);
    FD_SET(pair.b, &set);
    show("pselect", pselect(pair.b + 1, &set, NULL, NULL, &limit, &mask));
    say("first %d second %d time unchanged %d", !!FD_ISSET(pair.a, &set), !!FD_ISSET(pair.b, &set),
        limit.tv_sec == 1 && limit.tv_nsec == 0);
    limit.tv_nsec = 1000000000;
    show("pselect with a wrong time", pselect(pair.b + 1, &set, NULL, NULL, &limit, NULL));
    get(pair.b, data, 1);

    shutdown(pair.a, SHUT_WR);
    until_told(pair.b, POLLRDHUP);
    select_three("end", pair.b, 1, 1, 1, 0);
    shutdown(pair.b, SHUT_WR);
    select_three("hang-up", pair.b, 1, 1, 1, 0);
    select_three("hang-up for exceptions only", pair.b, 0, 0, 1, 50);
    close_pair(pair);
}

/* Nothing comes in a while. */
static void no_events(const char *what, int set) {
    struct epoll_event found[4];
    show(what, epoll_wait(set, found, 4, 20));
}

/* Something comes, at once or by way of the relay. */
static void events(const char *what, int set) {
    struct epoll_event found[4];
    int result = epoll_wait(set, found, 4, 10000);
    if (result <= 0)
        fail(what);
    for (int i = 0; i < result; i++)
        say("%s: %x %lx", what, found[i].events, (long)found[i].data.u64);
}

static int control(int set, int operation, int fd, uint32_t mode, uint64_t data) {
    struct epoll_event event = {.events = mode, .data.u64 = data};
    return epoll_ctl(set, operation, fd, operation == EPOLL_CTL_DEL ? NULL : &event);
}

void epolling(struct pair pair) {
    char data[8];
    int set = epoll_create1(0);
    show("add", control(set, EPOLL_CTL_ADD, pair.b, EPOLLIN, 0x1234567890abcdef));
    show("add again", control(set, EPOLL_CTL_ADD, pair.b, EPOLLIN, 1));
    no_events("idle", set);
    put(pair.a, "xy", 2);
    events("readable", set);
    get(pair.b, data, 1);
    events("level", set);
    get(pair.b, data, 1);
    no_events("empty", set);
    show("modify", control(set, EPOLL_CTL_MOD, pair.b, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 7));
    events("writable", set);
    show("once", control(set, EPOLL_CTL_MOD, pair.b, EPOLLOUT | EPOLLONESHOT, 8));
    events("first", set);
    no_events("second", set);
    show("delete", control(set, EPOLL_CTL_DEL, pair.b, 0, 0));
    show("delete again", control(set, EPOLL_CTL_DEL, pair.b, 0, 0));
    show("modify nothing", control(set, EPOLL_CTL_MOD, pair.b, EPOLLIN, 0));
    show("add itself", control(set, EPOLL_CTL_ADD, set, EPOLLIN, 0));
    show("null event", epoll_ctl(set, EPOLL_CTL_ADD, pair.b, NULL));
    struct epoll_event found[4];
    show("no room", epoll_wait(set, found, 0, 0));
    show("null room", epoll_wait(set, NULL, -1, 0));
    show("not a set", epoll_wait(pair.a, found, 4, 0));

    show("add both", control(set, EPOLL_CTL_ADD, pair.a, EPOLLIN, 1) + control(set, EPOLL_CTL_ADD, pair.b, EPOLLIN, 2));
    put(pair.a, "x", 1);
    put(pair.b, "x", 1);
    until_readable(pair.a);
    until_readable(pair.b);
    sigset_t mask;
    sigfillset(&mask);
    show("epoll_pwait", epoll_pwait(set, found, 4, 1000, &mask));
    show("epoll_pwait without mask", epoll_pwait(set, found, 1, -1, NULL));
    struct timespec limit = {1, 0};
    show("epoll_pwait2", epoll_pwait2(set, found, 4, &limit, &mask));
    show("epoll_pwait2 without limit", epoll_pwait2(set, found, 4, NULL, NULL));
    limit.tv_nsec = -1;
    show("epoll_pwait2 with a wrong time", epoll_pwait2(set, found, 4, &limit, NULL));
    get(pair.a, data, 1);
    get(pair.b, data, 1);

    /* A set in a set, and a set that is polled. */
    int outer = epoll_create(1);
    show("nested", control(outer, EPOLL_CTL_ADD, set, EPOLLIN, 99));
    no_events("outer idle", outer);
    put(pair.a, "x", 1);
    until_readable(pair.b);
    events("outer", outer);
    struct pollfd entry = {set, POLLIN, 0};
    show("poll of the set", poll(&entry, 1, 1000));
    get(pair.b, data, 1);
    shutdown(pair.a, SHUT_RDWR);
    pause_ms(20);
    show("modify", control(set, EPOLL_CTL_MOD, pair.b, EPOLLIN | EPOLLRDHUP, 3));
    show("delete", control(set, EPOLL_CTL_DEL, pair.a, 0, 0));
    events("peer gone", set);
    close(pair.b);
    no_events("closed", set);
    close(pair.a);
    close(outer);
    close(set);
}

struct waiter {
    int set, result;
    struct epoll_event found[4];
};

static void *wait_early(void *argument) {
    struct waiter *waiter = argument;
    waiter->result = epoll_wait(waiter->set, waiter->found, 4, 10000);
    return NULL;
}

/* A thread waits on the set already when its first connection is added, idle or with something to read. */
void early(struct pair pair) {
    for (int i = 0; i < 4; i++) {
        struct waiter waiter = {.set = epoll_create1(0)};
        pthread_t thread;
        char data;
        pthread_create(&thread, NULL, wait_early, &waiter);
        pause_ms(50);
        if (i % 2)
            put(pair.a, "x", 1);
        show("add", control(waiter.set, EPOLL_CTL_ADD, pair.b, EPOLLIN, 0x1234567890abcde0 + i));
        pause_ms(20);
        if (i % 2 == 0)
            put(pair.a, "x", 1);
        pthread_join(thread, NULL);
        say("woken: %d %x %lx", waiter.result, waiter.found[0].events, (long)waiter.found[0].data.u64);
        get(pair.b, &data, 1);
        close(waiter.set);
    }
    close_pair(pair);
}

void edges(struct pair pair) {
    char data[8];
    int set = epoll_create1(EPOLL_CLOEXEC);
    show("add", control(set, EPOLL_CTL_ADD, pair.b, EPOLLIN | EPOLLET, 5));
    no_events("idle", set);
    put(pair.a, "abc", 3);
    events("edge", set);
    no_events("no edge", set);
    get(pair.b, data, 1);
    no_events("no edge by reading", set);
    put(pair.a, "d", 1);
    events("new edge", set);
    get(pair.b, data, 3);
    no_events("none", set);
    show("register anew", control(set, EPOLL_CTL_MOD, pair.b, EPOLLIN | EPOLLOUT | EPOLLET, 6));
    events("edge by registration", set);
    no_events("none", set);
    int copy = dup(pair.b);
    close(pair.b);
    put(pair.a, "x", 1);
    events("open by its copy", set);
    get(copy, data, 1);
    close(copy);
    put(pair.a, "x", 1);
    no_events("gone", set);
    close(pair.a);

    /* Registered before it is connected. */
    struct sockaddr_in name;
    int from = listener(&name), fresh = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    show("add early", control(set, EPOLL_CTL_ADD, fresh, EPOLLIN | EPOLLOUT | EPOLLET, 9));
    events("not connected", set);
    int result = connect(fresh, (struct sockaddr *)&name, sizeof name);
    say("connect %d", result == 0 || errno == EINPROGRESS);
    int accepted = accept4(from, NULL, NULL, SOCK_CLOEXEC);
    events("connected", set);
    put(accepted, "x", 1);
    events("readable", set);
    fcntl(fresh, F_SETFL, 0);
    warm((struct pair){fresh, accepted});
    close(from);
    close(fresh);
    close(accepted);
    close(set);
}

/* A call that only the kernel can serve takes the connection off its ring: each kind of registration goes on. */
void registered(struct pair pair) {
    char data[8];
    int level = epoll_create1(0), edge = epoll_create1(0), once = epoll_create1(0), copied = epoll_create1(0);
    show("delete nothing", control(level, EPOLL_CTL_DEL, pair.b, 0, 0));
    for (int i = 0; i < 3; i++) {
        show("add", control(level, EPOLL_CTL_ADD, pair.b, EPOLLIN, i));
        show("add again", control(level, EPOLL_CTL_ADD, pair.b, EPOLLIN, i));
        show("modify", control(level, EPOLL_CTL_MOD, pair.b, EPOLLIN | EPOLLOUT, 10 + i));
        events("writable", level);
        show("delete", control(level, EPOLL_CTL_DEL, pair.b, 0, 0));
        no_events("deleted", level);
    }
    show("level", control(level, EPOLL_CTL_ADD, pair.b, EPOLLIN, 1));
    show("edge", control(edge, EPOLL_CTL_ADD, pair.b, EPOLLIN | EPOLLET, 2));
    show("once", control(once, EPOLL_CTL_ADD, pair.b, EPOLLIN | EPOLLONESHOT, 3));
    int copy = dup(pair.b), other = dup(pair.b);
    show("copy", control(copied, EPOLL_CTL_ADD, copy, EPOLLIN, 4));
    close(copy);
    put(pair.a, "x", 1);
    until_readable(pair.b);
    events("level", level);
    events("edge", edge);
    events("once", once);
    events("copy", copied);
    get(pair.b, data, 1);

    show("owner", fcntl(pair.b, F_SETOWN, getpid()));
    no_events("level idle", level);
    no_events("once idle", once);
    no_events("copy idle", copied);
    put(pair.a, "y", 1);
    until_readable(pair.b);
    events("level", level);
    events("edge", edge);
    no_events("once is spent", once);
    events("copy", copied);
    show("arm", control(once, EPOLL_CTL_MOD, pair.b, EPOLLIN | EPOLLONESHOT, 5));
    events("once", once);
    get(pair.b, data, 1);
    no_events("level empty", level);
    show("delete", control(level, EPOLL_CTL_DEL, pair.b, 0, 0));
    close(other);
    close_pair(pair);
    close(level);
    close(edge);
    close(once);
    close(copied);
}
