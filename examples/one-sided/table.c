/* A table whose rows the peer writes and reads without the owner doing anything: the use of wsdirect/access.h.
 *
 *   table own ADDRESS PORT    waits for one peer, exposes its table, prints what the peer has put into it (PORT 0: any)
 *   table use ADDRESS PORT    fills the owner's table, and reads it back
 */
#include <wsdirect/access.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROWS = 64, ROW = 64, PATIENCE = 30000 };

/* Nothing that may touch memory of this program runs on after its end, so there is nothing to wait for here. */
static void fail(const char *what)
{
    int error = errno;
    fprintf(stderr, "table: %s: %s (Winsock %d)\n", what, strerror(error), wsdirect_code(error));
    exit(1);
}

/* Where one-sided access is not to be had, a program does the same by the stream; this one only says so. */
static void make_ready(int connection)
{
    char why[256];
    if (wsdirect_ready(connection, PATIENCE) == 0)
        return;
    wsdirect_why(connection, why, sizeof why);
    printf("no one-sided access: %s\n", why);
    exit(2);
}

static void receive(int connection, void *bytes, size_t length)
{
    ssize_t got = recv(connection, bytes, length, MSG_WAITALL);
    if (got != (ssize_t)length) {
        printf("the peer has left\n");
        exit(2);
    }
}

static void own(int connection)
{
    static char table[ROWS][ROW];
    wsdirect_window window;
    char done;
    int64_t exposure;
    int row, full = 0;

    make_ready(connection);
    exposure = wsdirect_expose(connection, table, sizeof table, WSDIRECT_READ | WSDIRECT_WRITE, &window);
    if (exposure < 0)
        fail("expose");
    if (send(connection, &window, sizeof window, MSG_NOSIGNAL) != sizeof window)
        fail("send");
    receive(connection, &done, 1);
    /* The table is the peer's to write until this has succeeded. */
    if (wsdirect_withdraw(exposure, PATIENCE) < 0)
        fail("withdraw");
    for (row = 0; row < ROWS; row++) {
        char expected[ROW];
        snprintf(expected, sizeof expected, "value %d", row);
        full += strncmp(table[row], expected, ROW) == 0;
    }
    printf("the peer has written %d rows\n", full);
}

static void use(int connection)
{
    static char rows[ROWS][ROW], copy[ROWS][ROW];
    wsdirect_window window;
    int64_t writes[ROWS], read;
    int row;

    make_ready(connection);
    receive(connection, &window, sizeof window);
    for (row = 0; row < ROWS; row++) {
        snprintf(rows[row], ROW, "value %d", row);
        writes[row] = wsdirect_write(connection, rows[row], ROW, &window, (uint64_t)row * ROW);
        if (writes[row] < 0)
            fail("write");
    }
    for (row = 0; row < ROWS; row++)
        if (wsdirect_wait(writes[row], PATIENCE) < 0)
            fail("wait for a write");
    read = wsdirect_read(connection, copy, sizeof copy, &window, 0);
    if (read < 0)
        fail("read");
    if (wsdirect_wait(read, PATIENCE) < 0)
        fail("wait for the read");
    if (memcmp(rows, copy, sizeof rows) != 0) {
        fprintf(stderr, "table: other rows were read than written\n");
        exit(1);
    }
    printf("%d rows written and read back\n", ROWS);
    if (send(connection, "d", 1, MSG_NOSIGNAL) != 1)
        fail("send");
}

int main(int count, char **arguments)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t length = sizeof name;
    int end = socket(AF_INET, SOCK_STREAM, 0);

    if (count != 4 || (strcmp(arguments[1], "own") != 0 && strcmp(arguments[1], "use") != 0) ||
        inet_pton(AF_INET, arguments[2], &name.sin_addr) != 1) {
        fprintf(stderr, "usage: table own|use ADDRESS PORT\n");
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    name.sin_port = htons((uint16_t)atoi(arguments[3]));
    if (end < 0)
        fail("socket");
    if (strcmp(arguments[1], "use") == 0) {
        if (connect(end, (struct sockaddr *)&name, sizeof name) < 0)
            fail("connect");
        use(end);
        return 0;
    }
    if (bind(end, (struct sockaddr *)&name, sizeof name) < 0 || listen(end, 1) < 0 ||
        getsockname(end, (struct sockaddr *)&name, &length) < 0)
        fail("listen");
    printf("port %d\n", ntohs(name.sin_port));
    end = accept(end, NULL, NULL);
    if (end < 0)
        fail("accept");
    own(end);
    return 0;
}
