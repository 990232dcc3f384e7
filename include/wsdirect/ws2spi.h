/*
 * ws2spi.h: the Windows Sockets service provider interface for Linux: for SAN providers, and for
 * programs that are written to the interface (libwsd_wsp.so).
 *
 * Widths are those of 64-bit Windows: int, LONG, DWORD and BOOL have 32 bits, SOCKET and handles have the size of a
 * pointer, WCHAR has 16 bits; never use C's long or wchar_t in their place. Names are those of the Windows headers,
 * except that a name which Linux's own headers use for something has the prefix WS_ (WS_AF_INET6 is 23, not 10), so
 * that both can be included. Only 64-bit targets are supported.
 *
 * Every function writes an error code to *lpErrno when, and only when, it returns its failure value; WSPStartupEx
 * returns the code itself. "Section" and "SP-nnn" refer to the SPI reference of the project.
 */
#ifndef WSDIRECT_WS2SPI_H
#define WSDIRECT_WS2SPI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Calling convention: C's own on every 64-bit target. */
#define WSPAPI
#define WSAAPI
#define CALLBACK

typedef uint16_t WORD;
typedef uint32_t DWORD;
typedef int INT;
typedef int32_t LONG;
typedef uint32_t UINT;
typedef int BOOL; /* 0 is false, everything else is true (SP-098) */
typedef uint16_t WCHAR; /* UTF-16 code unit */
typedef uint32_t GROUP;
typedef uintptr_t SOCKET; /* the switch's or the provider's descriptor, never to be mixed (SP-011) */
typedef void *HANDLE;
/*
 * Event object of the switch. There is no Win32 SetEvent on Linux: a provider may only pass the handle to WPUSetEvent
 * and WPUResetEvent of the up-call table that it got at WSPStartupEx, and never closes it.
 */
typedef HANDLE WSAEVENT;
typedef uintptr_t DWORD_PTR;
typedef uintptr_t ULONG_PTR;
typedef size_t SIZE_T;
typedef HANDLE HWND;
typedef uintptr_t WPARAM;
typedef intptr_t LPARAM;
typedef void *LPVOID;
typedef INT *LPINT;
typedef DWORD *LPDWORD;
typedef DWORD_PTR *PDWORD_PTR;
typedef char *LPSTR;
typedef const char *LPCSTR;
typedef WCHAR *LPWSTR;

#define INVALID_SOCKET ((SOCKET)~(SOCKET)0)
#define SOCKET_ERROR (-1)
#define WSA_INVALID_EVENT ((WSAEVENT)0)
#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif

/* Constants whose names the Linux headers do not use. */
/* Family, type or protocol of WSPSocket: what the WSAPROTOCOL_INFOW says. */
#define FROM_PROTOCOL_INFO (-1)
#define JL_SENDER_ONLY 0x01u /* WSPJoinLeaf: only send to the group. */
#define JL_RECEIVER_ONLY 0x02u /* WSPJoinLeaf: only receive what is sent to the group. */
#define JL_BOTH 0x04u /* WSPJoinLeaf: send and receive. */
#define TF_DISCONNECT 0x01u /* TransmitFile: shut the connection down when all is sent. */
#define TF_REUSE_SOCKET 0x02u /* TransmitFile: make the descriptor ready for another connection. */
#define TF_WRITE_BEHIND 0x04u /* TransmitFile: may complete when all is handed to the transport. */
#define SD_RECEIVE 0 /* Stop receiving. */
#define SD_SEND 1 /* Stop sending. */
#define SD_BOTH 2 /* Stop both. */
#define MAX_PROTOCOL_CHAIN 7 /* Entries of a protocol chain. */
#define WSAPROTOCOL_LEN 255 /* Characters of a protocol name, without the NUL. */
#define WSPDESCRIPTION_LEN 255 /* Characters of a provider description, without the NUL. */
#define BASE_PROTOCOL 1 /* Chain length of a base provider. */
#define LAYERED_PROTOCOL 0 /* Chain length of a layered provider. */
#define BIGENDIAN 0 /* Network byte order of the protocol is big-endian. */
#define LITTLEENDIAN 1 /* Network byte order of the protocol is little-endian. */
#define SECURITY_PROTOCOL_NONE 0 /* No security scheme. */
#define CF_ACCEPT 0 /* Condition function: take the connection. */
#define CF_REJECT 1 /* Condition function: refuse it. */
#define CF_DEFER 2 /* Condition function: ask again later. */
#define WSA_FLAG_OVERLAPPED 0x01u /* Socket flag: overlapped operations; always passed by the switch. */
#define WSA_FLAG_MULTIPOINT_C_ROOT 0x02u /* Socket flag, unused. */
#define WSA_FLAG_MULTIPOINT_C_LEAF 0x04u /* Socket flag, unused. */
#define WSA_FLAG_MULTIPOINT_D_ROOT 0x08u /* Socket flag, unused. */
#define WSA_FLAG_MULTIPOINT_D_LEAF 0x10u /* Socket flag, unused. */
#define WSA_FLAG_ACCESS_SYSTEM_SECURITY 0x40u /* Socket flag, unused. */
#define WSA_FLAG_NO_HANDLE_INHERIT 0x80u /* Socket flag, unused. */
#define WSA_FLAG_REGISTERED_IO 0x100u /* Socket flag, unused. */
/* Value of WSAOVERLAPPED::Internal while the operation is pending (SP-086, SP-183). */
#define WSS_OPERATION_IN_PROGRESS 0x103

