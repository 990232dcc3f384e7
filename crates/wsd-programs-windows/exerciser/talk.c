/*
 * talk.c: the small messages that go to and fro, or one way, until whatever may stand in front of Winsock has noticed the
 * connection.
 *
 * If the environment has EXERCISER_HOLDS, whoever leads a talk says HOLD and a name, and the talk goes on until there is a file of
 * that name in the current folder.
 */
#include "exerciser.h"

#include <stdio.h>
#include <stdlib.h>

#define TRIPS 400
#define NAME 128
#define STREAM 50000

/* The name for the next hold of this process, or nothing. */
static void begin_hold(char name[NAME])
{
    static unsigned count;

    name[0] = 0;
    if (getenv("EXERCISER_HOLDS") == NULL)
        return;
    snprintf(name, NAME, "%s.%lu.%u", case_name(), (unsigned long)GetCurrentProcessId(), ++count);
    printf("HOLD %s\n", name);
    fflush(stdout);
}

/* Whoever leads decides whether it goes on, and says it by one byte. */
static char decide(const char *hold)
{
    if (hold[0] == 0 || GetFileAttributesA(hold) != INVALID_FILE_ATTRIBUTES)
        return '.';
    Sleep(10);
    return '+';
}

static char decision(SOCKET s)
{
    char byte;

    receive_all(s, &byte, 1);
    REQUIRE(byte == '+' || byte == '.');
    return byte;
}

void make_small_talk(SOCKET s, bool asks)
{
    char hold[NAME], byte;
    struct sockaddr_in name;
    int length = sizeof(name);

    /* The partner may end before it is waited for: its event stays with this process. */
    REQUIRE(getpeername(s, (struct sockaddr *)&name, &length) == 0);
    event_of(&name);
    if (asks)
        begin_hold(hold);
    do {
        for (unsigned i = 0; i < TRIPS; i++) {
            if (asks)
                send_pattern(s, MESSAGE, i);
            receive_pattern(s, MESSAGE, i);
            if (!asks)
                send_pattern(s, MESSAGE, i);
            /* What works beside the programs needs time, too. */
            if (asks && i % 16 == 0)
                Sleep(1);
        }
        /* The other end says the same, as one does that sends back whatever comes. */
        if (asks) {
            byte = decide(hold);
            send_all(s, &byte, 1);
            REQUIRE(decision(s) == byte);
        } else {
            byte = decision(s);
            send_all(s, &byte, 1);
        }
    } while (byte == '+');
}

void talk_one_way(SOCKET s)
{
    char hold[NAME], byte;

    begin_hold(hold);
    do {
        for (unsigned i = 0; i < 2 * TRIPS; i++) {
            send_pattern(s, MESSAGE, i);
            if (i % 32 == 0)
                Sleep(1);
        }
        byte = decide(hold);
        send_all(s, &byte, 1);
    } while (byte == '+');
}

void listen_one_way(SOCKET s)
{
    do {
        for (unsigned i = 0; i < 2 * TRIPS; i++)
            receive_pattern(s, MESSAGE, i);
    } while (decision(s) == '+');
}

void talk_to_the_end(SOCKET s)
{
    make_small_talk(s, true);
    send_pattern(s, STREAM, 150);
    receive_pattern(s, STREAM, 151);
    finish(s);
}

void answer_to_the_end(SOCKET s)
{
    make_small_talk(s, false);
    receive_pattern(s, STREAM, 150);
    send_pattern(s, STREAM, 151);
    finish(s);
}
