/*
 * provider.h: what the parts of the example provider know of each other.
 *
 * One lock guards everything. Entry points take it with enter() and give it back with leave(), which then makes the
 * up-calls that have become due; so no up-call is made under the lock (SP-018). Functions without a word about the lock
 * are called with it held.
 */
#ifndef PROVIDER_H
#define PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wsdirect/ws2san.h>

#include "platform.h"

/* What a variant for testing conformance suites does wrong, chosen with -DDEFECT=NAME. */
enum defect {
    NO_DEFECT,
    WRONG_ERROR_CODE, /* WSPBind answers WSAEADDRINUSE for addresses of others. */
    NOTIFIES_POLLED, /* Up-calls also for polled requests. */
    OUT_OF_ORDER, /* The newest receive gets the oldest message. */
    RELEASES_EARLY, /* A socket is gone when its peer is. */
    LEAKS_HANDLE, /* The switch's handle is never closed. */
    ACCESS_AFTER_DEREGISTRATION, /* The peer can go on using exposed memory. */
    IGNORES_RIGHTS, /* MEM_READ and MEM_WRITE mean nothing. */
    DROPS_EARLY_MESSAGE, /* A message without a posted receive is lost. */
    FOREIGN_HANDLE, /* Up-calls name the provider's descriptor. */
    INCOMPLETE_TABLE /* WSPDuplicateSocket is missing. */
};
#ifndef DEFECT
#define DEFECT NO_DEFECT
#endif
#define HAS_DEFECT(name) (DEFECT == (name))

#define MAX_MESSAGE 65536u /* Longest message, and longest part of an RDMA write, in bytes. */
#define MAX_RDMA (16u << 20)
#define RDMA_THRESHOLD 16384u
#define MAX_SEGMENTS 8u
#define MAX_PENDING 4096u /* Operations of one kind per socket. */
#define MAX_EARLY 64u /* Messages, and their bytes, that are kept for receives to come (SP-021). */
#define MAX_EARLY_BYTES 65536u
#define MAX_SILENT 64u /* Strangers at a listener that have not said what they want. */
#define PATIENCE_MS 20000 /* For peers that do not answer. */

#define OWNER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* An up-call that is due: a completion, or, without a request, the end of a handle. First member of what it frees. */
struct due {
    struct due *next;
    SOCKET handle;
    LPWSAOVERLAPPED request;
    bool polled;
    DWORD error;
    DWORD bytes;
};

/* A descriptor that the engine waits on. */
struct source {
    struct source *previous, *next;
    int fd; /* -1: none. */
    uint32_t events;
    uint64_t deadline; /* In milliseconds; 0: none. */
    void (*ready)(struct source *source);
    void (*late)(struct source *source);
};

/* Registered memory. Numbers are never used again. */
struct registration {
    struct registration *next;
    uint64_t number;
    uint64_t key; /* Exposed memory: what only the peer knows; else 0. */
    char *start;
    uint32_t length;
    DWORD access;
    bool exposed;
    unsigned users; /* Pending operations. */
};

/* What WSPRegisterRdmaMemory tells the peer (SP-122). */
struct descriptor {
    uint64_t number;
    uint64_t key;
    uint32_t length;
    uint32_t access;
};

/* A pending operation. */
struct op {
    struct due due;
    struct op *next;
    bool is_write;
    uint32_t sequence;
    WSABUF segments[MAX_SEGMENTS];
    struct registration *used[MAX_SEGMENTS];
    unsigned count;
    uint32_t total, done;
    struct descriptor target;
    uint32_t offset;
};

struct queue {
    struct op *first, *last;
    unsigned length;
};

struct early {
    struct early *next;
    uint32_t length;
    char bytes[];
};

/* A peer that wants to connect. */
struct request {
    struct source source;
    struct request *next;
    struct socket *listener; /* NULL while WSPAccept asks the condition function. */
    bool greeted; /* It has said what it wants. */
    bool gone; /* It does not want it any more. */
    SOCKADDR_IN caller, callee;
};

