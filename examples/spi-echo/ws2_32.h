/*
 * ws2_32.h: what a program written to the SPI brings itself, in the smallest form: event objects, descriptors, and APCs
 * for one thread. On Windows ws2_32.dll has these; on Linux the program passes its own to WSPStartup.
 */
#ifndef SPI_ECHO_WS2_32_H
#define SPI_ECHO_WS2_32_H

#include <wsdirect/ws2spi.h>

/* A manual-reset event, not set. NULL if there is no memory. */
WSAEVENT event_create(void);
void event_reset(WSAEVENT event);
/* Waits until the event is set, at most that many milliseconds; 0 if it was not. */
int event_wait(WSAEVENT event, int milliseconds);
void event_close(WSAEVENT event);

/* Runs the completion routines that are queued for this program; how many it were. */
int apcs_run(void);
/* The thread that runs them: for lpThreadId. */
extern WSATHREADID apc_thread;

/* Starts the library and fills *table; 0 or the error code. */
int spi_start(WSPPROC_TABLE *table);

#endif