/* Constants whose names the Linux headers use too, some of them with other values. */
#define WS_AF_UNSPEC 0 /* Unspecified address family. */
#define WS_AF_INET 2 /* IPv4. */
#define WS_AF_INET6 23 /* IPv6 (23 in the SPI, unlike Linux). */
#define WS_SOCK_STREAM 1 /* Stream socket. */
#define WS_SOCK_DGRAM 2 /* Datagram socket. */
#define WS_SOCK_RAW 3 /* Raw socket. */
#define WS_IPPROTO_TCP 6 /* TCP, also the option level of TCP_NODELAY. */
#define WS_IPPROTO_UDP 17 /* UDP. */
#define WS_IPPROTO_IPV6 41 /* IPv6, also the option level of IPV6_V6ONLY. */
#define WS_FD_SETSIZE 64 /* Sockets of one WS_FD_SET as declared. */
#define WS_SOMAXCONN 0x7FFFFFFF /* Backlog: the provider's own reasonable maximum (SP-070). */
#define WS_MSG_OOB 0x1u /* Urgent data. */
#define WS_MSG_PEEK 0x2u /* Look without taking. */
#define WS_MSG_DONTROUTE 0x4u /* Do not route. */
#define WS_MSG_WAITALL 0x8u /* Wait for the whole length. */
#define WS_MSG_INTERRUPT 0x10u /* Send from interrupt context. */
#define WS_MSG_PUSH_IMMEDIATE 0x20u /* Do not delay completion of a receive. */
#define WS_MSG_PARTIAL 0x8000u /* Part of a message. */

/* Network events: masks, and their indexes in `WSANETWORKEVENTS::iErrorCode`. */
#define FD_READ_BIT 0 /* Index of FD_READ. */
#define FD_READ 0x001 /* Data to read. */
#define FD_WRITE_BIT 1 /* Index of FD_WRITE. */
#define FD_WRITE 0x002 /* Room to write. */
#define FD_OOB_BIT 2 /* Index of FD_OOB. */
#define FD_OOB 0x004 /* Urgent data. */
#define FD_ACCEPT_BIT 3 /* Index of FD_ACCEPT. */
#define FD_ACCEPT 0x008 /* A connection request is queued. */
#define FD_CONNECT_BIT 4 /* Index of FD_CONNECT. */
#define FD_CONNECT 0x010 /* A connect has finished. */
#define FD_CLOSE_BIT 5 /* Index of FD_CLOSE. */
#define FD_CLOSE 0x020 /* The peer has closed. */
#define FD_QOS_BIT 6 /* Index of FD_QOS. */
#define FD_QOS 0x040 /* Quality of service has changed. */
#define FD_GROUP_QOS_BIT 7 /* Index of FD_GROUP_QOS. */
#define FD_GROUP_QOS 0x080 /* Quality of service of the group has changed. */
#define FD_ROUTING_INTERFACE_CHANGE_BIT 8 /* Index of FD_ROUTING_INTERFACE_CHANGE. */
#define FD_ROUTING_INTERFACE_CHANGE 0x100 /* Routing has changed. */
#define FD_ADDRESS_LIST_CHANGE_BIT 9 /* Index of FD_ADDRESS_LIST_CHANGE. */
#define FD_ADDRESS_LIST_CHANGE 0x200 /* The address list has changed. */
#define FD_MAX_EVENTS 10 /* Number of events. */
#define FD_ALL_EVENTS 0x3FF /* All events. */

/* Flags of `WSAPROTOCOL_INFOW`. */
#define PFL_MULTIPLE_PROTO_ENTRIES 0x01u /* One of several entries of the protocol. */
#define PFL_RECOMMENDED_PROTO_ENTRY 0x02u /* The recommended one among them. */
#define PFL_HIDDEN 0x04u /* Not shown to programs; set for SAN providers (SP-024). */
#define PFL_MATCHES_PROTOCOL_ZERO 0x08u /* Serves protocol number 0. */
#define PFL_NETWORKDIRECT_PROVIDER 0x10u /* A NetworkDirect provider. */
#define XP1_CONNECTIONLESS 0x1u /* Connectionless. */
#define XP1_GUARANTEED_DELIVERY 0x2u /* Nothing is lost. */
#define XP1_GUARANTEED_ORDER 0x4u /* Nothing is reordered. */
#define XP1_MESSAGE_ORIENTED 0x8u /* Message boundaries are kept. */
#define XP1_PSEUDO_STREAM 0x10u /* Messages that may be read as a stream. */
#define XP1_GRACEFUL_CLOSE 0x20u /* Graceful close. */
#define XP1_EXPEDITED_DATA 0x40u /* Urgent data. */
#define XP1_CONNECT_DATA 0x80u /* Data with connect. */
#define XP1_DISCONNECT_DATA 0x100u /* Data with disconnect. */
#define XP1_SUPPORT_BROADCAST 0x200u /* Broadcast. */
#define XP1_SUPPORT_MULTIPOINT 0x400u /* Multipoint. */
#define XP1_MULTIPOINT_CONTROL_PLANE 0x800u /* Multipoint control plane is rooted. */
#define XP1_MULTIPOINT_DATA_PLANE 0x1000u /* Multipoint data plane is rooted. */
#define XP1_QOS_SUPPORTED 0x2000u /* Quality of service (SP-190). */
#define XP1_INTERRUPT 0x4000u /* Reserved. */
#define XP1_UNI_SEND 0x8000u /* Send only. */
#define XP1_UNI_RECV 0x10000u /* Receive only. */
#define XP1_IFS_HANDLES 0x20000u /* Descriptors are handles of the operating system. */
#define XP1_PARTIAL_MESSAGE 0x40000u /* Partial messages. */
#define XP1_SAN_SUPPORT_SDP 0x80000u /* The SAN speaks SDP. */

