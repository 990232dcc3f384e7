#!/bin/sh
# Run a Windows program. Where the kernel places the heap of Wine's loader at random, it now and then (once in some thousand starts)
# places it where Wine has to have a page of its own, and the program does not start: so nothing is placed at random.
exec setarch --addr-no-randomize /usr/lib/wine/wine64 "$@"
