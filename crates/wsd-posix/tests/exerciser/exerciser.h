/* A program that makes every call that libwsdirect.so replaces, over loopback TCP, and prints what came out.
 * It must print the same with and without the library. */
#ifndef EXERCISER_H
#define EXERCISER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A TCP connection: `a` called connect, `b` came from accept. */
struct pair {
    int a, b;
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Prints a result line; `%m`-like: a negative `result` is printed with errno. */
void show(const char *what, long result);
/* Prints a line. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints `what` and errno, and ends the program: its test fails. */
void fail(const char *what) __attribute__((noreturn));
/* A listener on a free port of 127.0.0.1; its address is left in `name`. */
int listener(struct sockaddr_in *name);
/* Two ends that are one connection, or, after `--relayed`, two connections with a relay between them. */
struct pair connected(void);
in_port_t start_relay(void);
/* Between these the relay, if there is one, carries nothing. */
void stop_relay(void);
void continue_relay(void);
int as_relay(void);
void close_pair(struct pair pair);
/* Enough traffic that the connection may change its path, and a pause in which it can. */
void warm(struct pair pair);
void pause_ms(int milliseconds);
/* Exactly `length` bytes, or the program ends. */
void put(int fd, const void *data, size_t length);
void get(int fd, void *data, size_t length);
/* Waits until `fd` has something to read. */
void until_readable(int fd);
/* Waits until poll tells one of `events`, an error or a hang-up, of which it tells unasked. */
void until_told(int fd, short events);
/* Sends until that fails because the other end is closed. */
void until_broken(int fd);
/* Prints whether the connection carries bytes both ways. */
void check(const char *what, struct pair pair);
/* A pattern that depends on the position, and its check. */
void fill(unsigned char *data, size_t length, size_t position);
long verify(const unsigned char *data, size_t length, size_t position);
/* Reads `length` patterned bytes from a descriptor in another thread. */
pthread_t reader(int fd, size_t length);
void finish(pthread_t reader);

void reading_and_writing(struct pair);
void vectors(struct pair);
void receiving(struct pair);
void messages(struct pair);
void many_messages(struct pair);
void urgent(struct pair);
void passing(struct pair);
void bulk(struct pair);
void files(struct pair);
void kernel_moves(struct pair);
void streams(struct pair);
void asynchronous(struct pair);
void copies(struct pair);
void closing(struct pair);
void numbers(struct pair);
void polling(struct pair);
void selecting(struct pair);
void epolling(struct pair);
void early(struct pair);
void edges(struct pair);
void registered(struct pair);
void options(struct pair);
void requests(struct pair);
void connecting(struct pair);
void endings(struct pair);
void forks(struct pair);
void inherited_sets(struct pair);
void forks_in_clones(struct pair);
void programs(struct pair);
void spawns(struct pair);
void handlers(struct pair);
void interruptions(struct pair);
void cancellation(struct pair);
void jumping(struct pair);
void raw_data(struct pair);
void raw_waits(struct pair);
void raw_descriptors(struct pair);

/* What the program does when another instance of it starts it by exec. */
int as_child(int argc, char **argv);
extern char program[];

#endif