/* Options whose names Linux uses too. */
#define WS_SOL_SOCKET 0xFFFF /* Level of all options but TCP_NODELAY. */
#define WS_SO_DEBUG 0x0001 /* Debug output; BOOL. */
#define WS_SO_ACCEPTCONN 0x0002 /* Listening; BOOL. */
#define WS_SO_REUSEADDR 0x0004 /* Reuse of addresses; BOOL. */
#define WS_SO_KEEPALIVE 0x0008 /* Keep-alive; BOOL. */
#define WS_SO_DONTROUTE 0x0010 /* Do not route; BOOL. */
#define WS_SO_BROADCAST 0x0020 /* Broadcast; BOOL. */
#define WS_SO_LINGER 0x0080 /* Linger at close; LINGER. */
#define WS_SO_OOBINLINE 0x0100 /* Urgent data in line; BOOL. */
#define WS_SO_SNDBUF 0x1001 /* Send buffer in bytes; int. */
#define WS_SO_RCVBUF 0x1002 /* Receive buffer in bytes; int. */
#define WS_SO_SNDTIMEO 0x1005 /* Send time-out in milliseconds; int. */
#define WS_SO_RCVTIMEO 0x1006 /* Receive time-out in milliseconds; int. */
#define WS_SO_ERROR 0x1007 /* Pending error; int. */
#define WS_SO_TYPE 0x1008 /* Socket type; int. */
#define WS_TCP_NODELAY 0x0001 /* Level IPPROTO_TCP: no delay; BOOL. */
#define WS_IPV6_V6ONLY 27 /* Level IPPROTO_IPV6: no IPv4 on this socket, on unless cleared; BOOL. */

/* Options that only Winsock knows. */
#define SO_DONTLINGER ((int)~0x80) /* No linger at close; BOOL. */
#define SO_EXCLUSIVEADDRUSE ((int)~0x04) /* Exclusive use of the address; BOOL. */
#define SO_GROUP_ID 0x2001 /* Group of the socket; GROUP. Sent to SAN providers with quality of service only. */
/* Priority within the group; int. Sent to SAN providers with quality of service only. */
#define SO_GROUP_PRIORITY 0x2002
#define SO_MAX_MSG_SIZE 0x2003 /* Longest message of one WSPSend in bytes; u32. Sent to SAN providers. */
#define SO_PROTOCOL_INFOW 0x2005 /* The protocol's WSAPROTOCOL_INFOW. */
#define SO_CONDITIONAL_ACCEPT 0x3002 /* The condition function decides before the handshake ends; BOOL. */
#define SO_UPDATE_ACCEPT_CONTEXT 0x700B /* Socket of the listener; SOCKET. */
#define SO_CONNECT_TIME 0x700C /* Seconds since the connect; DWORD. */
#define SO_MAX_RDMA_SIZE 0x700D /* Longest RDMA operation in bytes; u32. Sent to SAN providers. */
#define SO_RDMA_THRESHOLD_SIZE 0x700E /* Above this many bytes RDMA pays; u32. Sent to SAN providers. */
#define SO_UPDATE_CONNECT_CONTEXT 0x7010 /* Make a ConnectEx socket a full one; no value. */

/* Control codes whose names only Winsock uses. */
#define IOC_WS2 0x08000000u /* Class: Winsock 2. */
#define IOC_VENDOR 0x18000000u /* Class: vendor. */
#define SIO_ASSOCIATE_HANDLE 0x88000001u /* Unused by SAN providers. */
#define SIO_ENABLE_CIRCULAR_QUEUEING 0x28000002u /* Unused by SAN providers. */
#define SIO_FIND_ROUTE 0x48000003u /* Unused by SAN providers. */
#define SIO_FLUSH 0x28000004u /* Unused by SAN providers. */
#define SIO_GET_BROADCAST_ADDRESS 0x48000005u /* Unused by SAN providers. */
#define SIO_GET_EXTENSION_FUNCTION_POINTER 0xC8000006u /* GUID in, function pointer out (SP-100). */
#define SIO_GET_QOS 0xC8000007u /* Quality of service of the socket. */
#define SIO_GET_GROUP_QOS 0xC8000008u /* Quality of service of the group. */
#define SIO_MULTIPOINT_LOOPBACK 0x88000009u /* Unused by SAN providers. */
#define SIO_MULTICAST_SCOPE 0x8800000Au /* Unused by SAN providers. */
#define SIO_SET_QOS 0x8800000Bu /* Set quality of service of the socket. */
#define SIO_SET_GROUP_QOS 0x8800000Cu /* Set quality of service of the group. */
#define SIO_TRANSLATE_HANDLE 0xC800000Du /* Unused by SAN providers. */
#define SIO_ROUTING_INTERFACE_QUERY 0xC8000014u /* Unused by SAN providers. */
#define SIO_ROUTING_INTERFACE_CHANGE 0x88000015u /* Unused by SAN providers. */
/* Out: SOCKET_ADDRESS_LIST of the provider's own interfaces (SP-102). */
#define SIO_ADDRESS_LIST_QUERY 0x48000016u
#define SIO_ADDRESS_LIST_CHANGE 0x28000017u /* Unused by SAN providers. */
#define SIO_QUERY_TARGET_PNP_HANDLE 0x48000018u /* Unused by SAN providers. */
#define SIO_ADDRESS_LIST_SORT 0xC8000019u /* Unused by SAN providers. */

/* Control codes whose names Linux uses too. */
#define WS_IOC_VOID 0x20000000u /* No parameters. */
#define WS_IOC_OUT 0x40000000u /* Copies out. */
#define WS_IOC_IN 0x80000000u /* Copies in. */
#define WS_FIONBIO 0x8004667Eu /* Non-blocking mode. */
#define WS_FIONREAD 0x4004667Fu /* Bytes to read. */
#define WS_SIOCATMARK 0x40047307u /* At the urgent mark. */

