//! Socket options: the kernel's and our own (section 16 of the switch's requirements: all of them are TCP/IP's).

use rustix::net::sockopt;
use wsd_os::clock;
use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::catalog::{MAX_DATAGRAM, protocol_info};
use crate::convert;
use crate::process;
use crate::socket::{Life, Socket, State};

/// Value of an option, as the program gets it.
pub(crate) enum Value {
    /// BOOL, int, DWORD or GROUP.
    Number(i32),
    Linger(LINGER),
    Socket(SOCKET),
    Protocol(Box<WSAPROTOCOL_INFOW>),
}

/// Value that the program sets, read from its buffer.
pub(crate) struct Given<'a>(pub(crate) &'a [u8]);

impl Given<'_> {
    /// The first four bytes.
    fn number(&self) -> Result<i32, WsaError> {
        self.0.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(WsaError::WSAEFAULT)
    }

    fn flag(&self) -> Result<bool, WsaError> {
        Ok(self.number()? != 0)
    }

    fn linger(&self) -> Result<LINGER, WsaError> {
        let [a, b, c, d] = *self.0.first_chunk().ok_or(WsaError::WSAEFAULT)?;
        Ok(LINGER { l_onoff: u16::from_ne_bytes([a, b]), l_linger: u16::from_ne_bytes([c, d]) })
    }

    fn socket(&self) -> Result<SOCKET, WsaError> {
        self.0.first_chunk().map(|bytes| SOCKET::from_ne_bytes(*bytes)).ok_or(WsaError::WSAEFAULT)
    }
}

impl Socket {
    /// `WSPGetSockOpt`.
    ///
    /// # Errors
    /// `WSAEINVAL`: the level is unknown. `WSAENOPROTOOPT`: the option is, or the socket's kind does not have it.
    pub(crate) fn option(&self, level: i32, name: i32) -> Result<Value, WsaError> {
        let mut state = self.open()?;
        let kernel = state.kernel.clone();
        let fd = kernel.fd();
        let number = match (level, name) {
            (IPPROTO_TCP, TCP_NODELAY) if self.kind.is_stream() => sockopt::tcp_nodelay(fd).map(i32::from),
            (IPPROTO_IPV6, IPV6_V6ONLY) if self.kind.family == AF_INET6 => {
                sockopt::ipv6_v6only(fd).map(i32::from)
            }
            (SOL_SOCKET, SO_KEEPALIVE) => sockopt::socket_keepalive(fd).map(i32::from),
            (SOL_SOCKET, SO_REUSEADDR) => sockopt::socket_reuseaddr(fd).map(i32::from),
            (SOL_SOCKET, SO_BROADCAST) => sockopt::socket_broadcast(fd).map(i32::from),
            (SOL_SOCKET, SO_OOBINLINE) => sockopt::socket_oobinline(fd).map(i32::from),
            // The kernel counts its own share: it says twice what was set.
            (SOL_SOCKET, SO_SNDBUF) => sockopt::socket_send_buffer_size(fd).map(|size| (size / 2) as i32),
            (SOL_SOCKET, SO_RCVBUF) => sockopt::socket_recv_buffer_size(fd).map(|size| (size / 2) as i32),
            (SOL_SOCKET, name) => return state.own_option(name),
            (IPPROTO_TCP | IPPROTO_IPV6, _) => return Err(WsaError::WSAENOPROTOOPT),
            _ => return Err(WsaError::WSAEINVAL),
        };
        number.map(Value::Number).map_err(convert::error)
    }

    /// `WSPSetSockOpt`.
    ///
    /// # Errors
    /// As [`option`](Self::option); `WSAEFAULT`: too short; `WSAEINVAL`: not an acceptable value.
    pub(crate) fn set_option(&self, level: i32, name: i32, value: &Given<'_>) -> Result<(), WsaError> {
        let mut state = self.open()?;
        let kernel = state.kernel.clone();
        let fd = kernel.fd();
        let done = match (level, name) {
            (IPPROTO_TCP, TCP_NODELAY) if self.kind.is_stream() => {
                sockopt::set_tcp_nodelay(fd, value.flag()?)
            }
            (IPPROTO_IPV6, IPV6_V6ONLY) if self.kind.family == AF_INET6 => {
                sockopt::set_ipv6_v6only(fd, value.flag()?)
            }
            (SOL_SOCKET, SO_KEEPALIVE) => sockopt::set_socket_keepalive(fd, value.flag()?),
            (SOL_SOCKET, SO_REUSEADDR) => {
                let on = value.flag()?;
                if on && state.settings.exclusive {
                    return Err(WsaError::WSAEINVAL);
                }
                sockopt::set_socket_reuseaddr(fd, on)
            }
            (SOL_SOCKET, SO_BROADCAST) if !self.kind.is_stream() => {
                sockopt::set_socket_broadcast(fd, value.flag()?)
            }
            (SOL_SOCKET, SO_OOBINLINE) if self.kind.is_stream() => {
                sockopt::set_socket_oobinline(fd, value.flag()?)
            }
            (SOL_SOCKET, SO_SNDBUF) => sockopt::set_socket_send_buffer_size(fd, size(value)?),
            (SOL_SOCKET, SO_RCVBUF) => sockopt::set_socket_recv_buffer_size(fd, size(value)?),
            (SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT) => {
                let listener = value.socket()?;
                drop(state);
                return self.update_accept_context(listener);
            }
            (SOL_SOCKET, name) => return state.set_own_option(name, value),
            (IPPROTO_TCP | IPPROTO_IPV6, _) => return Err(WsaError::WSAENOPROTOOPT),
            _ => return Err(WsaError::WSAEINVAL),
        };
        done.map_err(convert::error)?;
        kernel.option_changed(level, name);
        Ok(())
    }

