#include "host.h"

WSPPROC_TABLE table;
int error;
DWORD owner;

static HMODULE module;
static const char *base_path;
static WSAPROTOCOL_INFOW entries[5];

static const GUID OURS = { 0x2f6d9c14, 0x50b7, 0x4c1e, { 0xa8, 0xe3, 0x1b, 0x94, 0x7d, 0x6c, 0x0a, 0x52 } };
static const GUID BASE = { 0xe70f1aa0, 0xab8b, 0x11cf, { 0x8c, 0xa3, 0x00, 0x80, 0x5f, 0x48, 0xa1, 0x92 } };

void fail(const char *file, int line, const char *fact)
{
    fprintf(stderr, "%s:%d: not %s (error %d)\n", file, line, fact, error);
    ExitProcess(1);
}

static void enter(int place, DWORD number, const GUID *id, int kind, int protocol, int length, DWORD below)
{
    WSAPROTOCOL_INFOW *new = &entries[place];
    new->dwServiceFlags1 = XP1_IFS_HANDLES;
    new->ProviderId = *id;
    /* The chains have the identities that come next. */
    new->ProviderId.Data4[7] += length == 2 ? place - 2 : 0;
    new->dwCatalogEntryId = number;
    new->ProtocolChain.ChainLen = length;
    new->ProtocolChain.ChainEntries[0] = length == 2 ? LAYER : number;
    new->ProtocolChain.ChainEntries[1] = below;
    new->iVersion = 2;
    new->iAddressFamily = AF_INET;
    new->iSocketType = kind;
    new->iProtocol = protocol;
}

static int WSAAPI enumerate(LPINT wanted, LPWSAPROTOCOL_INFOW place, LPDWORD length, LPINT error)
{
    (void)wanted;
    if (*length < sizeof entries) {
        *length = sizeof entries;
        *error = WSAENOBUFS;
        return SOCKET_ERROR;
    }
    memcpy(place, entries, sizeof entries);
    return 5;
}

static int WSPAPI provider_path(LPGUID id, WCHAR *path, LPINT length, LPINT error)
{
    if (memcmp(id, &BASE, sizeof BASE) != 0) {
        *error = WSAEINVAL;
        return SOCKET_ERROR;
    }
    CHECK(MultiByteToWideChar(CP_ACP, 0, base_path, -1, path, *length) != 0);
    return 0;
}

static SOCKET WSPAPI modify(DWORD number, SOCKET proposed, LPINT error)
{
    (void)error;
    owner = number;
    return proposed;
}

/* Winsock's own enumeration is another one: Wine has no catalogue that could be changed. */
static int replace(const char *name, void *function)
{
    char *start = (char *)module;
    IMAGE_NT_HEADERS *headers = (IMAGE_NT_HEADERS *)(start + ((IMAGE_DOS_HEADER *)start)->e_lfanew);
    DWORD imports = headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT].VirtualAddress;
    int replaced = 0;
    for (IMAGE_IMPORT_DESCRIPTOR *from = (IMAGE_IMPORT_DESCRIPTOR *)(start + imports); from->Name; from++) {
        IMAGE_THUNK_DATA *names = (IMAGE_THUNK_DATA *)(start + from->OriginalFirstThunk);
        IMAGE_THUNK_DATA *places = (IMAGE_THUNK_DATA *)(start + from->FirstThunk);
        for (; names->u1.AddressOfData; names++, places++) {
            if (IMAGE_SNAP_BY_ORDINAL(names->u1.Ordinal))
                continue;
            IMAGE_IMPORT_BY_NAME *imported = (IMAGE_IMPORT_BY_NAME *)(start + names->u1.AddressOfData);
            if (strcmp((char *)imported->Name, name) == 0) {
                DWORD before;
                CHECK(VirtualProtect(&places->u1.Function, sizeof(void *), PAGE_READWRITE, &before));
                places->u1.Function = (ULONGLONG)function;
                CHECK(VirtualProtect(&places->u1.Function, sizeof(void *), before, &before));
                replaced++;
            }
        }
    }
    return replaced;
}

void load(const char *layer, const char *base)
{
    WSADATA facts;
    CHECK(WSAStartup(0x0202, &facts) == 0);
    base_path = base;
    enter(0, LAYER, &OURS, 0, 0, 0, 0);
    enter(1, BASE_TCP, &BASE, SOCK_STREAM, IPPROTO_TCP, 1, 0);
    enter(2, BASE_UDP, &BASE, SOCK_DGRAM, IPPROTO_UDP, 1, 0);
    enter(3, CHAIN_TCP, &OURS, SOCK_STREAM, IPPROTO_TCP, 2, BASE_TCP);
    enter(4, CHAIN_UDP, &OURS, SOCK_DGRAM, IPPROTO_UDP, 2, BASE_UDP);
    module = LoadLibraryA(layer);
    CHECK(module != NULL);
    CHECK(replace("WSCEnumProtocols", enumerate) > 0);
}

WSAPROTOCOL_INFOW *entry(DWORD number)
{
    for (int place = 0; place < 5; place++)
        if (entries[place].dwCatalogEntryId == number)
            return &entries[place];
    return NULL;
}

int start(DWORD number, WORD version, WSPPROC_TABLE *table)
{
    WSPUPCALLTABLE upcalls = { .lpWPUGetProviderPath = provider_path, .lpWPUModifyIFSHandle = modify };
    WSPDATA data;
    LPWSPSTARTUP startup = (LPWSPSTARTUP)(void *)GetProcAddress(module, "WSPStartup");
    CHECK(startup != NULL);
    int result = startup(version, &data, entry(number), upcalls, table);
    CHECK(result != 0 || (data.wVersion == 0x0202 && data.wHighVersion == 0x0202));
    return result;
}
