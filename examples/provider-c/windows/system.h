/*
 * system.h: what the parts of platform.h on Windows know of each other. The provider's own header has the types of the SPI,
 * which Windows' headers have too, so none of these files includes both.
 */
#ifndef SYSTEM_H
#define SYSTEM_H

#include "../platform.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* A process with links has a name: its number in the upper half, and chance. 0: none. */
uint64_t own_name(void);
void wake_process(uint64_t name);

/* The process at the other end of a link. */
struct peer {
    uint64_t name;
    HANDLE event;
    HANDLE process; /* NULL: it has ended, or is this one. */
    HANDLE wait;
};

/* Both begin to watch the process with that name if it is another one than before. */
void wake_peer(struct peer *peer, uint64_t name);
bool has_ended(struct peer *peer, uint64_t name);
void forget_peer(struct peer *peer);

#endif
