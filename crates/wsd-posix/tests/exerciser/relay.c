#include "exerciser.h"

#include <sys/prctl.h>

/* A process between the two ends of a connection, so that each end speaks with another process: what one end sends, the
 * relay sends on to the other. The first two bytes of a connection to it are the port where it finds the other end. */

/* The relay's process, 0 for none. */
static pid_t process;

struct way {
    int from, to;
};

/* One end was reset: the close of the other will reset it, once nobody waits for it. */
static void hand_on_reset(int other) {
    setsockopt(other, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    shutdown(other, SHUT_RD);
}

static void *carry(void *argument) {
    struct way way = *(struct way *)argument;
    free(argument);
    static __thread char data[65536];
    for (;;) {
        ssize_t some = recv(way.from, data, sizeof data, 0);
        if (some < 0) {
            hand_on_reset(way.to);
            break;
        }
        if (some == 0) {
            shutdown(way.to, SHUT_WR);
            break;
        }
        for (ssize_t done = 0; done < some;) {
            ssize_t sent = send(way.to, data + done, some - done, MSG_NOSIGNAL);
            if (sent < 0) {
                hand_on_reset(way.from);
                return NULL;
            }
            done += sent;
        }
    }
    return NULL;
}

static pthread_t start(int from, int to) {
    pthread_t thread;
    struct way *way = malloc(sizeof *way);
    *way = (struct way){from, to};
    pthread_create(&thread, NULL, carry, way);
    return thread;
}

static void *serve(void *argument) {
    int x = (int)(intptr_t)argument, y = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    get(x, &name.sin_port, sizeof name.sin_port);
    if (connect(y, (struct sockaddr *)&name, sizeof name) == 0) {
        setsockopt(x, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(y, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        pthread_t there = start(x, y), back = start(y, x);
        pthread_join(there, NULL);
        pthread_join(back, NULL);
    }
    close(x);
    close(y);
    return NULL;
}

int as_relay(void) {
    struct sockaddr_in name;
    int from = listener(&name);
    pthread_t thread;
    put(1, &name.sin_port, sizeof name.sin_port);
    for (;;) {
        int fd = accept(from, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
    }
}

in_port_t start_relay(void) {
    int back[2];
    in_port_t port = 0;
    if (pipe(back))
        return 0;
    process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(back[1], 1);
        closefrom(3);
        execl(program, program, "--relay", NULL);
        _exit(1);
    }
    close(back[1]);
    get(back[0], &port, sizeof port);
    close(back[0]);
    return port;
}

void stop_relay(void) {
    int status;
    if (process == 0)
        return;
    kill(process, SIGSTOP);
    if (waitpid(process, &status, WUNTRACED) != process || !WIFSTOPPED(status))
        fail("the relay does not stop");
}

void continue_relay(void) {
    if (process)
        kill(process, SIGCONT);
}
