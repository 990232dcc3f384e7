"""Runs a program and tells which system calls its first thread makes between its first and its second getppid()."""
import ctypes
import json
import os
import platform
import signal
import sys

GETPPID = {"x86_64": 110, "aarch64": 173}[platform.machine()]
TRACEME, SYSCALL, SETOPTIONS, GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
TRACESYSGOOD, EXITKILL = 1, 1 << 20
ENTRY = 1

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid, address=0, data=0):
    result = libc.ptrace(request, pid, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return result


def entered(pid):
    """The number of the system call that is about to be made, if one is."""
    info = ctypes.create_string_buffer(88)
    ptrace(GET_SYSCALL_INFO, pid, len(info), ctypes.addressof(info))
    return int.from_bytes(info[24:32], "little") if info[0] == bytes([ENTRY]) else None


pid = os.fork()
if pid == 0:
    ptrace(TRACEME, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
calls, inside = [], False
_, status = os.waitpid(pid, 0)
ptrace(SETOPTIONS, pid, 0, TRACESYSGOOD | EXITKILL)
deliver = 0
while os.WIFSTOPPED(status):
    ptrace(SYSCALL, pid, 0, deliver)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSTOPPED(status):
        break
    stop = os.WSTOPSIG(status)
    deliver = 0 if stop & 0x80 or stop == signal.SIGTRAP else stop
    number = entered(pid) if stop & 0x80 else None
    if number == GETPPID:
        inside = not inside
    elif number is not None and inside:
        calls.append(number)
print(json.dumps({"calls": calls, "status": status}), flush=True)
