/* Before the sources of a program: its calls of Winsock become calls of the layer's table, as Winsock makes them. */
#ifndef SHIM_H
#define SHIM_H

#define _WIN32_WINNT 0x0602
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>

#define SHIM(result, name, ...) __declspec(dllexport) result shim_##name(__VA_ARGS__)

SHIM(int, WSAStartup, WORD version, WSADATA *data);
SHIM(SOCKET, socket, int family, int kind, int protocol);
SHIM(SOCKET, WSASocketW, int family, int kind, int protocol, WSAPROTOCOL_INFOW *info, GROUP group, DWORD flags);
SHIM(int, closesocket, SOCKET s);
SHIM(int, connect, SOCKET s, const struct sockaddr *name, int length);
SHIM(int, WSAConnect, SOCKET s, const struct sockaddr *name, int length, WSABUF *caller, WSABUF *callee, QOS *sqos, QOS *gqos);
SHIM(SOCKET, accept, SOCKET s, struct sockaddr *name, int *length);
SHIM(SOCKET, WSAAccept, SOCKET s, struct sockaddr *name, int *length, LPCONDITIONPROC condition, DWORD_PTR context);
SHIM(int, bind, SOCKET s, const struct sockaddr *name, int length);
SHIM(int, listen, SOCKET s, int backlog);
SHIM(int, getsockname, SOCKET s, struct sockaddr *name, int *length);
SHIM(int, getpeername, SOCKET s, struct sockaddr *name, int *length);
SHIM(int, send, SOCKET s, const char *data, int length, int flags);
SHIM(int, recv, SOCKET s, char *data, int length, int flags);
SHIM(int, WSASend, SOCKET s, WSABUF *buffers, DWORD count, DWORD *sent, DWORD flags, WSAOVERLAPPED *request,
     LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);
SHIM(int, WSARecv, SOCKET s, WSABUF *buffers, DWORD count, DWORD *received, DWORD *flags, WSAOVERLAPPED *request,
     LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);
SHIM(int, WSASendMsg, SOCKET s, WSAMSG *message, DWORD flags, DWORD *sent, WSAOVERLAPPED *request,
     LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);
SHIM(int, shutdown, SOCKET s, int how);
SHIM(int, select, int count, fd_set *reads, fd_set *writes, fd_set *errors, const struct timeval *limit);
SHIM(int, WSAPoll, WSAPOLLFD *sockets, ULONG count, int limit);
SHIM(int, setsockopt, SOCKET s, int level, int name, const char *value, int length);
SHIM(int, getsockopt, SOCKET s, int level, int name, char *value, int *length);
SHIM(int, ioctlsocket, SOCKET s, long command, u_long *argument);
SHIM(int, WSAIoctl, SOCKET s, DWORD code, void *in, DWORD in_length, void *out, DWORD out_length, DWORD *written,
     WSAOVERLAPPED *request, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);
SHIM(int, WSAEventSelect, SOCKET s, WSAEVENT event, long events);
SHIM(int, WSAEnumNetworkEvents, SOCKET s, WSAEVENT event, WSANETWORKEVENTS *events);
SHIM(int, WSAAsyncSelect, SOCKET s, HWND window, u_int message, long events);
SHIM(BOOL, WSAGetOverlappedResult, SOCKET s, WSAOVERLAPPED *request, DWORD *bytes, BOOL wait, DWORD *flags);
SHIM(int, WSADuplicateSocketW, SOCKET s, DWORD process, WSAPROTOCOL_INFOW *info);

#ifndef SHIM_ITSELF
#define WSAStartup shim_WSAStartup
#define socket(...) shim_socket(__VA_ARGS__)
#define WSASocketW shim_WSASocketW
#define closesocket shim_closesocket
#define connect(...) shim_connect(__VA_ARGS__)
#define WSAConnect shim_WSAConnect
#define accept(...) shim_accept(__VA_ARGS__)
#define WSAAccept shim_WSAAccept
#define bind(...) shim_bind(__VA_ARGS__)
#define listen(...) shim_listen(__VA_ARGS__)
#define getsockname shim_getsockname
#define getpeername shim_getpeername
#define send(...) shim_send(__VA_ARGS__)
#define recv(...) shim_recv(__VA_ARGS__)
#define WSASend shim_WSASend
#define WSARecv shim_WSARecv
#define WSASendMsg shim_WSASendMsg
#define shutdown(...) shim_shutdown(__VA_ARGS__)
#define select(...) shim_select(__VA_ARGS__)
#define WSAPoll shim_WSAPoll
#define setsockopt shim_setsockopt
#define getsockopt shim_getsockopt
#define ioctlsocket shim_ioctlsocket
#define WSAIoctl shim_WSAIoctl
#define WSAEventSelect shim_WSAEventSelect
#define WSAEnumNetworkEvents shim_WSAEnumNetworkEvents
#define WSAAsyncSelect shim_WSAAsyncSelect
#define WSAGetOverlappedResult shim_WSAGetOverlappedResult
#define WSADuplicateSocketW shim_WSADuplicateSocketW
#endif

#endif
