/*
 * main.c: exerciser list; exerciser server CASE, which says PORT and a number; exerciser client CASE PORT.
 */
#include "exerciser.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_MS 60000 /* A case that takes longer hangs. */

static const struct scenario *const families[] = {blocking, options, closing, connecting, accepting, readiness, events,
    windows, overlapped, ports, routines, files, sharing, pending, first_data, sent_first,
    driver_asked};
static const struct scenario *current;
static char facts[2048];

const char *case_name(void)
{
    return current->name;
}

void fact(const char *name, long long value)
{
    size_t used = strlen(facts);

    snprintf(facts + used, sizeof(facts) - used, " %s=%lld", name, value);
}

void hash_fact(const char *name, uint64_t value)
{
    size_t used = strlen(facts);

    snprintf(facts + used, sizeof(facts) - used, " %s=%016llx", name, (unsigned long long)value);
}

void pass(const char *place)
{
    printf("PASS %s %s%s\n", current->name, place, facts);
    fflush(stdout);
    facts[0] = 0;
}

void lacks(const char *what)
{
    size_t used = strlen(facts);

    snprintf(facts + used, sizeof(facts) - used, " lacks=%s", what);
}

void fail(const char *file, int line, const char *what)
{
    int code = WSAGetLastError();

    printf("FAIL %s %s:%d %s error=%d\n", current->name, file, line, what, code);
    fflush(stdout);
    ExitProcess(1);
}

static DWORD WINAPI watch(void *ignored)
{
    (void)ignored;
    Sleep(ALL_MS);
    printf("FAIL %s hangs\n", current->name);
    fflush(stdout);
    ExitProcess(1);
}

static void list(void)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        for (const struct scenario *one = families[i]; one->name != NULL; one++)
            printf("%s\n", one->name);
    }
}

static const struct scenario *find(const char *name)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        for (const struct scenario *one = families[i]; one->name != NULL; one++) {
            if (strcmp(one->name, name) == 0)
                return one;
        }
    }
    fprintf(stderr, "no case %s\n", name);
    exit(2);
}

static void serve(void)
{
    struct sockaddr_in own;
    SOCKET listener = listen_anywhere(&own), s;

    printf("PORT %d\n", ntohs(own.sin_port));
    fflush(stdout);
    if (current->server != NULL) {
        current->server(listener);
        pass("server");
        return;
    }
    s = accept_one(listener);
    if (!current->cold)
        make_small_talk(s, false);
    current->partner(s);
    s = accept_one(listener);
    if (!current->cold)
        make_small_talk(s, false);
    current->tested(s);
    pass("acceptor");
}

static void ask(int port)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((u_short)port)};
    SOCKET s;

    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (current->client != NULL) {
        current->client(&server);
        pass("client");
        return;
    }
    s = connect_to(&server);
    if (!current->cold)
        make_small_talk(s, true);
    current->tested(s);
    pass("connector");
    s = connect_to(&server);
    if (!current->cold)
        make_small_talk(s, true);
    current->partner(s);
}

int main(int count, char **words)
{
    static const struct scenario child = {.name = "child"};
    WSADATA data;

    _setmode(_fileno(stdout), _O_BINARY);
    _setmode(_fileno(stdin), _O_BINARY);
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return 2;
    current = &child;
    if (count == 2 && strcmp(words[1], "list") == 0) {
        list();
    } else if (count == 3 && strcmp(words[1], "server") == 0) {
        current = find(words[2]);
        CloseHandle(CreateThread(NULL, 0, watch, NULL, 0, NULL));
        serve();
    } else if (count == 4 && strcmp(words[1], "client") == 0) {
        current = find(words[2]);
        CloseHandle(CreateThread(NULL, 0, watch, NULL, 0, NULL));
        ask(atoi(words[3]));
    } else if (count > 2 && strcmp(words[1], "child") == 0) {
        CloseHandle(CreateThread(NULL, 0, watch, NULL, 0, NULL));
        return be_child(count - 2, words + 2);
    } else {
        fprintf(stderr, "exerciser list | server CASE | client CASE PORT\n");
        return 2;
    }
    WSACleanup();
    return 0;
}