/* Error codes. */
#define WSA_INVALID_HANDLE 6 /* Handle is not valid. */
#define WSA_NOT_ENOUGH_MEMORY 8 /* Not enough memory. */
#define WSA_INVALID_PARAMETER 87 /* Parameter is not valid. */
#define WSA_OPERATION_ABORTED 995 /* Operation was aborted by a local close. */
#define WSA_IO_INCOMPLETE 996 /* Operation has not completed yet. */
#define WSA_IO_PENDING 997 /* Operation has been started and will complete later. */
#define WSAEINTR 10004 /* Interrupted; never used by a SAN provider. */
#define WSAEACCES 10013 /* Permission denied. */
#define WSAEFAULT 10014 /* Address or length of an argument is not valid. */
#define WSAEINVAL 10022 /* Argument or state is not valid. */
#define WSAEMFILE 10024 /* No more descriptors. */
#define WSAEWOULDBLOCK 10035 /* Would block. */
#define WSAEINPROGRESS 10036 /* In progress; never used by a SAN provider. */
#define WSAEALREADY 10037 /* A connect is already in progress. */
#define WSAENOTSOCK 10038 /* Descriptor is not a socket. */
#define WSAEDESTADDRREQ 10039 /* Destination address is missing. */
#define WSAEMSGSIZE 10040 /* Message is too long. */
#define WSAEPROTOTYPE 10041 /* Protocol is of the wrong type for the socket. */
#define WSAENOPROTOOPT 10042 /* Option is not known. */
#define WSAEPROTONOSUPPORT 10043 /* Protocol is not supported. */
#define WSAESOCKTNOSUPPORT 10044 /* Socket type is not supported. */
#define WSAEOPNOTSUPP 10045 /* Operation is not supported. */
#define WSAEPFNOSUPPORT 10046 /* Protocol family is not supported. */
#define WSAEAFNOSUPPORT 10047 /* Address family is not supported. */
#define WSAEADDRINUSE 10048 /* Address is in use. */
#define WSAEADDRNOTAVAIL 10049 /* Address is not available. */
#define WSAENETDOWN 10050 /* Network is down. */
#define WSAENETUNREACH 10051 /* Network is unreachable. */
#define WSAENETRESET 10052 /* Keep-alive failed. */
#define WSAECONNABORTED 10053 /* Connection was aborted. */
#define WSAECONNRESET 10054 /* Connection was reset by the peer. */
#define WSAENOBUFS 10055 /* No buffer space. */
#define WSAEISCONN 10056 /* Socket is connected. */
#define WSAENOTCONN 10057 /* Socket is not connected. */
#define WSAESHUTDOWN 10058 /* Socket has been shut down. */
#define WSAETOOMANYREFS 10059 /* Too many references. */
#define WSAETIMEDOUT 10060 /* Timed out. */
#define WSAECONNREFUSED 10061 /* Connection was refused. */
#define WSAEHOSTDOWN 10064 /* Host is down. */
#define WSAEHOSTUNREACH 10065 /* Host is unreachable. */
#define WSAEPROCLIM 10067 /* Too many clients of the provider. */
#define WSASYSNOTREADY 10091 /* The underlying network is not ready. */
#define WSAVERNOTSUPPORTED 10092 /* Version is not supported. */
#define WSANOTINITIALISED 10093 /* No successful start-up. */
#define WSAEDISCON 10101 /* Peer has disconnected gracefully. */
#define WSAENOMORE 10102 /* No more results. */
#define WSAECANCELLED 10103 /* Call was cancelled. */
#define WSAEINVALIDPROCTABLE 10104 /* Table of functions is not valid. */
#define WSAEINVALIDPROVIDER 10105 /* Provider is not valid. */
#define WSAEPROVIDERFAILEDINIT 10106 /* Provider could not be initialised. */
#define WSASYSCALLFAILURE 10107 /* A call that should never fail has failed. */
#define WSAEREFUSED 10112 /* Query was refused. */
#define WSATRY_AGAIN 11002 /* Try again. */
#define WSANO_RECOVERY 11003 /* Failure without recovery. */

/* What WSPStartupEx says about the provider (SP-031). */
typedef struct _WSPDATA {
    WORD wVersion; /* Version that the provider will use, 0x0202. */
    WORD wHighVersion; /* Highest version that it knows, 0x0202. */
    WCHAR szDescription[256]; /* NUL-terminated description. */
} WSPDATA;

/* Thread identity for APCs, unused. */
typedef struct _WSATHREADID {
    HANDLE ThreadHandle; /* Thread. */
    DWORD_PTR Reserved; /* Reserved. */
} WSATHREADID;

/* A 16-byte identifier in its in-memory form. */
typedef struct _GUID {
    uint32_t Data1; /* First group of the text form. */
    uint16_t Data2; /* Second group. */
    uint16_t Data3; /* Third group. */
    uint8_t Data4[8]; /* Fourth and fifth group. */
} GUID;

/* A data buffer. */
typedef struct _WSABUF {
    uint32_t len; /* Length in bytes. */
    char *buf; /* Start. */
} WSABUF;

/* State of one overlapped operation (SP-183). */
typedef struct _WSAOVERLAPPED {
    ULONG_PTR Internal; /* WSS_OPERATION_IN_PROGRESS while pending, anything else when done. */
    ULONG_PTR InternalHigh; /* Bytes transferred. */
    DWORD Offset; /* Flags of the operation. */
    DWORD OffsetHigh; /* Winsock error of the operation, 0 for success. */
    WSAEVENT hEvent; /* Bit 0 set: polled, no notification (SP-180); clear: notified (SP-181). */
} WSAOVERLAPPED;

/* Record of network events (SP-060, SP-061). */
typedef struct _WSANETWORKEVENTS {
    LONG lNetworkEvents; /* Events that occurred. */
    INT iErrorCode[10]; /* Error of each, valid only where its bit is set. */
} WSANETWORKEVENTS;

