/*
 * ws2san.h: what Windows Sockets Direct adds to ws2spi.h, and the optional extension functions of this project.
 *
 * A SAN provider exports one function, WSPStartupEx, with default visibility. Its extension functions are asked for
 * with WSPIoctl(SIO_GET_EXTENSION_FUNCTION_POINTER) and an identifier: WSAEOPNOTSUPP says that it does not have one.
 */
#ifndef WSDIRECT_WS2SAN_H
#define WSDIRECT_WS2SAN_H

#include "ws2spi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Access to registered memory. */
/* Registered memory may be read: locally by the provider, or remotely by the peer (SP-110, SP-121). */
#define MEM_READ 1u
/* Registered memory may be written: locally by the provider, or remotely by the peer (SP-110, SP-121). */
#define MEM_WRITE 2u
#define MEM_READWRITE 3u /* Registered memory may be read and written. */

/* A data buffer with the handle of its registration (SP-133). */
typedef struct _WSABUFEX {
    uint32_t len; /* Length in bytes. */
    char *buf; /* Start. */
    HANDLE handle; /* Handle from WSPRegisterMemory. */
} WSABUFEX;

typedef WSABUFEX *LPWSABUFEX;

/* Completes a notified request (SP-181): 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWPUCOMPLETEOVERLAPPEDREQUEST)(
    SOCKET s, LPWSAOVERLAPPED lpOverlapped, DWORD dwError, DWORD cbTransferred, LPINT lpErrno);

/* The table passed by pointer to WSPStartupEx; the provider copies it (SP-003). */
typedef struct _WSPUPCALLTABLEEX {
    LPWPUCLOSEEVENT lpWPUCloseEvent; /* Unused. */
    /* The last up-call for a handle, once per handle: 0 or SOCKET_ERROR. */
    LPWPUCLOSESOCKETHANDLE lpWPUCloseSocketHandle;
    LPWPUCREATEEVENT lpWPUCreateEvent; /* Unused. */
    /* Makes the switch's handle of a socket: the handle or INVALID_SOCKET. */
    LPWPUCREATESOCKETHANDLE lpWPUCreateSocketHandle;
    LPWPUFDISSET lpWPUFDIsSet; /* Unused. */
    LPWPUGETPROVIDERPATH lpWPUGetProviderPath; /* Unused. */
    LPWPUMODIFYIFSHANDLE lpWPUModifyIFSHandle; /* Unused. */
    LPWPUPOSTMESSAGE lpWPUPostMessage; /* Unused. */
    LPWPUQUERYBLOCKINGCALLBACK lpWPUQueryBlockingCallback; /* Unused. */
    /* The context given when the handle was made: 0 or SOCKET_ERROR. */
    LPWPUQUERYSOCKETHANDLECONTEXT lpWPUQuerySocketHandleContext;
    LPWPUQUEUEAPC lpWPUQueueApc; /* Unused. */
    LPWPURESETEVENT lpWPUResetEvent; /* Resets an event of WSPEventSelect: TRUE or FALSE. */
    LPWPUSETEVENT lpWPUSetEvent; /* Sets an event of WSPEventSelect: TRUE or FALSE. */
    LPWPUOPENCURRENTTHREAD lpWPUOpenCurrentThread; /* Unused. */
    LPWPUCLOSETHREAD lpWPUCloseThread; /* Unused. */
    /* Completes a notified request (SP-181): 0 or SOCKET_ERROR. */
    LPWPUCOMPLETEOVERLAPPEDREQUEST lpWPUCompleteOverlappedRequest;
} WSPUPCALLTABLEEX;

typedef WSPUPCALLTABLEEX *LPWSPUPCALLTABLEEX;

/* The one entry that a SAN provider exports (section 1.1, 6.1): 0 or the error code. */
typedef int (WSPAPI *LPWSPSTARTUPEX)(
    WORD wVersionRequested, LPWSPDATA lpWSPData, LPWSAPROTOCOL_INFOW lpProtocolInfo,
    WSPUPCALLTABLEEX *lpUpcallTable, WSPPROC_TABLE *lpProcTable);

/* The one entry of a provider: a provider defines it, a switch looks it up. */
int WSPAPI WSPStartupEx(WORD wVersionRequested, LPWSPDATA lpWSPData, LPWSAPROTOCOL_INFOW lpProtocolInfo,
    LPWSPUPCALLTABLEEX lpUpcallTable, LPWSPPROC_TABLE lpProcTable);

/* Extension functions of Windows Sockets Direct (section 4). */

/* Identifier of WSPRegisterMemory. */
#define WSAID_REGISTERMEMORY \
    {0xc0b422f5, 0xf58c, 0x11d1, {0xad, 0x6c, 0x00, 0xc0, 0x4f, 0xa3, 0x4a, 0x2d}}
