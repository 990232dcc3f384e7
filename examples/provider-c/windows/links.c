/*
 * links.c: links and doors on Windows. A link is a section with a ring of packets per direction; a door is a section, whose name
 * ends with its process, with places for visitors. Every process has one event, by whose name peers wake it.
 *
 * Who has an end is written in the section, so that it can go to another process. Processes of other users get nowhere. What a
 * peer writes is read once and checked.
 */
#include "system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING 262144u /* A power of two. */
#define SLOTS MAX_BACKLOG
#define ENDS 4096
#define RECORD_ALIGNMENT 8u

/* One end of a link, as both processes see it. */
struct side {
    uint64_t owner; /* Whose event is to be set. */
    uint64_t written; /* Bytes that it has put into its ring, ever. */
    uint64_t read; /* Bytes that it has taken out of the other's. */
    uint32_t closed;
    uint32_t wants_room; /* To be woken when the other has read. */
};

struct link_memory {
    struct side sides[2]; /* The visitor's, the host's. */
    uint32_t admitted;
    char rings[2][RING];
};

struct door_memory {
    uint64_t owner;
    uint32_t closed;
    uint64_t visitors[SLOTS]; /* Process, and in that process the handle of the section. */
};

/* What is before a packet in a ring. */
struct record {
    uint32_t length;
    uint32_t passes; /* 0, or what goes with the packet: 1 and 2 a side of a link, 3 a door. */
    uint64_t section; /* Its handle in the receiving process. */
    uint64_t written, read; /* How far that side was. */
};

/* What is behind a descriptor. */
struct end {
    HANDLE section;
    struct link_memory *link; /* One of the two. */
    struct door_memory *door;
    unsigned side;
    bool passed; /* It is another process's. */
    uint64_t written, read; /* This side's. The other cannot reach these. */
    struct peer peer;
    struct source *watched;
    uint32_t events;
};

static struct end *ends[ENDS];
static SRWLOCK ends_lock = SRWLOCK_INIT; /* Of the table alone. */
static int numbers; /* Below it are all that are in use. */
static int last_ready;

#define load(place) __atomic_load_n(place, __ATOMIC_SEQ_CST)
#define store(place, value) __atomic_store_n(place, value, __ATOMIC_SEQ_CST)

static struct end *end_of(int fd)
{
    struct end *end;

    AcquireSRWLockShared(&ends_lock);
    end = fd >= 0 && fd < ENDS ? ends[fd] : NULL;
    ReleaseSRWLockShared(&ends_lock);
    return end;
}

/* Takes the section, also if there is no room for it. */
static int new_end(HANDLE section, bool is_door, unsigned side)
{
    struct end *end = calloc(1, sizeof(*end));
    size_t size = is_door ? sizeof(struct door_memory) : sizeof(struct link_memory);
    void *memory = end != NULL ? MapViewOfFile(section, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, size) : NULL;
    int fd = 0;

    if (memory == NULL) {
        free(end);
        CloseHandle(section);
        return -1;
    }
    end->section = section;
    end->side = side;
    end->link = is_door ? NULL : memory;
    end->door = is_door ? memory : NULL;
    AcquireSRWLockExclusive(&ends_lock);
    while (fd < ENDS && ends[fd] != NULL)
        fd++;
    if (fd < ENDS)
        ends[fd] = end;
    if (fd < ENDS && fd >= numbers)
        numbers = fd + 1;
    ReleaseSRWLockExclusive(&ends_lock);
    if (fd < ENDS)
        return fd;
    UnmapViewOfFile(memory);
    CloseHandle(section);
    free(end);
    return -1;
}

static struct side *own_side(struct end *end)
{
    return &end->link->sides[end->side];
}

static struct side *other_side(struct end *end)
{
    return &end->link->sides[1 - end->side];
}

static void wake_other(struct end *end)
{
    wake_peer(&end->peer, load(&other_side(end)->owner));
}

/* Where the section of a visitor's link comes from: its process is the one that has this handle. */
static HANDLE fetch(uint64_t visitor)
{
    HANDLE process = OpenProcess(PROCESS_DUP_HANDLE, FALSE, (DWORD)(visitor >> 32)), section = NULL;

    if (process == NULL)
        return NULL;
    if (!DuplicateHandle(process, (HANDLE)(uintptr_t)(uint32_t)visitor, GetCurrentProcess(), &section, 0, FALSE,
            DUPLICATE_SAME_ACCESS))
        section = NULL;
    CloseHandle(process);
    return section;
}

static int admit_visitor(struct door_memory *door)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t visitor = __atomic_exchange_n(&door->visitors[i], 0, __ATOMIC_SEQ_CST);
        HANDLE section = visitor != 0 ? fetch(visitor) : NULL;
        int fd = section != NULL ? new_end(section, false, 1) : -1;
        struct end *end = end_of(fd);

        if (end == NULL)
            continue;
        if (load(&other_side(end)->owner) >> 32 == visitor >> 32
            && __atomic_exchange_n(&end->link->admitted, 1, __ATOMIC_SEQ_CST) == 0) {
            store(&own_side(end)->owner, own_name());
            wake_other(end);
            return fd;
        }
        end->passed = true; /* Somebody else's: nobody is told. */
        close_descriptor(fd);
    }
    return -1;
}

