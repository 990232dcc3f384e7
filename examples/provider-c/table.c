/*
 * table.c: WSPStartupEx, the one function that a provider exports, and WSPCleanup.
 */
#include "provider.h"

#include <pthread.h>
#include <string.h>

/* Start-ups wait for a clean-up that is under way. Not taken by any other function. */
static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;
static unsigned references;

void forget_start(void)
{
    static const pthread_mutex_t new_door = PTHREAD_MUTEX_INITIALIZER;
    door = new_door;
    references = 0;
}

static int WSPAPI wsp_cleanup(LPINT error)
{
    int code = 0;

    pthread_mutex_lock(&door);
    if (references == 0)
        code = WSANOTINITIALISED;
    else if (--references == 0)
        stop_engine();
    pthread_mutex_unlock(&door);
    return fail(code, error);
}

EXPORTED int WSPAPI WSPStartupEx(WORD version, LPWSPDATA data, LPWSAPROTOCOL_INFOW info,
    LPWSPUPCALLTABLEEX table, LPWSPPROC_TABLE functions)
{
    static const char description[] = "example provider in C";
    unsigned major = version & 0xff, minor = version >> 8;

    (void)info; /* TCP/IP's: the switch has started us (SP-023). */
    if (major < 2 || (major == 2 && minor < 2))
        return WSAVERNOTSUPPORTED;
    if (data == NULL || table == NULL || functions == NULL)
        return WSAEFAULT;
    pthread_mutex_lock(&door);
    if (references == 0) {
        upcalls = *table; /* SP-003 */
        if (!start_engine()) {
            pthread_mutex_unlock(&door);
            return WSAEPROVIDERFAILEDINIT;
        }
    }
    references++;
    pthread_mutex_unlock(&door);

    memset(data, 0, sizeof(*data));
    data->wVersion = data->wHighVersion = 0x0202;
    for (size_t i = 0; i < sizeof(description); i++)
        data->szDescription[i] = (WCHAR)description[i];
    *functions = (WSPPROC_TABLE){
        .lpWSPAccept = wsp_accept,
        .lpWSPBind = wsp_bind,
        .lpWSPCleanup = wsp_cleanup,
        .lpWSPCloseSocket = wsp_close_socket,
        .lpWSPConnect = wsp_connect,
        .lpWSPDuplicateSocket = HAS_DEFECT(INCOMPLETE_TABLE) ? NULL : wsp_duplicate_socket,
        .lpWSPEnumNetworkEvents = wsp_enum_network_events,
        .lpWSPEventSelect = wsp_event_select,
        .lpWSPGetOverlappedResult = wsp_get_overlapped_result,
        .lpWSPGetSockOpt = wsp_get_sock_opt,
        .lpWSPGetQOSByName = wsp_get_qos_by_name,
        .lpWSPIoctl = wsp_ioctl,
        .lpWSPListen = wsp_listen,
        .lpWSPRecv = wsp_recv,
        .lpWSPSend = wsp_send,
        .lpWSPSetSockOpt = wsp_set_sock_opt,
        .lpWSPSocket = wsp_socket,
    };
    return 0;
}
