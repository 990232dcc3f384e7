#include "exerciser.h"

#include <stdarg.h>

char program[4096];
/* Where the relay is, 0 for none. */
static in_port_t relay;

static const struct {
    const char *name;
    void (*run)(struct pair);
} sections[] = {
    {"reading_and_writing", reading_and_writing},
    {"vectors", vectors},
    {"receiving", receiving},
    {"messages", messages},
    {"many_messages", many_messages},
    {"urgent", urgent},
    {"passing", passing},
    {"bulk", bulk},
    {"files", files},
    {"kernel_moves", kernel_moves},
    {"streams", streams},
    {"asynchronous", asynchronous},
    {"copies", copies},
    {"closing", closing},
    {"numbers", numbers},
    {"polling", polling},
    {"selecting", selecting},
    {"epolling", epolling},
    {"early", early},
    {"edges", edges},
    {"registered", registered},
    {"options", options},
    {"requests", requests},
    {"connecting", connecting},
    {"endings", endings},
    {"forks", forks},
    {"inherited_sets", inherited_sets},
    {"forks_in_clones", forks_in_clones},
    {"programs", programs},
    {"spawns", spawns},
    {"handlers", handlers},
    {"interruptions", interruptions},
    {"cancellation", cancellation},
    {"jumping", jumping},
    {"raw_data", raw_data},
    {"raw_waits", raw_waits},
    {"raw_descriptors", raw_descriptors},
};

void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

void show(const char *what, long result) {
    if (result < 0)
        say("%s: %ld %s", what, result, strerrorname_np(errno));
    else
        say("%s: %ld", what, result);
}

void fail(const char *what) {
    say("FAILED: %s: %s", what, strerror(errno));
    exit(1);
}

int listener(struct sockaddr_in *name) {
    socklen_t length = sizeof *name;
    /* A high number, so that closing it leaves no hole below those of the connections. */
    int low = socket(AF_INET, SOCK_STREAM, 0), fd = fcntl(low, F_DUPFD, 500);
    close(low);
    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (struct sockaddr *)name, length) || listen(fd, 16) ||
        getsockname(fd, (struct sockaddr *)name, &length))
        fail("listener");
    return fd;
}

struct pair connected(void) {
    struct sockaddr_in name;
    int from = listener(&name);
    struct pair pair = {socket(AF_INET, SOCK_STREAM, 0), -1};
    in_port_t port = name.sin_port;
    if (relay)
        name.sin_port = relay;
    if (pair.a < 0 || connect(pair.a, (struct sockaddr *)&name, sizeof name))
        fail("connect");
    if (relay)
        put(pair.a, &port, sizeof port);
    pair.b = accept(from, NULL, NULL);
    if (pair.b < 0)
        fail("accept");
    close(from);
    /* No byte waits for an acknowledgement. */
    setsockopt(pair.a, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(pair.b, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return pair;
}

void close_pair(struct pair pair) {
    if (pair.a >= 0)
        close(pair.a);
    if (pair.b >= 0)
        close(pair.b);
}

void warm(struct pair pair) {
    char data[1024];
    memset(data, 'w', sizeof data);
    for (int i = 0; i < 40; i++) {
        put(pair.a, data, sizeof data);
        get(pair.b, data, sizeof data);
        put(pair.b, data, sizeof data);
        get(pair.a, data, sizeof data);
        if (i == 30)
            pause_ms(50);
    }
    pause_ms(50);
}

void pause_ms(int milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

void put(int fd, const void *data, size_t length) {
    for (size_t done = 0; done < length;) {
        ssize_t some = write(fd, (const char *)data + done, length - done);
        if (some < 0)
            fail("put");
        done += some;
    }
}

void get(int fd, void *data, size_t length) {
    for (size_t done = 0; done < length;) {
        ssize_t some = read(fd, (char *)data + done, length - done);
        if (some <= 0)
            fail("get");
        done += some;
    }
}

void until_readable(int fd) {
    struct pollfd entry = {fd, POLLIN, 0};
    if (poll(&entry, 1, 5000) != 1)
        fail("nothing to read");
}

void until_told(int fd, short events) {
    struct pollfd entry = {fd, events, 0};
    if (poll(&entry, 1, 10000) != 1)
        fail("nothing told");
}

void until_broken(int fd) {
    for (int i = 0; i < 500 && send(fd, "x", 1, MSG_NOSIGNAL) == 1; i++)
        pause_ms(10);
}

void check(const char *what, struct pair pair) {
    char there[6] = "", back[6] = "";
    put(pair.a, "there", 5);
    get(pair.b, there, 5);
    put(pair.b, "back!", 5);
    get(pair.a, back, 5);
    say("%s: %s %s", what, there, back);
}

void fill(unsigned char *data, size_t length, size_t position) {
    for (size_t i = 0; i < length; i++)
        data[i] = (unsigned char)((position + i) * 2654435761u >> 13);
}

long verify(const unsigned char *data, size_t length, size_t position) {
    for (size_t i = 0; i < length; i++)
        if (data[i] != (unsigned char)((position + i) * 2654435761u >> 13))
            return (long)(position + i);
    return -1;
}

struct reading {
    int fd;
    size_t length;
};

static void *read_all(void *argument) {
    struct reading reading = *(struct reading *)argument;
    free(argument);
    static __thread unsigned char data[50000];
    size_t position = 0;
    long wrong = -1;
    while (position < reading.length && wrong < 0) {
        size_t most = sizeof data < reading.length - position ? sizeof data : reading.length - position;
        ssize_t some = recv(reading.fd, data, most, 0);
        if (some <= 0)
            break;
        wrong = verify(data, some, position);
        position += some;
    }
    if (wrong >= 0)
        say("wrong byte at %ld", wrong);
    return (void *)position;
}

pthread_t reader(int fd, size_t length) {
    pthread_t thread;
    struct reading *reading = malloc(sizeof *reading);
    *reading = (struct reading){fd, length};
    if (pthread_create(&thread, NULL, read_all, reading))
        fail("thread");
    return thread;
}

void finish(pthread_t thread) {
    void *position;
    pthread_join(thread, &position);
    show("read by the other end", (long)position);
}

int main(int argc, char **argv) {
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return as_child(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "--relay") == 0)
        return as_relay();
    if (argc > 1 && strcmp(argv[1], "--relayed") == 0) {
        relay = start_relay();
        argc--;
        argv++;
    }
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < COUNT(sections); i++)
            say("%s", sections[i].name);
        return 0;
    }
    alarm(120);
    for (size_t i = 0; i < COUNT(sections); i++) {
        if (argc > 1 && strcmp(argv[1], sections[i].name) != 0)
            continue;
        for (int round = 0; round < 2; round++) {
            say("== %s, %s", sections[i].name, round ? "warm" : "cold");
            struct pair pair = connected();
            if (round)
                warm(pair);
            sections[i].run(pair);
        }
    }
    say("end");
    return 0;
}