/* Protocol chain. */
typedef struct _WSAPROTOCOLCHAIN {
    INT ChainLen; /* 1 for a base provider. */
    DWORD ChainEntries[7]; /* Catalogue entries. */
} WSAPROTOCOLCHAIN;

/* Description of a protocol. */
typedef struct _WSAPROTOCOL_INFOW {
    DWORD dwServiceFlags1; /* XP1_*. */
    DWORD dwServiceFlags2; /* 0. */
    DWORD dwServiceFlags3; /* 0. */
    DWORD dwServiceFlags4; /* 0. */
    DWORD dwProviderFlags; /* PFL_*. */
    GUID ProviderId; /* Identity of the provider. */
    DWORD dwCatalogEntryId; /* Number in the catalogue. */
    WSAPROTOCOLCHAIN ProtocolChain; /* Base or layered. */
    INT iVersion; /* Protocol version. */
    INT iAddressFamily; /* Address family. */
    INT iMaxSockAddr; /* Longest address in bytes. */
    INT iMinSockAddr; /* Shortest address in bytes. */
    INT iSocketType; /* Socket type. */
    INT iProtocol; /* Protocol number. */
    INT iProtocolMaxOffset; /* Further protocol numbers. */
    INT iNetworkByteOrder; /* BIGENDIAN or LITTLEENDIAN. */
    INT iSecurityScheme; /* SECURITY_PROTOCOL_NONE. */
    DWORD dwMessageSize; /* 0: not applicable; 1: see SO_MAX_MSG_SIZE; 0xFFFFFFFF: no limit. */
    DWORD dwProviderReserved; /* Value of WSPDuplicateSocket for adoption, else 0 (SP-041, SP-151). */
    WCHAR szProtocol[256]; /* NUL-terminated name. */
} WSAPROTOCOL_INFOW;

/* Any address, seen through its family. */
typedef struct WS_sockaddr {
    uint16_t sa_family; /* Address family. */
    uint8_t sa_data[14]; /* The rest. */
} SOCKADDR;

/* IPv4 address and port. */
typedef struct WS_sockaddr_in {
    uint16_t sin_family; /* AF_INET. */
    uint16_t sin_port; /* Port in network byte order. */
    uint32_t sin_addr; /* Address in network byte order. */
    uint8_t sin_zero[8]; /* Zero. */
} SOCKADDR_IN;

/* IPv6 address and port (a declared extension, section 0.3). */
typedef struct WS_sockaddr_in6 {
    uint16_t sin6_family; /* AF_INET6, 23. */
    uint16_t sin6_port; /* Port in network byte order. */
    uint32_t sin6_flowinfo; /* Flow information. */
    uint8_t sin6_addr[16]; /* Address. */
    uint32_t sin6_scope_id; /* Scope, host byte order. */
} SOCKADDR_IN6;

/* A pointer to an address, with its length. */
typedef struct _SOCKET_ADDRESS {
    SOCKADDR *lpSockaddr; /* The address. */
    INT iSockaddrLength; /* Its length in bytes. */
} SOCKET_ADDRESS;

/* Head of an address list; Address really has iAddressCount entries (SP-102). */
typedef struct _SOCKET_ADDRESS_LIST {
    INT iAddressCount; /* Number of entries. */
    SOCKET_ADDRESS Address[1]; /* The first entry. */
} SOCKET_ADDRESS_LIST;

/* Flow specification. */
typedef struct _FLOWSPEC {
    uint32_t TokenRate; /* Bytes per second. */
    uint32_t TokenBucketSize; /* Bytes. */
    uint32_t PeakBandwidth; /* Bytes per second. */
    uint32_t Latency; /* Microseconds. */
    uint32_t DelayVariation; /* Microseconds. */
    uint32_t ServiceType; /* Service type. */
    uint32_t MaxSduSize; /* Bytes. */
    uint32_t MinimumPolicedSize; /* Bytes. */
} FLOWSPEC;

/* Quality of service in both directions. */
typedef struct _QOS {
    FLOWSPEC SendingFlowspec; /* Towards the peer. */
    FLOWSPEC ReceivingFlowspec; /* From the peer. */
    WSABUF ProviderSpecific; /* The provider's own part. */
} QOS;

/* Value of SO_LINGER. */
typedef struct WS_linger {
    uint16_t l_onoff; /* On or off. */
    uint16_t l_linger; /* Seconds. */
} LINGER;

/* Set of sockets of WSPSelect; fd_array really has fd_count entries, if these are more. */
typedef struct WS_fd_set {
    UINT fd_count; /* Number of sockets in the set. */
    SOCKET fd_array[WS_FD_SETSIZE]; /* The sockets. */
} WS_FD_SET;

/* Time limit of WSPSelect. */
typedef struct WS_timeval {
    LONG tv_sec; /* Seconds. */
    LONG tv_usec; /* Microseconds. */
} WS_TIMEVAL;

/* What TransmitFile sends before and after the file. */
typedef struct _TRANSMIT_FILE_BUFFERS {
    LPVOID Head; /* Sent first, or NULL. */
    DWORD HeadLength; /* Its length in bytes. */
    LPVOID Tail; /* Sent last, or NULL. */
    DWORD TailLength; /* Its length in bytes. */
} TRANSMIT_FILE_BUFFERS;

typedef GUID *LPGUID;
typedef WSPDATA *LPWSPDATA;
typedef WSABUF *LPWSABUF;
typedef WSAOVERLAPPED *LPWSAOVERLAPPED;
typedef WSATHREADID *LPWSATHREADID;
typedef WSAPROTOCOL_INFOW *LPWSAPROTOCOL_INFOW;
typedef WSANETWORKEVENTS *LPWSANETWORKEVENTS;
typedef QOS *LPQOS;
typedef TRANSMIT_FILE_BUFFERS *LPTRANSMIT_FILE_BUFFERS;

