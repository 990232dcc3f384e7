/*
 * pending.c: operations that are pending while the connection comes to be noticed. Small messages go one way meanwhile, since
 * what came the other way would end them.
 */
#include "exerciser.h"

#include <string.h>

#define LENGTH 16
#define STREAMS 50
#define STREAM 20000

/* The partner of most: listens, answers, and sees that the connection is as good as before. */
static void answer(SOCKET s)
{
    listen_one_way(s);
    send_pattern(s, LENGTH, 140);
    make_small_talk(s, false);
    finish(s);
}

static void go_on(SOCKET s, const char *bytes)
{
    hash_fact("data", hash(bytes, LENGTH));
    make_small_talk(s, true);
    finish(s);
}

static void with_an_event(SOCKET s)
{
    char bytes[LENGTH];
    WSAOVERLAPPED request;

    post_receive(s, bytes, LENGTH, &request);
    talk_one_way(s);
    fact("bytes", result_of(s, &request));
    go_on(s, bytes);
}

static void two_receives(SOCKET s)
{
    char bytes[LENGTH];
    WSAOVERLAPPED requests[2];

    post_receive(s, bytes, LENGTH / 2, &requests[0]);
    post_receive(s, bytes + LENGTH / 2, LENGTH / 2, &requests[1]);
    talk_one_way(s);
    fact("first", result_of(s, &requests[0]));
    fact("second", result_of(s, &requests[1]));
    go_on(s, bytes);
}

static void with_a_port(SOCKET s)
{
    char bytes[LENGTH];
    WSAOVERLAPPED request = {0}, *told = NULL;
    HANDLE port = CreateIoCompletionPort((HANDLE)s, NULL, 7, 0);
    DWORD done;
    ULONG_PTR key;

    REQUIRE(start_receive(s, bytes, LENGTH, &request) == WSA_IO_PENDING);
    talk_one_way(s);
    REQUIRE(GetQueuedCompletionStatus(port, &done, &key, &told, PATIENCE) && told == &request && key == 7);
    fact("bytes", done);
    go_on(s, bytes);
    CloseHandle(port);
}

static DWORD routine_bytes;

static void CALLBACK completed(DWORD error, DWORD bytes, WSAOVERLAPPED *request, DWORD flags)
{
    (void)request, (void)flags;
    REQUIRE(error == 0);
    routine_bytes = bytes;
}

static void with_a_routine(SOCKET s)
{
    char bytes[LENGTH];
    WSABUF buffer = {LENGTH, bytes};
    WSAOVERLAPPED request = {0};
    DWORD flags = 0;

    routine_bytes = 0;
    REQUIRE(WSARecv(s, &buffer, 1, NULL, &flags, &request, completed) != 0 && WSAGetLastError() == WSA_IO_PENDING);
    talk_one_way(s);
    REQUIRE(SleepEx(PATIENCE, TRUE) == WAIT_IO_COMPLETION);
    fact("bytes", routine_bytes);
    go_on(s, bytes);
}

