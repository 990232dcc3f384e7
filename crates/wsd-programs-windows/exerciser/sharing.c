/*
 * sharing.c: one connection under several handles and in several processes: DuplicateHandle, WSADuplicateSocket, handles
 * that a new process inherits, and processes that end.
 */
#include "exerciser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAM 100000
#define WITHOUT_SEND 3 /* Exit code of a child that had to write. */

HANDLE start_child(const char *words, HANDLE *input)
{
    char program[MAX_PATH], line[2 * MAX_PATH];
    SECURITY_ATTRIBUTES inherited = {sizeof(inherited), NULL, TRUE};
    STARTUPINFOA startup = {.cb = sizeof(startup), .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION process;

    REQUIRE(GetModuleFileNameA(NULL, program, sizeof(program)) != 0);
    snprintf(line, sizeof(line), "\"%s\" child %s", program, words);
    REQUIRE(CreatePipe(&startup.hStdInput, input, &inherited, 0));
    REQUIRE(SetHandleInformation(*input, HANDLE_FLAG_INHERIT, 0));
    startup.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    startup.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    REQUIRE(CreateProcessA(program, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &process));
    CloseHandle(startup.hStdInput);
    CloseHandle(process.hThread);
    return process.hProcess;
}

static void write_all(SOCKET s, const char *bytes, DWORD length)
{
    OVERLAPPED request = {.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
    DWORD done;

    if (!WriteFile((HANDLE)s, bytes, length, NULL, &request))
        REQUIRE(GetLastError() == ERROR_IO_PENDING);
    REQUIRE(GetOverlappedResult((HANDLE)s, &request, &done, TRUE) && done == length);
    CloseHandle(request.hEvent);
}

/* A socket that came here as a mere handle is sent on, received from and closed. False if it can only be written. */
static bool use(SOCKET s)
{
    static char bytes[STREAM];
    int sent;

    fill(bytes, STREAM, 130);
    sent = send(s, bytes, 1, 0);
    if (sent == 1) {
        send_all(s, bytes + 1, STREAM - 1);
        receive_pattern(s, STREAM, 131);
        drop(s);
        return true;
    }
    REQUIRE(WSAGetLastError() == WSAENOTSOCK);
    write_all(s, bytes, STREAM);
    receive_pattern(s, STREAM, 131);
    REQUIRE(CloseHandle((HANDLE)s));
    return false;
}

/* child inherited HANDLE; child given, and the protocol information on its standard input; child waits HANDLE, for a byte there. */
int be_child(int count, char **words)
{
    SOCKET s = INVALID_SOCKET;

    if (count == 2)
        s = (SOCKET)strtoull(words[1], NULL, 10);
    if (count == 1) {
        WSAPROTOCOL_INFOW info;
        DWORD done;

        REQUIRE(ReadFile(GetStdHandle(STD_INPUT_HANDLE), &info, sizeof(info), &done, NULL) && done == sizeof(info));
        s = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0, WSA_FLAG_OVERLAPPED);
        REQUIRE(s != INVALID_SOCKET);
    }
    if (strcmp(words[0], "waits") == 0) {
        char byte;
        DWORD done;

        REQUIRE(ReadFile(GetStdHandle(STD_INPUT_HANDLE), &byte, 1, &done, NULL) && done == 1);
        write_all(s, "!", 1);
        Sleep(INFINITE);
    }
    return use(s) ? 0 : WITHOUT_SEND;
}

static void wait_for(HANDLE process)
{
    DWORD code = 1;

    REQUIRE(WaitForSingleObject(process, 2 * PATIENCE) == WAIT_OBJECT_0);
    REQUIRE(GetExitCodeProcess(process, &code));
    REQUIRE(code == 0 || code == WITHOUT_SEND);
    if (code != 0)
        lacks("send");
    CloseHandle(process);
}

/* The connection is used here before and after the child uses it. */
static void around_child(SOCKET s, HANDLE process)
{
    wait_for(process);
    send_pattern(s, STREAM, 132);
    receive_pattern(s, STREAM, 133);
    fact("bytes", STREAM);
    finish(s);
}

static void partner_of_child(SOCKET s)
{
    receive_pattern(s, STREAM, 130);
    send_pattern(s, STREAM, 131);
    receive_pattern(s, STREAM, 132);
    send_pattern(s, STREAM, 133);
    finish(s);
}

static void inherited(SOCKET s)
{
    char words[64];
    HANDLE input, process;

    REQUIRE(SetHandleInformation((HANDLE)s, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT));
    snprintf(words, sizeof(words), "inherited %llu", (unsigned long long)s);
    process = start_child(words, &input);
    CloseHandle(input);
    around_child(s, process);
}

static void given(SOCKET s)
{
    WSAPROTOCOL_INFOW info;
    HANDLE input, process = start_child("given", &input);
    DWORD done;

    REQUIRE(WSADuplicateSocketW(s, GetProcessId(process), &info) == 0);
    REQUIRE(WriteFile(input, &info, sizeof(info), &done, NULL) && done == sizeof(info));
    CloseHandle(input);
    around_child(s, process);
}

/* Given away for good: the giver closes at once, the child goes on. */
static void given_away(SOCKET s)
{
    WSAPROTOCOL_INFOW info;
    HANDLE input, process = start_child("given", &input);
    DWORD done;

    REQUIRE(WSADuplicateSocketW(s, GetProcessId(process), &info) == 0);
    REQUIRE(WriteFile(input, &info, sizeof(info), &done, NULL) && done == sizeof(info));
    CloseHandle(input);
    signal_partner(s);
    wait_for(process);
    drop(s);
}

static void partner_of_given(SOCKET s)
{
    char byte;

    await_partner(s);
    receive_pattern(s, STREAM, 130);
    send_pattern(s, STREAM, 131);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    drop(s);
}

/* WSADuplicateSocket for this very process. */
static void given_to_itself(SOCKET s)
{
    WSAPROTOCOL_INFOW info;
    SOCKET other;

    REQUIRE(WSADuplicateSocketW(s, GetCurrentProcessId(), &info) == 0);
    other = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0, WSA_FLAG_OVERLAPPED);
    REQUIRE(other != INVALID_SOCKET && other != s);
    send_pattern(s, STREAM, 130);
    drop(s);
    receive_pattern(other, STREAM, 131);
    send_pattern(other, STREAM, 132);
    receive_pattern(other, STREAM, 133);
    REQUIRE_ERROR(send(s, "x", 1, 0), WSAENOTSOCK);
    finish(other);
}

