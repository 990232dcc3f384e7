/* What a program and the Winsock around it would be: the layer is started here, and called by its table. */
#ifndef HOST_H
#define HOST_H

#include <winsock2.h>
#include <mswsock.h>
#include <ws2tcpip.h>
#include <ws2spi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of the catalogue that the layer is shown. */
enum { BASE_TCP = 1001, BASE_UDP = 1002, LAYER = 2001, CHAIN_TCP = 3001, CHAIN_UDP = 3002 };

#define CHECK(fact) do { if (!(fact)) fail(__FILE__, __LINE__, #fact); } while (0)

void fail(const char *file, int line, const char *fact);

/* Loads the layer, and shows it a catalogue in which `base` is what is below it. */
void load(const char *layer, const char *base);
WSAPROTOCOL_INFOW *entry(DWORD number);
int start(DWORD number, WORD version, WSPPROC_TABLE *table);

/* The catalogue entry that the last socket was said to belong to. */
extern DWORD owner;

/* Whether it counts startups, tells errors, and describes sockets as it has to. */
void check_all(void);

/* Transfers whole buffers by one way of calling. */
struct way {
    const char *name;
    void (*send)(SOCKET socket, char *data, int length);
    /* How many bytes came before the stream ended. */
    int (*receive)(SOCKET socket, char *data, int length);
    /* Makes a new socket ready for it. */
    void (*prepare)(SOCKET socket);
};

extern WSPPROC_TABLE table;
extern int error;
const struct way *way(const char *name);

#endif