    /// A socket of `AcceptEx` gets the properties of its listener.
    fn update_accept_context(&self, listener: SOCKET) -> Result<(), WsaError> {
        if self.open()?.accepted_on != Some(listener) {
            return Err(WsaError::WSAEINVAL);
        }
        let settings = process::find(listener)?.open()?.settings;
        self.open()?.settings = settings;
        Ok(())
    }
}

fn size(value: &Given<'_>) -> Result<usize, WsaError> {
    usize::try_from(value.number()?).map_err(|_| WsaError::WSAEINVAL)
}

fn milliseconds(value: &Given<'_>) -> Result<i32, WsaError> {
    let limit = value.number()?;
    if limit < 0 { Err(WsaError::WSAEINVAL) } else { Ok(limit) }
}

impl State {
    fn own_option(&mut self, name: i32) -> Result<Value, WsaError> {
        let settings = &self.settings;
        Ok(Value::Number(match name {
            SO_DEBUG => settings.debug.into(),
            SO_DONTROUTE => settings.dont_route.into(),
            SO_EXCLUSIVEADDRUSE => settings.exclusive.into(),
            SO_CONDITIONAL_ACCEPT if self.kind.is_stream() => settings.conditional_accept.into(),
            SO_ACCEPTCONN if self.kind.is_stream() => (self.life == Life::Listening).into(),
            SO_RCVTIMEO => settings.receive_timeout,
            SO_SNDTIMEO => settings.send_timeout,
            SO_TYPE => self.kind.socket_type,
            SO_ERROR => WsaError::code_of(self.take_error()),
            SO_GROUP_ID => 0,
            SO_GROUP_PRIORITY => settings.group_priority,
            SO_LINGER if self.kind.is_stream() => return Ok(Value::Linger(settings.linger)),
            SO_DONTLINGER if self.kind.is_stream() => (settings.linger.l_onoff == 0).into(),
            SO_MAX_MSG_SIZE if !self.kind.is_stream() => MAX_DATAGRAM.cast_signed(),
            SO_CONNECT_TIME if self.kind.is_stream() => match self.connected_at {
                Some(since) if self.life == Life::Connected => {
                    i32::try_from((clock::now() - since).as_secs()).unwrap_or(i32::MAX)
                }
                _ => -1,
            },
            SO_UPDATE_ACCEPT_CONTEXT => {
                return self.accepted_on.map(Value::Socket).ok_or(WsaError::WSAEINVAL);
            }
            SO_PROTOCOL_INFOW => return Ok(Value::Protocol(Box::new(protocol_info(self.kind)))),
            _ => return Err(WsaError::WSAENOPROTOOPT),
        }))
    }

    fn set_own_option(&mut self, name: i32, value: &Given<'_>) -> Result<(), WsaError> {
        let stream = self.kind.is_stream();
        match name {
            SO_DEBUG => self.set_debug(value.flag()?),
            SO_DONTROUTE => self.settings.dont_route = value.flag()?,
            SO_EXCLUSIVEADDRUSE => {
                let on = value.flag()?;
                if on && sockopt::socket_reuseaddr(self.kernel.fd()).map_err(convert::error)? {
                    return Err(WsaError::WSAEINVAL);
                }
                self.settings.exclusive = on;
            }
            SO_CONDITIONAL_ACCEPT if stream => {
                if self.life == Life::Listening {
                    return Err(WsaError::WSAEINVAL);
                }
                self.settings.conditional_accept = value.flag()?;
            }
            SO_RCVTIMEO => self.settings.receive_timeout = milliseconds(value)?,
            SO_SNDTIMEO => self.settings.send_timeout = milliseconds(value)?,
            SO_GROUP_PRIORITY => self.settings.group_priority = value.number()?,
            SO_LINGER if stream => self.set_linger(value.linger()?)?,
            SO_DONTLINGER if stream => {
                let linger = LINGER { l_onoff: u16::from(!value.flag()?), ..self.settings.linger };
                self.set_linger(linger)?;
            }
            // Nothing is left to update: a connected socket is a full one.
            SO_UPDATE_CONNECT_CONTEXT if self.life == Life::Connected => {}
            SO_UPDATE_CONNECT_CONTEXT => return Err(WsaError::WSAENOTCONN),
            _ => return Err(WsaError::WSAENOPROTOOPT),
        }
        Ok(())
    }

    /// The switch hands the kernel socket's on to a companion (SW-046). Without the privilege that the kernel asks for, this socket
    /// alone has the option.
    fn set_debug(&mut self, on: bool) {
        self.settings.debug = on;
        let _ = wsd_os::tcp::set_debugged(self.kernel.fd(), on);
    }

    fn set_linger(&mut self, linger: LINGER) -> Result<(), WsaError> {
        let limit = (linger.l_onoff != 0).then(|| core::time::Duration::from_secs(linger.l_linger.into()));
        sockopt::set_socket_linger(self.kernel.fd(), limit).map_err(convert::error)?;
        self.kernel.option_changed(SOL_SOCKET, SO_LINGER);
        self.settings.linger = linger;
        Ok(())
    }

    fn take_error(&mut self) -> Result<(), WsaError> {
        self.settle_connect();
        core::mem::replace(&mut self.connect_result, Ok(()))
            .and(self.broken.map_or(Ok(()), Err))
            .and_then(|()| self.kernel.take_error())
    }
}