/* Identifier of WSPDeregisterMemory. */
#define WSAID_DEREGISTERMEMORY \
    {0xc0b422f6, 0xf58c, 0x11d1, {0xad, 0x6c, 0x00, 0xc0, 0x4f, 0xa3, 0x4a, 0x2d}}
/* Identifier of WSPRegisterRdmaMemory. */
#define WSAID_REGISTERRDMAMEMORY \
    {0xc0b422f7, 0xf58c, 0x11d1, {0xad, 0x6c, 0x00, 0xc0, 0x4f, 0xa3, 0x4a, 0x2d}}
/* Identifier of WSPDeregisterRdmaMemory. */
#define WSAID_DEREGISTERRDMAMEMORY \
    {0xc0b422f8, 0xf58c, 0x11d1, {0xad, 0x6c, 0x00, 0xc0, 0x4f, 0xa3, 0x4a, 0x2d}}
/* Identifier of WSPRdmaWrite. */
#define WSAID_RDMAWRITE \
    {0xc0b422f9, 0xf58c, 0x11d1, {0xad, 0x6c, 0x00, 0xc0, 0x4f, 0xa3, 0x4a, 0x2d}}
/* Identifier of WSPRdmaRead, which is optional. */
#define WSAID_RDMAREAD \
    {0xc0b422fa, 0xf58c, 0x11d1, {0xad, 0x6c, 0x00, 0xc0, 0x4f, 0xa3, 0x4a, 0x2d}}
/* Identifier of WSPMemoryRegistrationCacheCallback, required of providers that cache (SP-161). */
#define WSAID_MEMORYREGISTRATIONCACHECALLBACK \
    {0xe5da4af8, 0xd824, 0x48cd, {0xa7, 0x99, 0x63, 0x37, 0xa9, 0x8e, 0xd2, 0xaf}}
/* Identifier of TransmitFile, answered by the switch itself and never forwarded. */
#define WSAID_TRANSMITFILE \
    {0xb5367df0, 0xcbac, 0x11cf, {0x95, 0xca, 0x00, 0x80, 0x5f, 0x48, 0xa1, 0x92}}
/* Identifier of AcceptEx, answered by the switch itself and never forwarded. */
#define WSAID_ACCEPTEX \
    {0xb5367df1, 0xcbac, 0x11cf, {0x95, 0xca, 0x00, 0x80, 0x5f, 0x48, 0xa1, 0x92}}
/* Identifier of GetAcceptExSockaddrs, answered by the switch itself and never forwarded. */
#define WSAID_GETACCEPTEXSOCKADDRS \
    {0xb5367df2, 0xcbac, 0x11cf, {0x95, 0xca, 0x00, 0x80, 0x5f, 0x48, 0xa1, 0x92}}

/* Section 6.16: the handle, or NULL. */
typedef HANDLE (WSPAPI *LPFN_WSPREGISTERMEMORY)(
    SOCKET s, void *lpBuffer, DWORD dwBufferLength, DWORD dwFlags, LPINT lpErrno);

/* Section 6.16: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPFN_WSPDEREGISTERMEMORY)(SOCKET s, HANDLE handle, LPINT lpErrno);

/* Section 6.17: 0 or SOCKET_ERROR (the Windows header says BOOL, which is a slip; section 12, row 4). */
typedef int (WSPAPI *LPFN_WSPREGISTERRDMAMEMORY)(
    SOCKET s, void *lpBuffer, DWORD dwBufferLength, DWORD dwFlags, LPVOID lpRdmaBufferDescriptor,
    LPDWORD lpdwDescriptorLength, LPINT lpErrno);

/* Section 6.17: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPFN_WSPDEREGISTERRDMAMEMORY)(
    SOCKET s, LPVOID lpRdmaBufferDescriptor, DWORD dwDescriptorLength, LPINT lpErrno);

/* Section 6.18: 0 or SOCKET_ERROR, as a rule with WSA_IO_PENDING. */
typedef int (WSPAPI *LPFN_WSPRDMAWRITE)(
    SOCKET s, LPWSABUFEX lpBuffers, DWORD dwBufferCount, LPVOID lpTargetBufferDescriptor,
    DWORD dwTargetDescriptorLength, DWORD dwTargetBufferOffset, LPDWORD lpdwNumberOfBytesWritten,
    DWORD dwFlags, LPWSAOVERLAPPED lpOverlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine,
    LPWSATHREADID lpThreadId, LPINT lpErrno);

/* Section 6.20: 0 or SOCKET_ERROR. Process-wide, without a socket. */
typedef int (WSPAPI *LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK)(LPVOID lpvAddress, SIZE_T Size, LPINT lpErrno);

