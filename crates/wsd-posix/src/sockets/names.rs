//! `bind`, `getsockname` and `getpeername` need no answer of ours: the program's socket is the real TCP socket, and bears the
//! connection's true names whatever path its bytes take (see the architecture page, "TCP first").