/* Condition function of WSPAccept (SP-076): parameters are caller id, caller data, sending and group QoS,
 * callee id, callee data, group, and the callback data given to WSPAccept. Answers CF_ACCEPT, CF_REJECT or
 * CF_DEFER. Called once, on the thread that is inside WSPAccept. */
typedef int (WSPAPI *LPCONDITIONPROC)(
    LPWSABUF, LPWSABUF, LPQOS, LPQOS, LPWSABUF, LPWSABUF, GROUP *, DWORD_PTR);

/* Completion routine; never used by the switch (SP-015). Parameters are error, bytes, request, flags. */
typedef void (WSPAPI *LPWSAOVERLAPPED_COMPLETION_ROUTINE)(DWORD, DWORD, LPWSAOVERLAPPED, DWORD);

/* Functions of the switch that a provider may call (section 1.3, section 8). */

/* Called again and again by a provider that blocks: TRUE to go on waiting, FALSE once the wait was cancelled. */
typedef BOOL (WSPAPI *LPBLOCKINGCALLBACK)(DWORD_PTR dwContext);

/* What WPUQueueApc runs in the thread of its choice. */
typedef void (WSPAPI *LPWSAUSERAPC)(DWORD_PTR dwContext);

/* Closes an event that WPUCreateEvent made: TRUE or FALSE. Unused. */
typedef BOOL (WSPAPI *LPWPUCLOSEEVENT)(WSAEVENT hEvent, LPINT lpErrno);

/* The last up-call for a handle, once per handle: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWPUCLOSESOCKETHANDLE)(SOCKET s, LPINT lpErrno);

/* Makes an event that is reset: the handle, or WSA_INVALID_EVENT. Unused. */
typedef WSAEVENT (WSPAPI *LPWPUCREATEEVENT)(LPINT lpErrno);

/* Makes the switch's handle of a socket: the handle or INVALID_SOCKET. */
typedef SOCKET (WSPAPI *LPWPUCREATESOCKETHANDLE)(DWORD dwCatalogEntryId, DWORD_PTR dwContext, LPINT lpErrno);

/* Whether the socket is in the set. Unused. */
typedef int (WSPAPI *LPWPUFDISSET)(SOCKET s, WS_FD_SET *fdset);

/* Unused. */
typedef int (WSPAPI *LPWPUGETPROVIDERPATH)(
    LPGUID lpProviderId, LPWSTR lpszProviderDllPath, LPINT lpProviderDllPathLen, LPINT lpErrno);

/* Unused. */
typedef SOCKET (WSPAPI *LPWPUMODIFYIFSHANDLE)(DWORD dwCatalogEntryId, SOCKET ProposedHandle, LPINT lpErrno);

/* Posts a message of WSPAsyncSelect to a window: TRUE or FALSE. Not for SAN providers. */
typedef BOOL (WSPAPI *LPWPUPOSTMESSAGE)(HWND hWnd, UINT Msg, WPARAM wParam, LPARAM lParam);

/* The blocking callback of the calling thread, NULL if it has none: 0 or SOCKET_ERROR. Not for SAN providers. */
typedef int (WSPAPI *LPWPUQUERYBLOCKINGCALLBACK)(
    DWORD dwCatalogEntryId, LPBLOCKINGCALLBACK *lplpfnCallback, PDWORD_PTR lpdwContext, LPINT lpErrno);

/* The context given when the handle was made: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWPUQUERYSOCKETHANDLECONTEXT)(SOCKET s, PDWORD_PTR lpContext, LPINT lpErrno);

/* Runs a function in a thread that waits alertably: 0 or SOCKET_ERROR. Not for SAN providers. */
typedef int (WSPAPI *LPWPUQUEUEAPC)(
    LPWSATHREADID lpThreadId, LPWSAUSERAPC lpfnUserApc, DWORD_PTR dwContext, LPINT lpErrno);

/* Resets an event of WSPEventSelect: TRUE or FALSE. */
typedef BOOL (WSPAPI *LPWPURESETEVENT)(WSAEVENT hEvent, LPINT lpErrno);

/* Sets an event of WSPEventSelect: TRUE or FALSE. */
typedef BOOL (WSPAPI *LPWPUSETEVENT)(WSAEVENT hEvent, LPINT lpErrno);

/* Identity of the calling thread, for WPUQueueApc: 0 or SOCKET_ERROR. Not for SAN providers. */
typedef int (WSPAPI *LPWPUOPENCURRENTTHREAD)(LPWSATHREADID lpThreadId, LPINT lpErrno);

/* Gives an identity back: 0 or SOCKET_ERROR. Not for SAN providers. */
typedef int (WSPAPI *LPWPUCLOSETHREAD)(LPWSATHREADID lpThreadId, LPINT lpErrno);

/* The generic table, passed by value to WSPStartup, which no SAN provider has: the SPI front end gets it. */
typedef struct _WSPUPCALLTABLE {
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
} WSPUPCALLTABLE;

/* Functions of a provider (section 6, section 7). */

/* Section 6.10: the new descriptor or INVALID_SOCKET. */
typedef SOCKET (WSPAPI *LPWSPACCEPT)(
    SOCKET s, SOCKADDR *addr, LPINT addrlen, LPCONDITIONPROC lpfnCondition, DWORD_PTR dwCallbackData,
    LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPADDRESSTOSTRING)(
    SOCKADDR *lpsaAddress, DWORD dwAddressLength, LPWSAPROTOCOL_INFOW lpProtocolInfo,
    LPWSTR lpszAddressString, LPDWORD lpdwAddressStringLength, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPASYNCSELECT)(SOCKET s, HWND hWnd, UINT wMsg, LONG lEvent, LPINT lpErrno);