/* Section 6.18: as WSPRdmaWrite. */
typedef LPFN_WSPRDMAWRITE LPFN_WSPRDMAREAD;

/*
 * Optional extension functions of this project.
 *
 * Shared memory: WsdAllocate gives memory that the peer of a connection can see; its descriptor, opaque bytes, is
 * carried to the peer by the switch; there WsdMap turns it into a local pointer to the same memory. Allocated and
 * mapped memory are valid until given back with WsdFree or WsdUnmap, or until WSPCloseSocket of the own socket, also
 * after the peer died. After that the address range is never returned to the operating system before the last
 * WSPCleanup: a stray read sees unrelated bytes or zeros, never a fault.
 *
 * Progress without threads: after the first successful WsdArm the provider runs no thread of its own. The switch calls
 * WsdProgress, as often as it likes, and WsdArm before it sleeps. WsdArm gives a file descriptor that is readable
 * (level-triggered) as soon as WsdProgress has something to do, until that is called.
 *
 * All return 0 or SOCKET_ERROR.
 */

/* Identifier of WsdAllocate. */
#define WSAID_WSDALLOCATE \
    {0x5e7da5f6, 0x1eae, 0x4f9f, {0xaa, 0x0c, 0x3e, 0xfc, 0xa7, 0xab, 0xc8, 0xea}}
/* Identifier of WsdFree. */
#define WSAID_WSDFREE \
    {0x1f9bdabf, 0x3e08, 0x4728, {0xb9, 0x34, 0x8b, 0x30, 0x76, 0x4a, 0x34, 0x38}}
/* Identifier of WsdMap. */
#define WSAID_WSDMAP \
    {0xc4584a19, 0x1034, 0x4575, {0xbb, 0x01, 0xf2, 0x0d, 0x73, 0x01, 0x59, 0x39}}
/* Identifier of WsdUnmap. */
#define WSAID_WSDUNMAP \
    {0xfa6579d3, 0x2e0e, 0x48e2, {0xaf, 0x30, 0x79, 0x00, 0x61, 0x8c, 0x07, 0x9d}}
/* Identifier of WsdArm. */
#define WSAID_WSDARM \
    {0xb5b4c773, 0x9af9, 0x4ad0, {0xb3, 0x00, 0x38, 0x83, 0x6a, 0x61, 0xab, 0x6b}}
/* Identifier of WsdProgress. */
#define WSAID_WSDPROGRESS \
    {0xb0d63963, 0xdc77, 0x4366, {0x93, 0x71, 0xa5, 0xf2, 0xe1, 0xf8, 0x0b, 0x92}}

/* WsdAllocate: memory of at least dwLength bytes, page-aligned, contents unspecified, that the peer connected
 * to s can map. *lplpBuffer receives its address, lpDescriptor its descriptor; the descriptor's length is
 * probed as for WSPRegisterRdmaMemory (SP-120): too short, and the answer is WSAEFAULT with the needed length
 * in *lpdwDescriptorLength, before anything else is looked at. */
typedef int (WSPAPI *LPFN_WSDALLOCATE)(
    SOCKET s, DWORD dwLength, LPVOID *lplpBuffer, LPVOID lpDescriptor, LPDWORD lpdwDescriptorLength,
    LPINT lpErrno);

/* WsdFree: gives memory of WsdAllocate back. WSAEINVAL if lpBuffer did not come from there on this socket. */
typedef int (WSPAPI *LPFN_WSDFREE)(SOCKET s, LPVOID lpBuffer, LPINT lpErrno);

/* WsdMap: the peer's allocated memory as a local pointer, with its length in bytes. WSAEINVAL for a
 * descriptor that is not of this connection's peer. */
typedef int (WSPAPI *LPFN_WSDMAP)(
    SOCKET s, LPVOID lpDescriptor, DWORD dwDescriptorLength, LPVOID *lplpBuffer, LPDWORD lpdwLength,
    LPINT lpErrno);

/* WsdUnmap: ends a mapping. WSAEINVAL if lpBuffer did not come from WsdMap on this socket. */
typedef int (WSPAPI *LPFN_WSDUNMAP)(SOCKET s, LPVOID lpBuffer, LPINT lpErrno);

/* WsdArm: process-wide, before every sleep. Stores a pollable file descriptor, always the same, owned by the provider
 * until the last WSPCleanup, that is readable as soon as WsdProgress has something to do, until that is called. */
typedef int (WSPAPI *LPFN_WSDARM)(LPINT lpDescriptor, LPINT lpErrno);

/* WsdProgress: process-wide. Does what is to do (accepts, arrivals, completions, up-calls on the calling
 * thread) and never blocks. */
typedef int (WSPAPI *LPFN_WSDPROGRESS)(LPINT lpErrno);

#ifdef __cplusplus
}
#endif

#endif
