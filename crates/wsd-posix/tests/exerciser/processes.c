#include "exerciser.h"

#include <spawn.h>
#include <sched.h>

extern char **environ;

/* The other program: `echo N` sends back N bytes on descriptor 20; `say WORD...` prints; `read0` copies a line from standard
 * input (a connection) to standard output (the same). */
int as_child(int argc, char **argv) {
    char data[64];
    if (argc == 2 && strcmp(argv[0], "echo") == 0) {
        size_t length = atoi(argv[1]);
        get(20, data, length);
        put(20, data, length);
        return 7;
    }
    if (argc == 1 && strcmp(argv[0], "read0") == 0) {
        if (fgets(data, sizeof data, stdin))
            printf("got %s", data);
        fflush(stdout);
        return 8;
    }
    for (int i = 1; i < argc; i++)
        printf("%s%s", argv[i], i + 1 < argc ? " " : "\n");
    fflush(stdout);
    return getenv("EXERCISER") ? 9 : 10;
}

static void ended(const char *what, pid_t child) {
    int status = -1;
    waitpid(child, &status, 0);
    say("%s: child ended with %x", what, status);
}

/* Talks with a child that echoes five bytes. */
static void talk(const char *what, int fd, pid_t child) {
    char data[6] = "";
    put(fd, "hello", 5);
    get(fd, data, 5);
    say("%s: %s", what, data);
    ended(what, child);
}

static void echo(int fd) {
    char data[5];
    get(fd, data, 5);
    put(fd, data, 5);
    _exit(5);
}

void forks(struct pair pair) {
    char data[8];
    pid_t child = fork();
    if (child == 0)
        echo(pair.b);
    talk("fork", pair.a, child);
    check("parent", pair);

    child = _Fork();
    if (child == 0)
        echo(pair.b);
    talk("_Fork", pair.a, child);

    child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0UL);
    if (child == 0)
        echo(pair.b);
    talk("clone", pair.a, child);
    check("parent", pair);

    child = fork();
    if (child == 0) {
        closefrom(3);
        _exit(6);
    }
    ended("closes everything", child);
    check("parent", pair);

    child = vfork();
    if (child == 0) {
        close(pair.a);
        close(pair.b);
        _exit(4);
    }
    ended("vfork closes everything", child);
    check("parent", pair);

    child = fork();
    if (child == 0) {
        fclose(stdout);
        if (daemon(0, 0) == 0) {
            close(pair.a);
            echo(pair.b);
        }
        _exit(3);
    }
    ended("daemon", child);
    put(pair.a, "hello", 5);
    get(pair.a, data, 5);
    say("%.5s", data);

    /* The child uses the connection, the parent closes it. */
    child = fork();
    if (child == 0) {
        close(pair.a);
        pause_ms(20);
        put(pair.b, "from the child", 14);
        _exit(0);
    }
    close(pair.b);
    char text[20] = "";
    get(pair.a, text, 14);
    say("%s", text);
    ended("last holder", child);
    show("end", recv(pair.a, data, 1, 0));
    close(pair.a);
}

/* The first event of a set within five seconds. */
static void event_of(const char *what, int set) {
    struct epoll_event event = {0};
    int count = epoll_wait(set, &event, 1, 5000);
    say("%s: %d events, %x of %u", what, count, event.events, event.data.u32);
}

/* A set that two descriptors name, with a connection in it, is used by a process and its child. */
void inherited_sets(struct pair pair) {
    char data[5];
    int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 17};
    show("add", epoll_ctl(set, EPOLL_CTL_ADD, pair.b, &event));
    int copy = dup(set);
    put(pair.a, "hello", 5);
    event_of("copy", copy);
    get(pair.b, data, 5);
    pid_t child = fork();
    if (child == 0) {
        event_of("child", copy);
        event_of("child", set);
        echo(pair.b);
    }
    talk("child", pair.a, child);
    for (int i = 0; i < 2; i++) {
        put(pair.a, "hello", 5);
        event_of("parent", i ? set : copy);
        get(pair.b, data, 5);
    }
    show("close", close(set));
    child = fork();
    if (child == 0) {
        event_of("child", copy);
        echo(pair.b);
    }
    talk("child", pair.a, child);
    show("close", close(copy));
    check("parent", pair);
    close_pair(pair);
}

static volatile int churns;

static void *churn(void *unused) {
    while (churns)
        close(socket(AF_INET, SOCK_STREAM, 0));
    return unused;
}

/* A process made by the system call alone, while other threads were at work, forks: by _Fork, which takes no lock of the
 * C library's that one of them may have had. */