/* Section 6.4: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPBIND)(SOCKET s, const SOCKADDR *name, int namelen, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPCANCELBLOCKINGCALL)(LPINT lpErrno);

/* Section 6.2: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPCLEANUP)(LPINT lpErrno);

/* Section 6.21: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPCLOSESOCKET)(SOCKET s, LPINT lpErrno);

/* Section 6.8: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPCONNECT)(
    SOCKET s, const SOCKADDR *name, int namelen, LPWSABUF lpCallerData, LPWSABUF lpCalleeData, LPQOS lpSQOS,
    LPQOS lpGQOS, LPINT lpErrno);

/* Section 6.19: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPDUPLICATESOCKET)(
    SOCKET s, DWORD dwProcessId, LPWSAPROTOCOL_INFOW lpProtocolInfo, LPINT lpErrno);

/* Section 6.7: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPENUMNETWORKEVENTS)(
    SOCKET s, WSAEVENT hEventObject, LPWSANETWORKEVENTS lpNetworkEvents, LPINT lpErrno);

/* Section 6.6: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPEVENTSELECT)(SOCKET s, WSAEVENT hEventObject, LONG lNetworkEvents, LPINT lpErrno);

/* Section 6.13: TRUE or FALSE (SP-098). */
typedef BOOL (WSPAPI *LPWSPGETOVERLAPPEDRESULT)(
    SOCKET s, LPWSAOVERLAPPED lpOverlapped, LPDWORD lpcbTransfer, BOOL fWait, LPDWORD lpdwFlags, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPGETPEERNAME)(SOCKET s, SOCKADDR *name, LPINT namelen, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPGETSOCKNAME)(SOCKET s, SOCKADDR *name, LPINT namelen, LPINT lpErrno);

/* Section 6.5: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPGETSOCKOPT)(
    SOCKET s, int level, int optname, char *optval, LPINT optlen, LPINT lpErrno);

/* Section 6.15: TRUE or FALSE. */
typedef BOOL (WSPAPI *LPWSPGETQOSBYNAME)(SOCKET s, LPWSABUF lpQOSName, LPQOS lpQOS, LPINT lpErrno);

/* Section 6.14: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPIOCTL)(
    SOCKET s, DWORD dwIoControlCode, LPVOID lpvInBuffer, DWORD cbInBuffer, LPVOID lpvOutBuffer,
    DWORD cbOutBuffer, LPDWORD lpcbBytesReturned, LPWSAOVERLAPPED lpOverlapped,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine, LPWSATHREADID lpThreadId, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef SOCKET (WSPAPI *LPWSPJOINLEAF)(
    SOCKET s, const SOCKADDR *name, int namelen, LPWSABUF lpCallerData, LPWSABUF lpCalleeData, LPQOS lpSQOS,
    LPQOS lpGQOS, DWORD dwFlags, LPINT lpErrno);

/* Section 6.9: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPLISTEN)(SOCKET s, int backlog, LPINT lpErrno);

/* Section 6.12: 0 or SOCKET_ERROR, as a rule with WSA_IO_PENDING. */
typedef int (WSPAPI *LPWSPRECV)(
    SOCKET s, LPWSABUF lpBuffers, DWORD dwBufferCount, LPDWORD lpNumberOfBytesRecvd, LPDWORD lpFlags,
    LPWSAOVERLAPPED lpOverlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine,
    LPWSATHREADID lpThreadId, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPRECVDISCONNECT)(SOCKET s, LPWSABUF lpInboundDisconnectData, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPRECVFROM)(
    SOCKET s, LPWSABUF lpBuffers, DWORD dwBufferCount, LPDWORD lpNumberOfBytesRecvd, LPDWORD lpFlags,
    SOCKADDR *lpFrom, LPINT lpFromlen, LPWSAOVERLAPPED lpOverlapped,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine, LPWSATHREADID lpThreadId, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPSELECT)(
    int nfds, WS_FD_SET *readfds, WS_FD_SET *writefds, WS_FD_SET *exceptfds, const WS_TIMEVAL *timeout,
    LPINT lpErrno);

/* Section 6.11: 0 or SOCKET_ERROR, as a rule with WSA_IO_PENDING. */
typedef int (WSPAPI *LPWSPSEND)(
    SOCKET s, LPWSABUF lpBuffers, DWORD dwBufferCount, LPDWORD lpNumberOfBytesSent, DWORD dwFlags,
    LPWSAOVERLAPPED lpOverlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine,
    LPWSATHREADID lpThreadId, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPSENDDISCONNECT)(SOCKET s, LPWSABUF lpOutboundDisconnectData, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPSENDTO)(
    SOCKET s, LPWSABUF lpBuffers, DWORD dwBufferCount, LPDWORD lpNumberOfBytesSent, DWORD dwFlags,
    const SOCKADDR *lpTo, int iTolen, LPWSAOVERLAPPED lpOverlapped,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE lpCompletionRoutine, LPWSATHREADID lpThreadId, LPINT lpErrno);

/* Section 6.5: 0 or SOCKET_ERROR. */
typedef int (WSPAPI *LPWSPSETSOCKOPT)(
    SOCKET s, int level, int optname, LPCSTR optval, int optlen, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPSHUTDOWN)(SOCKET s, int how, LPINT lpErrno);

/* Section 6.3: the new descriptor or INVALID_SOCKET. */
typedef SOCKET (WSPAPI *LPWSPSOCKET)(
    int af, int type, int protocol, LPWSAPROTOCOL_INFOW lpProtocolInfo, GROUP g, DWORD dwFlags, LPINT lpErrno);