/* Section 13 of the SPI reference. */
enum state { FRESH, BOUND, CONNECTING, CONNECTED, BROKEN, LISTENING, SWAPPED_OUT };

struct socket {
    struct due due; /* Its last up-call. */
    struct socket *next;
    SOCKET id; /* The provider's descriptor (SP-011). */
    SOCKET handle; /* The switch's. */
    enum state state;
    int error; /* Of a broken connection (SP-093). */
    bool debug;
    SOCKADDR_IN local, peer;
    struct source source; /* The listener, or the way to the peer. */

    WSAEVENT event;
    LONG mask, occurred;
    int connect_result;

    int backlog;
    struct request *requests; /* Oldest first. */

    struct queue receives, sends, unconfirmed; /* The last: RDMA writes that the peer has not confirmed. */
    struct early *early, **early_end;
    unsigned early_count;
    uint32_t early_bytes;
    struct registration *registrations;
    uint32_t sequence; /* Of the last RDMA write. */
    uint32_t applied; /* The last RDMA write of the peer that is done. */
    bool confirm; /* The peer has not been told of it. */
    bool deaf; /* The peer takes nothing any more; what it had sent is still read. */
};

/* What goes over a link begins with this, and is one packet. */
enum kind { CONNECT = 1, ACCEPT, REFUSE, MESSAGE, WRITE, CONFIRM, FAILED, PARCEL, WAITING, END };
struct packet {
    uint32_t kind;
    uint32_t sequence;
    uint32_t offset;
    uint32_t flags;
    uint64_t number, key;
    SOCKADDR_IN caller, callee;
};

/* engine.c: the lock, the up-calls, the thread. */
extern WSPUPCALLTABLEEX upcalls;
void enter(void);
int leave(int code, LPINT error); /* 0, or SOCKET_ERROR with the code. */
int fail(int code, LPINT error); /* Without the lock. */
void queue_up_call(struct due *due);
bool watch(struct source *source, int fd, uint32_t events, void (*ready)(struct source *));
void watch_for(struct source *source, uint32_t events);
void unwatch(struct source *source); /* The descriptor is the caller's again. */
void close_source(struct source *source);
void limit_time(struct source *source, void (*late)(struct source *));
void no_limit(struct source *source);
void pump(void); /* Does what is to do. */
bool drive(void); /* Starts the thread. */
bool start_engine(void);
void stop_engine(void); /* Without the lock. */
bool is_started(void);

/* table.c: start-up and clean-up. */
void forget_start(void); /* In the child of a fork. */

/* sockets.c */
struct socket *find_socket(SOCKET s);
struct socket *any_socket(void);
struct socket *new_socket(void);
SOCKET new_id(void);
void add_socket(struct socket *socket, SOCKET id, SOCKET handle);
void end_socket(struct socket *socket);
void forget_sockets(void);
void signal_event(struct socket *socket, LONG event);
void reset_event(WSAEVENT event);
bool is_own_address(uint32_t address); /* In network byte order. */
SOCKET WSPAPI wsp_socket(int, int, int, LPWSAPROTOCOL_INFOW, GROUP, DWORD, LPINT);
int WSPAPI wsp_bind(SOCKET, const SOCKADDR *, int, LPINT);
int WSPAPI wsp_event_select(SOCKET, WSAEVENT, LONG, LPINT);
int WSPAPI wsp_enum_network_events(SOCKET, WSAEVENT, LPWSANETWORKEVENTS, LPINT);
int WSPAPI wsp_close_socket(SOCKET, LPINT);

