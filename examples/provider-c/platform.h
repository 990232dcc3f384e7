/*
 * platform.h: what the provider needs of the operating system. linux.c has it, and
 * the folder windows; nothing else differs.
 *
 * A descriptor is a small number, or -1: one end of a link, which carries packets in order to one other end, or a door, at
 * which links are made. No function waits, unless it says so. Descriptors are made and closed under the provider's lock.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

#define MAX_BACKLOG 128 /* Visitors at a door. */

/* What a source may wait for. */
#define READABLE 1u
#define WRITABLE 4u

struct source;

/* Doors have the names of a host, or of a network namespace of it, and end with their process. */
enum opened { OPENED, NAME_IN_USE, NO_RESOURCES, NOBODY };
enum opened open_door(const char *name, int *door);
enum opened knock(const char *name, int *link);
int admit(int door); /* The end of a visitor's link, or -1. */
uint32_t process_of_peer(int link); /* 0: not known. */
void close_descriptor(int fd);

#define MAX_PARTS 9u
struct part {
    void *start;
    size_t length;
};

enum sent { SENT, LATER, NEVER, BAD_MEMORY };
/* One packet. A descriptor that goes with it (or -1) is the receiver's then, and only to be closed here. */
enum sent send_packet(int link, const struct part *parts, unsigned count, int passed);

#define NOTHING_YET (-1)
#define ENDED (-2) /* And nothing will come. */
#define TOO_LONG (-3)
/* The length of the next packet, which is cut into the parts. */
long receive_packet(int link, const struct part *parts, unsigned count, int *passed);
void wait_readable(int link, int milliseconds);

/* Which sources are ready, for one thread that waits and others that look. */
bool start_waiting(void);
void stop_waiting(void);
bool add_to_set(struct source *source, int fd, uint32_t events);
void change_in_set(struct source *source, int fd, uint32_t events);
void remove_from_set(int fd); /* It may be watched by somebody else from now on. */
struct source *ready_source(void); /* One, or NULL. */
void wait_for_sources(int milliseconds); /* Until one is ready, or wake(); for ever if -1. Without the lock. */
void take_wakes(void); /* Afterwards, with the lock: each wake() ends one wait. */
void wake(void);

/* A thread that the program's signals do not interrupt. */
bool start_thread(pthread_t *thread, void *(*run)(void *), void *argument);
bool notice_forks(void (*before)(void), void (*after_in_parent)(void), void (*after_in_child)(void));

bool random_bytes(void *start, size_t length);
/* The host's IPv4 addresses in network byte order, to be freed; NULL if they cannot be told. */
uint32_t *own_addresses(size_t *count);

#endif
