#include "exerciser.h"

#include <linux/sockios.h>
#include <setjmp.h>
#include <sys/time.h>

#define ROUNDS 1500

static sigjmp_buf out;
static volatile sig_atomic_t inside;

static void jump(int number) {
    if (inside) {
        inside = 0;
        siglongjmp(out, 1);
    }
}

static void signal_in(int microseconds) {
    struct itimerval timer = {.it_value = {.tv_usec = microseconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void *drain(void *fd) {
    char data[100];
    while (recv((intptr_t)fd, data, sizeof data, 0) > 0)
        ;
    return NULL;
}

/* Whether all that was sent is taken by the other end, which waits for it. */
static int taken(int fd) {
    int left = 1;
    for (int looks = 0; looks < 50000 && left > 0; looks++) {
        if (ioctl(fd, SIOCOUTQ, &left))
            return 0;
        if (left > 0)
            usleep(100);
    }
    return left == 0;
}

/* A handler may jump out of send: whatever was sent then arrives all the same, and so does what is sent later. */
void jumping(struct pair pair) {
    sigset_t alarm;
    pthread_t reader;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    warm(pair);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    pthread_create(&reader, NULL, drain, (void *)(intptr_t)pair.b);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    signal(SIGALRM, jump);
    int arrives = 1;
    for (volatile int round = 0; round < ROUNDS && arrives; round++) {
        /* Meanwhile the other end falls asleep. */
        usleep(150);
        if (sigsetjmp(out, 1) == 0) {
            signal_in(1 + round % 8);
            inside = 1;
            send(pair.a, "x", 1, 0);
            send(pair.a, "x", 1, 0);
            inside = 0;
        }
        signal_in(0);
        arrives = taken(pair.a);
    }
    say("jumped out of send: all arrives %d", arrives);
    signal(SIGALRM, SIG_DFL);
    shutdown(pair.a, SHUT_WR);
    pthread_join(reader, NULL);
    close_pair(pair);
}