int admit(int door)
{
    return admit_visitor(end_of(door)->door);
}

static HANDLE new_section(const char *name, size_t size)
{
    return CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, (DWORD)size, name);
}

static void name_door(char full[96], const char *name)
{
    snprintf(full, 96, "Local\\%s", name);
}

enum opened open_door(const char *name, int *door)
{
    char full[96];
    HANDLE section;

    name_door(full, name);
    section = new_section(full, sizeof(struct door_memory));
    if (section == NULL)
        return NO_RESOURCES;
    if (GetLastError() == ERROR_ALREADY_EXISTS) {
        CloseHandle(section);
        return NAME_IN_USE;
    }
    *door = new_end(section, true, 0);
    if (*door < 0)
        return NO_RESOURCES;
    store(&end_of(*door)->door->owner, own_name());
    return OPENED;
}

/* Puts the section of a link into a place. */
static bool announce(struct door_memory *door, HANDLE section)
{
    uint64_t visitor = (uint64_t)GetCurrentProcessId() << 32 | (uint32_t)(uintptr_t)section;

    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t nobody = 0;

        if (!__atomic_compare_exchange_n(
                &door->visitors[i], &nobody, visitor, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            continue;
        if (load(&door->closed) == 0) {
            wake_process(load(&door->owner));
            return true;
        }
        /* Who closes looks at the places afterwards: taken back by one of us. */
        __atomic_compare_exchange_n(&door->visitors[i], &visitor, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        return false;
    }
    return false;
}

enum opened knock(const char *name, int *link)
{
    char full[96];
    HANDLE section;
    struct door_memory *door = NULL;
    enum opened opened = NOBODY;
    int fd = -1;

    name_door(full, name);
    section = OpenFileMappingA(FILE_MAP_READ | FILE_MAP_WRITE, FALSE, full);
    if (section != NULL)
        door = MapViewOfFile(section, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, sizeof(*door));
    if (door != NULL && load(&door->closed) == 0) {
        HANDLE memory = new_section(NULL, sizeof(struct link_memory));

        fd = memory != NULL ? new_end(memory, false, 0) : -1;
        opened = NO_RESOURCES;
    }
    if (fd >= 0) {
        struct end *end = end_of(fd);

        store(&own_side(end)->owner, own_name());
        store(&other_side(end)->owner, load(&door->owner));
        opened = announce(door, end->section) ? OPENED : NOBODY;
    }
    if (opened == OPENED)
        *link = fd;
    else
        close_descriptor(fd);
    if (door != NULL)
        UnmapViewOfFile(door);
    if (section != NULL)
        CloseHandle(section);
    return opened;
}

uint32_t process_of_peer(int link)
{
    return (uint32_t)(load(&other_side(end_of(link))->owner) >> 32);
}

void close_descriptor(int fd)
{
    struct end *end = end_of(fd);
    int visitor;

    if (end == NULL)
        return;
    AcquireSRWLockExclusive(&ends_lock);
    ends[fd] = NULL;
    ReleaseSRWLockExclusive(&ends_lock);
    if (end->door != NULL && !end->passed) {
        store(&end->door->closed, 1);
        while ((visitor = admit_visitor(end->door)) >= 0)
            close_descriptor(visitor);
    } else if (end->link != NULL && !end->passed) {
        store(&own_side(end)->closed, 1);
        wake_other(end);
    }
    forget_peer(&end->peer);
    UnmapViewOfFile(end->link != NULL ? (void *)end->link : (void *)end->door);
    CloseHandle(end->section);
    free(end);
}

/* The other end is closed, or its process has ended. */
static bool is_gone(struct end *end)
{
    return load(&other_side(end)->closed) != 0 || has_ended(&end->peer, load(&other_side(end)->owner));
}

/* Bytes in the ring for this side; more than the ring if the peer lies. */
static uint64_t arrived(struct end *end)
{
    return load(&other_side(end)->written) - end->read;
}

static uint64_t room(struct end *end)
{
    uint64_t used = end->written - load(&other_side(end)->read);

    return used > RING ? 0 : RING - used;
}

static void copy_in(struct end *end, const void *from, size_t length)
{
    char *ring = end->link->rings[end->side];
    size_t at = end->written % RING, first = length < RING - at ? length : RING - at;

    memcpy(ring + at, from, first);
    memcpy(ring, (const char *)from + first, length - first);
    end->written += length;
}

static void copy_out(struct end *end, void *to, size_t length)
{
    const char *ring = end->link->rings[1 - end->side];
    size_t at = end->read % RING, first = length < RING - at ? length : RING - at;

    memcpy(to, ring + at, first);
    memcpy((char *)to + first, ring, length - first);
    end->read += length;
}

static uint64_t padded(uint64_t length)
{
    return (length + RECORD_ALIGNMENT - 1) & ~(uint64_t)(RECORD_ALIGNMENT - 1);
}

/* Another process gets what is behind a descriptor, which is told in the record. */
static bool pass(struct end *end, uint64_t receiver, struct record *record)
{
    HANDLE process = OpenProcess(PROCESS_DUP_HANDLE, FALSE, (DWORD)(receiver >> 32)), theirs = NULL;
    bool done = process != NULL
        && DuplicateHandle(GetCurrentProcess(), end->section, process, &theirs, 0, FALSE, DUPLICATE_SAME_ACCESS);

    if (process != NULL)
        CloseHandle(process);
    if (!done)
        return false;
    record->section = (uintptr_t)theirs;
    record->passes = end->door != NULL ? 3 : 1 + end->side;
    record->written = end->written;
    record->read = end->read;
    end->passed = true;
    if (end->door != NULL) {
        store(&end->door->owner, receiver);
        return true;
    }
    store(&own_side(end)->owner, receiver);
    wake_other(end); /* It has to watch another process from now on. */
    return true;
}

static int take_passed(const struct record *record)
{
    int fd = record->passes >= 1 && record->passes <= 3
        ? new_end((HANDLE)(uintptr_t)record->section, record->passes == 3, record->passes == 2 ? 1 : 0) : -1;
    struct end *end = end_of(fd);

    if (end != NULL) {
        end->written = record->written;
        end->read = record->read;
    }
    return fd;
}

enum sent send_packet(int link, const struct part *parts, unsigned count, int passed)
{
    struct end *end = end_of(link), *goods = end_of(passed);
    struct record record = {0};
    uint64_t before = end->written, needed;

    for (unsigned i = 0; i < count; i++)
        record.length += (uint32_t)parts[i].length;
    if (is_gone(end))
        return NEVER;
    needed = sizeof(record) + padded(record.length);
    if (room(end) < needed) {
        store(&own_side(end)->wants_room, 1);
        if (room(end) < needed)
            return LATER;
    }
    if (goods != NULL && !pass(goods, load(&other_side(end)->owner), &record))
        return NEVER;
    copy_in(end, &record, sizeof(record));
    for (unsigned i = 0; i < count; i++)
        copy_in(end, parts[i].start, parts[i].length);
    end->written = before + needed;
    store(&own_side(end)->written, end->written);
    wake_other(end);
    return SENT;
}

long receive_packet(int link, const struct part *parts, unsigned count, int *passed)
{
    struct end *end = end_of(link);
    bool gone = is_gone(end); /* Before the look at the ring: what it had written is read. */
    uint64_t bytes = arrived(end), begin = end->read;
    struct record record;
    size_t left;
    int fd;

    if (passed != NULL)
        *passed = -1;
    if (bytes == 0)
        return gone ? ENDED : NOTHING_YET;
    if (bytes > RING || bytes < sizeof(record))
        return ENDED;
    copy_out(end, &record, sizeof(record));
    if (sizeof(record) + padded(record.length) > bytes)
        return ENDED;
    left = record.length;
    for (unsigned i = 0; i < count; i++) {
        size_t length = parts[i].length < left ? parts[i].length : left;

        copy_out(end, parts[i].start, length);
        left -= length;
    }
    end->read = begin + sizeof(record) + padded(record.length);
    store(&own_side(end)->read, end->read);
    if (__atomic_exchange_n(&other_side(end)->wants_room, 0, __ATOMIC_SEQ_CST) != 0)
        wake_other(end);
    fd = record.passes != 0 ? take_passed(&record) : -1;
    if (passed != NULL)
        *passed = fd;
    else
        close_descriptor(fd);
    return left != 0 ? TOO_LONG : (long)record.length;
}

static bool is_ready(struct end *end)
{
    if (end->door != NULL) {
        for (unsigned i = 0; i < SLOTS; i++) {
            if (load(&end->door->visitors[i]) != 0)
                return true;
        }
        return false;
    }
    if (arrived(end) != 0 || is_gone(end))
        return true;
    if ((end->events & WRITABLE) == 0)
        return false;
    if (room(end) < RING / 2)
        store(&own_side(end)->wants_room, 1);
    return room(end) >= RING / 2;
}

void wait_readable(int link, int milliseconds)
{
    struct end *end = end_of(link);

    /* The process's event is the engine's. */
    for (; milliseconds > 0 && arrived(end) == 0 && !is_gone(end); milliseconds--)
        Sleep(1);
}

bool add_to_set(struct source *source, int fd, uint32_t events)
{
    struct end *end = end_of(fd);

    if (end == NULL)
        return false;
    end->watched = source;
    end->events = events;
    wake(); /* It may be ready. */
    return true;
}

void change_in_set(struct source *source, int fd, uint32_t events)
{
    add_to_set(source, fd, events);
}

void remove_from_set(int fd)
{
    end_of(fd)->watched = NULL;
}

/* Behind the last one that was, so that all have their turn. */
struct source *ready_source(void)
{
    for (int i = 1; i <= numbers; i++) {
        int fd = (last_ready + i) % numbers;
        struct end *end = end_of(fd);

        if (end != NULL && end->watched != NULL && is_ready(end)) {
            last_ready = fd;
            return end->watched;
        }
    }
    return NULL;
}
