/* `checks`; or `server` and `client`, which exchange messages until a file is there, then much in both directions. */
#include "host.h"

enum { MESSAGE = 64, MUCH = 4 << 20 };

static char much[MUCH];

static uint64_t sum(const char *data, int length)
{
    uint64_t sum = 0xcbf29ce484222325;
    while (length--)
        sum = (sum ^ (unsigned char)*data++) * 0x100000001b3;
    return sum;
}

static void give(const struct way *way, SOCKET socket, unsigned seed)
{
    for (int place = 0; place < MUCH; place++)
        much[place] = (char)((seed = seed * 1103515245 + 12345) >> 16);
    printf("GAVE %016llx\n", (unsigned long long)sum(much, MUCH));
    way->send(socket, much, MUCH);
}

static void take(const struct way *way, SOCKET socket)
{
    memset(much, 0, MUCH);
    CHECK(way->receive(socket, much, MUCH) == MUCH);
    printf("TOOK %016llx\n", (unsigned long long)sum(much, MUCH));
}

static void end(const struct way *way, SOCKET socket)
{
    char byte;
    CHECK(table.lpWSPShutdown(socket, SD_SEND, &error) == 0);
    CHECK(way->receive(socket, &byte, 1) == 0);
    CHECK(table.lpWSPCloseSocket(socket, &error) == 0);
    printf("ENDED\n");
}

static SOCKET new_socket(void)
{
    SOCKET socket = table.lpWSPSocket(AF_INET, SOCK_STREAM, 0, entry(CHAIN_TCP), 0, WSA_FLAG_OVERLAPPED, &error);
    CHECK(socket != INVALID_SOCKET && owner == CHAIN_TCP);
    return socket;
}

static void serve(const struct way *way)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int length = sizeof name;
    char message[MESSAGE];
    SOCKET listener = new_socket();
    CHECK(table.lpWSPBind(listener, (struct sockaddr *)&name, sizeof name, &error) == 0);
    CHECK(table.lpWSPListen(listener, 5, &error) == 0);
    CHECK(table.lpWSPGetSockName(listener, (struct sockaddr *)&name, &length, &error) == 0);
    printf("PORT %d\n", ntohs(name.sin_port));
    owner = 0;
    SOCKET socket = table.lpWSPAccept(listener, NULL, NULL, NULL, 0, &error);
    CHECK(socket != INVALID_SOCKET && owner == CHAIN_TCP);
    way->prepare(socket);
    do {
        CHECK(way->receive(socket, message, MESSAGE) == MESSAGE);
        way->send(socket, message, MESSAGE);
    } while (message[0] == 'm');
    take(way, socket);
    give(way, socket, 2);
    end(way, socket);
    CHECK(table.lpWSPCloseSocket(listener, &error) == 0);
}

static void ask(const struct way *way, int port, const char *stop)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char message[MESSAGE], answer[MESSAGE];
    SOCKET socket = new_socket();
    name.sin_port = htons(port);
    CHECK(table.lpWSPConnect(socket, (struct sockaddr *)&name, sizeof name, NULL, NULL, NULL, NULL, &error) == 0);
    way->prepare(socket);
    printf("HOLD\n");
    for (int round = 0; ; round++) {
        int last = GetFileAttributesA(stop) != INVALID_FILE_ATTRIBUTES;
        memset(message, round, MESSAGE);
        message[0] = last ? 'e' : 'm';
        way->send(socket, message, MESSAGE);
        CHECK(way->receive(socket, answer, MESSAGE) == MESSAGE);
        CHECK(memcmp(message, answer, MESSAGE) == 0);
        if (last)
            break;
    }
    give(way, socket, 1);
    take(way, socket);
    end(way, socket);
}

int main(int count, char **words)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (count < 4)
        return 2;
    load(words[2], words[3]);
    if (strcmp(words[1], "checks") == 0) {
        check_all();
        printf("ENDED\n");
        return 0;
    }
    CHECK(start(CHAIN_TCP, 0x0202, &table) == 0);
    CHECK(count > 4 && way(words[4]) != NULL);
    if (strcmp(words[1], "server") == 0)
        serve(way(words[4]));
    else
        ask(way(words[4]), atoi(words[5]), words[6]);
    CHECK(table.lpWSPCleanup(&error) == 0);
    return 0;
}