void forks_in_clones(struct pair pair) {
    pthread_t threads[2];
    int wrong = 0;
    churns = 1;
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_create(&threads[i], NULL, churn, NULL);
    for (int i = 0; i < 100; i++) {
        int status = -1;
        pid_t child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0UL);
        if (child == 0) {
            pid_t inner = _Fork();
            if (inner == 0)
                _exit(3);
            waitpid(inner, &status, 0);
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
        }
        waitpid(child, &status, 0);
        wrong += status != 3 << 8;
    }
    churns = 0;
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    show("forks that went wrong", wrong);
    check("parent", pair);
    close_pair(pair);
}

/* Starts `program` in a child by each function of the family, with a connection on descriptor 20. */
void programs(struct pair pair) {
    char *arguments[] = {program, "--child", "echo", "5", NULL};
    char *environment[] = {"EXERCISER=1", NULL};
    static const char *names[] = {"execv", "execve", "execvp", "execvpe", "execl", "execlp", "execle", "fexecve", "execveat"};
    for (size_t i = 0; i < COUNT(names); i++) {
        pid_t child = fork();
        if (child == 0) {
            dup2(pair.b, 20);
            close(pair.a);
            int file = open(program, O_RDONLY | O_CLOEXEC);
            switch (i) {
            case 0: execv(program, arguments); break;
            case 1: execve(program, arguments, environ); break;
            case 2: execvp(program, arguments); break;
            case 3: execvpe(program, arguments, environment); break;
            case 4: execl(program, program, "--child", "echo", "5", NULL); break;
            case 5: execlp(program, program, "--child", "echo", "5", NULL); break;
            case 6: execle(program, program, "--child", "echo", "5", NULL, environment); break;
            case 7: fexecve(file, arguments, environment); break;
            case 8: execveat(AT_FDCWD, program, arguments, environ, 0); break;
            }
            _exit(1);
        }
        talk(names[i], pair.a, child);
    }
    /* More arguments than registers hold. */
    pid_t child = fork();
    if (child == 0) {
        execle(program, program, "--child", "say", "1", "2", "3", "4", "5", "6", "7", "8", "9", NULL, environment);
        _exit(1);
    }
    ended("many arguments", child);
    child = fork();
    if (child == 0) {
        execl(program, program, "--child", "say", "1", "2", "3", "4", "5", "6", NULL);
        _exit(1);
    }
    ended("some arguments", child);

    check("parent", pair);
    show("no such program", execl("/nonexistent", "x", NULL));
    show("no such program", execv("/nonexistent", arguments));
    show("no such program", execlp("nonexistent-program", "x", "1", "2", "3", "4", "5", "6", NULL));
    show("no such program", execve("/nonexistent", arguments, environment));
    check("goes on", pair);
    child = vfork();
    if (child == 0) {
        dup2(pair.b, 20);
        execv(program, arguments);
        _exit(1);
    }
    talk("vfork and exec", pair.a, child);
    check("parent", pair);
    close_pair(pair);
}

void spawns(struct pair pair) {
    char *arguments[] = {program, "--child", "echo", "5", NULL}, *lines[] = {program, "--child", "read0", NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    show("actions", posix_spawn_file_actions_init(&actions));
    show("dup", posix_spawn_file_actions_adddup2(&actions, pair.b, 20));
    fcntl(pair.b, F_SETFD, FD_CLOEXEC);
    show("spawn", posix_spawn(&child, program, &actions, NULL, arguments, environ));
    talk("posix_spawn", pair.a, child);
    show("spawn", posix_spawnp(&child, program, &actions, NULL, arguments, environ));
    talk("posix_spawnp", pair.a, child);
    show("no such program", posix_spawn(&child, "/nonexistent", &actions, NULL, arguments, environ));
    posix_spawn_file_actions_destroy(&actions);
    check("parent", pair);
    show("system", system("exit 3"));
    FILE *output = popen("echo from popen", "r");
    char data[64] = "";
    if (output && fgets(data, sizeof data, output))
        say("%s", data);
    show("pclose", pclose(output));
    check("parent", pair);

    /* As inetd does: the connection is standard input and output of a program. */
    child = fork();
    if (child == 0) {
        dup2(pair.b, 0);
        dup2(pair.b, 1);
        close(pair.a);
        close(pair.b);
        execv(program, lines);
        _exit(1);
    }
    put(pair.a, "a line\n", 7);
    get(pair.a, data, 11);
    say("%.10s", data);
    ended("inetd", child);
    check("parent", pair);

    /* And without another program: the C library's streams on a connection. */
    child = fork();
    if (child == 0) {
        dup2(pair.b, 0);
        dup2(pair.b, 1);
        _exit(as_child(1, (char *[]){"read0", NULL}));
    }
    put(pair.a, "a line\n", 7);
    get(pair.a, data, 11);
    say("%.10s", data);
    ended("streams", child);
    check("parent", pair);
    close_pair(pair);
}