static void as_a_file(SOCKET s)
{
    char bytes[LENGTH];
    OVERLAPPED request = {.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
    DWORD done;

    REQUIRE(!ReadFile((HANDLE)s, bytes, LENGTH, NULL, &request) && GetLastError() == ERROR_IO_PENDING);
    talk_one_way(s);
    REQUIRE(GetOverlappedResult((HANDLE)s, &request, &done, TRUE));
    fact("bytes", done);
    CloseHandle(request.hEvent);
    go_on(s, bytes);
}

static void zero_bytes(SOCKET s)
{
    char bytes[LENGTH];
    WSAOVERLAPPED request;

    post_receive(s, NULL, 0, &request);
    talk_one_way(s);
    fact("bytes", result_of(s, &request));
    receive_all(s, bytes, LENGTH);
    go_on(s, bytes);
}

/* Other threads that wait. */
struct waiter {
    SOCKET s;
    char bytes[LENGTH];
};

static DWORD WINAPI in_recv(void *own)
{
    struct waiter *waiter = own;

    receive_all(waiter->s, waiter->bytes, LENGTH);
    return 0;
}

static DWORD WINAPI in_select(void *own)
{
    struct waiter *waiter = own;
    fd_set readable;

    FD_ZERO(&readable);
    FD_SET(waiter->s, &readable);
    REQUIRE(select(0, &readable, NULL, NULL, &(struct timeval){.tv_sec = TALK / 1000}) == 1);
    return in_recv(own);
}

static DWORD WINAPI in_poll(void *own)
{
    struct waiter *waiter = own;
    WSAPOLLFD one = {waiter->s, POLLIN, 0};

    REQUIRE(WSAPoll(&one, 1, TALK) == 1);
    return in_recv(own);
}

static void in_a_thread(SOCKET s, LPTHREAD_START_ROUTINE how)
{
    struct waiter waiter = {.s = s};
    HANDLE thread = CreateThread(NULL, 0, how, &waiter, 0, NULL);

    Sleep(20); /* It waits by now. */
    talk_one_way(s);
    REQUIRE(WaitForSingleObject(thread, PATIENCE) == WAIT_OBJECT_0);
    CloseHandle(thread);
    go_on(s, waiter.bytes);
}

static void thread_in_recv(SOCKET s)
{
    in_a_thread(s, in_recv);
}

static void thread_in_select(SOCKET s)
{
    in_a_thread(s, in_select);
}

static void thread_in_poll(SOCKET s)
{
    in_a_thread(s, in_poll);
}

/* An event of WSAEventSelect that was asked for before. */
static void selected_event(SOCKET s)
{
    char bytes[LENGTH];
    WSAEVENT event = WSACreateEvent();
    WSANETWORKEVENTS record;

    REQUIRE(WSAEventSelect(s, event, FD_READ | FD_CLOSE) == 0);
    talk_one_way(s);
    REQUIRE(WSAWaitForMultipleEvents(1, &event, FALSE, PATIENCE, FALSE) == WSA_WAIT_EVENT_0);
    REQUIRE(WSAEnumNetworkEvents(s, event, &record) == 0);
    fact("events", record.lNetworkEvents);
    REQUIRE(WSAEventSelect(s, NULL, 0) == 0);
    set_blocking(s, true);
    receive_all(s, bytes, LENGTH);
    WSACloseEvent(event);
    go_on(s, bytes);
}

/* Messages to a window. */
static void told_by_message(SOCKET s)
{
    char bytes[LENGTH];
    HWND window = CreateWindowA("STATIC", NULL, 0, 0, 0, 0, 0, HWND_MESSAGE, NULL, NULL, NULL);
    MSG message;

    REQUIRE(window != NULL && WSAAsyncSelect(s, window, WM_USER + 1, FD_READ | FD_CLOSE) == 0);
    talk_one_way(s);
    for (int round = 0; !PeekMessageA(&message, window, WM_USER + 1, WM_USER + 1, PM_REMOVE); round++) {
        REQUIRE(round < PATIENCE / 10);
        MsgWaitForMultipleObjects(0, NULL, FALSE, 10, QS_ALLINPUT);
    }
    fact("event", (long)message.lParam);
    REQUIRE(WSAAsyncSelect(s, window, 0, 0) == 0);
    set_blocking(s, true);
    receive_all(s, bytes, LENGTH);
    DestroyWindow(window);
    go_on(s, bytes);
}

static void cancelled(SOCKET s)
{
    char bytes[LENGTH];
    WSAOVERLAPPED request;
    DWORD done, flags;

    post_receive(s, bytes, LENGTH, &request);
    talk_one_way(s);
    say(s);
    REQUIRE(CancelIoEx((HANDLE)s, &request));
    REQUIRE(WaitForSingleObject(request.hEvent, PATIENCE) == WAIT_OBJECT_0);
    REQUIRE(!WSAGetOverlappedResult(s, &request, &done, FALSE, &flags));
    fact("error", WSAGetLastError());
    WSACloseEvent(request.hEvent);
    say(s);
    receive_all(s, bytes, LENGTH);
    go_on(s, bytes);
}

static void answer_later(SOCKET s)
{
    listen_one_way(s);
    hear(s);
    hear(s);
    send_pattern(s, LENGTH, 140);
    make_small_talk(s, false);
    finish(s);
}

static void ended(SOCKET s)
{
    char bytes[LENGTH];
    WSAOVERLAPPED request;

    post_receive(s, bytes, LENGTH, &request);
    talk_one_way(s);
    fact("bytes", result_of(s, &request));
    finish(s);
}

static void listen_and_end(SOCKET s)
{
    listen_one_way(s);
    finish(s);
}

static void closed(SOCKET s)
{
    char bytes[LENGTH];
    WSAOVERLAPPED request;

    post_receive(s, bytes, LENGTH, &request);
    talk_one_way(s);
    await_partner(s);
    drop(s);
    REQUIRE(WaitForSingleObject(request.hEvent, PATIENCE) == WAIT_OBJECT_0);
    fact("status", (long)request.Internal);
    WSACloseEvent(request.hEvent);
}

static void listen_and_see_end(SOCKET s)
{
    char byte;

    listen_one_way(s);
    signal_partner(s);
    REQUIRE(recv(s, &byte, 1, 0) == 0);
    drop(s);
}

/* A send for which there is no room, while messages come the other way. */
static void sending(SOCKET s)
{
    static char bytes[8][MEGABYTE];
    WSAOVERLAPPED requests[8];
    DWORD total = 0;

    for (unsigned i = 0; i < 8; i++) {
        fill(bytes[i], MEGABYTE, 150 + i);
        post_send(s, bytes[i], MEGABYTE, &requests[i]);
    }
    listen_one_way(s);
    for (int i = 0; i < 8; i++)
        total += result_of(s, &requests[i]);
    fact("bytes", total);
    finish(s);
}

static void talk_and_read(SOCKET s)
{
    talk_one_way(s);
    for (unsigned i = 0; i < 8; i++)
        receive_pattern(s, MEGABYTE, 150 + i);
    finish(s);
}

/* As event-driven programs do it: a receive is always pending, and what is done at once is not told. */
static void always_posted(SOCKET s)
{
    static char bytes[65536];
    HANDLE port = CreateIoCompletionPort((HANDLE)s, NULL, 7, 0);
    bool is_silent = SetFileCompletionNotificationModes((HANDLE)s, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS);
    long long total = 0;

    for (;;) {
        WSAOVERLAPPED request = {0}, *told = NULL;
        WSABUF buffer = {sizeof(bytes), bytes};
        DWORD done = 0, flags = 0;
        ULONG_PTR key;
        int code = WSARecv(s, &buffer, 1, &done, &flags, &request, NULL) == 0 ? 0 : WSAGetLastError();

        REQUIRE(code == 0 || code == WSA_IO_PENDING);
        if (code != 0 || !is_silent)
            REQUIRE(GetQueuedCompletionStatus(port, &done, &key, &told, PATIENCE) && told == &request);
        if (done == 0)
            break;
        total += done;
        buffer.len = done;
        REQUIRE(WSASend(s, &buffer, 1, &done, 0, NULL, NULL) == 0 && done == buffer.len);
    }
    REQUIRE(total > STREAMS * STREAM);
    finish(s);
    CloseHandle(port);
}

static void ask_and_stream(SOCKET s)
{
    make_small_talk(s, true);
    for (unsigned i = 0; i < STREAMS; i++) {
        send_pattern(s, STREAM, i);
        receive_pattern(s, STREAM, i);
    }
    finish(s);
}

const struct scenario pending[] = {
    {.name = "pending_event", .tested = with_an_event, .partner = answer, .cold = true},
    {.name = "pending_two_receives", .tested = two_receives, .partner = answer, .cold = true},
    {.name = "pending_port", .tested = with_a_port, .partner = answer, .cold = true},
    {.name = "pending_routine", .tested = with_a_routine, .partner = answer, .cold = true},
    {.name = "pending_readfile", .tested = as_a_file, .partner = answer, .cold = true},
    {.name = "pending_zero_bytes", .tested = zero_bytes, .partner = answer, .cold = true},
    {.name = "pending_recv", .tested = thread_in_recv, .partner = answer, .cold = true},
    {.name = "pending_select", .tested = thread_in_select, .partner = answer, .cold = true},
    {.name = "pending_wsapoll", .tested = thread_in_poll, .partner = answer, .cold = true},
    {.name = "pending_wsaeventselect", .tested = selected_event, .partner = answer, .cold = true},
    {.name = "pending_wsaasyncselect", .tested = told_by_message, .partner = answer, .cold = true},
    {.name = "pending_cancelioex", .tested = cancelled, .partner = answer_later, .cold = true},
    {.name = "pending_end_of_stream", .tested = ended, .partner = listen_and_end, .cold = true},
    {.name = "pending_closesocket", .tested = closed, .partner = listen_and_see_end, .cold = true},
    {.name = "pending_sends", .tested = sending, .partner = talk_and_read, .cold = true},
    {.name = "pending_always", .tested = always_posted, .partner = ask_and_stream, .cold = true},
    {.name = NULL},
};
