#include "exerciser.h"

#include <sys/time.h>

static volatile sig_atomic_t caught, from;

static void handler(int number) {
    caught = number;
}

static void informed(int number, siginfo_t *info, void *context) {
    caught = number;
    from = info->si_pid == getpid() && context != NULL;
}

static void other(int number) {
    caught = -number;
}

static const char *called(void (*function)(int)) {
    return function == SIG_DFL    ? "default"
           : function == SIG_IGN  ? "ignore"
           : function == SIG_ERR  ? "error"
           : function == SIG_HOLD ? "hold"
           : function == handler  ? "handler"
           : function == other    ? "other"
                                  : "?";
}

static void action(int number) {
    struct sigaction now;
    sigaction(number, NULL, &now);
    /* What the default action's flags are is nobody's business. */
    say("now %s flags %x itself blocked %d", called(now.sa_handler),
        now.sa_handler == SIG_DFL ? 0 : now.sa_flags & ~0x04000000, sigismember(&now.sa_mask, number));
}

static void raised(const char *what) {
    caught = 0;
    raise(SIGUSR1);
    say("%s: caught %d", what, (int)caught);
}

static void wrong(void (*function)(int)) {
    say("wrong: %s %s", called(function), strerrorname_np(errno));
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

void handlers(struct pair pair) {
    say("signal: %s", called(signal(SIGUSR1, handler)));
    action(SIGUSR1);
    raised("signal");
    say("bsd_signal: %s", called(ssignal(SIGUSR1, other)));
    action(SIGUSR1);
    raised("ssignal");
    say("sysv_signal: %s", called(sysv_signal(SIGUSR1, handler)));
    action(SIGUSR1);
    raised("sysv_signal");
    action(SIGUSR1);
    say("sigset: %s", called(sigset(SIGUSR1, handler)));
    raised("sigset");
    say("sigset hold: %s", called(sigset(SIGUSR1, SIG_HOLD)));
    raised("held");
    say("sigset again: %s", called(sigset(SIGUSR1, other)));
    say("caught %d", (int)caught);
    say("sigset: %s", called(sigset(SIGUSR1, SIG_IGN)));
    raised("ignored");
    action(SIGUSR1);
    wrong(signal(-1, handler));
    wrong(signal(SIGKILL, handler));
    wrong(signal(100, handler));
    wrong(sigset(0, handler));
    struct sigaction new = {.sa_sigaction = informed, .sa_flags = SA_SIGINFO | SA_RESETHAND}, old;
    sigaddset(&new.sa_mask, SIGUSR2);
    show("sigaction", sigaction(SIGUSR1, &new, &old));
    say("before %s", called(old.sa_handler));
    sigaction(SIGUSR1, NULL, &old);
    say("told %d mask %d flags %x", old.sa_sigaction == informed, sigismember(&old.sa_mask, SIGUSR2),
        old.sa_flags & ~0x04000000);
    raised("with information");
    say("information %d", (int)from);
    action(SIGUSR1);
    show("sigaction wrong", sigaction(SIGKILL, &new, NULL));
    show("sigaction wrong", sigaction(0, &new, NULL));
    signal(SIGUSR1, handler);
    show("siginterrupt", siginterrupt(SIGUSR1, 1));
    action(SIGUSR1);
    signal(SIGUSR1, handler);
    action(SIGUSR1);
    show("siginterrupt", siginterrupt(SIGUSR1, 0));
    action(SIGUSR1);
    show("siginterrupt wrong", siginterrupt(-1, 0));
    signal(SIGUSR1, SIG_DFL);
    action(SIGUSR1);
    signal(SIGRTMIN + 1, handler);
    caught = 0;
    raise(SIGRTMIN + 1);
    say("real time %d", caught == SIGRTMIN + 1);
    /* A child inherits, a program does not. */
    signal(SIGUSR1, handler);
    pid_t child = fork();
    if (child == 0) {
        raise(SIGUSR1);
        _exit(caught == SIGUSR1);
    }
    int status;
    waitpid(child, &status, 0);
    say("in the child %x", status);
    signal(SIGUSR1, SIG_DFL);
    check("after", pair);
    close_pair(pair);
}

static timer_t timer;

/* A SIGVTALRM every 30 ms, handled with these flags: one comes after the call that it is to interrupt has begun. */
static void ring(int flags) {
    struct sigaction new = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGVTALRM, &new, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGVTALRM};
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    struct itimerspec often = {{0, 30000000}, {0, 30000000}};
    caught = 0;
    timer_settime(timer, 0, &often, NULL);
}

/* No more of them; hands on what the interrupted call returned. */
static long quiet(long result) {
    int error = errno;
    timer_delete(timer);
    errno = error;
    return result;
}

static void *later(void *argument) {
    pause_ms(80);
    put(*(int *)argument, "later", 5);
    return NULL;
}

static int dying;