static void duplicated_handle(SOCKET s)
{
    HANDLE other, own = GetCurrentProcess();

    REQUIRE(DuplicateHandle(own, (HANDLE)s, own, &other, 0, FALSE, DUPLICATE_SAME_ACCESS));
    if (!use((SOCKET)other))
        lacks("send");
    send_pattern(s, STREAM, 132);
    receive_pattern(s, STREAM, 133);
    finish(s);
}

/* The process at the other end is ended from outside: what it had sent is read, then a reset or the end. */
static void see_death(SOCKET s)
{
    char byte;
    int got;

    hear(s);
    hear(s);
    signal_partner(s);
    got = recv(s, &byte, 1, 0);
    fact("received", got == SOCKET_ERROR ? -WSAGetLastError() : got);
    drop(s);
}

static void die(SOCKET s)
{
    char words[64];
    HANDLE input, process;
    DWORD done;

    REQUIRE(SetHandleInformation((HANDLE)s, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT));
    snprintf(words, sizeof(words), "waits %llu", (unsigned long long)s);
    process = start_child(words, &input);
    say(s);
    /* Not before: a WriteFile that comes while something is sent never ends under Wine 8. */
    REQUIRE(WriteFile(input, "!", 1, &done, NULL) && done == 1);
    await_partner(s);
    drop(s); /* The child has it still. */
    REQUIRE(TerminateProcess(process, 1));
    CloseHandle(process);
    CloseHandle(input);
}

const struct scenario sharing[] = {
    {.name = "inherited_handle", .tested = inherited, .partner = partner_of_child},
    {.name = "wsaduplicatesocket", .tested = given, .partner = partner_of_child},
    {.name = "wsaduplicatesocket_given_away", .tested = given_away, .partner = partner_of_given},
    {.name = "wsaduplicatesocket_same_process", .tested = given_to_itself, .partner = partner_of_child},
    {.name = "duplicatehandle", .tested = duplicated_handle, .partner = partner_of_child},
    {.name = "process_ends", .tested = see_death, .partner = die},
    {.name = NULL},
};
