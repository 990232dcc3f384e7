/*
 * files.c: sockets as files (ReadFile, WriteFile), and files into sockets (TransmitFile).
 */
#include "exerciser.h"

#include <string.h>

#define STREAM 300000

static DWORD finished(HANDLE file, OVERLAPPED *request)
{
    DWORD bytes;

    REQUIRE(GetOverlappedResult(file, request, &bytes, TRUE));
    CloseHandle(request->hEvent);
    return bytes;
}

static void as_file(SOCKET s)
{
    static char out[STREAM], in[STREAM];
    HANDLE file = (HANDLE)s;
    OVERLAPPED request = {.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
    DWORD done = 0;

    fill(out, STREAM, 120);
    if (!WriteFile(file, out, STREAM, NULL, &request))
        REQUIRE(GetLastError() == ERROR_IO_PENDING);
    fact("written", finished(file, &request));
    while (done < STREAM) {
        DWORD bytes;

        request = (OVERLAPPED){.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
        if (!ReadFile(file, in + done, STREAM - done, NULL, &request))
            REQUIRE(GetLastError() == ERROR_IO_PENDING);
        bytes = finished(file, &request);
        REQUIRE(bytes > 0);
        done += bytes;
    }
    hash_fact("read", hash(in, STREAM));
    finish(s);
}

static void echo_stream(SOCKET s)
{
    static char bytes[STREAM];

    receive_all(s, bytes, STREAM);
    send_all(s, bytes, STREAM);
    finish(s);
}

/* A file of the length, which ends with its handle. */
static HANDLE new_file(DWORD length, unsigned seed)
{
    static char bytes[STREAM];
    char folder[MAX_PATH], path[MAX_PATH];
    HANDLE file;
    DWORD written;

    REQUIRE(GetTempPathA(sizeof(folder), folder) != 0 && GetTempFileNameA(folder, "exe", 0, path) != 0);
    file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL,
        CREATE_ALWAYS, FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL);
    REQUIRE(file != INVALID_HANDLE_VALUE);
    fill(bytes, length, seed);
    REQUIRE(WriteFile(file, bytes, length, &written, NULL) && written == length);
    REQUIRE(SetFilePointer(file, 0, NULL, FILE_BEGIN) == 0);
    return file;
}

static void transmit(SOCKET s)
{
    LPFN_TRANSMITFILE transmit_file = (LPFN_TRANSMITFILE)extension(s, (GUID)WSAID_TRANSMITFILE);
    HANDLE file = new_file(STREAM, 121);
    char head[100], tail[50];
    TRANSMIT_FILE_BUFFERS around = {head, sizeof(head), tail, sizeof(tail)};
    OVERLAPPED request = with_event();

    fill(head, sizeof(head), 122);
    fill(tail, sizeof(tail), 123);
    REQUIRE(transmit_file != NULL);
    /* It waits, since there is no request. */
    REQUIRE(transmit_file(s, file, 0, 0, NULL, &around, 0));
    /* Part of the file, as a request. */
    request.Offset = 1000;
    if (!transmit_file(s, file, 5000, 0, &request, NULL, 0))
        REQUIRE(WSAGetLastError() == ERROR_IO_PENDING);
    fact("bytes", result_of(s, &request));
    /* Buffers alone. */
    REQUIRE(transmit_file(s, NULL, 0, 0, NULL, &around, 0));
    hear(s);
    CloseHandle(file);
    finish(s);
}

static void receive_file(SOCKET s)
{
    static char bytes[STREAM], part[5000];

    receive_pattern(s, 100, 122);
    receive_pattern(s, STREAM, 121);
    receive_pattern(s, 50, 123);
    fill(bytes, STREAM, 121);
    receive_all(s, part, sizeof(part));
    REQUIRE(memcmp(part, bytes + 1000, sizeof(part)) == 0);
    receive_pattern(s, 100, 122);
    receive_pattern(s, 50, 123);
    say(s);
    finish(s);
}

/* The end of the stream with the end of the file. */
static void transmit_and_disconnect(SOCKET s)
{
    LPFN_TRANSMITFILE transmit_file = (LPFN_TRANSMITFILE)extension(s, (GUID)WSAID_TRANSMITFILE);
    HANDLE file = new_file(STREAM, 124);

    if (!transmit_file(s, file, 0, 0, NULL, NULL, TF_DISCONNECT)) {
        REQUIRE(WSAGetLastError() == WSAEOPNOTSUPP);
        lacks("TF_DISCONNECT");
        send_pattern(s, STREAM, 124);
    }
    CloseHandle(file);
    fact("bytes", STREAM);
    await_partner(s);
    drop(s);
}

static void receive_to_the_end(SOCKET s)
{
    char byte;

    receive_pattern(s, STREAM, 124);
    signal_partner(s);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    drop(s);
}

const struct scenario files[] = {
    {.name = "readfile_writefile", .tested = as_file, .partner = echo_stream},
    {.name = "transmitfile", .tested = transmit, .partner = receive_file},
    {.name = "transmitfile_disconnect", .tested = transmit_and_disconnect, .partner = receive_to_the_end},
    {.name = NULL},
};
