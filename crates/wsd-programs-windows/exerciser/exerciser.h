/*
 * exerciser.h: what the families of cases share.
 *
 * A case has two processes. On a connection between them, first enough small messages go to and fro that whatever may stand
 * in front of Winsock has noticed the connection; then one half of the case exercises a function, and its partner at the other
 * end does what that takes with send and recv alone. The halves then change places on a second connection.
 *
 * A half that is done prints one line: PASS, the case, its place, and facts that do not depend on time. The first thing that
 * is not as it has to be prints a line with FAIL and ends the process.
 */
#ifndef EXERCISER_H
#define EXERCISER_H

#define _WIN32_WINNT 0x0602
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <mstcpip.h>
#include <windows.h>

#include <stdbool.h>
#include <stdint.h>

#define MESSAGE 64
#define MEGABYTE (1 << 20)
#define PATIENCE 15000 /* Milliseconds for anything that has to happen. */
#define TALK 45000 /* For anything that ends when a talk has ended. */
#define SHORT 60 /* Milliseconds in which nothing may happen. */

struct scenario {
    const char *name;
    void (*tested)(SOCKET s); /* Both end the connection themselves. */
    void (*partner)(SOCKET s);
    bool cold; /* It exchanges the small messages itself. */
    void (*client)(const struct sockaddr_in *server); /* Instead of both: it makes the connections itself. */
    void (*server)(SOCKET listener);
};

/* The families, each ended by an entry without a name. */
extern const struct scenario accepting[], blocking[], closing[], connecting[], driver_asked[], events[], files[], first_data[],
    options[], overlapped[], pending[], ports[], readiness[], routines[], sent_first[], sharing[], windows[];

const char *case_name(void);

/* Lines. */
void fact(const char *name, long long value);
void hash_fact(const char *name, uint64_t value);
void pass(const char *place);
void fail(const char *file, int line, const char *what);
/* A function that this Windows does not have. */
void lacks(const char *what);

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail(__FILE__, __LINE__, #condition);                                                                      \
    } while (0)
/* A Winsock call that fails with a certain code. */
#define REQUIRE_ERROR(call, code) REQUIRE((call) == SOCKET_ERROR && WSAGetLastError() == (code))

/* Data: the same bytes from the same seed. */
void fill(char *bytes, size_t length, unsigned seed);
uint64_t hash(const char *bytes, size_t length);
uint64_t hash_of(size_t length, unsigned seed);

/* Plain traffic. */
void send_all(SOCKET s, const char *bytes, size_t length);
void receive_all(SOCKET s, char *bytes, size_t length);
void send_pattern(SOCKET s, size_t length, unsigned seed);
void receive_pattern(SOCKET s, size_t length, unsigned seed); /* Nothing else may come. */
void say(SOCKET s); /* One byte. */
void hear(SOCKET s);
void signal_partner(SOCKET s); /* Around the connection; once for each end. */
void await_partner(SOCKET s);
void await_listener(const struct sockaddr_in *address);
void finish(SOCKET s); /* Both ends: no more data, then the end of the stream, then closed. */
void drop(SOCKET s); /* Closed. */
HANDLE event_of(const struct sockaddr_in *name); /* Known to both ends. */

/* Small messages. */
void make_small_talk(SOCKET s, bool asks); /* One end asks. */
void talk_one_way(SOCKET s);
void listen_one_way(SOCKET s);
void talk_to_the_end(SOCKET s); /* To and fro, then a stream each way, then finished. */
void answer_to_the_end(SOCKET s);

/* Sockets. */
SOCKET new_socket(void);
SOCKET listen_anywhere(struct sockaddr_in *address);
SOCKET connect_to(const struct sockaddr_in *server);
SOCKET accept_one(SOCKET listener);
void set_blocking(SOCKET s, bool is_blocking);
void *extension(SOCKET s, GUID id); /* NULL: not there. */

/* Overlapped operations. */
WSAOVERLAPPED with_event(void);
DWORD result_of(SOCKET s, WSAOVERLAPPED *request); /* Waits; the bytes. */
int start_receive(SOCKET s, char *bytes, DWORD length, WSAOVERLAPPED *request); /* 0, or the code. */
int start_send(SOCKET s, char *bytes, DWORD length, WSAOVERLAPPED *request);
void post_receive(SOCKET s, char *bytes, DWORD length, WSAOVERLAPPED *request); /* With an event; there is nothing yet. */
void post_send(SOCKET s, char *bytes, DWORD length, WSAOVERLAPPED *request); /* With an event. */

/* This program as another process, which ends the words with what its standard input says. */
HANDLE start_child(const char *words, HANDLE *input);
int be_child(int count, char **words);

#endif