static void on_pipe(int number) {
    dying = number;
    /* Handlers may use connections. */
    send(dying, "x", 0, MSG_NOSIGNAL);
}

void interruptions(struct pair pair) {
    char data[16];
    sigset_t block, empty;
    pthread_t thread;
    sigemptyset(&empty);
    ring(0);
    show("recv", quiet(recv(pair.b, data, 1, 0)));
    say("caught %d", caught == SIGVTALRM);
    ring(0);
    show("read", quiet(read(pair.b, data, 1)));
    struct pollfd entry = {pair.b, POLLIN, 0};
    ring(SA_RESTART);
    show("poll is never restarted", quiet(poll(&entry, 1, 10000)));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pair.b, &set);
    struct timeval limit = {10, 0};
    ring(SA_RESTART);
    show("select", quiet(select(pair.b + 1, &set, NULL, NULL, &limit)));
    say("time left %d set kept %d", limit.tv_sec < 10, !!FD_ISSET(pair.b, &set));
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(epoll, EPOLL_CTL_ADD, pair.b, &event);
    ring(SA_RESTART);
    show("epoll_wait", quiet(epoll_wait(epoll, &event, 1, 10000)));
    close(epoll);

    sigset_t blocked;
    sigemptyset(&block);
    sigaddset(&block, SIGVTALRM);
    sigprocmask(SIG_BLOCK, &block, &blocked);
    ring(0);
    pause_ms(40);
    say("blocked %d", (int)caught);
    show("ppoll lets it in", quiet(ppoll(&entry, 1, NULL, &empty)));
    say("caught %d", caught == SIGVTALRM);
    ring(0);
    pause_ms(40);
    show("pselect lets it in", quiet(pselect(pair.b + 1, &set, NULL, NULL, NULL, &empty)));
    sigprocmask(SIG_SETMASK, &blocked, NULL);

    ring(SA_RESTART);
    pthread_create(&thread, NULL, later, &pair.a);
    show("recv is restarted", quiet(recv(pair.b, data, 5, MSG_WAITALL)));
    say("caught %d %.5s", caught == SIGVTALRM, data);
    pthread_join(thread, NULL);
    put(pair.a, "ab", 2);
    until_readable(pair.b);
    ring(0);
    show("recv of a part", quiet(recv(pair.b, data, 5, MSG_WAITALL)));

    signal(SIGPIPE, on_pipe);
    close(pair.b);
    until_broken(pair.a);
    show("without signal", send(pair.a, "x", 1, MSG_NOSIGNAL));
    say("signal %d", dying);
    show("with signal", send(pair.a, "x", 1, 0));
    say("signal %d", dying == SIGPIPE);
    dying = 0;
    show("with signal", write(pair.a, "x", 1));
    say("signal %d", dying == SIGPIPE);
    dying = 0;
    signal(SIGPIPE, SIG_DFL);
    close(pair.a);
}

static void cleaned(void *argument) {
    *(int *)argument = 1;
}

static void *forever(void *argument) {
    int *cell = argument;
    char data;
    pthread_cleanup_push(cleaned, cell + 2);
    switch (cell[1]) {
    case 0: read(cell[0], &data, 1); break;
    case 1: recv(cell[0], &data, 1, 0); break;
    case 2: poll(&(struct pollfd){cell[0], POLLIN, 0}, 1, -1); break;
    case 3: accept(cell[0], NULL, NULL); break;
    case 4: recvmsg(cell[0], &(struct msghdr){.msg_iov = &(struct iovec){&data, 1}, .msg_iovlen = 1}, 0); break;
    case 5: {
        struct epoll_event event = {.events = EPOLLIN};
        int set = epoll_create1(0);
        epoll_ctl(set, EPOLL_CTL_ADD, cell[0], &event);
        epoll_wait(set, &event, 1, -1);
        break;
    }
    case 6:
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        pause_ms(50);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        read(cell[0], &data, 1);
        break;
    case 7: {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(cell[0], &set);
        select(cell[0] + 1, &set, NULL, NULL, NULL);
        break;
    }
    }
    pthread_cleanup_pop(0);
    return NULL;
}

/* A thread that waits in a call is cancelled out of it. */
static void cancel_all(const char *what, int fd, int from) {
    for (int kind = 0; kind < 8; kind++) {
        int cell[3] = {kind == 3 ? from : fd, kind, 0};
        pthread_t thread;
        void *result;
        pthread_create(&thread, NULL, forever, cell);
        pause_ms(10);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        say("%s, kind %d: cancelled %d cleaned %d", what, kind, result == PTHREAD_CANCELED, cell[2]);
    }
}

void cancellation(struct pair pair) {
    int link[2];
    struct sockaddr_in name;
    socketpair(AF_UNIX, SOCK_STREAM, 0, link);
    int from = listener(&name);
    cancel_all("local socket", link[0], from);
    cancel_all("connection", pair.b, from);
    close(from);
    close(link[0]);
    close(link[1]);
    check("after", pair);
    close_pair(pair);
}
