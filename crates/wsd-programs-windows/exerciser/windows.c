/*
 * windows.c: WSAAsyncSelect, which tells a window.
 */
#include "exerciser.h"

#define TOLD (WM_USER + 1)

static HWND new_window(void)
{
    HWND window = CreateWindowA("STATIC", NULL, 0, 0, 0, 0, 0, HWND_MESSAGE, NULL, NULL, NULL);

    REQUIRE(window != NULL);
    return window;
}

/* The next message about the socket: the event in the lower half, the error in the upper one. */
static long next(HWND window, SOCKET s, DWORD milliseconds)
{
    ULONGLONG end = GetTickCount64() + milliseconds;
    MSG message;

    while (!PeekMessageA(&message, window, TOLD, TOLD, PM_REMOVE)) {
        if (GetTickCount64() >= end)
            return 0;
        MsgWaitForMultipleObjects(0, NULL, FALSE, 10, QS_ALLINPUT);
    }
    REQUIRE((SOCKET)message.wParam == s);
    return (long)message.lParam;
}

static void told_by_messages(SOCKET s)
{
    HWND window = new_window();
    char bytes[100];

    REQUIRE(WSAAsyncSelect(s, window, TOLD, FD_READ | FD_WRITE | FD_CLOSE) == 0);
    fact("first", next(window, s, PATIENCE));
    REQUIRE_ERROR(recv(s, bytes, 1, 0), WSAEWOULDBLOCK);
    fact("nothing", next(window, s, SHORT));
    say(s);
    fact("data", next(window, s, PATIENCE));
    fact("once", next(window, s, SHORT));
    REQUIRE(recv(s, bytes, 50, 0) == 50);
    fact("rest", next(window, s, PATIENCE));
    REQUIRE(recv(s, bytes, 50, 0) == 50);
    fact("empty", next(window, s, SHORT));
    say(s);
    fact("end", next(window, s, PATIENCE));
    REQUIRE(WSAAsyncSelect(s, window, 0, 0) == 0);
    set_blocking(s, true);
    DestroyWindow(window);
    finish(s);
}

static void hundred_bytes(SOCKET s)
{
    hear(s);
    send_pattern(s, 100, 80);
    hear(s);
    finish(s);
}

const struct scenario windows[] = {
    {.name = "wsaasyncselect", .tested = told_by_messages, .partner = hundred_bytes},
    {.name = NULL},
};