/* Not required of a SAN provider. */
typedef int (WSPAPI *LPWSPSTRINGTOADDRESS)(
    LPWSTR AddressString, INT AddressFamily, LPWSAPROTOCOL_INFOW lpProtocolInfo, SOCKADDR *lpAddress,
    LPINT lpAddressLength, LPINT lpErrno);

/* 30 entries, of which 17 are required of a SAN provider (SP-001). Written by the provider into the switch's
 * memory at every successful start-up (SP-002). */
typedef struct _WSPPROC_TABLE {
    LPWSPACCEPT lpWSPAccept; /* Required. */
    LPWSPADDRESSTOSTRING lpWSPAddressToString; /* Not required. */
    LPWSPASYNCSELECT lpWSPAsyncSelect; /* Not required. */
    LPWSPBIND lpWSPBind; /* Required. */
    LPWSPCANCELBLOCKINGCALL lpWSPCancelBlockingCall; /* Not required. */
    LPWSPCLEANUP lpWSPCleanup; /* Required. */
    LPWSPCLOSESOCKET lpWSPCloseSocket; /* Required. */
    LPWSPCONNECT lpWSPConnect; /* Required. */
    LPWSPDUPLICATESOCKET lpWSPDuplicateSocket; /* Required. */
    LPWSPENUMNETWORKEVENTS lpWSPEnumNetworkEvents; /* Required. */
    LPWSPEVENTSELECT lpWSPEventSelect; /* Required. */
    LPWSPGETOVERLAPPEDRESULT lpWSPGetOverlappedResult; /* Required. */
    LPWSPGETPEERNAME lpWSPGetPeerName; /* Not required. */
    LPWSPGETSOCKNAME lpWSPGetSockName; /* Not required. */
    LPWSPGETSOCKOPT lpWSPGetSockOpt; /* Required. */
    LPWSPGETQOSBYNAME lpWSPGetQOSByName; /* Required. */
    LPWSPIOCTL lpWSPIoctl; /* Required. */
    LPWSPJOINLEAF lpWSPJoinLeaf; /* Not required. */
    LPWSPLISTEN lpWSPListen; /* Required. */
    LPWSPRECV lpWSPRecv; /* Required. */
    LPWSPRECVDISCONNECT lpWSPRecvDisconnect; /* Not required. */
    LPWSPRECVFROM lpWSPRecvFrom; /* Not required. */
    LPWSPSELECT lpWSPSelect; /* Not required. */
    LPWSPSEND lpWSPSend; /* Required. */
    LPWSPSENDDISCONNECT lpWSPSendDisconnect; /* Not required. */
    LPWSPSENDTO lpWSPSendTo; /* Not required. */
    LPWSPSETSOCKOPT lpWSPSetSockOpt; /* Required. */
    LPWSPSHUTDOWN lpWSPShutdown; /* Not required. */
    LPWSPSOCKET lpWSPSocket; /* Required. */
    LPWSPSTRINGTOADDRESS lpWSPStringToAddress; /* Not required. */
} WSPPROC_TABLE;

typedef WSPPROC_TABLE *LPWSPPROC_TABLE;

/* WSPStartup of generic Winsock, never called on a SAN provider: the up-call table is passed by value. */
typedef int (WSPAPI *LPWSPSTARTUP)(
    WORD wVersionRequested, LPWSPDATA lpWSPData, LPWSAPROTOCOL_INFOW lpProtocolInfo,
    WSPUPCALLTABLE UpcallTable, WSPPROC_TABLE *lpProcTable);

/* The entry of libwsd_wsp.so, for programs that are written to the interface. The program plays the part of
 * ws2_32.dll: the up-call table is its own. 0 or the error code. */
int WSPAPI WSPStartup(
    WORD wVersionRequested, LPWSPDATA lpWSPData, LPWSAPROTOCOL_INFOW lpProtocolInfo,
    WSPUPCALLTABLE UpcallTable, WSPPROC_TABLE *lpProcTable);

/* Extension functions that the switch offers to programs: obtained with SIO_GET_EXTENSION_FUNCTION_POINTER and an
 * identifier of ws2san.h. They have no lpErrno: a failed call leaves its code where WSAGetLastError finds it. */

/* TRUE or FALSE, as a rule with WSA_IO_PENDING. */
typedef BOOL (WSPAPI *LPFN_ACCEPTEX)(
    SOCKET sListenSocket, SOCKET sAcceptSocket, LPVOID lpOutputBuffer, DWORD dwReceiveDataLength,
    DWORD dwLocalAddressLength, DWORD dwRemoteAddressLength, LPDWORD lpdwBytesReceived,
    LPWSAOVERLAPPED lpOverlapped);

/* Finds the addresses in what AcceptEx filled. */
typedef void (WSPAPI *LPFN_GETACCEPTEXSOCKADDRS)(
    LPVOID lpOutputBuffer, DWORD dwReceiveDataLength, DWORD dwLocalAddressLength, DWORD dwRemoteAddressLength,
    SOCKADDR **LocalSockaddr, LPINT LocalSockaddrLength, SOCKADDR **RemoteSockaddr, LPINT RemoteSockaddrLength);

/* TRUE or FALSE, with an overlapped structure as a rule with WSA_IO_PENDING. hFile is a file descriptor as a handle;
 * NULL, which descriptor 0 would be, means no file. */
typedef BOOL (WSPAPI *LPFN_TRANSMITFILE)(
    SOCKET hSocket, HANDLE hFile, DWORD nNumberOfBytesToWrite, DWORD nNumberOfBytesPerSend,
    LPWSAOVERLAPPED lpOverlapped, LPTRANSMIT_FILE_BUFFERS lpTransmitBuffers, DWORD dwFlags);

/* The code of the calling thread's last failed extension function (libwsd_wsp.so). */
int WSAAPI WSAGetLastError(void);

#ifdef __cplusplus
}
#endif

#endif