/* control.c */
int WSPAPI wsp_set_sock_opt(SOCKET, int, int, LPCSTR, int, LPINT);
int WSPAPI wsp_get_sock_opt(SOCKET, int, int, char *, LPINT, LPINT);
BOOL WSPAPI wsp_get_qos_by_name(SOCKET, LPWSABUF, LPQOS, LPINT);
int WSPAPI wsp_ioctl(SOCKET, DWORD, LPVOID, DWORD, LPVOID, DWORD, LPDWORD, LPWSAOVERLAPPED,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE, LPWSATHREADID, LPINT);

/* meeting.c */
uint32_t swap_ip(uint32_t address); /* Between host and network byte order. */
bool say(int fd, const struct packet *packet);
void requests_waiting(struct source *source);
bool add_request(struct socket *listener, int fd, const struct packet *greeting);
void refuse(struct request *request);
void not_connected(struct socket *socket, int error);
bool hear_answer(struct socket *socket, const struct packet *packet);
int WSPAPI wsp_listen(SOCKET, int, LPINT);
int WSPAPI wsp_connect(SOCKET, const SOCKADDR *, int, LPWSABUF, LPWSABUF, LPQOS, LPQOS, LPINT);
SOCKET WSPAPI wsp_accept(SOCKET, SOCKADDR *, LPINT, LPCONDITIONPROC, DWORD_PTR, LPINT);

/* link.c: packets of a connection. */
void link_readable(struct source *source);
void flush(struct socket *socket); /* Sends what can be sent. */
bool keep_early(struct socket *socket, const char *bytes, uint32_t length);
void drop_early(struct socket *socket);
bool deliver(struct socket *socket, struct op *receive, const char *bytes, uint32_t length);
void break_connection(struct socket *socket, int error, struct op *culprit);

/* transfer.c: requests. */
void push(struct queue *queue, struct op *op);
struct op *pop(struct queue *queue);
void complete(struct op *op, int error, uint32_t bytes);
void fail_all(struct queue *queue, int error, struct op *culprit);
int WSPAPI wsp_send(SOCKET, LPWSABUF, DWORD, LPDWORD, DWORD, LPWSAOVERLAPPED, LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    LPWSATHREADID, LPINT);
int WSPAPI wsp_recv(SOCKET, LPWSABUF, DWORD, LPDWORD, LPDWORD, LPWSAOVERLAPPED, LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    LPWSATHREADID, LPINT);
int WSPAPI wsp_rdma_write(SOCKET, LPWSABUFEX, DWORD, LPVOID, DWORD, DWORD, LPDWORD, DWORD, LPWSAOVERLAPPED,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE, LPWSATHREADID, LPINT);
BOOL WSPAPI wsp_get_overlapped_result(SOCKET, LPWSAOVERLAPPED, LPDWORD, BOOL, LPDWORD, LPINT);

/* memory.c */
bool allows(DWORD access, DWORD wanted);
struct registration *registration_at(struct socket *socket, const char *start, uint32_t length, DWORD access);
struct registration *registration_of(
    struct socket *socket, HANDLE handle, const char *start, uint32_t length, DWORD access);
bool write_exposed(
    struct socket *socket, uint64_t number, uint64_t key, uint32_t offset, const char *bytes, uint32_t length);
void conceal_all(struct socket *socket); /* Ends the peer's access. */
void deregister_all(struct socket *socket);
HANDLE WSPAPI wsp_register_memory(SOCKET, void *, DWORD, DWORD, LPINT);
int WSPAPI wsp_deregister_memory(SOCKET, HANDLE, LPINT);
int WSPAPI wsp_register_rdma_memory(SOCKET, void *, DWORD, DWORD, LPVOID, LPDWORD, LPINT);
int WSPAPI wsp_deregister_rdma_memory(SOCKET, LPVOID, DWORD, LPINT);

/* handover.c: to another process. */
SOCKET adopt(DWORD value, LPINT error); /* Without the lock. */
void drop_handovers(void);
int WSPAPI wsp_duplicate_socket(SOCKET, DWORD, LPWSAPROTOCOL_INFOW, LPINT);

#endif
